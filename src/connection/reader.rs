//! The reader half: bytes of the transport through the decoder into the caller's message.

use std::mem::MaybeUninit;

use super::aside::{Aside, Source};
use super::parts::Parts;
use super::{Phase, Shared};
use crate::close::{CloseCode, ClosedBy};
use crate::deadline::Deadline;
use crate::error::{Error, Result, Violation};
use crate::message::{Message, MessageKind};
use crate::protocol::decoder::{Decoder, Event};
use crate::protocol::deflate::NoMemory;
use crate::testing::{Point, reach};
use crate::transport::{Halt, Readiness};

/// How much is received at a time, on the reading thread's stack: a 16 KiB message with its
/// header comes in one system call.
const CHUNK: usize = 16 * 1024 + 16;

/// A frame that lacks this many bytes is received in place. Below that, what follows it comes
/// along in the same system call, which is worth more than the copy.
pub(super) const IN_PLACE: usize = 16 * 1024;

/// The most that is received in place by one system call, to be worked through while it is in
/// the cache.
pub(super) const PIECE: usize = 256 * 1024;

/// How often a call whose deadline has passed still receives what is there without waiting: a
/// timeout of zero is to find a message that has come, but no flood may outlast a deadline. As
/// often it asks whether it was interrupted.
const MAX_LATE: usize = 64;

/// What is reserved for a payload of which nothing has come yet.
const FIRST_PIECE: usize = 64 * 1024;

/// The reading half of a connection.
pub(super) struct Reader {
    pub decoder: Decoder,
    /// What was received with the last message and comes after it.
    pub ahead: Ahead,
    /// The payload, so far, of a message whose reading was interrupted.
    pub partial: Vec<u8>,
    pub parts: Parts,
    /// Messages may have been put aside: only with the turn are they.
    pub has_aside: bool,
    /// The peer's Close, from when it has come until the connection has ended.
    pub peer_close: Option<(CloseCode, String)>,
}

/// Bytes that were received and not decoded yet.
#[derive(Default)]
pub(super) struct Ahead {
    bytes: Vec<u8>,
    start: usize,
}

impl Ahead {
    /// Memory that an idle connection may keep.
    const KEEP: usize = 256;

    pub fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }

    fn rest(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..]
    }

    fn advance(&mut self, used: usize) {
        self.start += used;
        if self.is_empty() {
            self.start = 0;
            self.bytes.clear();
            self.bytes.shrink_to(Self::KEEP);
        }
    }

    /// Puts bytes in; there are none.
    pub(super) fn fill(&mut self, bytes: &[u8]) {
        debug_assert!(self.is_empty());
        self.bytes.extend_from_slice(bytes);
    }
}

/// Why no message was read.
pub(super) enum Stop {
    /// The deadline, or the stream.
    Halt(Halt),
    /// The stream ended without a Close.
    EndOfStream,
    /// There is no memory for more of the message. Nothing of it is lost.
    NoMemory,
    /// The peer broke the protocol.
    Violation(Violation),
    /// The peer has closed.
    PeerClosed(CloseCode, String),
    /// The connection is over, in order or not, and everything about that was done.
    Ended(Error),
}

impl From<Halt> for Stop {
    fn from(halt: Halt) -> Self {
        Stop::Halt(halt)
    }
}

impl From<NoMemory> for Stop {
    fn from(_: NoMemory) -> Self {
        Stop::NoMemory
    }
}

impl From<Violation> for Stop {
    fn from(violation: Violation) -> Self {
        Stop::Violation(violation)
    }
}

/// Keeps a call that always finds something from going on for ever.
#[derive(Default)]
pub(super) struct Patience {
    receives: usize,
    late: usize,
}

impl Patience {
    /// Before each receive.
    pub fn check(&mut self, deadline: Deadline) -> Result<(), Stop> {
        self.receives += 1;
        if self.receives.is_multiple_of(MAX_LATE) && deadline.is_interrupted() {
            return Err(Halt::Interrupted.into());
        }
        if deadline.has_passed() {
            self.late += 1;
            if self.late > MAX_LATE {
                return Err(Halt::TimedOut.into());
            }
        }
        Ok(())
    }
}

