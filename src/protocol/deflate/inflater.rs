//! Compressed messages into what they were (RFC 7692, 7.2.2).

use std::fmt;

use zlib_rs::{Inflate, InflateFlush, Status};

use super::pool::{self, Pool};
use super::{Broken, NoMemory, TAIL};

/// What zlib-rs allocates for one, roughly: the window of 32 KiB, whatever the peer uses of it, and
/// tables.
const SIZE: usize = 48 * 1024;

static POOL: Pool<(), Box<Inflate>> = Pool::new();

/// Inflates the messages of one connection, one after the other, in steps of bounded size.
pub struct Inflater {
    /// Whether a message may refer to those before it.
    keeps_context: bool,
    stream: Option<Box<Inflate>>,
    /// Whether bytes were given to the stream since it, or the message, began.
    is_fed: bool,
    /// How much of the tail the stream has had.
    tail: u8,
    /// Output may wait that no input is needed for.
    has_more: bool,
}

impl Inflater {
    /// An inflater for messages each of which may refer to those before it, or not. It takes
    /// memory for a window when the first one comes.
    pub fn new(keeps_context: bool) -> Self {
        Inflater {
            keeps_context,
            stream: None,
            is_fed: false,
            tail: 0,
            has_more: false,
        }
    }

    /// Whether there is a window to inflate with.
    pub fn is_ready(&self) -> bool {
        self.stream.is_some()
    }

    /// Whether [`inflate`](Self::inflate) stopped for want of room: it is to be called again, also
    /// when there is no more input.
    pub fn has_more(&self) -> bool {
        self.has_more
    }

    /// Gets what inflating needs.
    pub fn get_ready(&mut self) -> Result<(), NoMemory> {
        if self.stream.is_none() {
            let stream = match POOL.take(&()) {
                Some(mut stream) => {
                    stream.reset(false);
                    stream
                }
                // Any window can be inflated with the largest (RFC 7692, 7.1.2).
                None => pool::make(SIZE, || Box::new(Inflate::new(false, 15)))?,
            };
            self.stream = Some(stream);
        }
        Ok(())
    }

    /// Inflates `input`, which `is_end` of the message or not, and appends at most as much to
    /// `output` as has room there, and as `room` says. Gives how much of the input was used. What
    /// comes before a fault is appended too.
    pub fn inflate(
        &mut self,
        input: &[u8],
        is_end: bool,
        output: &mut Vec<u8>,
        room: usize,
    ) -> Result<usize, Broken> {
        let Some(stream) = &mut self.stream else {
            self.has_more = true;
            return Ok(0);
        };
        let last = output.len() + room.min(output.capacity() - output.len());
        let mut used = 0;
        loop {
            // A message that is nothing at all, or ends with the end of a DEFLATE stream, has no
            // block that the tail would complete.
            let in_tail = is_end && used == input.len() && self.is_fed;
            let piece = if in_tail {
                &TAIL[usize::from(self.tail)..]
            } else {
                &input[used..]
            };
            let spare = last - output.len();
            let (input_before, output_before) = (stream.total_in(), stream.total_out());
            let status = stream.decompress_uninit(
                piece,
                &mut output.spare_capacity_mut()[..spare],
                InflateFlush::NoFlush,
            );
            let taken = (stream.total_in() - input_before) as usize;
            let made = (stream.total_out() - output_before) as usize;
            // SAFETY: that many bytes were written where the vector ends, within its capacity.
            unsafe { output.set_len(output.len() + made) };
            let status = status.map_err(|_| Broken)?;
            if in_tail {
                self.tail += taken as u8;
            } else {
                used += taken;
                self.is_fed |= taken > 0;
            }
            if status == Status::StreamEnd {
                // The last block of a stream may stand anywhere in a message; what follows is
                // another stream (RFC 7692, 7.2.3.4), which refers to nothing before it.
                stream.reset(false);
                self.is_fed = false;
            }
            self.has_more = output.len() == last && status != Status::StreamEnd;
            if self.has_more {
                return Ok(used);
            }
            let is_through = used == input.len() && (!is_end || !self.is_fed || self.tail == 4);
            if is_through || (taken == 0 && made == 0 && !piece.is_empty()) {
                return Ok(used);
            }
        }
    }

