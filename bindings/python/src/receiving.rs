//! Messages from the core to Python.

use std::cell::RefCell;
use std::mem::MaybeUninit;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use talkws::{Deadline, Message, MessageKind};

use crate::buffer::Buffer;
use crate::connection::Connection;
use crate::payload::LARGE;
use crate::wait::wait;

/// How much memory a thread keeps from message to message. Memory that is given back and taken
/// again comes as fresh pages, each of which costs a fault.
const KEPT: usize = 4 << 20;

/// The most that one step of a streamed message takes.
const PIECE: usize = 64 * 1024;

thread_local! {
    /// What the last message was received into.
    static MEMORY: RefCell<Message> = RefCell::new(Message::default());
}

/// Waits for a message.
pub fn receive<'py>(
    py: Python<'py>,
    connection: &Connection,
    deadline: Deadline,
    decode: Option<bool>,
) -> PyResult<Bound<'py, PyAny>> {
    let core = &connection.open(py)?.core;
    // While this thread waits, signal handlers may run on it, and receive too.
    let memory = std::sync::Mutex::new(MEMORY.take());
    let read = |deadline| {
        let mut message = memory.lock().unwrap_or_else(|broken| broken.into_inner());
        core.read_into(&mut message, deadline)
    };
    let result = wait(py, deadline, read);
    let message = memory
        .into_inner()
        .unwrap_or_else(|broken| broken.into_inner());
    let received = match result? {
        Ok(()) => message_to_python(py, &message, decode),
        Err(error) => Err(connection.raised(py, &error)),
    };
    let data = message.into_bytes();
    if data.capacity() <= KEPT {
        MEMORY.set(Message::with_buffer(data));
    }
    received
}

/// Waits for what comes next of a message.
pub fn receive_part<'py>(
    py: Python<'py>,
    connection: &Connection,
) -> PyResult<(Bound<'py, PyAny>, bool, bool)> {
    let core = &connection.open(py)?.core;
    let read = |deadline| {
        let mut piece: Vec<u8> = Vec::with_capacity(PIECE);
        let part = core.read_some_uninit(piece.spare_capacity_mut(), deadline)?;
        // SAFETY: the core has initialised that many bytes at the start of the room.
        unsafe { piece.set_len(part.len) };
        Ok((piece, part))
    };
    let received = wait(py, Deadline::NEVER, read)?;
    let (piece, part) = received.map_err(|error| connection.raised(py, &error))?;
    let bytes = PyBytes::new(py, &piece).into_any();
    Ok((bytes, part.kind == MessageKind::Text, part.is_last))
}

/// Waits for what comes next of a message, in the caller's memory.
pub fn receive_into(
    connection: &Connection,
    buffer: &Bound<'_, PyAny>,
    deadline: Deadline,
) -> PyResult<(usize, bool, bool)> {
    let py = buffer.py();
    let core = &connection.open(py)?.core;
    let buffer = Buffer::writable("recv_into", buffer)?;
    let read = |deadline| {
        let start = buffer.start().as_ptr().cast::<MaybeUninit<u8>>();
        // SAFETY: so many bytes, in place for as long as the buffer lives. Only this call writes
        // to them, unless the program lends them out twice at a time, which socket.recv_into
        // forbids no more than this; the core reads nothing that it has not just written.
        let room = unsafe { std::slice::from_raw_parts_mut(start, buffer.len()) };
        core.read_some_uninit(room, deadline)
    };
    let part = wait(py, deadline, read)?.map_err(|error| connection.raised(py, &error))?;
    Ok((part.len, part.kind == MessageKind::Text, part.is_last))
}

pub fn message_to_python<'py>(
    py: Python<'py>,
    message: &Message,
    decode: Option<bool>,
) -> PyResult<Bound<'py, PyAny>> {
    match (message.as_text(), decode) {
        (Some(text), None | Some(true)) => Ok(PyString::new(py, text).into_any()),
        (None, Some(true)) => Ok(PyString::from_bytes(py, message.as_bytes())?.into_any()),
        _ if message.len() < LARGE => Ok(PyBytes::new(py, message.as_bytes()).into_any()),
        _ => large_bytes(py, message.as_bytes()),
    }
}

/// A `bytes` object, filled while other threads run Python.
fn large_bytes<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let length = data.len() as ffi::Py_ssize_t;
    // SAFETY: without a pointer this makes a new object of that length, its bytes not
    // initialised, or gives null with an exception set.
    let object = unsafe {
        let object = ffi::PyBytes_FromStringAndSize(std::ptr::null(), length);
        Bound::from_owned_ptr_or_err(py, object)?
    };
    // SAFETY: it is a `bytes` object. The pointer is good for as long as `object` lives.
    let start = unsafe { ffi::PyBytes_AsString(object.as_ptr()) } as usize;
    py.detach(|| {
        // SAFETY: the object has room for `data`, and nobody else has seen it yet: it is this
        // function's own, and `bytes` are not tracked by the garbage collector.
        unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), start as *mut u8, data.len()) }
    });
    Ok(object)
}
