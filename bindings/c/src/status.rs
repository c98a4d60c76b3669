//! `ws_status`: the number that every call returns.

use std::ffi::{CStr, c_char};

use crate::guard;

/// What a call returns: `WS_OK`, or a negative number that says what went wrong. Numbers are only
/// ever added, so treat one that you do not know as an error. `ws_strerror` names them.
#[allow(non_camel_case_types)]
pub type ws_status = i32;

/// All is well.
pub const WS_OK: ws_status = 0;
/// An argument that no call could use, such as a NULL where something is needed. Nothing was
/// tried.
pub const WS_INVALID_ARGUMENT: ws_status = -1;
/// Not a handle of that kind, or not any more: it was closed, or it never was one. The same for a
/// pointer to options.
pub const WS_BAD_HANDLE: ws_status = -2;
/// A URL that is not one, or that cannot be dialled or listened on.
pub const WS_INVALID_URL: ws_status = -3;
/// Something that this build cannot do.
pub const WS_UNSUPPORTED: ws_status = -4;
/// The name of the host could not be resolved.
pub const WS_RESOLVE: ws_status = -5;
/// The operating system refused something, such as to connect or to bind a port.
pub const WS_IO: ws_status = -6;
/// Time is up. Nothing is damaged: make the same call again, and it goes on.
pub const WS_TIMED_OUT: ws_status = -7;
/// The wait was interrupted. Nothing is damaged. No call of this version returns it.
pub const WS_INTERRUPTED: ws_status = -8;
/// The server answered the dial with another HTTP status than 101; see `ws_error.http_status`.
pub const WS_REFUSED: ws_status = -9;
/// The peer's part of the opening handshake breaks the rules (RFC 6455, section 4).
pub const WS_HANDSHAKE: ws_status = -10;
/// A subprotocol was required, and the two ends have none in common.
pub const WS_NO_SUBPROTOCOL: ws_status = -11;
/// The connection was closed in due form: the usual end. `ws_error.close_code` has the peer's
/// code.
pub const WS_CLOSED: ws_status = -12;
/// The connection ended without a closing handshake: the peer has gone, or the network has.
pub const WS_CONNECTION_LOST: ws_status = -13;
/// The peer broke a rule of the protocol, and was told so with code 1002.
pub const WS_PROTOCOL: ws_status = -14;
/// The peer sent text that is not UTF-8, and was told so with code 1007.
pub const WS_INVALID_UTF8: ws_status = -15;
/// The peer's message is larger than this end allows; it was told so with code 1009.
pub const WS_TOO_BIG: ws_status = -16;
/// This end ended it: `ws_abort` on a connection, `ws_listener_close` on a listener.
pub const WS_ABORTED: ws_status = -17;
/// The call does not fit what the connection is in the middle of.
pub const WS_INVALID_STATE: ws_status = -18;
/// There is no memory left, or no handle. Nothing is lost: call again once there is.
pub const WS_NO_MEMORY: ws_status = -19;
/// A bug of the library. The connection is dead; the process goes on.
pub const WS_INTERNAL: ws_status = -20;
/// What was asked for is not there: no such header, no query, no subprotocol, no close yet.
pub const WS_NOT_FOUND: ws_status = -21;
/// A TLS session could not be made, such as with a server whose certificate is not trusted.
pub const WS_TLS: ws_status = -22;
/// The proxy does not connect to the server; see `ws_error.http_status` if it speaks HTTP.
pub const WS_PROXY: ws_status = -23;
/// The server redirects to where `ws_dial` does not go: to no WebSocket, from wss to ws, or on and
/// on.
pub const WS_REDIRECT: ws_status = -24;
/// The peer is slow, and the backlog of the connection is full; see `ws_options_set_write_backlog`.
/// Nothing of the message was sent, nor will be.
pub const WS_WOULD_BLOCK: ws_status = -25;

/// Every status, and what `ws_strerror` says of it.
const TEXTS: [&CStr; 26] = [
    c"no error",
    c"invalid argument",
    c"bad handle: closed, of another kind, or never opened",
    c"invalid URL",
    c"not supported by this build",
    c"the host's name could not be resolved",
    c"the operating system refused it",
    c"timed out",
    c"interrupted",
    c"the server refused the connection",
    c"the peer's opening handshake breaks the rules",
    c"no subprotocol in common",
    c"the connection is closed",
    c"the connection is lost",
    c"the peer broke the protocol",
    c"the peer sent text that is not UTF-8",
    c"the peer's message is too big",
    c"aborted by this end",
    c"the call does not fit the connection's state",
    c"out of memory",
    c"internal error of libtalkws",
    c"what was asked for is not there",
    c"no TLS session could be made",
    c"the proxy does not connect to the server",
    c"the server redirects to where this does not go",
    c"the peer is slow, and its backlog is full",
];

