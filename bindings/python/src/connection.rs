//! An open connection.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use pyo3::exceptions::{PyStopIteration, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyString};
use talkws::{CloseCode, CloseInfo, ClosedBy, Deadline, Error, Message};

use crate::arguments::{self, Payload};
use crate::error::{cause, exception, to_python};
use crate::handshake;
use crate::wait::{wait, was_interrupted};

/// From this size on, bytes are copied without the GIL.
const LARGE: usize = 32 * 1024;

/// A WebSocket connection, open until one end closes it.
///
/// Any method may be called from any thread at any time: one thread may wait in :meth:`recv`
/// while others :meth:`send`. Nothing that waits holds the GIL, and Ctrl-C ends every wait
/// without harm to the connection.
///
/// A connection is a context manager: leaving the ``with`` block closes it, with 1000, or with
/// 1011 when an exception leaves the block. It is an iterator of the messages that arrive, which
/// ends when the connection is closed in order.
#[pyclass(module = "talkws", frozen, subclass, weakref)]
pub struct Connection {
    core: talkws::Connection,
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
    /// Code and reason that this end closes with.
    closing: Mutex<Option<(u16, String)>>,
    request: PyOnceLock<Py<PyAny>>,
    response: PyOnceLock<Py<PyAny>>,
}

impl Connection {
    pub fn new(core: talkws::Connection) -> Self {
        Connection {
            // Asked for now, since the system forgets them when the connection ends.
            local: core.local_addr(),
            remote: core.peer_addr(),
            core,
            closing: Mutex::new(None),
            request: PyOnceLock::new(),
            response: PyOnceLock::new(),
        }
    }

    fn receive<'py>(&self, py: Python<'py>, deadline: Deadline) -> PyResult<Bound<'py, PyAny>> {
        match wait(py, deadline, |deadline| self.core.read_within(deadline))? {
            Ok(message) => message_to_python(py, &message),
            Err(error) => Err(self.raised(py, &error)),
        }
    }

    /// The exception for a call on this connection that failed.
    fn raised(&self, py: Python<'_>, error: &Error) -> PyErr {
        match error {
            Error::Closed(info) => self.closed(py, info),
            Error::ConnectionLost { .. }
            | Error::Protocol(_)
            | Error::InvalidUtf8(_)
            | Error::TooBig(_)
            | Error::Aborted { .. } => self.failed(py, error),
            _ => to_python(py, error),
        }
    }

    /// `ConnectionClosed` after, or in the middle of, the closing handshake.
    fn closed(&self, py: Python<'_>, info: &CloseInfo) -> PyErr {
        let ended = self.core.close_info();
        let info = ended.as_ref().unwrap_or(info);
        let received = (u16::from(info.code), info.reason.clone());
        let (received, sent) = match info.by {
            // The answer carries the code that it answers (RFC 6455, 5.5.1).
            ClosedBy::Peer => (Some(received.clone()), Some((received.0, String::new()))),
            ClosedBy::Local if ended.is_some() => (Some(received), self.sent()),
            // The peer has not answered yet.
            ClosedBy::Local => (None, self.sent().or(Some(received))),
        };
        let is_ok = |close: &Option<(u16, String)>| {
            close
                .as_ref()
                .is_none_or(|(code, _)| matches!(code, 1000 | 1001 | 1005))
        };
        let name = if is_ok(&received) && is_ok(&sent) {
            "ConnectionClosedOK"
        } else {
            "ConnectionClosedError"
        };
        let peer_first = received.is_some().then_some(info.by == ClosedBy::Peer);
        connection_closed(py, name, received, sent, peer_first)
    }

    /// `ConnectionClosedError` when it ended otherwise.
    fn failed(&self, py: Python<'_>, error: &Error) -> PyErr {
        let sent = match error {
            Error::ConnectionLost { .. } | Error::Aborted { .. } => self.sent(),
            _ => error
                .close_code()
                .map(|code| (u16::from(code), String::new())),
        };
        let raised = connection_closed(py, "ConnectionClosedError", None, sent, None);
        raised.set_cause(py, Some(cause(py, error)));
        raised
    }

    fn sent(&self) -> Option<(u16, String)> {
        self.closing
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .clone()
    }

    fn set_sent(&self, value: Option<(u16, String)>) {
        *self
            .closing
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner()) = value;
    }

    /// With what the connection ended, `None` while it has not.
    fn end(&self, py: Python<'_>) -> Option<(u16, String)> {
        if self.core.is_open() {
            return None;
        }
        if let Some(info) = self.core.close_info() {
            return Some((info.code.into(), info.reason));
        }
        // On a connection that is over every call says so, and flushing does nothing else.
        match py.detach(|| self.core.flush(Duration::ZERO)) {
            Err(Error::Closed(_)) | Err(Error::TimedOut { .. }) | Ok(()) => None,
            Err(_) => Some((CloseCode::Abnormal.into(), String::new())),
        }
    }

    fn close_with(&self, py: Python<'_>, code: u16, reason: &str) -> PyResult<()> {
        let is_first = self.sent().is_none();
        if is_first {
            self.set_sent(Some((code, reason.to_owned())));
        }
        let deadline = Deadline::after(self.core.close_timeout());
        let closed = wait(py, deadline, |deadline| {
            self.core.close_within(code.into(), reason, deadline)
        })?;
        match closed {
            Err(error @ Error::InvalidArgument(_)) => {
                if is_first {
                    self.set_sent(None);
                }
                Err(to_python(py, &error))
            }
            // However it ended, it has: that was the goal.
            _ => Ok(()),
        }
    }
}

