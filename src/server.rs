//! Listening, accepting in two steps, upgrading or refusing.

mod bind;
mod events;
mod pending;
mod request;
mod systemd;
mod tls;
mod unix;

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use socket2::Socket;

use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::options::ListenOptions;
use crate::protocol::handshake::server::Rules;
use crate::testing::{Point, reach};
use crate::tls::ServerTls;
use crate::transport::poll::{entry, poll, pollfd};
use crate::transport::{Halt, lock};
use crate::url::Url;

use events::Crew;
pub use events::{Handler, ServeReport};
use pending::{Pending, Verdict};
pub use request::Request;
use tls::Secure;
use unix::SocketFile;

/// The address of a listener that has no IP address.
const UNSPECIFIED: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// How long the listener leaves new connections alone when the process, or the system, has no
/// descriptors or memory left for them.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// How many rounds a call whose deadline has passed still makes: a timeout of zero is to find the
/// client that is there.
const MAX_LATE: usize = 16;

/// Longer than anybody waits for a request, and not too long for the clock.
const LONGEST_HANDSHAKE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Listens for WebSocket clients, such as at `ws://localhost:8080/talk-to-server`, with the
/// defaults of [`ListenOptions`].
pub fn listen(url: &str) -> Result<Listener> {
    ListenOptions::new().listen(url)
}

impl ListenOptions {
    /// Listens at every address of the URL's host. Port 0 takes a free one, see
    /// [`Listener::local_addr`]. The URL's path is the only one that is served, others get 404;
    /// a URL without a path (`ws://host:port`) serves all.
    ///
    /// `ws+unix:///run/app.sock:/path` listens on a Unix socket, with the permissions of
    /// [`unix_mode`](Self::unix_mode). A file of that name is replaced when it is a socket on which
    /// nobody listens any more; closing the listener removes what it made. On Linux,
    /// `ws+unix:@name:/path` is an abstract socket, which has a name, no file and no permissions.
    pub fn listen(&self, url: &str) -> Result<Listener> {
        let url = Url::parse(url)?;
        if url.uri.query().is_some() {
            return Err(Error::invalid_url(
                &url.text,
                "a query has no meaning when listening",
            ));
        }
        if url.credentials.is_some() {
            let reason = "a user or password has no meaning when listening; look at the header \
                          Authorization of each request";
            return Err(Error::invalid_url(&url.text, reason));
        }
        if url.is_secure && !cfg!(feature = "tls") {
            let reason = format!(
                "listen on {}: wss needs TLS, which this build does not have",
                url.text
            );
            return Err(Error::Unsupported(reason.into()));
        }
        if url.is_secure != self.tls.is_some() {
            let reason = if url.is_secure {
                "wss needs a certificate and its key; set the option tls"
            } else {
                "with a certificate the scheme must be wss"
            };
            return Err(Error::invalid_url(&url.text, reason));
        }
        let route = url.has_path.then(|| url.uri.path().to_owned());
        if let Some(path) = &url.socket {
            let (socket, file) = unix::bind(path, &url.text, self)?;
            return self.start(url.text, UNSPECIFIED, route, vec![socket], file);
        }
        let sockets = bind::bind(&url, self)?;
        let cannot = |error| Error::io(format!("listen on {}", url.text), error);
        let address = sockets[0].local_addr().map_err(cannot)?.as_socket();
        let address = address.ok_or_else(|| cannot(io::ErrorKind::AddrNotAvailable.into()))?;
        let path = route.clone().unwrap_or_default();
        let mut endpoint = url.endpoint();
        endpoint.port = address.port();
        let scheme = if url.is_secure { "wss" } else { "ws" };
        let name = format!("{scheme}://{endpoint}{path}");
        self.start(name, address, route, sockets, None)
    }

