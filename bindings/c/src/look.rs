//! Looking at a connection: its state, what the two ends said to open it, their addresses, its end.

use std::ffi::c_char;
use std::net::SocketAddr;

use engine::ClosedBy;

use crate::arguments;
use crate::connection::{Conn, ws_conn};
use crate::error::{Failure, ws_error};
use crate::guard;
use crate::handles::handles;
use crate::message::ws_message;
use crate::status::ws_status;

/// The client was accepted, and has no answer yet: see `ws_upgrade` and `ws_refuse`.
pub const WS_STATE_REQUESTED: i32 = 0;
/// Messages go both ways.
pub const WS_STATE_OPEN: i32 = 1;
/// One end has said goodbye, and the other has not answered yet.
pub const WS_STATE_CLOSING: i32 = 2;
/// It has ended, in whatever way, or never opened.
pub const WS_STATE_CLOSED: i32 = 3;

/// This end said goodbye first.
pub const WS_CLOSED_BY_LOCAL: i32 = 1;
/// The other end said goodbye first.
pub const WS_CLOSED_BY_PEER: i32 = 2;

/// Runs a look that gives a text.
///
/// # Safety
///
/// `text` is NULL or was begun by the caller, `err` is NULL or has the room, and nobody else uses
/// them meanwhile.
pub(crate) unsafe fn text(
    ws: ws_conn,
    text: *mut ws_message,
    err: *mut ws_error,
    look: impl FnOnce(&Conn, &mut ws_message) -> Result<(), Failure>,
) -> ws_status {
    let body = || {
        let text = arguments::output(text, "look: there is no ws_message for the text")?;
        // SAFETY: not NULL, and the rest is promised by the caller of this function.
        let text = unsafe { &mut *text };
        text.clear();
        look(&*handles().connection(ws)?, text)
    };
    // SAFETY: promised by the caller of this function.
    unsafe { guard::call(err, body) }
}

fn named<'a>(
    headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    wanted: &str,
) -> Result<&'a [u8], Failure> {
    let mut values = headers.filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
    let (_, value) = values
        .next()
        .ok_or(Failure::NotFound("header: there is none of that name"))?;
    Ok(value)
}

/// Puts the header at an index into two messages.
fn numbered<'a>(
    mut headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    index: usize,
    name: &mut ws_message,
    value: &mut ws_message,
) -> Result<(), Failure> {
    let past_the_last = Failure::NotFound("header: the index is past the last one");
    let (its_name, its_value) = headers.nth(index).ok_or(past_the_last)?;
    name.put(its_name.as_bytes())?;
    value.put(its_value)
}

/// The two messages that a header goes into.
///
/// # Safety
///
/// Each is NULL, or was begun by the caller and is lent to this call alone.
unsafe fn header_outputs<'a>(
    name: *mut ws_message,
    value: *mut ws_message,
) -> Result<(&'a mut ws_message, &'a mut ws_message), Failure> {
    let name = arguments::output(name, "header: name is NULL")?;
    let value = arguments::output(value, "header: value is NULL")?;
    if name == value {
        return Err(Failure::argument(
            "header: name and value are the same ws_message",
        ));
    }
    // SAFETY: not NULL, not the same, and the rest is promised by the caller of this function.
    let (name, value) = unsafe { (&mut *name, &mut *value) };
    name.clear();
    value.clear();
    Ok((name, value))
}

/// How far a connection is.
///
/// @param ws     a connection.
/// @param state  where to put `WS_STATE_REQUESTED`, `WS_STATE_OPEN`, `WS_STATE_CLOSING` or
///               `WS_STATE_CLOSED`. That a peer has gone shows when somebody reads.
/// @param err    where to tell a failure, or NULL.
/// @return       `WS_OK`, `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`, `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_state(ws: ws_conn, state: *mut i32, err: *mut ws_error) -> ws_status {
    let body = || {
        let out = arguments::output(state, "state: state is NULL")?;
        let conn = handles().connection(ws)?;
        let state = conn.look(
            |_| WS_STATE_REQUESTED,
            |connection| match connection.end() {
                Some(_) => WS_STATE_CLOSED,
                None if connection.is_open() => WS_STATE_OPEN,
                None => WS_STATE_CLOSING,
            },
        );
        let state = match state {
            Err(failure @ Failure::Internal(_)) => return Err(failure),
            state => state.unwrap_or(WS_STATE_CLOSED),
        };
        // SAFETY: not NULL, and the caller's to be written.
        unsafe { out.write(state) };
        Ok(())
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

/// The path that was asked for, percent-encoded as it came, such as "/chat/1". The same on both ends,
/// if no proxy between them changes it.
///
/// @param ws    a connection.
/// @param path  where to put it.
/// @param err   where to tell a failure, or NULL.
/// @return      `WS_OK`, `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`, `WS_NO_MEMORY`, `WS_INTERNAL`; for
///              a connection that never opened, why.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_request_path(
    ws: ws_conn,
    path: *mut ws_message,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: the same is promised to this function.
    unsafe {
        text(ws, path, err, |conn, text| {
            conn.look_at_request(|head| text.put(head.path().as_bytes()))
        })
    }
}

