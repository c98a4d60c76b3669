//! Dialling on a thread for somebody on another, who may want it no more.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::prelude::*;

thread_local! {
    /// Set once nobody wants any more what this thread waits for.
    static CANCELLED: RefCell<Option<Arc<AtomicBool>>> = const { RefCell::new(None) };
}

/// Ends the dial of another thread: see ``talkws.asyncio.client``.
#[pyclass(module = "talkws._talkws", frozen)]
#[derive(Default)]
pub struct Canceller(Arc<AtomicBool>);

#[pymethods]
impl Canceller {
    #[new]
    fn new() -> Self {
        Canceller::default()
    }

    /// Calls something that dials; that fails soon when this is cancelled.
    fn run(&self, call: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let before = CANCELLED.replace(Some(self.0.clone()));
        let called = call.call0();
        CANCELLED.set(before);
        called.map(Bound::unbind)
    }

    /// Nobody waits for it any more.
    fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Whether somebody may cancel what this thread waits for.
pub fn may_be_cancelled() -> bool {
    CANCELLED.with_borrow(Option::is_some)
}

/// Whether nobody wants any more what this thread waits for.
pub fn is_cancelled() -> bool {
    let is_cancelled = |cancelled: &Arc<AtomicBool>| cancelled.load(Ordering::Relaxed);
    CANCELLED.with_borrow(|cancelled| cancelled.as_ref().is_some_and(is_cancelled))
}
