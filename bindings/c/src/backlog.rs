//! The backlog of a connection: what waits for a slow peer.

use engine::{Backlog, BacklogPolicy};

use crate::arguments;
use crate::connection::{with, ws_conn};
use crate::error::{Failure, ws_error};
use crate::guard;
use crate::handles::handles;
use crate::options::{change, ws_options};
use crate::status::ws_status;

/// A policy of a backlog: a write waits until the peer makes room, as long as it takes.
pub const WS_BACKLOG_WAIT: i32 = 0;
/// A policy of a backlog: a message that does not fit is refused, which is `WS_WOULD_BLOCK`.
pub const WS_BACKLOG_REFUSE: i32 = 1;
/// A policy of a backlog: the oldest messages that wait make room, each of them whole, and are counted
/// (`messages_dropped` of `ws_counters`).
pub const WS_BACKLOG_DROP_OLDEST: i32 = 2;
/// A policy of a backlog: the connection is closed with 1013, Try Again Later.
pub const WS_BACKLOG_CLOSE: i32 = 3;

fn backlog(limit: usize, policy: i32) -> Result<Backlog, Failure> {
    let policy = match policy {
        WS_BACKLOG_WAIT => BacklogPolicy::Wait,
        WS_BACKLOG_REFUSE => BacklogPolicy::Refuse,
        WS_BACKLOG_DROP_OLDEST => BacklogPolicy::DropOldest,
        WS_BACKLOG_CLOSE => BacklogPolicy::Close,
        _ => return Err(Failure::argument("backlog: policy is no WS_BACKLOG_...")),
    };
    Ok(Backlog::new().limit(limit).policy(policy))
}

/// How much may wait to be sent on connections from `ws_dial` or `ws_listen`, and what happens with a
/// message that does not fit. Default: 1 MiB and `WS_BACKLOG_WAIT`.
///
/// With any other policy no write ever waits: what the system does not take at once stays in the
/// backlog, and leaves in the background as the peer makes room. Pings, Pongs and Close always find
/// room.
///
/// @param options  options.
/// @param limit    the high-water mark, in bytes, with the headers of frames. When nothing waits, any
///                 message fits. With `WS_BACKLOG_WAIT` it counts for `ws_broadcast` and `ws_publish`
///                 only.
/// @param policy   one of `WS_BACKLOG_WAIT`, `WS_BACKLOG_REFUSE`, `WS_BACKLOG_DROP_OLDEST`,
///                 `WS_BACKLOG_CLOSE`.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_set_write_backlog(
    options: *mut ws_options,
    limit: usize,
    policy: i32,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            let backlog = backlog(limit, policy)?;
            choices.dial = choices.dial.write_backlog(backlog);
            choices.listen = choices.listen.write_backlog(backlog);
            Ok(choices)
        })
    }
}

/// Chooses the same for one connection, from now on. A write that waits goes on waiting, and what was
/// accepted before is never dropped.
///
/// @param ws      a connection. One that was accepted and not answered yet is upgraded first.
/// @param limit   as for `ws_options_set_write_backlog`.
/// @param policy  as for `ws_options_set_write_backlog`.
/// @param err     where to tell a failure, or NULL.
/// @return        `WS_OK`, `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`, `WS_NO_MEMORY`, `WS_INTERNAL`; and
///                what `ws_upgrade` returns, where it upgrades.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_set_write_backlog(
    ws: ws_conn,
    limit: usize,
    policy: i32,
    err: *mut ws_error,
) -> ws_status {
    let body = || {
        let backlog = backlog(limit, policy)?;
        with(ws, |connection| {
            connection.set_backlog(backlog);
            Ok(())
        })
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

/// Tells how much waits to be sent: what was accepted and the system has not taken. Before the upgrade
/// that is nothing.
///
/// @param ws     a connection.
/// @param bytes  where to put how many bytes, with the headers of frames. Over TLS up to 48 KiB more
///               may be sealed already.
/// @param err    where to tell a failure, or NULL.
/// @return       `WS_OK`, `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`, `WS_INTERNAL`; for one that could
///               not be upgraded or was refused, why.
///
/// Threads: any. Waits for nothing. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_backlog(
    ws: ws_conn,
    bytes: *mut usize,
    err: *mut ws_error,
) -> ws_status {
    let body = || {
        let out = arguments::output(bytes, "backlog: bytes is NULL")?;
        let conn = handles().connection(ws)?;
        let waiting = conn.look(|_| 0, |connection| connection.backlog().bytes)?;
        // SAFETY: not NULL, and the caller's to be written.
        unsafe { out.write(waiting) };
        Ok(())
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}
