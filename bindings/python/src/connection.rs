//! A connection: what Python may do with it, and see of it.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::OnceLock;
use std::time::Duration;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use talkws::{Backlog, BacklogPolicy, CloseCode, Deadline, Error, UpgradeOptions, WriteOptions};

use crate::broadcasting::Prepared;
use crate::connect::Dialled;
use crate::error::{exception, to_python};
use crate::payload::Payload;
use crate::pending::PendingConnection;
use crate::pinging::{self, PongEvent};
use crate::wait::{wait, wait_or_give_up};
use crate::{ending, handshake, receiving, sending, tls};

/// The native part of a connection: see :class:`talkws.Connection`.
#[pyclass(module = "talkws._talkws", frozen, subclass, weakref)]
pub struct Connection {
    /// Missing as long as the server has not answered the request.
    open: OnceLock<Open>,
    /// A server's connection comes from a request.
    pending: Option<Py<PendingConnection>>,
    request: PyOnceLock<Py<PyAny>>,
    response: PyOnceLock<Py<PyAny>>,
}

/// A connection after the opening handshake.
pub struct Open {
    pub core: talkws::Connection,
    pub max_queue: usize,
    /// Asked for once, since the system forgets them when the connection ends.
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
    direct_remote: Option<SocketAddr>,
}

impl Open {
    pub fn new(core: talkws::Connection, max_queue: usize) -> Self {
        Open {
            local: core.local_addr(),
            remote: core.peer_addr(),
            direct_remote: core.direct_peer_addr(),
            core,
            max_queue,
        }
    }
}

impl Connection {
    /// The connection itself, once the opening handshake is over.
    pub fn open(&self, py: Python<'_>) -> PyResult<&Open> {
        self.open.get().ok_or_else(|| {
            let text = "the opening handshake is not over: the connection carries no messages yet";
            exception(py, "InvalidState", (text,))
        })
    }

    /// The exception that tells how it ended, or what closes it.
    pub fn ended(&self, py: Python<'_>) -> Option<PyErr> {
        let error = self.open.get()?.core.end()?;
        Some(self.raised(py, &error))
    }

    /// The exception for a call on this connection that failed.
    pub fn raised(&self, py: Python<'_>, error: &Error) -> PyErr {
        ending::raised(py, self, error)
    }

    fn close_with(&self, py: Python<'_>, code: u16, reason: &str) -> PyResult<()> {
        let Some(open) = self.open.get() else {
            return Ok(());
        };
        let deadline = Deadline::after(open.core.close_timeout());
        let closed = wait(py, deadline, |deadline| {
            open.core.close_within(code.into(), reason, deadline)
        })?;
        match closed {
            Err(error @ Error::InvalidArgument(_)) => Err(to_python(py, &error)),
            // However it ended, it has: that was the goal.
            _ => Ok(()),
        }
    }
}

/// Says whether a connection may be closed with these, by raising ``ValueError`` if not.
#[pyfunction]
pub fn check_close(py: Python<'_>, code: i64, reason: &str) -> PyResult<()> {
    let code = close_code(code)?;
    talkws::check_close(code.into(), reason).map_err(|error| to_python(py, &error))
}

fn close_code(code: i64) -> PyResult<u16> {
    u16::try_from(code).map_err(|_| PyValueError::new_err(format!("close with {code}: not a code")))
}

#[pymethods]
impl Connection {
    #[new]
    #[pyo3(signature = (opening, *_args, **_kwargs))]
    fn new(
        opening: &Bound<'_, PyAny>,
        _args: &Bound<'_, PyAny>,
        _kwargs: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let py = opening.py();
        let mut open = OnceLock::new();
        let mut pending = None;
        if let Ok(dialled) = opening.cast::<Dialled>() {
            open = OnceLock::from(dialled.get().take(py)?);
        } else if let Ok(asked) = opening.cast::<PendingConnection>() {
            pending = Some(asked.clone().unbind());
        } else {
            let text = "a connection is made by connect(), serve() or Listener.accept()";
            return Err(PyTypeError::new_err(text));
        }
        Ok(Connection {
            open,
            pending,
            request: PyOnceLock::new(),
            response: PyOnceLock::new(),
        })
    }

    /// Answers the request with 101.
    #[pyo3(signature = (subprotocol, headers))]
    fn _upgrade(
        &self,
        py: Python<'_>,
        subprotocol: Option<&str>,
        headers: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let raised = |error| to_python(py, &error);
        let Some(pending) = &self.pending else {
            let text = "upgrade: this connection was dialled";
            return Err(exception(py, "InvalidState", (text,)));
        };
        let pending = pending.get();
        let options: UpgradeOptions = PendingConnection::upgrade_options(py, subprotocol, headers)?;
        let request = pending.take_to_upgrade(py, &options)?;
        let upgrade = |deadline| request.upgrade_within(options, deadline);
        let core = wait_or_give_up(py, upgrade)?.map_err(raised)?;
        // The request is taken once, so this is set once.
        let _ = self.open.set(Open::new(core, pending.max_queue));
        Ok(())
    }

