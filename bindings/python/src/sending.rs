//! Messages from Python to the core.

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyIterator, PyMapping, PyString};
use talkws::{Deadline, MessageKind, WriteOptions};

use crate::connection::{Connection, Open};
use crate::payload::Payload;
use crate::wait::{wait, was_interrupted};

/// Sends a message: text, bytes, or an iterable of parts.
pub fn send(
    connection: &Connection,
    message: &Bound<'_, PyAny>,
    text: Option<bool>,
    options: WriteOptions,
) -> PyResult<()> {
    let open = connection.open(message.py())?;
    match Payload::new(message, text)? {
        Some(payload) => send_whole(connection, open, message.py(), &payload, options),
        None => send_parts(connection, open, message, text, options),
    }
}

fn send_whole(
    connection: &Connection,
    open: &Open,
    py: Python<'_>,
    payload: &Payload<'_>,
    options: WriteOptions,
) -> PyResult<()> {
    let (kind, data) = (payload.kind, payload.as_bytes());
    let write = |deadline| open.core.write_with(kind, data, options.deadline(deadline));
    send_all(connection, open, py, write)
}

/// Sends each part as it comes, and an empty one behind the last: which one that is shows only
/// when there are no more.
fn send_parts(
    connection: &Connection,
    open: &Open,
    message: &Bound<'_, PyAny>,
    text: Option<bool>,
    options: WriteOptions,
) -> PyResult<()> {
    let py = message.py();
    if message.cast::<PyMapping>().is_ok() {
        let text = "send: a mapping is no message; send its keys() or values(), or text made of it";
        return Err(PyTypeError::new_err(text));
    }
    let Ok(parts) = message.try_iter() else {
        let found = message.get_type().qualname()?;
        return Err(PyTypeError::new_err(format!(
            "send: expected str, bytes-like, or an iterable of either, not {found}"
        )));
    };
    let mut begun = None;
    let sent = send_each(connection, open, &parts, text, options, &mut begun);
    let Err(error) = sent else { return Ok(()) };
    if begun.is_some() && open.core.is_open() {
        // The message can be neither finished nor taken back.
        let reason = "error in a message in parts";
        let code = talkws::CloseCode::Error;
        let deadline = Deadline::after(open.core.close_timeout());
        // What matters is the error that led here.
        let _ = wait(py, deadline, |deadline| {
            open.core.close_within(code, reason, deadline)
        });
    }
    Err(error)
}

fn send_each(
    connection: &Connection,
    open: &Open,
    parts: &Bound<'_, PyIterator>,
    text: Option<bool>,
    options: WriteOptions,
    begun: &mut Option<(MessageKind, bool)>,
) -> PyResult<()> {
    let py = parts.py();
    for part in parts {
        let part = part?;
        let is_str = part.is_instance_of::<PyString>();
        let payload = Payload::of("send", &part, text)?;
        if matches!(begun, Some((_, was_str)) if *was_str != is_str) {
            let text = "send: the parts of one message must be all str or all bytes-like";
            return Err(PyTypeError::new_err(text));
        }
        let (kind, data) = (payload.kind, payload.as_bytes());
        let is_taken = AtomicBool::new(false);
        let write = |deadline| {
            let options = options.deadline(deadline);
            open.core.write_part_with(kind, data, false, options)?;
            is_taken.store(true, Ordering::Relaxed);
            Ok(())
        };
        let sent = send_all(connection, open, py, write);
        // Also when a signal handler raises while the part leaves.
        if is_taken.into_inner() {
            *begun = Some((kind, is_str));
        }
        sent?;
    }
    match *begun {
        Some((kind, _)) => {
            let write = |deadline| open.core.write_part(kind, &[], true, deadline);
            send_all(connection, open, py, write)
        }
        // An empty iterable is no message.
        None => Ok(()),
    }
}

/// Makes a call that writes, and waits until all of it has left.
pub fn send_all(
    connection: &Connection,
    open: &Open,
    py: Python<'_>,
    write: impl Fn(Deadline) -> talkws::Result<()> + Sync,
) -> PyResult<()> {
    let mut sent = wait(py, Deadline::NEVER, write)?;
    if sent.is_ok() && was_interrupted() {
        // The core has taken the message, but not all of it may have left.
        sent = wait(py, Deadline::NEVER, |deadline| open.core.flush(deadline))?;
    }
    sent.map_err(|error| connection.raised(py, &error))
}
