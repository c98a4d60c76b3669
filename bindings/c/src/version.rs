//! The version of the library, and what it can do.

use std::ffi::{CStr, c_char};

use crate::guard;

const VERSION: &CStr = {
    let bytes = concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes();
    match CStr::from_bytes_with_nul(bytes) {
        Ok(version) => version,
        Err(_) => panic!("a version has no NUL inside"),
    }
};

/// wss:// URLs (TLS).
pub const WS_FEATURE_TLS: i32 = 1;
/// Compressed messages (permessage-deflate, RFC 7692).
pub const WS_FEATURE_DEFLATE: i32 = 2;
/// Dialling through HTTP and SOCKS proxies.
pub const WS_FEATURE_PROXY: i32 = 3;
/// Unix sockets: ws+unix:// URLs.
pub const WS_FEATURE_UNIX_SOCKETS: i32 = 4;
/// Pings for silent peers: see `ws_options_set_keepalive`.
pub const WS_FEATURE_KEEPALIVE: i32 = 5;
/// Serving by events: see `ws_serve`.
pub const WS_FEATURE_EVENTS: i32 = 6;
/// Backlogs, prepared messages, broadcasts and topics: see `ws_options_set_write_backlog`,
/// `ws_broadcast`.
pub const WS_FEATURE_BROADCAST: i32 = 7;

const BUILT_IN: &[(i32, bool)] = &[
    (WS_FEATURE_TLS, cfg!(feature = "tls")),
    (WS_FEATURE_DEFLATE, cfg!(feature = "deflate")),
    (WS_FEATURE_PROXY, true),
    (WS_FEATURE_UNIX_SOCKETS, true),
    (WS_FEATURE_KEEPALIVE, true),
    (WS_FEATURE_EVENTS, true),
    (WS_FEATURE_BROADCAST, true),
];

/// The version of the library that the program runs with, such as "0.1.0". `TALKWS_VERSION` is that
/// of the header it was built with.
///
/// @return  a text that is never NULL and lives as long as the library. Do not free it.
///
/// Threads: any, at any time. Since 0.1.0.
#[unsafe(no_mangle)]
pub extern "C" fn ws_version() -> *const c_char {
    VERSION.as_ptr()
}

/// Whether this build of the library can do something that not every build or version can.
///
/// @param feature  `WS_FEATURE_TLS` or another of its kind.
/// @return         1: yes; 0: no, or nobody knows such a feature.
///
/// Threads: any, at any time. Since 0.1.0.
#[unsafe(no_mangle)]
pub extern "C" fn ws_has(feature: i32) -> i32 {
    guard::or(0, || Some(i32::from(BUILT_IN.contains(&(feature, true)))))
}