    /// Listens with stream sockets that listen already, and serves all paths. The sockets belong
    /// to the listener, which puts them into non-blocking mode. The first gives it its name.
    ///
    /// A socket that is connected is a client that has come already: inetd, or systemd with
    /// `Accept=yes`, starts a program for each. A listener with no other sockets is
    /// [`Error::Aborted`] once it has dealt with all of them.
    ///
    /// With a socket that has no IP address, such as a Unix socket, [`Listener::local_addr`] is the
    /// unspecified one, with port 0.
    pub fn listen_on<S: Into<OwnedFd>>(
        &self,
        sockets: impl IntoIterator<Item = S>,
    ) -> Result<Listener> {
        let own = |socket: S| Socket::from(socket.into());
        let sockets: Vec<Socket> = sockets.into_iter().map(own).collect();
        let cannot = |error| Error::io("listen on the given sockets", error);
        for socket in &sockets {
            if is_connected(socket) {
                continue;
            }
            // Only these systems can tell; on the others nobody would ever come.
            #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
            if !socket.is_listener().map_err(cannot)? {
                let reason = "listen: the given socket does not listen; bind it and listen first";
                return Err(Error::InvalidArgument(reason.into()));
            }
            socket.set_nonblocking(true).map_err(cannot)?;
        }
        let Some(first) = sockets.first() else {
            let reason = "listen: there is no socket to listen on";
            return Err(Error::InvalidArgument(reason.into()));
        };
        let local = first.local_addr().map_err(cannot)?;
        let address = local.as_socket();
        let scheme = if self.tls.is_some() { "wss" } else { "ws" };
        let name = match (address, local.as_pathname()) {
            (Some(address), _) => format!("{scheme}://{address}"),
            (None, Some(path)) => format!("{scheme}+unix:{}", path.display()),
            (None, None) => format!("{scheme}+unix:"),
        };
        self.start(name, address.unwrap_or(UNSPECIFIED), None, sockets, None)
    }

    /// Until when a client that comes now is waited for.
    fn handshake_deadline(&self) -> Instant {
        Instant::now() + self.handshake_timeout.min(LONGEST_HANDSHAKE)
    }

    fn start(
        &self,
        url: String,
        address: SocketAddr,
        route: Option<String>,
        sockets: Vec<Socket>,
        file: Option<SocketFile>,
    ) -> Result<Listener> {
        let cannot = |error| Error::io(format!("listen on {url}"), error);
        let (clients, sockets): (Vec<_>, _) = sockets.into_iter().partition(is_connected);
        let deadline = self.handshake_deadline();
        let pending = clients.into_iter().map(|client| {
            let peer = client.peer_addr()?.as_socket();
            Pending::new(client, peer, deadline, self)
        });
        let pending = pending.collect::<io::Result<_>>().map_err(cannot)?;
        let secure = match &self.tls {
            Some(tls) => Some(Secure::new(tls)?),
            None => None,
        };
        let (waker, wakes) = UnixStream::pair().map_err(cannot)?;
        waker.set_nonblocking(true).map_err(cannot)?;
        wakes.set_nonblocking(true).map_err(cannot)?;
        let shared = Shared {
            url,
            address,
            rules: Rules::new(route, self),
            secure,
            options: self.clone(),
            mailbox: Arc::new(Mailbox {
                is_closed: AtomicBool::new(false),
                waker,
                returned: Mutex::new(Vec::new()),
            }),
            handshakes: Mutex::new(Handshakes {
                file,
                sockets,
                wakes,
                pending,
                ready: VecDeque::new(),
                paused_until: None,
                is_exhausted: false,
                entries: Vec::new(),
            }),
            crew: Mutex::new(None),
        };
        log::info!(target: "talkws::server", "listening on {}", shared.url);
        Ok(Listener {
            shared: Arc::new(shared),
        })
    }
}

/// Whether a socket is that of a client, and not one that listens.
fn is_connected(socket: &Socket) -> bool {
    socket.peer_addr().is_ok()
}

