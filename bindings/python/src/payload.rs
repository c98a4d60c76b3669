//! What Python sends: text, bytes, and anything with a buffer.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use talkws::MessageKind;

use crate::buffer::{Buffer, utf8};

/// From this size on, bytes are copied without the GIL.
pub const LARGE: usize = 16 * 1024;

/// A payload that stays as it is while the GIL is released.
pub struct Payload<'a> {
    pub kind: MessageKind,
    memory: Memory<'a>,
}

enum Memory<'a> {
    /// Of a `str` or `bytes`, which nobody changes.
    Borrowed(&'a [u8]),
    /// Of an object that says the same.
    Shared(Buffer),
    /// A copy of what could change meanwhile, such as a `bytearray`.
    Copied(Vec<u8>),
}

impl<'a> Payload<'a> {
    /// Takes `str` as text and bytes-likes as binary, unless `text` says otherwise; `None` for
    /// anything else.
    pub fn new(message: &'a Bound<'_, PyAny>, text: Option<bool>) -> PyResult<Option<Self>> {
        let (is_text, memory) = if let Ok(message) = message.cast::<PyString>() {
            (true, Memory::Borrowed(utf8(message)?))
        } else if let Ok(message) = message.cast::<PyBytes>() {
            (false, Memory::Borrowed(message.as_bytes()))
        } else if let Some(buffer) = Buffer::readable(message) {
            (false, Memory::of(message.py(), buffer))
        } else if message.hasattr("tobytes")? {
            // A memoryview, say, whose bytes lie apart.
            let bytes: Vec<u8> = message.call_method0("tobytes")?.extract()?;
            (false, Memory::Copied(bytes))
        } else {
            return Ok(None);
        };
        let kind = if text.unwrap_or(is_text) {
            MessageKind::Text
        } else {
            MessageKind::Binary
        };
        Ok(Some(Payload { kind, memory }))
    }

    /// A payload for a call that takes nothing else.
    pub fn of(what: &str, data: &'a Bound<'_, PyAny>, text: Option<bool>) -> PyResult<Self> {
        if let Some(payload) = Payload::new(data, text)? {
            return Ok(payload);
        }
        let found = data.get_type().qualname()?;
        Err(PyTypeError::new_err(format!(
            "{what}: expected str or bytes-like, not {found}"
        )))
    }

    pub fn as_bytes(&self) -> &[u8] {
        match &self.memory {
            Memory::Borrowed(bytes) => bytes,
            // SAFETY: so many bytes, in place for as long as the buffer lives, and its exporter
            // says that they are not to be changed.
            Memory::Shared(buffer) => unsafe {
                std::slice::from_raw_parts(buffer.start().as_ptr(), buffer.len())
            },
            Memory::Copied(bytes) => bytes,
        }
    }
}

impl Memory<'_> {
    fn of(py: Python<'_>, buffer: Buffer) -> Self {
        if buffer.is_read_only() {
            return Memory::Shared(buffer);
        }
        let copy = || {
            let length = buffer.len();
            let mut bytes: Vec<u8> = Vec::with_capacity(length);
            // SAFETY: both have so many bytes, which are initialised then. A program that writes
            // to the object meanwhile sends old bytes or new ones; this copy is made of raw
            // memory, and nothing later depends on what it holds.
            unsafe {
                std::ptr::copy_nonoverlapping(buffer.start().as_ptr(), bytes.as_mut_ptr(), length);
                bytes.set_len(length);
            }
            bytes
        };
        Memory::Copied(if buffer.len() < LARGE {
            copy()
        } else {
            py.detach(copy)
        })
    }
}
