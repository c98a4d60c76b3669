//! Choices of the way to a server, and of what is in front of one.

use std::ffi::c_char;

use engine::Forwarding;

use super::{change, choices, ws_options};
use crate::arguments;
use crate::error::{Failure, ws_error};
use crate::guard;
use crate::status::ws_status;

/// A proxy names its client in the header "Forwarded" (RFC 7239).
pub const WS_FORWARDED: i32 = 1;
/// A proxy names its client in the header "X-Forwarded-For", and the host in "X-Forwarded-Host".
pub const WS_X_FORWARDED_FOR: i32 = 2;
/// A proxy begins each connection with the PROXY protocol of HAProxy, version 1 or 2.
pub const WS_PROXY_PROTOCOL: i32 = 3;

/// Has `ws_dial` go through a proxy, for which its timeout holds too. The proxy gets nothing of what
/// is for the server, nor the server of what is for the proxy; a Unix socket needs none. Default:
/// no proxy.
///
/// @param options  options.
/// @param url      such as "http://user:password@proxy.example:3128". The scheme is "http" or "https"
///                 (CONNECT; RFC 9110, 9.3.6), "socks5" (RFC 1928), where this end resolves the
///                 server's name, or "socks5h", where the proxy does. NULL: no proxy.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`, and `WS_INVALID_URL`: no proxy has such a URL.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_set_proxy(
    options: *mut ws_options,
    url: *const c_char,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: the caller lends the text, or NULL, to this call; `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            choices.dial = if url.is_null() {
                choices.dial.no_proxy()
            } else {
                let url = arguments::text(url, "", "proxy: url is not UTF-8")?;
                choices.dial.proxy(url)?
            };
            Ok(choices)
        })
    }
}

/// Whom to trust as an https:// proxy, and who this end is to it: what other options say of TLS. Those
/// of `options` itself are for the server alone. Default: whom the system trusts.
///
/// @param options  options.
/// @param tls      other options, which may be freed right after the call; NULL for the default.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_set_proxy_tls(
    options: *mut ws_options,
    tls: *const ws_options,
    err: *mut ws_error,
) -> ws_status {
    // Before the options are locked, which may be the same.
    let tls = guard::or(Err(Failure::BadOptions), || Some(choices(tls)));
    // SAFETY: `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            let Ok(tls) = &tls else {
                return Err(Failure::BadOptions);
            };
            choices.dial = choices.dial.proxy_tls(tls.client_tls.clone());
            Ok(choices)
        })
    }
}

/// Has `ws_dial` go through the proxy that the environment names then: in "ws_proxy" for ws://,
/// "wss_proxy" for wss://, or else "socks_proxy", "https_proxy", for ws:// also "http_proxy", and
/// last "all_proxy". Hosts in "no_proxy" are dialled directly: names with all below them, addresses,
/// networks such as 10.0.0.0/8, each perhaps with a port, or "*" for all, with commas between them.
/// Names in upper case do too, but not "HTTP_PROXY", which a client of a CGI program can set. Do not
/// change the environment while a dial reads it (setenv(3)).
///
/// @param options  options.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_use_proxy_env(
    options: *mut ws_options,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            choices.dial = choices.dial.proxy_from_env();
            Ok(choices)
        })
    }
}

/// How many redirects `ws_dial` follows (301, 302, 303, 307, 308; RFC 9110, 15.4), one after the
/// other; more are `WS_REDIRECT`, and so is one from wss to ws. To another origin (scheme, host, port)
/// go no user and password of the URL, and none of the headers "Authorization", "Cookie",
/// "Proxy-Authorization" and "Host"; all other headers do. Default: 10.
///
/// @param options  options.
/// @param count    how many; 0: none, a redirect is a refusal like others.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_set_max_redirects(
    options: *mut ws_options,
    count: u32,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            choices.dial = choices.dial.max_redirects(count);
            Ok(choices)
        })
    }
}

/// Has `ws_listen` believe a proxy in front of it, such as nginx or HAProxy, who its client is:
/// `ws_peer_address` is the client's address then, and `ws_direct_peer_address` the proxy's. May be
/// called again for more proxies, all of which tell it in the same way. A list in a header is gone
/// through from its end, past the addresses of proxies that are believed themselves. For browsers the
/// host counts that the proxy says it was asked for. Choose what the proxy sets: it may let other
/// headers pass as the client has sent them. Default: nobody is believed.
///
/// @param options  options.
/// @param network  where the proxy is: an address, a network such as "10.0.0.0/8", or "unix" for
///                 whoever comes through a Unix socket.
/// @param tells    `WS_FORWARDED`, `WS_X_FORWARDED_FOR` or `WS_PROXY_PROTOCOL`, with which each of its
///                 connections must begin.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_trust_proxy(
    options: *mut ws_options,
    network: *const c_char,
    tells: i32,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: the caller lends the text, or NULL, to this call; `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            let is_null = "trusted proxy: network is NULL";
            let network = arguments::text(network, is_null, "trusted proxy: network is not UTF-8")?;
            let tells = match tells {
                WS_FORWARDED => Forwarding::Forwarded,
                WS_X_FORWARDED_FOR => Forwarding::XForwardedFor,
                WS_PROXY_PROTOCOL => Forwarding::ProxyProtocol,
                _ => {
                    let reason =
                        "trusted proxy: tells is none of the ways to tell, such as WS_FORWARDED";
                    return Err(Failure::argument(reason));
                }
            };
            choices.listen = choices.listen.trust_proxy(network, tells)?;
            Ok(choices)
        })
    }
}
