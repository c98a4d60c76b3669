//! Looking at what the two ends of a connection over TLS agreed upon, and renewing what a listener
//! shows.

use engine::{Connection, Request, TlsInfo, TlsVersion};

use crate::arguments;
use crate::connection::{Conn, ws_conn};
use crate::error::{Failure, ws_error};
use crate::guard;
use crate::handles::handles;
use crate::look;
use crate::memory;
use crate::message::ws_message;
use crate::options::tls::{WS_TLS_1_2, WS_TLS_1_3};
use crate::server::ws_listener;
use crate::status::ws_status;

fn info(conn: &Conn) -> Result<TlsInfo, Failure> {
    let info = conn.look(Request::tls, Connection::tls)?;
    info.ok_or(Failure::NotFound("tls: the connection is not TLS"))
}

/// Runs a look that gives a number.
///
/// # Safety
///
/// `number` is NULL or room for a number, `err` is NULL or has the room, and nobody else uses them
/// meanwhile.
unsafe fn number(
    ws: ws_conn,
    number: *mut i32,
    err: *mut ws_error,
    look: impl FnOnce(&TlsInfo) -> i32,
) -> ws_status {
    let body = || {
        let out = arguments::output(number, "tls: there is no room for the number")?;
        let info = info(&*handles().connection(ws)?)?;
        // SAFETY: not NULL, and the caller's to be written.
        unsafe { out.write(look(&info)) };
        Ok(())
    };
    // SAFETY: promised by the caller of this function.
    unsafe { guard::call(err, body) }
}

/// The version of TLS that the two ends agreed upon.
///
/// @param ws       a connection.
/// @param version  where to put `WS_TLS_1_2` or `WS_TLS_1_3`.
/// @param err      where to tell a failure, or NULL.
/// @return         `WS_OK`, `WS_NOT_FOUND` (it is not TLS), `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`,
///                 `WS_REFUSED` (a dial that was refused), `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_tls_version(
    ws: ws_conn,
    version: *mut i32,
    err: *mut ws_error,
) -> ws_status {
    let look = |info: &TlsInfo| match info.version {
        TlsVersion::Tls12 => WS_TLS_1_2,
        _ => WS_TLS_1_3,
    };
    // SAFETY: the same is promised to this function.
    unsafe { number(ws, version, err, look) }
}

/// Whether an earlier TLS session was resumed.
///
/// @param ws       a connection.
/// @param resumed  where to put 1 or 0.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_tls_version`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_tls_resumed(
    ws: ws_conn,
    resumed: *mut i32,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: the same is promised to this function.
    unsafe { number(ws, resumed, err, |info| i32::from(info.is_resumed)) }
}

/// The cipher suite that the two ends agreed upon, such as "TLS13_AES_128_GCM_SHA256".
///
/// @param ws      a connection.
/// @param cipher  where to put its name.
/// @param err     where to tell a failure, or NULL.
/// @return        as `ws_tls_version`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_tls_cipher(
    ws: ws_conn,
    cipher: *mut ws_message,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: the same is promised to this function.
    unsafe {
        look::text(ws, cipher, err, |conn, text| {
            text.put(info(conn)?.cipher.as_bytes())
        })
    }
}

/// A certificate that the other end showed, in DER.
///
/// @param ws           a connection; also one that waits for `ws_upgrade`.
/// @param index        0 for its own, then those above it.
/// @param certificate  where to put it.
/// @param err          where to tell a failure, or NULL.
/// @return             as `ws_tls_version`, and `WS_NOT_FOUND` past the last one: a client may show
///                     none.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_peer_certificate(
    ws: ws_conn,
    index: usize,
    certificate: *mut ws_message,
    err: *mut ws_error,
) -> ws_status {
    let look = |conn: &Conn, text: &mut ws_message| {
        let past_the_last = Failure::NotFound("certificate: the index is past the last one");
        let certificates = info(conn)?.peer_certificates;
        text.put(certificates.get(index).ok_or(past_the_last)?)
    };
    // SAFETY: the same is promised to this function.
    unsafe { look::text(ws, certificate, err, look) }
}

/// Reads the files of certificates, keys, authorities and revocation lists anew, and uses them with
/// all clients that come from now on; connections live on with what they have.
///
/// @param listener  a listener at a wss:// URL.
/// @param err       where to tell a failure, or NULL.
/// @return          `WS_OK`; after anything else all is as before: `WS_IO`, `WS_INVALID_ARGUMENT`
///                  (what is in the files), `WS_INVALID_STATE` (it does not speak TLS),
///                  `WS_BAD_HANDLE`, `WS_NO_MEMORY`, `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_listener_reload(
    listener: ws_listener,
    err: *mut ws_error,
) -> ws_status {
    let body = || {
        memory::check()?;
        Ok(handles().listener(listener)?.reload_tls()?)
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}
