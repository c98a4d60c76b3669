//! Bytes of the writer half onto the transport, whole or kept.

use std::io::IoSlice;
use std::sync::Arc;

use smallvec::SmallVec;

use super::Shared;
use super::writer::Writer;
use crate::deadline::Deadline;
use crate::error::Error;
use crate::protocol::encoder::{Header, MAX_HEADER};
use crate::protocol::mask::Mask;
use crate::testing::{Point, reach};
use crate::transport::Halt;

/// Up to this size header and payload are put side by side and sent as one piece; a server
/// sends larger ones with `writev`, without a copy.
const SMALL: usize = ON_STACK - MAX_HEADER;

/// Frames up to this size are put together on the stack.
const ON_STACK: usize = 4096;

/// Frames that wait to leave together take this much at most, and leave when it is full.
pub(super) const MAX_TOGETHER: usize = 64 * 1024;

impl Shared {
    /// A server's frame: header and payload as they are.
    pub(super) fn send_plain(
        &self,
        writer: &mut Writer,
        header: Header,
        mut payload: &[u8],
        deadline: Deadline,
    ) -> Result<(), Halt> {
        if payload.len() <= SMALL {
            let mut bytes: SmallVec<[u8; ON_STACK]> = SmallVec::new();
            bytes.extend_from_slice(header.as_bytes());
            bytes.extend_from_slice(payload);
            return self.send_frame(writer, &bytes, deadline);
        }
        let mut header_sent = 0;
        loop {
            let header_rest = &header.as_bytes()[header_sent..];
            if header_rest.is_empty() && payload.is_empty() {
                return Ok(());
            }
            let pieces = [IoSlice::new(header_rest), IoSlice::new(payload)];
            match self.send_some(writer, &pieces, deadline) {
                Ok(sent) => {
                    let of_header = sent.min(header_rest.len());
                    header_sent += of_header;
                    payload = &payload[sent - of_header..];
                }
                // No byte is on the wire: as if nothing had been tried.
                Err(halt) if header_sent == 0 && !writer.may_keep(&halt) => return Err(halt),
                Err(Halt::Failed(error)) => return Err(Halt::Failed(error)),
                Err(_) => {
                    self.keep(writer, &header.as_bytes()[header_sent..])?;
                    return self.keep(writer, payload);
                }
            }
        }
    }

    /// A client's frame: masked while it is copied, piece by piece.
    pub(super) fn send_masked(
        &self,
        writer: &mut Writer,
        header: Header,
        mut mask: Mask,
        payload: &[u8],
        deadline: Deadline,
    ) -> Result<(), Halt> {
        // `with_capacity` would move the whole array once more.
        let mut bytes: SmallVec<[u8; ON_STACK]> = SmallVec::new();
        let mut piece_size = payload.len().min(self.transport.piece_size());
        if bytes.try_reserve_exact(MAX_HEADER + piece_size).is_err() {
            // Without memory it takes more system calls, and goes all the same.
            piece_size = piece_size.min(SMALL);
        }
        bytes.extend_from_slice(header.as_bytes());
        let (first, rest) = payload.split_at(piece_size);
        let mut add = |bytes: &mut SmallVec<_>, piece: &[u8]| {
            // The copy is masked while it is in the nearest cache.
            for piece in piece.chunks(16 * 1024) {
                let start = bytes.len();
                bytes.extend_from_slice(piece);
                mask.apply(&mut bytes[start..]);
            }
        };
        add(&mut bytes, first);
        self.send_frame(writer, &bytes, deadline)?;
        for piece in rest.chunks(piece_size.max(1)) {
            bytes.clear();
            add(&mut bytes, piece);
            if !writer.unsent().is_empty() {
                // The deadline has passed inside this frame: the rest waits behind its beginning.
                self.keep(writer, &bytes)?;
                continue;
            }
            match self.send_frame(writer, &bytes, deadline) {
                Ok(()) => {}
                Err(Halt::Failed(error)) => return Err(Halt::Failed(error)),
                Err(_) => self.keep(writer, &bytes)?,
            }
        }
        Ok(())
    }

    /// Makes room for a frame of `size` bytes to leave together with what waits already; false
    /// when there is no memory for it.
    pub(super) fn make_room(
        &self,
        writer: &mut Writer,
        size: usize,
        deadline: Deadline,
    ) -> Result<bool, Halt> {
        if writer.unsent().len() + size > MAX_TOGETHER {
            self.send_unsent_first(writer, deadline)?;
        }
        Ok(writer.reserve_unsent(size))
    }

