//! The one error of the library, and what counts as a violation of the protocol.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::sync::Arc;

use crate::close::{CloseCode, CloseInfo};
use crate::head::ResponseHead;

/// The result of every call that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong. Each variant has a [status number](Error::status), the same in C.
///
/// Errors are cheap to clone: a connection that failed gives its first error to every later call.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Error {
    /// An argument that no call could use; nothing was tried.
    InvalidArgument(Cow<'static, str>),
    /// A URL that is not one, or that cannot be dialled or listened on.
    InvalidUrl {
        /// The URL as it was given.
        url: String,
        /// What is wrong with it.
        reason: Cow<'static, str>,
    },
    /// Something that this build cannot do, such as `wss` without TLS.
    Unsupported(Cow<'static, str>),
    /// The name of the host could not be resolved.
    Resolve {
        /// What was tried, on what.
        attempt: Cow<'static, str>,
        /// What the resolver said.
        reason: String,
    },
    /// The operating system refused something.
    Io {
        /// What was tried, on what.
        attempt: Cow<'static, str>,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The deadline passed. The connection is unharmed; call again.
    TimedOut {
        /// What was waited for.
        attempt: Cow<'static, str>,
    },
    /// The caller's own interruption ([`Deadline::interrupted_by`](crate::Deadline::interrupted_by))
    /// ended the wait. The connection is unharmed.
    Interrupted {
        /// What was waited for.
        attempt: Cow<'static, str>,
    },
    /// The server answered the dial with another status than 101.
    Refused(Arc<Refusal>),
    /// The peer's part of the opening handshake breaks the rules (RFC 6455, section 4).
    Handshake {
        /// What was tried, on what.
        attempt: Cow<'static, str>,
        /// Which rule is broken.
        reason: Cow<'static, str>,
    },
    /// A subprotocol was required, and the two ends have none in common.
    NoSubprotocol {
        /// What was tried, on what, and what was offered.
        attempt: Cow<'static, str>,
    },
    /// The connection was closed by the closing handshake. The usual end.
    Closed(CloseInfo),
    /// The connection ended without a closing handshake (what RFC 6455, 7.1.5, calls 1006).
    ConnectionLost {
        /// What was being done, and what happened.
        reason: Cow<'static, str>,
        /// What the system said, if it was not a plain end of stream.
        source: Option<Arc<io::Error>>,
    },
    /// The peer broke a rule of the framing (1002).
    Protocol(Violation),
    /// The peer sent text that is not UTF-8 (1007).
    InvalidUtf8(Violation),
    /// The peer's message is larger than this end allows (1009).
    TooBig(Violation),
    /// This end aborted the connection, or closed the listener.
    Aborted {
        /// What was being done.
        attempt: Cow<'static, str>,
    },
    /// The call does not fit what the connection is in the middle of.
    InvalidState(Cow<'static, str>),
    /// A TLS session could not be made, such as with a server whose certificate is not trusted.
    Tls {
        /// What was tried, on what.
        attempt: Cow<'static, str>,
        /// What is wrong, and what to do.
        reason: Cow<'static, str>,
    },
    /// The proxy does not connect to the server, or breaks the rules of proxies.
    Proxy {
        /// What was tried, on what, through which proxy.
        attempt: Cow<'static, str>,
        /// What the proxy said, and what to do.
        reason: Cow<'static, str>,
        /// The answer of an HTTP proxy that refuses.
        refusal: Option<Arc<Refusal>>,
    },
    /// The server redirects to where the dial does not go: to no WebSocket, from `wss` to `ws`, or
    /// on and on.
    Redirect {
        /// What was tried, on what.
        attempt: Cow<'static, str>,
        /// Where it was redirected to, and why that is not followed.
        reason: Cow<'static, str>,
    },
    /// The backlog of the connection is full, and its policy is to refuse what does not fit
    /// ([`BacklogPolicy::Refuse`](crate::BacklogPolicy::Refuse)). Nothing of the message was sent, nor
    /// will be; call again once the peer has taken some of what waits.
    WouldBlock {
        /// What was tried, on what.
        attempt: Cow<'static, str>,
    },
    /// There is no memory for what is named. Nothing is lost: call again once there is.
    NoMemory(&'static str),
}

impl Error {
    /// The stable number of this kind of error, negative: `ws_status` in C. Numbers are only
    /// ever added; -2 (bad handle), -20 (internal) and -21 (not found) belong to the C face.
    pub fn status(&self) -> i32 {
        match self {
            Error::InvalidArgument(_) => -1,
            Error::InvalidUrl { .. } => -3,
            Error::Unsupported(_) => -4,
            Error::Resolve { .. } => -5,
            Error::Io { .. } => -6,
            Error::TimedOut { .. } => -7,
            Error::Interrupted { .. } => -8,
            Error::Refused(_) => -9,
            Error::Handshake { .. } => -10,
            Error::NoSubprotocol { .. } => -11,
            Error::Closed(_) => -12,
            Error::ConnectionLost { .. } => -13,
            Error::Protocol(_) => -14,
            Error::InvalidUtf8(_) => -15,
            Error::TooBig(_) => -16,
            Error::Aborted { .. } => -17,
            Error::InvalidState(_) => -18,
            Error::NoMemory(_) => -19,
            Error::Tls { .. } => -22,
            Error::Proxy { .. } => -23,
            Error::Redirect { .. } => -24,
            Error::WouldBlock { .. } => -25,
        }
    }

    /// Whether the connection is as good as before and the same call may be made again.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Error::TimedOut { .. }
                | Error::Interrupted { .. }
                | Error::WouldBlock { .. }
                | Error::NoMemory(_)
        )
    }

    /// The code that belongs to this end of a connection (RFC 6455, 7.4): the peer's for
    /// [`Error::Closed`], this end's for violations, 1006 for a lost connection.
    pub fn close_code(&self) -> Option<CloseCode> {
        match self {
            Error::Closed(info) => Some(info.code),
            Error::Protocol(violation)
            | Error::InvalidUtf8(violation)
            | Error::TooBig(violation) => Some(violation.close_code()),
            Error::ConnectionLost { .. } | Error::Aborted { .. } => Some(CloseCode::Abnormal),
            _ => None,
        }
    }

    /// The HTTP status with which a server, or a proxy before it, refused a dial.
    pub fn http_status(&self) -> Option<u16> {
        match self {
            Error::Refused(refusal) => Some(refusal.status()),
            Error::Proxy { refusal, .. } => refusal.as_ref().map(|refusal| refusal.status()),
            _ => None,
        }
    }

    pub(crate) fn io(attempt: impl Into<Cow<'static, str>>, source: io::Error) -> Self {
        Error::Io {
            attempt: attempt.into(),
            source: Arc::new(source),
        }
    }

    pub(crate) fn invalid_url(url: &str, reason: impl Into<Cow<'static, str>>) -> Self {
        Error::InvalidUrl {
            url: url.to_owned(),
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::InvalidArgument(what) | Error::Unsupported(what) | Error::InvalidState(what) => {
                f.write_str(what)
            }
            Error::InvalidUrl { url, reason } => write!(f, "URL {url:?}: {reason}"),
            Error::Resolve { attempt, reason } => write!(f, "{attempt}: {reason}"),
            Error::Io { attempt, source } => write!(f, "{attempt}: {source}"),
            Error::TimedOut { attempt } => write!(f, "{attempt}: timed out"),
            Error::Interrupted { attempt } => write!(f, "{attempt}: interrupted"),
            Error::Refused(refusal) => refusal.fmt(f),
            Error::Handshake { attempt, reason }
            | Error::Tls { attempt, reason }
            | Error::Proxy {
                attempt, reason, ..
            }
            | Error::Redirect { attempt, reason } => write!(f, "{attempt}: {reason}"),
            Error::WouldBlock { attempt } => {
                write!(f, "{attempt}: the peer is slow, and its backlog is full")
            }
            Error::NoSubprotocol { attempt } => f.write_str(attempt),
            Error::Closed(info) => info.fmt(f),
            Error::ConnectionLost {
                reason,
                source: Some(source),
            } => {
                write!(f, "{reason}: {source}")
            }
            Error::ConnectionLost {
                reason,
                source: None,
            } => f.write_str(reason),
            Error::Protocol(violation)
            | Error::InvalidUtf8(violation)
            | Error::TooBig(violation) => {
                write!(f, "{violation}; closed with {}", violation.close_code())
            }
            Error::Aborted { attempt } => write!(f, "{attempt}: aborted by this end"),
            Error::NoMemory(what) => write!(f, "no memory for {what}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. }
            | Error::ConnectionLost {
                source: Some(source),
                ..
            } => Some(source.as_ref()),
            _ => None,
        }
    }
}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Self {
        match violation.close_code() {
            CloseCode::Invalid => Error::InvalidUtf8(violation),
            CloseCode::Size => Error::TooBig(violation),
            _ => Error::Protocol(violation),
        }
    }
}

/// A server's answer to a dial that is not an upgrade, or a proxy's that does not connect.
#[derive(Debug, Clone)]
pub struct Refusal {
    pub(crate) url: String,
    pub(crate) head: ResponseHead,
    pub(crate) body: Vec<u8>,
}

impl Refusal {
    /// The HTTP status, such as 404.
    pub fn status(&self) -> u16 {
        self.head.status()
    }

    /// The status line and headers of the answer.
    pub fn head(&self) -> &ResponseHead {
        &self.head
    }

    /// The beginning of the body, at most 64 KiB, as far as it came before the dial's deadline.
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "dial {}: server answered {}", self.url, self.status())?;
        let reason = self.head.reason();
        if !reason.is_empty() {
            write!(f, " {reason}")?;
        }
        f.write_str(", not 101 Switching Protocols")
    }
}

