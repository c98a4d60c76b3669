//! The blocking connection: a reader half and a writer half over one transport.
//!
//! Each half has a lock of its own, held for the length of a call. Nobody waits for one of them
//! while holding the other, except at the very end: a reader that has seen the peer's Close waits,
//! for a bounded time, for the writer's turn to answer it.

mod closing;
mod reader;
mod sending;
mod writer;

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::close::{CloseCode, CloseInfo, ClosedBy};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::head::{RequestHead, ResponseHead};
use crate::message::{Message, MessageKind};
use crate::options::ConnectionLimits;
use crate::protocol::Role;
use crate::protocol::decoder::ControlPayload;
use crate::transport::{Halt, Transport};

use reader::Reader;
use writer::Writer;

/// An open WebSocket connection, of either role.
///
/// All methods take `&self`, may be called from any thread at any time, and wait for nothing but
/// their own peer: one thread may be blocked in [`read`](Connection::read) while others
/// [`write`](Connection::write). Clones share the connection. When the last one is dropped
/// without [`close`](Connection::close), the peer sees it end without a Close frame (1006).
///
/// Pings are answered, and the closing handshake is made, by whoever reads.
///
/// After the connection has ended, every call gives the error with which it ended:
/// [`Error::Closed`] when both ends agreed on it.
#[derive(Clone)]
pub struct Connection {
    shared: Arc<Shared>,
}

/// What the two ends said to each other before the first frame.
#[derive(Debug)]
pub(crate) struct Opening {
    pub head: OpeningHead,
    pub subprotocol: Option<Box<str>>,
}

/// The head that the peer sent.
#[derive(Debug)]
pub(crate) enum OpeningHead {
    Request(RequestHead),
    Response(ResponseHead),
}

struct Shared {
    transport: Box<dyn Transport>,
    role: Role,
    limits: ConnectionLimits,
    opening: Opening,
    reader: Mutex<Reader>,
    writer: Mutex<Writer>,
    /// Told when the parts of a message are complete, for those who wait to write another.
    message_done: Condvar,
    /// The newest Pong that nobody could send yet.
    pong: Mutex<Option<ControlPayload>>,
    has_pong: AtomicBool,
    /// Accepted bytes wait in the writer for the stream to take them.
    has_unsent: AtomicBool,
    phase: AtomicU8,
    status: Mutex<Status>,
}

/// How far the connection has come. It only ever advances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum Phase {
    Open,
    /// A Close frame was sent, or is about to be, by this end or as an answer: no more messages.
    Closing,
    /// Over; the status holds the error with which it ended.
    Ended,
}

#[derive(Debug, Default)]
struct Status {
    /// What this end closes with, once it does so of its own accord.
    closing: Option<CloseInfo>,
    /// With what the connection ended.
    end: Option<Error>,
    last_pong: Option<Box<[u8]>>,
}

impl Connection {
    /// Takes over a transport on which the opening handshake has been made. `received` is what
    /// came after it.
    pub(crate) fn new(
        transport: Box<dyn Transport>,
        role: Role,
        limits: ConnectionLimits,
        opening: Opening,
        received: &[u8],
    ) -> Self {
        let shared = Shared {
            transport,
            role,
            limits,
            opening,
            reader: Mutex::new(Reader::new(role, limits.max_message_size, received)),
            writer: Mutex::new(Writer::new(role)),
            message_done: Condvar::new(),
            pong: Mutex::new(None),
            has_pong: AtomicBool::new(false),
            has_unsent: AtomicBool::new(false),
            phase: AtomicU8::new(Phase::Open as u8),
            status: Mutex::new(Status::default()),
        };
        Connection {
            shared: Arc::new(shared),
        }
    }

    /// Waits for the next message, for as long as it takes.
    ///
    /// Meanwhile Pings are answered, and a Close by the peer is: then, and ever after, this gives
    /// [`Error::Closed`].
    pub fn read(&self) -> Result<Message> {
        self.read_within(Deadline::NEVER)
    }

    /// Waits for the next message until `deadline`: a `Duration` from now, or a [`Deadline`].
    ///
    /// [`Error::TimedOut`] damages nothing. What has come of a message is kept, and the next
    /// call goes on with it.
    pub fn read_within(&self, deadline: impl Into<Deadline>) -> Result<Message> {
        let mut message = Message::default();
        self.read_into(&mut message, deadline)?;
        Ok(message)
    }

    /// Like [`read_within`](Self::read_within), into the memory of an old message: a loop that
    /// reads into the same one does not allocate, once that is large enough. After an error the
    /// message is empty.
    pub fn read_into(&self, message: &mut Message, deadline: impl Into<Deadline>) -> Result<()> {
        self.shared.read(message, deadline.into())
    }

