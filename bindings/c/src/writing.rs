//! Writing: whole messages, messages in parts, Pings.

use std::ffi::c_void;
use std::time::Duration;

use engine::{Deadline, MessageKind, WriteOptions};

use crate::arguments;
use crate::connection::{with, ws_conn};
use crate::error::{Failure, ws_error};
use crate::guard;
use crate::message::{WS_BINARY, WS_TEXT};
use crate::status::ws_status;

/// Or-ed into the type of a message that is written: more follows soon, so that this one may wait
/// to leave together with what follows in one system call, as with MSG_MORE of send(2).
///
/// What waits leaves with the next write without this flag, `ws_flush`, `ws_ping` or `ws_close`,
/// when 64 KiB have come together, and while a call waits to read from the connection (one that
/// waits already does not see it).
pub const WS_MORE: i32 = 0x100;
/// Or-ed into the type of a message that is written: do not wait for the peer to make room, as
/// with MSG_DONTWAIT of send(2). The write is `WS_TIMED_OUT` if not a byte of the message could be
/// sent. Once a part was, the message is accepted, which is `WS_OK`, and the rest leaves before
/// anything else does: see `ws_pending` and `ws_flush`.
pub const WS_DONTWAIT: i32 = 0x200;
/// Or-ed into the type of a message that is written: do not compress it, such as a picture, which
/// becomes no smaller. Of a message in parts, the first one decides. Without the flag a message is
/// compressed if both ends agreed upon that and it is large enough: see `ws_deflate_parameters` and
/// `ws_options_set_deflate_threshold`.
pub const WS_NO_COMPRESS: i32 = 0x400;

/// What the type of a message that is written says.
pub(crate) struct Manner {
    kind: MessageKind,
    options: WriteOptions,
}

/// All that can be or-ed into a type.
const FLAGS: i32 = WS_MORE | WS_DONTWAIT | WS_NO_COMPRESS;

