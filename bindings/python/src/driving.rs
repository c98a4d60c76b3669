//! Connections for asyncio: nothing here waits, and the GIL is kept for what is short.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use pyo3::call::PyCallArgs;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;
use talkws::{MessageKind, Progress};

use crate::arrival::Arrival;
use crate::connection::Connection;
use crate::error::to_python;
use crate::log;
use crate::payload::{LARGE, Payload};
use crate::receiving::message_to_python;

/// What a turn says: the connection wants another one, whatever its descriptor says.
const AGAIN: u8 = 1;
/// What a turn says: the connection has ended.
const ENDED: u8 = 2;
/// What a turn says: the connection is being closed.
const CLOSING: u8 = 4;

/// A connection that a loop drives: see ``talkws.asyncio``.
#[pyclass(module = "talkws._talkws", frozen)]
pub struct Driven {
    core: talkws::Driven,
    connection: Py<Connection>,
    /// A deque of messages that have come, and what puts one there.
    messages: Py<PyAny>,
    append: Py<PyAny>,
    arrival: Py<Arrival>,
    /// How many messages are kept before no more are received.
    high: AtomicUsize,
    /// Is told what is not done here: a ``talkws.asyncio.Connection``, until that has ended.
    owner: Mutex<Option<Py<PyAny>>>,
    is_awaiting_pongs: AtomicBool,
    /// While the loop has it receive, and tasks handle what has come.
    is_in_turn: AtomicBool,
    /// Something has been received behind the message that is being handled.
    has_more: AtomicBool,
    /// Something stays here until the messages that came with the one it answers are handled.
    holds_back: AtomicBool,
}

#[pymethods]
impl Driven {
    #[new]
    fn new(
        connection: &Bound<'_, Connection>,
        messages: Bound<'_, PyAny>,
        arrival: Py<Arrival>,
        high: usize,
        owner: Py<PyAny>,
    ) -> PyResult<Self> {
        let py = connection.py();
        let driven = connection.get().open(py)?.core.drive();
        Ok(Driven {
            core: driven.map_err(|error| to_python(py, &error))?,
            connection: connection.clone().unbind(),
            append: messages.getattr("append")?.unbind(),
            messages: messages.unbind(),
            arrival,
            high: AtomicUsize::new(high),
            owner: Mutex::new(Some(owner)),
            is_awaiting_pongs: AtomicBool::new(false),
            is_in_turn: AtomicBool::new(false),
            has_more: AtomicBool::new(false),
            holds_back: AtomicBool::new(false),
        })
    }

    /// Receives what has come, and with each message lets the task go on that waits for it: so it has
    /// answered when what comes next is not to be answered any more. For the loop to call, when the
    /// descriptor is readable.
    fn readable(&self, py: Python<'_>) -> PyResult<()> {
        if !self.has_room(py)? {
            // Only now, since a program that is fast enough will have made room.
            return self.tell(py, intern!(py, "_pause"), ());
        }
        self.is_in_turn.store(true, Ordering::Relaxed);
        let done = self.turn(py);
        self.is_in_turn.store(false, Ordering::Relaxed);
        if self.holds_back.swap(false, Ordering::Relaxed) {
            self.core.push();
        }
        done
    }

    /// Keeps so many messages before no more are received.
    fn keep(&self, high: usize) {
        self.high.store(high, Ordering::Relaxed);
    }

    /// Whether the owner is to look for Pongs after each turn.
    fn await_pongs(&self, is_so: bool) {
        self.is_awaiting_pongs.store(is_so, Ordering::Relaxed);
    }

    /// Sends a message, and gives how many bytes wait to leave; ``None`` for what is no message as it
    /// is, but may be one in parts. While other messages wait to be handled it stays here, and leaves with
    /// what answers those.
    fn send(
        &self,
        message: &Bound<'_, PyAny>,
        text: Option<bool>,
        compress: bool,
    ) -> PyResult<Option<usize>> {
        let Some(payload) = Payload::new(message, text)? else {
            return Ok(None);
        };
        let py = message.py();
        let more = self.has_more.load(Ordering::Relaxed) || self.kept(py)? > 0;
        if more
            && !self.holds_back.swap(true, Ordering::Relaxed)
            && !self.is_in_turn.load(Ordering::Relaxed)
        {
            self.tell(py, intern!(py, "_push_soon"), ())?;
        }
        let (kind, data) = (payload.kind, payload.as_bytes());
        self.write(py, data.len(), || {
            self.core.write(kind, data, compress, more)
        })
        .map(Some)
    }

    /// Sends a part of a message, the last of which may be empty; gives how many bytes wait to leave.
    fn send_part(
        &self,
        part: &Bound<'_, PyAny>,
        text: Option<bool>,
        is_last: bool,
        compress: bool,
    ) -> PyResult<usize> {
        let payload = Payload::of("send", part, text)?;
        let (kind, data): (MessageKind, _) = (payload.kind, payload.as_bytes());
        self.write(part.py(), data.len(), || {
            self.core.write_part(kind, data, is_last, compress)
        })
    }

