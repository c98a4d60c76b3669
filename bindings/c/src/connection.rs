//! `ws_conn`: what stands behind a connection's handle.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use engine::{CloseCode, Connection, Error, RefuseOptions, Request, UpgradeOptions};
use engine::{Refusal, RequestHead, ResponseHead};
use once_cell::sync::OnceCell;

use crate::error::Failure;
use crate::guard;
use crate::handles::handles;
use crate::memory;

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

    /// A dial that the server refused, kept to look at its answer.
    pub fn refused(refusal: Error) -> Self {
        Conn {
            open: OnceCell::new(),
            stage: Mutex::new(Stage::Failed(refusal)),
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
        self.opened(&stage)
    }

    /// The connection, if it is open or was.
    pub fn if_open(&self) -> Option<&Connection> {
        self.open.get()
    }

    /// Upgrades a client that waits for it. Options that it cannot be upgraded with leave it as it
    /// was.
    pub fn upgrade(&self, options: UpgradeOptions) -> Result<(), Failure> {
        let mut stage = self.stage();
        match &*stage {
            Stage::Asked(request) => {
                request.check_upgrade(&options)?;
                self.answer(&mut stage, options)
            }
            Stage::Open => Err(is_open("upgrade")),
            Stage::Failed(error) => Err(error.clone().into()),
        }
    }

    /// Refuses a client that waits to be upgraded.
    pub fn refuse(
        &self,
        http_status: u16,
        body: &str,
        options: RefuseOptions,
    ) -> Result<(), Failure> {
        let mut stage = self.stage();
        match std::mem::replace(&mut *stage, refused()) {
            Stage::Asked(request) => Ok(request.refuse_with(http_status, body, options)?),
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

    /// Looks at the request, whoever made it and whether or not it is answered.
    pub fn look_at_request<T>(
        &self,
        look: impl FnOnce(&RequestHead) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if let Some(connection) = self.open.get() {
            return look(connection.request());
        }
        match &*self.stage() {
            Stage::Asked(request) => look(request.head()),
            stage => look(self.opened(stage)?.request()),
        }
    }

    /// Looks at the answer that this end got, and at its body when it was a refusal.
    pub fn look_at_response<T>(
        &self,
        look: impl FnOnce(&ResponseHead, &[u8]) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let of_server = || {
            let reason = "response: this is the server, which got no response";
            Failure::from(Error::InvalidState(reason.into()))
        };
        if let Some(connection) = self.open.get() {
            return look(connection.response().ok_or_else(of_server)?, b"");
        }
        match &*self.stage() {
            Stage::Asked(_) => Err(of_server()),
            Stage::Failed(Error::Refused(refusal)) => {
                let refusal: &Refusal = refusal;
                look(refusal.head(), refusal.body())
            }
            stage => look(self.opened(stage)?.response().ok_or_else(of_server)?, b""),
        }
    }

    /// Looks at a request that waits to be answered, or else at the open connection.
    pub fn look<T>(
        &self,
        asked: impl FnOnce(&Request) -> T,
        open: impl FnOnce(&Connection) -> T,
    ) -> Result<T, Failure> {
        if let Some(connection) = self.open.get() {
            return Ok(open(connection));
        }
        match &*self.stage() {
            Stage::Asked(request) => Ok(asked(request)),
            stage => Ok(open(self.opened(stage)?)),
        }
    }

    /// The descriptor to wait for.
    pub fn fd(&self) -> Result<RawFd, Failure> {
        self.look(Request::as_raw_fd, Connection::as_raw_fd)
    }

    fn opened(&self, stage: &Stage) -> Result<&Connection, Failure> {
        match (self.open.get(), stage) {
            (Some(connection), _) => Ok(connection),
            (None, Stage::Failed(error)) => Err(error.clone().into()),
            (None, _) => {
                let reason = "an open connection is not there";
                Err(Failure::Internal(reason.to_owned()))
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
    pub fn close(&self, code: CloseCode, reason: &str) -> Result<(), Failure> {
        let mut stage = self.stage();
        match &*stage {
            // Dropping the request refuses it.
            Stage::Asked(_) => *stage = refused(),
            // There is nothing left to close.
            Stage::Failed(Error::Refused(_)) => return Ok(()),
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
pub(crate) fn with(
    ws: ws_conn,
    work: impl FnOnce(&Connection) -> Result<(), Failure>,
) -> Result<(), Failure> {
    memory::check()?;
    let conn = handles().connection(ws)?;
    guard::on(&conn, |conn| work(conn.connection()?))
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
