//! Dialling: resolve, connect, shake hands, all before one deadline.

mod body;
mod connect;

use std::borrow::Cow;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use socket2::Socket;

use crate::connection::{Connection, Opening};
use crate::deadline::Deadline;
use crate::error::{Error, Refusal, Result};
use crate::head::RequestHead;
use crate::options::DialOptions;
use crate::protocol::Role;
use crate::protocol::handshake::client::{Answer, ClientHandshake};
use crate::transport::tcp::Tcp;
use crate::transport::{Halt, Transport};
use crate::url::Url;

/// Dials a WebSocket server, such as `ws://localhost:8080/talk-to-server`, with the defaults of
/// [`DialOptions`]. Waits at most 10 seconds in all.
pub fn dial(url: &str) -> Result<Connection> {
    DialOptions::new().dial(url)
}

impl DialOptions {
    /// Dials. Waits for the name to be resolved, a TCP connection, and the server's answer, as
    /// long as [`timeout`](DialOptions::timeout) allows in all.
    ///
    /// [`Error::Refused`] holds the answer of a server that does not upgrade.
    pub fn dial(&self, url: &str) -> Result<Connection> {
        self.dial_within(url, Deadline::NEVER)
    }

    /// Dials, and waits no longer than until `deadline`, nor than
    /// [`timeout`](DialOptions::timeout).
    pub fn dial_within(&self, url: &str, deadline: impl Into<Deadline>) -> Result<Connection> {
        let deadline = deadline.into().or_sooner(self.timeout);
        let url = Url::parse(url)?;
        let connect = || connect::connect(&url, &self.sockets, deadline);
        self.dial_over(&url, connect, deadline)
    }

    /// Dials over a stream socket that is connected already: to another address than the URL
    /// names, from a certain one, or to a Unix socket. Only the opening handshake is made; the
    /// URL is what it asks for. The socket belongs to the connection, and is closed on errors too.
    pub fn dial_on(
        &self,
        socket: impl Into<OwnedFd>,
        url: &str,
        deadline: impl Into<Deadline>,
    ) -> Result<Connection> {
        let deadline = deadline.into().or_sooner(self.timeout);
        let url = Url::parse(url)?;
        self.dial_over(&url, || Ok(Socket::from(socket.into())), deadline)
    }

    fn dial_over(
        &self,
        url: &Url,
        connect: impl FnOnce() -> Result<Socket>,
        deadline: Deadline,
    ) -> Result<Connection> {
        let (request, handshake) = ClientHandshake::request(url, self)?;
        let transport = Tcp::new(connect()?)
            .map_err(|error| Error::io(format!("dial {}: set up the socket", url.text), error))?;
        let dial = Dial {
            url,
            transport,
            deadline,
        };
        dial.send(&request)?;
        dial.receive(&request, handshake, self)
    }
}

/// A connected transport in the middle of the opening handshake.
struct Dial<'a> {
    url: &'a Url,
    transport: Tcp,
    deadline: Deadline,
}

impl Dial<'_> {
    fn send(&self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let sent = self.transport.send(&[IoSlice::new(bytes)], self.deadline);
            bytes = &bytes[sent.map_err(|halt| self.halted(halt, "sending the request"))?..];
        }
        Ok(())
    }

    /// Appends what arrives to `received`; false at the end of the stream.
    fn receive_more(&self, received: &mut Vec<u8>) -> Result<bool, Halt> {
        let mut chunk = [MaybeUninit::uninit(); 4096];
        let length = self.transport.receive(&mut chunk, self.deadline)?;
        // SAFETY: the transport has initialised that many bytes at the start of the chunk.
        let bytes = unsafe { std::slice::from_raw_parts(chunk.as_ptr().cast::<u8>(), length) };
        received
            .try_reserve(length)
            .map_err(|_| Halt::Failed(std::io::ErrorKind::OutOfMemory.into()))?;
        received.extend_from_slice(bytes);
        Ok(length > 0)
    }

    fn receive(
        self,
        request: &[u8],
        mut handshake: ClientHandshake,
        options: &DialOptions,
    ) -> Result<Connection> {
        let mut received = Vec::new();
        loop {
            match self.receive_more(&mut received) {
                Ok(true) => {}
                Ok(false) => {
                    let reason = "the server ended the connection before it answered";
                    return Err(self.lost(reason.into(), None));
                }
                Err(halt) => return Err(self.halted(halt, "waiting for the server's answer")),
            }
            match handshake.read(&received)? {
                None => {}
                Some((used, Answer::Upgraded { head, subprotocol })) => {
                    log::debug!(target: "talkws::client", "dial {}: open", self.url.text);
                    let opening = Opening {
                        request: RequestHead::new(request),
                        response: Some(head),
                        subprotocol: subprotocol.map(Into::into),
                    };
                    let transport = Box::new(self.transport);
                    let rest = &received[used..];
                    let limits = options.limits;
                    return Connection::new(transport, Role::Client, limits, opening, rest);
                }
                Some((used, Answer::Refused(head))) => {
                    received.drain(..used);
                    let body = body::receive(&head, received, |received| {
                        // Whatever ends it, the status is the news, and the body is extra.
                        self.receive_more(received).unwrap_or(false)
                    });
                    let url = self.url.text.clone();
                    return Err(Error::Refused(Arc::new(Refusal { url, head, body })));
                }
            }
        }
    }

    fn lost(&self, reason: Cow<'_, str>, source: Option<Arc<std::io::Error>>) -> Error {
        let reason = format!("dial {}: {reason}", self.url.text).into();
        Error::ConnectionLost { reason, source }
    }

    fn halted(&self, halt: Halt, doing: &str) -> Error {
        let attempt = format!("dial {}: {doing}", self.url.text).into();
        match halt {
            Halt::TimedOut => Error::TimedOut { attempt },
            Halt::Interrupted => Error::Interrupted { attempt },
            Halt::Failed(source) => self.lost(doing.into(), Some(Arc::new(source))),
        }
    }
}
