//! What the two ends said before the first frame, as objects of `talkws.handshake`.

use std::net::SocketAddr;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use talkws::{RequestHead, ResponseHead};

/// A `talkws.Request`.
pub fn request<'py>(py: Python<'py>, head: &RequestHead) -> PyResult<Bound<'py, PyAny>> {
    let class = py.import("talkws.handshake")?.getattr("Request")?;
    class.call1((head.target(), headers(py, head.headers())?))
}

/// A `talkws.Response`.
pub fn response<'py>(
    py: Python<'py>,
    head: &ResponseHead,
    body: &[u8],
) -> PyResult<Bound<'py, PyAny>> {
    let class = py.import("talkws.handshake")?.getattr("Response")?;
    let headers = headers(py, head.headers())?;
    class.call1((
        head.status(),
        head.reason(),
        headers,
        PyBytes::new(py, body),
    ))
}

/// A `talkws.Headers`. Values may hold any bytes; as ISO-8859-1 none is lost.
pub fn headers<'py, 'a>(
    py: Python<'py>,
    headers: impl Iterator<Item = (&'a str, &'a [u8])>,
) -> PyResult<Bound<'py, PyAny>> {
    let latin_1 = |bytes: &[u8]| bytes.iter().map(|&byte| byte as char).collect::<String>();
    let pairs: Vec<_> = headers
        .map(|(name, value)| (name, latin_1(value)))
        .collect();
    let class = py.import("talkws.headers")?.getattr("Headers")?;
    class.call1((pairs,))
}

/// An address as Python's `socket` gives it: host and port, and for IPv6 flow and scope too.
pub fn address<'py>(
    py: Python<'py>,
    address: Option<SocketAddr>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Some(address) = address else {
        return Ok(None);
    };
    let host = address.ip().to_string();
    let tuple = match address {
        SocketAddr::V4(v4) => (host, v4.port()).into_pyobject(py)?,
        SocketAddr::V6(v6) => (host, v6.port(), v6.flowinfo(), v6.scope_id()).into_pyobject(py)?,
    };
    Ok(Some(tuple.into_any()))
}