/// Makes sure that a payload that has grown large finds room for `more` bytes before any is
/// taken from the stream. A small one is left to grow by itself, and one that is inflated has room
/// made before each step.
fn make_room(decoder: &Decoder, payload: &mut Vec<u8>, more: usize) -> Result<(), Stop> {
    if payload.len() < CHUNK || decoder.is_inflating() {
        return Ok(());
    }
    payload.try_reserve(more).map_err(|_| Stop::NoMemory)
}

impl Reader {
    pub fn new(decoder: Decoder, received: &[u8]) -> Self {
        let mut ahead = Ahead::default();
        ahead.fill(received);
        Reader {
            decoder,
            ahead,
            partial: Vec::new(),
            parts: Parts::default(),
            has_aside: false,
            peer_close: None,
        }
    }

    /// How many bytes of a data frame are still to come.
    pub fn missing_payload(&self) -> usize {
        usize::try_from(self.decoder.missing_payload()).unwrap_or(usize::MAX)
    }

    /// Whether bytes were received, or decoded, that no call has delivered.
    pub fn holds_bytes(&self) -> bool {
        let is_in_parts = self.parts.is_open && self.parts.delivered < self.partial.len();
        is_in_parts || self.has_ahead() || self.parts.whole.is_some()
    }

    /// Whether there is something to decode before more is received.
    pub fn has_ahead(&self) -> bool {
        !self.ahead.is_empty() || self.decoder.has_more()
    }
}

impl Shared {
    pub(super) fn read(&self, message: &mut Message, deadline: Deadline) -> Result<()> {
        let mut payload = message.take_buffer();
        let kind = self.read_payload(&mut payload, deadline);
        match kind {
            Ok(kind) => message.replace(kind, payload),
            // Empty by now: its memory is for the next read.
            Err(_) => message.replace(MessageKind::Binary, payload),
        }
        kind.map(drop)
    }

    fn read_payload(&self, payload: &mut Vec<u8>, deadline: Deadline) -> Result<MessageKind> {
        self.check_readable("read")?;
        let source = self
            .source(deadline, Aside::take)
            .map_err(|halt| halt.into_error("read", self))?;
        let mut reader = match source {
            Source::Stream(reader) => reader,
            Source::Aside(message) => {
                let message = message?;
                self.tally.message_received(message.len());
                let kind = message.kind();
                *payload = message.into_bytes();
                return Ok(kind);
            }
        };
        let _fuse = self.fuse();
        if self.phase() == Phase::Ended {
            return Err(self.end_error());
        }
        if reader.peer_close.is_some() {
            return Err(self.peer_closed(&mut reader, deadline));
        }
        if reader.parts.is_open {
            let reason = "read: the message was begun with read_some; read its rest so too";
            return Err(Error::InvalidState(reason.into()));
        }
        if reader.decoder.is_inside_message() {
            // What has come of the message goes before whatever memory the caller brought.
            std::mem::swap(payload, &mut reader.partial);
            reader.partial = Vec::new();
        }
        let stop = match self.read_message(&mut reader, payload, deadline) {
            Ok(kind) => {
                self.tally.message_received(payload.len());
                return Ok(kind);
            }
            Err(stop) => stop,
        };
        let error = self.stopped(&mut reader, stop, deadline);
        if reader.decoder.is_inside_message() && error.is_temporary() {
            reader.partial = std::mem::take(payload);
        }
        payload.clear();
        Err(error)
    }

    /// Drops what comes until the peer's Close, or the end.
    pub(super) fn discard(&self, reader: &mut Reader, deadline: Deadline) -> Error {
        if reader.peer_close.is_some() {
            return self.peer_closed(reader, deadline);
        }
        let mut payload = std::mem::take(&mut reader.partial);
        reader.parts = Parts::default();
        self.status.lock().aside.clear();
        loop {
            let read = match self.read_message(reader, &mut payload, deadline) {
                Ok(_) if deadline.has_passed() => Err(Stop::from(Halt::TimedOut)),
                read => read,
            };
            match read {
                Ok(_) => payload.clear(),
                Err(stop) => {
                    let error = self.stopped(reader, stop, deadline);
                    if reader.decoder.is_inside_message() && error.is_temporary() {
                        reader.partial = payload;
                    }
                    return error;
                }
            }
        }
    }

