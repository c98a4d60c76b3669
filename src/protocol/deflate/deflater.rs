//! Messages into compressed ones (RFC 7692, 7.2.1).

use std::fmt;

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush};

use super::pool::{self, Pool};
use super::{NoMemory, TAIL};
use crate::options::DeflateOptions;

static POOL: Pool<Shape, Box<Deflate>> = Pool::new();

/// The least room to deflate into: when it is used up together with the input, the flush has
/// ended, unless there was too little for its marker.
const LEAST_ROOM: usize = 64;

/// What a compressor is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    level: u8,
    memory_level: u8,
    window_bits: u8,
}

impl Shape {
    /// What zlib-rs allocates for one, roughly: the window twice and a link for each of its bytes,
    /// a hash table, symbols and output that wait, trees.
    fn size(self) -> usize {
        (4 << self.window_bits) + (128 << 10) + (7 << (self.memory_level + 6)) + (8 << 10)
    }

    /// Deflates a message by itself onto the end of `frame`.
    pub fn deflate(self, data: &[u8], frame: &mut Vec<u8>) -> Result<(), NoMemory> {
        let mut deflater = Deflater {
            shape: self,
            keeps_context: false,
            threshold: 0,
            stream: None,
            is_inside_message: false,
        };
        deflater.deflate(data, true, frame)
    }

    fn make(self) -> Result<Box<Deflate>, NoMemory> {
        let config = DeflateConfig {
            level: self.level.into(),
            mem_level: self.memory_level.into(),
            // Negative: without the header of zlib.
            window_bits: -i32::from(self.window_bits),
            ..DeflateConfig::default()
        };
        pool::make(self.size(), || Box::new(Deflate::new_with_config(config)))
    }
}

/// Deflates the messages of one connection, one after the other.
pub struct Deflater {
    shape: Shape,
    /// Whether a message refers to those before it.
    keeps_context: bool,
    threshold: usize,
    stream: Option<Box<Deflate>>,
    is_inside_message: bool,
}

impl Deflater {
    /// A deflater with a window of 2 to the power of `window_bits` bytes, 8 to 15, for messages
    /// each of which refers to those before it, or not. It takes memory for it when the first
    /// one goes.
    pub fn new(options: &DeflateOptions, keeps_context: bool, window_bits: u8) -> Self {
        Deflater {
            shape: Shape {
                level: options.level,
                memory_level: options.memory_level,
                window_bits,
            },
            keeps_context,
            threshold: options.threshold,
            stream: None,
            is_inside_message: false,
        }
    }

    /// What the deflated form of a message by itself depends on.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Whether a message that begins with that many bytes is worth it. No compressor there is
    /// works with a window of 256 bytes, so a peer that has no larger one gets all messages as
    /// they are (RFC 7692, 6: any message may go so).
    pub fn is_worth(&self, length: usize) -> bool {
        length >= self.threshold && self.shape.window_bits > 8
    }

    /// Whether a deflated message was begun with a part that was not its last.
    pub fn is_inside_message(&self) -> bool {
        self.is_inside_message
    }

    /// Whether what was deflated must be sent, or else the context
    /// [begun anew](Self::begin_anew).
    pub fn keeps_context(&self) -> bool {
        self.keeps_context
    }

    /// No more than this comes of `length` bytes.
    pub fn bound(length: usize) -> usize {
        // The bound of zlib for any window and memory level, and the marker of a flush.
        length
            .saturating_add(length.div_ceil(8))
            .saturating_add(length.div_ceil(64))
            .saturating_add(16)
    }

    /// Deflates a message, or a part of one, onto the end of `frame`, where the payload of a frame
    /// is made. When there is no memory for it, it is as if nothing was deflated, but for the
    /// context, which begins anew.
    pub fn deflate(
        &mut self,
        data: &[u8],
        is_last: bool,
        frame: &mut Vec<u8>,
    ) -> Result<(), NoMemory> {
        let start = frame.len();
        let deflated = self.append(data, frame);
        if deflated.is_err() {
            frame.truncate(start);
            self.begin_anew();
            return deflated;
        }
        if is_last {
            if frame[start..].ends_with(&TAIL) {
                frame.truncate(frame.len() - TAIL.len());
            }
            if frame.len() == start {
                // The stream was flushed already; with the tail this is an empty block (RFC 7692,
                // 7.2.3.6).
                frame.push(0x00);
            }
        }
        Ok(())
    }

    fn append(&mut self, data: &[u8], frame: &mut Vec<u8>) -> Result<(), NoMemory> {
        if self.stream.is_none() {
            self.stream = Some(match POOL.take(&self.shape) {
                Some(mut stream) => {
                    stream.reset();
                    stream
                }
                None => self.shape.make()?,
            });
        }
        let Some(stream) = &mut self.stream else {
            return Err(NoMemory);
        };
        let start = frame.len();
        let mut rest = data;
        loop {
            if frame.capacity() - frame.len() < LEAST_ROOM {
                // Half is a guess; after that it doubles.
                let more = (rest.len() / 2).max(frame.len() - start).max(LEAST_ROOM);
                frame.try_reserve(more).map_err(|_| NoMemory)?;
            }
            let spare = frame.spare_capacity_mut();
            let room = spare.len();
            let (input_before, output_before) = (stream.total_in(), stream.total_out());
            stream
                .compress_uninit(rest, spare, DeflateFlush::SyncFlush)
                .map_err(|_| NoMemory)?;
            let taken = (stream.total_in() - input_before) as usize;
            let made = (stream.total_out() - output_before) as usize;
            // SAFETY: that many bytes were written where the vector ends, within its capacity.
            unsafe { frame.set_len(frame.len() + made) };
            rest = &rest[taken..];
            if made < room && rest.is_empty() {
                return Ok(());
            }
        }
    }

