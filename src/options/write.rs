//! How a message is written.

use crate::deadline::Deadline;

/// How a message, or a part of one, is written: see
/// [`Connection::write_with`](crate::Connection::write_with).
///
/// ```no_run
/// # fn send(ws: talkws::Connection, photo: &[u8]) -> talkws::Result<()> {
/// use talkws::{MessageKind, WriteOptions};
///
/// // What is compressed already becomes no smaller.
/// ws.write_with(MessageKind::Binary, photo, WriteOptions::new().compress(false))
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct WriteOptions {
    pub(crate) more: bool,
    pub(crate) compress: bool,
    pub(crate) deadline: Deadline,
}

impl Default for WriteOptions {
    fn default() -> Self {
        WriteOptions {
            more: false,
            compress: true,
            deadline: Deadline::NEVER,
        }
    }
}

impl WriteOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether others follow soon, with which it may leave: see
    /// [`Connection::write_more`](crate::Connection::write_more). Default: no.
    pub fn more(mut self, enabled: bool) -> Self {
        self.more = enabled;
        self
    }

    /// Whether it may be compressed, where both ends agreed upon that and it is large enough (see
    /// [`DeflateOptions`](crate::DeflateOptions)). Of a message in parts the first one decides.
    /// Default: yes.
    pub fn compress(mut self, enabled: bool) -> Self {
        self.compress = enabled;
        self
    }

    /// How long to wait for the peer to make room: see
    /// [`Connection::write_data`](crate::Connection::write_data). Default: as long as it takes.
    pub fn deadline(mut self, deadline: impl Into<Deadline>) -> Self {
        self.deadline = deadline.into();
        self
    }
}
