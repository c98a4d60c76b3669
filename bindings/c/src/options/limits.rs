//! Choices of how long, how large and how many.

use std::time::Duration;

use super::{change, in_range, ws_options};
use crate::arguments::{WS_FOREVER, milliseconds};
use crate::error::{Failure, ws_error};
use crate::status::ws_status;

/// A timeout that may not be for ever.
fn bounded(timeout_ms: i64, least: i64) -> Result<Duration, Failure> {
    if timeout_ms < least {
        return Err(Failure::argument(
            "options: timeout_ms is too small; this timeout may not be WS_FOREVER either",
        ));
    }
    Ok(Duration::from_millis(timeout_ms.unsigned_abs()))
}

/// How long all of `ws_dial` may take: resolving, connecting and the handshake. Default: 10,000.
///
/// @param options     options.
/// @param timeout_ms  in milliseconds, or `WS_FOREVER`.
/// @param err         where to tell a failure, or NULL.
/// @return            as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_set_dial_timeout(
    options: *mut ws_options,
    timeout_ms: i64,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            choices.dial = choices.dial.timeout(milliseconds(timeout_ms)?);
            Ok(choices)
        })
    }
}

/// How long a client of `ws_listen` may take for its whole request, and to take the answer.
/// Default: 10,000.
///
/// @param options     options.
/// @param timeout_ms  in milliseconds, at least 1.
/// @param err         where to tell a failure, or NULL.
/// @return            as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_set_handshake_timeout(
    options: *mut ws_options,
    timeout_ms: i64,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            choices.listen = choices.listen.handshake_timeout(bounded(timeout_ms, 1)?);
            Ok(choices)
        })
    }
}

/// How long `ws_write` and `ws_write_part` may wait for the peer to make room, on connections from
/// `ws_dial` or `ws_listen`. Default: `WS_FOREVER`.
///
/// @param options     options.
/// @param timeout_ms  in milliseconds, or `WS_FOREVER`.
/// @param err         where to tell a failure, or NULL.
/// @return            as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_set_write_timeout(
    options: *mut ws_options,
    timeout_ms: i64,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            let timeout = milliseconds(timeout_ms)?;
            choices.dial = choices.dial.write_timeout(timeout);
            choices.listen = choices.listen.write_timeout(timeout);
            Ok(choices)
        })
    }
}

/// How long `ws_close` waits for the peer, on connections from `ws_dial` or `ws_listen`. Default:
/// 5,000.
///
/// @param options     options.
/// @param timeout_ms  in milliseconds, at least 0.
/// @param err         where to tell a failure, or NULL.
/// @return            as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_set_close_timeout(
    options: *mut ws_options,
    timeout_ms: i64,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            let timeout = bounded(timeout_ms, 0)?;
            choices.dial = choices.dial.close_timeout(timeout);
            choices.listen = choices.listen.close_timeout(timeout);
            Ok(choices)
        })
    }
}

/// The largest message that may come, on connections from `ws_dial` or `ws_listen`. A larger one is
/// `WS_TOO_BIG`, and ends the connection. Default: 16,777,216 (16 MiB).
///
/// @param options  options.
/// @param bytes    the size of its payload; `SIZE_MAX` for any.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_set_max_message_size(
    options: *mut ws_options,
    bytes: usize,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            choices.dial = choices.dial.max_message_size(bytes);
            choices.listen = choices.listen.max_message_size(bytes);
            Ok(choices)
        })
    }
}

/// How many clients of `ws_listen` may be in the middle of their request at a time; past that the
/// one that has waited longest goes. Default: 1,024.
///
/// @param options  options.
/// @param count    at least 1.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_set_max_pending(
    options: *mut ws_options,
    count: usize,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            let count = in_range(count, 1..=usize::MAX, "max_pending")?;
            choices.listen = choices.listen.max_pending(count);
            Ok(choices)
        })
    }
}

/// Sends a Ping when nothing has come from the peer for a while, and ends the connection
/// (`WS_CONNECTION_LOST`) when nothing comes after that either, on connections from `ws_dial` or
/// `ws_listen`. Any byte is a sign of life, also one that the program has not read yet. Silence is
/// measured to a quarter of the shorter time. Default: off.
///
/// One thread of the library's serves all connections that want this.
///
/// @param options      options.
/// @param interval_ms  how long the peer may be silent before it gets a Ping, in milliseconds; 0
///                     turns keepalive off.
/// @param timeout_ms   how much longer it may be silent then, in milliseconds, at least 1.
/// @param err          where to tell a failure, or NULL.
/// @return             as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_set_keepalive(
    options: *mut ws_options,
    interval_ms: i64,
    timeout_ms: i64,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            let interval = bounded(interval_ms, 0)?;
            let timeout = bounded(timeout_ms, i64::from(!interval.is_zero()))?;
            choices.dial = choices.dial.keepalive(interval, timeout);
            choices.listen = choices.listen.keepalive(interval, timeout);
            Ok(choices)
        })
    }
}

const _: () = assert!(WS_FOREVER < 0, "`bounded` takes it for too small");
