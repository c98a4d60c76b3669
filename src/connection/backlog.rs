//! The backlog: what was accepted for a peer that is slow, and what happens when it is full.
//!
//! Whoever must not wait writes here: every writer, unless the policy is to wait, and every broadcast.
//! What the stream does not take stays in the writer's unsent bytes, and the [sender](super::sender)
//! goes on with it. When somebody else has the writer's turn, or is in the middle of a message in parts,
//! the message is put by, and that one takes it along.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering, fence};

use parking_lot::Mutex;

use super::sender;
use super::sending::MAX_TOGETHER;
use super::writer::{Piece, Writer};
use super::{Phase, Shared};
use crate::close::{CloseCode, CloseInfo, ClosedBy};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::message::MessageKind;
use crate::options::{Backlog, BacklogPolicy, WriteOptions};
use crate::prepared::Prepared;
use crate::protocol::Role;
use crate::protocol::encoder::MAX_HEADER;
use crate::transport::Halt;

/// What the backlog of a connection is, and what of it can be told without any turn.
pub(super) struct Held {
    limit: AtomicUsize,
    policy: AtomicU8,
    /// How much is unsent in the writer, when somebody last had its turn.
    unsent: AtomicUsize,
    put_by: Mutex<Option<Box<PutBy>>>,
    has_put_by: AtomicBool,
    /// It was full, and the connection is being closed for that.
    pub closes_full: AtomicBool,
}

/// Messages that found no writer's turn.
#[derive(Default)]
struct PutBy {
    messages: VecDeque<(Prepared, bool)>,
    size: usize,
}

/// What waits to be sent: see [`Connection::backlog`](crate::Connection::backlog).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    /// Bytes that were accepted and that the system has not taken, with the headers of their frames.
    pub bytes: usize,
    /// They are as many as the limit of the [`Backlog`], or more.
    pub is_full: bool,
}

/// A message for a connection that is not waited for.
#[derive(Clone, Copy)]
pub(super) struct Outgoing<'a> {
    pub kind: MessageKind,
    pub data: &'a [u8],
    /// Its frames, if there are any.
    pub prepared: Option<&'a Prepared>,
    pub compress: bool,
    pub more: bool,
}

impl Outgoing<'_> {
    /// At least as much as it takes while it waits.
    fn size(&self) -> usize {
        self.data.len().saturating_add(MAX_HEADER)
    }
}

/// What is where in the unsent bytes. Places outlive what leaves before them.
#[derive(Default)]
pub(super) struct Places {
    /// How many bytes have been before the first of the unsent ones since the first place was noted.
    pub gone: usize,
    /// Beginning and end of whole messages that may be dropped, since no later one refers to them.
    droppable: VecDeque<(usize, usize)>,
    /// Where the last Pong ends that had to wait with all else.
    pong_end: usize,
}

impl Held {
    pub fn new(backlog: Backlog) -> Self {
        Held {
            limit: AtomicUsize::new(backlog.limit),
            policy: AtomicU8::new(backlog.policy as u8),
            unsent: AtomicUsize::new(0),
            put_by: Mutex::new(None),
            has_put_by: AtomicBool::new(false),
            closes_full: AtomicBool::new(false),
        }
    }

    pub fn policy(&self) -> BacklogPolicy {
        match self.policy.load(Ordering::Relaxed) {
            0 => BacklogPolicy::Wait,
            1 => BacklogPolicy::Refuse,
            2 => BacklogPolicy::DropOldest,
            _ => BacklogPolicy::Close,
        }
    }

    pub fn set(&self, backlog: Backlog) {
        self.limit.store(backlog.limit, Ordering::Relaxed);
        self.policy.store(backlog.policy as u8, Ordering::Relaxed);
    }

    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    fn has_room(&self, waiting: usize, size: usize) -> bool {
        waiting == 0 || waiting.saturating_add(size) <= self.limit()
    }

    /// Whoever has the writer's turn tells how much is left there.
    pub fn tell_unsent(&self, bytes: usize) {
        self.unsent.store(bytes, Ordering::Relaxed);
    }

