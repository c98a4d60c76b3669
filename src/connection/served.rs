//! A connection that a loop reads, and that nobody else does.
//!
//! Nothing is waited for under the locks of its halves: what the stream does not take is kept, and the
//! loop sends it when there is room. So a loop's thread may take these locks too.

use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::Instant;

use super::backlog::would_block;
use super::cork;
use super::reader::{IN_PLACE, Reader, Stop};
use super::writer::Turn;
use super::{Connection, Phase, Shared};
use crate::close::ClosedBy;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::message::{Message, MessageKind};
use crate::options::{BacklogPolicy, WriteOptions};
use crate::transport::{Halt, Readiness};

/// How much a loop receives at a time.
const BUFFER: usize = 64 * 1024;

/// How often a connection's turn receives, before others have theirs.
const RECEIVES: usize = 8;

/// The payload's memory that a loop keeps for the next message.
const KEEP: usize = 256 * 1024;

/// Is told what a loop must know of a connection that other threads use.
pub(crate) trait Watcher: Send + Sync {
    /// The connection of this key is being closed.
    fn look(&self, key: usize);
}

/// Which loop reads a connection.
pub(super) struct Served {
    /// None when it is the program's own loop, which looks by itself.
    watcher: Option<Arc<dyn Watcher>>,
    key: usize,
    /// A descriptor that tells of bytes has told of all of them: not so with TLS.
    is_plain: bool,
    /// A loop's thread has written, and flushes soon.
    is_touched: AtomicBool,
    /// So much waits to be sent that nothing is read.
    is_paused: AtomicBool,
}

/// The memory of a loop's thread for reading: what is in use for no longer than a call.
pub(crate) struct Scratch {
    buffer: Box<[MaybeUninit<u8>]>,
    message: Message,
}

impl Scratch {
    pub fn new() -> Self {
        Scratch {
            buffer: Box::new_uninit_slice(BUFFER),
            message: Message::default(),
        }
    }
}

/// Is lent a message, and told whether more has come already; gives false to let others have their turn.
pub(crate) type Deliver<'a> = dyn FnMut(&Message, bool) -> bool + 'a;

/// What became of a connection's turn.
#[derive(Debug)]
pub enum Progress {
    /// The descriptor tells when there is more.
    Idle,
    /// There may be more already, and others have their turn first.
    Again,
    /// It has ended, with this.
    Ended(Error),
}

impl Connection {
    /// Lets a loop read this connection from now on, and nobody else. `key` is what the watcher knows
    /// it by. False when there is one already.
    pub(crate) fn serve(&self, watcher: Arc<dyn Watcher>, key: usize) -> bool {
        self.shared.serve(Some(watcher), key)
    }

    /// Receives what has come, and delivers the messages in it. With `to_the_end` until the
    /// stream has no more, as it has ended, or is about to. Others have their turn when `deliver`
    /// gives false.
    pub(crate) fn turn(
        &self,
        scratch: &mut Scratch,
        to_the_end: bool,
        deliver: &mut Deliver<'_>,
    ) -> Progress {
        self.shared.read_turn(scratch, to_the_end, deliver)
    }

    /// Sends what was accepted, now that the stream takes more.
    pub(crate) fn make_progress(&self) {
        if self.shared.has_unsent() {
            self.shared.push_from_loop();
        }
    }

    /// Sends the Close for a peer that was too slow, if that is why it is being closed.
    pub(crate) fn go_on_closing(&self) {
        let shared = &self.shared;
        if shared.backlog.closes_full.load(Ordering::Acquire)
            && let Ok(mut turn) = shared.any_turn("close", Deadline::NEVER)
        {
            shared.send_close_full(&mut turn);
        }
    }

    /// When its closing has taken as long as it may, while it is being closed.
    pub(crate) fn close_by(&self) -> Option<Instant> {
        if self.shared.phase() != Phase::Closing {
            return None;
        }
        self.shared.status.lock().close_by
    }

