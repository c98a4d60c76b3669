//! A client's request, looked at before it is upgraded or refused.

use std::fmt;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use super::pending::Pending;
use super::{Mailbox, Shared};
use crate::connection::{Connection, NamedPeer, Opening};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::head::{RequestHead, ResponseHead};
use crate::options::{ConnectionLimits, RefuseOptions, UpgradeOptions};
use crate::protocol::Role;
use crate::protocol::handshake::server::{RefusalResponse, UpgradeRequest};
use crate::tls::TlsInfo;
use crate::transport::{Halt, Transport};

/// A complete, well-formed request to become a WebSocket, not answered yet.
///
/// [`upgrade`](Request::upgrade) or [`refuse`](Request::refuse) answers it. One that is dropped
/// is refused with 503. Looking at it waits for nothing.
pub struct Request {
    /// Gone once it was answered.
    waiting: Option<Waiting>,
}

struct Waiting {
    transport: Box<dyn Transport>,
    upgrade: UpgradeRequest,
    /// What the client sent after its head.
    rest: Vec<u8>,
    limits: ConnectionLimits,
    timeout: Duration,
    mailbox: Arc<Mailbox>,
}

impl Request {
    pub(super) fn new(
        transport: Box<dyn Transport>,
        upgrade: UpgradeRequest,
        rest: Vec<u8>,
        shared: &Shared,
    ) -> Self {
        let waiting = Waiting {
            transport,
            upgrade,
            rest,
            limits: shared.options.limits,
            timeout: shared.options.handshake_timeout,
            mailbox: shared.mailbox.clone(),
        };
        Request {
            waiting: Some(waiting),
        }
    }

    fn waiting(&self) -> &Waiting {
        self.waiting
            .as_ref()
            .expect("answering consumes the request")
    }

    /// The request line and all headers.
    pub fn head(&self) -> &RequestHead {
        &self.waiting().upgrade.head
    }

    /// The path, percent-encoded, without the query.
    pub fn path(&self) -> &str {
        self.head().path()
    }

    /// The query, percent-encoded, without the question mark.
    pub fn query(&self) -> Option<&str> {
        self.head().query()
    }

