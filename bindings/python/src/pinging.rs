//! Pings, and waiting for their answers.

use std::sync::atomic::{AtomicU32, Ordering};

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use talkws::{Deadline, Error, PingId};

use crate::arguments;
use crate::connection::Connection;
use crate::error::exception;
use crate::payload::Payload;
use crate::wait::wait;

/// What :meth:`Connection.ping` returns: set once the Pong has come.
#[pyclass(module = "talkws", frozen)]
pub struct PongEvent {
    connection: Py<Connection>,
    core: talkws::Connection,
    max_queue: usize,
    ping: PingId,
    ack_on_close: bool,
}

/// Sends a Ping.
pub fn ping(
    connection: &Bound<'_, Connection>,
    data: Option<&Bound<'_, PyAny>>,
    ack_on_close: bool,
) -> PyResult<PongEvent> {
    let py = connection.py();
    let open = connection.get().open(py)?;
    let payload = data
        .map(|data| Payload::of("ping", data, None))
        .transpose()?;
    let own;
    let data = match &payload {
        Some(payload) if open.core.awaits_pong(payload.as_bytes()) => {
            let text = "ping: another Ping with the same data waits for its Pong";
            return Err(exception(py, "ConcurrencyError", (text,)));
        }
        Some(payload) => payload.as_bytes(),
        None => {
            own = next_payload(&open.core);
            &own
        }
    };
    let ping = |deadline| open.core.ping_within(data, deadline);
    let sent = wait(py, Deadline::NEVER, ping)?;
    let ping = sent.map_err(|error| connection.get().raised(py, &error))?;
    Ok(PongEvent {
        core: open.core.clone(),
        max_queue: open.max_queue,
        connection: connection.clone().unbind(),
        ping,
        ack_on_close,
    })
}

/// Four bytes that no Ping of this connection waits with.
fn next_payload(core: &talkws::Connection) -> [u8; 4] {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let payload = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        if !core.awaits_pong(&payload) {
            return payload;
        }
    }
}

#[pymethods]
impl PongEvent {
    /// Wait for the Pong.
    ///
    /// It comes whether somebody waits in ``recv()`` or not: when nobody does, this receives,
    /// and keeps messages for the next ``recv()``, up to ``max_queue``.
    ///
    /// Args:
    ///     timeout: Seconds to wait. ``None`` waits for ever.
    ///
    /// Returns:
    ///     Whether it has come.
    ///
    /// Raises:
    ///     ConnectionClosed: If the connection ended first, unless the Ping was sent with
    ///         ``ack_on_close``, which counts that as an answer.
    #[pyo3(signature = (timeout = None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let deadline = arguments::deadline(timeout)?;
        let pong = |deadline| self.core.wait_pong(self.ping, self.max_queue, deadline);
        match wait(py, deadline, pong)? {
            Ok(()) => Ok(true),
            Err(Error::TimedOut { .. }) => Ok(false),
            Err(_) if self.is_set() => Ok(true),
            Err(error) => Err(self.connection.get().raised(py, &error)),
        }
    }

    /// A program may keep this in an attribute of the connection.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.connection)
    }

    /// Whether the Pong has come. Waits for nothing, and receives nothing.
    fn is_set(&self) -> bool {
        self.core.is_answered(self.ping) || (self.ack_on_close && self.core.end().is_some())
    }
}
