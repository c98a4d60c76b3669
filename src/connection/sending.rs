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
use crate::transport::Halt;

/// Up to this size header and payload are put side by side and sent as one piece; a server
/// sends larger ones with `writev`, without a copy.
const SMALL: usize = ON_STACK - MAX_HEADER;

/// Frames up to this size are put together on the stack.
const ON_STACK: usize = 4096;

/// A client masks this much, sends it, and goes on with the next piece.
const PIECE: usize = 512 * 1024;

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
                Err(halt) if header_sent == 0 => return Err(halt),
                Err(Halt::Failed(error)) => return Err(Halt::Failed(error)),
                Err(_) => {
                    writer
                        .unsent
                        .extend_from_slice(&header.as_bytes()[header_sent..]);
                    writer.unsent.extend_from_slice(payload);
                    return Ok(());
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
        bytes.reserve_exact(header.as_bytes().len() + payload.len().min(PIECE));
        bytes.extend_from_slice(header.as_bytes());
        let (first, rest) = payload.split_at(payload.len().min(PIECE));
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
        for piece in rest.chunks(PIECE) {
            bytes.clear();
            add(&mut bytes, piece);
            if !writer.unsent().is_empty() {
                // The deadline has passed inside this frame: the rest waits behind its beginning.
                writer.unsent.extend_from_slice(&bytes);
                continue;
            }
            match self.send_frame(writer, &bytes, deadline) {
                Ok(()) => {}
                Err(Halt::Failed(error)) => return Err(Halt::Failed(error)),
                Err(_) => writer.unsent.extend_from_slice(&bytes),
            }
        }
        Ok(())
    }

    /// Sends bytes that belong together. A halt means that none of them was sent; once a part
    /// of them was, the rest is kept when the deadline passes.
    pub(super) fn send_frame(
        &self,
        writer: &mut Writer,
        bytes: &[u8],
        deadline: Deadline,
    ) -> Result<(), Halt> {
        let mut sent = 0;
        while sent < bytes.len() {
            match self.send_some(writer, &[IoSlice::new(&bytes[sent..])], deadline) {
                Ok(count) => sent += count,
                Err(halt) if sent == 0 => return Err(halt),
                Err(Halt::Failed(error)) => return Err(Halt::Failed(error)),
                Err(_) => {
                    writer.unsent.extend_from_slice(&bytes[sent..]);
                    return Ok(());
                }
            }
        }
        Ok(())
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
        Ok(())
    }

    fn send_some(
        &self,
        writer: &mut Writer,
        pieces: &[IoSlice<'_>],
        deadline: Deadline,
    ) -> Result<usize, Halt> {
        self.transport
            .send(pieces, deadline)
            .map_err(|halt| self.note_failure(writer, halt))
    }

    /// Remembers that the stream takes no more.
    fn note_failure(&self, writer: &mut Writer, halt: Halt) -> Halt {
        let Halt::Failed(source) = halt else {
            return halt;
        };
        let source = Arc::new(source);
        let reason = "write: connection lost";
        let lost = Error::ConnectionLost {
            reason: reason.into(),
            source: Some(source.clone()),
        };
        writer.broken.get_or_insert(lost);
        writer.advance_unsent(writer.unsent().len());
        Halt::Failed(std::io::Error::new(source.kind(), source))
    }
}