    /// Ends it: the peer did not answer in time.
    pub(crate) fn give_up_closing(&self) -> Error {
        let reason = "close: the peer did not answer our Close in time";
        self.shared.end(Error::ConnectionLost {
            reason: reason.into(),
            source: None,
        })
    }

    pub(crate) fn is_served(&self) -> bool {
        self.shared.served.get().is_some()
    }

    /// Whether another call is reading.
    pub(crate) fn is_being_read(&self) -> bool {
        self.shared.reader.try_lock().is_none()
    }

    /// Sends what says why it has failed, and drops what comes; false once the stream has ended.
    pub(crate) fn linger(&self, scratch: &mut Scratch) -> bool {
        if !self.shared.has_unsent() {
            self.shared.transport.shutdown(Shutdown::Write);
        }
        for _ in 0..RECEIVES {
            let received = self
                .shared
                .transport
                .receive(&mut scratch.buffer, Deadline::passed());
            match received {
                Ok(1..) => {}
                Err(Halt::TimedOut | Halt::Interrupted) => return true,
                Ok(0) | Err(Halt::Failed(_)) => return false,
            }
        }
        true
    }
}

impl Shared {
    pub(super) fn serve(&self, watcher: Option<Arc<dyn Watcher>>, key: usize) -> bool {
        let served = Served {
            watcher,
            key,
            is_plain: self.transport.tls().is_none(),
            is_touched: AtomicBool::new(false),
            is_paused: AtomicBool::new(false),
        };
        self.served.set(Box::new(served)).is_ok()
    }

    /// Whether a loop sends what was accepted by itself, and needs no sender.
    pub(super) fn has_own_sender(&self) -> bool {
        let served = self.served.get();
        served.is_some_and(|served| served.watcher.is_some())
    }

    /// Whether a loop reads this, and this is a thread that must not wait for it.
    fn must_not_wait(&self) -> bool {
        self.served.get().is_some() && cork::is_on_loop()
    }

    /// Nobody but the loop reads a served connection.
    pub(super) fn check_readable(&self, attempt: &str) -> Result<()> {
        if self.served.get().is_none() {
            return Ok(());
        }
        let reason = format!(
            "{attempt}: a server's loop reads this connection, and gives its messages to the handler"
        );
        Err(Error::InvalidState(reason.into()))
    }

    /// The deadline of a call that would wait until `deadline`.
    pub(super) fn waiting_deadline(&self, deadline: Deadline) -> Deadline {
        if self.must_not_wait() {
            Deadline::passed()
        } else {
            deadline
        }
    }

    /// How to write in a turn in which nothing is waited for.
    pub(super) fn corked(&self, options: WriteOptions, turn: &Turn<'_>) -> WriteOptions {
        if !turn.keeps {
            return options;
        }
        let more = self.leaves_with_others() || options.more;
        options.more(more).deadline(Deadline::passed())
    }

    /// Whether what is written now leaves when this loop's thread has handled what it received.
    pub(super) fn leaves_with_others(&self) -> bool {
        let is_so = self.must_not_wait();
        if is_so {
            self.touch();
        }
        is_so
    }

    /// Lets this loop's thread flush the connection when it has handled what it received.
    fn touch(&self) {
        if let Some(served) = self.served.get()
            && !served.is_touched.swap(true, Ordering::Relaxed)
            && let Some(this) = self.this.upgrade()
        {
            cork::touch(&this);
        }
    }

