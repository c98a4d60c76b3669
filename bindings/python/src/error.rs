//! The core's errors as Python's exceptions (see `talkws/exceptions.py` for their tree).

use std::io;
use std::sync::Arc;

use pyo3::exceptions::{
    PyBlockingIOError, PyEOFError, PyNotImplementedError, PyOSError, PyTimeoutError, PyValueError,
};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use talkws::{Error, Violation};

use crate::handshake;

/// An exception of `talkws.exceptions`.
pub fn exception<'py, A>(py: Python<'py>, name: &str, arguments: A) -> PyErr
where
    A: IntoPyObject<'py, Target = PyTuple, Output = Bound<'py, PyTuple>>,
    A::Error: Into<PyErr>,
{
    let make = || {
        let class = py.import("talkws.exceptions")?.getattr(name)?;
        class.call1(arguments.into_pyobject(py).map_err(Into::into)?)
    };
    make().map_or_else(|error| error, PyErr::from_value)
}

/// The exception for a call that failed before there was a connection, or without touching it.
pub fn to_python(py: Python<'_>, error: &Error) -> PyErr {
    let text = error.to_string();
    match error {
        Error::InvalidArgument(_) => PyValueError::new_err(text),
        Error::InvalidUrl { url, reason } => {
            exception(py, "InvalidURI", (url.as_str(), reason.as_ref()))
        }
        Error::Unsupported(_) => PyNotImplementedError::new_err(text),
        Error::Resolve { .. } => name_error(py, &text),
        Error::Io { attempt, source } => os_error(py, attempt, source),
        Error::TimedOut { .. } => PyTimeoutError::new_err(text),
        Error::WouldBlock { .. } => PyBlockingIOError::new_err(text),
        Error::Refused(refusal) => match handshake::response(py, refusal.head(), refusal.body()) {
            Ok(response) => exception(py, "InvalidStatus", (response, text)),
            Err(error) => error,
        },
        Error::Tls { .. } => tls_error(py, &text),
        Error::Handshake { .. } => exception(py, "InvalidMessage", (text,)),
        Error::NoSubprotocol { .. } => exception(py, "NegotiationError", (text,)),
        Error::Proxy {
            refusal: Some(refusal),
            ..
        } => match handshake::response(py, refusal.head(), refusal.body()) {
            Ok(response) => exception(py, "InvalidProxyStatus", (response, text)),
            Err(error) => error,
        },
        Error::Proxy { .. } => exception(py, "ProxyError", (text,)),
        Error::Redirect { .. } => exception(py, "SecurityError", (text,)),
        Error::ConnectionLost {
            reason,
            source: Some(source),
        } => os_error(py, reason, source),
        Error::ConnectionLost { source: None, .. } => {
            let lost = exception(py, "InvalidMessage", (text.as_str(),));
            lost.set_cause(py, Some(PyEOFError::new_err("the stream ended")));
            lost
        }
        Error::Aborted { .. } => exception(py, "ListenerClosed", (text,)),
        Error::InvalidState(_) => exception(py, "ConcurrencyError", (text,)),
        // The others end connections; `cause` says what they were.
        _ => exception(py, "WebSocketException", (text,)),
    }
}

/// Why a connection ended, when it was not for its closing handshake.
pub fn cause(py: Python<'_>, error: &Error) -> PyErr {
    let text = error.to_string();
    match error {
        Error::TooBig(Violation::MessageTooBig { size, limit }) => {
            exception(py, "PayloadTooBig", (*size, *limit))
        }
        Error::Protocol(_) | Error::InvalidUtf8(_) | Error::TooBig(_) => {
            exception(py, "ProtocolError", (text,))
        }
        Error::ConnectionLost { source: None, .. } => PyEOFError::new_err(text),
        _ => to_python(py, error),
    }
}

/// What `ssl` raises, so that programs may go on to catch it.
fn tls_error(py: Python<'_>, text: &str) -> PyErr {
    let make = || {
        let class = py.import("ssl")?.getattr("SSLError")?;
        // SSL_ERROR_SSL.
        class.call1((1, text))
    };
    make().map_or_else(|error| error, PyErr::from_value)
}

/// `OSError`, or the subclass that belongs to its errno.
fn os_error(py: Python<'_>, attempt: &str, source: &io::Error) -> PyErr {
    let Some(number) = errno(source) else {
        return PyErr::from(io::Error::new(
            source.kind(),
            format!("{attempt}: {source}"),
        ));
    };
    let make = || {
        let meaning: String = py
            .import("os")?
            .call_method1("strerror", (number,))?
            .extract()?;
        py.get_type::<PyOSError>()
            .call1((number, format!("{attempt}: {meaning}")))
    };
    make().map_or_else(|error| error, PyErr::from_value)
}

/// The system's number of an error, also of one that was shared between two calls.
fn errno(error: &io::Error) -> Option<i32> {
    let shared = || error.get_ref()?.downcast_ref::<Arc<io::Error>>();
    error
        .raw_os_error()
        .or_else(|| shared().and_then(|error| errno(error)))
}

fn name_error(py: Python<'_>, text: &str) -> PyErr {
    let make = || py.import("socket")?.getattr("gaierror")?.call1((text,));
    make().map_or_else(|error| error, PyErr::from_value)
}
