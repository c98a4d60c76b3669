//! Everything a caller can choose, with defaults that are safe to deploy.

mod backlog;
mod deflate;
pub(crate) mod forwarding;
pub(crate) mod proxy;
mod write;

use std::time::Duration;

use http::Uri;
use http::header::{HeaderName, HeaderValue, ORIGIN};
use socket2::Socket;

use crate::error::{Error, Result};
use crate::tls::{ClientTls, ServerTls};

pub use backlog::{Backlog, BacklogPolicy};
pub use deflate::DeflateOptions;
use forwarding::TrustedProxies;
use proxy::Way;
pub use write::WriteOptions;

/// The longest request or response head, in bytes.
pub const MAX_HEAD_SIZE: usize = 16 * 1024;
/// The most headers in a request or response.
pub const MAX_HEADERS: usize = 100;

/// What holds for a connection once it is open, whichever side opened it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionLimits {
    pub max_message_size: usize,
    pub close_timeout: Duration,
    pub write_timeout: Option<Duration>,
    pub backlog: Backlog,
    pub keepalive: Option<Keepalive>,
    /// `None` neither offers nor accepts permessage-deflate.
    pub deflate: Option<DeflateOptions>,
}

/// When to ask a silent peer for a sign of life, and when to give it up. In milliseconds, since
/// every connection keeps one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keepalive {
    interval: u32,
    timeout: u32,
}

impl Keepalive {
    /// None for an interval of zero. Spans are rounded up to a millisecond, and no longer than 49
    /// days.
    pub fn new(interval: Duration, timeout: Duration) -> Option<Self> {
        let milliseconds =
            |span: Duration| u32::try_from(span.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX);
        (!interval.is_zero()).then(|| Keepalive {
            interval: milliseconds(interval),
            timeout: milliseconds(timeout),
        })
    }

    /// How long a peer may be silent before it is asked.
    pub fn interval(&self) -> Duration {
        Duration::from_millis(self.interval.into())
    }

    /// How long it may be silent after that.
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout.into())
    }
}

/// What holds for the sockets of a client, or of a listener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SocketOptions {
    /// In bytes; 0 leaves it to the system.
    pub receive_buffer: usize,
    pub send_buffer: usize,
    pub reuse_address: bool,
    pub reuse_port: bool,
}

impl Default for SocketOptions {
    fn default() -> Self {
        SocketOptions {
            receive_buffer: 0,
            send_buffer: 0,
            reuse_address: true,
            reuse_port: false,
        }
    }
}

impl SocketOptions {
    /// Must be set before the socket connects or listens: the window of TCP follows from them.
    pub fn set_buffers(&self, socket: &Socket) -> std::io::Result<()> {
        if self.receive_buffer > 0 {
            socket.set_recv_buffer_size(self.receive_buffer)?;
        }
        if self.send_buffer > 0 {
            socket.set_send_buffer_size(self.send_buffer)?;
        }
        Ok(())
    }
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        ConnectionLimits {
            max_message_size: 16 << 20,
            close_timeout: Duration::from_secs(5),
            write_timeout: None,
            backlog: Backlog::default(),
            keepalive: None,
            deflate: cfg!(feature = "deflate").then(DeflateOptions::default),
        }
    }
}

/// Headers of a handshake that the caller adds, checked one by one.
pub(crate) type Headers = Vec<(HeaderName, HeaderValue)>;

fn checked_header(name: &str, value: &[u8]) -> Result<(HeaderName, HeaderValue)> {
    let Ok(header_name) = HeaderName::from_bytes(name.as_bytes()) else {
        return Err(Error::InvalidArgument(
            format!("header {name:?}: not a header name").into(),
        ));
    };
    // These make the handshake; a second one would break it, or say what the library does not do.
    let ours = [
        "connection",
        "upgrade",
        "content-length",
        "transfer-encoding",
    ];
    if ours.contains(&header_name.as_str()) || header_name.as_str().starts_with("sec-websocket-") {
        let reason = format!("header {name:?}: the library sets it (see the option of that name)");
        return Err(Error::InvalidArgument(reason.into()));
    }
    let Ok(value) = HeaderValue::from_bytes(value) else {
        let reason = format!("header {name:?}: its value holds a line break or control character");
        return Err(Error::InvalidArgument(reason.into()));
    };
    Ok((header_name, value))
}

/// A token of RFC 9110, 5.6.2, which is what a subprotocol must be.
pub(crate) fn is_token(text: &str) -> bool {
    let is_token_byte =
        |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_token_byte)
}

fn checked_subprotocol(name: &str) -> Result<String> {
    if is_token(name) {
        return Ok(name.to_owned());
    }
    let reason = format!("subprotocol {name:?}: it must be a token, without spaces or commas");
    Err(Error::InvalidArgument(reason.into()))
}

