//! Dialling.

use pyo3::prelude::*;
use pyo3::types::PyString;
use talkws::DialOptions;

use crate::arguments;
use crate::connection::{ClientConnection, Connection};
use crate::error::to_python;
use crate::wait::wait_or_give_up;

/// Connect to the WebSocket server at ``uri``, such as ``ws://localhost:8080/talk-to-server``.
///
/// The connection is a context manager, which closes it::
///
///     with talkws.connect("ws://localhost:8080/talk-to-server") as ws:
///         ws.send("Hello from client!")
///         print(ws.recv())
///
/// Args:
///     uri: Where to connect.
///     origin: Value of the ``Origin`` header, as a browser sends it.
///     subprotocols: Subprotocols to offer, the preferred one first.
///     additional_headers: Headers to add to the request.
///     open_timeout: Seconds for all of it: resolving the name, connecting, and the handshake.
///         ``None`` waits for ever.
///     close_timeout: Seconds that closing waits for the peer. ``None`` waits for ever.
///     max_size: The largest message that may be received, in bytes. ``None`` for no limit.
///
/// Raises:
///     InvalidURI: If ``uri`` is not a URI of a WebSocket.
///     InvalidStatus: If the server refuses; the exception holds its answer.
///     InvalidHandshake: If the server's answer breaks the rules of the opening handshake.
///     OSError: If the network fails.
///     TimeoutError: If ``open_timeout`` passes.
#[pyfunction]
#[pyo3(signature = (
    uri,
    *,
    origin = None,
    subprotocols = None,
    additional_headers = None,
    open_timeout = 10.0,
    close_timeout = 5.0,
    max_size = 16_777_216,
))]
#[allow(clippy::too_many_arguments)]
pub fn connect<'py>(
    py: Python<'py>,
    uri: &str,
    origin: Option<&Bound<'_, PyString>>,
    subprotocols: Option<&Bound<'_, PyAny>>,
    additional_headers: Option<&Bound<'_, PyAny>>,
    open_timeout: Option<f64>,
    close_timeout: Option<f64>,
    max_size: Option<usize>,
) -> PyResult<Bound<'py, ClientConnection>> {
    let mut options = DialOptions::new()
        .timeout(arguments::timeout("open_timeout", open_timeout)?)
        .close_timeout(arguments::timeout("close_timeout", close_timeout)?)
        .max_message_size(arguments::max_size(max_size));
    let raised = |error| to_python(py, &error);
    for (name, value) in arguments::headers(additional_headers)? {
        options = options.header(&name, value).map_err(raised)?;
    }
    if let Some(origin) = origin {
        let value = arguments::latin_1(origin)?;
        options = options.header("origin", value).map_err(raised)?;
    }
    for name in arguments::strings("subprotocols", subprotocols)? {
        options = options.subprotocol(&name).map_err(raised)?;
    }
    let dialled = wait_or_give_up(py, |deadline| options.dial_within(uri, deadline))?;
    let connection = Connection::new(dialled.map_err(raised)?);
    Bound::new(py, (ClientConnection, connection))
}
