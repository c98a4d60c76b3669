//! The Python face: how each call crosses from Python to the core and back. What happens on a
//! connection is for the core; the names and manners are those of Python's `websockets.sync`.

mod arguments;
mod buffer;
mod connect;
mod connection;
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
mod wait;

use pyo3::prelude::*;

/// The native part of talkws: connections, and how they are made.
///
/// Its names are for programs to take from the package ``talkws``.
#[pymodule(gil_used = false)]
mod _talkws {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::connect::{Dialled, dial};
    #[pymodule_export]
    use crate::connection::{Connection, check_close};
    #[pymodule_export]
    use crate::listener::{Listener, listen};
    #[pymodule_export]
    use crate::log::listen_to_core;
    #[pymodule_export]
    use crate::pending::PendingConnection;
    #[pymodule_export]
    use crate::pinging::PongEvent;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        crate::log::keep();
        crate::wait::watch_forks(module.py())
    }
}
