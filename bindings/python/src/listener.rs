//! Listening and accepting.

use std::os::fd::RawFd;
use std::time::Duration;

use pyo3::exceptions::{PyStopIteration, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyString;
use talkws::{Deadline, Error, ListenOptions, OriginRule};

use crate::arguments::{self, Deflate};
use crate::error::to_python;
use crate::log;
use crate::pending::PendingConnection;
use crate::serving::Program;
use crate::tls::ServerTLS;
use crate::wait::wait_in_turns;

/// How ``origins`` says what is the default.
const SAME_HOST: &str = "same-host";

/// How many clients are given at a time to a loop, whose thread waits for this one meanwhile.
const AT_ONCE: usize = 64;

/// Listens: see :func:`talkws.listen`. Descriptors are those of listening sockets,
/// of which the listener gets duplicates.
#[pyfunction]
#[pyo3(signature = (
    url,
    *,
    descriptors,
    tls,
    origins,
    subprotocols,
    require_subprotocol,
    plain_requests,
    unix_mode,
    trusted_proxies,
    forwarding,
    systemd,
    open_timeout,
    close_timeout,
    keepalive,
    max_size,
    max_queue,
    deflate,
))]
#[allow(clippy::too_many_arguments)]
pub fn listen(
    py: Python<'_>,
    url: &str,
    descriptors: Option<Vec<RawFd>>,
    tls: Option<&ServerTLS>,
    origins: Origins,
    subprotocols: Option<&Bound<'_, PyAny>>,
    require_subprotocol: bool,
    plain_requests: bool,
    unix_mode: Option<u32>,
    trusted_proxies: Option<&Bound<'_, PyAny>>,
    forwarding: Option<&str>,
    systemd: Option<(Option<String>,)>,
    open_timeout: Option<f64>,
    close_timeout: Option<f64>,
    keepalive: (Option<f64>, Option<f64>),
    max_size: Option<usize>,
    max_queue: Option<usize>,
    deflate: Option<Deflate>,
) -> PyResult<Listener> {
    let own = |descriptors: Vec<RawFd>| -> PyResult<Vec<_>> {
        descriptors.into_iter().map(arguments::descriptor).collect()
    };
    let sockets = descriptors.map(own).transpose()?;
    let raised = |error| to_python(py, &error);
    let tls = tls.map(|tls| tls.0.clone());
    let mut options = ListenOptions::new()
        .origins(origins.0)
        .require_subprotocol(require_subprotocol)
        .plain_requests(plain_requests)
        .handshake_timeout(arguments::timeout("open_timeout", open_timeout)?)
        .close_timeout(arguments::timeout("close_timeout", close_timeout)?)
        .max_message_size(arguments::max_size(max_size));
    if let Some((interval, timeout)) = arguments::keepalive(keepalive.0, keepalive.1)? {
        options = options.keepalive(interval, timeout);
    }
    options = arguments::compressing(options, deflate).map_err(raised)?;
    let trusted = arguments::strings("trusted_proxies", trusted_proxies)?;
    let tells = arguments::forwarding(forwarding, trusted.is_empty())?;
    for (network, tells) in trusted.iter().zip(tells.into_iter().cycle()) {
        options = options.trust_proxy(network, tells).map_err(raised)?;
    }
    if let Some(mode) = unix_mode {
        options = options.unix_mode(arguments::unix_mode(mode)?);
    }
    for name in arguments::strings("subprotocols", subprotocols)? {
        options = options.subprotocol(&name).map_err(raised)?;
    }
    if let Some(tls) = tls {
        options = options.tls(tls);
    }
    // Waits for a name to be resolved, if the host is one.
    let listened = py.detach(|| match sockets {
        Some(sockets) => options.listen_on(sockets),
        None => match systemd {
            Some((name,)) => options.listen_systemd(name.as_deref()),
            None => options.listen(url),
        },
    });
    let core = listened.map_err(raised)?;
    log::deliver(py)?;
    let max_queue = max_queue.unwrap_or(usize::MAX);
    Ok(Listener { core, max_queue })
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

/// A listening WebSocket server. Made by :func:`talkws.listen`.
///
/// :meth:`accept` gives the next client's request, to be upgraded or refused; iterating over the
/// listener accepts until it is closed. Any number of threads may accept. Clients that are slow
/// to ask, or ask wrongly, are dealt with inside and hold nobody up. A listener is a context
/// manager, which closes it; the connections live on.
#[pyclass(module = "talkws", frozen, weakref)]
pub struct Listener {
    core: talkws::Listener,
    max_queue: usize,
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
            Ok(request) => Ok(PendingConnection::new(request, self.max_queue)),
            Err(error) => Err(to_python(py, &error)),
        }
    }

    /// Waits for clients, and gives all that are there; none once the listener is closed.
    fn _accept_some(&self, py: Python<'_>) -> PyResult<Vec<PendingConnection>> {
        let mut come = Vec::new();
        let mut deadline = Deadline::NEVER;
        while come.len() < AT_ONCE {
            match self.next(py, deadline)? {
                Ok(request) => come.push(PendingConnection::new(request, self.max_queue)),
                Err(Error::TimedOut { .. } | Error::Aborted { .. }) => break,
                // After those who are there.
                Err(_) if !come.is_empty() => break,
                Err(error) => return Err(to_python(py, &error)),
            }
            deadline = Duration::ZERO.into();
        }
        Ok(come)
    }

    /// Stop listening. Ends every :meth:`accept`; clients that were not accepted are dropped.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.core.close());
    }

    /// Read the files of certificates and keys anew, and use them with all clients that come from
    /// now on; connections live on with what they have.
    ///
    /// Raises:
    ///     ValueError: If what is in the files cannot be used. All is as before then.
    ///     OSError: If a file cannot be read. All is as before then.
    ///     ConcurrencyError: If this listener does not speak TLS.
    fn reload_tls(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.core.reload_tls())
            .map_err(|error| to_python(py, &error))
    }

    /// Serves with so many threads, of which the calling one is the first; gives how many connections
    /// were closed and how many did not answer, when it was shut down. See ``talkws.events``.
    #[pyo3(signature = (threads, *, request, opened, message, failed, ended))]
    #[allow(clippy::too_many_arguments)]
    fn _serve(
        &self,
        py: Python<'_>,
        threads: usize,
        request: Py<PyAny>,
        opened: Py<PyAny>,
        message: Py<PyAny>,
        failed: Py<PyAny>,
        ended: Py<PyAny>,
    ) -> PyResult<(usize, usize)> {
        let program = Program {
            request,
            opened,
            message,
            failed,
            ended,
            max_queue: self.max_queue,
        };
        let served = py.detach(|| self.core.serve(&program, threads));
        log::deliver(py)?;
        let report = served.map_err(|error| to_python(py, &error))?;
        Ok((report.closed, report.unanswered))
    }

    /// Begins to shut down what ``_serve`` does; without that, closes.
    fn _shutdown(&self, py: Python<'_>, code: u16, reason: &str, timeout: f64) -> PyResult<()> {
        let timeout = arguments::timeout("timeout", Some(timeout))?;
        let begun = py.detach(|| self.core.shutdown(code.into(), reason, timeout));
        match begun {
            // Nobody serves, or not any more.
            Err(Error::InvalidState(_)) => {
                self.close(py);
                Ok(())
            }
            begun => begun.map_err(|error| to_python(py, &error)),
        }
    }

    /// The URL to connect to, with the actual port.
    #[getter]
    fn url(&self) -> &str {
        self.core.url()
    }

    /// The port that is listened on; 0 for a Unix socket.
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
            Ok(request) => Ok(PendingConnection::new(request, self.max_queue)),
            Err(Error::Aborted { .. }) => Err(PyStopIteration::new_err(())),
            Err(error) => Err(to_python(py, &error)),
        }
    }

    fn __repr__(&self) -> String {
        format!("<talkws.Listener {}>", self.core.url())
    }
}