    /// The message is over.
    pub fn end(&mut self) {
        self.is_fed = false;
        self.tail = 0;
        self.has_more = false;
        if !self.keeps_context {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        if let Some(stream) = self.stream.take() {
            POOL.give_back((), stream);
        }
    }
}

impl Drop for Inflater {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater")
            .field("keeps_context", &self.keeps_context)
            .field("is_ready", &self.is_ready())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Inflates messages one after the other, in pieces of `input` bytes into room for `room`.
    fn inflate(
        inflater: &mut Inflater,
        message: &[u8],
        input: usize,
        room: usize,
    ) -> Result<Vec<u8>, Broken> {
        let mut output = Vec::with_capacity(1 << 20);
        inflater.get_ready().unwrap();
        let mut rest = message;
        loop {
            let piece = &rest[..rest.len().min(input)];
            let is_end = piece.len() == rest.len();
            let used = inflater.inflate(piece, is_end, &mut output, room)?;
            rest = &rest[used..];
            if rest.is_empty() && is_end && !inflater.has_more() {
                inflater.end();
                return Ok(output);
            }
        }
    }

    fn in_all_ways(keeps_context: bool, messages: &[(&[u8], &[u8])]) {
        for input in [1, 2, 3, 1000] {
            for room in [1, 2, 5, 1000] {
                let mut inflater = Inflater::new(keeps_context);
                for (message, expected) in messages {
                    let inflated = inflate(&mut inflater, message, input, room);
                    assert_eq!(inflated.as_deref(), Ok(*expected), "{input}, {room}");
                }
            }
        }
    }

    #[test]
    fn the_examples_of_the_rfc_are_inflated() {
        // 7.2.3.1 and 7.2.3.2: the second refers to the first.
        let first = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00];
        let second = [0xF2, 0x00, 0x11, 0x00, 0x00];
        in_all_ways(true, &[(&first, b"Hello"), (&second, b"Hello")]);
        in_all_ways(false, &[(&first, b"Hello"), (&first, b"Hello")]);
        // 7.2.3.3: a block that is not compressed.
        let stored = [
            0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00,
        ];
        // 7.2.3.4: one that is the last of its stream.
        let last = [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00];
        // 7.2.3.5: two blocks.
        let two = [
            0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00,
        ];
        // 7.2.3.6: nothing.
        let nothing = [0x00];
        for keeps_context in [true, false] {
            in_all_ways(
                keeps_context,
                &[
                    (&stored, b"Hello"),
                    (&last, b"Hello"),
                    (&two, b"Hello"),
                    (&nothing, b""),
                    (&last, b"Hello"),
                    (&last[..7], b"Hello"),
                    (b"", b""),
                    (&first, b"Hello"),
                ],
            );
        }
    }

    #[test]
    fn what_refers_to_a_message_that_is_gone_is_broken() {
        let first = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00];
        let second = [0xF2, 0x00, 0x11, 0x00, 0x00];
        let mut inflater = Inflater::new(false);
        assert!(inflate(&mut inflater, &first, 10, 10).is_ok());
        assert_eq!(inflate(&mut inflater, &second, 10, 10), Err(Broken));
        // Nor is it there for who gets the same memory next.
        drop(inflater);
        let mut inflater = Inflater::new(true);
        assert_eq!(inflate(&mut inflater, &second, 10, 10), Err(Broken));
    }

    #[test]
    fn a_window_is_held_only_while_it_is_needed() {
        let hello = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00];
        for keeps_context in [true, false] {
            let mut inflater = Inflater::new(keeps_context);
            assert!(!inflater.is_ready());
            inflate(&mut inflater, &hello, 10, 10).unwrap();
            assert_eq!(inflater.is_ready(), keeps_context);
        }
    }
}
