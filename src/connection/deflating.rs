//! The writer half, for messages that are compressed (RFC 7692): deflated into a frame, and sent.

use std::cell::Cell;

use super::Shared;
use super::writer::{Piece, Writer};
use crate::error::{Error, Result};
use crate::options::WriteOptions;
use crate::protocol::deflate::Deflater;
use crate::protocol::encoder::MAX_HEADER;
use crate::transport::Halt;

/// A thread keeps the memory of the last frame that it deflated, up to this size.
const KEEP: usize = 256 * 1024;

thread_local! {
    static FRAME: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl Writer {
    /// Whether a message, or a part of one, goes compressed: what its first part decided, or the
    /// caller and its size.
    fn compresses(&self, piece: Piece<'_>, may_compress: bool) -> bool {
        let Some(deflater) = &self.deflater else {
            return false;
        };
        if self.encoder.is_inside_message() {
            deflater.is_inside_message()
        } else {
            may_compress && deflater.is_worth(piece.data.len())
        }
    }
}

impl Shared {
    /// Sends a message, or a part of one, compressed; false when it is to go as it is.
    pub(super) fn send_deflated(
        &self,
        writer: &mut Writer,
        piece: Piece<'_>,
        options: WriteOptions,
    ) -> Result<bool> {
        if !writer.compresses(piece, options.compress) {
            return Ok(false);
        }
        let mut frame = FRAME.try_with(Cell::take).unwrap_or_default();
        let sent = self.send_deflated_in(&mut frame, writer, piece, options);
        if frame.capacity() <= KEEP {
            frame.clear();
            let _ = FRAME.try_with(|kept| kept.set(frame));
        }
        sent
    }

    fn send_deflated_in(
        &self,
        frame: &mut Vec<u8>,
        writer: &mut Writer,
        piece: Piece<'_>,
        options: WriteOptions,
    ) -> Result<bool> {
        let WriteOptions { more, deadline, .. } = options;
        let Piece {
            kind,
            data,
            is_last,
        } = piece;
        let is_first = !writer.encoder.is_inside_message();
        if !is_first {
            // What is refused must not be deflated.
            writer.encoder.data_header(kind, is_last, data.len())?;
        }
        let halted = |halt: Halt| halt.into_error("write", self);
        let size = Deflater::bound(data.len()).saturating_add(MAX_HEADER);
        let may_wait = self
            .may_wait(writer, size, more, deadline)
            .map_err(halted)?;
        let Some(deflater) = &mut writer.deflater else {
            return Ok(false);
        };
        // The payload stands where the longest header would end.
        frame.resize(MAX_HEADER, 0);
        if deflater.deflate(data, is_last, frame).is_err() {
            return match is_first {
                true => Ok(false),
                false => Err(Error::NoMemory("the compressed part of a message")),
            };
        }
        let length = frame.len() - MAX_HEADER;
        if is_first && is_last && length >= data.len() && !deflater.keeps_context() {
            // It became no smaller, and nothing will refer to it.
            deflater.sent(true);
            return Ok(false);
        }
        let mut header = writer.encoder.data_header(kind, is_last, length)?;
        if is_first {
            header = header.compressed();
        }
        let sent = if may_wait {
            self.send_together(writer, header, &frame[MAX_HEADER..], more, deadline)
        } else {
            if let Some(mut mask) = header.mask {
                mask.apply(&mut frame[MAX_HEADER..]);
            }
            let start = MAX_HEADER - header.as_bytes().len();
            frame[start..MAX_HEADER].copy_from_slice(header.as_bytes());
            self.send_frame(writer, &frame[start..], deadline)
        };
        if let Some(deflater) = &mut writer.deflater {
            match &sent {
                Ok(()) => deflater.sent(is_last),
                // Nothing of it was sent.
                Err(_) => deflater.begin_anew(),
            }
        }
        sent.map_err(halted)?;
        writer.framed = header.as_bytes().len() + length;
        Ok(true)
    }
}