    /// Puts a small frame behind what waits, where room was made for it, and sends all of it in
    /// one go; with `more` only once that is worth a system call. A halt means that no byte of the
    /// frame was sent.
    pub(super) fn send_together(
        &self,
        writer: &mut Writer,
        header: Header,
        payload: &[u8],
        more: bool,
        deadline: Deadline,
    ) -> Result<(), Halt> {
        let size = header.as_bytes().len() + payload.len();
        let start = writer.unsent.len();
        writer.unsent.extend_from_slice(header.as_bytes());
        writer.unsent.extend_from_slice(payload);
        if let Some(mut mask) = header.mask {
            mask.apply(&mut writer.unsent[start + header.as_bytes().len()..]);
        }
        if more && writer.unsent().len() < MAX_TOGETHER {
            return Ok(());
        }
        match self.send_unsent(writer, deadline) {
            Err(Halt::Failed(error)) => Err(Halt::Failed(error)),
            Err(halt) if writer.unsent().len() >= size && !writer.may_keep(&halt) => {
                writer.unsent.truncate(start);
                writer.advance_unsent(0);
                Err(halt)
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Keeps the rest of a frame whose beginning was sent. If there is no memory for that, the
    /// stream is of no more use.
    fn keep(&self, writer: &mut Writer, rest: &[u8]) -> Result<(), Halt> {
        writer.add_unsent(rest).map_err(|_| {
            let no_memory = std::io::Error::from(std::io::ErrorKind::OutOfMemory);
            self.note_failure(writer, Halt::Failed(no_memory))
        })
    }

    /// Sends bytes that belong together. A halt means that none of them was sent; once a part
    /// of them was, the rest is kept when the deadline passes.
    pub(super) fn send_frame(
        &self,
        writer: &mut Writer,
        bytes: &[u8],
        deadline: Deadline,
    ) -> Result<(), Halt> {
        if writer.keeps && !writer.unsent().is_empty() {
            return self.keep(writer, bytes);
        }
        let mut sent = 0;
        while sent < bytes.len() {
            match self.send_some(writer, &[IoSlice::new(&bytes[sent..])], deadline) {
                Ok(count) => sent += count,
                Err(halt) if sent == 0 && !writer.may_keep(&halt) => return Err(halt),
                Err(Halt::Failed(error)) => return Err(Halt::Failed(error)),
                Err(_) => return self.keep(writer, &bytes[sent..]),
            }
        }
        Ok(())
    }

    /// Sends what was accepted earlier, before something else that may be kept behind it if need be.
    pub(super) fn send_unsent_first(
        &self,
        writer: &mut Writer,
        deadline: Deadline,
    ) -> Result<(), Halt> {
        match self.send_unsent(writer, deadline) {
            Err(halt) if writer.may_keep(&halt) => Ok(()),
            sent => sent,
        }
    }

    /// Sends what was accepted earlier.
    pub(super) fn send_unsent(&self, writer: &mut Writer, deadline: Deadline) -> Result<(), Halt> {
        while !writer.unsent().is_empty() {
            let pieces = [IoSlice::new(&writer.unsent[writer.unsent_start..])];
            let sent = match self.transport.send(&pieces, deadline) {
                Ok(sent) => sent,
                Err(halt) => return Err(self.note_failure(writer, halt)),
            };
            writer.advance_unsent(sent);
        }
        self.transport
            .flush(deadline)
            .map_err(|halt| self.note_failure(writer, halt))
    }

    fn send_some(
        &self,
        writer: &mut Writer,
        pieces: &[IoSlice<'_>],
        deadline: Deadline,
    ) -> Result<usize, Halt> {
        reach(Point::Send);
        self.transport
            .send(pieces, deadline)
            .map_err(|halt| self.note_failure(writer, halt))
    }

    /// Remembers that the stream takes no more.
    fn note_failure(&self, writer: &mut Writer, halt: Halt) -> Halt {
        let Halt::Failed(source) = halt else {
            writer.is_stuck |= writer.keeps;
            return halt;
        };
        let source = Arc::new(source);
        let reason = "write: connection lost";
        let lost = Error::ConnectionLost {
            reason: reason.into(),
            source: Some(source.clone()),
        };
        writer.broken.get_or_insert_with(|| Box::new(lost));
        writer.advance_unsent(writer.unsent().len());
        Halt::Failed(std::io::Error::new(source.kind(), source))
    }
}