/// A rule of RFC 6455, or of RFC 7692, that the peer broke.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// A reserved bit is set and no extension gives it a meaning (5.2).
    ReservedBits,
    /// An opcode that the RFC reserves (5.2).
    ReservedOpcode(u8),
    /// A client's frame that is not masked (5.1).
    UnmaskedFrame,
    /// A server's frame that is masked (5.1).
    MaskedFrame,
    /// A control frame in fragments (5.5).
    FragmentedControl,
    /// A control frame with more than 125 bytes (5.5).
    LongControl(u64),
    /// A length not in its shortest form, or with its highest bit set (5.2).
    BadLength(u64),
    /// A continuation frame with nothing to continue (5.4).
    UnexpectedContinuation,
    /// A new message inside a fragmented one (5.4).
    ExpectedContinuation,
    /// A Close frame whose body is one byte long (5.5.1).
    CloseTooShort,
    /// A Close frame with a code that must not be sent (7.4).
    CloseCode(u16),
    /// A Close frame whose reason is not UTF-8 (5.5.1).
    CloseReasonNotUtf8,
    /// A text message that is not UTF-8 (8.1).
    TextNotUtf8,
    /// A compressed message that is no DEFLATE data (RFC 7692, 7.2.2).
    BrokenDeflate,
    /// A message over this end's limit (7.4.1), which counts what was inflated.
    MessageTooBig {
        /// How large the message would be at least, in bytes.
        size: u64,
        /// The limit, in bytes.
        limit: usize,
    },
}