    /// The value of the first header of that name, in any case; `None` also when it is not UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head().header(name)
    }

    /// The subprotocols that the client offers, in its order of preference.
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> {
        self.head().subprotocols()
    }

    /// The client's address, also when a proxy that is believed came between: see
    /// [`ListenOptions::trust_proxy`](crate::ListenOptions::trust_proxy).
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.waiting().upgrade.peer
    }

    /// The address of who has connected: the client, or a proxy.
    pub fn direct_peer_addr(&self) -> Option<SocketAddr> {
        self.waiting().transport.peer_addr()
    }

    /// The address at which the client found this server.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.waiting().transport.local_addr()
    }

    /// What was agreed upon with the client, on a listener with TLS; the client's certificates
    /// among that.
    pub fn tls(&self) -> Option<TlsInfo> {
        self.waiting().transport.tls()
    }

    /// Whether the client asks for an upgrade, which all do unless
    /// [`ListenOptions::plain_requests`](crate::ListenOptions::plain_requests) admits others.
    pub fn is_upgrade(&self) -> bool {
        self.waiting().upgrade.is_upgrade()
    }

    /// Whether [`upgrade`](Self::upgrade) could use these options: it is
    /// [`Error::InvalidArgument`] to choose a subprotocol that the client did not offer, and
    /// [`Error::InvalidState`] to upgrade who did not ask for it.
    pub fn check_upgrade(&self, options: &UpgradeOptions) -> Result<()> {
        self.waiting().upgrade.accept(options).map(drop)
    }

    /// The response that [`upgrade`](Self::upgrade) would send with these options, or the error that
    /// it would give. Sends nothing.
    pub fn upgrade_response(&self, options: &UpgradeOptions) -> Result<ResponseHead> {
        let (bytes, _) = self.waiting().upgrade.accept(options)?;
        Ok(ResponseHead::new(&bytes))
    }

    /// Upgrades: the connection is a WebSocket from here on. Waits until the response is sent,
    /// at most for the listener's handshake timeout.
    ///
    /// ```no_run
    /// use talkws::UpgradeOptions;
    ///
    /// let listener = talkws::listen("ws://localhost:8080/talk-to-server")?;
    /// let request = listener.accept()?;
    /// let ws = request.upgrade(UpgradeOptions::new().header("X-Served-By", "me")?)?;
    /// # Ok::<(), talkws::Error>(())
    /// ```
    pub fn upgrade(self, options: UpgradeOptions) -> Result<Connection> {
        self.upgrade_within(options, Deadline::NEVER)
    }

    /// Like [`upgrade`](Self::upgrade), until the handshake timeout or `deadline`, whichever comes
    /// first. The client is lost when time is up, since it has not got the response whole.
    pub fn upgrade_within(
        mut self,
        options: UpgradeOptions,
        deadline: impl Into<Deadline>,
    ) -> Result<Connection> {
        if !self.is_upgrade() {
            let error = self.check_upgrade(&options);
            self.answer(&RefusalResponse::not_an_upgrade());
            error?;
        }
        // When this fails the request is dropped, and so refused.
        let (response, subprotocol) = self.waiting().upgrade.accept(&options)?;
        let waiting = self.waiting.take().expect("answering consumes the request");
        let deadline = deadline.into().or_sooner(waiting.timeout);
        let mut rest = response.as_slice();
        while !rest.is_empty() {
            match waiting.transport.send(&[IoSlice::new(rest)], deadline) {
                Ok(sent) => rest = &rest[sent..],
                Err(Halt::Failed(source)) => {
                    let reason = "upgrade: the client has gone";
                    let source = Some(Arc::new(source));
                    return Err(Error::ConnectionLost {
                        reason: reason.into(),
                        source,
                    });
                }
                Err(Halt::TimedOut | Halt::Interrupted) => {
                    let reason = "upgrade: the client did not take our response in time";
                    return Err(Error::ConnectionLost {
                        reason: reason.into(),
                        source: None,
                    });
                }
            }
        }
        let deflate = waiting.upgrade.deflate.map(|agreed| agreed.parameters);
        let peer = waiting.upgrade.peer;
        let opening = Opening {
            named: (peer != waiting.transport.peer_addr()).then(|| Box::new(NamedPeer(peer))),
            request: waiting.upgrade.head,
            response: None,
            subprotocol: subprotocol.map(Into::into),
            deflate,
        };
        let (limits, rest) = (waiting.limits, &waiting.rest);
        Connection::new(waiting.transport, Role::Server, limits, opening, rest)
    }

    /// Refuses, with an HTTP status from 200 to 599 and a body, which is plain text unless a
    /// header says otherwise. Waits for nothing: what the client does not take at once goes out
    /// while somebody accepts.
    pub fn refuse(self, status: u16, body: impl AsRef<[u8]>) -> Result<()> {
        self.refuse_with(status, body, RefuseOptions::new())
    }

    /// Like [`refuse`](Self::refuse), with headers. With 204 and 304 there is no body; 426 says
    /// what to upgrade to.
    pub fn refuse_with(
        mut self,
        status: u16,
        body: impl AsRef<[u8]>,
        options: RefuseOptions,
    ) -> Result<()> {
        if !(200..=599).contains(&status) {
            let reason = format!("refuse with {status}: use an HTTP status from 200 to 599");
            return Err(Error::InvalidArgument(reason.into()));
        }
        self.answer(&RefusalResponse::new(status, body.as_ref()).with_options(options));
        Ok(())
    }

    fn answer(&mut self, refusal: &RefusalResponse) {
        if let Some(Waiting {
            transport, mailbox, ..
        }) = self.waiting.take()
            && let Some(refused) = Pending::refused(transport, refusal)
        {
            mailbox.give_back(refused);
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.answer(&RefusalResponse::new(
            503,
            "The server did not take the request.\n",
        ));
    }
}

/// For event loops, which may wait for it, and must do nothing else with it. An upgrade keeps it.
impl AsRawFd for Request {
    fn as_raw_fd(&self) -> RawFd {
        self.waiting().transport.as_raw_fd()
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("head", self.head())
            .field("peer", &self.peer_addr())
            .finish_non_exhaustive()
    }
}
