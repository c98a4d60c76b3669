//! Waiting for something other than a message: for the answer to a Ping, or the end.
//!
//! Nothing comes unless somebody reads. So whoever waits reads too, as long as nobody else does,
//! and puts whole messages aside, for the next call that wants one.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{Ordering, fence};

use parking_lot::MutexGuard;

use super::reader::{Patience, Reader};
use super::{Phase, PingId, Shared, Status};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::message::Message;
use crate::transport::{Halt, lock};

/// The reader's turn. Whoever gives it back tells those who watch.
pub(super) struct ReaderTurn<'a> {
    shared: &'a Shared,
    reader: Option<MutexGuard<'a, Reader>>,
}

impl<'a> ReaderTurn<'a> {
    pub fn new(shared: &'a Shared, reader: MutexGuard<'a, Reader>) -> Self {
        ReaderTurn {
            shared,
            reader: Some(reader),
        }
    }
}

impl Deref for ReaderTurn<'_> {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        self.reader.as_ref().expect("held until it is dropped")
    }
}

impl DerefMut for ReaderTurn<'_> {
    fn deref_mut(&mut self) -> &mut Reader {
        self.reader.as_mut().expect("held until it is dropped")
    }
}

impl Drop for ReaderTurn<'_> {
    fn drop(&mut self) {
        self.reader = None;
        // Either this thread sees the one that watches, or that one gets the lock.
        fence(Ordering::SeqCst);
        if self.shared.watchers.load(Ordering::Relaxed) > 0 {
            let _status = self.shared.status.lock();
            self.shared.news.notify_all();
        }
    }
}

/// Counts a thread that watches.
struct Watching<'a>(&'a Shared);

impl<'a> Watching<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.watchers.fetch_add(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        Watching(shared)
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        self.0.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The reader's turn, with one who puts messages aside.
struct Filling<'a> {
    turn: ReaderTurn<'a>,
}

impl Drop for Filling<'_> {
    fn drop(&mut self) {
        // From here on, who wants a message waits for the turn, which is about to be free.
        self.turn.shared.status.lock().aside.is_filling = false;
    }
}

impl Shared {
    /// Waits for the reader's turn.
    pub(super) fn reader_turn(&self, deadline: Deadline) -> Result<ReaderTurn<'_>, Halt> {
        let reader = lock(&self.reader, deadline)?;
        Ok(ReaderTurn::new(self, reader))
    }

    pub(super) fn wait_pong(&self, ping: PingId, aside: usize, deadline: Deadline) -> Result<()> {
        self.watch("wait for a pong", aside, deadline, |status| {
            status.answered >= ping.0
        })
    }

    pub(super) fn wait_end(&self, aside: usize, deadline: Deadline) -> Result<()> {
        let ended = self.watch("wait for the end", aside, deadline, |_| {
            self.phase() == Phase::Ended
        });
        match ended {
            Err(error) if error.is_temporary() || matches!(error, Error::InvalidState(_)) => {
                Err(error)
            }
            // However it ended, it has.
            _ => Ok(()),
        }
    }

    /// Waits until `is_done`. Reads when nobody else does, nor wants to, and puts up to
    /// `max_aside` messages aside; then somebody must take one.
    fn watch(
        &self,
        attempt: &'static str,
        max_aside: usize,
        deadline: Deadline,
        is_done: impl Fn(&Status) -> bool,
    ) -> Result<()> {
        let _watching = Watching::new(self);
        let deadline = self.waiting_deadline(deadline);
        loop {
            let mut status = self.status.lock();
            if is_done(&status) {
                return Ok(());
            }
            if let (Phase::Ended, Some(end)) = (self.phase(), &status.end) {
                return Err((**end).clone());
            }
            if status.aside.is_begun() {
                return Err(in_parts(attempt));
            }
            let may_read = self.served.get().is_none()
                && status.aside.waiting == 0
                && status.aside.len() < max_aside;
            let reader = may_read.then(|| self.reader.try_lock()).flatten();
            if let Some(reader) = reader {
                status.aside.is_filling = true;
                drop(status);
                let filling = Filling {
                    turn: ReaderTurn::new(self, reader),
                };
                let is_done = || is_done(&self.status.lock());
                self.read_aside(filling, attempt, deadline, is_done)?;
                continue;
            }
            match deadline.slice() {
                Some(slice) => drop(self.news.wait_for(&mut status, slice)),
                None => self.news.wait(&mut status),
            }
            drop(status);
            if deadline.is_interrupted() {
                return Err(Halt::Interrupted.into_error(attempt, self));
            }
            if deadline.has_passed() && !is_done(&self.status.lock()) {
                return Err(Halt::TimedOut.into_error(attempt, self));
            }
        }
    }

    /// Reads until `is_done`, or a message was put aside: then others may have the turn.
    fn read_aside(
        &self,
        mut filling: Filling<'_>,
        attempt: &'static str,
        deadline: Deadline,
        is_done: impl Fn() -> bool,
    ) -> Result<()> {
        let reader = &mut filling.turn;
        let _fuse = self.fuse();
        if reader.parts.is_open {
            return Err(in_parts(attempt));
        }
        if reader.peer_close.is_some() {
            return Err(self.peer_closed(reader, deadline));
        }
        let mut payload = std::mem::take(&mut reader.partial);
        let mut patience = Patience::default();
        let stop = loop {
            match self.read_step(reader, &mut payload, &mut patience, deadline) {
                Ok(Some(kind)) => {
                    let mut message = Message::default();
                    message.replace(kind, payload);
                    reader.has_aside = true;
                    self.status.lock().aside.push(message);
                    return Ok(());
                }
                Ok(None) if is_done() => {
                    reader.partial = payload;
                    return Ok(());
                }
                Ok(None) => {}
                Err(stop) => break stop,
            }
        };
        let error = self.stopped(reader, stop, deadline);
        if reader.decoder.is_inside_message() && error.is_temporary() {
            reader.partial = payload;
        }
        Err(error)
    }
}

fn in_parts(attempt: &str) -> Error {
    let reason = format!("{attempt}: a message is being read in parts; read its rest");
    Error::InvalidState(reason.into())
}