    /// The writer's turn, once so little waits to be sent that more may be accepted.
    pub(super) fn turn_with_room(
        &self,
        attempt: &'static str,
        deadline: Deadline,
    ) -> Result<Turn<'_>> {
        let halted = |halt: Halt| halt.into_error(attempt, self);
        loop {
            let mut turn = self.turn(attempt, deadline)?;
            if self.served.get().is_none() || turn.unsent().len() < self.backlog.limit() {
                return Ok(turn);
            }
            self.send_unsent_first(&mut turn, Deadline::passed())
                .map_err(halted)?;
            if turn.unsent().len() < self.backlog.limit() {
                return Ok(turn);
            }
            if cork::is_on_loop() {
                return Err(would_block());
            }
            // Not with the turn: nobody who writes here waits for it.
            drop(turn);
            let room = Readiness {
                receive: false,
                send: true,
            };
            self.transport.wait(room, deadline).map_err(halted)?;
        }
    }

    /// Sends what this loop's thread has written, and what else was accepted.
    pub(super) fn push_from_loop(&self) {
        if let Some(served) = self.served.get() {
            served.is_touched.store(false, Ordering::Relaxed);
        }
        self.push_watched();
    }

    /// Whether so much waits to be sent that no more is read: what is read is answered.
    fn is_full(&self) -> bool {
        self.backlog.policy() == BacklogPolicy::Wait && self.backlog.waiting().is_full
    }

    /// Stops reading until [`go_on_reading`](Self::go_on_reading), if so much waits to be sent.
    fn stops_reading(&self) -> bool {
        let Some(served) = self.served.get().filter(|_| self.is_full()) else {
            return false;
        };
        served.is_paused.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        // Unless it has left since: then nobody tells.
        self.is_full() || !served.is_paused.swap(false, Ordering::AcqRel)
    }

    /// Has the loop read again, if it has stopped and there is room now.
    pub(super) fn go_on_reading(&self) {
        let Some(served) = self.served.get() else {
            return;
        };
        fence(Ordering::SeqCst);
        if served.is_paused.load(Ordering::Relaxed)
            && !self.is_full()
            && served.is_paused.swap(false, Ordering::AcqRel)
        {
            served.look();
        }
    }

    /// Has the loop of this connection see to its closing; false without one that does.
    pub(super) fn watch_closing(&self) -> bool {
        if let Some(served) = self.served.get() {
            served.look();
        }
        self.has_own_sender()
    }

    /// Closes a served connection, whose loop reads the peer's answer. On a loop's thread that is
    /// not waited for.
    pub(super) fn close_served(&self, deadline: Deadline) -> Result<()> {
        let Some(served) = self.served.get() else {
            return Ok(());
        };
        if self.closed_by() == ClosedBy::Local {
            // What the stream does not take is kept; and one that failed is the loop's to notice.
            let _ = self.send_close(Deadline::passed());
        }
        served.look();
        if self.leaves_with_others() {
            return Ok(());
        }
        let deadline = self.until_closed(deadline);
        loop {
            let mut status = self.status.lock();
            if self.phase() == Phase::Ended {
                return Ok(());
            }
            match deadline.slice() {
                Some(slice) => drop(self.news.wait_for(&mut status, slice)),
                None => self.news.wait(&mut status),
            }
            drop(status);
            if deadline.is_interrupted() && !self.close_time_is_up() {
                return Err(Halt::Interrupted.into_error("close", self));
            }
            if deadline.has_passed() && self.phase() != Phase::Ended {
                let reason = "close: the peer did not answer our Close in time";
                self.end(Error::ConnectionLost {
                    reason: reason.into(),
                    source: None,
                });
            }
        }
    }

    fn read_turn(
        &self,
        scratch: &mut Scratch,
        to_the_end: bool,
        deliver: &mut Deliver<'_>,
    ) -> Progress {
        // Others hold it for a moment only, to look. Who has begun to read before the loop did may
        // have it for long, and the loop must not wait for that.
        let Some(mut reader) = self.reader.try_lock() else {
            return Progress::Again;
        };
        let _fuse = self.fuse();
        if self.phase() == Phase::Ended {
            return Progress::Ended(self.end_error());
        }
        if reader.peer_close.is_some() {
            let error = self.peer_closed(&mut reader, Deadline::passed());
            return ended_unless_temporary(error);
        }
        let served = self.served.get();
        if served.is_some_and(|served| served.is_paused.load(Ordering::Relaxed)) {
            return Progress::Idle;
        }
        let mut payload = if reader.decoder.is_inside_message() {
            std::mem::take(&mut reader.partial)
        } else {
            scratch.message.take_buffer()
        };
        let read = self.read_messages(&mut reader, &mut payload, scratch, to_the_end, deliver);
        let progress = match read {
            Ok(progress) => progress,
            Err(Stop::NoMemory) => Progress::Ended(self.end(Error::NoMemory("the message"))),
            Err(stop) => {
                let error = self.stopped(&mut reader, stop, Deadline::passed());
                ended_unless_temporary(error)
            }
        };
        if reader.decoder.is_inside_message() && !matches!(progress, Progress::Ended(_)) {
            // An idle connection does not keep the memory of a loop.
            if payload.capacity() > 2 * payload.len() && scratch.message.is_empty() {
                reader.partial = payload.as_slice().into();
                scratch.keep(payload);
            } else {
                reader.partial = payload;
            }
        } else {
            scratch.keep(payload);
        }
        progress
    }

    fn read_messages(
        &self,
        reader: &mut Reader,
        payload: &mut Vec<u8>,
        scratch: &mut Scratch,
        to_the_end: bool,
        deliver: &mut Deliver<'_>,
    ) -> Result<Progress, Stop> {
        let is_plain = self.served.get().is_some_and(|served| served.is_plain);
        let Scratch { buffer, message } = scratch;
        let mut deliver = |kind: MessageKind, payload: &mut Vec<u8>, more: bool| {
            self.tally.message_received(payload.len());
            // A NUL behind it, for languages whose texts end so.
            if payload.try_reserve(1).is_ok() {
                payload.push(0);
                payload.pop();
            }
            message.replace(kind, std::mem::take(payload));
            let goes_on = deliver(message, more);
            *payload = message.take_buffer();
            match self.phase() {
                Phase::Ended => Err(Stop::Ended(self.end_error())),
                _ if self.stops_reading() => Ok(Some(Progress::Idle)),
                _ => Ok((!goes_on).then_some(Progress::Again)),
            }
        };
        for _ in 0..RECEIVES {
            while reader.has_ahead() {
                if let Some(kind) = self.decode_ahead(reader, payload, usize::MAX)?
                    && let Some(progress) = deliver(kind, payload, reader.has_ahead())?
                {
                    return Ok(progress);
                }
            }
            if reader.missing_payload() >= IN_PLACE {
                let decoder = &mut reader.decoder;
                let event = self.receive_in_place(decoder, payload, Deadline::passed())?;
                if let Some(kind) = self.handle(event, payload)?
                    && let Some(progress) = deliver(kind, payload, false)?
                {
                    return Ok(progress);
                }
                continue;
            }
            let length = match self.receive(buffer, Deadline::passed()) {
                Ok(length) => length,
                Err(Stop::Halt(Halt::TimedOut)) => return Ok(Progress::Idle),
                Err(stop) => return Err(stop),
            };
            // SAFETY: the transport has initialised that many bytes at the start of the buffer.
            let received =
                unsafe { std::slice::from_raw_parts_mut(buffer.as_mut_ptr().cast::<u8>(), length) };
            let Reader { decoder, ahead, .. } = reader;
            let mut start = 0;
            while start < received.len() || decoder.has_more() {
                decoder.get_ready(payload)?;
                let (used, event) = decoder.decode(&mut received[start..], payload)?;
                start += used;
                let more = start < received.len();
                if let Some(kind) = self.handle(event, payload)?
                    && let Some(progress) = deliver(kind, payload, more)?
                {
                    ahead.fill(&received[start..]);
                    return Ok(progress);
                }
            }
            if is_plain && length < BUFFER && !to_the_end {
                return Ok(Progress::Idle);
            }
        }
        Ok(Progress::Again)
    }
}

impl Served {
    fn look(&self) {
        if let Some(watcher) = &self.watcher {
            watcher.look(self.key);
        }
    }
}

impl Scratch {
    /// Keeps memory for the next message.
    fn keep(&mut self, payload: Vec<u8>) {
        if payload.capacity() <= KEEP {
            self.message = Message::with_buffer(payload);
        }
    }
}

fn ended_unless_temporary(error: Error) -> Progress {
    if error.is_temporary() {
        Progress::Idle
    } else {
        Progress::Ended(error)
    }
}
