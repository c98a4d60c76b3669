//! A client that has asked for a connection, and waits for the answer.

use std::net::SocketAddr;
use std::sync::Mutex;

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyList;
use talkws::{RequestHead, UpgradeOptions};

use crate::arguments;
use crate::connection::{Connection, ServerConnection};
use crate::error::{exception, to_python};
use crate::handshake;

/// A client's request for a connection, to be looked at and answered. Made by
/// :meth:`Listener.accept`.
///
/// :meth:`upgrade` opens the connection, :meth:`refuse` does not. Dropping it unanswered refuses
/// with 503. Looking at it waits for nothing, and is still possible once it is answered.
#[pyclass(module = "talkws", frozen, weakref)]
pub struct PendingConnection {
    head: RequestHead,
    remote: Option<SocketAddr>,
    /// Gone once it is answered.
    waiting: Mutex<Option<talkws::Request>>,
    request: PyOnceLock<Py<PyAny>>,
}

impl PendingConnection {
    pub fn new(request: talkws::Request) -> Self {
        PendingConnection {
            head: request.head().clone(),
            remote: request.peer_addr(),
            waiting: Mutex::new(Some(request)),
            request: PyOnceLock::new(),
        }
    }

    fn take(&self, py: Python<'_>, attempt: &str) -> PyResult<talkws::Request> {
        let mut waiting = self
            .waiting
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        waiting.take().ok_or_else(|| {
            let text = format!("{attempt}: this request was answered before");
            exception(py, "InvalidState", (text,))
        })
    }
}

#[pymethods]
impl PendingConnection {
    /// Open the connection.
    ///
    /// Args:
    ///     subprotocol: A subprotocol to agree on, out of those that the client offers. Without
    ///         it the first of the listener's that the client offers is taken, if there is one.
    ///     additional_headers: Headers to add to the response.
    ///
    /// Raises:
    ///     OSError: If the client has gone.
    ///     InvalidState: If it was answered before.
    #[pyo3(signature = (*, subprotocol = None, additional_headers = None))]
    fn upgrade<'py>(
        &self,
        py: Python<'py>,
        subprotocol: Option<&str>,
        additional_headers: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, ServerConnection>> {
        let raised = |error| to_python(py, &error);
        let mut options = UpgradeOptions::new();
        if let Some(name) = subprotocol {
            options = options.subprotocol(name).map_err(raised)?;
        }
        for (name, value) in arguments::headers(additional_headers)? {
            options = options.header(&name, value).map_err(raised)?;
        }
        let request = self.take(py, "upgrade")?;
        let upgraded = py.detach(|| request.upgrade(options));
        let connection = Connection::new(upgraded.map_err(raised)?);
        Bound::new(py, (ServerConnection, connection))
    }

    /// Refuse the connection.
    ///
    /// Waits for nothing: what the client does not take at once goes out while somebody accepts.
    ///
    /// Args:
    ///     status: An HTTP status from 200 to 599, such as ``http.HTTPStatus.FORBIDDEN``.
    ///     body: What to tell a person, as text.
    ///
    /// Raises:
    ///     InvalidState: If it was answered before.
    #[pyo3(signature = (status, body = ""))]
    fn refuse(&self, py: Python<'_>, status: i64, body: &str) -> PyResult<()> {
        let request = self.take(py, "refuse")?;
        // What is no status at all is told by the core, as any other that is out of range.
        let status = u16::try_from(status).unwrap_or(0);
        py.detach(|| request.refuse(status, body))
            .map_err(|error| to_python(py, &error))
    }

    /// The path that is asked for, percent-encoded, without the query.
    #[getter]
    fn path(&self) -> &str {
        self.head.path()
    }

    /// The query, percent-encoded, without the question mark. ``None`` when there is none.
    #[getter]
    fn query(&self) -> Option<&str> {
        self.head.query()
    }

    /// The headers of the request.
    #[getter]
    fn headers(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.request(py)?.getattr(py, "headers")
    }

    /// The whole request. Its path includes the query.
    #[getter]
    fn request(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let make = || Ok::<_, PyErr>(handshake::request(py, &self.head)?.unbind());
        let request = self.request.get_or_try_init(py, make)?;
        Ok(request.clone_ref(py))
    }

    /// The subprotocols that the client offers, the preferred one first.
    #[getter]
    fn subprotocols<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.head.subprotocols().collect::<Vec<_>>())
    }

    /// Where the page comes from that opens the connection; ``None`` when it is no browser's.
    #[getter]
    fn origin(&self) -> Option<&str> {
        self.head.header("origin")
    }

    /// The client's address, as ``socket.getpeername()`` gives it.
    #[getter]
    fn remote_address<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        handshake::address(py, self.remote)
    }

    fn __repr__(&self) -> String {
        let remote = self
            .remote
            .map_or_else(|| "?".to_owned(), |address| address.to_string());
        format!(
            "<talkws.PendingConnection {} from {remote}>",
            self.head.target()
        )
    }
}