    /// Send a message: ``str`` as text, bytes-like as binary, an iterable of either in parts.
    ///
    /// Waits for as long as the peer takes to make room for it. Messages of several threads are
    /// sent whole, one after the other. When Ctrl-C ends the wait, the message is either not sent
    /// at all, or the rest of it is sent by the next call on this connection.
    ///
    /// The parts of an iterable are sent as they come, each in a frame of its own. When it raises
    /// in between, the connection is closed with 1011, since half a message is none.
    ///
    /// Args:
    ///     message: What to send.
    ///     text: ``True`` sends bytes, which must be UTF-8, as text; ``False`` sends ``str`` as
    ///         binary.
    ///     compress: ``False`` sends it as it is, also when both ends agreed to compress: a picture
    ///         becomes no smaller.
    ///
    /// Raises:
    ///     ConnectionClosed: If the connection is closed.
    ///     TypeError: If ``message`` is nothing that can be sent.
    #[pyo3(signature = (message, text = None, *, compress = true))]
    fn send(&self, message: &Bound<'_, PyAny>, text: Option<bool>, compress: bool) -> PyResult<()> {
        let options = WriteOptions::new().compress(compress);
        sending::send(self, message, text, options)
    }

    /// Send a message that was prepared for many connections, as :meth:`send` does.
    ///
    /// Raises:
    ///     ConnectionClosed: If the connection is closed.
    ///     BlockingIOError: If the backlog is full, and its policy is to refuse.
    fn send_prepared(&self, py: Python<'_>, message: &Prepared) -> PyResult<()> {
        let open = self.open(py)?;
        let write = |deadline| {
            let options = WriteOptions::new().deadline(deadline);
            open.core.write_prepared(&message.core, options)
        };
        sending::send_all(self, open, py, write)
    }

    /// Choose how much may wait to be sent, and what happens with a message that does not fit.
    ///
    /// Until then :meth:`send` waits for the peer. With any other policy it never waits: what the
    /// system does not take at once stays in the backlog, and leaves in the background as the peer
    /// makes room.
    ///
    /// Args:
    ///     limit: The high-water mark, in bytes, with the headers of frames. When nothing waits, any
    ///         message fits. With ``"wait"`` it counts for :func:`broadcast` and
    ///         :meth:`Topics.publish` only.
    ///     policy: ``"wait"``; ``"refuse"``, then :meth:`send` raises :exc:`BlockingIOError`;
    ///         ``"drop-oldest"``, whole messages that have not begun to leave; ``"close"``, with 1013.
    ///
    /// Raises:
    ///     ValueError: If ``policy`` is none of these.
    #[pyo3(signature = (limit = 1_048_576, policy = "wait"))]
    fn set_backlog(&self, py: Python<'_>, limit: usize, policy: &str) -> PyResult<()> {
        let policy = match policy {
            "wait" => BacklogPolicy::Wait,
            "refuse" => BacklogPolicy::Refuse,
            "drop-oldest" => BacklogPolicy::DropOldest,
            "close" => BacklogPolicy::Close,
            _ => {
                let text = format!(
                    "policy={policy:?}: expected 'wait', 'refuse', 'drop-oldest' or 'close'"
                );
                return Err(PyValueError::new_err(text));
            }
        };
        let backlog = Backlog::new().limit(limit).policy(policy);
        self.open(py)?.core.set_backlog(backlog);
        Ok(())
    }

    /// How many bytes were accepted and wait to be sent.
    #[getter]
    fn backlog(&self) -> usize {
        self.open.get().map_or(0, |open| open.core.backlog().bytes)
    }

    /// How many messages were dropped to make room for newer ones.
    #[getter]
    fn messages_dropped(&self) -> u64 {
        let dropped = |open: &Open| open.core.counters().messages_dropped;
        self.open.get().map_or(0, dropped)
    }