    pub fn waiting(&self) -> Waiting {
        let put_by = match self.has_put_by.load(Ordering::Acquire) {
            true => self.put_by.lock().as_ref().map_or(0, |put_by| put_by.size),
            false => 0,
        };
        let bytes = self.unsent.load(Ordering::Relaxed) + put_by;
        Waiting {
            bytes,
            is_full: bytes > 0 && bytes >= self.limit(),
        }
    }

    pub fn has_put_by(&self) -> bool {
        self.has_put_by.load(Ordering::Relaxed)
    }
}

impl Writer {
    fn places(&mut self) -> &mut Places {
        self.places.get_or_insert_default()
    }

    /// Notes that the last of the unsent bytes are a Pong.
    pub fn note_pong(&mut self) {
        if !self.unsent().is_empty() {
            let end = self.unsent.len();
            let places = self.places();
            places.pong_end = places.gone + end;
        }
    }

    /// Whether a Pong is among the unsent bytes.
    pub fn holds_pong(&self) -> bool {
        let places = self.places.as_ref();
        places.is_some_and(|places| places.pong_end > places.gone + self.unsent_start)
    }

    /// Notes that the last of the unsent bytes are a message that may be dropped, if it is whole.
    fn note_droppable(&mut self) {
        let size = self.framed;
        if self.unsent().len() < size {
            return;
        }
        let (start, end) = (self.unsent_start, self.unsent.len());
        let places = self.places();
        let (first, end) = (places.gone + start, places.gone + end);
        while places
            .droppable
            .front()
            .is_some_and(|(start, _)| *start < first)
        {
            places.droppable.pop_front();
        }
        places.droppable.push_back((end - size, end));
    }

    /// Forgets which messages may be dropped, when what is written from now on may refer to them, or
    /// they to what was dropped.
    pub fn follow_policy(&mut self, policy: BacklogPolicy) {
        if self.policy == policy {
            return;
        }
        self.policy = policy;
        if let Some(places) = &mut self.places {
            places.droppable = VecDeque::new();
        }
        // The parts of a message refer to each other, and to none that may be dropped.
        if !self.encoder.is_inside_message() {
            self.compress_anew();
        }
    }

    /// The next compressed message refers to none before it.
    pub fn compress_anew(&mut self) {
        if let Some(deflater) = &mut self.deflater
            && deflater.keeps_context()
        {
            deflater.begin_anew();
        }
    }

    /// Takes the oldest message that may be dropped out of the unsent bytes. False if there is none.
    fn drop_oldest(&mut self) -> bool {
        let Some(places) = &mut self.places else {
            return false;
        };
        while let Some((start, end)) = places.droppable.pop_front() {
            if start < places.gone + self.unsent_start {
                // It has begun to leave.
                continue;
            }
            let (start, end) = (start - places.gone, end - places.gone);
            // What is before it, the rest of a message or control frames, moves up: it is little, and
            // all later places stay the same.
            let before = self.unsent_start..start;
            let new_start = end - before.len();
            self.unsent.copy_within(before, new_start);
            self.unsent_start = new_start;
            self.advance_unsent(0);
            return true;
        }
        false
    }

    /// Takes all messages that may be dropped out of the unsent bytes; gives how many they were.
    fn drop_all(&mut self) -> usize {
        let mut count = 0;
        while self.drop_oldest() {
            count += 1;
        }
        count
    }
}

impl Shared {
    /// Writes a message without waiting for anything. An error if it was refused.
    pub(super) fn write_or_keep(&self, message: Outgoing<'_>, policy: BacklogPolicy) -> Result<()> {
        let message = Outgoing {
            more: self.leaves_with_others() || message.more,
            ..message
        };
        if self.phase() != Phase::Open {
            return Err(self.end_error());
        }
        let Some(mut turn) = self.try_turn() else {
            return self.put_by(message, policy);
        };
        self.check_writable(&turn)?;
        if turn.encoder.is_inside_message() {
            if message.prepared.is_none() && turn.is_mine() {
                return Err(inside_message());
            }
            return self.put_by(message, policy);
        }
        self.take_put_by(&mut turn);
        self.make_room_in_backlog(&mut turn, message.size(), policy)?;
        self.place(&mut turn, message, policy)
    }