/// The query that was asked for, percent-encoded as it came, without the question mark.
///
/// @param ws     a connection.
/// @param query  where to put it.
/// @param err    where to tell a failure, or NULL.
/// @return       as `ws_request_path`, and `WS_NOT_FOUND`: there was none.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_request_query(
    ws: ws_conn,
    query: *mut ws_message,
    err: *mut ws_error,
) -> ws_status {
    let look = |conn: &Conn, text: &mut ws_message| {
        conn.look_at_request(|head| {
            let none = Failure::NotFound("query: the request has none");
            text.put(head.query().ok_or(none)?.as_bytes())
        })
    };
    // SAFETY: the same is promised to this function.
    unsafe { text(ws, query, err, look) }
}

/// The value of a header of the request, without the white space around it. Of several with the same
/// name it is the first.
///
/// @param ws     a connection.
/// @param name   which header, in any case.
/// @param value  where to put its value; of type `WS_BINARY` when that is not UTF-8.
/// @param err    where to tell a failure, or NULL.
/// @return       as `ws_request_path`, and `WS_NOT_FOUND`: there is none of that name.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_request_header(
    ws: ws_conn,
    name: *const c_char,
    value: *mut ws_message,
    err: *mut ws_error,
) -> ws_status {
    let look = |conn: &Conn, text: &mut ws_message| {
        // SAFETY: the caller lends the text, or NULL, to this call.
        let name =
            unsafe { arguments::text(name, "header: name is NULL", "header: name is not UTF-8")? };
        conn.look_at_request(|head| text.put(named(head.headers(), name)?))
    };
    // SAFETY: the same is promised to this function.
    unsafe { text(ws, value, err, look) }
}

