//! How far a connection has come, who ended it, and waiting for the locks of its halves.

use std::borrow::Cow;
use std::fmt;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::{Phase, Shared};
use crate::close::{CloseInfo, ClosedBy};
use crate::error::Error;
use crate::protocol::Role;
use crate::transport::Halt;

impl Shared {
    pub(super) fn peer_addr(&self) -> Option<SocketAddr> {
        match &self.opening.named {
            Some(named) => named.0,
            None => self.transport.peer_addr(),
        }
    }

    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Open,
            1 => Phase::Closing,
            _ => Phase::Ended,
        }
    }

    /// Ends the connection, unless it has ended: everybody who waits for it is woken, and every
    /// later call gives `error`. Gives the error with which it really ended.
    pub(super) fn end(&self, error: Error) -> Error {
        let end = self.mark_ended(error);
        self.transport.shutdown(Shutdown::Both);
        end
    }

    /// Like [`end`](Self::end), and leaves the stream as it is.
    pub(super) fn mark_ended(&self, error: Error) -> Error {
        let (end, is_news) = {
            let mut status = self.status.lock();
            let end = (**status.end.get_or_insert_with(|| Box::new(error))).clone();
            let before = self.phase.swap(Phase::Ended as u8, Ordering::AcqRel);
            (end, before != Phase::Ended as u8)
        };
        if is_news {
            self.log_end(&end);
        }
        // Under the writer's lock none could miss it; but its holder may be waiting for the
        // stream, so those who wait for a message to be complete look again by themselves.
        self.message_done.notify_all();
        self.news.notify_all();
        end
    }

    fn log_end(&self, end: &Error) {
        let level = match end {
            Error::Protocol(_) | Error::InvalidUtf8(_) | Error::TooBig(_) => log::Level::Warn,
            Error::ConnectionLost { .. } => log::Level::Info,
            _ => log::Level::Debug,
        };
        if log::log_enabled!(target: self.role.log_target(), level) {
            let peer = PeerName(self.peer_addr());
            log::log!(target: self.role.log_target(), level, "connection with {peer}: {end}");
        }
    }

    /// The error for a call that cannot go on: that with which the connection ended, or the
    /// close that this end, or the peer, has begun.
    pub(super) fn end_error(&self) -> Error {
        let status = self.status.lock();
        match (&status.end, &status.closing) {
            (Some(end), _) => (**end).clone(),
            (None, Some(info)) => Error::Closed((**info).clone()),
            (None, None) => Error::Aborted {
                attempt: "connection".into(),
            },
        }
    }

    pub(super) fn fuse(&self) -> Fuse<'_> {
        Fuse {
            shared: self,
            panicked_before: std::thread::panicking(),
        }
    }

    /// Begins to close; false if that was done before.
    pub(super) fn begin_closing(&self, info: CloseInfo) -> bool {
        let mut status = self.status.lock();
        if self.phase() != Phase::Open {
            return false;
        }
        status.closing = Some(Box::new(info));
        status.close_by = Instant::now().checked_add(self.close_timeout);
        self.phase.store(Phase::Closing as u8, Ordering::Release);
        true
    }

    /// Who sent the first Close.
    pub(super) fn closed_by(&self) -> ClosedBy {
        match &self.status.lock().closing {
            Some(info) => info.by,
            None => ClosedBy::Peer,
        }
    }
}

impl Role {
    /// Where the log says that a connection's news come from.
    pub(crate) fn log_target(self) -> &'static str {
        match self {
            Role::Client => "talkws::client",
            Role::Server => "talkws::server",
        }
    }
}

/// Ends the connection when the thread that holds this panics: what the panic left behind in a
/// half, such as a torn frame, must not be gone on with.
pub(super) struct Fuse<'a> {
    shared: &'a Shared,
    panicked_before: bool,
}

impl Drop for Fuse<'_> {
    fn drop(&mut self) {
        if !self.panicked_before && std::thread::panicking() {
            self.shared.end(Error::Aborted {
                attempt: "connection: a panic in the middle of a call".into(),
            });
        }
    }
}

/// A peer in a log.
pub(crate) struct PeerName(pub Option<SocketAddr>);

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(address) => address.fmt(f),
            None => f.write_str("a peer that has gone"),
        }
    }
}

impl Halt {
    /// The error of a call named `attempt`, on a stream that may have failed because the
    /// connection `shared` has ended.
    pub(super) fn into_error(self, attempt: &'static str, shared: &Shared) -> Error {
        let attempt = Cow::Borrowed(attempt);
        match self {
            Halt::TimedOut => Error::TimedOut { attempt },
            Halt::Interrupted => Error::Interrupted { attempt },
            Halt::Failed(_) if shared.phase() == Phase::Ended => shared.end_error(),
            Halt::Failed(source) => {
                let reason = format!("{attempt}: connection lost");
                Error::ConnectionLost {
                    reason: reason.into(),
                    source: Some(Arc::new(source)),
                }
            }
        }
    }
}
