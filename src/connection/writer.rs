//! The writer half: messages and control frames through the encoder onto the transport.

use std::sync::atomic::{Ordering, fence};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use parking_lot::MutexGuard;

use super::backlog::{Outgoing, Places, inside_message};
use super::cork;
use super::sender::Watch;
use super::sending::MAX_TOGETHER;
use super::state::Fuse;
use super::{Phase, PingId, Shared};
use crate::close::ClosedBy;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::message::MessageKind;
use crate::options::{BacklogPolicy, WriteOptions};
use crate::prepared::Prepared;
use crate::protocol::Role;
use crate::protocol::decoder::ControlPayload;
use crate::protocol::deflate::Deflater;
use crate::protocol::encoder::{Encoder, MAX_HEADER};
use crate::protocol::utf8::Utf8;
use crate::transport::{Halt, Readiness, lock};

/// There is no memory to keep bytes that are to be sent later.
pub(super) struct NoMemory;

/// A Ping that was sent, to know its answer by.
#[derive(Debug)]
pub(super) struct SentPing {
    id: PingId,
    pub payload: Box<[u8]>,
    at: Instant,
}

/// So many Pings are known by their answers. An older one counts as answered when a newer one is
/// (RFC 6455, 5.5.3).
const MAX_PINGS: usize = 64;

/// The writing half of a connection.
pub(super) struct Writer {
    pub encoder: Encoder,
    /// There if both ends agreed to compress. Large, and of use to some connections only.
    pub deflater: Option<Box<Deflater>>,
    /// Accepted, and not sent: it leaves before anything else does.
    pub unsent: Vec<u8>,
    pub unsent_start: usize,
    /// Where in it is what is known of it, if anything is.
    pub places: Option<Box<Places>>,
    /// The policy under which the last message was written.
    pub policy: BacklogPolicy,
    /// The size of the frame that was written last.
    pub framed: usize,
    /// The thread that wrote the last part of a message that is not complete.
    parts_by: Option<ThreadId>,
    /// The text of that message so far.
    text: Utf8,
    pub close_sent: bool,
    /// What the stream does not take at once is kept, and nothing is waited for.
    pub keeps: bool,
    /// Something was kept since the stream did not take it.
    pub is_stuck: bool,
    /// There while the sender goes on with it.
    pub watch: Option<Box<Watch>>,
    /// The stream takes no more. What it holds may still be read.
    pub broken: Option<Box<Error>>,
}

impl Writer {
    pub fn new(role: Role, deflater: Option<Deflater>) -> Self {
        Writer {
            encoder: Encoder::new(role),
            deflater: deflater.map(Box::new),
            unsent: Vec::new(),
            unsent_start: 0,
            places: None,
            policy: BacklogPolicy::Wait,
            framed: 0,
            parts_by: None,
            text: Utf8::default(),
            close_sent: false,
            keeps: false,
            is_stuck: false,
            watch: None,
            broken: None,
        }
    }

    /// Whether this thread wrote the parts of the message that is not complete.
    pub fn is_mine(&self) -> bool {
        self.parts_by == Some(std::thread::current().id())
    }

    pub fn unsent(&self) -> &[u8] {
        &self.unsent[self.unsent_start..]
    }

    pub fn advance_unsent(&mut self, sent: usize) {
        self.unsent_start += sent;
        if self.unsent_start == self.unsent.len() {
            self.unsent_start = 0;
            cork::put_by(std::mem::take(&mut self.unsent));
            self.places = None;
        }
    }

    /// Whether a halt is no reason to give up, since what is to be sent can be kept.
    pub fn may_keep(&self, halt: &Halt) -> bool {
        self.keeps && !matches!(halt, Halt::Failed(_))
    }

    /// Makes room for so many more bytes.
    pub fn reserve_unsent(&mut self, size: usize) -> bool {
        if self.unsent.capacity() == 0 {
            self.unsent = cork::spare();
        }
        // Moved only when that is less than what has left since the last time.
        if self.unsent_start > MAX_TOGETHER.max(self.unsent().len()) {
            if let Some(places) = &mut self.places {
                places.gone += self.unsent_start;
            }
            self.unsent.drain(..self.unsent_start);
            self.unsent_start = 0;
        }
        self.unsent.try_reserve(size).is_ok()
    }

    /// Accepts bytes, which leave after those that were accepted before.
    pub fn add_unsent(&mut self, bytes: &[u8]) -> Result<(), NoMemory> {
        if !self.reserve_unsent(bytes.len()) {
            return Err(NoMemory);
        }
        self.unsent.extend_from_slice(bytes);
        Ok(())
    }
}