    /// What was deflated last is on its way.
    pub fn sent(&mut self, is_last: bool) {
        self.is_inside_message = !is_last;
        if is_last && !self.keeps_context {
            self.give_back();
        }
    }

    /// What was deflated last is not sent: what follows must not refer to it. The peer's window
    /// keeps what was sent before, and is none the worse for not being referred to.
    pub fn begin_anew(&mut self) {
        if !self.keeps_context && !self.is_inside_message {
            self.give_back();
        } else if let Some(stream) = &mut self.stream {
            stream.reset();
        }
    }

    fn give_back(&mut self) {
        if let Some(stream) = self.stream.take() {
            POOL.give_back(self.shape, stream);
        }
    }
}

impl Drop for Deflater {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflater")
            .field("shape", &self.shape)
            .field("keeps_context", &self.keeps_context)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Inflater;
    use super::*;

    const TEXT: &[u8] =
        b"{\"id\": 1, \"name\": \"one\"}, {\"id\": 2, \"name\": \"two\"}, {\"id\": 3}";

    fn deflater(options: &DeflateOptions, keeps_context: bool) -> Deflater {
        Deflater::new(options, keeps_context, options.own_max_window_bits)
    }

    fn deflate(deflater: &mut Deflater, data: &[u8]) -> Vec<u8> {
        let mut frame = b"header".to_vec();
        deflater.deflate(data, true, &mut frame).unwrap();
        deflater.sent(true);
        assert!(frame.starts_with(b"header"));
        frame.split_off(6)
    }

    fn inflate(inflater: &mut Inflater, message: &[u8]) -> Vec<u8> {
        let mut output = Vec::with_capacity(1 << 20);
        inflater.get_ready().unwrap();
        let used = inflater.inflate(message, true, &mut output, usize::MAX);
        assert_eq!((used, inflater.has_more()), (Ok(message.len()), false));
        inflater.end();
        output
    }

    #[test]
    fn messages_of_any_size_come_out_as_they_went_in() {
        let options = DeflateOptions::default();
        let noise: Vec<u8> = (0..100_000u64)
            .map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as u8)
            .collect();
        for keeps_context in [true, false] {
            for window_bits in 9..=15 {
                for memory_level in [1, 5, 9] {
                    let options = DeflateOptions {
                        memory_level,
                        ..options
                    };
                    let mut deflater = Deflater::new(&options, keeps_context, window_bits);
                    let mut inflater = Inflater::new(keeps_context);
                    for data in [TEXT, b"", b"", &noise, TEXT, &[b'x'; 200_000], b"x"] {
                        let message = deflate(&mut deflater, data);
                        assert!(message.len() <= Deflater::bound(data.len()));
                        assert!(!message.is_empty(), "RFC 7692, 7.2.3.6");
                        assert_eq!(inflate(&mut inflater, &message), data);
                    }
                }
            }
        }
    }

    #[test]
    fn a_context_that_is_kept_makes_the_next_message_smaller() {
        let options = DeflateOptions::default();
        let sizes = |keeps_context| {
            let mut deflater = deflater(&options, keeps_context);
            [(); 2].map(|()| deflate(&mut deflater, TEXT).len())
        };
        let [first, second] = sizes(true);
        assert!(second < first / 2, "{second} after {first}");
        let [first, second] = sizes(false);
        assert_eq!(first, second);
    }

    #[test]
    fn what_follows_a_message_that_was_not_sent_does_not_refer_to_it() {
        for keeps_context in [true, false] {
            let mut deflater = deflater(&DeflateOptions::default(), keeps_context);
            let mut inflater = Inflater::new(keeps_context);
            let sent = deflate(&mut deflater, b"Hello, hello, hello");
            assert_eq!(inflate(&mut inflater, &sent), b"Hello, hello, hello");
            let mut refused = Vec::new();
            deflater.deflate(TEXT, true, &mut refused).unwrap();
            deflater.begin_anew();
            let sent = deflate(&mut deflater, TEXT);
            assert_eq!(inflate(&mut inflater, &sent), TEXT);
        }
    }

    #[test]
    fn each_part_can_be_inflated_when_it_has_come() {
        let mut deflater = deflater(&DeflateOptions::default(), true);
        let mut inflater = Inflater::new(true);
        inflater.get_ready().unwrap();
        let mut output = Vec::with_capacity(1000);
        for (part, is_last) in [
            (&b"Hel"[..], false),
            (b"", false),
            (b"lo", false),
            (b"", true),
        ] {
            let mut frame = Vec::new();
            deflater.deflate(part, is_last, &mut frame).unwrap();
            deflater.sent(is_last);
            assert_eq!(deflater.is_inside_message(), !is_last);
            let before = output.len();
            inflater.inflate(&frame, is_last, &mut output, 100).unwrap();
            assert_eq!(&output[before..], part);
        }
        inflater.end();
        assert_eq!(output, b"Hello");
        let next = deflate(&mut deflater, b"Hello");
        assert_eq!(inflate(&mut inflater, &next), b"Hello");
    }

    #[test]
    fn small_messages_and_small_windows_are_not_worth_it() {
        let options = DeflateOptions::default().threshold(10);
        assert!(!deflater(&options, true).is_worth(9));
        assert!(deflater(&options, true).is_worth(10));
        assert!(!Deflater::new(&options, true, 8).is_worth(1000));
    }
}