#[pymethods]
impl Connection {
    /// Send a message: ``str`` as text, bytes-like as binary.
    ///
    /// Waits for as long as the peer takes to make room for it. Messages of several threads are
    /// sent whole, one after the other. When Ctrl-C ends the wait, the message is either not sent
    /// at all, or the rest of it is sent by the next call on this connection.
    ///
    /// Raises:
    ///     ConnectionClosed: If the connection is closed.
    ///     TypeError: If ``message`` is neither.
    fn send(&self, message: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = message.py();
        let payload = Payload::new("send", message)?;
        let (kind, data) = (payload.kind, payload.data.as_bytes());
        let write = |deadline| self.core.write_data(kind, data, deadline);
        let mut sent = wait(py, Deadline::NEVER, write)?;
        if sent.is_ok() && was_interrupted() {
            // The core has taken the message, but not all of it may have left.
            sent = wait(py, Deadline::NEVER, |deadline| self.core.flush(deadline))?;
        }
        sent.map_err(|error| self.raised(py, &error))
    }

    /// Wait for the next message: ``str`` for text, ``bytes`` for binary.
    ///
    /// Args:
    ///     timeout: Seconds to wait. ``None`` waits for ever; with ``0`` or less nothing is waited
    ///         for. What has come of a message stays for the next call.
    ///
    /// Raises:
    ///     ConnectionClosedOK: If the connection was closed in order.
    ///     ConnectionClosedError: If it ended otherwise.
    ///     TimeoutError: If no message came in time.
    #[pyo3(signature = (timeout = None))]
    fn recv<'py>(&self, py: Python<'py>, timeout: Option<f64>) -> PyResult<Bound<'py, PyAny>> {
        self.receive(py, arguments::deadline(timeout)?)
    }

    /// Close the connection: send a Close frame, and wait for the peer's, for no longer than the
    /// close timeout.
    ///
    /// Ends every other call on this connection. Closing what is closed already does nothing.
    ///
    /// Args:
    ///     code: Why, as a number: 1000 to 1003, 1007 to 1014, or 3000 to 4999.
    ///     reason: Why, in words: at most 123 bytes of UTF-8.
    #[pyo3(signature = (code = 1000, reason = ""))]
    fn close(&self, py: Python<'_>, code: i64, reason: &str) -> PyResult<()> {
        let Ok(code) = u16::try_from(code) else {
            return Err(PyValueError::new_err(format!(
                "close with {code}: not a code"
            )));
        };
        self.close_with(py, code, reason)
    }

    /// Send a Ping. The peer answers with a Pong, which whoever reads takes in.
    ///
    /// Args:
    ///     data: The payload, at most 125 bytes. ``str`` is sent as UTF-8.
    ///
    /// Raises:
    ///     ConnectionClosed: If the connection is closed.
    #[pyo3(signature = (data = None))]
    fn ping(&self, py: Python<'_>, data: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let payload = data.map(|data| Payload::new("ping", data)).transpose()?;
        let data: &[u8] = payload
            .as_ref()
            .map_or(&[], |payload| payload.data.as_bytes());
        py.detach(|| self.core.ping(data))
            .map_err(|error| self.raised(py, &error))
    }

    /// The code in the peer's Close frame: 1005 when it carried none, 1006 when the connection
    /// ended without one. ``None`` while the connection has not ended.
    #[getter]
    fn close_code(&self, py: Python<'_>) -> Option<u16> {
        self.end(py).map(|(code, _)| code)
    }

    /// The reason in the peer's Close frame, often empty. ``None`` while the connection has not
    /// ended.
    #[getter]
    fn close_reason(&self, py: Python<'_>) -> Option<String> {
        self.end(py).map(|(_, reason)| reason)
    }

    /// The subprotocol that both ends agreed on, if any.
    #[getter]
    fn subprotocol(&self) -> Option<&str> {
        self.core.subprotocol()
    }

    /// The request that opened the connection: a client's own, or that which the server got.
    #[getter]
    fn request(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let head = self.core.request();
        let make = || Ok::<_, PyErr>(handshake::request(py, head)?.unbind());
        let request = self.request.get_or_try_init(py, make)?;
        Ok(request.clone_ref(py))
    }

    /// The response that opened the connection; ``None`` on a server.
    #[getter]
    fn response(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let Some(head) = self.core.response() else {
            return Ok(None);
        };
        let make = || Ok::<_, PyErr>(handshake::response(py, head, b"")?.unbind());
        let response = self.response.get_or_try_init(py, make)?;
        Ok(Some(response.clone_ref(py)))
    }

    /// The address of this end, as ``socket.getsockname()`` gives it.
    #[getter]
    fn local_address<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        handshake::address(py, self.local)
    }

    /// The address of the other end, as ``socket.getpeername()`` gives it.
    #[getter]
    fn remote_address<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        handshake::address(py, self.remote)
    }

    fn __enter__(this: Bound<'_, Self>) -> Bound<'_, Self> {
        this
    }

    #[pyo3(signature = (exc_type, exc_value, traceback, /))]
    fn __exit__(
        &self,
        py: Python<'_>,
        exc_type: Option<&Bound<'_, PyAny>>,
        exc_value: Option<&Bound<'_, PyAny>>,
        traceback: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let _ = (exc_value, traceback);
        let code = match exc_type {
            None => CloseCode::Normal,
            Some(_) => CloseCode::Error,
        };
        self.close_with(py, code.into(), "")
    }

    fn __iter__(this: Bound<'_, Self>) -> Bound<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.receive(py, Deadline::NEVER).map_err(|error| {
            let ok = || {
                py.import("talkws.exceptions")?
                    .getattr("ConnectionClosedOK")
            };
            match ok() {
                Ok(ok) if error.matches(py, &ok).unwrap_or(false) => PyStopIteration::new_err(()),
                _ => error,
            }
        })
    }

    fn __repr__(this: &Bound<'_, Self>) -> PyResult<String> {
        let name = this.get_type().qualname()?;
        let this = this.get();
        let address = |address: Option<SocketAddr>| {
            address.map_or_else(|| "?".to_owned(), |address| address.to_string())
        };
        let (local, remote) = (address(this.local), address(this.remote));
        let state = if this.core.is_open() {
            "open"
        } else {
            "closed"
        };
        Ok(format!("<talkws.{name} {local} to {remote}, {state}>"))
    }
}