/// An origin is a scheme and a host, perhaps a port, or `null` (RFC 6454, 7).
fn check_origin(origin: &str) -> Result<()> {
    let is_origin = origin.parse::<Uri>().is_ok_and(|uri| {
        uri.scheme().is_some()
            && uri.authority().is_some()
            && uri.path_and_query().is_none_or(|p| p == "/")
    });
    if origin == "null" || (is_origin && !origin.ends_with('/')) {
        return Ok(());
    }
    let reason =
        format!("origin {origin:?}: write it as a browser does, such as https://example.org");
    Err(Error::InvalidArgument(reason.into()))
}

/// How to dial: [`DialOptions::dial`] does it.
///
/// ```no_run
/// use std::time::Duration;
/// use talkws::DialOptions;
///
/// let ws = DialOptions::new()
///     .header("Authorization", "Bearer 123")?
///     .subprotocol("chat")?
///     .timeout(Duration::from_secs(3))
///     .dial("ws://localhost:8080/talk-to-server")?;
/// # Ok::<(), talkws::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct DialOptions {
    pub(crate) headers: Headers,
    pub(crate) subprotocols: Vec<String>,
    pub(crate) subprotocol_required: bool,
    pub(crate) timeout: Option<Duration>,
    pub(crate) tls: ClientTls,
    pub(crate) way: Way,
    pub(crate) proxy_tls: ClientTls,
    pub(crate) max_redirects: u32,
    pub(crate) sockets: SocketOptions,
    pub(crate) limits: ConnectionLimits,
}

impl Default for DialOptions {
    fn default() -> Self {
        DialOptions {
            headers: Vec::new(),
            subprotocols: Vec::new(),
            subprotocol_required: false,
            timeout: Some(Duration::from_secs(10)),
            tls: ClientTls::default(),
            way: Way::default(),
            proxy_tls: ClientTls::default(),
            max_redirects: 10,
            sockets: SocketOptions::default(),
            limits: ConnectionLimits::default(),
        }
    }
}

impl DialOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a header to the request; `Host` replaces the one made from the URL. The value may
    /// hold bytes over 0x7F. An error when it is none, or one that makes the handshake itself.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self> {
        self.headers.push(checked_header(name, value.as_ref())?);
        Ok(self)
    }

    /// Sets the `Origin` header, as a browser does.
    pub fn origin(mut self, origin: &str) -> Result<Self> {
        let header = checked_header("origin", origin.as_bytes())?;
        self.headers.retain(|(name, _)| name != ORIGIN);
        self.headers.push(header);
        Ok(self)
    }

    /// Offers a subprotocol; the first one offered is preferred (RFC 6455, 1.9).
    pub fn subprotocol(mut self, name: &str) -> Result<Self> {
        let name = checked_subprotocol(name)?;
        if self.subprotocols.contains(&name) {
            let reason = format!("subprotocol {name:?}: it was offered already");
            return Err(Error::InvalidArgument(reason.into()));
        }
        self.subprotocols.push(name);
        Ok(self)
    }

    /// Whether a server that chooses none of the offered subprotocols is an error
    /// ([`Error::NoSubprotocol`]). Default: no.
    pub fn require_subprotocol(mut self, required: bool) -> Self {
        self.subprotocol_required = required;
        self
    }

    /// How many redirects are followed (301, 302, 303, 307, 308; RFC 9110, 15.4), one after the
    /// other, within one [`timeout`](Self::timeout); more are [`Error::Redirect`], and so is one from
    /// `wss` to `ws`. To another origin (scheme, host, port) go no user and password of the URL, and
    /// none of the headers `Authorization`, `Cookie`, `Proxy-Authorization` and `Host`; all other
    /// headers do. No certificate of this end is shown there either. Default: 10; 0 follows none, and gives them as [`Error::Refused`]. A socket of
    /// the program's own ([`dial_on`](Self::dial_on)) leads nowhere else.
    pub fn max_redirects(mut self, count: u32) -> Self {
        self.max_redirects = count;
        self
    }

    /// How long all of dial may take: resolving, connecting, what a proxy takes, the handshake, and
    /// all redirects. Default: 10 s; `None` waits for ever.
    pub fn timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// How to speak TLS with the server of a `wss` URL. Default: [`ClientTls::new`].
    pub fn tls(mut self, tls: ClientTls) -> Self {
        self.tls = tls;
        self
    }
}

