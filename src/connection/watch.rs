//! Waiting for something other than a message: for the answer to a Ping, or the end.
//!
//! Nothing comes unless somebody reads. So whoever waits reads too, as long as nobody else does,
//! and puts whole messages aside, for the next call that wants one.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{Ordering, fence};

use parking_lot::MutexGuard;

use super::reader::{Patience, Reader};
use super::state::lock;
use super::{PingId, Shared, Status};
use crate::close::ClosedBy;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::message::Message;
use crate::transport::Halt;

/// The reader's turn. Whoever gives it back tells those who watch.
pub(super) struct ReaderTurn<'a> {
    shared: &'a Shared,
    reader: Option<MutexGuard<'a, Reader>>,
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

impl Shared {
    /// Waits for the reader's turn.
    pub(super) fn reader_turn(&self, deadline: Deadline) -> Result<ReaderTurn<'_>, Halt> {
        let reader = lock(&self.reader, deadline)?;
        Ok(ReaderTurn {
            shared: self,
            reader: Some(reader),
        })
    }

    /// The oldest message that was put aside, unless this end has given up what still comes.
    pub(super) fn take_aside(&self, reader: &mut Reader) -> Option<Message> {
        let aside = reader.aside.as_mut()?;
        if self.gives_up() {
            reader.aside = None;
            return None;
        }
        let message = aside.pop_front();
        if aside.is_empty() {
            reader.aside = None;
        }
        message
    }

    /// Whether this end wants no more messages, also of those that have come.
    pub(super) fn gives_up(&self) -> bool {
        let status = self.status.lock();
        match &status.end {
            Some(Error::Closed(info)) => info.by == ClosedBy::Local,
            Some(Error::Aborted { .. }) => true,
            Some(_) => false,
            None => matches!(&status.closing, Some(info) if info.by == ClosedBy::Local),
        }
    }

    pub(super) fn wait_pong(&self, ping: PingId, aside: usize, deadline: Deadline) -> Result<()> {
        self.watch("wait for a pong", aside, deadline, |status| {
            status.answered >= ping.0
        })
    }

    pub(super) fn wait_end(&self, aside: usize, deadline: Deadline) -> Result<()> {
        let ended = self.watch("wait for the end", aside, deadline, |status| {
            status.end.is_some()
        });
        match ended {
            Err(error) if error.is_temporary() || matches!(error, Error::InvalidState(_)) => {
                Err(error)
            }
            // However it ended, it has.
            _ => Ok(()),
        }
    }

    /// Waits until `is_done`. Reads when nobody else does, and puts up to `max_aside` messages
    /// aside; then somebody must take one.
    fn watch(
        &self,
        attempt: &'static str,
        max_aside: usize,
        deadline: Deadline,
        is_done: impl Fn(&Status) -> bool,
    ) -> Result<()> {
        let _watching = Watching::new(self);
        loop {
            let mut status = self.status.lock();
            if is_done(&status) {
                return Ok(());
            }
            if let Some(end) = &status.end {
                return Err(end.clone());
            }
            let turn = self.reader.try_lock().map(|reader| ReaderTurn {
                shared: self,
                reader: Some(reader),
            });
            match turn {
                Some(turn) if turn.count_aside() < max_aside => {
                    drop(status);
                    let is_done = || is_done(&self.status.lock());
                    self.read_aside(turn, attempt, deadline, is_done)?;
                }
                turn => {
                    // Nobody is to be told of a turn that came to nothing.
                    if let Some(mut turn) = turn {
                        turn.reader = None;
                        std::mem::forget(turn);
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
        }
    }

    /// Reads until `is_done`, or a message was put aside: then others may have the turn.
    fn read_aside(
        &self,
        mut reader: ReaderTurn<'_>,
        attempt: &'static str,
        deadline: Deadline,
        is_done: impl Fn() -> bool,
    ) -> Result<()> {
        let _fuse = self.fuse();
        if reader.parts.is_open {
            let reason = format!("{attempt}: a message is being read in parts; read its rest");
            return Err(Error::InvalidState(reason.into()));
        }
        if reader.peer_close.is_some() {
            return Err(self.peer_closed(&mut reader, deadline));
        }
        let mut payload = std::mem::take(&mut reader.partial);
        let mut patience = Patience::default();
        let stop = loop {
            match self.read_step(&mut reader, &mut payload, &mut patience, deadline) {
                Ok(Some(kind)) => {
                    let mut message = Message::default();
                    message.replace(kind, payload);
                    reader.aside.get_or_insert_default().push_back(message);
                    if let Some(guard) = reader.reader.take() {
                        MutexGuard::unlock_fair(guard);
                    }
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
        let error = self.stopped(&mut reader, stop, deadline);
        if reader.decoder.is_inside_message() && error.is_temporary() {
            reader.partial = payload;
        }
        Err(error)
    }
}

impl Reader {
    fn count_aside(&self) -> usize {
        self.aside.as_ref().map_or(0, |aside| aside.len())
    }
}

/// Messages that were read before anybody asked for them.
pub(super) type Aside = Option<Box<VecDeque<Message>>>;