/// A listening WebSocket server.
///
/// [`accept`](Listener::accept) gives the next client's [`Request`], to be upgraded or refused.
/// Any number of threads may accept from one listener; clones share it. Clients that are slow to
/// ask, or ask wrongly, are dealt with inside `accept` and hold nobody up; while nobody accepts,
/// the kernel keeps them.
#[derive(Clone)]
pub struct Listener {
    shared: Arc<Shared>,
}

struct Shared {
    url: String,
    address: SocketAddr,
    rules: Rules,
    /// How to speak TLS, on a listener that does.
    secure: Option<Secure>,
    options: ListenOptions,
    mailbox: Arc<Mailbox>,
    /// Who holds this polls; the others wait for their turn to.
    handshakes: Mutex<Handshakes>,
    /// The loops, while it is served by events.
    crew: Mutex<Option<Arc<Crew>>>,
}

impl Shared {
    fn is_closed(&self) -> bool {
        self.mailbox.is_closed.load(Ordering::Acquire)
    }

    fn close(&self) {
        self.mailbox.is_closed.store(true, Ordering::Release);
        self.mailbox.wake();
        let mut handshakes = self.handshakes.lock();
        handshakes.file = None;
        handshakes.sockets.clear();
        handshakes.pending.clear();
        handshakes.ready.clear();
        self.mailbox.returned.lock().clear();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // A request may outlive the listener: nobody drives its refusal then.
        self.mailbox.is_closed.store(true, Ordering::Release);
        self.mailbox.returned.lock().clear();
    }
}

/// What comes to a listener from other threads.
struct Mailbox {
    is_closed: AtomicBool,
    waker: UnixStream,
    /// Refused connections whose answer is not out, or not read, yet.
    returned: Mutex<Vec<Pending>>,
}

impl Mailbox {
    fn wake(&self) {
        // When the pipe is full, a wake-up is on its way already.
        let _ = (&self.waker).write(&[0]);
    }

    fn give_back(&self, refused: Pending) {
        let mut returned = self.returned.lock();
        // A closed listener drives nobody any more; it empties this once it has said so.
        if !self.is_closed.load(Ordering::Acquire) {
            returned.push(refused);
            self.wake();
        }
    }
}

/// All handshakes in progress.
struct Handshakes {
    /// Goes before the sockets do: nobody is to find one on which nobody listens.
    file: Option<SocketFile>,
    sockets: Vec<Socket>,
    wakes: UnixStream,
    /// In the order in which they connected.
    pending: Vec<Pending>,
    ready: VecDeque<Request>,
    /// Until when new connections are left to the kernel.
    paused_until: Option<Instant>,
    /// The system had no room for the last connection: that is told once, not ten times a second.
    is_exhausted: bool,
    entries: Vec<pollfd>,
}

impl Listener {
    /// Waits for the next client that asks, completely and well, to be upgraded.
    ///
    /// Everything else is answered inside: 400 to what is malformed, 403 to a foreign origin, 404
    /// to another path, 405 to another method, 408 to who is too slow, 426 to who does not ask
    /// for an upgrade to version 13, 431 to an oversized head. [`Error::Aborted`] once the
    /// listener is closed.
    pub fn accept(&self) -> Result<Request> {
        self.accept_within(Deadline::NEVER)
    }

