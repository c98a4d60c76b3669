//! Listening and accepting.

use pyo3::exceptions::{PyStopIteration, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyString;
use talkws::{Deadline, Error, ListenOptions, OriginRule};

use crate::arguments;
use crate::error::to_python;
use crate::pending::PendingConnection;
use crate::wait::wait_in_turns;

/// How ``origins`` says what is the default.
const SAME_HOST: &str = "same-host";

/// Listen for WebSocket clients at ``url``, such as ``ws://localhost:8080/talk-to-server``.
///
/// Port 0 takes a free one, see :attr:`Listener.port`. The path is the only one that is served,
/// others get 404; a URL without a path, such as ``ws://localhost:8080``, serves all::
///
///     with talkws.listen("ws://localhost:8080/talk-to-server") as listener:
///         for pending in listener:
///             with pending.upgrade() as ws:
///                 print(ws.recv())
///                 ws.send("Hello from server!")
///
/// Args:
///     url: Where to listen.
///     origins: From which web pages browsers may connect; others get 403. ``"same-host"``: those
///         of this very server. A sequence: these origins. ``None``: all. A client that sends no
///         ``Origin`` is no browser, and not concerned.
///     subprotocols: Subprotocols to agree on, the preferred one first.
///     open_timeout: Seconds that a client may take for its request. ``None`` waits for ever.
///     close_timeout: Seconds that closing a connection waits for the peer. ``None`` waits for
///         ever.
///     max_size: The largest message that may be received, in bytes. ``None`` for no limit.
///
/// Raises:
///     InvalidURI: If ``url`` cannot be listened on.
///     OSError: If the system does not allow it, or the address is in use.
#[pyfunction]
#[pyo3(
    signature = (
        url,
        *,
        origins = Origins(OriginRule::SameHost),
        subprotocols = None,
        open_timeout = 10.0,
        close_timeout = 5.0,
        max_size = 16_777_216,
    ),
    text_signature = "(url, *, origins='same-host', subprotocols=None, open_timeout=10.0, \
                      close_timeout=5.0, max_size=16777216)"
)]
#[allow(clippy::too_many_arguments)]
pub fn listen(
    py: Python<'_>,
    url: &str,
    origins: Origins,
    subprotocols: Option<&Bound<'_, PyAny>>,
    open_timeout: Option<f64>,
    close_timeout: Option<f64>,
    max_size: Option<usize>,
) -> PyResult<Listener> {
    let raised = |error| to_python(py, &error);
    let mut options = ListenOptions::new()
        .origins(origins.0)
        .handshake_timeout(arguments::timeout("open_timeout", open_timeout)?)
        .close_timeout(arguments::timeout("close_timeout", close_timeout)?)
        .max_message_size(arguments::max_size(max_size));
    for name in arguments::strings("subprotocols", subprotocols)? {
        options = options.subprotocol(&name).map_err(raised)?;
    }
    // Waits for a name to be resolved, if the host is one.
    let core = py.detach(|| options.listen(url)).map_err(raised)?;
    Ok(Listener { core })
}

/// The argument ``origins``.
pub struct Origins(OriginRule);

impl FromPyObject<'_, '_> for Origins {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        if value.is_none() {
            return Ok(Origins(OriginRule::Any));
        }
        if let Ok(text) = value.cast::<PyString>() {
            if text.to_cow()? == SAME_HOST {
                return Ok(Origins(OriginRule::SameHost));
            }
            let expected = "origins: expected 'same-host', a sequence of str, or None";
            return Err(PyTypeError::new_err(expected));
        }
        let only = arguments::strings("origins", Some(&value))?;
        Ok(Origins(OriginRule::Only(only)))
    }
}

/// A listening WebSocket server. Made by :func:`listen`.
///
/// :meth:`accept` gives the next client's request, to be upgraded or refused; iterating over the
/// listener accepts until it is closed. Any number of threads may accept. Clients that are slow
/// to ask, or ask wrongly, are dealt with inside and hold nobody up. A listener is a context
/// manager, which closes it; the connections live on.
#[pyclass(module = "talkws", frozen, weakref)]
pub struct Listener {
    core: talkws::Listener,
}

impl Listener {
    fn next(
        &self,
        py: Python<'_>,
        deadline: Deadline,
    ) -> PyResult<talkws::Result<talkws::Request>> {
        wait_in_turns(py, deadline, |deadline| self.core.accept_within(deadline))
    }
}

#[pymethods]
impl Listener {
    /// Wait for the next client that asks, completely and well, for a connection.
    ///
    /// Args:
    ///     timeout: Seconds to wait. ``None`` waits for ever; with ``0`` or less nothing is waited
    ///         for.
    ///
    /// Raises:
    ///     ListenerClosed: Once the listener is closed, by whatever thread.
    ///     TimeoutError: If nobody came in time.
    #[pyo3(signature = (timeout = None))]
    fn accept(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<PendingConnection> {
        match self.next(py, arguments::deadline(timeout)?)? {
            Ok(request) => Ok(PendingConnection::new(request)),
            Err(error) => Err(to_python(py, &error)),
        }
    }

    /// Stop listening. Ends every :meth:`accept`; clients that were not accepted are dropped.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.core.close());
    }

    /// The URL to connect to, with the actual port.
    #[getter]
    fn url(&self) -> &str {
        self.core.url()
    }

    /// The port that is listened on.
    #[getter]
    fn port(&self) -> u16 {
        self.core.local_addr().port()
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
    ) {
        let _ = (exc_type, exc_value, traceback);
        self.close(py);
    }

    fn __iter__(this: Bound<'_, Self>) -> Bound<'_, Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<PendingConnection> {
        match self.next(py, Deadline::NEVER)? {
            Ok(request) => Ok(PendingConnection::new(request)),
            Err(Error::Aborted { .. }) => Err(PyStopIteration::new_err(())),
            Err(error) => Err(to_python(py, &error)),
        }
    }

    fn __repr__(&self) -> String {
        format!("<talkws.Listener {}>", self.core.url())
    }
}
