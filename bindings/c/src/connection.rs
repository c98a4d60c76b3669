//! `ws_conn`: reading, writing, closing.

use std::ffi::{c_char, c_void};
use std::sync::{Mutex, MutexGuard, PoisonError};

use engine::{CloseCode, Connection, Deadline, Error, MessageKind, Request, UpgradeOptions};
use once_cell::sync::OnceCell;

use crate::arguments;
use crate::error::{Failure, ws_error};
use crate::guard;
use crate::handles::HANDLES;
use crate::message::{WS_BINARY, WS_TEXT, ws_message};
use crate::status::ws_status;

/// A connection: a handle that `ws_dial` or `ws_accept` gave. Zero is none.
#[allow(non_camel_case_types)]
pub type ws_conn = u64;

/// What stands behind a connection's handle.
pub(crate) struct Conn {
    open: OnceCell<Connection>,
    stage: Mutex<Stage>,
}

/// How far a connection is that may not be open yet.
enum Stage {
    /// A client waits for its answer.
    Asked(Box<Request>),
    Open,
    /// It never opened, and never will.
    Failed(Error),
}

impl Conn {
    /// A connection that was dialled.
    pub fn dialled(connection: Connection) -> Self {
        Conn {
            open: OnceCell::with_value(connection),
            stage: Mutex::new(Stage::Open),
        }
    }

    /// A client that has asked.
    pub fn asked(request: Request) -> Self {
        Conn {
            open: OnceCell::new(),
            stage: Mutex::new(Stage::Asked(Box::new(request))),
        }
    }

    /// The connection, upgraded now if that was not done before.
    pub fn connection(&self) -> Result<&Connection, Failure> {
        if let Some(connection) = self.open.get() {
            return Ok(connection);
        }
        let mut stage = self.stage();
        match &*stage {
            Stage::Asked(_) => self.answer(&mut stage, UpgradeOptions::new())?,
            Stage::Open => {}
            Stage::Failed(error) => return Err(error.clone().into()),
        }
        drop(stage);
        self.open
            .get()
            .ok_or_else(|| Failure::Internal("an open connection is not there".to_owned()))
    }

    /// Upgrades a client that waits for it.
    pub fn upgrade(&self) -> Result<(), Failure> {
        let mut stage = self.stage();
        match &*stage {
            Stage::Asked(_) => self.answer(&mut stage, UpgradeOptions::new()),
            Stage::Open => Err(is_open("upgrade")),
            Stage::Failed(error) => Err(error.clone().into()),
        }
    }

    /// Refuses a client that waits to be upgraded.
    pub fn refuse(&self, http_status: u16, body: &str) -> Result<(), Failure> {
        let mut stage = self.stage();
        match std::mem::replace(&mut *stage, refused()) {
            Stage::Asked(request) => Ok(request.refuse(http_status, body)?),
            Stage::Open => {
                *stage = Stage::Open;
                Err(is_open("refuse"))
            }
            Stage::Failed(error) => {
                *stage = Stage::Failed(error.clone());
                Err(error.into())
            }
        }
    }

    fn answer(&self, stage: &mut Stage, options: UpgradeOptions) -> Result<(), Failure> {
        let Stage::Asked(request) = std::mem::replace(stage, refused()) else {
            return Err(Failure::Internal("nobody waits for an answer".to_owned()));
        };
        match request.upgrade(options) {
            Ok(connection) => {
                let _ = self.open.set(connection);
                *stage = Stage::Open;
                Ok(())
            }
            Err(error) => {
                *stage = Stage::Failed(error.clone());
                Err(error.into())
            }
        }
    }

    /// Says goodbye, whatever that needs at this stage.
    fn close(&self, code: CloseCode, reason: &str) -> Result<(), Failure> {
        let mut stage = self.stage();
        match &*stage {
            // Dropping the request refuses it.
            Stage::Asked(_) => *stage = refused(),
            Stage::Failed(error) => return Err(error.clone().into()),
            Stage::Open => {}
        }
        drop(stage);
        match self.open.get() {
            Some(connection) => Ok(connection.close(code, reason)?),
            None => Ok(()),
        }
    }