/// What both a client and a server choose for their connections.
macro_rules! connection_options {
    ($options:ident) => {
        impl $options {
            /// The largest message that may be received, in bytes. Default: 16 MiB.
            pub fn max_message_size(mut self, bytes: usize) -> Self {
                self.limits.max_message_size = bytes;
                self
            }

            /// How long closing waits for the peer. Default: 5 s.
            pub fn close_timeout(mut self, timeout: Duration) -> Self {
                self.limits.close_timeout = timeout;
                self
            }

            /// How long a write may wait for the peer to make room, when the call itself says nothing
            /// else: see [`Connection::write_data`](crate::Connection::write_data) for what becomes of the
            /// message then. Default: as long as it takes.
            pub fn write_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
                self.limits.write_timeout = timeout.into();
                self
            }

            /// How much may wait to be sent, and what happens when that is reached; a connection that is
            /// open may [choose otherwise](crate::Connection::set_backlog). Default: [`Backlog::new`],
            /// with which writes wait for the peer.
            pub fn write_backlog(mut self, backlog: Backlog) -> Self {
                self.limits.backlog = backlog;
                self
            }

            /// Sends a Ping when nothing has come from the peer for `interval`, and ends the connection
            /// ([`Error::ConnectionLost`]) when nothing has come for `timeout` more. Any byte is a sign of
            /// life, also one that the program has not read yet. Silence is measured to a quarter of
            /// the shorter span. Default: off, which an interval of zero says too.
            pub fn keepalive(mut self, interval: Duration, timeout: Duration) -> Self {
                self.limits.keepalive = Keepalive::new(interval, timeout);
                self
            }

            /// Whether, and how, messages are compressed (permessage-deflate, RFC 7692), if the peer
            /// agrees. `None` neither offers nor accepts it. Default: [`DeflateOptions::new`].
            #[cfg(feature = "deflate")]
            pub fn deflate(mut self, options: impl Into<Option<DeflateOptions>>) -> Self {
                self.limits.deflate = options.into();
                self
            }

            /// How much the system may hold of what was received and not read, and of what was written
            /// and not sent, in bytes (`SO_RCVBUF`, `SO_SNDBUF`). Default: 0, which leaves it to the system.
            pub fn socket_buffers(mut self, receive: usize, send: usize) -> Self {
                self.sockets.receive_buffer = receive;
                self.sockets.send_buffer = send;
                self
            }
        }
    };
}

connection_options!(DialOptions);
connection_options!(ListenOptions);

/// From which web pages a browser may connect (RFC 6455, 10.2). A client that sends no
/// `Origin` is no browser, and is not concerned.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum OriginRule {
    /// From pages of this very server: the host and port of `Origin` equal those of `Host`.
    #[default]
    SameHost,
    /// From these origins, such as `https://example.org`; compared without regard to case.
    Only(Vec<String>),
    /// From anywhere.
    Any,
}

/// How to listen: [`ListenOptions::listen`] does it.
#[derive(Debug, Clone)]
pub struct ListenOptions {
    pub(crate) subprotocols: Vec<String>,
    pub(crate) subprotocol_required: bool,
    pub(crate) origins: OriginRule,
    pub(crate) handshake_timeout: Duration,
    pub(crate) max_pending: usize,
    pub(crate) backlog: u16,
    pub(crate) plain_requests: bool,
    pub(crate) tls: Option<ServerTls>,
    pub(crate) unix_mode: Option<u32>,
    pub(crate) trusted: TrustedProxies,
    pub(crate) sockets: SocketOptions,
    pub(crate) limits: ConnectionLimits,
}

impl Default for ListenOptions {
    fn default() -> Self {
        ListenOptions {
            subprotocols: Vec::new(),
            subprotocol_required: false,
            origins: OriginRule::default(),
            handshake_timeout: Duration::from_secs(10),
            max_pending: 1024,
            backlog: 1024,
            plain_requests: false,
            tls: None,
            unix_mode: None,
            trusted: TrustedProxies::default(),
            sockets: SocketOptions::default(),
            limits: ConnectionLimits::default(),
        }
    }
}

