//! The memory behind Python's objects, without a copy.
//!
//! The buffer protocol joined CPython's limited API with 3.11, and `PyUnicode_AsUTF8AndSize` with
//! 3.10. Both are in every CPython since 3.9 with the same meaning and layout, and in 3.9 and 3.10
//! nothing changes any more; so they are declared here for all.

use std::ffi::{c_char, c_int, c_void};
use std::ptr::{self, NonNull};

use pyo3::exceptions::{PyBufferError, PyTypeError};
use pyo3::ffi::{Py_ssize_t, PyObject};
use pyo3::prelude::*;
use pyo3::types::PyString;

/// `Py_buffer`, as `Include/cpython/object.h` (3.9, 3.10) and `Include/pybuffer.h` have it.
#[repr(C)]
struct View {
    buf: *mut c_void,
    obj: *mut PyObject,
    len: Py_ssize_t,
    itemsize: Py_ssize_t,
    readonly: c_int,
    ndim: c_int,
    format: *mut c_char,
    shape: *mut Py_ssize_t,
    strides: *mut Py_ssize_t,
    suboffsets: *mut Py_ssize_t,
    internal: *mut c_void,
}

/// `PyBUF_SIMPLE`: contiguous bytes.
const SIMPLE: c_int = 0;
/// `PyBUF_WRITABLE`.
const WRITABLE: c_int = 1;

unsafe extern "C" {
    fn PyObject_GetBuffer(object: *mut PyObject, view: *mut View, flags: c_int) -> c_int;
    fn PyBuffer_Release(view: *mut View);
    fn PyUnicode_AsUTF8AndSize(text: *mut PyObject, size: *mut Py_ssize_t) -> *const c_char;
}

/// The contiguous bytes of an object, which stay where they are for as long as this lives.
pub struct Buffer {
    /// Boxed: a view must be released where it was filled.
    view: Box<View>,
}

// SAFETY: the memory is exported to whoever holds the view, on any thread. Releasing it needs the
// interpreter, which `drop` sees to.
unsafe impl Send for Buffer {}
// SAFETY: as above; nothing in the view changes.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// Bytes to read; `None` when the object has none, or not in one piece.
    pub fn readable(object: &Bound<'_, PyAny>) -> Option<Self> {
        Self::get(object, SIMPLE).ok()
    }

    /// Bytes to write to.
    pub fn writable(what: &str, object: &Bound<'_, PyAny>) -> PyResult<Self> {
        Self::get(object, WRITABLE).map_err(|error| {
            let found = object.get_type();
            let text = format!("{what}: expected a writable, contiguous buffer, not {found}");
            let wrong = if error.is_instance_of::<PyBufferError>(object.py()) {
                PyBufferError::new_err(text)
            } else {
                PyTypeError::new_err(text)
            };
            wrong.set_cause(object.py(), Some(error));
            wrong
        })
    }

    fn get(object: &Bound<'_, PyAny>, flags: c_int) -> PyResult<Self> {
        let mut view = Box::new(View {
            buf: ptr::null_mut(),
            obj: ptr::null_mut(),
            len: 0,
            itemsize: 0,
            readonly: 0,
            ndim: 0,
            format: ptr::null_mut(),
            shape: ptr::null_mut(),
            strides: ptr::null_mut(),
            suboffsets: ptr::null_mut(),
            internal: ptr::null_mut(),
        });
        // SAFETY: a live object, and a view to fill, which is released once it was filled.
        match unsafe { PyObject_GetBuffer(object.as_ptr(), &raw mut *view, flags) } {
            0 => Ok(Buffer { view }),
            _ => Err(PyErr::fetch(object.py())),
        }
    }

    /// Whether the exporter says that nobody changes the bytes.
    pub fn is_read_only(&self) -> bool {
        self.view.readonly != 0
    }

    pub fn len(&self) -> usize {
        self.view.len as usize
    }

    /// Where the bytes are, never null.
    pub fn start(&self) -> NonNull<u8> {
        NonNull::new(self.view.buf.cast()).unwrap_or(NonNull::dangling())
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // When the interpreter is gone the memory is too.
        Python::try_attach(|_| {
            // SAFETY: it was filled, and is released once.
            unsafe { PyBuffer_Release(&raw mut *self.view) }
        });
    }
}

/// The UTF-8 of a text: its own memory when it is ASCII, else made once and kept by it.
pub fn utf8<'a>(text: &'a Bound<'_, PyString>) -> PyResult<&'a [u8]> {
    let mut size = 0;
    // SAFETY: a live `str`, and a place for the size.
    let start = unsafe { PyUnicode_AsUTF8AndSize(text.as_ptr(), &raw mut size) };
    if start.is_null() {
        return Err(PyErr::fetch(text.py()));
    }
    // SAFETY: so many bytes, which live and stay unchanged as long as the `str` does.
    Ok(unsafe { std::slice::from_raw_parts(start.cast(), size as usize) })
}