/// A header of the request by its place.
///
/// @param ws     a connection.
/// @param index  which header: 0 is the first.
/// @param name   where to put its name, as it came.
/// @param value  where to put its value; of type `WS_BINARY` when that is not UTF-8.
/// @param err    where to tell a failure, or NULL.
/// @return       as `ws_request_path`, and `WS_NOT_FOUND`: there are no more.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_request_header_at(
    ws: ws_conn,
    index: usize,
    name: *mut ws_message,
    value: *mut ws_message,
    err: *mut ws_error,
) -> ws_status {
    let body = || {
        // SAFETY: the same is promised to this function.
        let (name, value) = unsafe { header_outputs(name, value)? };
        let conn = handles().connection(ws)?;
        conn.look_at_request(|head| numbered(head.headers(), index, name, value))
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

/// A subprotocol that the client offers (RFC 6455, 1.9).
///
/// @param ws     a connection.
/// @param index  which one: 0 is the one it likes best.
/// @param name   where to put its name.
/// @param err    where to tell a failure, or NULL.
/// @return       as `ws_request_path`, and `WS_NOT_FOUND`: it offers no more.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_request_subprotocol(
    ws: ws_conn,
    index: usize,
    name: *mut ws_message,
    err: *mut ws_error,
) -> ws_status {
    let look = |conn: &Conn, text: &mut ws_message| {
        conn.look_at_request(|head| {
            let none = Failure::NotFound("subprotocol: the client offers no more");
            text.put(head.subprotocols().nth(index).ok_or(none)?.as_bytes())
        })
    };
    // SAFETY: the same is promised to this function.
    unsafe { text(ws, name, err, look) }
}

/// The HTTP status of the answer to a dial: 101, or that of a refusal that was kept (see
/// `ws_options_keep_refusal`).
///
/// @param ws           a connection that was dialled.
/// @param http_status  where to put the status.
/// @param err          where to tell a failure, or NULL.
/// @return             `WS_OK`, `WS_INVALID_STATE` (this end is the server), `WS_INVALID_ARGUMENT`,
///                     `WS_BAD_HANDLE`, `WS_INTERNAL`; for one that could not be upgraded, why.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_response_status(
    ws: ws_conn,
    http_status: *mut i32,
    err: *mut ws_error,
) -> ws_status {
    let body = || {
        let out = arguments::output(http_status, "response: http_status is NULL")?;
        let conn = handles().connection(ws)?;
        let status = conn.look_at_response(|head, _| Ok(head.status()))?;
        // SAFETY: not NULL, and the caller's to be written.
        unsafe { out.write(status.into()) };
        Ok(())
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

/// The value of a header of the answer to a dial, such as "Set-Cookie". Of several with the same
/// name it is the first.
///
/// @param ws     a connection that was dialled.
/// @param name   which header, in any case.
/// @param value  where to put its value; of type `WS_BINARY` when that is not UTF-8.
/// @param err    where to tell a failure, or NULL.
/// @return       as `ws_response_status`, and `WS_NOT_FOUND`: there is none of that name;
///               `WS_NO_MEMORY`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_response_header(
    ws: ws_conn,
    name: *const c_char,
    value: *mut ws_message,
    err: *mut ws_error,
) -> ws_status {
    let look = |conn: &Conn, text: &mut ws_message| {
        // SAFETY: the caller lends the text, or NULL, to this call.
        let name =
            unsafe { arguments::text(name, "header: name is NULL", "header: name is not UTF-8")? };
        conn.look_at_response(|head, _| text.put(named(head.headers(), name)?))
    };
    // SAFETY: the same is promised to this function.
    unsafe { text(ws, value, err, look) }
}

/// A header of the answer to a dial by its place.
///
/// @param ws     a connection that was dialled.
/// @param index  which header: 0 is the first.
/// @param name   where to put its name, as it came.
/// @param value  where to put its value; of type `WS_BINARY` when that is not UTF-8.
/// @param err    where to tell a failure, or NULL.
/// @return       as `ws_response_status`, and `WS_NOT_FOUND`: there are no more; `WS_NO_MEMORY`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_response_header_at(
    ws: ws_conn,
    index: usize,
    name: *mut ws_message,
    value: *mut ws_message,
    err: *mut ws_error,
) -> ws_status {
    let body = || {
        // SAFETY: the same is promised to this function.
        let (name, value) = unsafe { header_outputs(name, value)? };
        let conn = handles().connection(ws)?;
        conn.look_at_response(|head, _| numbered(head.headers(), index, name, value))
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

/// The beginning of the body of a refusal that was kept (see `ws_options_keep_refusal`): at most 64
/// KiB, as far as it came before the dial's timeout. Empty for an upgrade.
///
/// @param ws    a connection that was dialled.
/// @param body  where to put it; of type `WS_BINARY` when it is not UTF-8.
/// @param err   where to tell a failure, or NULL.
/// @return      as `ws_response_status`, and `WS_NO_MEMORY`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_response_body(
    ws: ws_conn,
    body: *mut ws_message,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: the same is promised to this function.
    unsafe {
        text(ws, body, err, |conn, text| {
            conn.look_at_response(|_, body| text.put(body))
        })
    }
}

/// The subprotocol that the two ends agreed upon (RFC 6455, 1.9).
///
/// @param ws    a connection.
/// @param name  where to put its name.
/// @param err   where to tell a failure, or NULL.
/// @return      as `ws_request_path`, and `WS_NOT_FOUND`: there is none, or not yet.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_subprotocol(
    ws: ws_conn,
    name: *mut ws_message,
    err: *mut ws_error,
) -> ws_status {
    let look = |conn: &Conn, text: &mut ws_message| {
        let none = || Failure::NotFound("subprotocol: none was agreed upon");
        let mut put = |name: &str| text.put(name.as_bytes());
        conn.look(
            |_| Err(none()),
            |connection| put(connection.subprotocol().ok_or_else(none)?),
        )?
    };
    // SAFETY: the same is promised to this function.
    unsafe { text(ws, name, err, look) }
}

/// What the two ends agreed upon for compressing messages (RFC 7692), such as
/// "permessage-deflate; server_no_context_takeover; client_max_window_bits=12".
///
/// @param ws          a connection.
/// @param parameters  where to put it.
/// @param err         where to tell a failure, or NULL.
/// @return            as `ws_request_path`, and `WS_NOT_FOUND`: none are compressed, or the client
///                    waits for its answer yet.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_deflate_parameters(
    ws: ws_conn,
    parameters: *mut ws_message,
    err: *mut ws_error,
) -> ws_status {
    let look = |conn: &Conn, text: &mut ws_message| {
        let none = || Failure::NotFound("deflate: no messages are compressed");
        let agreed = conn.look(|_| None, engine::Connection::deflate_parameters)?;
        text.put(agreed.ok_or_else(none)?.to_string().as_bytes())
    };
    // SAFETY: the same is promised to this function.
    unsafe { text(ws, parameters, err, look) }
}

