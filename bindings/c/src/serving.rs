//! Serving by events: a few threads, any number of connections, and functions that are told.

use std::cell::Cell;
use std::ffi::{c_char, c_void};
use std::sync::Arc;

use engine::{Connection, Error, Handler, Message, MessageKind, Request};

use crate::arguments;
use crate::connection::{Conn, ws_conn};
use crate::error::{Failure, ws_error};
use crate::guard;
use crate::handles::handles;
use crate::memory;
use crate::message::{WS_BINARY, WS_TEXT};
use crate::server::ws_listener;
use crate::status::ws_status;

/// What `ws_serve` calls. Begin with `ws_handlers handlers = {.size = sizeof handlers};`, set what you
/// want to be told of, and leave the rest NULL.
///
/// Each connection has one thread, which makes all calls for it, one after the other; while a call
/// lasts, the other connections of that thread wait. Nothing that a handler calls on them waits for a
/// peer. A handler must return, not leave by longjmp or an exception.
#[repr(C)]
#[allow(non_camel_case_types)]
#[derive(Clone, Copy)]
pub struct ws_handlers {
    /// `sizeof(ws_handlers)`: a later version has more at the end.
    pub size: usize,
    /// Given to every call as it is.
    pub user: *mut c_void,
    /// A client asks. Look at its request; say yes with `ws_upgrade`, no with `ws_refuse`, or with
    /// `ws_refuse` and status 200 give a page (see `ws_options_allow_plain_requests`). One that is not
    /// answered here is upgraded. NULL upgrades all.
    pub on_request: Option<unsafe extern "C" fn(user: *mut c_void, ws: ws_conn)>,
    /// A connection is open. `*state` is NULL, and yours to set: it is given to the calls below.
    pub on_open:
        Option<unsafe extern "C" fn(user: *mut c_void, ws: ws_conn, state: *mut *mut c_void)>,
    /// A message has come: `len` bytes at `data`, with a NUL after them, lent for the length of the
    /// call; `type` is `WS_TEXT` or `WS_BINARY`.
    pub on_message: Option<
        unsafe extern "C" fn(
            user: *mut c_void,
            ws: ws_conn,
            state: *mut c_void,
            r#type: i32,
            data: *const c_char,
            len: usize,
        ),
    >,
    /// A connection has ended, with `end`, such as `WS_CLOSED`: once for each that was opened. The
    /// handle is gone afterwards; it is gone already if you closed it.
    pub on_close: Option<
        unsafe extern "C" fn(
            user: *mut c_void,
            ws: ws_conn,
            state: *mut c_void,
            end: *const ws_error,
        ),
    >,
}

/// What became of the connections when `ws_serve` was shut down. Yours, on your stack; its layout is
/// frozen.
#[repr(C)]
#[allow(non_camel_case_types)]
pub struct ws_serve_report {
    /// Connections that were closed in order.
    pub closed: u64,
    /// Connections whose peers did not answer in time, or were lost.
    pub unanswered: u64,
    /// Room for what future versions tell; 0.
    pub private_room: [u64; 6],
}

/// The functions of the program.
struct Program(ws_handlers);

// SAFETY: they are called on several threads, and `user` is given to them there, as the header says;
// what that means for what it points to is the program's to see to.
unsafe impl Sync for Program {}

/// What is kept for a connection.
struct Kept {
    ws: ws_conn,
    state: *mut c_void,
}

// SAFETY: it is given to the program only, one call after the other; see `Program`.
unsafe impl Send for Kept {}

thread_local! {
    /// The handle of the client that this thread has just upgraded.
    static UPGRADED: Cell<ws_conn> = const { Cell::new(0) };
}

impl Handler for Program {
    type State = Kept;

    fn request(&self, request: Request) -> engine::Result<Option<Connection>> {
        let not_served = |failure: Failure| Error::InvalidState(failure.to_string().into());
        let conn = Arc::new(Conn::asked(request));
        let ws = handles().add_shared(conn.clone()).map_err(not_served)?;
        if let Some(on_request) = self.0.on_request {
            // SAFETY: the program promises that its function may be called like this.
            unsafe { on_request(self.0.user, ws) };
        }
        if handles().connection(ws).is_err() {
            // The program has ended it, one way or another.
            return Ok(None);
        }
        match conn.connection() {
            Ok(connection) => {
                UPGRADED.set(ws);
                Ok(Some(connection.clone()))
            }
            Err(failure) => {
                let _ = handles().take_connection(ws);
                Err(not_served(failure))
            }
        }
    }

    fn open(&self, _: &Connection) -> Kept {
        let mut kept = Kept {
            ws: UPGRADED.take(),
            state: std::ptr::null_mut(),
        };
        if let Some(on_open) = self.0.on_open {
            // SAFETY: the program promises that its function may be called like this.
            unsafe { on_open(self.0.user, kept.ws, &mut kept.state) };
        }
        kept
    }