    /// Like [`accept`](Self::accept), until `deadline`. [`Error::TimedOut`] harms no client: who
    /// is in the middle of a request stays there for the next call.
    pub fn accept_within(&self, deadline: impl Into<Deadline>) -> Result<Request> {
        let deadline = deadline.into();
        let halted = |halt| {
            let attempt = format!("accept on {}", self.shared.url).into();
            match halt {
                Halt::TimedOut => Error::TimedOut { attempt },
                Halt::Interrupted => Error::Interrupted { attempt },
                Halt::Failed(error) => Error::Io {
                    attempt,
                    source: error.into(),
                },
            }
        };
        let mut handshakes = lock(&self.shared.handshakes, deadline).map_err(halted)?;
        let mut rounds = 0;
        let mut late = 0;
        if self.shared.crew.lock().is_some() {
            let url = &self.shared.url;
            let reason = format!("accept on {url}: it is served, and clients go to its handler");
            return Err(Error::InvalidState(reason.into()));
        }
        loop {
            if self.shared.is_closed() {
                let attempt = format!("accept on {}", self.shared.url).into();
                return Err(Error::Aborted { attempt });
            }
            if let Some(request) = handshakes.ready.pop_front() {
                return Ok(request);
            }
            if handshakes.are_over() && self.shared.mailbox.returned.lock().is_empty() {
                let url = &self.shared.url;
                let attempt = format!("accept on {url}, where no more clients can come").into();
                return Err(Error::Aborted { attempt });
            }
            // Clients that always have something to say do not keep a call for ever.
            rounds += 1;
            if rounds > MAX_LATE && deadline.is_interrupted() {
                return Err(halted(Halt::Interrupted));
            }
            if deadline.has_passed() {
                late += 1;
                if late > MAX_LATE {
                    return Err(halted(Halt::TimedOut));
                }
            }
            handshakes.round(&self.shared, deadline).map_err(halted)?;
        }
    }

    /// Stops listening. Every [`accept`](Self::accept), also a blocked one, gives
    /// [`Error::Aborted`]; clients that were not accepted are dropped. Connections live on.
    pub fn close(&self) {
        self.shared.close();
    }

    /// Reads the files of certificates and keys anew, and uses them with all clients that come from
    /// now on; connections live on with what they have. After an error everything is as before.
    /// [`Error::InvalidState`] on a listener without TLS.
    pub fn reload_tls(&self) -> Result<()> {
        self.secure("reload TLS")?.reload()
    }

    /// Speaks TLS as `tls` says with all clients that come from now on; connections live on with
    /// what they have. After an error everything is as before. [`Error::InvalidState`] on a
    /// listener without TLS.
    pub fn replace_tls(&self, tls: ServerTls) -> Result<()> {
        self.secure("replace TLS")?.replace(tls)
    }

    fn secure(&self, attempt: &str) -> Result<&Secure> {
        self.shared.secure.as_ref().ok_or_else(|| {
            let reason = format!("{attempt}: {} does not speak TLS", self.shared.url);
            Error::InvalidState(reason.into())
        })
    }

    /// The address that is listened on: the first one, when the host has several. They share
    /// the port. The unspecified address with port 0 for a Unix socket, see [`url`](Self::url).
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.address
    }

    /// The URL to dial, with the actual port.
    pub fn url(&self) -> &str {
        &self.shared.url
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("url", &self.shared.url)
            .finish_non_exhaustive()
    }
}

impl Handshakes {
    /// Whether there is no socket on which clients come, nor one that has come.
    fn are_over(&self) -> bool {
        self.sockets.is_empty() && self.pending.is_empty()
    }