/// The writer's turn. Whoever gives it back sends what others could not send meanwhile.
pub(super) struct Turn<'a> {
    shared: &'a Shared,
    /// Dropped before the writer is free.
    fuse: Option<Fuse<'a>>,
    writer: Option<MutexGuard<'a, Writer>>,
}

impl Turn<'_> {
    /// `deadline`, unless nothing is waited for in this turn.
    fn deadline(&self, deadline: Deadline) -> Deadline {
        if self.keeps {
            Deadline::passed()
        } else {
            deadline
        }
    }
}

impl std::ops::Deref for Turn<'_> {
    type Target = Writer;

    fn deref(&self) -> &Writer {
        self.writer.as_ref().expect("held until it is dropped")
    }
}

impl std::ops::DerefMut for Turn<'_> {
    fn deref_mut(&mut self) -> &mut Writer {
        self.writer.as_mut().expect("held until it is dropped")
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.fuse = None;
        let shared = self.shared;
        loop {
            shared.take_put_by(self);
            shared.tell_unsent(self);
            self.writer = None;
            // Either this thread sees the Pong that a reader left, or that reader gets the lock; and
            // so for what was put by.
            fence(Ordering::SeqCst);
            if !shared.backlog.has_put_by() {
                break;
            }
            self.writer = shared.writer.try_lock();
            match &self.writer {
                Some(writer) if !writer.encoder.is_inside_message() => {}
                // Somebody else takes it along, or the last part does.
                _ => break,
            }
        }
        self.writer = None;
        if shared.has_pong.load(Ordering::Relaxed) {
            shared.send_pong();
        }
        shared.push_if_wanted();
    }
}

impl Shared {
    /// Writes a message, as `options` say.
    pub(super) fn write_message(
        &self,
        kind: MessageKind,
        data: &[u8],
        options: WriteOptions,
    ) -> Result<()> {
        let policy = self.backlog.policy();
        if policy != BacklogPolicy::Wait {
            let message = Outgoing {
                kind,
                data,
                prepared: None,
                compress: options.compress,
                more: options.more,
            };
            return self.write_or_keep(message, policy);
        }
        let deadline = self.waiting_deadline(options.deadline.or_sooner(self.write_timeout));
        let mut turn = self.turn_between_messages(deadline)?;
        let options = self.corked(options.deadline(deadline), &turn);
        self.send_data(&mut turn, Piece::whole(kind, data), options)
    }

    /// Writes a message that is framed already.
    pub(super) fn write_prepared(&self, prepared: &Prepared, options: WriteOptions) -> Result<()> {
        let (kind, data) = (prepared.kind(), prepared.as_bytes());
        let policy = self.backlog.policy();
        if policy == BacklogPolicy::Wait && self.role == Role::Client {
            return self.write_message(kind, data, options);
        }
        let message = Outgoing {
            kind,
            data,
            prepared: Some(prepared),
            compress: options.compress,
            more: options.more,
        };
        if policy != BacklogPolicy::Wait {
            return self.write_or_keep(message, policy);
        }
        let deadline = self.waiting_deadline(options.deadline.or_sooner(self.write_timeout));
        let mut turn = self.turn_between_messages(deadline)?;
        let message = Outgoing {
            more: self.corked(options, &turn).more,
            ..message
        };
        let deadline = turn.deadline(deadline);
        self.send_prepared(&mut turn, prepared, message, deadline)
    }

