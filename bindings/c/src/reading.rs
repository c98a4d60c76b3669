//! Reading: whole messages, and messages in parts.

use std::ffi::c_void;

use crate::arguments;
use crate::connection::{with, ws_conn};
use crate::error::{Failure, ws_error};
use crate::guard;
use crate::message::{kind_number, ws_message};
use crate::status::ws_status;

/// What `ws_read_some` has put into the caller's buffer. Its layout is frozen.
#[repr(C)]
#[allow(non_camel_case_types)]
pub struct ws_part {
    /// How many bytes were put at the start of the buffer; 0 only for the empty end of a message.
    pub len: usize,
    /// What the message is: `WS_TEXT` or `WS_BINARY`, the same for all its parts.
    pub r#type: i32,
    /// 1 when the message ends here, else 0.
    pub is_last: i32,
}

/// Waits for the next message and puts it into `msg`, whose memory grows as needed and is used
/// again from read to read, as getline(3) does it.
///
/// Reading is what answers the peer's Pings and takes part in closing, so a program that wants to
/// notice the end of a connection reads from it. Messages come whole, at most as large
/// as `ws_options_set_max_message_size` says (16 MiB); `ws_read_some` reads larger ones in parts.
///
/// @param ws          a connection. One that was accepted and not answered yet is upgraded first.
/// @param msg         begun with `WS_MESSAGE_INIT` or by an earlier read. After a failure it is
///                    empty, and still yours to read into again or to free.
/// @param timeout_ms  how long to wait, in milliseconds: 0 takes only what needs no waiting,
///                    `WS_FOREVER` waits as long as it takes.
/// @param err         where to tell a failure, or NULL.
/// @return            `WS_OK`;
///                    `WS_TIMED_OUT`: what has come of a message is kept, call again;
///                    `WS_CLOSED`: the peer closed, or both ends did, and no message will come
///                    any more. `err` has the peer's code;
///                    `WS_CONNECTION_LOST`: it ended without a goodbye;
///                    `WS_PROTOCOL`, `WS_INVALID_UTF8`, `WS_TOO_BIG`: the peer broke a rule, and
///                    the connection has ended;
///                    `WS_ABORTED`: this end ended it; `WS_REFUSED`: it never opened;
///                    `WS_INVALID_STATE`: the message was begun with `ws_read_some`;
///                    `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`, `WS_NO_MEMORY`, `WS_INTERNAL`;
///                    and what `ws_upgrade` returns, where it upgrades.
///
/// After the connection has ended, every read says with what it ended; `ws` is yours to close.
///
/// Threads: any, also while others write to, read from or close the same connection; `msg` belongs
/// to one call at a time. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_read(
    ws: ws_conn,
    msg: *mut ws_message,
    timeout_ms: i64,
    err: *mut ws_error,
) -> ws_status {
    let body = || {
        let msg = arguments::output(msg, "read: msg is NULL")?;
        // SAFETY: not NULL; the caller has begun it, and lends it to this call alone.
        let msg = unsafe { &mut *msg };
        msg.clear();
        let deadline = arguments::deadline(timeout_ms)?;
        with(ws, |connection| msg.read_from(connection, deadline))
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

/// Reads what has come of the next message into a buffer of yours, as recv(2) does: at least one
/// byte, at most `size`, or the end of the message. So a message of any size is received in bounded
/// memory.
///
/// The parts have nothing to do with the frames in which the message came. The last one may be
/// empty. A part of a text may end inside a character. Until the last part was read, `ws_read` is
/// `WS_INVALID_STATE`. The limit of `ws_options_set_max_message_size` counts here too, and may well
/// be `SIZE_MAX`, since memory does not grow with it. The peer may break a rule, or go away, when
/// parts of its message were given already.
///
/// @param ws          a connection. One that was accepted and not answered yet is upgraded first.
/// @param buf         where to put the bytes. No NUL is put after them.
/// @param size        how many bytes have room there, at least 1; 4,096 and more are fast.
/// @param part        where to tell how many came, of what, and whether that was all.
/// @param timeout_ms  how long to wait for a byte, in milliseconds: 0 takes what is there,
///                    `WS_FOREVER` waits as long as it takes.
/// @param err         where to tell a failure, or NULL.
/// @return            `WS_OK`; else what `ws_read` returns, for the same reasons. Nothing was put
///                    into `buf` that counts then, and after `WS_TIMED_OUT` nothing is lost.
///
/// Threads: any; the parts of a message go to whoever asks next, so let one thread read it.
/// Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_read_some(
    ws: ws_conn,
    buf: *mut c_void,
    size: usize,
    part: *mut ws_part,
    timeout_ms: i64,
    err: *mut ws_error,
) -> ws_status {
    let body = || {
        let part = arguments::output(part, "read some: part is NULL")?;
        let buf = arguments::output(buf, "read some: buf is NULL")?;
        if size == 0 || isize::try_from(size).is_err() {
            let reason = "read some: size is 0, or larger than any memory";
            return Err(Failure::argument(reason));
        }
        let deadline = arguments::deadline(timeout_ms)?;
        with(ws, |connection| {
            // SAFETY: not NULL, and the caller lends `size` bytes of it to this call alone.
            let buffer = unsafe { std::slice::from_raw_parts_mut(buf.cast(), size) };
            let read = connection.read_some_uninit(buffer, deadline)?;
            // SAFETY: not NULL, and the caller's to be written.
            unsafe {
                part.write(ws_part {
                    len: read.len,
                    r#type: kind_number(read.kind),
                    is_last: read.is_last.into(),
                });
            }
            Ok(())
        })
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn the_layout_is_frozen() {
        assert_eq!(size_of::<ws_part>(), 16);
        assert_eq!(std::mem::offset_of!(ws_part, is_last), 12);
    }
}
