//! The end of a connection: the closing handshake (RFC 6455, section 7), and failing.

use std::net::Shutdown;

use super::reader::Reader;
use super::{Phase, Shared};
use crate::close::{CloseCode, CloseInfo, ClosedBy};
use crate::deadline::Deadline;
use crate::error::{Error, Result, Violation};
use crate::protocol::Role;
use crate::protocol::encoder::check_close;
use crate::transport::Halt;

impl Shared {
    pub(super) fn close(&self, code: CloseCode, reason: &str, deadline: Deadline) -> Result<()> {
        check_close(code, reason)?;
        let info = CloseInfo {
            code,
            reason: reason.to_owned(),
            by: ClosedBy::Local,
        };
        self.begin_closing(info);
        if self.phase() != Phase::Ended {
            if self.served.get().is_some() {
                self.close_served(deadline)?;
                if self.phase() != Phase::Ended {
                    // On a loop's thread, which goes on with it.
                    return Ok(());
                }
            } else {
                self.close_and_wait(self.until_closed(deadline))?;
            }
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
                Err(error @ Error::Interrupted { .. }) if !self.close_time_is_up() => {
                    return Err(error);
                }
                Err(error) if error.is_temporary() => {
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
        let error = match self.reader_turn(deadline) {
            Ok(mut reader) if self.phase() != Phase::Ended => self.discard(&mut reader, deadline),
            Ok(_) => return Ok(()),
            Err(halt) => halt.into_error("close", self),
        };
        match error {
            Error::Interrupted { .. } if !self.close_time_is_up() => Err(error),
            error if error.is_temporary() => {
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
    ///
    /// Somebody may be in the middle of a message, which goes before the answer; when the caller
    /// has no time for that, the next read goes on with this, until the close timeout has passed.
    pub(super) fn peer_closed(&self, reader: &mut Reader, deadline: Deadline) -> Error {
        let Some((code, reason)) = reader.peer_close.clone() else {
            return self.end_error();
        };
        let by_peer = CloseInfo {
            code,
            reason: reason.clone(),
            by: ClosedBy::Peer,
        };
        self.begin_closing(by_peer);
        let by = self.closed_by();
        match self.send_close(self.until_closed(deadline)) {
            Err(Error::TimedOut { .. }) if !self.close_time_is_up() => {
                return Halt::TimedOut.into_error("read", self);
            }
            Err(Error::Interrupted { .. }) if !self.close_time_is_up() => {
                return Halt::Interrupted.into_error("read", self);
            }
            // Who cannot take the answer does without.
            Ok(()) | Err(_) => {}
        }
        let closed = Error::Closed(CloseInfo { code, reason, by });
        // However the stream ends now: both have said goodbye.
        self.status
            .lock()
            .end
            .get_or_insert_with(|| Box::new(closed.clone()));
        if self.role == Role::Client {
            // The server is the first to close TCP (RFC 6455, 7.1.1).
            self.drain(self.until_closed(deadline));
        }
        self.end(closed)
    }

    /// `deadline`, or the end of the close timeout, which began when the closing did.
    pub(super) fn until_closed(&self, deadline: Deadline) -> Deadline {
        match self.status.lock().close_by {
            Some(close_by) => deadline.or_sooner(close_by),
            None => deadline.or_sooner(self.close_timeout),
        }
    }

    pub(super) fn close_time_is_up(&self) -> bool {
        self.until_closed(Deadline::NEVER).has_passed()
    }

    /// Fails the connection (RFC 6455, 7.1.7): says why with a Close, lets the peer read that,
    /// and ends.
    pub(super) fn fail(&self, violation: Violation, deadline: Deadline) -> Error {
        let code = violation.close_code();
        let info = CloseInfo {
            code,
            reason: String::new(),
            by: ClosedBy::Local,
        };
        self.begin_closing(info);
        let deadline = self.until_closed(deadline);
        self.status
            .lock()
            .end
            .get_or_insert_with(|| Box::new(Error::from(violation.clone())));
        let _ = self.send_close(deadline);
        if self.served.get().is_some() {
            // The loop does the rest: it does not wait for the peer here.
            return self.mark_ended(Error::from(violation));
        }
        // A socket closed with unread bytes resets the connection, and the peer may never see
        // our Close; so read on until the peer has seen the end.
        self.transport.shutdown(Shutdown::Write);
        self.drain(deadline);
        self.end(Error::from(violation))
    }
}