    /// Makes a place in the backlog, or does what its policy says when there is none.
    pub(super) fn make_room_in_backlog(
        &self,
        writer: &mut Writer,
        size: usize,
        policy: BacklogPolicy,
    ) -> Result<()> {
        // What was accepted under another policy is not dropped under this one.
        writer.follow_policy(policy);
        if self.backlog.has_room(writer.unsent().len(), size) {
            return Ok(());
        }
        let keeps = std::mem::replace(&mut writer.keeps, true);
        let sent = self.send_unsent_first(writer, Deadline::passed());
        writer.keeps = keeps;
        sent.map_err(|halt| halt.into_error("write", self))?;
        while !self.backlog.has_room(writer.unsent().len(), size) {
            match policy {
                BacklogPolicy::Wait | BacklogPolicy::Refuse => return Err(would_block()),
                BacklogPolicy::DropOldest if writer.drop_oldest() => self.tally.message_dropped(),
                // The rest has begun to leave; the newest message is never dropped for that.
                BacklogPolicy::DropOldest => return Ok(()),
                BacklogPolicy::Close => {
                    self.begin_closing_full();
                    self.send_close_full(writer);
                    return Err(self.end_error());
                }
            }
        }
        Ok(())
    }

    /// Accepts a whole message: sends what the stream takes, and keeps the rest.
    fn place(
        &self,
        writer: &mut Writer,
        message: Outgoing<'_>,
        policy: BacklogPolicy,
    ) -> Result<()> {
        writer.follow_policy(policy);
        let keeps = std::mem::replace(&mut writer.keeps, true);
        let placed = self.place_kept(writer, message, policy);
        writer.keeps = keeps;
        placed?;
        if self.transport.has_unsent() {
            writer.is_stuck = true;
        }
        let may_drop = matches!(policy, BacklogPolicy::DropOldest | BacklogPolicy::Close);
        if may_drop {
            writer.note_droppable();
        }
        Ok(())
    }

    fn place_kept(
        &self,
        writer: &mut Writer,
        message: Outgoing<'_>,
        policy: BacklogPolicy,
    ) -> Result<()> {
        if self.role == Role::Server
            && let Some(prepared) = message.prepared
        {
            return self.send_prepared(writer, prepared, message, Deadline::passed());
        }
        if policy == BacklogPolicy::DropOldest {
            // None refers to one that may be dropped.
            writer.compress_anew();
        }
        let options = WriteOptions::new()
            .more(message.more)
            .compress(message.compress)
            .deadline(Deadline::passed());
        self.send_data(writer, Piece::whole(message.kind, message.data), options)
    }

    /// Sends a server's frame that is there already. What the stream does not take is kept if the
    /// writer keeps.
    pub(super) fn send_prepared(
        &self,
        writer: &mut Writer,
        prepared: &Prepared,
        message: Outgoing<'_>,
        deadline: Deadline,
    ) -> Result<()> {
        let deflated = match &writer.deflater {
            Some(deflater) if message.compress => prepared.deflated(deflater),
            _ => None,
        };
        let frame = deflated.as_deref().unwrap_or(prepared.frame());
        let halted = |halt: Halt| halt.into_error("write", self);
        let may_wait = message.more && writer.unsent().len() + frame.len() <= MAX_TOGETHER;
        if !may_wait || writer.add_unsent(frame).is_err() {
            self.send_unsent_first(writer, deadline).map_err(halted)?;
            self.send_frame(writer, frame, deadline).map_err(halted)?;
        }
        writer.framed = frame.len();
        if deflated.is_some() {
            // The peer's window has it, and ours does not: nothing may refer past it.
            writer.compress_anew();
        }
        self.tally.part_sent(prepared.len(), true);
        Ok(())
    }

