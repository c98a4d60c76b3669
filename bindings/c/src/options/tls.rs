//! Choices for TLS: whom to trust, and what to show.

use std::ffi::{OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use engine::{ClientAuth, TlsVersion};

use super::{change, flag, ws_options};
use crate::arguments;
use crate::error::{Failure, ws_error};
use crate::status::ws_status;

/// A server asks no client for a certificate.
pub const WS_CLIENT_AUTH_NONE: i32 = 0;
/// It asks; who shows none is welcome too.
pub const WS_CLIENT_AUTH_OPTIONAL: i32 = 1;
/// It asks, and turns away who shows none.
pub const WS_CLIENT_AUTH_REQUIRED: i32 = 2;

/// TLS 1.2 (RFC 5246).
pub const WS_TLS_1_2: i32 = 2;
/// TLS 1.3 (RFC 8446).
pub const WS_TLS_1_3: i32 = 3;

/// Adds a certificate and its private key: `ws_listen` shows it to clients, which a wss:// URL needs;
/// `ws_dial` shows the one added last to a server that asks for one. With several, a client gets the
/// first that is valid for the name it asks for (SNI; RFC 6066, 3), or else the first of all. The
/// files are read now; `ws_listen` and `ws_listener_reload` read them again. Default: none.
///
/// @param options  options.
/// @param chain    a PEM file with the certificate and those above it, its own first.
/// @param key      a PEM file with the private key, not encrypted. It may be the same file.
/// @param err      where to tell a failure, or NULL.
/// @return         `WS_OK`;
///                 `WS_INVALID_ARGUMENT`: there is none in it, it is broken, or the key is another;
///                 `WS_IO`: the file cannot be read; `WS_UNSUPPORTED`: this build has no TLS;
///                 `WS_BAD_HANDLE` (not options, or freed already), `WS_NO_MEMORY`, `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_add_certificate(
    options: *mut ws_options,
    chain: *const c_char,
    key: *const c_char,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: the caller lends the texts, or NULL, to this call; `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            let chain = file(chain, "certificate: chain is NULL")?;
            let key = file(key, "certificate: key is NULL")?;
            choices.client_tls = choices.client_tls.certificate_files(chain, key)?;
            choices.server_tls = choices.server_tls.certificate_files(chain, key)?;
            choices.has_certificate = true;
            Ok(choices)
        })
    }
}

/// Like `ws_options_add_certificate`, from memory.
///
/// @param options    options.
/// @param chain      PEM with the certificate and those above it, its own first.
/// @param chain_len  its length in bytes.
/// @param key        PEM with the private key, not encrypted.
/// @param key_len    its length in bytes.
/// @param err        where to tell a failure, or NULL.
/// @return           as `ws_options_add_certificate`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_add_certificate_pem(
    options: *mut ws_options,
    chain: *const c_char,
    chain_len: usize,
    key: *const c_char,
    key_len: usize,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: the caller lends the bytes to this call; `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            let chain = arguments::bytes(chain.cast(), chain_len)?;
            let key = arguments::bytes(key.cast(), key_len)?;
            choices.client_tls = choices.client_tls.certificate_pem(chain, key)?;
            choices.server_tls = choices.server_tls.certificate_pem(chain, key)?;
            choices.has_certificate = true;
            Ok(choices)
        })
    }
}