    fn message(&self, _: &Connection, kept: &mut Kept, message: &Message) {
        let Some(on_message) = self.0.on_message else {
            return;
        };
        let kind = match message.kind() {
            MessageKind::Text => WS_TEXT,
            MessageKind::Binary => WS_BINARY,
        };
        let data = message.as_bytes();
        let (ws, state) = (kept.ws, kept.state);
        // SAFETY: the program promises that its function may be called like this. The engine has put a
        // NUL behind the payload that it lends.
        unsafe {
            on_message(
                self.0.user,
                ws,
                state,
                kind,
                data.as_ptr().cast(),
                data.len(),
            )
        };
    }

    fn closed(&self, _: &Connection, kept: Kept, end: &Error) {
        if let Some(on_close) = self.0.on_close {
            let end = ws_error::of(end);
            // SAFETY: the program promises that its function may be called like this.
            unsafe { on_close(self.0.user, kept.ws, kept.state, &end) };
        }
        // Unless the program has.
        let _ = handles().take_connection(kept.ws);
    }
}

/// Serves any number of connections with few threads: calls the handlers until the listener is closed
/// and the last connection has ended, or after `ws_shutdown`. Meanwhile `ws_accept` is
/// `WS_INVALID_STATE`.
///
/// The connections are ordinary handles, but that nobody reads them: any thread may write to them, close
/// them or ask them, at any time, and so may a handler. What a handler writes leaves when it has dealt
/// with what was received, many answers together; what the peer does not take is kept up to the limit of
/// `ws_options_set_write_backlog` (1 MiB), where writes on these threads are `WS_WOULD_BLOCK`, writes on
/// others wait, and nothing more is read from the peer. `ws_close` in a handler only begins to close.
///
/// @param listener  a listener.
/// @param handlers  what to call; copied. The functions may be called until this returns.
/// @param threads   how many threads serve, of which the calling one is the first: 1 to 1024. Each client
///                  goes to the one that has the fewest.
/// @param report    where to tell what became of the connections, or NULL.
/// @param err       where to tell a failure, or NULL.
/// @return          `WS_OK`;
///                  `WS_INVALID_STATE`: it is served already, another thread accepts, or a handler calls
///                  this;
///                  `WS_INVALID_ARGUMENT`: handlers is NULL, its size is none, or threads is;
///                  `WS_ABORTED`: the listener is closed;
///                  `WS_IO`: the system cannot wait, or has no threads left;
///                  `WS_BAD_HANDLE`, `WS_NO_MEMORY`, `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_serve(
    listener: ws_listener,
    handlers: *const ws_handlers,
    threads: i32,
    report: *mut ws_serve_report,
    err: *mut ws_error,
) -> ws_status {
    let body = || {
        if handlers.is_null() {
            return Err(Failure::argument("serve: handlers is NULL"));
        }
        // SAFETY: not NULL, and the caller lends it to this call; whatever its version, it begins so.
        let size = unsafe { (&raw const (*handlers).size).read() };
        // All that this version knows has been there from the first on.
        if size < size_of::<ws_handlers>() {
            let reason = "serve: the size of handlers is too small; begin with its sizeof";
            return Err(Failure::argument(reason));
        }
        // SAFETY: it is as large as it must be.
        let program = Program(unsafe { handlers.read() });
        let threads = usize::try_from(threads)
            .map_err(|_| Failure::argument("serve: threads is not from 1 to 1024"))?;
        memory::check()?;
        let served = handles().listener(listener)?.serve(&program, threads)?;
        if !report.is_null() {
            let told = ws_serve_report {
                closed: served.closed as u64,
                unanswered: served.unanswered as u64,
                private_room: [0; 6],
            };
            // SAFETY: not NULL, and the caller's to be written.
            unsafe { report.write(told) };
        }
        Ok(())
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

/// Shuts down what `ws_serve` does: no more clients come, every connection is closed with `code` and
/// `reason`, and those that have not answered in time are ended. Waits for nothing: `ws_serve` returns
/// when all have ended. The handle of the listener stays.
///
/// @param listener    a listener that is served.
/// @param code        why, as for `ws_close`, such as `WS_CLOSE_GOING_AWAY`.
/// @param reason      a text for the peers' logs, at most 123 bytes, or NULL.
/// @param timeout_ms  how long the peers may take, in milliseconds.
/// @param err         where to tell a failure, or NULL.
/// @return            `WS_OK`, `WS_INVALID_STATE` (nobody serves it), `WS_INVALID_ARGUMENT`,
///                    `WS_BAD_HANDLE`, `WS_INTERNAL`.
///
/// Threads: any, also those that serve. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_shutdown(
    listener: ws_listener,
    code: i32,
    reason: *const c_char,
    timeout_ms: i64,
    err: *mut ws_error,
) -> ws_status {
    let body = || {
        let code = u16::try_from(code)
            .map_err(|_| Failure::argument("shutdown: code is no close code"))?;
        // SAFETY: the caller lends the text, or NULL, to this call.
        let reason = unsafe { arguments::optional_text(reason, "shutdown: reason is not UTF-8")? };
        let timeout = arguments::milliseconds(timeout_ms)?.unwrap_or(std::time::Duration::MAX);
        handles()
            .listener(listener)?
            .shutdown(code.into(), reason, timeout)?;
        Ok(())
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}