    /// Ends it at once.
    pub fn abort(&self) {
        let mut stage = self.stage();
        if let Stage::Asked(_) = &*stage {
            *stage = refused();
        }
        drop(stage);
        if let Some(connection) = self.open.get() {
            connection.abort();
        }
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        // Every change replaces the whole stage, so that a panic leaves none half made.
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refused() -> Stage {
    let attempt = "request: refused".into();
    Stage::Failed(Error::Aborted { attempt })
}

fn is_open(attempt: &str) -> Failure {
    let reason = format!("{attempt}: the connection is open already");
    Error::InvalidState(reason.into()).into()
}

/// Finds an open connection, upgrading it if need be, and works on it.
fn with(ws: ws_conn, work: impl FnOnce(&Connection) -> Result<(), Failure>) -> Result<(), Failure> {
    let conn = HANDLES.connection(ws)?;
    guard::on(&conn, |conn| work(conn.connection()?))
}

/// Waits for the next message and puts it into `msg`, whose memory grows as needed and is used
/// again from read to read, as getline(3) does it.
///
/// Reading is what answers the peer's Pings and takes part in closing, so a program that wants to
/// notice the end of a connection reads from it. Messages come whole, at most 16 MiB large.
///
/// @param ws          a connection. One that was accepted and not answered yet is upgraded first.
/// @param msg         begun with `WS_MESSAGE_INIT` or by an earlier read. After a failure it is
///                    empty, and still yours to read into again or to free.
/// @param timeout_ms  how long to wait, in milliseconds: 0 takes only what needs no waiting,
///                    `WS_FOREVER` waits as long as it takes.
/// @param err         where to tell a failure, or NULL.
/// @return            `WS_OK`;
///                    `WS_TIMED_OUT`: what has come of a message is kept, call again;
///                    `WS_CLOSED`: the peer closed, or both ends did, and no message will come
///                    any more. `err` has the peer's code;
///                    `WS_CONNECTION_LOST`: it ended without a goodbye;
///                    `WS_PROTOCOL`, `WS_INVALID_UTF8`, `WS_TOO_BIG`: the peer broke a rule, and
///                    the connection has ended;
///                    `WS_ABORTED`: this end ended it;
///                    `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`, `WS_NO_MEMORY`, `WS_INTERNAL`;
///                    and what `ws_upgrade` returns, where it upgrades.
///
/// After the connection has ended, every read says with what it ended; `ws` is yours to close.
///
/// Threads: any, also while others write to, read from or close the same connection; `msg` belongs
/// to one call at a time. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_read(
    ws: ws_conn,
    msg: *mut ws_message,
    timeout_ms: i64,
    err: *mut ws_error,
) -> ws_status {
    let body = || {
        let msg = arguments::output(msg, "read: msg is NULL")?;
        // SAFETY: not NULL; the caller has begun it, and lends it to this call alone.
        let msg = unsafe { &mut *msg };
        msg.clear();
        let deadline = arguments::deadline(timeout_ms)?;
        with(ws, |connection| msg.read_from(connection, deadline))
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

/// Writes a message, whole; waits for as long as the peer takes to make room for it. To give that
/// up, close or abort the connection from another thread.
///
/// @param ws    a connection. One that was accepted and not answered yet is upgraded first.
/// @param type  `WS_TEXT`, whose data must be UTF-8, or `WS_BINARY`.
/// @param data  the payload. It is not kept; NULL is fine when `len` is 0.
/// @param len   its size in bytes, without a NUL that may follow it.
/// @param err   where to tell a failure, or NULL.
/// @return      `WS_OK`: the system has taken the message, which does not mean that the peer has
///              read it;
///              `WS_INVALID_ARGUMENT`: nothing was sent, and the connection is as good as before;
///              `WS_CLOSED`, `WS_CONNECTION_LOST`, `WS_PROTOCOL`, `WS_INVALID_UTF8`,
///              `WS_TOO_BIG`, `WS_ABORTED`: the connection has ended, or is about to;
///              `WS_BAD_HANDLE`, `WS_INTERNAL`;
///              and what `ws_upgrade` returns, where it upgrades.
///
/// Threads: any. Messages of several threads go out whole, one after the other, and never wait for
/// a read. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_write(
    ws: ws_conn,
    r#type: i32,
    data: *const c_void,
    len: usize,
    err: *mut ws_error,
) -> ws_status {
    let body = || {
        let kind = match r#type {
            WS_TEXT => MessageKind::Text,
            WS_BINARY => MessageKind::Binary,
            _ => {
                let reason = "write: type is neither WS_TEXT nor WS_BINARY";
                return Err(Failure::argument(reason));
            }
        };
        // SAFETY: the caller lends `len` bytes at `data` to this call.
        let data = unsafe { arguments::bytes(data.cast(), len)? };
        with(ws, |connection| {
            Ok(connection.write_data(kind, data, Deadline::NEVER)?)
        })
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

/// Closes a connection and ends its handle: tells the peer, waits at most 5 seconds for its answer,
/// and ends every call that waits on the connection. Whatever this returns, `ws` is gone.
///
/// One that was accepted and not answered yet is refused, with HTTP status 503.
///
/// @param ws      a connection.
/// @param code    why: `WS_CLOSE_NORMAL` or another code that may be sent (1000 to 1003, 1007 to
///                1014, 3000 to 4999), or `WS_CLOSE_NO_STATUS` for none.
/// @param reason  a text for the peer's log, at most 123 bytes, or NULL.
/// @param err     where to tell a failure, or NULL.
/// @return        `WS_OK`: the peer has answered, or had closed before;
///                `WS_CONNECTION_LOST`: it did not, or was gone already;
///                `WS_PROTOCOL`, `WS_INVALID_UTF8`, `WS_TOO_BIG`, `WS_ABORTED`: with that it had
///                ended before;
///                `WS_INVALID_ARGUMENT`: a code or reason that cannot be sent; the connection was
///                aborted;
///                `WS_BAD_HANDLE`: also for whoever closes second; `WS_INTERNAL`.
///
/// Threads: any; that is how to end a read or a write that waits in another thread. It returns
/// `WS_CLOSED`, or whatever else the end was. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_close(
    ws: ws_conn,
    code: i32,
    reason: *const c_char,
    err: *mut ws_error,
) -> ws_status {
    let body = || {
        let conn = HANDLES.take_connection(ws)?;
        guard::on(&conn, |conn| {
            let close = || {
                let code = u16::try_from(code)
                    .map_err(|_| Failure::argument("close: code is no close code"))?;
                // SAFETY: the caller lends the text, or NULL, to this call.
                let reason =
                    unsafe { arguments::optional_text(reason, "close: reason is not UTF-8")? };
                conn.close(code.into(), reason)
            };
            // Gone is gone, also when there was no way to say goodbye.
            close().inspect_err(|_| conn.abort())
        })
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

/// Ends a connection at once, and its handle: without a goodbye and without waiting. The peer sees
/// a lost connection.
///
/// One that was accepted and not answered yet is refused, with HTTP status 503.
///
/// @param ws   a connection. It is gone afterwards.
/// @param err  where to tell a failure, or NULL.
/// @return     `WS_OK`, `WS_BAD_HANDLE`, `WS_INTERNAL`.
///
/// Threads: any. A call that waits in another thread returns `WS_ABORTED`. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_abort(ws: ws_conn, err: *mut ws_error) -> ws_status {
    let body = || {
        HANDLES.take_connection(ws)?.abort();
        Ok(())
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A connection that was dialled, and its other end.
    pub(crate) fn open_pair() -> (Conn, Connection) {
        let listener = engine::listen("ws://127.0.0.1:0").unwrap();
        let url = listener.url().to_owned();
        let dialling = std::thread::spawn(move || engine::dial(&url).unwrap());
        let peer = listener.accept().unwrap();
        let peer = peer.upgrade(UpgradeOptions::new()).unwrap();
        (Conn::dialled(dialling.join().unwrap()), peer)
    }
}
