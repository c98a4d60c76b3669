//! How much may wait to be sent, and what happens when that is reached.

/// What becomes of a message for which the backlog of its connection has no room: see [`Backlog`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
#[repr(u8)]
pub enum BacklogPolicy {
    /// The call waits until the peer takes it, as blocking calls do.
    #[default]
    Wait,
    /// The message is refused: [`Error::WouldBlock`](crate::Error::WouldBlock).
    Refuse,
    /// The oldest messages that wait make room for it, each of them whole.
    ///
    /// The messages of such a connection are compressed each by itself, so that none refers to one
    /// that was dropped (RFC 7692, 7.1.1.1).
    DropOldest,
    /// The connection is closed with 1013, Try Again Later. What has not begun to leave is not sent.
    Close,
}

/// How much may be accepted and wait to be sent on a connection, and what happens when that is
/// reached: see `write_backlog` of [`DialOptions`](crate::DialOptions::write_backlog) and
/// [`ListenOptions`](crate::ListenOptions::write_backlog), and
/// [`Connection::set_backlog`](crate::Connection::set_backlog).
///
/// With [`BacklogPolicy::Wait`], the default, a write waits for the peer. With any other no write ever
/// waits: what the system does not take at once stays in the backlog, and leaves in the background as
/// the peer makes room.
///
/// ```no_run
/// use talkws::{Backlog, BacklogPolicy, ListenOptions};
///
/// let prices = Backlog::new().limit(64 * 1024).policy(BacklogPolicy::DropOldest);
/// let listener = ListenOptions::new()
///     .write_backlog(prices)
///     .listen("ws://localhost:8080/prices")?;
/// # Ok::<(), talkws::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    pub(crate) limit: usize,
    pub(crate) policy: BacklogPolicy,
}

impl Default for Backlog {
    fn default() -> Self {
        Backlog {
            limit: 1 << 20,
            policy: BacklogPolicy::Wait,
        }
    }
}

impl Backlog {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The high-water mark, in bytes, with the headers of frames. A message that does not fit below it
    /// beside those that wait finds the backlog full; when none wait, any one fits. With
    /// [`BacklogPolicy::Wait`] it counts for [`broadcast`](crate::broadcast) only. Default: 1 MiB.
    pub fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// What happens when it is full. Default: [`BacklogPolicy::Wait`].
    pub fn policy(mut self, policy: BacklogPolicy) -> Self {
        self.policy = policy;
        self
    }
}