/// The client's end of a connection. Made by :func:`connect`.
#[pyclass(module = "talkws", frozen, subclass, extends = Connection)]
pub struct ClientConnection;

/// The server's end of a connection. Made by :meth:`PendingConnection.upgrade`.
#[pyclass(module = "talkws", frozen, subclass, extends = Connection)]
pub struct ServerConnection;

fn connection_closed(
    py: Python<'_>,
    name: &str,
    received: Option<(u16, String)>,
    sent: Option<(u16, String)>,
    peer_first: Option<bool>,
) -> PyErr {
    let close = |close: Option<(u16, String)>| {
        let make = |close| py.import("talkws.close")?.getattr("Close")?.call1(close);
        close.map(make).transpose()
    };
    match (close(received), close(sent)) {
        (Ok(received), Ok(sent)) => exception(py, name, (received, sent, peer_first)),
        (Err(error), _) | (_, Err(error)) => error,
    }
}

fn message_to_python<'py>(py: Python<'py>, message: &Message) -> PyResult<Bound<'py, PyAny>> {
    match message.as_text() {
        Some(text) => Ok(PyString::new(py, text).into_any()),
        None if message.len() < LARGE => Ok(PyBytes::new(py, message.as_bytes()).into_any()),
        None => large_bytes(py, message.as_bytes()),
    }
}

/// A `bytes` object, filled while other threads run Python.
fn large_bytes<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let length = data.len() as ffi::Py_ssize_t;
    // SAFETY: without a pointer this makes a new object of that length, its bytes not
    // initialised, or gives null with an exception set.
    let object = unsafe {
        let object = ffi::PyBytes_FromStringAndSize(std::ptr::null(), length);
        Bound::from_owned_ptr_or_err(py, object)?
    };
    // SAFETY: it is a `bytes` object. The pointer is good for as long as `object` lives.
    let start = unsafe { ffi::PyBytes_AsString(object.as_ptr()) } as usize;
    py.detach(|| {
        // SAFETY: the object has room for `data`, and nobody else has seen it yet: it is this
        // function's own, and `bytes` are not tracked by the garbage collector.
        unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), start as *mut u8, data.len()) }
    });
    Ok(object)
}