impl Manner {
    fn of(r#type: i32) -> Result<Self, Failure> {
        let reason = "write: type is neither WS_TEXT nor WS_BINARY, with or without \
                      WS_MORE, WS_DONTWAIT and WS_NO_COMPRESS";
        let kind = kind(r#type & !FLAGS).ok_or(Failure::argument(reason))?;
        let options = Self::flags(r#type & FLAGS)?;
        Ok(Manner { kind, options })
    }

    /// What a type without flags says.
    pub fn plain(r#type: i32) -> Result<MessageKind, Failure> {
        let reason = "prepare: type is neither WS_TEXT nor WS_BINARY";
        kind(r#type).ok_or(Failure::argument(reason))
    }

    /// What flags without a type say.
    pub fn flags(flags: i32) -> Result<WriteOptions, Failure> {
        if flags & !FLAGS != 0 {
            let reason = "write: flags has more than WS_MORE, WS_DONTWAIT and WS_NO_COMPRESS";
            return Err(Failure::argument(reason));
        }
        let deadline = if flags & WS_DONTWAIT != 0 {
            Duration::ZERO.into()
        } else {
            Deadline::NEVER
        };
        Ok(WriteOptions::new()
            .more(flags & WS_MORE != 0)
            .compress(flags & WS_NO_COMPRESS == 0)
            .deadline(deadline))
    }
}

fn kind(r#type: i32) -> Option<MessageKind> {
    match r#type {
        WS_TEXT => Some(MessageKind::Text),
        WS_BINARY => Some(MessageKind::Binary),
        _ => None,
    }
}

/// Writes a message, whole; waits as long as the peer takes to make room for it, at most for what
/// `ws_options_set_write_timeout` says. To give that up, close or abort the connection from another
/// thread.
///
/// @param ws    a connection. One that was accepted and not answered yet is upgraded first.
/// @param type  `WS_TEXT`, whose data must be UTF-8, or `WS_BINARY`; with any of `| WS_MORE`,
///              `| WS_DONTWAIT` and `| WS_NO_COMPRESS`.
/// @param data  the payload. It is not kept; NULL is fine when `len` is 0.
/// @param len   its size in bytes, without a NUL that may follow it.
/// @param err   where to tell a failure, or NULL.
/// @return      `WS_OK`: the system has taken the message, or the beginning of it, and the rest
///              follows; it does not mean that the peer has read it;
///              `WS_TIMED_OUT`: the write timeout passed, or `WS_DONTWAIT` found no room. Nothing
///              of the message was sent, nor will be;
///              `WS_WOULD_BLOCK`: the backlog is full (`WS_BACKLOG_REFUSE`); as for a timeout;
///              `WS_INVALID_ARGUMENT`: nothing was sent, and the connection is as good as before;
///              `WS_INVALID_STATE`: this thread has begun another message with `ws_write_part`;
///              `WS_CLOSED`, `WS_CONNECTION_LOST`, `WS_PROTOCOL`, `WS_INVALID_UTF8`,
///              `WS_TOO_BIG`, `WS_ABORTED`, `WS_REFUSED`: the connection has ended, or is about to;
///              `WS_BAD_HANDLE`, `WS_NO_MEMORY`, `WS_INTERNAL`;
///              and what `ws_upgrade` returns, where it upgrades.
///
/// Threads: any. Messages of several threads go out whole, one after the other, and never wait for
/// a read. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_write(
    ws: ws_conn,
    r#type: i32,
    data: *const c_void,
    len: usize,
    err: *mut ws_error,
) -> ws_status {
    let body = || {
        let manner = Manner::of(r#type)?;
        // SAFETY: the caller lends `len` bytes at `data` to this call.
        let data = unsafe { arguments::bytes(data.cast(), len)? };
        with(ws, |connection| {
            Ok(connection.write_with(manner.kind, data, manner.options)?)
        })
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

/// Writes a part of a message, as a frame of its own (RFC 6455, 5.4), so that a message of any size
/// is sent in bounded memory. Waits as `ws_write` does.
///
/// One thread writes all parts of a message. What other threads write, parts of their own messages
/// too, waits until the last part was written; Pings and Pongs do not.
/// A character of a text may be divided between two parts.
///
/// @param ws       a connection. One that was accepted and not answered yet is upgraded first.
/// @param type     as for `ws_write`; the same for all parts of a message, but for the flags.
/// @param data     the part. It is not kept; NULL is fine when `len` is 0.
/// @param len      its size in bytes.
/// @param is_last  0: more parts follow; anything else: the message ends here.
/// @param err      where to tell a failure, or NULL.
/// @return         what `ws_write` returns. `WS_INVALID_STATE`: `type` is not that of the first part.
///                 `WS_INVALID_ARGUMENT`: nothing was sent, such as text that is not UTF-8 with the
///                 parts before it, and another part may be written instead.
///
/// Threads: any; the same for all parts of a message. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_write_part(
    ws: ws_conn,
    r#type: i32,
    data: *const c_void,
    len: usize,
    is_last: i32,
    err: *mut ws_error,
) -> ws_status {
    let body = || {
        let manner = Manner::of(r#type)?;
        // SAFETY: the caller lends `len` bytes at `data` to this call.
        let data = unsafe { arguments::bytes(data.cast(), len)? };
        let is_last = is_last != 0;
        with(ws, |connection| {
            Ok(connection.write_part_with(manner.kind, data, is_last, manner.options)?)
        })
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

/// Waits until all that was accepted for sending has been handed to the system: what waits because
/// of `WS_MORE`, and what a write without the time for it has left behind.
///
/// @param ws          an open connection.
/// @param timeout_ms  how long to wait, in milliseconds: 0 hands over what the system takes now,
///                    `WS_FOREVER` waits as long as it takes.
/// @param err         where to tell a failure, or NULL.
/// @return            `WS_OK`: nothing waits any more;
///                    `WS_TIMED_OUT`: something does. Nothing is lost, call again;
///                    `WS_CLOSED`, `WS_CONNECTION_LOST`, `WS_PROTOCOL`, `WS_INVALID_UTF8`,
///                    `WS_TOO_BIG`, `WS_ABORTED`, `WS_REFUSED`: the connection has ended, or is
///                    about to;
///                    `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`, `WS_NO_MEMORY`, `WS_INTERNAL`;
///                    and what `ws_upgrade` returns, where it upgrades.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_flush(ws: ws_conn, timeout_ms: i64, err: *mut ws_error) -> ws_status {
    let body = || {
        let deadline = arguments::deadline(timeout_ms)?;
        with(ws, |connection| Ok(connection.flush(deadline)?))
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

/// Sends a Ping (RFC 6455, 5.5.2). The peer's Pong arrives while somebody reads; `ws_count` has how
/// many came, and how long the newest took.
///
/// @param ws          a connection. One that was accepted and not answered yet is upgraded first.
/// @param data        what the peer is to send back, or NULL when `len` is 0.
/// @param len         its size in bytes, at most 125.
/// @param timeout_ms  how long to wait for the peer to make room, in milliseconds: 0 does not wait,
///                    `WS_FOREVER` waits as long as it takes.
/// @param err         where to tell a failure, or NULL.
/// @return            what `ws_write` returns. It needs no memory, and fits between parts.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_ping(
    ws: ws_conn,
    data: *const c_void,
    len: usize,
    timeout_ms: i64,
    err: *mut ws_error,
) -> ws_status {
    let body = || {
        let deadline = arguments::deadline(timeout_ms)?;
        // SAFETY: the caller lends `len` bytes at `data` to this call.
        let data = unsafe { arguments::bytes(data.cast(), len)? };
        with(ws, |connection| {
            connection.ping_within(data, deadline)?;
            Ok(())
        })
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}