impl Violation {
    /// The code with which this end closes the connection (RFC 6455, 7.4.1).
    pub fn close_code(&self) -> CloseCode {
        match self {
            Violation::TextNotUtf8 | Violation::CloseReasonNotUtf8 => CloseCode::Invalid,
            Violation::MessageTooBig { .. } => CloseCode::Size,
            _ => CloseCode::Protocol,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::ReservedBits => {
                f.write_str("the peer set a reserved bit that means nothing there (RFC 6455, 5.2)")
            }
            Violation::ReservedOpcode(opcode) => {
                write!(
                    f,
                    "the peer used the reserved opcode {opcode:#x} (RFC 6455, 5.2)"
                )
            }
            Violation::UnmaskedFrame => {
                f.write_str("the client sent a frame without a mask (RFC 6455, 5.1)")
            }
            Violation::MaskedFrame => f.write_str("the server sent a masked frame (RFC 6455, 5.1)"),
            Violation::FragmentedControl => {
                f.write_str("the peer fragmented a control frame (RFC 6455, 5.5)")
            }
            Violation::LongControl(length) => {
                write!(
                    f,
                    "the peer sent a control frame of {length} bytes, over 125 (RFC 6455, 5.5)"
                )
            }
            Violation::BadLength(length) => {
                write!(
                    f,
                    "the peer wrote the length {length} in a wrong form (RFC 6455, 5.2)"
                )
            }
            Violation::UnexpectedContinuation => {
                f.write_str("the peer continued a message that it never began (RFC 6455, 5.4)")
            }
            Violation::ExpectedContinuation => {
                f.write_str("the peer began a message inside another one (RFC 6455, 5.4)")
            }
            Violation::CloseTooShort => {
                f.write_str("the peer sent a Close frame with half a code (RFC 6455, 5.5.1)")
            }
            Violation::CloseCode(code) => {
                write!(
                    f,
                    "the peer closed with {code}, which must not be sent (RFC 6455, 7.4)"
                )
            }
            Violation::CloseReasonNotUtf8 => {
                f.write_str("the peer closed with a reason that is not UTF-8 (RFC 6455, 5.5.1)")
            }
            Violation::TextNotUtf8 => {
                f.write_str("the peer sent text that is not UTF-8 (RFC 6455, 8.1)")
            }
            Violation::BrokenDeflate => f.write_str(
                "the peer sent compressed data that cannot be inflated (RFC 7692, 7.2.2)",
            ),
            Violation::MessageTooBig { size, limit } => {
                write!(
                    f,
                    "the peer sent a message of at least {size} bytes, over the limit of {limit}"
                )
            }
        }
    }
}
