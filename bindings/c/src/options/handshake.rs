//! Choices for the opening handshake.

use std::ffi::c_char;

use super::{change, flag, ws_options};
use crate::arguments;
use crate::error::{Failure, ws_error};
use crate::status::ws_status;

/// Adds a header: to the request of `ws_dial`, to the answer of `ws_upgrade` or `ws_refuse`. May be
/// called again for more. In a dial, "Host" replaces the one made from the URL; in a refusal,
/// "Content-Type" replaces that of plain text. Default: none.
///
/// @param options  options.
/// @param name     the header's name. Those that make the handshake, such as "Upgrade" and all that
///                 begin with "Sec-WebSocket-", are the library's.
/// @param value    its value, without line breaks; it may hold bytes over 0x7F.
/// @param err      where to tell a failure, or NULL.
/// @return         `WS_OK`, `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE` (not options, or freed already),
///                 `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_add_header(
    options: *mut ws_options,
    name: *const c_char,
    value: *const c_char,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: the caller lends the texts, or NULL, to this call; `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            let name = arguments::text(name, "header: name is NULL", "header: name is not UTF-8")?;
            let value = arguments::c_string(value, "header: value is NULL")?.to_bytes();
            choices.dial = choices.dial.header(name, value)?;
            choices.upgrade = choices.upgrade.header(name, value)?;
            choices.refuse = choices.refuse.header(name, value)?;
            Ok(choices)
        })
    }
}

/// Adds a subprotocol (RFC 6455, 1.9). `ws_dial` offers them, the first added liked best;
/// `ws_listen` speaks them, and an upgrade chooses the first of them that the client offers;
/// `ws_upgrade` chooses it, which must be one alone. Default: none.
///
/// @param options  options.
/// @param name     the subprotocol, such as "chat": a token, without spaces or commas, not added
///                 before.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_add_subprotocol(
    options: *mut ws_options,
    name: *const c_char,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: the caller lends the text, or NULL, to this call; `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            let is_null = "subprotocol: name is NULL";
            let name = arguments::text(name, is_null, "subprotocol: name is not UTF-8")?;
            choices.dial = choices.dial.subprotocol(name)?;
            choices.listen = choices.listen.subprotocol(name)?;
            choices.upgrade = choices.upgrade.subprotocol(name)?;
            choices.subprotocols += 1;
            Ok(choices)
        })
    }
}

/// Whether there must be a subprotocol: `ws_dial` gives `WS_NO_SUBPROTOCOL` when the server chooses
/// none of those offered, `ws_listen` answers 400 to clients that offer none of those spoken.
/// Default: 0.
///
/// @param options   options.
/// @param required  0: no; anything else: yes.
/// @param err       where to tell a failure, or NULL.
/// @return          as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_require_subprotocol(
    options: *mut ws_options,
    required: i32,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            choices.dial = choices.dial.require_subprotocol(flag(required));
            choices.listen = choices.listen.require_subprotocol(flag(required));
            Ok(choices)
        })
    }
}

/// Sets the "Origin" header of `ws_dial`, as a browser does (RFC 6455, 4.1). Default: none.
///
/// @param options  options.
/// @param origin   such as "https://example.org".
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_set_origin(
    options: *mut ws_options,
    origin: *const c_char,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: the caller lends the text, or NULL, to this call; `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            let is_null = "origin: origin is NULL";
            let origin = arguments::text(origin, is_null, "origin: origin is not UTF-8")?;
            choices.dial = choices.dial.origin(origin)?;
            Ok(choices)
        })
    }
}

/// Lets browsers connect to `ws_listen` from pages of an origin (RFC 6455, 10.2). May be called
/// again for more. Default: only from pages of the same host and port; programs that send no
/// "Origin" are not concerned.
///
/// @param options  options.
/// @param origin   such as "https://example.org", or "*" for any.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_allow_origin(
    options: *mut ws_options,
    origin: *const c_char,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: the caller lends the text, or NULL, to this call; `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            let is_null = "origin: origin is NULL";
            let origin = arguments::text(origin, is_null, "origin: origin is not UTF-8")?;
            choices.listen = choices.listen.allow_origin(origin)?;
            Ok(choices)
        })
    }
}

/// Whether `ws_accept` and `ws_serve` also give clients that ask for no upgrade, such as a browser for
/// a page: they have no header "Upgrade" (see `ws_request_header`), and cannot be upgraded. Answer them
/// with `ws_refuse`, whose status may be 200. Default: 0, where they get 426.
///
/// @param options  options.
/// @param enabled  0: no; anything else: yes.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_allow_plain_requests(
    options: *mut ws_options,
    enabled: i32,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            choices.listen = choices.listen.plain_requests(flag(enabled));
            Ok::<_, Failure>(choices)
        })
    }
}

/// Whether `ws_dial` keeps the answer of a server that refuses, to be looked at. It is `WS_OK`
/// then, and gives a connection in `WS_STATE_CLOSED`: see `ws_response_status`, `ws_response_header`
/// and `ws_response_body`. Reading and writing give `WS_REFUSED`; end it with `ws_close`. Default: 0,
/// where a refusal is `WS_REFUSED` and no connection.
///
/// @param options  options.
/// @param enabled  0: no; anything else: yes.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_keep_refusal(
    options: *mut ws_options,
    enabled: i32,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            choices.keeps_refusal = flag(enabled);
            Ok::<_, Failure>(choices)
        })
    }
}