    /// Wait for the next message: ``str`` for text, ``bytes`` for binary.
    ///
    /// Args:
    ///     timeout: Seconds to wait. ``None`` waits for ever; with ``0`` or less nothing is waited
    ///         for. What has come of a message stays for the next call.
    ///     decode: ``False`` gives text as ``bytes`` too, without a copy for decoding; ``True``
    ///         decodes binary messages as UTF-8.
    ///
    /// Raises:
    ///     ConnectionClosedOK: If the connection was closed in order.
    ///     ConnectionClosedError: If it ended otherwise.
    ///     TimeoutError: If no message came in time.
    ///     UnicodeDecodeError: If a binary message was to be decoded, and is not UTF-8. The
    ///         exception has its bytes.
    #[pyo3(signature = (timeout = None, decode = None))]
    fn recv<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<f64>,
        decode: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        receiving::receive(py, self, crate::arguments::deadline(timeout)?, decode)
    }

    /// What has come of the next message: the bytes, whether they are text, whether they are the
    /// last.
    fn _recv_part<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, bool, bool)> {
        receiving::receive_part(py, self)
    }

    /// What has come of the next message, into a buffer: how many bytes, whether they are text,
    /// whether they are the last.
    #[pyo3(signature = (buffer, timeout))]
    fn _recv_into(
        &self,
        buffer: &Bound<'_, PyAny>,
        timeout: Option<f64>,
    ) -> PyResult<(usize, bool, bool)> {
        receiving::receive_into(self, buffer, crate::arguments::deadline(timeout)?)
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
        self.close_with(py, close_code(code)?, reason)
    }

    /// Wait until the connection has ended.
    ///
    /// Receives meanwhile, if no other thread does, and keeps messages for later calls of
    /// :meth:`recv`, up to ``max_queue``.
    ///
    /// Args:
    ///     timeout: Seconds to wait. ``None`` waits for ever.
    ///
    /// Returns:
    ///     Whether it has ended.
    #[pyo3(signature = (timeout = None))]
    fn wait_closed(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let open = self.open(py)?;
        let deadline = crate::arguments::deadline(timeout)?;
        let wait_end = |deadline| open.core.wait_end(open.max_queue, deadline);
        match wait(py, deadline, wait_end)? {
            Ok(()) => Ok(true),
            Err(Error::TimedOut { .. }) => Ok(false),
            Err(error) => Err(self.raised(py, &error)),
        }
    }

    /// Send a Ping.
    ///
    /// The peer answers with a Pong, once it has received all that was sent before::
    ///
    ///     ws.ping().wait()
    ///     print(f"{ws.latency:.6f} s")
    ///
    /// Args:
    ///     data: The payload, at most 125 bytes; one that is different each time when not given.
    ///         ``str`` is sent as UTF-8.
    ///     ack_on_close: Whether the end of the connection counts as an answer.
    ///
    /// Returns:
    ///     What is set once the Pong has come: it has ``wait(timeout)`` and ``is_set()``, like a
    ///     ``threading.Event``.
    ///
    /// Raises:
    ///     ConnectionClosed: If the connection is closed.
    ///     ConcurrencyError: If a Ping with the same payload is not answered yet.
    #[pyo3(signature = (data = None, *, ack_on_close = false))]
    fn ping(
        this: &Bound<'_, Self>,
        data: Option<&Bound<'_, PyAny>>,
        ack_on_close: bool,
    ) -> PyResult<PongEvent> {
        pinging::ping(this, data, ack_on_close)
    }

    /// Send a Pong that answers no Ping: a sign of life (RFC 6455, section 5.5.3).
    ///
    /// Args:
    ///     data: The payload, at most 125 bytes. ``str`` is sent as UTF-8.
    ///
    /// Raises:
    ///     ConnectionClosed: If the connection is closed.
    #[pyo3(signature = (data = None))]
    fn pong(&self, py: Python<'_>, data: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        let payload = data
            .map(|data| Payload::of("pong", data, None))
            .transpose()?;
        let data = payload.as_ref().map_or(&[][..], Payload::as_bytes);
        let open = self.open(py)?;
        let pong = |deadline| open.core.pong_within(data, deadline);
        wait(py, Deadline::NEVER, pong)?.map_err(|error| self.raised(py, &error))
    }

    /// The descriptor of the socket, to wait for in an event loop, and to do nothing else with.
    ///
    /// Messages that have come along with others make it ready no more, so receive with a timeout
    /// of ``0`` until that raises ``TimeoutError``.
    fn fileno(&self, py: Python<'_>) -> PyResult<RawFd> {
        match (self.open.get(), &self.pending) {
            (Some(open), _) => Ok(open.core.as_raw_fd()),
            (None, Some(pending)) => pending.get().descriptor(py),
            (None, None) => Ok(-1),
        }
    }

    /// How far the connection has come, as a number of `State`.
    fn _state(&self) -> u8 {
        match (self.open.get(), &self.pending) {
            (Some(open), _) if open.core.is_open() => 1,
            (Some(open), _) if open.core.end().is_none() => 2,
            (None, Some(pending)) if pending.get().is_waiting() => 0,
            _ => 3,
        }
    }

    /// How many seconds the answer to the last Ping took, also to one of keepalive; ``0.0`` before
    /// the first.
    #[getter]
    fn latency(&self) -> f64 {
        let took = |open: &Open| open.core.counters().round_trip;
        self.open
            .get()
            .and_then(took)
            .as_ref()
            .map_or(0.0, Duration::as_secs_f64)
    }

    /// The code in the peer's Close frame: 1005 when it carried none, 1006 when the connection
    /// ended without one. ``None`` while the connection has not ended.
    #[getter]
    fn close_code(&self) -> Option<u16> {
        ending::end(self.open.get()?).map(|(code, _)| code)
    }

    /// The reason in the peer's Close frame, often empty. ``None`` while the connection has not
    /// ended.
    #[getter]
    fn close_reason(&self) -> Option<String> {
        ending::end(self.open.get()?).map(|(_, reason)| reason)
    }

    /// The subprotocol that both ends agreed on, if any.
    #[getter]
    fn subprotocol(&self) -> Option<&str> {
        self.open.get()?.core.subprotocol()
    }

    /// What was agreed upon for compressing: the fields of `DeflateParameters`.
    fn _deflate_parameters(&self) -> Option<(bool, bool, u8, u8)> {
        let agreed = self.open.get()?.core.deflate_parameters()?;
        Some((
            agreed.server_no_context_takeover,
            agreed.client_no_context_takeover,
            agreed.server_max_window_bits,
            agreed.client_max_window_bits,
        ))
    }

    /// The request that opened the connection: a client's own, or that which the server got.
    #[getter]
    fn request(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if let Some(pending) = &self.pending {
            return pending.get().request(py);
        }
        let open = self.open(py)?;
        let make = || Ok::<_, PyErr>(handshake::request(py, open.core.request())?.unbind());
        let request = self.request.get_or_try_init(py, make)?;
        Ok(request.clone_ref(py))
    }

    /// The response that opened the connection; ``None`` on a server that does not keep it.
    #[getter]
    fn response(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let Some(head) = self.open.get().and_then(|open| open.core.response()) else {
            return Ok(None);
        };
        let make = || Ok::<_, PyErr>(handshake::response(py, head, b"")?.unbind());
        let response = self.response.get_or_try_init(py, make)?;
        Ok(Some(response.clone_ref(py)))
    }

    /// What was agreed upon with the other end, as a :class:`talkws.TLSInfo`; ``None`` without TLS.
    #[getter]
    fn tls<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let info = match (self.open.get(), &self.pending) {
            (Some(open), _) => open.core.tls(),
            (None, pending) => pending.as_ref().and_then(|pending| pending.get().tls()),
        };
        tls::info(py, info)
    }

    /// The address of this end, as ``socket.getsockname()`` gives it; ``None`` for a Unix socket.
    #[getter]
    fn local_address<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        handshake::address(py, self.local())
    }

    /// The address of the other end, as ``socket.getpeername()`` gives it; ``None`` for a Unix
    /// socket. On a server it is the client's, also when a proxy that is trusted came between.
    #[getter]
    fn remote_address<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        handshake::address(py, self.remote())
    }

    /// The address of who is at the other end of the stream: that of :attr:`remote_address`, or of a
    /// proxy before it that is trusted.
    #[getter]
    fn direct_remote_address<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        handshake::address(py, self.direct_remote())
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
        receiving::receive(py, self, Deadline::NEVER, None)
            .map_err(|error| ending::stop_iteration(py, error))
    }

    fn __repr__(this: &Bound<'_, Self>) -> PyResult<String> {
        let name = this.get_type().qualname()?;
        let address = |address: Option<SocketAddr>| {
            address.map_or_else(|| "?".to_owned(), |address| address.to_string())
        };
        let state = match this.get()._state() {
            0 => "connecting",
            1 => "open",
            2 => "closing",
            _ => "closed",
        };
        let (local, remote) = (address(this.get().local()), address(this.get().remote()));
        Ok(format!("<talkws.{name} {local} to {remote}, {state}>"))
    }
}

impl Connection {
    fn local(&self) -> Option<SocketAddr> {
        match (self.open.get(), &self.pending) {
            (Some(open), _) => open.local,
            (None, pending) => pending.as_ref()?.get().local,
        }
    }

    fn remote(&self) -> Option<SocketAddr> {
        match (self.open.get(), &self.pending) {
            (Some(open), _) => open.remote,
            (None, pending) => pending.as_ref()?.get().remote,
        }
    }

    fn direct_remote(&self) -> Option<SocketAddr> {
        match (self.open.get(), &self.pending) {
            (Some(open), _) => open.direct_remote,
            (None, pending) => pending.as_ref()?.get().direct_remote,
        }
    }
}
