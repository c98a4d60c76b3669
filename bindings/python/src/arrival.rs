//! What a task of asyncio waits for in order to receive.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::asyncio::CancelledError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::connection::Connection;
use crate::error::exception;

/// The arrival of a message on a connection, or of its end.
///
/// To a task it is a future, as asyncio describes those that are not its own
/// (``asyncio.isfuture``), with one difference: who waits for it goes on in the very call that brings the
/// message, and not when the loop comes around again, which would cost as much as all the rest. So it is
/// woken by what the loop calls, never by a task. There is one for each connection, and one task at
/// a time waits for it.
#[pyclass(module = "talkws._talkws", frozen)]
pub struct Arrival {
    connection: Py<Connection>,
    asyncio_loop: Py<PyAny>,
    has_ended: AtomicBool,
    waiter: Mutex<Option<Waiter>>,
    /// From the beginning to the end of an `await`; and from when that has been given to the task.
    is_awaited: AtomicBool,
    has_yielded: AtomicBool,
    is_blocking: AtomicBool,
    is_cancelled: AtomicBool,
}

/// The task that waits, and in what context.
struct Waiter {
    callback: Py<PyAny>,
    context: Option<Py<PyAny>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[pymethods]
impl Arrival {
    #[new]
    fn new(connection: Py<Connection>, asyncio_loop: Py<PyAny>) -> Self {
        Arrival {
            connection,
            asyncio_loop,
            has_ended: AtomicBool::new(false),
            waiter: Mutex::new(None),
            is_awaited: AtomicBool::new(false),
            has_yielded: AtomicBool::new(false),
            is_blocking: AtomicBool::new(false),
            is_cancelled: AtomicBool::new(false),
        }
    }

    fn __await__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let this = slf.get();
        if this.has_ended.load(Ordering::Relaxed)
            && let Some(end) = this.connection.get().ended(slf.py())
        {
            return Err(end);
        }
        if this.is_awaited.swap(true, Ordering::Relaxed) {
            let text = "recv: another task is receiving";
            return Err(exception(slf.py(), "ConcurrencyError", (text,)));
        }
        this.has_yielded.store(false, Ordering::Relaxed);
        Ok(slf)
    }

    // What a coroutine asks of what it awaits.

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    /// Gives itself to the task, and ends when that goes on.
    fn __next__(slf: Bound<'_, Self>) -> Option<Bound<'_, Self>> {
        let this = slf.get();
        if this.has_yielded.swap(true, Ordering::Relaxed) {
            this.is_awaited.store(false, Ordering::Relaxed);
            return None;
        }
        this.is_blocking.store(true, Ordering::Relaxed);
        Some(slf)
    }

    /// The task is cancelled, or something else is raised where it waits.
    #[pyo3(signature = (kind, value = None, traceback = None))]
    fn throw(
        &self,
        kind: Bound<'_, PyAny>,
        value: Option<Bound<'_, PyAny>>,
        traceback: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        drop(traceback);
        self.close();
        Err(PyErr::from_value(value.unwrap_or(kind)))
    }

    /// Nobody waits any more.
    fn close(&self) {
        self.is_awaited.store(false, Ordering::Relaxed);
        // Dropped without the lock, as that may run Python.
        let waiter = lock(&self.waiter).take();
        drop(waiter);
    }

    /// Nothing comes any more, as the connection has ended: who waits is told, and who comes later.
    /// May be called by a task.
    fn end(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().has_ended.store(true, Ordering::Relaxed);
        Arrival::wake_soon(slf)
    }

    // What asyncio asks of a future.

    #[getter]
    fn _asyncio_future_blocking(&self) -> bool {
        self.is_blocking.load(Ordering::Relaxed)
    }

    #[setter(_asyncio_future_blocking)]
    fn set_asyncio_future_blocking(&self, is_blocking: bool) {
        self.is_blocking.store(is_blocking, Ordering::Relaxed);
    }

    fn get_loop(&self, py: Python<'_>) -> Py<PyAny> {
        self.asyncio_loop.clone_ref(py)
    }

    #[pyo3(signature = (callback, *, context = None))]
    fn add_done_callback(&self, callback: Py<PyAny>, context: Option<Py<PyAny>>) {
        *lock(&self.waiter) = Some(Waiter { callback, context });
    }

    fn result(&self) -> PyResult<()> {
        match self.is_cancelled.swap(false, Ordering::Relaxed) {
            true => Err(CancelledError::new_err(())),
            false => Ok(()),
        }
    }

    /// Called by a task that is cancelled. What has come stays for the next who asks.
    #[pyo3(signature = (msg = None))]
    fn cancel(slf: &Bound<'_, Self>, msg: Option<Py<PyAny>>) -> PyResult<bool> {
        drop(msg);
        let this = slf.get();
        let is_waited_for = lock(&this.waiter).is_some();
        if is_waited_for {
            this.is_cancelled.store(true, Ordering::Relaxed);
            Arrival::wake_soon(slf)?;
        }
        Ok(is_waited_for)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.connection)?;
        visit.call(&self.asyncio_loop)?;
        // Nobody holds it while the collector runs.
        if let Ok(waiter) = self.waiter.try_lock()
            && let Some(waiter) = &*waiter
        {
            visit.call(&waiter.callback)?;
            visit.call(&waiter.context)?;
        }
        Ok(())
    }

    fn __clear__(&self) {
        self.close();
    }
}

impl Arrival {
    /// Lets the task that waits go on, if there is one, and returns when it waits again, for this or
    /// for something else. For what the loop calls only: there is no current task.
    pub fn wake(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let Some(waiter) = lock(&slf.get().waiter).take() else {
            return Ok(());
        };
        match &waiter.context {
            Some(context) => {
                context.call_method1(py, pyo3::intern!(py, "run"), (&waiter.callback, slf))
            }
            None => waiter.callback.call1(py, (slf,)),
        }
        .map(drop)
    }

    /// Lets the task that waits go on when the loop comes around.
    fn wake_soon(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        let Some(waiter) = lock(&this.waiter).take() else {
            return Ok(());
        };
        let kwargs = PyDict::new(py);
        kwargs.set_item("context", &waiter.context)?;
        let call_soon = this.asyncio_loop.bind(py).getattr("call_soon")?;
        call_soon.call((&waiter.callback, slf), Some(&kwargs))?;
        Ok(())
    }
}