    /// Writes a message; waits for as long as the peer takes to make room for it.
    ///
    /// Takes a [`Message`] or a reference to one. Messages from several threads go out whole, one
    /// after the other.
    pub fn write(&self, message: impl Borrow<Message>) -> Result<()> {
        let message = message.borrow();
        self.shared
            .write_message(message.kind(), message.as_bytes(), Deadline::NEVER)
    }

    /// Writes a text message.
    pub fn write_text(&self, text: &str) -> Result<()> {
        self.shared
            .write_message(MessageKind::Text, text.as_bytes(), Deadline::NEVER)
    }

    /// Writes a binary message.
    pub fn write_binary(&self, data: &[u8]) -> Result<()> {
        self.write_data(MessageKind::Binary, data, Deadline::NEVER)
    }

    /// Writes a message, and waits no longer than until `deadline`.
    ///
    /// [`Error::TimedOut`] means that no byte of the message was sent, nor will be. Once a part
    /// of it was sent, the message is accepted: the call succeeds, and what is left when the
    /// deadline passes leaves before anything else does, during the next call on this
    /// connection that writes or waits to read. [`flush`](Self::flush) waits for it.
    ///
    /// `data` of a text message must be UTF-8 ([`Error::InvalidArgument`]).
    pub fn write_data(
        &self,
        kind: MessageKind,
        data: &[u8],
        deadline: impl Into<Deadline>,
    ) -> Result<()> {
        if kind == MessageKind::Text && simdutf8::basic::from_utf8(data).is_err() {
            let reason = "write: the text is not UTF-8; send it as a binary message";
            return Err(Error::InvalidArgument(reason.into()));
        }
        self.shared.write_message(kind, data, deadline.into())
    }

    /// Writes a part of a message, as a frame of its own (RFC 6455, 5.4).
    ///
    /// The parts of one message need the same `kind`, and the last one `is_last`. Between them
    /// Pings and Pongs may go out; other messages wait until the last part was written. It is
    /// [`Error::InvalidState`] to write another message from the thread that wrote the last part,
    /// since that could never end. A character of a text may be divided between parts; a part
    /// that cannot be UTF-8 with those before it is refused ([`Error::InvalidArgument`]), and
    /// another may be written in its place.
    pub fn write_part(
        &self,
        kind: MessageKind,
        data: &[u8],
        is_last: bool,
        deadline: impl Into<Deadline>,
    ) -> Result<()> {
        self.shared.write_part(kind, data, is_last, deadline.into())
    }

    /// Waits until everything that was accepted has been handed to the system.
    pub fn flush(&self, deadline: impl Into<Deadline>) -> Result<()> {
        self.shared.flush(deadline.into())
    }

    /// Sends a Ping with a payload of at most 125 bytes (RFC 6455, 5.5.2). The peer's Pong
    /// arrives while somebody reads; see [`last_pong`](Self::last_pong).
    pub fn ping(&self, payload: &[u8]) -> Result<()> {
        self.shared.write_ping(payload, Deadline::NEVER)
    }

    /// The payload of the newest Pong that has arrived.
    pub fn last_pong(&self) -> Option<Vec<u8>> {
        self.shared
            .status
            .lock()
            .last_pong
            .as_deref()
            .map(<[u8]>::to_vec)
    }

    /// Closes the connection: sends Close, drops what the peer still sends, waits for its Close,
    /// and ends every other call on this connection, within the close timeout.
    ///
    /// `Ok` means that the peer answered. Closing what is closed already is `Ok` too; on a
    /// connection that failed this gives the error with which it failed. `code` must be one that
    /// may be sent, or [`CloseCode::Status`] for none; `reason` has at most 123 bytes.
    pub fn close(&self, code: CloseCode, reason: &str) -> Result<()> {
        self.close_within(code, reason, Deadline::NEVER)
    }

    /// Like [`close`](Self::close), until the close timeout or `deadline`, whichever comes first.
    pub fn close_within(
        &self,
        code: CloseCode,
        reason: &str,
        deadline: impl Into<Deadline>,
    ) -> Result<()> {
        self.shared.close(code, reason, deadline.into())
    }

    /// Ends the connection at once, without a Close frame, and with it every call on it.
    pub fn abort(&self) {
        self.shared.end(Error::Aborted {
            attempt: "connection".into(),
        });
    }

    /// Whether the connection is open: neither end has begun to close it, and it has not failed
    /// as far as this end has noticed.
    pub fn is_open(&self) -> bool {
        self.shared.phase() == Phase::Open
    }

