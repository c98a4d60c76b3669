//! A client that has asked for a connection, and waits for the answer.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Mutex, MutexGuard};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyList;
use talkws::{RefuseOptions, Request, RequestHead, TlsInfo, UpgradeOptions};

use crate::arguments;
use crate::error::{exception, to_python};
use crate::handshake;
use crate::payload::Payload;
use crate::tls;

/// A client's request for a connection, to be looked at and answered. Made by
/// :meth:`Listener.accept`.
///
/// :meth:`upgrade` opens the connection, :meth:`refuse` does not. Dropping it unanswered refuses
/// with 503. Looking at it waits for nothing, and is still possible once it is answered.
#[pyclass(module = "talkws", frozen, weakref)]
pub struct PendingConnection {
    head: RequestHead,
    is_upgrade: bool,
    tls: Option<TlsInfo>,
    pub local: Option<SocketAddr>,
    pub remote: Option<SocketAddr>,
    pub direct_remote: Option<SocketAddr>,
    pub max_queue: usize,
    /// Gone once it is answered.
    waiting: Mutex<Option<Request>>,
    request: PyOnceLock<Py<PyAny>>,
}

impl PendingConnection {
    pub fn new(request: Request, max_queue: usize) -> Self {
        PendingConnection {
            head: request.head().clone(),
            is_upgrade: request.is_upgrade(),
            tls: request.tls(),
            local: request.local_addr(),
            remote: request.peer_addr(),
            direct_remote: request.direct_peer_addr(),
            max_queue,
            waiting: Mutex::new(Some(request)),
            request: PyOnceLock::new(),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Option<Request>> {
        self.waiting
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub fn is_waiting(&self) -> bool {
        self.waiting().is_some()
    }

    /// The request, to be upgraded: it stays here when the options do not fit it.
    pub fn take_to_upgrade(&self, py: Python<'_>, options: &UpgradeOptions) -> PyResult<Request> {
        let taken = {
            let mut waiting = self.waiting();
            let checked = waiting
                .as_ref()
                .map(|request| request.check_upgrade(options));
            checked.transpose().map(|_| waiting.take())
        };
        // Exceptions are made by Python, in which other threads may run, and ask for the lock.
        taken
            .map_err(|error| to_python(py, &error))?
            .ok_or_else(|| answered(py, "upgrade"))
    }

    pub fn tls(&self) -> Option<TlsInfo> {
        self.tls.clone()
    }

    pub fn descriptor(&self, py: Python<'_>) -> PyResult<RawFd> {
        let descriptor = self.waiting().as_ref().map(Request::as_raw_fd);
        descriptor.ok_or_else(|| answered(py, "fileno"))
    }

    /// What an upgrade says.
    pub fn upgrade_options(
        py: Python<'_>,
        subprotocol: Option<&str>,
        headers: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<UpgradeOptions> {
        let raised = |error| to_python(py, &error);
        let mut options = UpgradeOptions::new();
        if let Some(name) = subprotocol {
            options = options.subprotocol(name).map_err(raised)?;
        }
        for (name, value) in arguments::headers(headers)? {
            options = options.header(&name, value).map_err(raised)?;
        }
        Ok(options)
    }

    pub fn request(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let make = || Ok::<_, PyErr>(handshake::request(py, &self.head)?.unbind());
        let request = self.request.get_or_try_init(py, make)?;
        Ok(request.clone_ref(py))
    }
}

fn answered(py: Python<'_>, attempt: &str) -> PyErr {
    let text = format!("{attempt}: this request was answered before");
    exception(py, "InvalidState", (text,))
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
    ///     ValueError: If the client does not offer ``subprotocol``, or a header cannot be. It still
    ///         waits for an answer then.
    #[pyo3(signature = (*, subprotocol = None, additional_headers = None))]
    fn upgrade<'py>(
        this: &Bound<'py, Self>,
        subprotocol: Option<&str>,
        additional_headers: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let class = this
            .py()
            .import("talkws.server")?
            .getattr("ServerConnection")?;
        let connection = class.call1((this,))?;
        connection.call_method1("_upgrade", (subprotocol, additional_headers))?;
        Ok(connection)
    }

    /// Refuse the connection.
    ///
    /// Waits for nothing: what the client does not take at once goes out while somebody accepts.
    ///
    /// Args:
    ///     status: An HTTP status from 200 to 599, such as ``http.HTTPStatus.FORBIDDEN``.
    ///     body: What to tell a person, as text, or bytes of what a header says.
    ///     additional_headers: Headers to add to the response.
    ///
    /// Raises:
    ///     InvalidState: If it was answered before.
    ///     ValueError: If ``status`` or a header cannot be. It still waits for an answer then.
    #[pyo3(signature = (status, body = None, *, additional_headers = None))]
    fn refuse(
        &self,
        py: Python<'_>,
        status: i64,
        body: Option<&Bound<'_, PyAny>>,
        additional_headers: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let raised = |error| to_python(py, &error);
        let payload = body
            .map(|body| Payload::of("refuse", body, None))
            .transpose()?;
        let body = payload.as_ref().map_or(&[][..], Payload::as_bytes);
        let mut options = RefuseOptions::new();
        for (name, value) in arguments::headers(additional_headers)? {
            options = options.header(&name, value).map_err(raised)?;
        }
        // Here too, since the core takes the request along when it says no.
        let status = u16::try_from(status)
            .ok()
            .filter(|status| (200..=599).contains(status))
            .ok_or_else(|| {
                let text = format!("refuse with {status}: use an HTTP status from 200 to 599");
                PyValueError::new_err(text)
            })?;
        let request = self.waiting().take();
        let request = request.ok_or_else(|| answered(py, "refuse"))?;
        py.detach(|| request.refuse_with(status, body, options))
            .map_err(raised)
    }

    /// The response that an upgrade would send.
    fn _response<'py>(
        &self,
        py: Python<'py>,
        subprotocol: Option<&str>,
        headers: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let options = Self::upgrade_options(py, subprotocol, headers)?;
        let of_request = |request: &Request| request.upgrade_response(&options);
        let head = self.waiting().as_ref().map(of_request);
        let head = head.ok_or_else(|| answered(py, "upgrade"))?;
        handshake::response(py, &head.map_err(|error| to_python(py, &error))?, b"")
    }

    /// What was agreed upon with the client, as a :class:`talkws.TLSInfo`; ``None`` without TLS.
    #[getter(tls)]
    fn tls_info<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        tls::info(py, self.tls())
    }

    /// Whether the client asks for an upgrade to a WebSocket.
    #[getter]
    fn is_upgrade(&self) -> bool {
        self.is_upgrade
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
    #[pyo3(name = "request")]
    fn whole_request(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.request(py)
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

    /// The client's address, as ``socket.getpeername()`` gives it, also when a proxy that is trusted
    /// came between.
    #[getter]
    fn remote_address<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        handshake::address(py, self.remote)
    }

    /// The address of who has connected: the client, or a proxy.
    #[getter]
    fn direct_remote_address<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        handshake::address(py, self.direct_remote)
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
