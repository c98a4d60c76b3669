//! Dialling: resolve, connect, shake hands, all before one deadline.

mod body;
mod connect;
mod proxy;
mod redirect;
mod stream;
mod tls;
mod unix;

use std::borrow::Cow;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use socket2::Socket;

use crate::connection::{Connection, Opening};
use crate::deadline::Deadline;
use crate::error::{Error, Refusal, Result};
use crate::head::RequestHead;
use crate::options::DialOptions;
use crate::options::proxy::Way;
use crate::protocol::Role;
use crate::protocol::handshake::client::{Answer, ClientHandshake};
use crate::transport::Transport;
use crate::transport::tcp::Tcp;
use crate::url::Url;

use stream::Stream;

/// Dials a WebSocket server, such as `ws://localhost:8080/talk-to-server`, with the defaults of
/// [`DialOptions`]. Waits at most 10 seconds in all.
pub fn dial(url: &str) -> Result<Connection> {
    DialOptions::new().dial(url)
}

impl DialOptions {
    /// Dials. Waits for the name to be resolved, a TCP connection, and the server's answer, as
    /// long as [`timeout`](DialOptions::timeout) allows in all.
    ///
    /// [`Error::Refused`] holds the answer of a server that does not upgrade, unless it redirects: see
    /// [`max_redirects`](DialOptions::max_redirects).
    pub fn dial(&self, url: &str) -> Result<Connection> {
        self.dial_within(url, Deadline::NEVER)
    }

    /// Dials, and waits no longer than until `deadline`, nor than
    /// [`timeout`](DialOptions::timeout).
    pub fn dial_within(&self, url: &str, deadline: impl Into<Deadline>) -> Result<Connection> {
        let deadline = deadline.into().or_sooner(self.timeout);
        redirect::follow(Url::parse(url)?, self, |url, options| {
            options.dial_over(url, || options.connect(url, deadline), deadline)
        })
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
        let connect = || transport(Socket::from(socket.into()), &format!("dial {}", url.text));
        // The socket leads nowhere else.
        let options = self.clone().max_redirects(0);
        options.dial_over(&url, connect, deadline)
    }

    /// Opens a stream to the server, on whichever way.
    fn connect(&self, url: &Url, deadline: Deadline) -> Result<Box<dyn Transport>> {
        let attempt = format!("dial {}", url.text);
        if let Some(path) = &url.socket {
            let socket = unix::connect(path, &attempt, &self.sockets, deadline)?;
            return transport(socket, &attempt);
        }
        let proxy = match &self.way {
            Way::Direct => None,
            Way::Through(proxy) => Some(Cow::Borrowed(proxy)),
            Way::Environment => proxy::environment::proxy(url)?.map(Cow::Owned),
        };
        if let Some(proxy) = proxy {
            return proxy::tunnel(&proxy, url, self, deadline);
        }
        let socket = connect::connect(&url.endpoint(), &attempt, &self.sockets, deadline)?;
        transport(socket, &attempt)
    }

    fn dial_over(
        &self,
        url: &Url,
        connect: impl FnOnce() -> Result<Box<dyn Transport>>,
        deadline: Deadline,
    ) -> Result<Connection> {
        let attempt = format!("dial {}", url.text);
        if url.is_secure && !cfg!(feature = "tls") {
            let reason = format!("{attempt}: wss needs TLS, which this build does not have");
            return Err(Error::Unsupported(reason.into()));
        }
        let (request, handshake) = ClientHandshake::request(url, self)?;
        let mut transport = connect()?;
        if url.is_secure {
            transport = tls::secure(transport, &url.host, &self.tls, &attempt, deadline)?;
        }
        let stream = Stream {
            transport,
            attempt: &attempt,
            deadline,
        };
        stream.send(&request, "sending the request")?;
        self.receive_answer(stream, url, &request, handshake)
    }

    /// Waits for the answer to the request to upgrade, and makes a connection of the stream.
    fn receive_answer(
        &self,
        stream: Stream<'_>,
        url: &Url,
        request: &[u8],
        mut handshake: ClientHandshake,
    ) -> Result<Connection> {
        let mut received = Vec::new();
        loop {
            match stream.receive_more(&mut received) {
                Ok(true) => {}
                Ok(false) => {
                    let reason = "the server ended the connection before it answered";
                    return Err(stream.lost(reason.into(), None));
                }
                Err(halt) => return Err(stream.halted(halt, "waiting for the server's answer")),
            }
            match handshake.read(&received)? {
                None => {}
                Some((
                    used,
                    Answer::Upgraded {
                        head,
                        subprotocol,
                        deflate,
                    },
                )) => {
                    log::debug!(target: "talkws::client", "dial {}: open", url.text);
                    let opening = Opening {
                        named: None,
                        request: RequestHead::new(request),
                        response: Some(head),
                        subprotocol: subprotocol.map(Into::into),
                        deflate,
                    };
                    let (transport, limits) = (stream.transport, self.limits);
                    let rest = &received[used..];
                    return Connection::new(transport, Role::Client, limits, opening, rest);
                }
                Some((used, Answer::Refused(head))) => {
                    received.drain(..used);
                    let body = if redirect::leads_on(&head, self) {
                        // Nobody will see it, and it may be long in coming.
                        Vec::new()
                    } else {
                        body::receive(&head, received, |received| {
                            // Whatever ends it, the status is the news, and the body is extra.
                            stream.receive_more(received).unwrap_or(false)
                        })
                    };
                    let url = url.text.clone();
                    return Err(Error::Refused(Arc::new(Refusal { url, head, body })));
                }
            }
        }
    }
}

/// A connected socket as a transport.
fn transport(socket: Socket, attempt: &str) -> Result<Box<dyn Transport>> {
    match Tcp::new(socket) {
        Ok(transport) => Ok(Box::new(transport)),
        Err(error) => Err(Error::io(format!("{attempt}: set up the socket"), error)),
    }
}