    /// Does what is to be done when reading stopped, and gives the error for it.
    pub(super) fn stopped(&self, reader: &mut Reader, stop: Stop, deadline: Deadline) -> Error {
        match stop {
            Stop::Ended(error) => error,
            Stop::PeerClosed(code, reason) => {
                reader.peer_close = Some((code, reason));
                self.peer_closed(reader, deadline)
            }
            Stop::Halt(Halt::Failed(source)) => {
                self.end(Halt::Failed(source).into_error("read", self))
            }
            Stop::Halt(halt) => halt.into_error("read", self),
            Stop::NoMemory => Error::NoMemory("the message"),
            Stop::EndOfStream if self.phase() == Phase::Ended => self.end_error(),
            Stop::EndOfStream => {
                let reason = if reader.decoder.is_between_frames() {
                    "read: the peer ended the connection without a Close frame"
                } else {
                    "read: the peer ended the connection in the middle of a frame"
                };
                self.end(Error::ConnectionLost {
                    reason: reason.into(),
                    source: None,
                })
            }
            Stop::Violation(violation) => self.fail(violation, deadline),
        }
    }

    /// Reads until a message is whole.
    fn read_message(
        &self,
        reader: &mut Reader,
        payload: &mut Vec<u8>,
        deadline: Deadline,
    ) -> Result<MessageKind, Stop> {
        let mut patience = Patience::default();
        loop {
            let whole = self.read_step(reader, payload, &mut patience, deadline)?;
            if let Some(kind) = whole {
                return Ok(kind);
            }
        }
    }

    /// Decodes what was received earlier, or receives once; gives the kind of a whole message.
    pub(super) fn read_step(
        &self,
        reader: &mut Reader,
        payload: &mut Vec<u8>,
        patience: &mut Patience,
        deadline: Deadline,
    ) -> Result<Option<MessageKind>, Stop> {
        if reader.has_ahead() {
            return self.decode_ahead(reader, payload, usize::MAX);
        }
        patience.check(deadline)?;
        if reader.missing_payload() >= IN_PLACE {
            let event = self.receive_in_place(&mut reader.decoder, payload, deadline)?;
            self.handle(event, payload)
        } else {
            self.receive_chunk(reader, payload, usize::MAX, deadline)
        }
    }

    /// Decodes what was received earlier, up to the end of a message, or until it amounts to
    /// `enough`.
    pub(super) fn decode_ahead(
        &self,
        reader: &mut Reader,
        payload: &mut Vec<u8>,
        enough: usize,
    ) -> Result<Option<MessageKind>, Stop> {
        while reader.has_ahead() && payload.len() < enough {
            let Reader { decoder, ahead, .. } = reader;
            make_room(decoder, payload, ahead.rest().len())?;
            decoder.get_ready(payload)?;
            let (used, event) = decoder.decode(ahead.rest(), payload)?;
            ahead.advance(used);
            if let Some(kind) = self.handle(event, payload)? {
                return Ok(Some(kind));
            }
        }
        Ok(None)
    }

