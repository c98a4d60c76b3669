//! Choices for the sockets.

use super::{change, flag, in_range, ws_options};
use crate::error::{Failure, ws_error};
use crate::status::ws_status;

/// The most that a socket's buffer may be asked for: what `setsockopt` takes.
const LARGEST_BUFFER: usize = i32::MAX as usize;

/// How many connections of `ws_listen` the system holds while nobody accepts (listen(2)). Default:
/// 1,024.
///
/// @param options  options.
/// @param count    from 1 to 65,535; the system may hold fewer.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_set_backlog(
    options: *mut ws_options,
    count: i32,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            let count = u16::try_from(count).ok().filter(|&count| count > 0);
            let refused = Failure::argument("options: the backlog must be from 1 to 65,535");
            choices.listen = choices.listen.backlog(count.ok_or(refused)?);
            Ok(choices)
        })
    }
}

/// How much the system may hold of what has come and was not read, and of what was written and was
/// not sent (SO_RCVBUF, SO_SNDBUF), on connections from `ws_dial` or `ws_listen`. Default: what the
/// system thinks right.
///
/// @param options  options.
/// @param receive  in bytes; 0 leaves it to the system.
/// @param send     in bytes; 0 leaves it to the system.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_set_socket_buffers(
    options: *mut ws_options,
    receive: usize,
    send: usize,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            let receive = in_range(receive, 0..=LARGEST_BUFFER, "the receive buffer")?;
            let send = in_range(send, 0..=LARGEST_BUFFER, "the send buffer")?;
            choices.dial = choices.dial.socket_buffers(receive, send);
            choices.listen = choices.listen.socket_buffers(receive, send);
            Ok(choices)
        })
    }
}

/// The permissions of the file that `ws_listen` makes for a Unix socket: who may write to it may
/// connect. Nobody gets in with wider ones, not even for a moment. Default: what the umask leaves.
///
/// @param options  options.
/// @param mode     such as 0660, from 0 to 0777.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_set_unix_mode(
    options: *mut ws_options,
    mode: u32,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            let mode = in_range(mode as usize, 0..=0o777, "the mode of a Unix socket")?;
            choices.listen = choices.listen.unix_mode(mode as u32);
            Ok(choices)
        })
    }
}

/// Whether `ws_listen` may take a port on which connections of an earlier server linger
/// (SO_REUSEADDR). Default: 1.
///
/// @param options  options.
/// @param enabled  0: no; anything else: yes.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_set_reuse_address(
    options: *mut ws_options,
    enabled: i32,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            choices.listen = choices.listen.reuse_address(flag(enabled));
            Ok(choices)
        })
    }
}

/// Whether several listeners, of this process or others, may share the port of `ws_listen`, each of
/// which gets a share of the clients (SO_REUSEPORT). All of them must want it. Default: 0.
///
/// @param options  options.
/// @param enabled  0: no; anything else: yes.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_set_reuse_port(
    options: *mut ws_options,
    enabled: i32,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            choices.listen = choices.listen.reuse_port(flag(enabled));
            Ok(choices)
        })
    }
}