fn put_address(address: Option<SocketAddr>, text: &mut ws_message) -> Result<(), Failure> {
    let unknown = Failure::NotFound("address: the system does not know it");
    text.put(address.ok_or(unknown)?.to_string().as_bytes())
}

/// The address of the other end, such as "192.0.2.1:50000" or "[2001:db8::1]:50000". On a server it is
/// the client's, also when a proxy named it that is believed (`ws_options_trust_proxy`); the port is 0
/// then if the proxy does not say.
///
/// @param ws       a connection.
/// @param address  where to put it.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_request_path`, and `WS_NOT_FOUND`: nobody knows it, as with a Unix socket.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_peer_address(
    ws: ws_conn,
    address: *mut ws_message,
    err: *mut ws_error,
) -> ws_status {
    let look = |conn: &Conn, text: &mut ws_message| {
        let address = conn.look(engine::Request::peer_addr, engine::Connection::peer_addr)?;
        put_address(address, text)
    };
    // SAFETY: the same is promised to this function.
    unsafe { text(ws, address, err, look) }
}

/// The address of who is at the other end of the stream: that of `ws_peer_address`, or of the proxy
/// before it, if that was believed (`ws_options_trust_proxy`).
///
/// @param ws       a connection.
/// @param address  where to put it.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_peer_address`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_direct_peer_address(
    ws: ws_conn,
    address: *mut ws_message,
    err: *mut ws_error,
) -> ws_status {
    let look = |conn: &Conn, text: &mut ws_message| {
        let address = conn.look(
            engine::Request::direct_peer_addr,
            engine::Connection::direct_peer_addr,
        )?;
        put_address(address, text)
    };
    // SAFETY: the same is promised to this function.
    unsafe { text(ws, address, err, look) }
}

/// The address of this end.
///
/// @param ws       a connection.
/// @param address  where to put it.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_peer_address`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_local_address(
    ws: ws_conn,
    address: *mut ws_message,
    err: *mut ws_error,
) -> ws_status {
    let look = |conn: &Conn, text: &mut ws_message| {
        let address = conn.look(engine::Request::local_addr, engine::Connection::local_addr)?;
        put_address(address, text)
    };
    // SAFETY: the same is promised to this function.
    unsafe { text(ws, address, err, look) }
}

/// How a connection was closed, once both ends have said goodbye, as `ws_read` found or another
/// thread's `ws_close`. The handle must still be there: look before you close it.
///
/// @param ws         a connection.
/// @param code       where to put the peer's code, `WS_CLOSE_NO_STATUS` when it gave none; or NULL.
/// @param closed_by  where to put who began, `WS_CLOSED_BY_LOCAL` or `WS_CLOSED_BY_PEER`; or NULL.
/// @param reason     where to put the peer's reason, often empty; or NULL.
/// @param err        where to tell a failure, or NULL.
/// @return           `WS_OK`, `WS_BAD_HANDLE`, `WS_NO_MEMORY`, `WS_INTERNAL`;
///                   `WS_NOT_FOUND`: it is not closed, or ended in another way, which `ws_read`
///                   tells; for one that never opened, why.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_close_info(
    ws: ws_conn,
    code: *mut i32,
    closed_by: *mut i32,
    reason: *mut ws_message,
    err: *mut ws_error,
) -> ws_status {
    let body = || {
        // SAFETY: NULL, or the caller has begun it and lends it to this call alone.
        let mut reason = unsafe { reason.as_mut() };
        if let Some(reason) = &mut reason {
            reason.clear();
        }
        let conn = handles().connection(ws)?;
        let info = conn.look(|_| None, engine::Connection::close_info)?;
        let info = info.ok_or(Failure::NotFound("close: it is not closed in due form"))?;
        if let Some(reason) = reason {
            reason.put(info.reason.as_bytes())?;
        }
        if !code.is_null() {
            // SAFETY: not NULL, and the caller's to be written.
            unsafe { code.write(u16::from(info.code).into()) };
        }
        if !closed_by.is_null() {
            let by = match info.by {
                ClosedBy::Local => WS_CLOSED_BY_LOCAL,
                ClosedBy::Peer => WS_CLOSED_BY_PEER,
            };
            // SAFETY: as above.
            unsafe { closed_by.write(by) };
        }
        Ok(())
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}
