//! A TCP connection to a host: names resolved, and addresses tried side by side (RFC 8305).

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::options::SocketOptions;
use crate::testing::{Point, reach};
use crate::transport::Halt;
use crate::transport::poll::{entry, poll};
use crate::url::authority::Endpoint;

/// How long an address is waited for before the next one is tried beside it (RFC 8305, 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Connects to `endpoint`. `attempt` is what that is for, for errors: `dial ws://...`.
pub(super) fn connect(
    endpoint: &Endpoint,
    attempt: &str,
    options: &SocketOptions,
    deadline: Deadline,
) -> Result<Socket> {
    reach(Point::Connect);
    let addresses = resolve(endpoint, attempt, deadline)?;
    race(&addresses, options, deadline).map_err(|failure| {
        let tried: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
        let attempt = format!("{attempt}: connecting to {}", tried.join(", ")).into();
        match failure {
            Halt::TimedOut => Error::TimedOut { attempt },
            Halt::Interrupted => Error::Interrupted { attempt },
            Halt::Failed(source) => Error::Io {
                attempt,
                source: source.into(),
            },
        }
    })
}

/// Finds the addresses of the host, in the order in which to try them. The system's resolver knows
/// no deadline, so it works in a thread of its own, which ends by itself when nobody waits for it
/// any more.
pub(super) fn resolve(
    endpoint: &Endpoint,
    attempt: &str,
    deadline: Deadline,
) -> Result<Vec<SocketAddr>> {
    let attempt = || format!("{attempt}: resolving {:?}", endpoint.host).into();
    let failed = |reason: String| Error::Resolve {
        attempt: attempt(),
        reason,
    };
    let address = endpoint.address();
    if let Some(address) = address.map_err(|error| failed(error.to_string()))? {
        return Ok(vec![address]);
    }
    let name = (endpoint.host.clone(), endpoint.port);
    let (sender, receiver) = mpsc::channel();
    let resolver = move || {
        let _ = sender.send(name.to_socket_addrs().map(Iterator::collect::<Vec<_>>));
    };
    thread::Builder::new()
        .name("talkws-resolver".into())
        .spawn(resolver)
        .map_err(|error| Error::io("dial: start a thread to resolve the host's name", error))?;
    let addresses = loop {
        let slice = deadline.slice().unwrap_or(Duration::MAX);
        match receiver.recv_timeout(slice) {
            Ok(addresses) => break addresses.map_err(|error| failed(error.to_string()))?,
            Err(RecvTimeoutError::Disconnected) => return Err(failed("resolver failed".into())),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if deadline.is_interrupted() {
            return Err(Error::Interrupted { attempt: attempt() });
        }
        if deadline.has_passed() {
            return Err(Error::TimedOut { attempt: attempt() });
        }
    };
    if addresses.is_empty() {
        return Err(failed("the name has no addresses".into()));
    }
    Ok(interleave(addresses))
}

/// Puts the two families in turn, beginning with the one that the resolver prefers (RFC 8305, 4).
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut preferred, mut others) = (Vec::new(), Vec::new());
    for address in addresses {
        let family = if address.is_ipv6() == first_is_v6 {
            &mut preferred
        } else {
            &mut others
        };
        if !family.contains(&address) {
            family.push(address);
        }
    }
    let mut order = Vec::with_capacity(preferred.len() + others.len());
    let mut others = others.into_iter();
    for address in preferred {
        order.push(address);
        order.extend(others.next());
    }
    order.extend(others);
    order
}

/// Connects to whichever address answers first: the next one joins when those before it have
/// failed or have not answered for a while. Gives the first failure when all fail.
fn race(
    addresses: &[SocketAddr],
    options: &SocketOptions,
    deadline: Deadline,
) -> Result<Socket, Halt> {
    let mut waiting: Vec<Socket> = Vec::new();
    let mut rest = addresses.iter();
    let mut next_attempt = Instant::now();
    let mut first_failure = None;
    loop {
        if rest.len() > 0 && (waiting.is_empty() || Instant::now() >= next_attempt) {
            let address = rest.next().expect("there is one left");
            log::trace!(target: "talkws::client", "connecting to {address}");
            match start(address, options) {
                Ok(socket) => waiting.push(socket),
                Err(error) => {
                    first_failure.get_or_insert(error);
                    continue;
                }
            }
            next_attempt = Instant::now() + ATTEMPT_DELAY;
        }
        if waiting.is_empty() {
            return Err(Halt::Failed(first_failure.unwrap_or_else(|| {
                io::Error::new(io::ErrorKind::AddrNotAvailable, "no address to connect to")
            })));
        }
        let mut entries: Vec<_> = waiting
            .iter()
            .map(|socket| entry(socket.as_raw_fd(), libc::POLLOUT))
            .collect();
        let round = if rest.len() > 0 {
            deadline.or_sooner(next_attempt)
        } else {
            deadline
        };
        match poll(&mut entries, round) {
            Ok(_) => {}
            Err(Halt::TimedOut) if !deadline.has_passed() => continue,
            Err(halt) => return Err(halt),
        }
        for index in (0..waiting.len()).rev() {
            if entries[index].revents == 0 {
                continue;
            }
            let socket = waiting.remove(index);
            match socket.take_error() {
                Ok(None) => return Ok(socket),
                Ok(Some(error)) | Err(error) => {
                    first_failure.get_or_insert(error);
                    // A failure makes room for the next address at once.
                    next_attempt = Instant::now();
                }
            }
        }
    }
}

fn start(address: &SocketAddr, options: &SocketOptions) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(*address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    options.set_buffers(&socket)?;
    match socket.connect(&(*address).into()) {
        Ok(()) => Ok(socket),
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(socket),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn families_take_turns_beginning_with_the_preferred_one() {
        let list = |text: &str| -> Vec<SocketAddr> {
            text.split(' ')
                .map(|address| address.parse().unwrap())
                .collect()
        };
        let given = list("[::1]:1 [::2]:1 [::3]:1 127.0.0.1:1 [::1]:1");
        assert_eq!(
            interleave(given),
            list("[::1]:1 127.0.0.1:1 [::2]:1 [::3]:1")
        );
    }

    #[test]
    fn an_address_that_refuses_makes_room_for_the_next() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let good = listener.local_addr().unwrap();
        let closed = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let socket = race(&[closed, good], &SocketOptions::default(), Deadline::NEVER).unwrap();
        assert_eq!(socket.peer_addr().unwrap().as_socket(), Some(good));
        assert!(matches!(
            race(&[closed], &SocketOptions::default(), Deadline::NEVER),
            Err(Halt::Failed(_))
        ));
    }
}
