//! Messages for many connections.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use talkws::MessageKind;

use crate::connection::Connection;
use crate::payload::Payload;

/// A message for many connections.
///
/// It is framed once, and compressed once for all connections that agreed upon the same window. Give it
/// to :func:`broadcast`, :meth:`Topics.publish` or :meth:`Connection.send_prepared`, as often as you
/// like.
///
/// Args:
///     message: ``str`` for text, bytes-like for binary.
///     text: ``True`` sends bytes, which must be UTF-8, as text; ``False`` sends ``str`` as binary.
#[pyclass(module = "talkws", frozen)]
pub struct Prepared {
    pub core: talkws::Prepared,
}

#[pymethods]
impl Prepared {
    #[new]
    #[pyo3(signature = (message, text = None))]
    fn new(message: &Bound<'_, PyAny>, text: Option<bool>) -> PyResult<Self> {
        let payload = Payload::of("prepare", message, text)?;
        let core = match payload.kind {
            MessageKind::Text => {
                let text = std::str::from_utf8(payload.as_bytes());
                let not_utf8 = |_| PyValueError::new_err("prepare: the text is not UTF-8");
                talkws::Prepared::text(text.map_err(not_utf8)?)
            }
            MessageKind::Binary => talkws::Prepared::binary(payload.as_bytes()),
        };
        Ok(Prepared { core })
    }

    fn __len__(&self) -> usize {
        self.core.len()
    }
}

/// Connections by what they want to hear of: a chat's rooms, a stock's prices.
///
/// A connection that has ended leaves by itself. Every method may be called from any thread.
#[pyclass(module = "talkws", frozen)]
pub struct Topics {
    core: talkws::Topics,
}

#[pymethods]
impl Topics {
    #[new]
    fn new() -> Self {
        Topics {
            core: talkws::Topics::new(),
        }
    }

    /// Let a connection hear of a topic. ``False`` if it does already, or is open no more.
    fn subscribe(&self, py: Python<'_>, topic: &str, connection: &Connection) -> PyResult<bool> {
        Ok(self.core.subscribe(topic, &connection.open(py)?.core))
    }

    /// Let a connection hear of a topic no more. ``False`` if it did not.
    fn unsubscribe(&self, py: Python<'_>, topic: &str, connection: &Connection) -> PyResult<bool> {
        Ok(self.core.unsubscribe(topic, &connection.open(py)?.core))
    }

    /// Let a connection hear of nothing more.
    ///
    /// Returns:
    ///     Of how many topics it did.
    fn unsubscribe_all(&self, py: Python<'_>, connection: &Connection) -> PyResult<usize> {
        Ok(self.core.unsubscribe_all(&connection.open(py)?.core))
    }

    /// Write a message to all who want to hear of a topic, and wait for none of them: see
    /// :func:`broadcast`.
    ///
    /// Returns:
    ///     How many connections have accepted it, how many had no room for it, and how many had
    ///     ended.
    fn publish(&self, py: Python<'_>, topic: &str, message: &Prepared) -> (usize, usize, usize) {
        let report = py.detach(|| self.core.publish(topic, &message.core));
        (report.accepted, report.refused, report.closed)
    }

    /// How many connections hear of a topic.
    fn subscribers(&self, topic: &str) -> usize {
        self.core.subscribers(topic)
    }
}

/// Writes a message to open connections without waiting; gives the places of those that had no room
/// for it.
#[pyfunction]
pub fn offer(
    py: Python<'_>,
    connections: Vec<PyRef<'_, Connection>>,
    message: &Prepared,
) -> Vec<usize> {
    let cores: Vec<_> = connections
        .iter()
        .map(|connection| connection.open(py).ok().map(|open| open.core.clone()))
        .collect();
    let message = &message.core;
    py.detach(|| {
        let refuses =
            |core: &Option<talkws::Connection>| talkws::broadcast(core, message).refused > 0;
        let refused = cores.iter().enumerate().filter(|(_, core)| refuses(core));
        refused.map(|(place, _)| place).collect()
    })
}
