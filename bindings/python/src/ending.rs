//! How a connection ended, as Python tells it.

use pyo3::exceptions::PyStopIteration;
use pyo3::prelude::*;
use talkws::{CloseCode, CloseInfo, ClosedBy, Error};

use crate::connection::{Connection, Open};
use crate::error::{cause, exception, to_python};

/// The exception for a call on a connection that failed.
pub fn raised(py: Python<'_>, connection: &Connection, error: &Error) -> PyErr {
    let core = match connection.open(py) {
        Ok(open) => &open.core,
        Err(error) => return error,
    };
    match error {
        Error::Closed(info) => closed(py, core, info),
        Error::ConnectionLost { .. }
        | Error::Protocol(_)
        | Error::InvalidUtf8(_)
        | Error::TooBig(_)
        | Error::Aborted { .. } => failed(py, core, error),
        _ => to_python(py, error),
    }
}

/// With what a connection ended, `None` while it has not.
pub fn end(open: &Open) -> Option<(u16, String)> {
    match open.core.end()? {
        Error::Closed(info) => Some((info.code.into(), info.reason)),
        _ => Some((CloseCode::Abnormal.into(), String::new())),
    }
}

/// `StopIteration` instead of `ConnectionClosedOK`.
pub fn stop_iteration(py: Python<'_>, error: PyErr) -> PyErr {
    let ok = || {
        py.import("talkws.exceptions")?
            .getattr("ConnectionClosedOK")
    };
    match ok() {
        Ok(ok) if error.matches(py, &ok).unwrap_or(false) => PyStopIteration::new_err(()),
        _ => error,
    }
}

/// `ConnectionClosed` after, or in the middle of, the closing handshake.
fn closed(py: Python<'_>, core: &talkws::Connection, info: &CloseInfo) -> PyErr {
    let ended = core.close_info();
    let info = ended.as_ref().unwrap_or(info);
    let received = (u16::from(info.code), info.reason.clone());
    let (received, sent) = match info.by {
        // The answer carries the code that it answers (RFC 6455, 5.5.1).
        ClosedBy::Peer => (Some(received.clone()), Some((received.0, String::new()))),
        ClosedBy::Local if ended.is_some() => (Some(received), sent(core)),
        // The peer has not answered yet.
        ClosedBy::Local => (None, Some(received)),
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
    let peer_first = (received.is_some() && sent.is_some()).then_some(info.by == ClosedBy::Peer);
    connection_closed(py, name, received, sent, peer_first)
}

/// `ConnectionClosedError` when it ended otherwise.
fn failed(py: Python<'_>, core: &talkws::Connection, error: &Error) -> PyErr {
    let raised = connection_closed(py, "ConnectionClosedError", None, sent(core), None);
    raised.set_cause(py, Some(cause(py, error)));
    raised
}

/// Code and reason that this end closes with of its own accord, if it does.
fn sent(core: &talkws::Connection) -> Option<(u16, String)> {
    core.closing().map(|info| (info.code.into(), info.reason))
}

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