    /// Waits until something happens, and takes every handshake as far as it goes.
    fn round(&mut self, shared: &Shared, deadline: Deadline) -> Result<(), Halt> {
        reach(Point::Accept);
        self.pending.append(&mut shared.mailbox.returned.lock());
        self.paused_until = self.paused_until.filter(|&until| until > Instant::now());
        self.entries.clear();
        self.entries
            .push(entry(self.wakes.as_raw_fd(), libc::POLLIN));
        let listening = if self.paused_until.is_some() {
            0
        } else {
            self.sockets.len()
        };
        for socket in &self.sockets[..listening] {
            self.entries.push(entry(socket.as_raw_fd(), libc::POLLIN));
        }
        self.entries
            .extend(self.pending.iter().map(Pending::poll_entry));

        let timers = self
            .pending
            .iter()
            .map(Pending::deadline)
            .chain(self.paused_until);
        let wait = timers
            .min()
            .map_or(deadline, |soonest| deadline.or_sooner(soonest));
        // When time is up for the caller it may be up for clients too, and the next call may
        // wait as little as this one.
        let over = match poll(&mut self.entries, wait) {
            Ok(_) => None,
            Err(Halt::TimedOut) => deadline.has_passed().then_some(Halt::TimedOut),
            // Clients are served all the same, whoever is interrupted.
            Err(Halt::Interrupted) => Some(Halt::Interrupted),
            Err(halt) => return Err(halt),
        };
        let is_ready = |entry: &pollfd| entry.revents != 0;
        if is_ready(&self.entries[0]) {
            let mut bytes = [0; 64];
            while (&self.wakes)
                .read(&mut bytes)
                .is_ok_and(|count| count == bytes.len())
            {}
        }
        // Who has sent something is heard before anybody's time is up: nobody may have accepted
        // for a while, which is not the client's fault.
        let now = Instant::now();
        let entries = std::mem::take(&mut self.entries);
        let (listeners, clients) = entries[1..].split_at(listening);
        for (pending, entry) in std::mem::take(&mut self.pending).into_iter().zip(clients) {
            self.advance(pending, is_ready(entry), now, shared);
        }
        for (index, entry) in listeners.iter().enumerate() {
            if is_ready(entry) {
                self.accept_waiting(index, shared);
            }
        }
        self.entries = entries;
        over.map_or(Ok(()), Err)
    }

    fn advance(&mut self, pending: Pending, has_news: bool, now: Instant, shared: &Shared) {
        let verdict = if has_news {
            pending.advance(shared)
        } else {
            Verdict::Wait(pending)
        };
        match verdict {
            Verdict::Wait(pending) if pending.deadline() <= now => {
                self.pending.extend(pending.too_slow());
            }
            Verdict::Wait(pending) => self.pending.push(pending),
            Verdict::Drop => {}
            Verdict::Ready(request) => self.ready.push_back(*request),
        }
    }

    /// Takes connections out of the kernel's backlog.
    fn accept_waiting(&mut self, index: usize, shared: &Shared) {
        let accepted = self.accept(index, shared);
        self.paused_until = self.paused_until.or(accepted.paused_until);
        for pending in accepted.clients {
            if self.pending.len() >= shared.options.max_pending {
                let gone = self.pending.remove(0);
                gone.log("dropped for a newer client: max_pending is reached");
            }
            // Its request has often come along.
            self.advance(pending, true, Instant::now(), shared);
        }
    }

    fn accept(&mut self, index: usize, shared: &Shared) -> Accepted {
        let mut accepted = Accepted::default();
        let Some(socket) = self.sockets.get(index) else {
            return accepted;
        };
        // Others have something to say too: the rest waits for the next round.
        for _ in 0..64 {
            match socket.accept() {
                Ok((client, peer)) => {
                    self.is_exhausted = false;
                    let deadline = shared.options.handshake_deadline();
                    let pending = Pending::new(client, peer.as_socket(), deadline, &shared.options);
                    accepted.clients.extend(pending);
                }
                Err(error) => match error.raw_os_error() {
                    Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => {
                        if !self.is_exhausted {
                            let url = &shared.url;
                            log::warn!(target: "talkws::server", "accept on {url}: {error}");
                        }
                        self.is_exhausted = true;
                        accepted.paused_until = Some(Instant::now() + EXHAUSTED_PAUSE);
                        return accepted;
                    }
                    // accept(2): errors that belong to the one connection that was to come.
                    _ if error.kind() != io::ErrorKind::WouldBlock => {}
                    _ => return accepted,
                },
            }
        }
        accepted.may_be_more = true;
        accepted
    }
}

/// What came out of the kernel's backlog.
#[derive(Default)]
struct Accepted {
    clients: Vec<Pending>,
    may_be_more: bool,
    /// There was no room for more; that may be another then.
    paused_until: Option<Instant>,
}
