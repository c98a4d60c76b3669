//! The end of a connection: the closing handshake (RFC 6455, section 7), and failing.

use std::net::Shutdown;

use super::{Phase, Shared, lock};
use crate::close::{CloseCode, CloseInfo, ClosedBy};
use crate::deadline::Deadline;
use crate::error::{Error, Result, Violation};
use crate::protocol::Role;
use crate::protocol::encoder::check_close;

impl Shared {
    pub(super) fn close(&self, code: CloseCode, reason: &str, deadline: Deadline) -> Result<()> {
        check_close(code, reason)?;
        let deadline = deadline.or_sooner(self.close_timeout);
        let info = CloseInfo {
            code,
            reason: reason.to_owned(),
            by: ClosedBy::Local,
        };
        self.begin_closing(info);
        if self.phase() != Phase::Ended {
            self.close_and_wait(deadline)?;
        }
        match self.end_error() {
            Error::Closed(_) => Ok(()),
            error => Err(error),
        }
    }

    /// Sends Close and reads until the connection has ended, which it has then, except when the
    /// caller interrupted this, to call again.
    fn close_and_wait(&self, deadline: Deadline) -> Result<()> {
        if self.closed_by() == ClosedBy::Local {
            match self.send_close(deadline) {
                Err(Error::Interrupted { attempt }) => return Err(Error::Interrupted { attempt }),
                Err(Error::TimedOut { .. }) => {
                    let reason = "close: the peer did not take our Close in time";
                    self.end(Error::ConnectionLost {
                        reason: reason.into(),
                        source: None,
                    });
                    return Ok(());
                }
                // The stream may still hold the peer's own Close.
                Ok(()) | Err(_) => {}
            }
        }
        // A reader that is blocked does this reading, and lets go of the lock when it is done.
        let error = match lock(&self.reader, deadline) {
            Ok(mut reader) if self.phase() != Phase::Ended => self.discard(&mut reader, deadline),
            Ok(_) => return Ok(()),
            Err(halt) => halt.into_error("close", self),
        };
        match error {
            Error::Interrupted { attempt } => Err(Error::Interrupted { attempt }),
            Error::TimedOut { .. } => {
                let reason = "close: the peer did not answer our Close in time";
                self.end(Error::ConnectionLost {
                    reason: reason.into(),
                    source: None,
                });
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Answers the peer's Close, or takes it as the answer to ours, and ends the connection.
    pub(super) fn peer_closed(&self, code: CloseCode, reason: String, deadline: Deadline) -> Error {
        let deadline = deadline.or_sooner(self.close_timeout);
        let by_peer = CloseInfo {
            code,
            reason: reason.clone(),
            by: ClosedBy::Peer,
        };
        self.begin_closing(by_peer);
        let by = self.closed_by();
        if by == ClosedBy::Peer {
            // Who cannot take the answer in time does without.
            let _ = self.send_close(deadline);
        }
        if self.role == Role::Client {
            // The server is the first to close TCP (RFC 6455, 7.1.1).
            self.drain(deadline);
        }
        self.end(Error::Closed(CloseInfo { code, reason, by }))
    }

    /// Fails the connection (RFC 6455, 7.1.7): says why with a Close, lets the peer read that,
    /// and ends.
    pub(super) fn fail(&self, violation: Violation, deadline: Deadline) -> Error {
        let deadline = deadline.or_sooner(self.close_timeout);
        let code = violation.close_code();
        let info = CloseInfo {
            code,
            reason: String::new(),
            by: ClosedBy::Local,
        };
        self.begin_closing(info);
        self.status
            .lock()
            .end
            .get_or_insert(Error::from(violation.clone()));
        let _ = self.send_close(deadline);
        // A socket closed with unread bytes resets the connection, and the peer may never see
        // our Close; so read on until the peer has seen the end.
        self.transport.shutdown(Shutdown::Write);
        self.drain(deadline);
        self.end(Error::from(violation))
    }
}
