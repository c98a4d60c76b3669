//! Closing, and the close codes (RFC 6455, section 7.4.1, and the registry it opened).

use std::ffi::c_char;

use crate::arguments;
use crate::connection::ws_conn;
use crate::error::{Failure, ws_error};
use crate::guard;
use crate::handles::handles;
use crate::status::ws_status;

/// All is done.
pub const WS_CLOSE_NORMAL: i32 = 1000;
/// A server shuts down, or a page is left.
pub const WS_CLOSE_GOING_AWAY: i32 = 1001;
/// The peer broke the protocol.
pub const WS_CLOSE_PROTOCOL_ERROR: i32 = 1002;
/// The peer sent a kind of message that this end does not take.
pub const WS_CLOSE_UNSUPPORTED_DATA: i32 = 1003;
/// No code at all: give it to `ws_close` to send none, and see it when the peer sent none.
pub const WS_CLOSE_NO_STATUS: i32 = 1005;
/// The connection was lost. Never sent, only seen.
pub const WS_CLOSE_ABNORMAL: i32 = 1006;
/// A message's content is not what its type says, such as text that is not UTF-8.
pub const WS_CLOSE_INVALID_DATA: i32 = 1007;
/// A message breaks a policy, which needs no more telling.
pub const WS_CLOSE_POLICY_VIOLATION: i32 = 1008;
/// A message is too big.
pub const WS_CLOSE_MESSAGE_TOO_BIG: i32 = 1009;
/// A client needed an extension that the server did not agree to.
pub const WS_CLOSE_MANDATORY_EXTENSION: i32 = 1010;
/// A server met what it was not prepared for.
pub const WS_CLOSE_INTERNAL_ERROR: i32 = 1011;
/// The server restarts: connect again, after a while.
pub const WS_CLOSE_SERVICE_RESTART: i32 = 1012;
/// The server is overloaded: connect again later.
pub const WS_CLOSE_TRY_AGAIN_LATER: i32 = 1013;
/// A gateway got a bad answer from the server behind it.
pub const WS_CLOSE_BAD_GATEWAY: i32 = 1014;

/// Closes a connection and ends its handle: tells the peer, waits for its answer as long as
/// `ws_options_set_close_timeout` says (5 seconds), and ends every call that waits on the
/// connection. Whatever this returns, `ws` is gone.
///
/// One that was accepted and not answered yet is refused, with HTTP status 503.
///
/// @param ws      a connection.
/// @param code    why: `WS_CLOSE_NORMAL` or another code that may be sent (1000 to 1003, 1007 to
///                1014, 3000 to 4999), or `WS_CLOSE_NO_STATUS` for none.
/// @param reason  a text for the peer's log, at most 123 bytes, or NULL.
/// @param err     where to tell a failure, or NULL.
/// @return        `WS_OK`: the peer has answered, or had closed before;
///                `WS_CONNECTION_LOST`: it did not, or was gone already;
///                `WS_PROTOCOL`, `WS_INVALID_UTF8`, `WS_TOO_BIG`, `WS_ABORTED`: with that it had
///                ended before;
///                `WS_INVALID_ARGUMENT`: a code or reason that cannot be sent; the connection was
///                aborted;
///                `WS_BAD_HANDLE`: also for whoever closes second; `WS_INTERNAL`.
///
/// Threads: any; that is how to end a read or a write that waits in another thread. It returns
/// `WS_CLOSED`, or whatever else the end was. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_close(
    ws: ws_conn,
    code: i32,
    reason: *const c_char,
    err: *mut ws_error,
) -> ws_status {
    let body = || {
        let conn = handles().take_connection(ws)?;
        guard::on(&conn, |conn| {
            let close = || {
                let code = u16::try_from(code)
                    .map_err(|_| Failure::argument("close: code is no close code"))?;
                // SAFETY: the caller lends the text, or NULL, to this call.
                let reason =
                    unsafe { arguments::optional_text(reason, "close: reason is not UTF-8")? };
                conn.close(code.into(), reason)
            };
            // Gone is gone, also when there was no way to say goodbye.
            close().inspect_err(|_| conn.abort())
        })
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

/// Ends a connection at once, and its handle: without a goodbye and without waiting. The peer sees
/// a lost connection.
///
/// One that was accepted and not answered yet is refused, with HTTP status 503.
///
/// @param ws   a connection. It is gone afterwards.
/// @param err  where to tell a failure, or NULL.
/// @return     `WS_OK`, `WS_BAD_HANDLE`, `WS_INTERNAL`.
///
/// Threads: any. A call that waits in another thread returns `WS_ABORTED`. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_abort(ws: ws_conn, err: *mut ws_error) -> ws_status {
    let body = || {
        handles().take_connection(ws)?.abort();
        Ok(())
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

#[cfg(test)]
mod tests {
    use engine::CloseCode;

    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_registry() {
        let table = [
            (WS_CLOSE_NORMAL, CloseCode::Normal),
            (WS_CLOSE_GOING_AWAY, CloseCode::Away),
            (WS_CLOSE_PROTOCOL_ERROR, CloseCode::Protocol),
            (WS_CLOSE_UNSUPPORTED_DATA, CloseCode::Unsupported),
            (WS_CLOSE_NO_STATUS, CloseCode::Status),
            (WS_CLOSE_ABNORMAL, CloseCode::Abnormal),
            (WS_CLOSE_INVALID_DATA, CloseCode::Invalid),
            (WS_CLOSE_POLICY_VIOLATION, CloseCode::Policy),
            (WS_CLOSE_MESSAGE_TOO_BIG, CloseCode::Size),
            (WS_CLOSE_MANDATORY_EXTENSION, CloseCode::Extension),
            (WS_CLOSE_INTERNAL_ERROR, CloseCode::Error),
            (WS_CLOSE_SERVICE_RESTART, CloseCode::Restart),
            (WS_CLOSE_TRY_AGAIN_LATER, CloseCode::Again),
        ];
        for (number, code) in table {
            assert_eq!(number, i32::from(u16::from(code)));
        }
    }
}
