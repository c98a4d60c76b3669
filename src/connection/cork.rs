//! What a loop's thread writes while it handles what it has received: kept, so that the answers to many
//! messages leave in one system call.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::Shared;

/// A loop's thread keeps the memory of one connection's accepted bytes for the next, up to this size.
const KEEP: usize = 256 * 1024;

struct Cork {
    is_on_loop: Cell<bool>,
    /// The connections on which something was written since the last flush.
    touched: RefCell<Vec<Arc<Shared>>>,
    spare: Cell<Vec<u8>>,
}

thread_local! {
    static CORK: Cork = const {
        Cork {
            is_on_loop: Cell::new(false),
            touched: RefCell::new(Vec::new()),
            spare: Cell::new(Vec::new()),
        }
    };
}

/// Runs a loop on this thread: until `run` returns, what it writes is kept until it flushes.
pub(crate) fn run_loop<T>(run: impl FnOnce() -> T) -> T {
    struct Leave(bool);

    impl Drop for Leave {
        fn drop(&mut self) {
            CORK.with(|cork| {
                cork.is_on_loop.set(self.0);
                cork.touched.take().clear();
                drop(cork.spare.take());
            });
        }
    }

    let _leave = Leave(CORK.with(|cork| cork.is_on_loop.replace(true)));
    run()
}

/// Whether this thread is a loop's, which never waits for one connection.
pub(crate) fn is_on_loop() -> bool {
    CORK.try_with(|cork| cork.is_on_loop.get()).unwrap_or(false)
}

/// Sends what this thread has written on connections that are served, as far as they take it.
pub(crate) fn flush_touched() {
    // Whoever ends meanwhile may write to others: not while the list is borrowed.
    let mut touched = CORK.with(|cork| cork.touched.take());
    for connection in touched.drain(..) {
        connection.push_from_loop();
    }
    CORK.with(|cork| {
        let mut kept = cork.touched.borrow_mut();
        if kept.is_empty() {
            *kept = touched;
        }
    });
}

/// Remembers to flush a connection.
pub(super) fn touch(connection: &Arc<Shared>) {
    CORK.with(|cork| cork.touched.borrow_mut().push(connection.clone()));
}

/// Memory for bytes that are kept.
pub(super) fn spare() -> Vec<u8> {
    CORK.try_with(|cork| cork.spare.take()).unwrap_or_default()
}

/// Takes memory that is not needed any more; on other threads it is freed.
pub(super) fn put_by(mut memory: Vec<u8>) {
    if memory.capacity() > 0 && memory.capacity() <= KEEP && is_on_loop() {
        memory.clear();
        let _ = CORK.try_with(|cork| cork.spare.set(memory));
    }
}
