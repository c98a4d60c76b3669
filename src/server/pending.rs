//! A client whose request is not complete, or whose refusal is not through: never waited for,
//! only driven on when its socket is ready.

use std::fmt;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use socket2::Socket;

use super::{Request, Shared};
use crate::connection::PeerName;
use crate::deadline::Deadline;
use crate::options::ListenOptions;
use crate::options::forwarding::Forwarding;
use crate::protocol::Role;
use crate::protocol::handshake::HeadScan;
use crate::protocol::handshake::server::{Progress, RefusalResponse};
use crate::protocol::proxy_protocol;
use crate::transport::poll::{entry, pollfd};
use crate::transport::tcp::Tcp;
use crate::transport::{Halt, Transport};

/// How long a refused client may take to read its answer. A socket closed with unread bytes
/// would reset the connection, and the answer might never be seen.
pub(super) const LINGER: Duration = Duration::from_secs(1);

pub(super) struct Pending {
    transport: Box<dyn Transport>,
    /// The client; a proxy as long as that has not told who its client is.
    peer: Option<SocketAddr>,
    deadline: Instant,
    stage: Stage,
}

enum Stage {
    /// A proxy says for whom it connects, before all else.
    Source { received: Vec<u8> },
    /// Nothing has come yet of a client that is to speak TLS.
    Greeting,
    /// The TLS handshake is going on.
    Opening,
    /// The request is coming in.
    Request { received: Vec<u8>, scan: HeadScan },
    /// The refusal is going out.
    Refusal { bytes: Vec<u8>, sent: usize },
    /// The refusal is out; what the client still sends is dropped until it hangs up.
    Goodbye,
}

impl Stage {
    /// What comes first, but for what a proxy says.
    fn first(is_secure: bool) -> Stage {
        if is_secure {
            Stage::Greeting
        } else {
            Stage::request()
        }
    }

    /// The request comes next.
    fn request() -> Stage {
        Stage::Request {
            received: Vec::new(),
            scan: HeadScan::default(),
        }
    }
}

pub(super) enum Verdict {
    /// It goes on when its socket is ready again.
    Wait(Pending),
    /// It is over.
    Drop,
    /// It is for the program to answer.
    Ready(Box<Request>),
}

impl Pending {
    pub fn new(
        socket: Socket,
        peer: Option<SocketAddr>,
        deadline: Instant,
        options: &ListenOptions,
    ) -> io::Result<Pending> {
        let stage = match options.trusted.telling(peer) {
            Some(Forwarding::ProxyProtocol) => Stage::Source {
                received: Vec::new(),
            },
            _ => Stage::first(options.tls.is_some()),
        };
        Ok(Pending {
            transport: Box::new(Tcp::with_peer(socket, peer)?),
            peer,
            deadline,
            stage,
        })
    }

    /// A client that is being told no, as far as that went without waiting.
    pub fn refused(transport: Box<dyn Transport>, refusal: &RefusalResponse) -> Option<Self> {
        let stage = Stage::Refusal {
            bytes: refusal.to_bytes(),
            sent: 0,
        };
        let pending = Pending {
            peer: transport.peer_addr(),
            transport,
            deadline: Instant::now() + LINGER,
            stage,
        };
        match pending.advance_refusal() {
            Verdict::Wait(pending) => Some(pending),
            Verdict::Drop | Verdict::Ready(_) => None,
        }
    }

    /// Says in the log what became of the client.
    pub fn log(&self, news: impl fmt::Display) {
        log::debug!(target: "talkws::server", "client {}: {news}", PeerName(self.peer));
    }

    /// What an event loop may wait for.
    pub fn as_raw_fd(&self) -> RawFd {
        self.transport.as_raw_fd()
    }

    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    pub fn poll_entry(&self) -> pollfd {
        let events = match self.stage {
            Stage::Opening if self.transport.has_unsent() => libc::POLLIN | libc::POLLOUT,
            Stage::Source { .. }
            | Stage::Greeting
            | Stage::Opening
            | Stage::Request { .. }
            | Stage::Goodbye => libc::POLLIN,
            Stage::Refusal { .. } => libc::POLLOUT,
        };
        entry(self.transport.as_raw_fd(), events)
    }

    /// What becomes of a client whose time is up.
    pub fn too_slow(self) -> Option<Pending> {
        match self.stage {
            Stage::Source { .. } | Stage::Request { .. } => {
                self.log("its request took too long");
                let refusal = RefusalResponse::new(408, "The request took too long.\n");
                Pending::refused(self.transport, &refusal)
            }
            Stage::Greeting | Stage::Opening => {
                self.log("its TLS handshake took too long");
                None
            }
            Stage::Refusal { .. } | Stage::Goodbye => None,
        }
    }

    /// Does what the socket allows without waiting.
    pub fn advance(self, shared: &Shared) -> Verdict {
        match self.stage {
            Stage::Greeting => self.advance_greeting(shared),
            Stage::Opening => self.advance_opening(shared),
            Stage::Source { .. } => self.advance_source(shared),
            Stage::Request { .. } => self.advance_request(shared),
            Stage::Refusal { .. } => self.advance_refusal(),
            Stage::Goodbye => self.advance_goodbye(),
        }
    }

