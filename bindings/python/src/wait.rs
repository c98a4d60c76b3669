//! Waiting without the GIL, in a way that lets Python's signal handlers run.
//!
//! Python runs signal handlers in its main thread, and only between its own instructions. So the
//! main thread never waits in the core for long: it comes back after each slice of
//! [`Deadline::INTERRUPT_INTERVAL`], and at once when a signal breaks a system call, lets the
//! handlers run, and goes on unless one of them raised. Handlers never run *inside* the core,
//! where the waiting call holds locks: a handler may close the very connection or listener that
//! its thread is waiting for. Other threads wait in one piece.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU32, Ordering};

use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict};
use talkws::{Deadline, Error};

use crate::{cancelling, log};

/// Makes a call that may wait until `deadline`, and that an interruption leaves as if it had not
/// been made. The outer error is what a signal handler raised.
pub fn wait<T: Send>(
    py: Python<'_>,
    deadline: Deadline,
    call: impl Fn(Deadline) -> talkws::Result<T> + Sync,
) -> PyResult<talkws::Result<T>> {
    let result = if is_main_thread(py)? {
        wait_in_slices(py, deadline, call)?
    } else {
        py.detach(|| call(deadline))
    };
    // Whoever hears the news may wait for something too.
    let was_interrupted = INTERRUPTED.get();
    log::deliver(py)?;
    INTERRUPTED.set(was_interrupted);
    Ok(result)
}

fn wait_in_slices<T: Send>(
    py: Python<'_>,
    deadline: Deadline,
    call: impl Fn(Deadline) -> talkws::Result<T> + Sync,
) -> PyResult<talkws::Result<T>> {
    INTERRUPTED.set(false);
    loop {
        match py.detach(|| call(deadline.interrupted_by(interrupt))) {
            Err(Error::Interrupted { .. }) => py.check_signals()?,
            result => return Ok(result),
        }
        if deadline.has_passed() {
            // Without the interruption, so that the core says what that means.
            return Ok(py.detach(|| call(deadline)));
        }
    }
}

/// Like [`wait`], for a call that does its own housekeeping when its deadline passes, such as
/// `accept`: each slice is a timeout of its own.
pub fn wait_in_turns<T: Send>(
    py: Python<'_>,
    deadline: Deadline,
    call: impl Fn(Deadline) -> talkws::Result<T> + Sync,
) -> PyResult<talkws::Result<T>> {
    loop {
        // On every thread, since there may be news to tell.
        let slice = deadline.or_sooner(Deadline::INTERRUPT_INTERVAL);
        let result = py.detach(|| call(slice));
        log::deliver(py)?;
        match result {
            Err(Error::TimedOut { .. }) if !deadline.has_passed() => py.check_signals()?,
            result => return Ok(result),
        }
    }
}

/// Like [`wait`], for a call that cannot be taken up again and holds no lock, such as `dial`:
/// the handlers run while it waits, and end it when they raise.
pub fn wait_or_give_up<T: Send>(
    py: Python<'_>,
    call: impl FnOnce(Deadline) -> talkws::Result<T> + Send,
) -> PyResult<talkws::Result<T>> {
    let deadline = if is_main_thread(py)? {
        Deadline::NEVER.interrupted_by(has_handler_raised)
    } else if cancelling::may_be_cancelled() {
        Deadline::NEVER.interrupted_by(cancelling::is_cancelled)
    } else {
        Deadline::NEVER
    };
    let result = py.detach(|| call(deadline));
    log::deliver(py)?;
    match RAISED.take() {
        Some(raised) => Err(raised),
        None => Ok(result),
    }
}

/// Whether the last [`wait`] of this thread was asked to stop in the middle of something.
pub fn was_interrupted() -> bool {
    INTERRUPTED.get()
}

thread_local! {
    static INTERRUPTED: Cell<bool> = const { Cell::new(false) };
    static RAISED: RefCell<Option<PyErr>> = const { RefCell::new(None) };
    /// Whether this thread is Python's main thread, and in which process that was found out.
    static IS_MAIN: Cell<Option<(u32, bool)>> = const { Cell::new(None) };
}

fn interrupt() -> bool {
    INTERRUPTED.set(true);
    true
}

fn has_handler_raised() -> bool {
    if RAISED.with_borrow(Option::is_some) {
        return true;
    }
    match Python::attach(|py| py.check_signals()) {
        Ok(()) => false,
        Err(raised) => {
            RAISED.set(Some(raised));
            true
        }
    }
}

/// How many forks lie between the process that loaded this module and this one.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// After a fork, the thread that forked is the main thread, whatever it was before.
pub fn watch_forks(py: Python<'_>) -> PyResult<()> {
    let forked = PyCFunction::new_closure(py, None, None, |_, _| {
        FORKS.fetch_add(1, Ordering::Relaxed);
    })?;
    let arguments = PyDict::new(py);
    arguments.set_item("after_in_child", forked)?;
    let os = py.import("os")?;
    os.call_method("register_at_fork", (), Some(&arguments))?;
    Ok(())
}

fn is_main_thread(py: Python<'_>) -> PyResult<bool> {
    let process = FORKS.load(Ordering::Relaxed);
    if let Some((found_in, is_main)) = IS_MAIN.get()
        && found_in == process
    {
        return Ok(is_main);
    }
    let threading = py.import("threading")?;
    let main = threading.call_method0("main_thread")?.getattr("ident")?;
    let is_main = main.eq(threading.call_method0("get_ident")?)?;
    IS_MAIN.set(Some((process, is_main)));
    Ok(is_main)
}
