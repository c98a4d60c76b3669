//! Dialling.

use std::os::fd::RawFd;
use std::sync::Mutex;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyString};
use talkws::{ClientTls, DialOptions, Error};

use crate::arguments::{self, Deflate};
use crate::connection::Open;
use crate::error::{exception, to_python};
use crate::tls::ClientTLS;
use crate::wait::wait_or_give_up;

/// A connection that was dialled, for a :class:`talkws.ClientConnection` to be made of.
#[pyclass(module = "talkws._talkws", frozen)]
pub struct Dialled(Mutex<Option<Open>>);

impl Dialled {
    pub fn take(&self, py: Python<'_>) -> PyResult<Open> {
        let mut open = self
            .0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        open.take().ok_or_else(|| {
            let text = "there is a connection already that was made of this";
            exception(py, "InvalidState", (text,))
        })
    }
}

/// Dials: see :func:`talkws.connect`. A descriptor is one of a connected socket, of which
/// the connection gets a duplicate.
#[pyfunction]
#[pyo3(signature = (
    uri,
    *,
    descriptor,
    tls,
    server_hostname,
    origin,
    subprotocols,
    headers,
    proxy,
    proxy_tls,
    proxy_server_hostname,
    max_redirects,
    open_timeout,
    close_timeout,
    keepalive,
    max_size,
    max_queue,
    deflate,
))]
#[allow(clippy::too_many_arguments)]
pub fn dial(
    py: Python<'_>,
    uri: &str,
    descriptor: Option<RawFd>,
    tls: Option<&ClientTLS>,
    server_hostname: Option<&str>,
    origin: Option<&Bound<'_, PyString>>,
    subprotocols: Option<&Bound<'_, PyAny>>,
    headers: Option<&Bound<'_, PyAny>>,
    proxy: Proxy,
    proxy_tls: Option<&ClientTLS>,
    proxy_server_hostname: Option<&str>,
    max_redirects: u32,
    open_timeout: Option<f64>,
    close_timeout: Option<f64>,
    keepalive: (Option<f64>, Option<f64>),
    max_size: Option<usize>,
    max_queue: Option<usize>,
    deflate: Option<Deflate>,
) -> PyResult<Dialled> {
    let socket = descriptor.map(arguments::descriptor).transpose()?;
    let mut options = DialOptions::new()
        .timeout(arguments::timeout("open_timeout", open_timeout)?)
        .max_redirects(max_redirects)
        .close_timeout(arguments::timeout("close_timeout", close_timeout)?)
        .max_message_size(arguments::max_size(max_size));
    if let Some((interval, timeout)) = arguments::keepalive(keepalive.0, keepalive.1)? {
        options = options.keepalive(interval, timeout);
    }
    options = match proxy {
        Proxy::None => options,
        Proxy::Environment => options.proxy_from_env(),
        Proxy::Url(url) => match options.proxy(&url) {
            Err(Error::InvalidUrl { url, reason }) => {
                return Err(exception(py, "InvalidProxy", (url, reason.as_ref())));
            }
            options => options.map_err(|error| to_python(py, &error))?,
        },
    };
    let raised = |error| to_python(py, &error);
    let named = |tls: Option<&ClientTLS>, name: Option<&str>| {
        let tls = tls.map_or_else(ClientTls::new, |tls| tls.0.clone());
        match name {
            Some(name) => tls.server_name(name).map_err(raised),
            None => Ok(tls),
        }
    };
    options = options
        .tls(named(tls, server_hostname)?)
        .proxy_tls(named(proxy_tls, proxy_server_hostname)?);
    options = arguments::compressing(options, deflate).map_err(raised)?;
    for (name, value) in arguments::headers(headers)? {
        options = options.header(&name, value).map_err(raised)?;
    }
    if let Some(origin) = origin {
        let value = arguments::latin_1(origin)?;
        options = options.header("origin", value).map_err(raised)?;
    }
    for name in arguments::strings("subprotocols", subprotocols)? {
        options = options.subprotocol(&name).map_err(raised)?;
    }
    let dialled = wait_or_give_up(py, |deadline| match socket {
        Some(socket) => options.dial_on(socket, uri, deadline),
        None => options.dial_within(uri, deadline),
    })?;
    let open = Open::new(dialled.map_err(raised)?, max_queue.unwrap_or(usize::MAX));
    Ok(Dialled(Mutex::new(Some(open))))
}

/// The argument ``proxy``.
pub enum Proxy {
    None,
    Environment,
    Url(String),
}

impl FromPyObject<'_, '_> for Proxy {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, '_, PyAny>) -> PyResult<Self> {
        if value.is_none() {
            return Ok(Proxy::None);
        }
        if let Ok(text) = value.cast::<PyString>() {
            return Ok(Proxy::Url(text.to_cow()?.into_owned()));
        }
        if value.cast::<PyBool>().is_ok_and(|value| value.is_true()) {
            return Ok(Proxy::Environment);
        }
        let expected = "proxy: expected True for that of the environment, a str, or None";
        Err(PyTypeError::new_err(expected))
    }
}
