//! The Python face: how each call crosses from Python to the core and back. What happens on a
//! connection is for the core; the names and manners are those of Python's `websockets.sync`.

mod arguments;
mod arrival;
mod broadcasting;
mod buffer;
mod cancelling;
mod connect;
mod connection;
mod driving;
mod ending;
mod error;
mod handshake;
mod listener;
mod log;
mod payload;
mod pending;
mod pinging;
mod receiving;
mod sending;
mod serving;
mod tls;
mod wait;

use pyo3::prelude::*;

/// The native part of talkws: connections, and how they are made.
///
/// Its names are for programs to take from the package ``talkws``.
#[pymodule(gil_used = false)]
mod _talkws {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::arrival::Arrival;
    #[pymodule_export]
    use crate::broadcasting::{Prepared, Topics, offer};
    #[pymodule_export]
    use crate::cancelling::Canceller;
    #[pymodule_export]
    use crate::connect::{Dialled, dial};
    #[pymodule_export]
    use crate::connection::{Connection, check_close};
    #[pymodule_export]
    use crate::driving::Driven;
    #[pymodule_export]
    use crate::listener::{Listener, listen};
    #[pymodule_export]
    use crate::log::listen_to_core;
    #[pymodule_export]
    use crate::pending::PendingConnection;
    #[pymodule_export]
    use crate::pinging::PongEvent;
    #[pymodule_export]
    use crate::tls::{ClientTLS, ServerTLS};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::refuse_subinterpreters()?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        crate::log::keep();
        crate::wait::watch_forks(module.py())
    }
}

/// Classes of native code are shared by all interpreters of a process, and CPython (3.12 and later)
/// takes a method of one class for that of another then. It asks modules whether they can stand
/// that, but only on behalf of interpreters with a GIL of their own.
fn refuse_subinterpreters() -> PyResult<()> {
    // SAFETY: this thread is attached to an interpreter.
    let id = unsafe { pyo3::ffi::PyInterpreterState_GetID(pyo3::ffi::PyInterpreterState_Get()) };
    if id == 0 {
        return Ok(());
    }
    let text = "talkws does not support loading in subinterpreters: import it in the main one \
                (mod_wsgi: WSGIApplicationGroup %{GLOBAL})";
    Err(pyo3::exceptions::PyImportError::new_err(text))
}
