//! The log: what the engine says of its own accord, handed to a callback.

use std::cell::Cell;
use std::ffi::{CString, c_char, c_void};
use std::ptr;
use std::sync::{Once, PoisonError, RwLock};

use engine::Error;
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::error::{Failure, ws_error};
use crate::guard;
use crate::status::ws_status;

/// Nothing at all.
pub const WS_LOG_OFF: i32 = 0;
/// What the library cannot go on with.
pub const WS_LOG_ERROR: i32 = 1;
/// What somebody should look into: peers that break rules, a system that is exhausted.
pub const WS_LOG_WARN: i32 = 2;
/// What happens seldom: listeners, lost connections.
pub const WS_LOG_INFO: i32 = 3;
/// What happens to each connection.
pub const WS_LOG_DEBUG: i32 = 4;
/// Every step.
pub const WS_LOG_TRACE: i32 = 5;

/// Gets what the library logs, a line at a time, without a line break at its end.
///
/// `level` is `WS_LOG_ERROR` to `WS_LOG_TRACE`, `target` says which part speaks, such as
/// "talkws::server", `user` is what was given to `ws_set_log`. The texts are valid during the call.
/// It is called by whichever thread has something to say, by several at once; what it does itself
/// with the library is not logged. It must return.
///
/// It is called in the middle of what it hears of: there, to read from, write to or close that very
/// connection, or to accept on or close that listener, may wait for ever. Leave that to another
/// thread, or until the call has returned.
#[allow(non_camel_case_types)]
pub type ws_log_callback = Option<
    unsafe extern "C" fn(
        level: i32,
        target: *const c_char,
        message: *const c_char,
        user: *mut c_void,
    ),
>;

struct Callback {
    function: ws_log_callback,
    user: *mut c_void,
}

// SAFETY: the pointer is not followed here; whoever gave it has promised that the function may get
// it in any thread.
unsafe impl Send for Callback {}
// SAFETY: as above.
unsafe impl Sync for Callback {}

/// Held for reading while it is called, so that one that was replaced is not running any more.
static CALLBACK: RwLock<Callback> = RwLock::new(Callback {
    function: None,
    user: ptr::null_mut(),
});

thread_local! {
    /// Whether this thread is inside the callback.
    static IS_INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Forgets that this thread is inside the callback, whatever happens there.
struct Inside;

impl Drop for Inside {
    fn drop(&mut self) {
        IS_INSIDE.set(false);
    }
}

struct Logger;

impl Log for Logger {
    /// What the crates below have to say is not for users: at `WS_LOG_TRACE` they would tell whole
    /// requests, passwords and all.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("talkws")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        if IS_INSIDE.replace(true) {
            return;
        }
        let _inside = Inside;
        let callback = CALLBACK.read().unwrap_or_else(PoisonError::into_inner);
        let Some(function) = callback.function else {
            return;
        };
        let level = match record.level() {
            Level::Error => WS_LOG_ERROR,
            Level::Warn => WS_LOG_WARN,
            Level::Info => WS_LOG_INFO,
            Level::Debug => WS_LOG_DEBUG,
            Level::Trace => WS_LOG_TRACE,
        };
        let target = text(record.target().to_owned());
        let message = text(record.args().to_string());
        // SAFETY: the program promised that the function may be called so; the texts are
        // NUL-terminated and live until it returns.
        unsafe { function(level, target.as_ptr(), message.as_ptr(), callback.user) };
    }

    fn flush(&self) {}
}

/// A text for C, which a NUL inside would end.
fn text(text: String) -> CString {
    let bytes = text.replace('\0', "?");
    CString::new(bytes).unwrap_or_default()
}

fn filter(level: i32) -> Option<LevelFilter> {
    Some(match level {
        WS_LOG_OFF => LevelFilter::Off,
        WS_LOG_ERROR => LevelFilter::Error,
        WS_LOG_WARN => LevelFilter::Warn,
        WS_LOG_INFO => LevelFilter::Info,
        WS_LOG_DEBUG => LevelFilter::Debug,
        WS_LOG_TRACE => LevelFilter::Trace,
        _ => return None,
    })
}

/// Says who gets what the library logs: one callback for the process, in place of any before it,
/// which is not running any more when this returns. Without one the library is silent.
///
/// @param level     the most talkative level that is wanted, `WS_LOG_ERROR` to `WS_LOG_TRACE`, or
///                  `WS_LOG_OFF`.
/// @param callback  who gets it, or NULL for nobody.
/// @param user      handed to the callback as it is; may be NULL.
/// @param err       where to tell a failure, or NULL.
/// @return          `WS_OK`;
///                  `WS_INVALID_ARGUMENT`: there is no such level;
///                  `WS_INVALID_STATE`: called from inside the callback; `WS_INTERNAL`.
///
/// Threads: any; waits for callbacks that are running. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_set_log(
    level: i32,
    callback: ws_log_callback,
    user: *mut c_void,
    err: *mut ws_error,
) -> ws_status {
    static INSTALL: Once = Once::new();
    let body = || {
        let level =
            filter(level).ok_or_else(|| Failure::argument("log: there is no such level"))?;
        if IS_INSIDE.get() {
            let reason = "log: the callback cannot be replaced from inside it";
            return Err(Error::InvalidState(reason.into()).into());
        }
        INSTALL.call_once(|| {
            // It fails when there is a logger already; this library's copy of `log` has none else.
            let _ = log::set_logger(&Logger);
        });
        *CALLBACK.write().unwrap_or_else(PoisonError::into_inner) = Callback {
            function: callback,
            user,
        };
        let is_wanted = callback.is_some();
        log::set_max_level(if is_wanted { level } else { LevelFilter::Off });
        Ok(())
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}