/// Names a status: a short text in English, for a message when there is no `ws_error`, which says
/// more.
///
/// @param status  what a call returned; any other number gives "unknown status".
/// @return        a text that is never NULL and lives as long as the library. Do not free it.
///
/// Threads: any, at any time. Since 0.1.0.
#[unsafe(no_mangle)]
pub extern "C" fn ws_strerror(status: ws_status) -> *const c_char {
    guard::or(c"unknown status".as_ptr(), || {
        let index = usize::try_from(status.unsigned_abs()).ok()?;
        let text = TEXTS.get(index).filter(|_| status <= 0)?;
        Some(text.as_ptr())
    })
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read, Write};
    use std::net::TcpListener;
    use std::sync::Arc;

    use engine::{CloseCode, CloseInfo, ClosedBy, Error, Violation};

    use super::*;

    /// The only error that cannot be made by hand.
    fn refused() -> Error {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}", server.local_addr().unwrap());
        let answering = std::thread::spawn(move || {
            let (mut client, _) = server.accept().unwrap();
            let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
            client.write_all(answer).unwrap();
            let _ = client.read_to_end(&mut Vec::new());
        });
        let error = engine::dial(&url).unwrap_err();
        answering.join().unwrap();
        error
    }

    #[test]
    fn the_numbers_are_the_engines() {
        let io = || Arc::new(io::Error::from(io::ErrorKind::NotFound));
        let attempt = || "test".into();
        let violation = || Violation::ReservedBits;
        let closed = CloseInfo {
            code: CloseCode::Normal,
            reason: String::new(),
            by: ClosedBy::Peer,
        };
        let table = [
            (WS_INVALID_ARGUMENT, Error::InvalidArgument("".into())),
            (
                WS_INVALID_URL,
                Error::InvalidUrl {
                    url: String::new(),
                    reason: "".into(),
                },
            ),
            (WS_UNSUPPORTED, Error::Unsupported("".into())),
            (
                WS_RESOLVE,
                Error::Resolve {
                    attempt: attempt(),
                    reason: String::new(),
                },
            ),
            (
                WS_IO,
                Error::Io {
                    attempt: attempt(),
                    source: io(),
                },
            ),
            (WS_TIMED_OUT, Error::TimedOut { attempt: attempt() }),
            (WS_INTERRUPTED, Error::Interrupted { attempt: attempt() }),
            (WS_REFUSED, refused()),
            (
                WS_HANDSHAKE,
                Error::Handshake {
                    attempt: attempt(),
                    reason: "".into(),
                },
            ),
            (
                WS_NO_SUBPROTOCOL,
                Error::NoSubprotocol { attempt: attempt() },
            ),
            (WS_CLOSED, Error::Closed(closed)),
            (
                WS_CONNECTION_LOST,
                Error::ConnectionLost {
                    reason: "".into(),
                    source: None,
                },
            ),
            (WS_PROTOCOL, Error::Protocol(violation())),
            (WS_INVALID_UTF8, Error::InvalidUtf8(violation())),
            (WS_TOO_BIG, Error::TooBig(violation())),
            (WS_ABORTED, Error::Aborted { attempt: attempt() }),
            (WS_INVALID_STATE, Error::InvalidState("".into())),
            (WS_NO_MEMORY, Error::NoMemory("")),
            (
                WS_TLS,
                Error::Tls {
                    attempt: attempt(),
                    reason: "".into(),
                },
            ),
            (
                WS_PROXY,
                Error::Proxy {
                    attempt: attempt(),
                    reason: "".into(),
                    refusal: None,
                },
            ),
            (
                WS_REDIRECT,
                Error::Redirect {
                    attempt: attempt(),
                    reason: "".into(),
                },
            ),
            (WS_WOULD_BLOCK, Error::WouldBlock { attempt: attempt() }),
        ];
        for (status, error) in table {
            assert_eq!(error.status(), status, "{error:?}");
        }
    }

    #[test]
    fn every_status_has_a_text_and_no_other_number_has() {
        let text = |status| {
            // SAFETY: `ws_strerror` gives a NUL-terminated text that lives for ever.
            unsafe { CStr::from_ptr(ws_strerror(status)) }
        };
        assert_eq!(text(WS_OK), c"no error");
        assert_eq!(text(WS_INTERNAL), c"internal error of libtalkws");
        for known in WS_WOULD_BLOCK..=WS_OK {
            assert_ne!(text(known), c"unknown status", "{known}");
        }
        for unknown in [1, WS_WOULD_BLOCK - 1, i32::MIN, i32::MAX] {
            assert_eq!(text(unknown), c"unknown status", "{unknown}");
        }
    }
}
