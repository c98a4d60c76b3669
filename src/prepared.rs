//! Messages for many connections: framed once, and compressed once for all that compress alike.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::message::{Message, MessageKind};
use crate::protocol::Role;
use crate::protocol::deflate::{Deflater, Shape};
use crate::protocol::encoder::Encoder;

/// A message to write to any number of connections, with
/// [`write_prepared`](crate::Connection::write_prepared), [`broadcast`](crate::broadcast) or
/// [`Topics::publish`](crate::Topics::publish).
///
/// A server's frames carry no mask, so that one frame serves all its connections. It is compressed once
/// for all of them that agreed upon the same window, and by itself, whatever was sent before (RFC 7692,
/// 7.2.3.2: a message need not refer to those before it); what the connection sends after it does not
/// refer to anything before. A client masks each of its frames anew (RFC 6455, 5.3), and writes it as
/// any other message.
///
/// Clones share the message.
///
/// ```no_run
/// # fn tell(all: &[talkws::Connection]) {
/// let news = talkws::Prepared::text("The doors are open.");
/// let report = talkws::broadcast(all, &news);
/// println!("{} got it, {} were too slow", report.accepted, report.refused);
/// # }
/// ```
#[derive(Clone)]
pub struct Prepared {
    inner: Arc<Inner>,
}

struct Inner {
    kind: MessageKind,
    /// A server's frame, as it is.
    frame: Box<[u8]>,
    /// Where the payload begins in it.
    start: usize,
    deflated: Mutex<Vec<Deflated>>,
}

/// What came of it for one kind of compressor.
struct Deflated {
    shape: Shape,
    /// A server's frame; `None` when it became no smaller.
    frame: Option<Arc<[u8]>>,
}

impl Prepared {
    /// A text message.
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::of(MessageKind::Text, text.as_ref().as_bytes())
    }

    /// A binary message.
    pub fn binary(data: impl AsRef<[u8]>) -> Self {
        Self::of(MessageKind::Binary, data.as_ref())
    }

    /// `data` of a text is UTF-8.
    pub(crate) fn of(kind: MessageKind, data: &[u8]) -> Self {
        let header = Encoder::new(Role::Server)
            .data_header(kind, true, data.len())
            .expect("no message in parts is open");
        let start = header.as_bytes().len();
        let inner = Inner {
            kind,
            frame: [header.as_bytes(), data].concat().into(),
            start,
            deflated: Mutex::default(),
        };
        Prepared {
            inner: Arc::new(inner),
        }
    }

    /// Whether it is text or binary.
    pub fn kind(&self) -> MessageKind {
        self.inner.kind
    }

    /// The payload.
    pub fn as_bytes(&self) -> &[u8] {
        &self.inner.frame[self.inner.start..]
    }

    /// The number of bytes in the payload.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether the payload is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A server's frame.
    pub(crate) fn frame(&self) -> &[u8] {
        &self.inner.frame
    }

    /// A server's frame, compressed by itself as `deflater` would; `None` when it goes as it is.
    pub(crate) fn deflated(&self, deflater: &Deflater) -> Option<Arc<[u8]>> {
        if !deflater.is_worth(self.len()) {
            return None;
        }
        let shape = deflater.shape();
        // Held while it is compressed: others would only do the same.
        let mut known = self.inner.deflated.lock();
        if let Some(deflated) = known.iter().find(|deflated| deflated.shape == shape) {
            return deflated.frame.clone();
        }
        let frame = self.deflate(shape);
        known.push(Deflated {
            shape,
            frame: frame.clone(),
        });
        frame
    }

    fn deflate(&self, shape: Shape) -> Option<Arc<[u8]>> {
        let mut payload = Vec::new();
        shape.deflate(self.as_bytes(), &mut payload).ok()?;
        if payload.len() >= self.len() {
            return None;
        }
        let header = Encoder::new(Role::Server)
            .data_header(self.kind(), true, payload.len())
            .ok()?
            .compressed();
        Some([header.as_bytes(), &payload].concat().into())
    }
}

impl From<&Message> for Prepared {
    fn from(message: &Message) -> Self {
        Self::of(message.kind(), message.as_bytes())
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Prepared({:?}, {} bytes)", self.kind(), self.len())
    }
}