    /// Sends what waits to leave, as far as the system takes it; gives how many bytes are left.
    fn push(&self) -> usize {
        self.holds_back.store(false, Ordering::Relaxed);
        self.core.push()
    }

    /// Begins to close.
    fn close(&self, py: Python<'_>, code: u16, reason: &str) -> PyResult<()> {
        let begun = self.core.close(code.into(), reason);
        log::deliver(py)?;
        begun.map_err(|error| to_python(py, &error))
    }

    /// How many seconds are left for closing, while it is being closed.
    fn close_within(&self) -> Option<f64> {
        let left = self.core.close_by()?;
        Some(left.saturating_duration_since(Instant::now()).as_secs_f64())
    }

    /// Ends it: the peer has not answered the Close in time.
    fn give_up_closing(&self, py: Python<'_>) -> PyResult<()> {
        self.core.give_up_closing();
        log::deliver(py)
    }

    /// Ends it at once.
    fn abort(&self, py: Python<'_>) -> PyResult<()> {
        self.core.connection().abort();
        log::deliver(py)
    }

    /// For how many seconds it should linger after its end, so that the peer learns why.
    fn lingers_for(&self) -> Option<f64> {
        self.core.lingers_for().map(|time| time.as_secs_f64())
    }

    /// Drops what still comes; false once nothing does any more.
    fn linger(&self) -> bool {
        self.core.linger()
    }

    /// The exception that tells how it ended, or what closes it.
    fn exception(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let ended = self.connection.get().ended(py)?;
        Some(ended.into_value(py).into_any())
    }

    /// Forgets who is told of news: there are none any more.
    fn forget(&self) {
        // Dropped without the lock, as that may run Python.
        let owner = self.owner().take();
        drop(owner);
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.connection)?;
        visit.call(&self.messages)?;
        visit.call(&self.append)?;
        visit.call(&self.arrival)?;
        // Nobody holds it while the collector runs.
        match self.owner.try_lock() {
            Ok(owner) => visit.call(&*owner),
            Err(_) => Ok(()),
        }
    }

    fn __clear__(&self) {
        self.forget();
    }
}

impl Driven {
    fn owner(&self) -> MutexGuard<'_, Option<Py<PyAny>>> {
        self.owner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many messages have come and are not handled.
    fn kept(&self, py: Python<'_>) -> PyResult<usize> {
        self.messages.bind(py).len()
    }

    /// Calls a method of the owner.
    fn tell<'py, A>(&self, py: Python<'py>, method: &Bound<'py, PyString>, news: A) -> PyResult<()>
    where
        A: PyCallArgs<'py>,
    {
        let owner = self.owner().as_ref().map(|owner| owner.clone_ref(py));
        match owner {
            Some(owner) => owner.call_method1(py, method, news).map(drop),
            None => Ok(()),
        }
    }

    fn has_room(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.kept(py)? < self.high.load(Ordering::Relaxed))
    }

    fn turn(&self, py: Python<'_>) -> PyResult<()> {
        let received = self.receive(py);
        self.has_more.store(false, Ordering::Relaxed);
        let next = received?;
        if next != 0 {
            self.tell(py, intern!(py, "_look_after"), (next,))?;
        }
        if self.is_awaiting_pongs.load(Ordering::Relaxed) {
            self.tell(py, intern!(py, "_tell_pongs"), ())?;
        }
        Ok(())
    }

    /// Receives what has come, as long as messages have room; says what is to be done next.
    fn receive(&self, py: Python<'_>) -> PyResult<u8> {
        let append = self.append.bind(py);
        let arrival = self.arrival.bind(py);
        let mut failed = None;
        let progress = self.core.turn(|message, more| {
            self.has_more.store(more, Ordering::Relaxed);
            let taken = message_to_python(py, message, None)
                .and_then(|message| append.call1((message,)))
                .and_then(|_| Arrival::wake(arrival))
                .and_then(|()| self.has_room(py));
            taken.unwrap_or_else(|error| {
                failed = Some(error);
                false
            })
        });
        let mut next = match progress {
            Progress::Idle => 0,
            Progress::Again => AGAIN,
            Progress::Ended(_) => ENDED,
        };
        if next != ENDED && !self.core.connection().is_open() {
            next |= CLOSING;
        }
        log::deliver(py)?;
        failed.map_or(Ok(next), Err)
    }

    /// Makes a call that writes so many bytes; gives how many wait to leave then.
    fn write(
        &self,
        py: Python<'_>,
        size: usize,
        write: impl FnOnce() -> talkws::Result<()> + Send,
    ) -> PyResult<usize> {
        let written = if size < LARGE {
            write()
        } else {
            py.detach(write)
        };
        match written {
            Ok(()) => Ok(self.core.waiting()),
            Err(error) => Err(self.connection.get().raised(py, &error)),
        }
    }
}