    /// Waits for the writer's turn, and for the end of a message that others write in parts.
    fn turn_between_messages(&self, deadline: Deadline) -> Result<Turn<'_>> {
        let mut turn = self.turn_with_room("write", deadline)?;
        while turn.encoder.is_inside_message() {
            if turn.is_mine() {
                return Err(inside_message());
            }
            self.wait_for_last_part(&mut turn, deadline)?;
        }
        self.take_put_by(&mut turn);
        turn.follow_policy(BacklogPolicy::Wait);
        Ok(turn)
    }

    pub(super) fn write_part(&self, part: Piece<'_>, options: WriteOptions) -> Result<()> {
        let Piece {
            kind,
            data,
            is_last,
        } = part;
        let deadline = self.waiting_deadline(options.deadline.or_sooner(self.write_timeout));
        let mut turn = self.turn_with_room("write part", deadline)?;
        while turn.encoder.is_inside_message() && !turn.is_mine() {
            self.wait_for_last_part(&mut turn, deadline)?;
        }
        let policy = self.backlog.policy();
        if !turn.encoder.is_inside_message() {
            self.take_put_by(&mut turn);
            turn.follow_policy(policy);
            if matches!(policy, BacklogPolicy::DropOldest | BacklogPolicy::Close) {
                // Parts are never dropped, and refer to none that may be.
                turn.compress_anew();
            }
        }
        let mut text = turn.text.clone();
        if kind == MessageKind::Text {
            let is_utf8 = text.feed(data).is_ok() && (!is_last || text.finish().is_ok());
            if !is_utf8 {
                let reason = "write part: the text of the parts is not UTF-8";
                return Err(Error::InvalidArgument(reason.into()));
            }
        }
        if policy != BacklogPolicy::Wait {
            self.make_room_in_backlog(&mut turn, data.len().saturating_add(MAX_HEADER), policy)?;
        }
        let deadline = turn.deadline(deadline);
        let options = self.corked(options.deadline(deadline), &turn);
        self.send_data(&mut turn, part, options)?;
        turn.text = text;
        turn.parts_by = (!is_last).then(|| std::thread::current().id());
        if is_last {
            self.message_done.notify_all();
        }
        Ok(())
    }

    pub(super) fn write_ping(&self, payload: &[u8], deadline: Deadline) -> Result<PingId> {
        let mut turn = self.turn("ping", deadline)?;
        let deadline = turn.deadline(deadline);
        self.send_ping(&mut turn, payload, deadline)
    }

    /// Sends a Pong that nobody asked for (RFC 6455, 5.5.3).
    pub(super) fn write_pong(&self, payload: &[u8], deadline: Deadline) -> Result<()> {
        let mut turn = self.turn("pong", deadline)?;
        let deadline = turn.deadline(deadline);
        let frame = turn.encoder.pong(payload)?;
        self.send_unsent_first(&mut turn, deadline)
            .and_then(|()| self.send_frame(&mut turn, frame.as_bytes(), deadline))
            .map_err(|halt| halt.into_error("pong", self))
    }

    /// Sends a Ping if that needs no waiting; says whether it did.
    pub(super) fn try_ping(&self, payload: &[u8]) -> bool {
        let now = Deadline::from(Duration::ZERO);
        let turn = self.turn("ping", now);
        turn.is_ok_and(|mut turn| self.send_ping(&mut turn, payload, now).is_ok())
    }

    fn send_ping(&self, turn: &mut Turn<'_>, payload: &[u8], deadline: Deadline) -> Result<PingId> {
        let frame = turn.encoder.ping(payload)?;
        self.send_unsent_first(turn, deadline)
            .map_err(|halt| halt.into_error("ping", self))?;
        // Before it is sent, or the answer may come first.
        let id = self.expect_pong(payload);
        if let Err(halt) = self.send_frame(turn, frame.as_bytes(), deadline) {
            self.status.lock().pings.retain(|ping| ping.id != id);
            return Err(halt.into_error("ping", self));
        }
        self.tally.ping_sent();
        Ok(id)
    }

    fn expect_pong(&self, payload: &[u8]) -> PingId {
        let mut status = self.status.lock();
        status.last_ping += 1;
        let id = PingId(status.last_ping);
        if status.pings.len() >= MAX_PINGS {
            status.pings.remove(0);
        }
        status.pings.push(SentPing {
            id,
            payload: payload.into(),
            at: Instant::now(),
        });
        id
    }

    /// Takes a Pong: the answer to a Ping, and so to all before it, or any other.
    pub(super) fn take_pong(&self, payload: &[u8]) {
        self.tally.pong_received();
        let mut status = self.status.lock();
        let answers = |ping: &SentPing| *ping.payload == *payload;
        if let Some(index) = status.pings.iter().rposition(answers) {
            let (id, at) = (status.pings[index].id, status.pings[index].at);
            status.pings.drain(..=index);
            if status.pings.is_empty() {
                status.pings = Vec::new();
            }
            status.answered = id.0;
            self.tally.round_trip(at.elapsed());
            self.news.notify_all();
        }
        status.last_pong = Some(payload.into());
    }

    pub(super) fn flush(&self, deadline: Deadline) -> Result<()> {
        let deadline = self.waiting_deadline(deadline);
        let halted = |halt: Halt| halt.into_error("flush", self);
        loop {
            let mut turn = self.turn("flush", deadline)?;
            let deadline_of_turn = turn.deadline(deadline);
            match self.send_unsent(&mut turn, deadline_of_turn) {
                Err(halt) if turn.may_keep(&halt) => {}
                sent => return sent.map_err(halted),
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

    /// Sends this end's Close, once: what it began to close with, or the answer to the peer's,
    /// which carries the same code (RFC 6455, 5.5.1). What was accepted before goes first; what
    /// was not is not sent.
    pub(super) fn send_close(&self, deadline: Deadline) -> Result<()> {
        let halted = |halt: Halt| halt.into_error("close", self);
        let mut turn = self.any_turn("close", deadline)?;
        // What is before the Close, and the Close, have the time that closing takes.
        turn.keeps = self.served.get().is_some();
        let deadline = turn.deadline(deadline);
        if !turn.close_sent {
            let frame = match &self.status.lock().closing {
                Some(info) if info.by == ClosedBy::Local => {
                    turn.encoder.close(info.code, &info.reason)?
                }
                Some(info) => turn.encoder.close(info.code, "")?,
                None => return Ok(()),
            };
            self.take_put_by(&mut turn);
            self.send_unsent_first(&mut turn, deadline)
                .and_then(|()| self.send_frame(&mut turn, frame.as_bytes(), deadline))
                .map_err(halted)?;
            turn.close_sent = true;
        }
        // A part of it may have stayed behind.
        self.send_unsent(&mut turn, deadline).map_err(halted)
    }

    /// Answers a Ping: at once, or by whoever has the writer's turn (RFC 6455, 5.5.3: only the
    /// newest needs an answer).
    pub(super) fn answer_ping(&self, payload: ControlPayload) {
        *self.pong.lock() = Some(Box::new(payload));
        self.has_pong.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.send_pong();
    }

    /// Sends a waiting Pong if that needs no waiting.
    fn send_pong(&self) {
        while self.has_pong.load(Ordering::Acquire) {
            let Some(mut writer) = self.writer.try_lock() else {
                return;
            };
            if !self.push_pong(&mut writer) {
                return;
            }
            drop(writer);
            // As when a turn is given back: one more may have come, whose reader found no turn.
            fence(Ordering::SeqCst);
            self.push_if_wanted();
        }
    }

    /// Tells who needs to know it what is left to be sent.
    fn tell_unsent(&self, writer: &mut Writer) {
        self.watch_unsent(writer);
        let unsent = writer.unsent().len();
        self.has_unsent.store(unsent > 0, Ordering::Release);
        self.backlog.tell_unsent(unsent);
        self.go_on_reading();
    }

    pub(super) fn has_unsent(&self) -> bool {
        self.has_unsent.load(Ordering::Acquire) || self.transport.has_unsent()
    }

    /// Sends what the stream takes of the accepted bytes, without waiting. False when somebody
    /// else has the writer's turn.
    pub(super) fn push_unsent(&self) -> bool {
        let Some(mut turn) = self.try_turn() else {
            return false;
        };
        let _ = self.send_unsent(&mut turn, Deadline::passed());
        true
    }

    /// The writer's turn, if nobody else has it.
    pub(super) fn try_turn(&self) -> Option<Turn<'_>> {
        let writer = self.writer.try_lock()?;
        Some(self.turn_of(writer))
    }

    fn turn_of<'a>(&'a self, mut writer: MutexGuard<'a, Writer>) -> Turn<'a> {
        writer.keeps = self.backlog.policy() != BacklogPolicy::Wait || self.served.get().is_some();
        Turn {
            shared: self,
            fuse: Some(self.fuse()),
            writer: Some(writer),
        }
    }

    /// Sends the waiting Pong, and what was accepted before it, as far as that needs no waiting.
    /// True when it was dealt with, and another may have come meanwhile.
    fn push_pong(&self, writer: &mut Writer) -> bool {
        let now = Deadline::from(Duration::ZERO);
        let is_free = self.send_unsent(writer, now).is_ok();
        // One Pong may wait behind what is kept for a slow peer; a newer one only when that has left.
        let may_follow = writer.keeps && !writer.holds_pong();
        let is_dealt_with = is_free || writer.broken.is_some() || may_follow;
        if is_dealt_with {
            self.has_pong.store(false, Ordering::Release);
            let payload = self.pong.lock().take();
            // No Pong follows a Close, nor helps one who cannot be written to.
            if let Some(payload) = payload
                && writer.broken.is_none()
                && !writer.close_sent
                && let Ok(frame) = writer.encoder.pong(payload.as_bytes())
            {
                if let Err(Halt::TimedOut) = self.send_frame(writer, frame.as_bytes(), now) {
                    // The stream is full: it leaves when there is room, or never if there is none
                    // for it here.
                    let _ = writer.add_unsent(frame.as_bytes());
                }
                writer.note_pong();
            }
        }
        self.tell_unsent(writer);
        is_dealt_with
    }

    /// Waits for the writer's turn, on a connection that may still be written to.
    pub(super) fn turn(&self, attempt: &'static str, deadline: Deadline) -> Result<Turn<'_>> {
        // Who comes too late need not wait to learn it.
        if self.phase() != Phase::Open {
            return Err(self.end_error());
        }
        let turn = self.any_turn(attempt, deadline)?;
        self.check_writable(&turn)?;
        Ok(turn)
    }

    pub(super) fn any_turn(&self, attempt: &'static str, deadline: Deadline) -> Result<Turn<'_>> {
        // Nobody waits with the turn on a connection that a loop reads.
        let deadline = match self.served.get() {
            Some(_) => Deadline::NEVER,
            None => deadline,
        };
        let writer = lock(&self.writer, deadline).map_err(|halt| halt.into_error(attempt, self))?;
        Ok(self.turn_of(writer))
    }

    pub(super) fn check_writable(&self, writer: &Writer) -> Result<()> {
        if self.phase() != Phase::Open {
            return Err(self.end_error());
        }
        match &writer.broken {
            Some(error) => Err((**error).clone()),
            None => Ok(()),
        }
    }

    /// Lets others have the writer's turn until a message in parts may be complete.
    fn wait_for_last_part(&self, turn: &mut Turn<'_>, deadline: Deadline) -> Result<()> {
        if self.has_pong.load(Ordering::Acquire) {
            self.push_pong(turn);
        }
        let Some(writer) = &mut turn.writer else {
            return Ok(());
        };
        // In slices, since the end of the connection is told without the lock.
        let slice = deadline.slice().unwrap_or(Deadline::INTERRUPT_INTERVAL);
        self.message_done
            .wait_for(writer, slice.min(Deadline::INTERRUPT_INTERVAL));
        if deadline.is_interrupted() {
            return Err(Halt::Interrupted.into_error("write", self));
        }
        if deadline.has_passed() && writer.encoder.is_inside_message() {
            return Err(Halt::TimedOut.into_error("write", self));
        }
        self.check_writable(turn)
    }

    pub(super) fn send_data(
        &self,
        writer: &mut Writer,
        piece: Piece<'_>,
        options: WriteOptions,
    ) -> Result<()> {
        if !self.send_deflated(writer, piece, options)? {
            self.send_as_it_is(writer, piece, options)?;
        }
        writer.encoder.sent(piece.kind, piece.is_last);
        self.tally.part_sent(piece.data.len(), piece.is_last);
        Ok(())
    }

    fn send_as_it_is(
        &self,
        writer: &mut Writer,
        piece: Piece<'_>,
        options: WriteOptions,
    ) -> Result<()> {
        let WriteOptions { more, deadline, .. } = options;
        let data = piece.data;
        let header = writer
            .encoder
            .data_header(piece.kind, piece.is_last, data.len())?;
        let halted = |halt: Halt| halt.into_error("write", self);
        let size = data.len().saturating_add(MAX_HEADER);
        if self
            .may_wait(writer, size, more, deadline)
            .map_err(halted)?
        {
            self.send_together(writer, header, data, more, deadline)
        } else {
            match header.mask {
                Some(mask) => self.send_masked(writer, header, mask, data, deadline),
                None => self.send_plain(writer, header, data, deadline),
            }
        }
        .map_err(halted)?;
        writer.framed = header.as_bytes().len() + data.len();
        Ok(())
    }

    /// Whether a frame of at most `size` bytes may wait to leave with others, for which there is
    /// room then. If not, nothing that was accepted is before it any more.
    pub(super) fn may_wait(
        &self,
        writer: &mut Writer,
        size: usize,
        more: bool,
        deadline: Deadline,
    ) -> Result<bool, Halt> {
        let may_wait = size <= MAX_TOGETHER && (more || !writer.unsent().is_empty());
        if may_wait && self.make_room(writer, size, deadline)? {
            return Ok(true);
        }
        match self.send_unsent(writer, deadline) {
            Ok(()) => Ok(false),
            Err(halt) if writer.may_keep(&halt) && writer.reserve_unsent(size) => Ok(true),
            Err(halt) => Err(halt),
        }
    }
}

/// A message to write, or a part of one.
#[derive(Clone, Copy)]
pub(super) struct Piece<'a> {
    pub kind: MessageKind,
    pub data: &'a [u8],
    pub is_last: bool,
}

impl<'a> Piece<'a> {
    pub fn whole(kind: MessageKind, data: &'a [u8]) -> Self {
        Piece {
            kind,
            data,
            is_last: true,
        }
    }
}
