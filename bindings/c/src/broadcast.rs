//! `ws_prepared`: a message for many connections; and writing it to them.

use std::ffi::c_void;

use engine::{Broadcast, MessageKind, Prepared};

use crate::arguments;
use crate::connection::{with, ws_conn};
use crate::error::{Failure, ws_error};
use crate::guard;
use crate::handles::handles;
use crate::memory;
use crate::status::ws_status;
use crate::writing::Manner;

/// A message that is framed once, and compressed once, for any number of connections. Made by
/// `ws_prepare`, ended by `ws_prepared_free`. 0 is never one.
#[allow(non_camel_case_types)]
pub type ws_prepared = u64;

/// What became of a message for many connections. Yours, on your stack; its layout is frozen.
#[repr(C)]
#[allow(non_camel_case_types)]
pub struct ws_report {
    /// Connections that have accepted it: it was sent, or waits in their backlog.
    pub accepted: u64,
    /// Connections that had no room for it.
    pub refused: u64,
    /// Connections that had ended, or were closed now since they had no room for it.
    pub closed: u64,
    /// Room for what future versions tell; 0.
    pub private_room: [u64; 5],
}

impl ws_report {
    pub(crate) fn of(report: Broadcast) -> Self {
        ws_report {
            accepted: report.accepted as u64,
            refused: report.refused as u64,
            closed: report.closed as u64,
            private_room: [0; 5],
        }
    }
}

/// Prepares a message for `ws_write_prepared`, `ws_broadcast` and `ws_publish`.
///
/// A server's frame is made here; it is compressed when the first connection wants that, once for all
/// that agreed upon the same window, by itself (RFC 7692, 7.2.3.2). A client masks each frame anew, and
/// writes the message as any other.
///
/// @param type      `WS_TEXT`, whose data must be UTF-8, or `WS_BINARY`.
/// @param data      the payload, of which a copy is kept; NULL is fine when `len` is 0.
/// @param len       its size in bytes.
/// @param prepared  where to put the message, which you end with `ws_prepared_free`.
/// @param err       where to tell a failure, or NULL.
/// @return          `WS_OK`, `WS_INVALID_ARGUMENT`, `WS_NO_MEMORY`, `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_prepare(
    r#type: i32,
    data: *const c_void,
    len: usize,
    prepared: *mut ws_prepared,
    err: *mut ws_error,
) -> ws_status {
    let body = || {
        let out = arguments::output(prepared, "prepare: prepared is NULL")?;
        let kind = Manner::plain(r#type)?;
        // SAFETY: the caller lends `len` bytes at `data` to this call.
        let data = unsafe { arguments::bytes(data.cast(), len)? };
        memory::check()?;
        let message = match kind {
            MessageKind::Binary => Prepared::binary(data),
            MessageKind::Text => {
                let text = std::str::from_utf8(data);
                let refused = Failure::argument("prepare: the text is not UTF-8");
                Prepared::text(text.map_err(|_| refused)?)
            }
        };
        let number = handles().add_prepared(message)?;
        // SAFETY: not NULL, and the caller's to be written.
        unsafe { out.write(number) };
        Ok(())
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

/// Ends a prepared message. Where it waits to be sent, it is sent all the same.
///
/// @param prepared  a message, or 0, for which nothing is done.
/// @param err       where to tell a failure, or NULL.
/// @return          `WS_OK`, `WS_BAD_HANDLE`, `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_prepared_free(prepared: ws_prepared, err: *mut ws_error) -> ws_status {
    let body = || match prepared {
        0 => Ok(()),
        prepared => handles().take_prepared(prepared).map(drop),
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

/// Writes a prepared message, as `ws_write` does.
///
/// @param ws        a connection. One that was accepted and not answered yet is upgraded first.
/// @param prepared  the message.
/// @param flags     0, or any of `WS_MORE`, `WS_DONTWAIT` and `WS_NO_COMPRESS`.
/// @param err       where to tell a failure, or NULL.
/// @return          what `ws_write` returns.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_write_prepared(
    ws: ws_conn,
    prepared: ws_prepared,
    flags: i32,
    err: *mut ws_error,
) -> ws_status {
    let body = || {
        let prepared = handles().prepared(prepared)?;
        let options = Manner::flags(flags)?;
        with(ws, |connection| {
            Ok(connection.write_prepared(&prepared, options)?)
        })
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

/// Writes a message to many connections, and waits for none of them, whatever their policy: on one
/// whose writes would wait (`WS_BACKLOG_WAIT`) it waits in the backlog, and is refused when that is
/// full. What waits leaves in the background. Where another thread is in the middle of a message in
/// parts, this one leaves after it.
///
/// @param conns     connections. One that is none any more, or was not upgraded yet, counts as closed.
/// @param count     how many they are.
/// @param prepared  the message.
/// @param report    where to put what became of it, or NULL.
/// @param err       where to tell a failure, or NULL.
/// @return          `WS_OK`, also when no connection took it; `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`
///                  (`prepared` is none), `WS_NO_MEMORY`, `WS_INTERNAL`.
///
/// Threads: any. Messages of one thread reach each connection in their order. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_broadcast(
    conns: *const ws_conn,
    count: usize,
    prepared: ws_prepared,
    report: *mut ws_report,
    err: *mut ws_error,
) -> ws_status {
    let body = || {
        // SAFETY: the caller lends `count` numbers at `conns` to this call.
        let numbers = unsafe { arguments::numbers(conns, count)? };
        let prepared = handles().prepared(prepared)?;
        memory::check()?;
        let connections: Vec<_> = numbers
            .iter()
            .filter_map(|number| handles().connection(*number).ok()?.if_open().cloned())
            .collect();
        let mut told = engine::broadcast(&connections, &prepared);
        told.closed += numbers.len() - connections.len();
        if !report.is_null() {
            // SAFETY: not NULL, and the caller's to be written.
            unsafe { report.write(ws_report::of(told)) };
        }
        Ok(())
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}
