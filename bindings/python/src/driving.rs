//! Connections for asyncio: nothing here waits, and the GIL is kept for what is short.

use std::time::Instant;

use pyo3::prelude::*;
use talkws::{MessageKind, Progress};

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
    /// Takes the messages, in their order.
    append: Py<PyAny>,
}

#[pymethods]
impl Driven {
    #[new]
    fn new(connection: &Bound<'_, Connection>, append: Py<PyAny>) -> PyResult<Self> {
        let py = connection.py();
        let driven = connection.get().open(py)?.core.drive();
        Ok(Driven {
            core: driven.map_err(|error| to_python(py, &error))?,
            connection: connection.clone().unbind(),
            append,
        })
    }

    /// Receives what has come, up to so many messages; says what is to be done next.
    fn turn(&self, py: Python<'_>, room: usize) -> PyResult<u8> {
        let append = self.append.bind(py);
        let mut left = room;
        let mut failed = None;
        let progress = self.core.turn(|message| {
            let taken =
                message_to_python(py, message, None).and_then(|message| append.call1((message,)));
            failed = taken.err();
            left = left.saturating_sub(1);
            left > 0 && failed.is_none()
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

    /// Sends a message, and gives how many bytes wait to leave; ``None`` for what is no message as it
    /// is, but may be one in parts. With `more`, it may stay here until the next `push`.
    fn send(
        &self,
        message: &Bound<'_, PyAny>,
        text: Option<bool>,
        compress: bool,
        more: bool,
    ) -> PyResult<Option<usize>> {
        let Some(payload) = Payload::new(message, text)? else {
            return Ok(None);
        };
        let py = message.py();
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
        let error = self.core.connection().end()?;
        let raised = self.connection.get().raised(py, &error);
        Some(raised.into_value(py).into_any())
    }
}

impl Driven {
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