impl ListenOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a subprotocol that this server speaks. An upgrade that names none chooses the first
    /// of these that the client offers.
    pub fn subprotocol(mut self, name: &str) -> Result<Self> {
        self.subprotocols.push(checked_subprotocol(name)?);
        Ok(self)
    }

    /// Whether a client that offers none of the server's subprotocols is refused with 400.
    /// Default: no.
    pub fn require_subprotocol(mut self, required: bool) -> Self {
        self.subprotocol_required = required;
        self
    }

    /// Which origins may connect; others are refused with 403. Default: [`OriginRule::SameHost`].
    pub fn origins(mut self, rule: OriginRule) -> Self {
        self.origins = rule;
        self
    }

    /// Adds an origin that may connect, such as `https://example.org`, or `*` for any. The first one
    /// replaces the rule of the same host.
    pub fn allow_origin(mut self, origin: &str) -> Result<Self> {
        if origin == "*" {
            self.origins = OriginRule::Any;
            return Ok(self);
        }
        check_origin(origin)?;
        match &mut self.origins {
            OriginRule::Any => {}
            OriginRule::Only(origins) => origins.push(origin.to_owned()),
            OriginRule::SameHost => self.origins = OriginRule::Only(vec![origin.to_owned()]),
        }
        Ok(self)
    }

    /// How long a client may take for its whole request, counted from its connection.
    /// Default: 10 s.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// How many clients may be in the middle of their request at a time; past that the one that
    /// has waited longest goes. Default: 1,024; at least 1.
    pub fn max_pending(mut self, count: usize) -> Self {
        self.max_pending = count.max(1);
        self
    }

    /// How many connections the kernel holds while nobody accepts. Default: 1,024.
    pub fn backlog(mut self, count: u16) -> Self {
        self.backlog = count.max(1);
        self
    }

    /// Whether [`accept`](crate::Listener::accept) also gives requests (GET) that do not ask for an
    /// upgrade, so that the program can answer them, with a page or a health check, through
    /// [`refuse_with`](crate::Request::refuse_with). Default: no, they are answered with 426.
    pub fn plain_requests(mut self, enabled: bool) -> Self {
        self.plain_requests = enabled;
        self
    }

    /// Speaks TLS with all clients, which a `wss` URL asks for. Default: no TLS.
    pub fn tls(mut self, tls: ServerTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// The permissions of a Unix socket's file, such as `0o660`: who may write to it may connect.
    /// Nobody gets in with wider ones, not even for a moment. Default: what the umask leaves.
    pub fn unix_mode(mut self, mode: u32) -> Self {
        self.unix_mode = Some(mode & 0o777);
        self
    }

    /// Whether the port may be taken while connections of an earlier server linger
    /// (`SO_REUSEADDR`). Default: yes.
    pub fn reuse_address(mut self, enabled: bool) -> Self {
        self.sockets.reuse_address = enabled;
        self
    }

    /// Whether several listeners, in this process or others, may share the port, each of which
    /// gets a share of the clients (`SO_REUSEPORT`). Default: no.
    pub fn reuse_port(mut self, enabled: bool) -> Self {
        self.sockets.reuse_port = enabled;
        self
    }
}

/// What an upgrade says besides yes: see [`Request::upgrade`](crate::Request::upgrade).
#[derive(Debug, Clone, Default)]
pub struct UpgradeOptions {
    pub(crate) headers: Headers,
    pub(crate) subprotocol: Option<String>,
}

impl UpgradeOptions {
    /// The defaults: no header of its own, the subprotocol as the listener's options have it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a header to the response, which may have 16 KiB in all.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self> {
        self.headers.push(checked_header(name, value.as_ref())?);
        Ok(self)
    }

    /// Chooses a subprotocol, which must be one that the client offered.
    pub fn subprotocol(mut self, name: &str) -> Result<Self> {
        self.subprotocol = Some(checked_subprotocol(name)?);
        Ok(self)
    }
}

/// What a refusal says besides no: see [`Request::refuse_with`](crate::Request::refuse_with).
#[derive(Debug, Clone, Default)]
pub struct RefuseOptions {
    pub(crate) headers: Headers,
}

impl RefuseOptions {
    /// The defaults: no header of its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a header to the response, such as `Location` or `WWW-Authenticate`. A `Content-Type`
    /// replaces that of plain text.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self> {
        self.headers.push(checked_header(name, value.as_ref())?);
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_make_the_handshake_are_refused() {
        for name in [
            "Upgrade",
            "connection",
            "Sec-WebSocket-Key",
            "Sec-WebSocket-Protocol",
        ] {
            let error = DialOptions::new().header(name, "x").unwrap_err();
            assert!(error.to_string().contains("the library sets it"), "{error}");
        }
    }

    #[test]
    fn a_header_cannot_smuggle_another() {
        assert!(DialOptions::new().header("X-A", "b\r\nX-C: d").is_err());
        assert!(DialOptions::new().header("X A", "b").is_err());
        assert!(DialOptions::new().header("X-A", b"\xE9t\xE9").is_ok());
    }

    #[test]
    fn subprotocols_are_tokens_and_offered_once() {
        assert!(DialOptions::new().subprotocol("chat, v2").is_err());
        assert!(DialOptions::new().subprotocol("").is_err());
        assert!(
            DialOptions::new()
                .subprotocol("a")
                .unwrap()
                .subprotocol("a")
                .is_err()
        );
    }
}