    /// Makes a TLS session, unless what comes first is something else.
    fn advance_greeting(mut self, shared: &Shared) -> Verdict {
        let mut chunk = [MaybeUninit::uninit(); 4096];
        let greeting = match receive(&*self.transport, &mut chunk) {
            Ok([]) => return Verdict::Drop,
            Ok(bytes) => bytes,
            Err(halt) => return self.unless_failed(&halt),
        };
        // A method of HTTP, which is what somebody sends who has the scheme wrong.
        if greeting[0].is_ascii_uppercase() {
            self.log("asked without TLS");
            let reason = "This server speaks TLS: use wss:// or https://.\n";
            let refused = Pending::refused(self.transport, &RefusalResponse::new(400, reason));
            return refused.map_or(Verdict::Drop, Verdict::Wait);
        }
        let Some(secure) = &shared.secure else {
            return Verdict::Drop;
        };
        match secure.session(self.transport, greeting) {
            Ok(transport) => self.transport = transport,
            Err(_) => return Verdict::Drop,
        }
        self.stage = Stage::Opening;
        self.advance_opening(shared)
    }

    fn advance_opening(mut self, shared: &Shared) -> Verdict {
        match self.transport.open(now()) {
            Ok(()) => {
                self.stage = Stage::request();
                self.advance_request(shared)
            }
            Err(Halt::Failed(error)) => {
                match crate::tls::failure(&error, Role::Server) {
                    Some(reason) => self.log(format_args!("no TLS session: {reason}")),
                    None => self.log(format_args!("no TLS session: {error}")),
                }
                Verdict::Drop
            }
            Err(halt) => self.unless_failed(&halt),
        }
    }

    fn advance_source(mut self, shared: &Shared) -> Verdict {
        let mut chunk = [MaybeUninit::uninit(); 256];
        loop {
            let Stage::Source { received } = &mut self.stage else {
                return self.advance(shared);
            };
            match proxy_protocol::read(received) {
                // And not one byte more: what follows may be for TLS.
                proxy_protocol::Progress::Missing(count) => {
                    let room = count.min(chunk.len());
                    match receive(&*self.transport, &mut chunk[..room]) {
                        Ok([]) => return Verdict::Drop,
                        Ok(bytes) => received.extend_from_slice(bytes),
                        Err(halt) => return self.unless_failed(&halt),
                    }
                }
                proxy_protocol::Progress::Complete(source) => {
                    if let proxy_protocol::Source::Client(client) = source {
                        self.peer = client;
                    }
                    self.stage = Stage::first(shared.secure.is_some());
                }
                proxy_protocol::Progress::Broken => {
                    self.log("a proxy that should begin with the PROXY protocol does not");
                    let body = "Bad request: it does not begin with the PROXY protocol.\n";
                    return self.refuse(&RefusalResponse::new(400, body));
                }
            }
        }
    }

    fn refuse(mut self, refusal: &RefusalResponse) -> Verdict {
        self.stage = Stage::Refusal {
            bytes: refusal.to_bytes(),
            sent: 0,
        };
        self.deadline = Instant::now() + LINGER;
        self.advance_refusal()
    }

    fn advance_request(mut self, shared: &Shared) -> Verdict {
        let mut chunk = [MaybeUninit::uninit(); 4096];
        loop {
            let Stage::Request { received, scan } = &mut self.stage else {
                return Verdict::Wait(self);
            };
            match receive(&*self.transport, &mut chunk) {
                Ok([]) => return Verdict::Drop,
                Ok(bytes) => received.extend_from_slice(bytes),
                Err(halt) => return self.unless_failed(&halt),
            }
            match shared.rules.read(scan, received, self.peer) {
                Progress::Incomplete => {}
                Progress::Complete(size, upgrade) => {
                    let rest = received.split_off(size);
                    let request = Request::new(self.transport, *upgrade, rest, shared);
                    return Verdict::Ready(Box::new(request));
                }
                Progress::Refuse(refusal) => {
                    self.log(format_args!("refused with {}", refusal.status));
                    return self.refuse(&refusal);
                }
            }
        }
    }

    fn advance_refusal(mut self) -> Verdict {
        let Stage::Refusal { bytes, sent } = &mut self.stage else {
            return Verdict::Wait(self);
        };
        while *sent < bytes.len() {
            let rest = IoSlice::new(&bytes[*sent..]);
            match self.transport.send(&[rest], now()) {
                Ok(count) => {
                    *sent += count;
                    // Who takes the answer, however slowly, may go on.
                    self.deadline = Instant::now() + LINGER;
                }
                Err(halt) => return self.unless_failed(&halt),
            }
        }
        if let Err(halt) = self.transport.flush(now()) {
            return self.unless_failed(&halt);
        }
        self.stage = Stage::Goodbye;
        self.transport.shutdown(Shutdown::Write);
        self.advance_goodbye()
    }

    fn advance_goodbye(self) -> Verdict {
        let mut chunk = [MaybeUninit::uninit(); 4096];
        // Others have something to say too: the rest is dropped in the next rounds.
        for _ in 0..16 {
            match receive(&*self.transport, &mut chunk) {
                Ok([]) => return Verdict::Drop,
                Ok(_) if Instant::now() >= self.deadline => return Verdict::Drop,
                Ok(_) => {}
                Err(halt) => return self.unless_failed(&halt),
            }
        }
        Verdict::Wait(self)
    }

    fn unless_failed(self, halt: &Halt) -> Verdict {
        match halt {
            Halt::TimedOut | Halt::Interrupted => Verdict::Wait(self),
            Halt::Failed(_) => Verdict::Drop,
        }
    }
}

/// The deadline of whoever must not wait.
fn now() -> Deadline {
    Duration::ZERO.into()
}

fn receive<'a>(
    transport: &dyn Transport,
    chunk: &'a mut [MaybeUninit<u8>],
) -> Result<&'a [u8], Halt> {
    let length = transport.receive(chunk, now())?;
    // SAFETY: the transport has initialised that many bytes at the start of the chunk.
    Ok(unsafe { std::slice::from_raw_parts(chunk.as_ptr().cast::<u8>(), length) })
}
