//! UTF-8 checked as it arrives, across any division into pieces.

use simdutf8::compat::from_utf8;

/// Checks text that comes in pieces; knows at once when no continuation can make it valid.
#[derive(Debug, Clone, Default)]
pub struct Utf8 {
    /// The beginning of a character whose end has not come.
    tail: [u8; 4],
    tail_length: u8,
}

/// The text cannot become valid any more, or has ended inside a character.
#[derive(Debug, PartialEq, Eq)]
pub struct NotUtf8;

impl Utf8 {
    /// Checks the next piece.
    pub fn feed(&mut self, mut piece: &[u8]) -> Result<(), NotUtf8> {
        while self.tail_length > 0 {
            let Some((&byte, rest)) = piece.split_first() else {
                return Ok(());
            };
            self.tail[usize::from(self.tail_length)] = byte;
            self.tail_length += 1;
            piece = rest;
            match std::str::from_utf8(&self.tail[..usize::from(self.tail_length)]) {
                Ok(_) => self.tail_length = 0,
                Err(error) if error.error_len().is_some() => return Err(NotUtf8),
                Err(_) => {}
            }
        }
        match from_utf8(piece) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_some() => Err(NotUtf8),
            Err(error) => {
                let tail = &piece[error.valid_up_to()..];
                self.tail[..tail.len()].copy_from_slice(tail);
                self.tail_length = tail.len() as u8;
                Ok(())
            }
        }
    }

    /// Ends the text, and begins a new one.
    pub fn finish(&mut self) -> Result<(), NotUtf8> {
        match std::mem::take(&mut self.tail_length) {
            0 => Ok(()),
            _ => Err(NotUtf8),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &[u8], size: usize) -> Result<(), NotUtf8> {
        let mut utf8 = Utf8::default();
        text.chunks(size).try_for_each(|piece| utf8.feed(piece))?;
        utf8.finish()
    }

    #[test]
    fn agrees_with_the_standard_library_however_the_text_is_divided() {
        let texts: [&[u8]; 10] = [
            b"",
            "κόσμε, 世界, 🦀🦀".as_bytes(),
            b"\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5\xED\xA0\x80edited",
            b"\xF4\x90\x80\x80",
            b"\xC0\xAF",
            b"\xE0\x80\x80",
            b"ab\xE2\x82",
            b"\xFF",
            b"\x80",
            b"\xF0\x9F\xA6\x80\xF0\x9F\xA6",
        ];
        for text in texts {
            for size in 1..=text.len().max(1) {
                let expected = std::str::from_utf8(text).map(drop).map_err(|_| NotUtf8);
                assert_eq!(check(text, size), expected, "{text:x?} in pieces of {size}");
            }
        }
    }

    #[test]
    fn a_hopeless_byte_is_found_before_its_character_ends() {
        let mut utf8 = Utf8::default();
        assert_eq!(utf8.feed(b"abc\xF4"), Ok(()));
        assert_eq!(utf8.feed(b"\x90"), Err(NotUtf8), "U+110000 would follow");
    }
}