/// Trusts certificate authorities: `ws_dial` to make certificates of servers, instead of those of
/// the system (see `ws_options_use_system_cas`); `ws_listen` to make certificates of clients (see
/// `ws_options_set_client_auth`). May be called again for more. Default: those of the system, for
/// `ws_dial`.
///
/// @param options  options.
/// @param path     a PEM file with their certificates.
/// @param err      where to tell a failure, or NULL.
/// @return         `WS_OK`;
///                 `WS_INVALID_ARGUMENT`: there is none in it, or it is broken;
///                 `WS_IO`: the file cannot be read; `WS_UNSUPPORTED`: this build has no TLS;
///                 `WS_BAD_HANDLE` (not options, or freed already), `WS_NO_MEMORY`, `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_add_ca_file(
    options: *mut ws_options,
    path: *const c_char,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: the caller lends the texts, or NULL, to this call; `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            let path = file(path, "CA file: path is NULL")?;
            choices.client_tls = choices.client_tls.ca_file(path)?;
            choices.server_tls = choices.server_tls.client_ca_file(path)?;
            Ok(choices)
        })
    }
}

/// Like `ws_options_add_ca_file`, from memory.
///
/// @param options  options.
/// @param pem      PEM with their certificates.
/// @param len      its length in bytes.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_ca_file`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_add_ca_pem(
    options: *mut ws_options,
    pem: *const c_char,
    len: usize,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: the caller lends the bytes to this call; `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            let pem = arguments::bytes(pem.cast(), len)?;
            choices.client_tls = choices.client_tls.ca_pem(pem)?;
            choices.server_tls = choices.server_tls.client_ca_pem(pem)?;
            Ok(choices)
        })
    }
}

/// Whether `ws_dial` trusts the certificate authorities of the system. Default: yes, unless
/// `ws_options_add_ca_file` or `ws_options_add_ca_pem` named others.
///
/// @param options  options.
/// @param enabled  0: no; anything else: yes.
/// @param err      where to tell a failure, or NULL.
/// @return         `WS_OK`, `WS_BAD_HANDLE` (not options, or freed already), `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_use_system_cas(
    options: *mut ws_options,
    enabled: i32,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            choices.client_tls = choices.client_tls.system_cas(flag(enabled));
            Ok(choices)
        })
    }
}

/// Turns away a peer whose certificate, or one of those above it, is revoked by a list
/// (RFC 5280, 5). Certificates of authorities without a list pass; a list that is out of date fails.
/// May be called again for more. Default: none.
///
/// @param options  options.
/// @param path     a PEM file with lists.
/// @param err      where to tell a failure, or NULL.
/// @return         `WS_OK`;
///                 `WS_INVALID_ARGUMENT`: there is none in it, or it is broken;
///                 `WS_IO`: the file cannot be read; `WS_UNSUPPORTED`: this build has no TLS;
///                 `WS_BAD_HANDLE` (not options, or freed already), `WS_NO_MEMORY`, `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_add_crl_file(
    options: *mut ws_options,
    path: *const c_char,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: the caller lends the texts, or NULL, to this call; `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            let path = file(path, "CRL file: path is NULL")?;
            choices.client_tls = choices.client_tls.crl_file(path)?;
            choices.server_tls = choices.server_tls.crl_file(path)?;
            Ok(choices)
        })
    }
}

/// Like `ws_options_add_crl_file`, from memory.
///
/// @param options  options.
/// @param pem      PEM with lists.
/// @param len      its length in bytes.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_crl_file`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_add_crl_pem(
    options: *mut ws_options,
    pem: *const c_char,
    len: usize,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: the caller lends the bytes to this call; `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            let pem = arguments::bytes(pem.cast(), len)?;
            choices.client_tls = choices.client_tls.crl_pem(pem)?;
            choices.server_tls = choices.server_tls.crl_pem(pem)?;
            Ok(choices)
        })
    }
}

/// Sets the name, or IP address, that the server's certificate must be valid for, and that `ws_dial`
/// asks for (SNI; RFC 6066, 3). Default: the host of the URL.
///
/// @param options  options.
/// @param name     such as "chat.example.org".
/// @param err      where to tell a failure, or NULL.
/// @return         `WS_OK`, `WS_INVALID_ARGUMENT`, `WS_UNSUPPORTED` (this build has no TLS),
///                 `WS_BAD_HANDLE` (not options, or freed already), `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_set_server_name(
    options: *mut ws_options,
    name: *const c_char,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: the caller lends the texts, or NULL, to this call; `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            let is_null = "server name: name is NULL";
            let name = arguments::text(name, is_null, "server name: name is not UTF-8")?;
            choices.client_tls = choices.client_tls.server_name(name)?;
            Ok(choices)
        })
    }
}

/// Sets the oldest version of TLS that is spoken. Default: `WS_TLS_1_2`.
///
/// @param options  options.
/// @param oldest   `WS_TLS_1_2` or `WS_TLS_1_3`.
/// @param err      where to tell a failure, or NULL.
/// @return         `WS_OK`, `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE` (not options, or freed already),
///                 `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_set_tls_min_version(
    options: *mut ws_options,
    oldest: i32,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            let oldest = match oldest {
                WS_TLS_1_2 => TlsVersion::Tls12,
                WS_TLS_1_3 => TlsVersion::Tls13,
                _ => {
                    let reason = "TLS version: oldest is not WS_TLS_1_2 or WS_TLS_1_3";
                    return Err(Failure::argument(reason));
                }
            };
            choices.client_tls = choices.client_tls.min_version(oldest);
            choices.server_tls = choices.server_tls.min_version(oldest);
            Ok(choices)
        })
    }
}

