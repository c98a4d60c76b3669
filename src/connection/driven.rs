//! A connection that the program's own event loop drives.
//!
//! It is read as a connection of a server's loop is, with nothing waited for; but its loop is not ours.
//! So what the stream does not take is the sender's to send, whichever thread has written it.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use super::served::{Progress, Scratch};
use super::{Connection, Phase};
use crate::close::{CloseCode, CloseInfo, ClosedBy};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::message::{Message, MessageKind};
use crate::options::{Backlog, BacklogPolicy, WriteOptions};
use crate::protocol::encoder::check_close;

/// How long a peer has to read why its connection has failed.
const LINGER: Duration = Duration::from_secs(1);

thread_local! {
    /// What a thread receives into. Taken for a turn, so that what is delivered may have turns too.
    static SCRATCH: RefCell<Option<Scratch>> = const { RefCell::new(None) };
}

/// A connection for an event loop of the program's own: nothing here waits. Made by
/// [`Connection::drive`].
///
/// The loop waits for the descriptor to become readable, and gives the connection its
/// [`turn`](Self::turn) then. Whatever is not sent at once leaves in the background; who wants to know when
/// waits for the descriptor to become writable, and [pushes](Self::push).
#[derive(Debug, Clone)]
pub struct Driven {
    connection: Connection,
}

impl Connection {
    /// Lets an event loop of the program's own read this connection from now on, and nobody else: calls
    /// that read are [`Error::InvalidState`]. Writing waits for nothing any more; what the peer does not
    /// take is kept, and the [`backlog`](Self::backlog) tells how much.
    ///
    /// [`Error::InvalidState`] when a loop reads it already.
    pub fn drive(&self) -> Result<Driven> {
        if !self.shared.serve(None, 0) {
            let reason = "drive: a loop reads this connection already";
            return Err(Error::InvalidState(reason.into()));
        }
        let unbounded = Backlog::new().limit(usize::MAX);
        self.set_backlog(unbounded.policy(BacklogPolicy::Refuse));
        Ok(Driven {
            connection: self.clone(),
        })
    }
}

impl Driven {
    /// The connection, to write to and to look at.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Receives what has come, and lends the messages in it to `deliver`, until that gives false. It is
    /// told too whether more has been received already, so that the answers to what came together may
    /// leave together.
    ///
    /// After [`Progress::Again`] the connection wants another turn, although its descriptor may not
    /// become readable.
    pub fn turn(&self, mut deliver: impl FnMut(&Message, bool) -> bool) -> Progress {
        let mut scratch = SCRATCH.take().unwrap_or_else(Scratch::new);
        let progress = self.connection.turn(&mut scratch, false, &mut deliver);
        SCRATCH.set(Some(scratch));
        progress
    }

    /// Writes a message. With `more`, it may stay here until [`push`](Self::push), or another message,
    /// takes it along.
    pub fn write(&self, kind: MessageKind, data: &[u8], compress: bool, more: bool) -> Result<()> {
        let options = WriteOptions::new().compress(compress).more(more);
        self.connection.write_with(kind, data, options)
    }

    /// Writes a part of a message: see [`Connection::write_part`].
    pub fn write_part(
        &self,
        kind: MessageKind,
        data: &[u8],
        is_last: bool,
        compress: bool,
    ) -> Result<()> {
        let options = WriteOptions::new()
            .compress(compress)
            .deadline(Deadline::passed());
        self.connection
            .write_part_with(kind, data, is_last, options)
    }

    /// Sends what was accepted, as far as the stream takes it, and gives how many bytes are left. Over
    /// TLS there may be some that are sealed already, which count as one.
    pub fn push(&self) -> usize {
        let shared = &self.connection.shared;
        if shared.has_unsent() {
            shared.push_watched();
        }
        self.waiting()
    }

    /// How many bytes were accepted and have not left, as [`push`](Self::push) counts them.
    pub fn waiting(&self) -> usize {
        if !self.connection.shared.has_unsent() {
            return 0;
        }
        self.connection.backlog().bytes.max(1)
    }

    /// Begins to close: sends Close, or keeps it behind what else waits. The peer's answer comes by a
    /// [`turn`](Self::turn); when [`close_by`](Self::close_by) has passed without, the loop
    /// [gives up](Self::give_up_closing).
    pub fn close(&self, code: CloseCode, reason: &str) -> Result<()> {
        check_close(code, reason)?;
        let shared = &self.connection.shared;
        shared.begin_closing(CloseInfo {
            code,
            reason: reason.to_owned(),
            by: ClosedBy::Local,
        });
        if shared.phase() == Phase::Closing && shared.closed_by() == ClosedBy::Local {
            // What the stream does not take is kept; and one that failed is told of by a turn.
            let _ = shared.send_close(Deadline::passed());
        }
        Ok(())
    }

    /// When its closing has taken as long as it may, while it is being closed.
    pub fn close_by(&self) -> Option<Instant> {
        self.connection.close_by()
    }

    /// Ends a connection whose peer did not answer the Close in time.
    pub fn give_up_closing(&self) {
        self.connection.give_up_closing();
    }

    /// How much longer the socket should be read after the end, by [`linger`](Self::linger), so that the
    /// peer learns why the connection has failed: a socket that is closed with unread bytes resets it.
    pub fn lingers_for(&self) -> Option<Duration> {
        let failed = matches!(
            self.connection.end(),
            Some(Error::Protocol(_) | Error::InvalidUtf8(_) | Error::TooBig(_))
        );
        failed.then_some(LINGER)
    }

    /// Drops what comes after the end; false once the peer has ended the stream too.
    pub fn linger(&self) -> bool {
        self.connection.make_progress();
        let mut scratch = SCRATCH.take().unwrap_or_else(Scratch::new);
        let lingers = self.connection.linger(&mut scratch);
        SCRATCH.set(Some(scratch));
        if !lingers {
            self.stop_lingering();
        }
        lingers
    }

    /// Ends the stream, whatever the peer has seen of it.
    pub fn stop_lingering(&self) {
        self.connection.abort();
    }
}
