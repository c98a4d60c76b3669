//! `ws_listener`: listening, accepting in two steps, upgrading or refusing.

use std::ffi::c_char;

use crate::arguments;
use crate::connection::{Conn, ws_conn};
use crate::error::{Failure, ws_error};
use crate::guard;
use crate::handles::handles;
use crate::memory;
use crate::message::ws_message;
use crate::options::{choices, ws_options};
use crate::status::ws_status;

/// A listening server: a handle that `ws_listen` gave. Zero is none.
#[allow(non_camel_case_types)]
pub type ws_listener = u64;

/// Listens for WebSocket clients, at every address that the URL's host has. To find those of a name
/// may take as long as the system's resolver does; an address is not waited for.
///
/// @param url       such as "ws://localhost:8080/talk-to-server". Its path is the only one that is
///                  served, others get 404; without a path all are. Port 0 takes a free one, which
///                  `ws_port` tells. "ws+unix:///run/app.sock:/talk-to-server" listens on a Unix
///                  socket: a file of that name is replaced when it is a socket on which nobody
///                  listens any more, and closing the listener removes its own.
/// @param options   what to choose, or NULL for the defaults.
/// @param listener  where to put the listener, which you end with `ws_listener_close`.
/// @param err       where to tell a failure, or NULL.
/// @return          `WS_OK`;
///                  `WS_INVALID_ARGUMENT`, `WS_INVALID_URL` (also wss:// without a certificate, see
///                  `ws_options_add_certificate`), `WS_UNSUPPORTED` (wss:// in a build without
///                  TLS): nothing was tried;
///                  `WS_RESOLVE`: there is no such host;
///                  `WS_IO`: the system does not allow it, such as when the port is taken;
///                  `WS_BAD_HANDLE`: the options are none; `WS_NO_MEMORY`, `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_listen(
    url: *const c_char,
    options: *const ws_options,
    listener: *mut ws_listener,
    err: *mut ws_error,
) -> ws_status {
    let body = || {
        let listener = arguments::output(listener, "listen: listener is NULL")?;
        // SAFETY: the caller lends the text, or NULL, to this call.
        let url =
            unsafe { arguments::text(url, "listen: url is NULL", "listen: url is not UTF-8")? };
        memory::check()?;
        let listener_of = choices(options)?.listen().listen(url)?;
        let number = handles().add_listener(listener_of)?;
        // SAFETY: not NULL, and the caller's to be written.
        unsafe { listener.write(number) };
        Ok(())
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

/// Listens with a stream socket that listens already, and serves all paths. A connected one is a client
/// that has come already, and the only one: inetd, or systemd with Accept=yes, starts a program for
/// each. The second `ws_accept` is `WS_ABORTED` then.
///
/// @param fd        a listening or connected stream socket of any family. With `WS_OK` it belongs to
///                  the library, which may have given it another number and puts it into
///                  non-blocking mode; with anything else it stays yours.
/// @param options   what to choose, or NULL for the defaults.
/// @param listener  where to put the listener, which you end with `ws_listener_close`.
/// @param err       where to tell a failure, or NULL.
/// @return          `WS_OK`;
///                  `WS_INVALID_ARGUMENT`: there is no such descriptor, or it is neither;
///                  `WS_IO`: it is no socket;
///                  `WS_BAD_HANDLE`: the options are none; `WS_NO_MEMORY`, `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_listen_fd(
    fd: i32,
    options: *const ws_options,
    listener: *mut ws_listener,
    err: *mut ws_error,
) -> ws_status {
    let body = || {
        let listener = arguments::output(listener, "listen: listener is NULL")?;
        memory::check()?;
        let choices = choices(options)?;
        let socket = arguments::descriptor(fd)?;
        let number = handles().add_listener(choices.listen().listen_on([socket])?)?;
        // SAFETY: it is open, since it could be duplicated, and the caller gives it away.
        unsafe { arguments::close_descriptor(fd) };
        // SAFETY: not NULL, and the caller's to be written.
        unsafe { listener.write(number) };
        Ok(())
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

/// Listens on the sockets that systemd has opened for this process by a socket unit
/// (sd_listen_fds(3)), and serves all paths. Each can be taken once. With Accept=yes it is a client, see
/// `ws_listen_fd`.
///
/// @param name      only those of this name (FileDescriptorName=, which is that of the unit unless
///                  given), or NULL for all.
/// @param options   what to choose, or NULL for the defaults.
/// @param listener  where to put the listener, which you end with `ws_listener_close`.
/// @param err       where to tell a failure, or NULL.
/// @return          as `ws_listen_fd`, and `WS_IO`: there are none.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_listen_systemd(
    name: *const c_char,
    options: *const ws_options,
    listener: *mut ws_listener,
    err: *mut ws_error,
) -> ws_status {
    let body = || {
        let listener = arguments::output(listener, "listen: listener is NULL")?;
        let name = if name.is_null() {
            None
        } else {
            // SAFETY: the caller lends the text to this call.
            Some(unsafe { arguments::text(name, "", "listen: name is not UTF-8")? })
        };
        memory::check()?;
        let listener_of = choices(options)?.listen().listen_systemd(name)?;
        let number = handles().add_listener(listener_of)?;
        // SAFETY: not NULL, and the caller's to be written.
        unsafe { listener.write(number) };
        Ok(())
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

/// The port on which a listener listens; 0 for a Unix socket, which has none.
///
/// @param listener  a listener.
/// @param port      where to put the port, in the order of this machine's bytes.
/// @param err       where to tell a failure, or NULL.
/// @return          `WS_OK`, `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`, `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_port(
    listener: ws_listener,
    port: *mut u16,
    err: *mut ws_error,
) -> ws_status {
    let body = || {
        let port = arguments::output(port, "port: port is NULL")?;
        let address = handles().listener(listener)?.local_addr();
        // SAFETY: not NULL, and the caller's to be written.
        unsafe { port.write(address.port()) };
        Ok(())
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

/// The URL to dial a listener: that which it was given, with the port that it has. With an address
/// for a host that means "all", such as 0.0.0.0, clients elsewhere need another one.
///
/// @param listener  a listener.
/// @param url       where to put the URL, such as "ws://localhost:43210/talk-to-server".
/// @param err       where to tell a failure, or NULL.
/// @return          `WS_OK`, `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`, `WS_NO_MEMORY`, `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_listener_url(
    listener: ws_listener,
    url: *mut ws_message,
    err: *mut ws_error,
) -> ws_status {
    let body = || {
        let url = arguments::output(url, "listener: url is NULL")?;
        // SAFETY: not NULL; the caller has begun it, and lends it to this call alone.
        let url = unsafe { &mut *url };
        url.clear();
        url.put(handles().listener(listener)?.url().as_bytes())
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

/// Waits for the next client that asks to be upgraded, and gives a connection that is not answered
/// yet. `ws_upgrade` says yes, and so does the first read or write; `ws_refuse` says no, and so does
/// `ws_close`.
///
/// Clients that are slow to ask, or ask wrongly, are answered inside and hold nobody up. All
/// handshakes go on while any thread waits here; while none does, the system keeps the clients.
///
/// @param listener    a listener.
/// @param ws          where to put the connection, which you end with `ws_close`, `ws_abort` or
///                    `ws_refuse`. It lives on when the listener is closed.
/// @param timeout_ms  how long to wait, in milliseconds: 0 takes only what needs no waiting,
///                    `WS_FOREVER` waits as long as it takes.
/// @param err         where to tell a failure, or NULL.
/// @return            `WS_OK`;
///                    `WS_TIMED_OUT`: nobody came, and nobody was harmed, call again;
///                    `WS_ABORTED`: another thread closed the listener meanwhile, or there are no
///                    more clients to come, see `ws_listen_fd`;
///                    `WS_IO`: the system cannot wait;
///                    `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`, `WS_NO_MEMORY`, `WS_INTERNAL`.
///
/// Threads: any, and many at once; each client goes to one of them. Give each connection a thread
/// of its own, and upgrade there. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_accept(
    listener: ws_listener,
    ws: *mut ws_conn,
    timeout_ms: i64,
    err: *mut ws_error,
) -> ws_status {
    let body = || {
        let ws = arguments::output(ws, "accept: ws is NULL")?;
        let deadline = arguments::deadline(timeout_ms)?;
        memory::check()?;
        let request = handles().listener(listener)?.accept_within(deadline)?;
        let number = handles().add_connection(Conn::asked(request))?;
        // SAFETY: not NULL, and the caller's to be written.
        unsafe { ws.write(number) };
        Ok(())
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

/// Says yes to a client that was accepted: the connection is open from here on. Waits until the
/// answer is sent, at most as long as `ws_options_set_handshake_timeout` says (10 seconds).
///
/// @param ws       a connection that `ws_accept` gave, not answered yet.
/// @param options  headers for the answer, and the subprotocol to choose, one alone; or NULL.
/// @param err      where to tell a failure, or NULL.
/// @return         `WS_OK`;
///                 `WS_INVALID_STATE`: it is open already, which does it no harm;
///                 `WS_CONNECTION_LOST`: the client has gone. `ws` is yours to close;
///                 `WS_INVALID_ARGUMENT`: it cannot be upgraded with these options, such as a
///                 subprotocol that it did not offer, and still waits for an answer;
///                 `WS_BAD_HANDLE`, `WS_ABORTED`, `WS_REFUSED` (a dial that was refused), `WS_IO`,
///                 `WS_NO_MEMORY`, `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_upgrade(
    ws: ws_conn,
    options: *const ws_options,
    err: *mut ws_error,
) -> ws_status {
    let body = || {
        memory::check()?;
        let choices = choices(options)?;
        if choices.subprotocols > 1 {
            let reason = "upgrade: the options name several subprotocols; choose one";
            return Err(Failure::argument(reason));
        }
        let conn = handles().connection(ws)?;
        guard::on(&conn, |conn| conn.upgrade(choices.upgrade))
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

/// Says no to a client that was accepted, and ends the handle. Waits for nothing: what the client
/// does not take at once goes out while somebody accepts.
///
/// @param ws           a connection that `ws_accept` gave, not answered yet. It is gone after
///                     `WS_OK`, and as it was after anything else.
/// @param http_status  the HTTP status, from 200 to 599, such as 403.
/// @param body         a text for whoever reads the answer, or NULL.
/// @param options      headers for the answer, or NULL.
/// @param err          where to tell a failure, or NULL.
/// @return             `WS_OK`;
///                     `WS_INVALID_STATE`: it is open already, which does it no harm;
///                     `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`, `WS_CONNECTION_LOST`, `WS_ABORTED`,
///                     `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_refuse(
    ws: ws_conn,
    http_status: i32,
    body: *const c_char,
    options: *const ws_options,
    err: *mut ws_error,
) -> ws_status {
    let refuse = || {
        // SAFETY: the caller lends the text, or NULL, to this call.
        let body = unsafe { arguments::optional_text(body, "refuse: body is not UTF-8")? };
        // Here too, since the engine takes the request along when it says no.
        let http_status = u16::try_from(http_status)
            .ok()
            .filter(|status| (200..=599).contains(status))
            .ok_or_else(|| Failure::argument("refuse: http_status is not from 200 to 599"))?;
        let options = choices(options)?.refuse;
        let conn = handles().connection(ws)?;
        guard::on(&conn, |conn| conn.refuse(http_status, body, options))?;
        // Another thread may have closed it meanwhile.
        let _ = handles().take_connection(ws);
        Ok(())
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, refuse) }
}

/// Stops listening, and ends the handle. Clients that were not accepted are dropped; connections
/// that were, live on.
///
/// @param listener  a listener. It is gone afterwards.
/// @param err       where to tell a failure, or NULL.
/// @return          `WS_OK`, `WS_BAD_HANDLE` (also for whoever closes second), `WS_INTERNAL`.
///
/// Threads: any; every `ws_accept` that waits in another thread returns `WS_ABORTED`. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_listener_close(listener: ws_listener, err: *mut ws_error) -> ws_status {
    let body = || {
        handles().take_listener(listener)?.close();
        Ok(())
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}