/// Lets `ws_dial` accept only a server whose own certificate has this key, besides all else that is
/// checked. May be called again for others, one of which must be met. Default: any key.
///
/// @param options  options.
/// @param pin      the SHA-256 of the certificate's SubjectPublicKeyInfo in base64, perhaps after
///                 "sha256//", as curl has it. The error for a wrong one tells the right one.
/// @param err      where to tell a failure, or NULL.
/// @return         `WS_OK`, `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE` (not options, or freed already),
///                 `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_add_pin(
    options: *mut ws_options,
    pin: *const c_char,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: the caller lends the texts, or NULL, to this call; `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            let pin = arguments::text(pin, "pin: pin is NULL", "pin: pin is not UTF-8")?;
            choices.client_tls = choices.client_tls.pin(pin)?;
            Ok(choices)
        })
    }
}

/// Lets `ws_dial` accept any certificate of the server, whoever made it and whatever its name and
/// date: then anybody on the way can read and change everything. For tests; or with
/// `ws_options_add_pin`, which still counts, for a server with a certificate of its own making.
/// Default: 0.
///
/// @param options   options.
/// @param accepted  0: no; anything else: yes.
/// @param err       where to tell a failure, or NULL.
/// @return          `WS_OK`, `WS_BAD_HANDLE` (not options, or freed already), `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_danger_accept_any_certificate(
    options: *mut ws_options,
    accepted: i32,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            let accepted = flag(accepted);
            choices.client_tls = choices.client_tls.danger_accept_any_certificate(accepted);
            Ok(choices)
        })
    }
}

/// Whether `ws_listen` asks clients for certificates, which the authorities of
/// `ws_options_add_ca_file` must have made; see `ws_peer_certificate`. Default:
/// `WS_CLIENT_AUTH_NONE`.
///
/// @param options  options.
/// @param auth     `WS_CLIENT_AUTH_NONE`, `WS_CLIENT_AUTH_OPTIONAL` or `WS_CLIENT_AUTH_REQUIRED`.
/// @param err      where to tell a failure, or NULL.
/// @return         `WS_OK`, `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE` (not options, or freed already),
///                 `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_set_client_auth(
    options: *mut ws_options,
    auth: i32,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            let auth = match auth {
                WS_CLIENT_AUTH_NONE => ClientAuth::None,
                WS_CLIENT_AUTH_OPTIONAL => ClientAuth::Optional,
                WS_CLIENT_AUTH_REQUIRED => ClientAuth::Required,
                _ => {
                    return Err(Failure::argument(
                        "client auth: auth is not WS_CLIENT_AUTH_...",
                    ));
                }
            };
            choices.server_tls = choices.server_tls.client_auth(auth);
            Ok(choices)
        })
    }
}

/// The path of a file.
///
/// # Safety
///
/// As for [`arguments::text`].
unsafe fn file<'a>(path: *const c_char, is_null: &'static str) -> Result<&'a Path, Failure> {
    // SAFETY: the caller of this function promises it.
    let path = unsafe { arguments::c_string(path, is_null)? };
    Ok(Path::new(OsStr::from_bytes(path.to_bytes())))
}
