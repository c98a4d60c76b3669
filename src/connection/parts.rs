//! The reader half, for a message that is read in parts: as much of it as has come.

use std::mem::MaybeUninit;

use super::aside::Source;
use super::reader::{IN_PLACE, PIECE, Patience, Reader, Stop};
use super::{Phase, Shared};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::message::{MessageKind, Part};

/// A message in parts is received straight into a caller's buffer of at least this size. A
/// smaller one is filled from a chunk: a system call for each few bytes would be slow.
const DIRECT_PART: usize = 4 * 1024;

/// When so much of a message was decoded it is delivered before more is: what little came may
/// inflate to a lot.
const ENOUGH: usize = 16 * 1024;

/// How far the reading of a message in parts has come (`read_some`).
#[derive(Default)]
pub(super) struct Parts {
    /// A part was delivered, and it was not the last.
    pub is_open: bool,
    /// How much of `Reader::partial` was delivered.
    pub delivered: usize,
    /// The message is whole, as far as it was not delivered.
    pub whole: Option<MessageKind>,
}

impl Reader {
    /// Moves what was decoded of a message, and not delivered, to the front of `buffer`.
    fn take_part(&mut self, buffer: &mut [MaybeUninit<u8>]) -> Option<Part> {
        let kind = self.parts.whole.or(self.decoder.message())?;
        let rest = &self.partial[self.parts.delivered..];
        let len = rest.len().min(buffer.len());
        let is_last = self.parts.whole.is_some() && len == rest.len();
        if len == 0 && !is_last {
            return None;
        }
        for (room, byte) in buffer.iter_mut().zip(rest) {
            room.write(*byte);
        }
        if len < rest.len() {
            self.parts.delivered += len;
            self.parts.is_open = true;
        } else {
            self.end_part(is_last);
        }
        Some(Part { kind, len, is_last })
    }

    /// All that was decoded has been delivered.
    fn end_part(&mut self, is_last: bool) {
        self.partial.clear();
        self.parts = Parts {
            is_open: !is_last,
            ..Parts::default()
        };
    }
}

impl Shared {
    /// Reads what has come of a message into `buffer`, and waits when that is nothing.
    pub(super) fn read_some(
        &self,
        buffer: &mut [MaybeUninit<u8>],
        deadline: Deadline,
    ) -> Result<Part> {
        if buffer.is_empty() {
            let reason = "read some: the buffer has no room for a single byte";
            return Err(Error::InvalidArgument(reason.into()));
        }
        self.check_readable("read some")?;
        let source = self
            .source(deadline, |aside| aside.take_part(buffer))
            .map_err(|halt| halt.into_error("read some", self))?;
        let mut reader = match source {
            Source::Stream(reader) => reader,
            Source::Aside(part) => {
                self.tally.part_received(part.len, part.is_last);
                return Ok(part);
            }
        };
        let _fuse = self.fuse();
        let has_whole = reader.parts.whole.is_some() && !self.gives_up();
        if self.phase() == Phase::Ended && !has_whole {
            return Err(self.end_error());
        }
        if reader.peer_close.is_some() && !has_whole {
            return Err(self.peer_closed(&mut reader, deadline));
        }
        let part = match self.read_part(&mut reader, buffer, deadline) {
            Ok(part) => part,
            Err(stop) => return Err(self.stopped(&mut reader, stop, deadline)),
        };
        self.tally.part_received(part.len, part.is_last);
        Ok(part)
    }

    fn read_part(
        &self,
        reader: &mut Reader,
        buffer: &mut [MaybeUninit<u8>],
        deadline: Deadline,
    ) -> Result<Part, Stop> {
        let mut patience = Patience::default();
        loop {
            if self.is_closing_locally() {
                return Err(Stop::Ended(self.discard(reader, deadline)));
            }
            if let Some(part) = reader.take_part(buffer) {
                return Ok(part);
            }
            patience.check(deadline)?;
            let mut partial = std::mem::take(&mut reader.partial);
            let step = if reader.has_ahead() {
                self.decode_ahead(reader, &mut partial, ENOUGH)
            } else if reader.missing_payload() >= IN_PLACE && buffer.len() >= DIRECT_PART {
                reader.partial = partial;
                if let Some(part) = self.receive_part(reader, buffer, deadline)? {
                    return Ok(part);
                }
                continue;
            } else {
                self.receive_chunk(reader, &mut partial, ENOUGH, deadline)
            };
            reader.partial = partial;
            reader.parts.whole = step?;
        }
    }

    /// Receives a part of a large frame where the caller wants it.
    fn receive_part(
        &self,
        reader: &mut Reader,
        buffer: &mut [MaybeUninit<u8>],
        deadline: Deadline,
    ) -> Result<Option<Part>, Stop> {
        let room = buffer.len().min(reader.missing_payload()).min(PIECE);
        let len = self.receive(&mut buffer[..room], deadline)?;
        // SAFETY: the transport has initialised that many bytes at the start of the buffer.
        let bytes =
            unsafe { std::slice::from_raw_parts_mut(buffer.as_mut_ptr().cast::<u8>(), len) };
        let kind = reader.decoder.message().unwrap_or_default();
        let event = reader.decoder.decode_in_place(bytes)?;
        let is_last = self.handle(event, &mut reader.partial)?.is_some();
        reader.end_part(is_last);
        // A close that began meanwhile drops what comes after it.
        Ok((!self.is_closing_locally()).then_some(Part { kind, len, is_last }))
    }
}