    /// Receives bytes and decodes them, up to the end of a message, or until it amounts to
    /// `enough`; those after it are kept.
    pub(super) fn receive_chunk(
        &self,
        reader: &mut Reader,
        payload: &mut Vec<u8>,
        enough: usize,
        deadline: Deadline,
    ) -> Result<Option<MessageKind>, Stop> {
        let Reader { decoder, ahead, .. } = reader;
        make_room(decoder, payload, CHUNK)?;
        let mut chunk = [MaybeUninit::uninit(); CHUNK];
        let length = self.receive(&mut chunk, deadline)?;
        // SAFETY: the transport has initialised that many bytes at the start of the chunk.
        let received =
            unsafe { std::slice::from_raw_parts_mut(chunk.as_mut_ptr().cast::<u8>(), length) };
        let mut start = 0;
        while (start < received.len() || decoder.has_more()) && payload.len() < enough {
            if decoder.get_ready(payload).is_err() {
                ahead.fill(&received[start..]);
                return Err(Stop::NoMemory);
            }
            let (used, event) = decoder.decode(&mut received[start..], payload)?;
            start += used;
            if let Some(kind) = self.handle(event, payload)? {
                ahead.fill(&received[start..]);
                return Ok(Some(kind));
            }
        }
        ahead.fill(&received[start..]);
        Ok(None)
    }

    /// Receives a large frame's payload where it belongs.
    pub(super) fn receive_in_place(
        &self,
        decoder: &mut Decoder,
        payload: &mut Vec<u8>,
        deadline: Deadline,
    ) -> Result<Option<Event>, Stop> {
        let missing = usize::try_from(decoder.missing_payload()).unwrap_or(usize::MAX);
        let start = payload.len();
        if payload.capacity() - start < missing.min(IN_PLACE) {
            // Memory grows with what has been received, never with what a header claims.
            payload
                .try_reserve_exact(missing.min(start.max(FIRST_PIECE)))
                .map_err(|_| Stop::NoMemory)?;
        }
        let spare = payload.spare_capacity_mut();
        let room = spare.len().min(missing).min(PIECE);
        let length = self.receive(&mut spare[..room], deadline)?;
        // SAFETY: the transport has initialised that many bytes at the start of the spare room.
        unsafe { payload.set_len(start + length) };
        Ok(decoder.decode_in_place(&mut payload[start..])?)
    }

    /// Does what an event asks for, and gives the kind of a message that is to be delivered.
    pub(super) fn handle(
        &self,
        event: Option<Event>,
        payload: &mut Vec<u8>,
    ) -> Result<Option<MessageKind>, Stop> {
        match event {
            None => {}
            // After our own Close, what still comes is dropped (RFC 6455, 1.4).
            Some(Event::Message(_)) if self.is_closing_locally() => payload.clear(),
            Some(Event::Message(kind)) => return Ok(Some(kind)),
            Some(Event::Ping(payload)) => {
                self.tally.ping_received();
                self.answer_ping(payload);
            }
            Some(Event::Pong(payload)) => self.take_pong(payload.as_bytes()),
            Some(Event::Close(code, reason)) => {
                return Err(Stop::PeerClosed(code, reason));
            }
        }
        Ok(None)
    }

    pub(super) fn is_closing_locally(&self) -> bool {
        self.phase() != Phase::Open && self.closed_by() == ClosedBy::Local
    }

    /// Receives bytes, at least one. While bytes wait to be sent, it sends them as the stream
    /// makes room: the peer may be waiting for them before it sends anything.
    pub(super) fn receive(
        &self,
        buffer: &mut [MaybeUninit<u8>],
        deadline: Deadline,
    ) -> Result<usize, Stop> {
        while self.has_unsent() && self.served.get().is_none() {
            let both = Readiness {
                receive: true,
                send: true,
            };
            let ready = self.transport.wait(both, deadline)?;
            // When that fails, somebody is writing, and takes them along.
            let is_pushed = ready.send && self.push_unsent();
            if ready.receive || !is_pushed {
                break;
            }
        }
        reach(Point::Receive);
        match self.transport.receive(buffer, deadline)? {
            0 => Err(Stop::EndOfStream),
            length => {
                self.tally.heard();
                Ok(length)
            }
        }
    }

    /// Drops bytes until the stream ends or `deadline` passes.
    pub(super) fn drain(&self, deadline: Deadline) {
        let mut chunk = [MaybeUninit::uninit(); 4096];
        while let Ok(length) = self.transport.receive(&mut chunk, deadline) {
            if length == 0 || deadline.has_passed() {
                return;
            }
        }
    }
}
