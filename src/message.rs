//! Messages: whole, of one of two kinds (RFC 6455, section 5.6).

use std::fmt;

/// What a message carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MessageKind {
    /// UTF-8 text.
    Text,
    /// Bytes without further meaning.
    #[default]
    Binary,
}

/// A part of a message: what [`Connection::read_some`](crate::Connection::read_some) has put
/// into a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// What the message carries. The part of a text may end inside a character.
    pub kind: MessageKind,
    /// How many bytes were put at the start of the buffer.
    pub len: usize,
    /// Whether the message ends here.
    pub is_last: bool,
}

/// A whole message.
///
/// A text message is valid UTF-8, always: what arrives was checked, and what is made here is
/// made from `str`. [`Connection::read_into`](crate::Connection::read_into) uses the memory of
/// an old message for the next one.
///
/// ```
/// use talkws::Message;
///
/// let message = Message::text("Hello from client!");
/// assert_eq!(message.as_text(), Some("Hello from client!"));
/// assert_eq!(message.to_string(), "Hello from client!");
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Message {
    kind: MessageKind,
    data: Vec<u8>,
}

impl Message {
    /// A text message.
    pub fn text(text: impl Into<String>) -> Self {
        Message {
            kind: MessageKind::Text,
            data: text.into().into_bytes(),
        }
    }

    /// A binary message.
    pub fn binary(data: impl Into<Vec<u8>>) -> Self {
        Message {
            kind: MessageKind::Binary,
            data: data.into(),
        }
    }

    /// A binary message that owns `data`, to be read into: its contents are dropped, its memory
    /// is kept.
    pub fn with_buffer(mut data: Vec<u8>) -> Self {
        data.clear();
        Message::binary(data)
    }

    /// Text or binary.
    pub fn kind(&self) -> MessageKind {
        self.kind
    }

    /// Whether this is a text message.
    pub fn is_text(&self) -> bool {
        self.kind == MessageKind::Text
    }

    /// The payload, of either kind.
    pub fn as_bytes(&self) -> &[u8] {
        &self.data
    }

    /// The text of a text message, `None` for a binary one.
    pub fn as_text(&self) -> Option<&str> {
        // SAFETY: `data` of a text message is UTF-8: it comes from a `String`, or from a reader
        // that validated it before it called `replace` (see there).
        self.is_text()
            .then(|| unsafe { std::str::from_utf8_unchecked(&self.data) })
    }

    /// The payload, of either kind, without a copy.
    pub fn into_bytes(self) -> Vec<u8> {
        self.data
    }

    /// The text, without a copy; the message itself again when it is binary.
    pub fn into_text(self) -> Result<String, Message> {
        match self.kind {
            // SAFETY: as for `as_text`.
            MessageKind::Text => Ok(unsafe { String::from_utf8_unchecked(self.data) }),
            MessageKind::Binary => Err(self),
        }
    }

    /// The number of bytes in the payload.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether the payload is empty.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Takes the memory out and leaves an empty binary message, which any bytes may replace.
    pub(crate) fn take_buffer(&mut self) -> Vec<u8> {
        self.kind = MessageKind::Binary;
        let mut data = std::mem::take(&mut self.data);
        data.clear();
        data
    }

    /// Puts a payload in. For [`MessageKind::Text`] the decoder has found it to be valid UTF-8.
    pub(crate) fn replace(&mut self, kind: MessageKind, data: Vec<u8>) {
        debug_assert!(kind == MessageKind::Binary || std::str::from_utf8(&data).is_ok());
        *self = Message { kind, data };
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Message::text(text)
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Message::text(text)
    }
}

impl From<&[u8]> for Message {
    fn from(data: &[u8]) -> Self {
        Message::binary(data)
    }
}

impl From<Vec<u8>> for Message {
    fn from(data: Vec<u8>) -> Self {
        Message::binary(data)
    }
}

/// The text of a text message; for a binary one its length.
impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_text() {
            Some(text) => f.pad(text),
            None => write!(f, "<binary message of {} bytes>", self.len()),
        }
    }
}

/// Kind and length, and the beginning of the payload: a log wants no megabyte.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 64;
        let shown = String::from_utf8_lossy(&self.data[..self.len().min(SHOWN)]);
        let more = if self.len() > SHOWN { "..." } else { "" };
        write!(f, "{:?}({} bytes, {shown:?}{more})", self.kind, self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_is_never_given_as_text() {
        let message = Message::binary(vec![0xFF, 0xFE]);
        assert_eq!(message.as_text(), None);
        assert_eq!(message.to_string(), "<binary message of 2 bytes>");
        assert_eq!(message.into_text().unwrap_err().into_bytes(), [0xFF, 0xFE]);
    }

    #[test]
    fn a_taken_buffer_leaves_nothing_that_claims_to_be_text() {
        let mut message = Message::text("gone");
        let capacity = message.data.capacity();
        let buffer = message.take_buffer();
        assert_eq!((buffer.len(), buffer.capacity()), (0, capacity));
        assert!(!message.is_text() && message.is_empty());
    }
}