    /// How the connection was closed, once it was: the peer's code and reason.
    pub fn close_info(&self) -> Option<CloseInfo> {
        match &self.shared.status.lock().end {
            Some(Error::Closed(info)) => Some(info.clone()),
            _ => None,
        }
    }

    /// The subprotocol that was agreed upon (RFC 6455, 1.9).
    pub fn subprotocol(&self) -> Option<&str> {
        self.shared.opening.subprotocol.as_deref()
    }

    /// On a server, the request that opened the connection.
    pub fn request(&self) -> Option<&RequestHead> {
        match &self.shared.opening.head {
            OpeningHead::Request(head) => Some(head),
            OpeningHead::Response(_) => None,
        }
    }

    /// On a client, the response that opened the connection.
    pub fn response(&self) -> Option<&ResponseHead> {
        match &self.shared.opening.head {
            OpeningHead::Response(head) => Some(head),
            OpeningHead::Request(_) => None,
        }
    }

    /// The address of the other end.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.shared.transport.peer_addr()
    }

    /// The address of this end.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.shared.transport.local_addr()
    }

    /// How long [`close`](Self::close) waits for the peer.
    pub fn close_timeout(&self) -> Duration {
        self.shared.limits.close_timeout
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("role", &self.shared.role)
            .field("peer", &self.peer_addr())
            .field("phase", &self.shared.phase())
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Open,
            1 => Phase::Closing,
            _ => Phase::Ended,
        }
    }

    /// Ends the connection, unless it has ended: everybody who waits for it is woken, and every
    /// later call gives `error`. Gives the error with which it really ended.
    fn end(&self, error: Error) -> Error {
        let end = {
            let mut status = self.status.lock();
            let end = status.end.get_or_insert(error).clone();
            self.phase.store(Phase::Ended as u8, Ordering::Release);
            end
        };
        self.transport.shutdown(Shutdown::Both);
        // Under the writer's lock none could miss it; but its holder may be waiting for the
        // stream, so those who wait for a message to be complete look again by themselves.
        self.message_done.notify_all();
        end
    }

    /// The error for a call that cannot go on: that with which the connection ended, or the
    /// close that this end, or the peer, has begun.
    fn end_error(&self) -> Error {
        let status = self.status.lock();
        match (&status.end, &status.closing) {
            (Some(end), _) => end.clone(),
            (None, Some(info)) => Error::Closed(info.clone()),
            (None, None) => Error::Aborted {
                attempt: "connection".into(),
            },
        }
    }

    /// Begins to close; false if that was done before.
    fn begin_closing(&self, info: CloseInfo) -> bool {
        let mut status = self.status.lock();
        if self.phase() != Phase::Open {
            return false;
        }
        status.closing = Some(info);
        self.phase.store(Phase::Closing as u8, Ordering::Release);
        true
    }

    /// Who sent the first Close.
    fn closed_by(&self) -> ClosedBy {
        match &self.status.lock().closing {
            Some(info) => info.by,
            None => ClosedBy::Peer,
        }
    }
}

/// Waits for a lock until `deadline`.
pub(crate) fn lock<T>(mutex: &Mutex<T>, deadline: Deadline) -> Result<MutexGuard<'_, T>, Halt> {
    if let Some(guard) = mutex.try_lock() {
        return Ok(guard);
    }
    if deadline.is_unbounded() {
        return Ok(mutex.lock());
    }
    loop {
        let slice = deadline.slice().unwrap_or(Deadline::INTERRUPT_INTERVAL);
        if let Some(guard) = mutex.try_lock_for(slice) {
            return Ok(guard);
        }
        if deadline.is_interrupted() {
            return Err(Halt::Interrupted);
        }
        if deadline.has_passed() {
            return Err(Halt::TimedOut);
        }
    }
}

impl Halt {
    /// The error of a call named `attempt`, on a stream that may have failed because the
    /// connection `shared` has ended.
    fn into_error(self, attempt: &'static str, shared: &Shared) -> Error {
        let attempt = Cow::Borrowed(attempt);
        match self {
            Halt::TimedOut => Error::TimedOut { attempt },
            Halt::Interrupted => Error::Interrupted { attempt },
            Halt::Failed(_) if shared.phase() == Phase::Ended => shared.end_error(),
            Halt::Failed(source) => {
                let reason = format!("{attempt}: connection lost");
                Error::ConnectionLost {
                    reason: reason.into(),
                    source: Some(Arc::new(source)),
                }
            }
        }
    }
}
