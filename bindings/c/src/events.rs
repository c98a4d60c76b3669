//! For programs with an event loop: what to wait for with poll(2), and what not to wait for.

use crate::arguments;
use crate::connection::{Conn, ws_conn};
use crate::error::ws_error;
use crate::guard;
use crate::handles::handles;
use crate::status::ws_status;

/// Bytes were received that nobody has read, or the connection has ended: `ws_read` may have news
/// although the descriptor has none.
pub const WS_PENDING_READ: i32 = 1;
/// Accepted bytes wait for the socket to take them: wait for POLLOUT too, then call `ws_flush`.
pub const WS_PENDING_WRITE: i32 = 2;

/// The descriptor of a connection, for poll(2), epoll(7) and the like. It belongs to the library: do
/// nothing with it but wait, and only as long as the handle is there. It stays the same when a
/// connection that was accepted is upgraded.
///
/// Wait for POLLIN, and for POLLOUT while `ws_pending` says so. Then read with a timeout of 0 until
/// that is `WS_TIMED_OUT`, and write with `WS_DONTWAIT`.
///
/// @param ws   a connection.
/// @param fd   where to put the descriptor.
/// @param err  where to tell a failure, or NULL.
/// @return     `WS_OK`, `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`, `WS_INTERNAL`; for one that could
///             not be upgraded or was refused, why.
///
/// Threads: any. Waits for nothing. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_fd(ws: ws_conn, fd: *mut i32, err: *mut ws_error) -> ws_status {
    let body = || {
        let fd = arguments::output(fd, "fd: fd is NULL")?;
        let descriptor = handles().connection(ws)?.fd()?;
        // SAFETY: not NULL, and the caller's to be written.
        unsafe { fd.write(descriptor) };
        Ok(())
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

/// What waits inside a connection, which an event loop must know before it waits for the
/// descriptor.
///
/// @param ws       a connection.
/// @param pending  where to put 0, `WS_PENDING_READ`, `WS_PENDING_WRITE`, or both or-ed together.
///                 Before the upgrade it is 0.
/// @param err      where to tell a failure, or NULL.
/// @return         `WS_OK`, `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`, `WS_INTERNAL`.
///
/// Threads: any. Waits for nothing. While another thread reads, what was received is its affair.
/// Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_pending(
    ws: ws_conn,
    pending: *mut i32,
    err: *mut ws_error,
) -> ws_status {
    let body = || {
        let pending = arguments::output(pending, "pending: pending is NULL")?;
        let conn = handles().connection(ws)?;
        // SAFETY: not NULL, and the caller's to be written.
        unsafe { pending.write(what_waits(&conn)) };
        Ok(())
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

fn what_waits(conn: &Conn) -> i32 {
    let Ok(pending) = conn.look(|_| engine::Pending::default(), engine::Connection::pending) else {
        // It never opened, which a read tells at once.
        return WS_PENDING_READ;
    };
    let flag = |is_set, flag| if is_set { flag } else { 0 };
    flag(pending.read, WS_PENDING_READ) | flag(pending.write, WS_PENDING_WRITE)
}
