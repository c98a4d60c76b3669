//! The guard at the boundary: no panic crosses it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::connection::Conn;
use crate::error::{Failure, ws_error};
use crate::status::{WS_INTERNAL, WS_OK, ws_status};

/// Runs the body of a call, and tells how it went.
///
/// # Safety
///
/// `err` is NULL, or points to room for a `ws_error` that nobody else uses meanwhile.
pub(crate) unsafe fn call(
    err: *mut ws_error,
    body: impl FnOnce() -> Result<(), Failure>,
) -> ws_status {
    // What the body shares with others is the engine, whose locks do not poison, and the handles,
    // which no panic can leave half changed; what it was working on is aborted (see `on`).
    let guarded = catch_unwind(AssertUnwindSafe(|| match body() {
        Ok(()) => WS_OK,
        Err(failure) => {
            // SAFETY: the caller of this function promises it.
            unsafe { failure.tell(err) };
            failure.status()
        }
    }));
    guarded.unwrap_or_else(|panic| {
        let failure = panicked(panic);
        // SAFETY: the caller of this function promises it.
        unsafe { failure.tell(err) };
        WS_INTERNAL
    })
}

/// Works on a connection. If that panics, the connection is aborted.
pub(crate) fn on(
    conn: &Conn,
    work: impl FnOnce(&Conn) -> Result<(), Failure>,
) -> Result<(), Failure> {
    catch_unwind(AssertUnwindSafe(|| work(conn))).unwrap_or_else(|panic| {
        conn.abort();
        Err(panicked(panic))
    })
}

/// Gives what `body` gives, and `otherwise` when that is nothing.
pub(crate) fn or<T>(otherwise: T, body: impl FnOnce() -> Option<T>) -> T {
    let guarded = catch_unwind(AssertUnwindSafe(body));
    guarded.ok().flatten().unwrap_or(otherwise)
}

fn panicked(panic: Box<dyn Any + Send>) -> Failure {
    let other = match panic.downcast::<String>() {
        Ok(text) => return Failure::Internal(*text),
        Err(other) => other,
    };
    match other.downcast::<&str>() {
        Ok(text) => Failure::Internal((*text).to_owned()),
        Err(other) => {
            // Whatever it carries, dropping it must not start another panic.
            std::mem::forget(other);
            Failure::Internal("a panic without words".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::mem::MaybeUninit;
    use std::time::Duration;

    use super::*;
    use crate::connection::tests::open_pair;
    use crate::status::{WS_ABORTED, WS_CONNECTION_LOST};

    #[test]
    fn a_panic_becomes_a_status() {
        let mut err = MaybeUninit::uninit();
        // SAFETY: `err` has the room.
        let status = unsafe { call(err.as_mut_ptr(), || panic!("at {}", 42)) };
        assert_eq!(status, WS_INTERNAL);
        // SAFETY: the call failed, so it has written the error.
        let err: ws_error = unsafe { err.assume_init() };
        assert_eq!(err.status, WS_INTERNAL);
        let words: Vec<u8> = err.message.iter().map(|&byte| byte as u8).collect();
        let words = String::from_utf8_lossy(&words);
        assert!(words.contains("at 42"), "{words}");
    }

    #[test]
    fn a_panic_ends_the_connection_it_was_working_on() {
        let (conn, peer) = open_pair();
        let failure = on(&conn, |_| panic!("in the middle")).unwrap_err();
        assert_eq!(failure.status(), WS_INTERNAL);
        let later = conn.connection().unwrap().read_within(Duration::ZERO);
        assert_eq!(later.unwrap_err().status(), WS_ABORTED);
        assert_eq!(peer.read().unwrap_err().status(), WS_CONNECTION_LOST);
    }
}