    /// Leaves a message to whoever has the writer's turn.
    fn put_by(&self, message: Outgoing<'_>, policy: BacklogPolicy) -> Result<()> {
        let size = message.size();
        {
            let mut put_by = self.backlog.put_by.lock();
            let put_by = put_by.get_or_insert_default();
            loop {
                let unsent = self.backlog.unsent.load(Ordering::Relaxed);
                if self.backlog.has_room(unsent + put_by.size, size) {
                    break;
                }
                match policy {
                    BacklogPolicy::Wait | BacklogPolicy::Refuse => return Err(would_block()),
                    BacklogPolicy::DropOldest => {
                        let Some((oldest, _)) = put_by.messages.pop_front() else {
                            break;
                        };
                        put_by.size -= oldest.len() + MAX_HEADER;
                        self.tally.message_dropped();
                    }
                    BacklogPolicy::Close => {
                        self.begin_closing_full();
                        return Err(self.end_error());
                    }
                }
            }
            let prepared = match message.prepared {
                Some(prepared) => prepared.clone(),
                None => Prepared::of(message.kind, message.data),
            };
            put_by.size += size;
            put_by.messages.push_back((prepared, message.compress));
            self.backlog.has_put_by.store(true, Ordering::Relaxed);
        }
        fence(Ordering::SeqCst);
        self.send_put_by();
        Ok(())
    }

    /// Sends what was put by, if nobody has the writer's turn; whoever has it does when it is given
    /// back.
    pub(super) fn send_put_by(&self) {
        if self.backlog.has_put_by() {
            drop(self.try_turn());
        }
    }

    /// Accepts what was put by, which is before all that is written from now on.
    pub(super) fn take_put_by(&self, writer: &mut Writer) {
        if !self.backlog.has_put_by() || writer.encoder.is_inside_message() {
            return;
        }
        let put_by = {
            let mut put_by = self.backlog.put_by.lock();
            self.backlog.has_put_by.store(false, Ordering::Relaxed);
            put_by.take()
        };
        let policy = self.backlog.policy();
        for (prepared, compress) in put_by.into_iter().flat_map(|put_by| put_by.messages) {
            let message = Outgoing {
                kind: prepared.kind(),
                data: prepared.as_bytes(),
                prepared: Some(&prepared),
                compress,
                more: false,
            };
            // A close that has begun sends what was accepted before it, unless the peer is too slow.
            let may_send =
                !writer.close_sent && writer.broken.is_none() && self.phase() != Phase::Ended;
            let closes_full = self.backlog.closes_full.load(Ordering::Acquire);
            // Without memory there is nothing else to do.
            if closes_full || may_send && self.place(writer, message, policy).is_err() {
                self.tally.message_dropped();
            }
        }
    }

    /// Begins to close since the peer is too slow; the sender does the rest.
    fn begin_closing_full(&self) {
        let info = CloseInfo {
            code: CloseCode::Again,
            reason: "too slow".to_owned(),
            by: ClosedBy::Local,
        };
        if !self.begin_closing(info) {
            return;
        }
        self.backlog.closes_full.store(true, Ordering::Release);
        if self.watch_closing() {
            return;
        }
        let closing = self
            .this
            .upgrade()
            .is_some_and(|this| sender::watch_closing(&this).is_ok());
        if !closing {
            self.end(Error::Aborted {
                attempt: "connection: close a slow peer".into(),
            });
        }
    }

    /// Puts the Close for a slow peer where the messages are that it will not get.
    pub(super) fn send_close_full(&self, writer: &mut Writer) {
        if std::mem::replace(&mut writer.close_sent, true) {
            return;
        }
        for _ in 0..writer.drop_all() {
            self.tally.message_dropped();
        }
        if let Ok(frame) = writer.encoder.close(CloseCode::Again, "too slow") {
            let keeps = std::mem::replace(&mut writer.keeps, true);
            // If that fails, the stream has ended, which is all that was wanted.
            let _ = self.send_frame(writer, frame.as_bytes(), Deadline::passed());
            writer.keeps = keeps;
        }
    }

    /// Goes on with the closing of a connection whose peer was too slow. False once it has ended.
    pub(super) fn go_on_closing(&self) -> bool {
        if self.phase() == Phase::Ended {
            return false;
        }
        if let Some(mut turn) = self.try_turn() {
            self.send_close_full(&mut turn);
        }
        // The peer's answer, if nobody else reads.
        if let Some(mut reader) = self.reader.try_lock() {
            let _fuse = self.fuse();
            self.discard(&mut reader, Deadline::passed());
        }
        if self.close_time_is_up() {
            let reason = "close: the peer was too slow, and did not answer our Close in time";
            self.end(Error::ConnectionLost {
                reason: reason.into(),
                source: None,
            });
        }
        self.phase() != Phase::Ended
    }

