//! What this end wants of permessage-deflate (RFC 7692).

use crate::error::{Error, Result};

/// How messages are compressed (RFC 7692): see `deflate` of
/// [`DialOptions`](crate::DialOptions::deflate) and [`ListenOptions`](crate::ListenOptions::deflate).
///
/// What a connection costs while its messages refer to those before them, from the first one that
/// is compressed on: 46 KiB for those that come, and for those that go 371 KiB with the defaults,
/// 161 KiB with a window of 12 bits and memory level 5. Where they do not, an idle connection keeps
/// no window.
///
/// ```no_run
/// # #[cfg(feature = "deflate")] {
/// use talkws::{DeflateOptions, DialOptions};
///
/// let deflate = DeflateOptions::new()
///     .level(1)?
///     .own_max_window_bits(12)?
///     .peer_no_context_takeover(true);
/// let ws = DialOptions::new()
///     .deflate(deflate)
///     .dial("ws://localhost:8080/talk-to-server")?;
/// # }
/// # Ok::<(), talkws::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeflateOptions {
    pub(crate) level: u8,
    pub(crate) memory_level: u8,
    pub(crate) threshold: usize,
    pub(crate) own_no_context_takeover: bool,
    pub(crate) peer_no_context_takeover: bool,
    pub(crate) own_max_window_bits: u8,
    pub(crate) peer_max_window_bits: u8,
}

impl Default for DeflateOptions {
    fn default() -> Self {
        DeflateOptions {
            level: 6,
            memory_level: 8,
            threshold: 256,
            own_no_context_takeover: false,
            peer_no_context_takeover: false,
            own_max_window_bits: 15,
            peer_max_window_bits: 15,
        }
    }
}

impl DeflateOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// How hard to compress: from 1, fast, to 9, small. Default: 6.
    pub fn level(mut self, level: u8) -> Result<Self> {
        self.level = in_range("level", level, 1, 9)?;
        Ok(self)
    }

    /// How much memory to compress with: from 1, least, to 9. Default: 8.
    pub fn memory_level(mut self, level: u8) -> Result<Self> {
        self.memory_level = in_range("memory level", level, 1, 9)?;
        Ok(self)
    }

    /// The smallest message that is compressed, in bytes; of one that is written in parts it is the
    /// first part that counts. Default: 256.
    pub fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }

    /// Whether each message that this end sends is compressed by itself (RFC 7692, 7.1.1): less
    /// small, and an idle connection keeps no window for it. Default: no.
    pub fn own_no_context_takeover(mut self, enabled: bool) -> Self {
        self.own_no_context_takeover = enabled;
        self
    }

    /// Whether the peer is to do so. A client's server must, or dialling is
    /// [`Error::Handshake`]. Default: no.
    pub fn peer_no_context_takeover(mut self, enabled: bool) -> Self {
        self.peer_no_context_takeover = enabled;
        self
    }

    /// How far back this end may refer when it compresses: 2 to the power of `bits` bytes, 8 to 15
    /// (RFC 7692, 7.1.2). The peer may want less. With 8 nothing is compressed that this end
    /// sends: no compressor there is works with so small a window. Default: 15.
    pub fn own_max_window_bits(mut self, bits: u8) -> Result<Self> {
        self.own_max_window_bits = in_range("window bits", bits, 8, 15)?;
        Ok(self)
    }

    /// How far back the peer may refer. A client's server must agree, or dialling is
    /// [`Error::Handshake`]; a server's client is only asked if it says that it can be. This
    /// saves the peer memory; this end inflates any window with the largest. Default: 15.
    pub fn peer_max_window_bits(mut self, bits: u8) -> Result<Self> {
        self.peer_max_window_bits = in_range("window bits", bits, 8, 15)?;
        Ok(self)
    }
}

fn in_range(what: &str, value: u8, least: u8, most: u8) -> Result<u8> {
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    let reason = format!("deflate: {what} {value}, expected {least} to {most}");
    Err(Error::InvalidArgument(reason.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_zlib_does_not_know_is_refused() {
        type Setter = fn(DeflateOptions, u8) -> Result<DeflateOptions>;
        let setters: [(Setter, u8, u8); 4] = [
            (DeflateOptions::level, 1, 9),
            (DeflateOptions::memory_level, 1, 9),
            (DeflateOptions::own_max_window_bits, 8, 15),
            (DeflateOptions::peer_max_window_bits, 8, 15),
        ];
        for (set, least, most) in setters {
            assert!(set(DeflateOptions::new(), least - 1).is_err());
            assert!(set(DeflateOptions::new(), least).is_ok());
            assert!(set(DeflateOptions::new(), most).is_ok());
            let error = set(DeflateOptions::new(), most + 1).unwrap_err();
            let (text, range) = (error.to_string(), format!("expected {least} to {most}"));
            assert!(text.contains(&range), "{text}");
        }
    }
}
