//! Dialling.

use std::ffi::c_char;

use engine::{Connection, Deadline, Error};

use crate::arguments;
use crate::connection::{Conn, ws_conn};
use crate::error::{Failure, ws_error};
use crate::guard;
use crate::handles::handles;
use crate::memory;
use crate::options::{choices, ws_options};
use crate::status::ws_status;

/// Dials a WebSocket server: resolves its name, connects, through a proxy if one was chosen, makes
/// the opening handshake, and follows redirects. Waits as long as `ws_options_set_dial_timeout` says
/// (10 seconds) for all of that together; nothing else ends the wait, since there is no handle yet.
///
/// @param url      such as "ws://localhost:8080/talk-to-server", or for a Unix socket
///                 "ws+unix:///run/app.sock:/talk-to-server", "ws+unix:@name:/talk-to-server" for an
///                 abstract one. "ws://user:password@host/" sends them as basic authentication, and
///                 shows them nowhere.
/// @param options  what to choose, or NULL for the defaults.
/// @param ws       where to put the connection, which you end with `ws_close` or `ws_abort`.
/// @param err      where to tell a failure, or NULL.
/// @return         `WS_OK`;
///                 `WS_INVALID_ARGUMENT`, `WS_INVALID_URL`, `WS_UNSUPPORTED` (wss:// in a build
///                 without TLS): nothing was tried;
///                 `WS_RESOLVE`: there is no such host;
///                 `WS_IO`: no connection to it, such as when nobody listens there;
///                 `WS_TIMED_OUT`: the time passed;
///                 `WS_TLS`: no TLS session with it, such as when its certificate is not
///                 trusted; `err` says why;
///                 `WS_PROXY`: the proxy does not connect to it;
///                 `WS_REDIRECT`: it redirects to where this does not go;
///                 `WS_REFUSED`: the server answered, but not with an upgrade. `err` has its HTTP
///                 status;
///                 `WS_HANDSHAKE`: its answer breaks the rules;
///                 `WS_NO_SUBPROTOCOL`: one was required, and the server chose none;
///                 `WS_CONNECTION_LOST`: it went away before it answered;
///                 `WS_BAD_HANDLE`: the options are none; `WS_NO_MEMORY`, `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_dial(
    url: *const c_char,
    options: *const ws_options,
    ws: *mut ws_conn,
    err: *mut ws_error,
) -> ws_status {
    let body = || {
        let ws = arguments::output(ws, "dial: ws is NULL")?;
        // SAFETY: the caller lends the text, or NULL, to this call.
        let url = unsafe { arguments::text(url, "dial: url is NULL", "dial: url is not UTF-8")? };
        memory::check()?;
        let choices = choices(options)?;
        let keeps_refusal = choices.keeps_refusal;
        let number = kept(choices.dial().dial(url), keeps_refusal)?;
        // SAFETY: not NULL, and the caller's to be written.
        unsafe { ws.write(number) };
        Ok(())
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

/// Dials over a stream socket that is connected already: to another address than the URL names, from
/// a certain one, or through something that the library does not know. Only the opening handshake is
/// made; no proxy is used, and no redirect followed.
///
/// @param fd       a connected stream socket of any family. With `WS_OK` it belongs to the library,
///                 which may have given it another number; with anything else it stays yours, and
///                 is of no use to anybody once the handshake has begun.
/// @param url      what the request asks for.
/// @param options  what to choose, or NULL for the defaults.
/// @param ws       where to put the connection, which you end with `ws_close` or `ws_abort`.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_dial`, and `WS_INVALID_ARGUMENT`: there is no such descriptor.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_dial_fd(
    fd: i32,
    url: *const c_char,
    options: *const ws_options,
    ws: *mut ws_conn,
    err: *mut ws_error,
) -> ws_status {
    let body = || {
        let ws = arguments::output(ws, "dial: ws is NULL")?;
        // SAFETY: the caller lends the text, or NULL, to this call.
        let url = unsafe { arguments::text(url, "dial: url is NULL", "dial: url is not UTF-8")? };
        memory::check()?;
        let choices = choices(options)?;
        let keeps_refusal = choices.keeps_refusal;
        let socket = arguments::descriptor(fd)?;
        let dialled = choices.dial().dial_on(socket, url, Deadline::NEVER);
        let number = kept(dialled, keeps_refusal)?;
        // SAFETY: it is open, since it could be duplicated, and the caller gives it away.
        unsafe { arguments::close_descriptor(fd) };
        // SAFETY: not NULL, and the caller's to be written.
        unsafe { ws.write(number) };
        Ok(())
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

/// The handle of what a dial came to.
fn kept(dialled: engine::Result<Connection>, keeps_refusal: bool) -> Result<ws_conn, Failure> {
    let conn = match dialled {
        Ok(connection) => Conn::dialled(connection),
        Err(refusal @ Error::Refused(_)) if keeps_refusal => Conn::refused(refusal),
        Err(error) => return Err(error.into()),
    };
    handles().add_connection(conn)
}