    /// Has the sender go on with what the stream did not take, or stop when there is nothing left.
    /// Called by whoever gives the writer's turn back.
    pub(super) fn watch_unsent(&self, writer: &mut Writer) {
        let has_unsent = !writer.unsent().is_empty() || self.transport.has_unsent();
        // A loop goes on by itself.
        let needs_sender =
            writer.is_stuck && has_unsent && !self.has_own_sender() && self.phase() != Phase::Ended;
        if !needs_sender {
            writer.watch = None;
            writer.is_stuck = false;
        } else if !writer.watch.as_ref().is_some_and(|watch| watch.is_ours()) {
            let watch = self.this.upgrade().map(|this| sender::watch(&this));
            if let Some(Err(error)) = watch {
                // The next call on this connection goes on with it.
                log::warn!(target: self.role.log_target(), "sender: {error}");
            } else {
                writer.watch = watch.and_then(Result::ok).map(Box::new);
            }
        }
    }
}

pub(super) fn would_block() -> Error {
    Error::WouldBlock {
        attempt: "write".into(),
    }
}

/// The error for a message that can never have its turn, as this thread has begun another.
pub(super) fn inside_message() -> Error {
    let reason = "write: this thread has begun a message in parts; write its last part";
    Error::InvalidState(reason.into())
}

/// What became of a message for many: see [`broadcast`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Broadcast {
    /// Connections that have accepted it: it was sent, or waits in their backlog.
    pub accepted: usize,
    /// Connections that had no room for it.
    pub refused: usize,
    /// Connections that had ended, or that were closed now since they had no room for it.
    pub closed: usize,
}

/// Writes a message to many connections, and waits for none of them, whatever their policy: on a
/// connection whose writes would wait ([`BacklogPolicy::Wait`]) it waits in the backlog, and is refused
/// when that is full. What waits leaves in the background.
///
/// Where another thread is in the middle of a message in parts, this one leaves after it.
pub fn broadcast<'a>(
    connections: impl IntoIterator<Item = &'a super::Connection>,
    message: &Prepared,
) -> Broadcast {
    let mut report = Broadcast::default();
    for connection in connections {
        report.count(connection.shared.offer(message));
    }
    report
}

impl Broadcast {
    fn count(&mut self, written: Result<()>) {
        match written {
            Ok(()) => self.accepted += 1,
            Err(error) if error.is_temporary() => self.refused += 1,
            Err(_) => self.closed += 1,
        }
    }
}

impl Shared {
    /// Writes a message that is for others too, without waiting.
    fn offer(&self, message: &Prepared) -> Result<()> {
        let outgoing = Outgoing {
            kind: message.kind(),
            data: message.as_bytes(),
            prepared: Some(message),
            compress: true,
            more: false,
        };
        self.write_or_keep(outgoing, self.backlog.policy())
    }
}

/// A connection that may be gone, for who tells it something if it is not.
#[derive(Clone)]
pub(crate) struct Subscriber(std::sync::Weak<Shared>);

impl Subscriber {
    pub fn of(connection: &super::Connection) -> Self {
        Subscriber(Arc::downgrade(&connection.shared))
    }

    /// The same for the same connection, as long as there is a subscriber of it.
    pub fn key(&self) -> usize {
        self.0.as_ptr() as usize
    }

    /// Whether it may still be told something.
    pub fn is_open(&self) -> bool {
        let shared = self.0.upgrade();
        shared.is_some_and(|shared| shared.phase() == Phase::Open)
    }

    /// Writes a message without waiting. False when the connection is no more.
    pub fn offer(&self, message: &Prepared, report: &mut Broadcast) -> bool {
        let Some(shared) = self.0.upgrade() else {
            return false;
        };
        report.count(shared.offer(message));
        shared.phase() == Phase::Open
    }
}

#[cfg(test)]
mod tests;
