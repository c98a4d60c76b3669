//! Serving by events: the core's loops call Python.

use std::cell::RefCell;

use pyo3::prelude::*;
use talkws::{Error, Message, Request};

use crate::connection::Connection;
use crate::log;
use crate::pending::PendingConnection;
use crate::receiving::message_to_python;

/// The methods of the program's side: see ``talkws.events``.
pub struct Program {
    pub request: Py<PyAny>,
    pub opened: Py<PyAny>,
    pub message: Py<PyAny>,
    pub failed: Py<PyAny>,
    pub ended: Py<PyAny>,
    pub max_queue: usize,
}

thread_local! {
    /// The connection that this thread has just opened.
    static OPENED: RefCell<Option<Py<PyAny>>> = const { RefCell::new(None) };
}

impl Program {
    /// Makes a call that tells of its failure by itself, if it can.
    fn call(&self, py: Python<'_>, ws: &Py<PyAny>, call: impl FnOnce() -> PyResult<()>) {
        let told = call().or_else(|error| {
            let arguments = (ws.bind(py), error.into_value(py));
            self.failed.call1(py, arguments).map(drop)
        });
        if let Err(error) = told.and_then(|()| log::deliver(py)) {
            error.write_unraisable(py, None);
        }
    }
}

impl talkws::Handler for Program {
    type State = Py<PyAny>;

    fn request(&self, request: Request) -> talkws::Result<Option<talkws::Connection>> {
        Python::attach(|py| {
            let pending = PendingConnection::new(request, self.max_queue);
            let asked = Py::new(py, pending).and_then(|pending| self.request.call1(py, (pending,)));
            let opened = asked.and_then(|ws| {
                if ws.is_none(py) {
                    return Ok(None);
                }
                let core = ws
                    .bind(py)
                    .cast::<Connection>()?
                    .get()
                    .open(py)?
                    .core
                    .clone();
                OPENED.replace(Some(ws));
                Ok(Some(core))
            });
            opened.map_err(|error| {
                let reason = format!("the program's part of a request: {error}");
                error.write_unraisable(py, None);
                Error::InvalidState(reason.into())
            })
        })
    }

    fn open(&self, _: &talkws::Connection) -> Py<PyAny> {
        Python::attach(|py| {
            let ws = OPENED.take().unwrap_or_else(|| py.None());
            self.call(py, &ws, || self.opened.call1(py, (&ws,)).map(drop));
            ws
        })
    }

    fn message(&self, _: &talkws::Connection, ws: &mut Py<PyAny>, message: &Message) {
        Python::attach(|py| {
            self.call(py, ws, || {
                let message = message_to_python(py, message, None)?;
                self.message.call1(py, (&*ws, message)).map(drop)
            });
        });
    }

    fn closed(&self, _: &talkws::Connection, ws: Py<PyAny>, _: &Error) {
        Python::attach(|py| self.call(py, &ws, || self.ended.call1(py, (&ws,)).map(drop)));
    }
}
