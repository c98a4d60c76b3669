//! The blocking connection: a reader half and a writer half over one transport.
//!
//! Each half has a lock of its own, held for the length of a call. Nobody waits for one of them
//! while holding the other, except at the very end: a reader that has seen the peer's Close waits,
//! for a bounded time, for the writer's turn to answer it.

mod aside;
mod backlog;
mod closing;
mod cork;
mod deflating;
mod driven;
mod keepalive;
mod parts;
mod reader;
mod sender;
mod sending;
mod served;
mod state;
mod tally;
mod watch;
mod writer;

use std::borrow::Borrow;
use std::fmt;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::close::{CloseCode, CloseInfo, ClosedBy};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::head::{RequestHead, ResponseHead};
use crate::message::{Message, MessageKind, Part};
use crate::options::{Backlog, ConnectionLimits, WriteOptions};
use crate::prepared::Prepared;
use crate::protocol::Role;
use crate::protocol::decoder::{ControlPayload, Decoder};
use crate::protocol::deflate::{DeflateParameters, Deflater, Inflater};
use crate::tls::TlsInfo;
use crate::transport::Transport;

use aside::Aside;
use backlog::Held;
use reader::Reader;
use served::Served;
use tally::Tally;
use writer::{Piece, SentPing, Writer};

pub(crate) use backlog::Subscriber;
pub use backlog::{Broadcast, Waiting, broadcast};
pub(crate) use cork::{flush_touched, is_on_loop, run_loop};
pub use driven::Driven;
pub use served::Progress;
pub(crate) use served::{Scratch, Watcher};
pub(crate) use state::PeerName;
pub use tally::Counters;

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
    /// The peer, when a proxy at the other end of the stream has named it.
    pub named: Option<Box<NamedPeer>>,
    pub request: RequestHead,
    /// The server's answer, on a client.
    pub response: Option<ResponseHead>,
    pub subprotocol: Option<Box<str>>,
    pub deflate: Option<DeflateParameters>,
}

/// A peer that a proxy has named, with its address if it has one. Few connections have such a peer.
#[derive(Debug)]
pub(crate) struct NamedPeer(pub Option<SocketAddr>);

/// What waits inside a connection: see [`Connection::pending`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pending {
    /// Bytes were received that no call has read: a read may find a message without any more
    /// coming. Or the connection has ended, which a read tells at once.
    pub read: bool,
    /// Accepted bytes wait for the stream to take them: see [`Connection::flush`].
    pub write: bool,
}

struct Shared {
    /// This, for the sender.
    this: Weak<Shared>,
    transport: Box<dyn Transport>,
    role: Role,
    close_timeout: Duration,
    write_timeout: Option<Duration>,
    opening: Opening,
    reader: Mutex<Reader>,
    writer: Mutex<Writer>,
    /// Told when the parts of a message are complete, for those who wait to write another; and when
    /// a loop has made room for more.
    message_done: Condvar,
    /// The newest Pong that nobody could send yet.
    pong: Mutex<Option<Box<ControlPayload>>>,
    has_pong: AtomicBool,
    /// Accepted bytes wait in the writer for the stream to take them.
    has_unsent: AtomicBool,
    /// The loop, or the sender, found the stream ready for accepted bytes, but somebody had the
    /// writer's turn.
    wants_push: AtomicBool,
    /// There on a connection that a loop reads.
    served: OnceLock<Box<Served>>,
    backlog: Held,
    phase: AtomicU8,
    tally: Tally,
    status: Mutex<Status>,
    /// Told, to those who hold the status, of Pongs, of the end, and of the reader's turn.
    news: Condvar,
    /// How many threads wait for that.
    watchers: AtomicU32,
}

/// A Ping that was sent, in the order of sending: what [`Connection::wait_pong`] waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PingId(u64);

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
    closing: Option<Box<CloseInfo>>,
    /// When the closing has taken as long as it may.
    close_by: Option<Instant>,
    /// With what the connection ended.
    end: Option<Box<Error>>,
    last_pong: Option<Box<[u8]>>,
    /// The Pings that are not answered, in their order.
    pings: Vec<SentPing>,
    last_ping: u64,
    /// The newest Ping that was answered.
    answered: u64,
    aside: Aside,
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
    ) -> Result<Self> {
        let peer = match role {
            Role::Client => Role::Server,
            Role::Server => Role::Client,
        };
        let inflater = opening
            .deflate
            .map(|agreed| Inflater::new(agreed.keeps_context(peer)));
        let deflater = opening
            .deflate
            .zip(limits.deflate)
            .map(|(agreed, options)| {
                let window_bits = agreed.window_bits(role);
                Deflater::new(&options, agreed.keeps_context(role), window_bits)
            });
        let decoder = Decoder::new(role, limits.max_message_size).with_inflater(inflater);
        let shared = Arc::new_cyclic(|this| Shared {
            this: this.clone(),
            transport,
            role,
            close_timeout: limits.close_timeout,
            write_timeout: limits.write_timeout,
            opening,
            reader: Mutex::new(Reader::new(decoder, received)),
            writer: Mutex::new(Writer::new(role, deflater)),
            message_done: Condvar::new(),
            pong: Mutex::new(None),
            has_pong: AtomicBool::new(false),
            has_unsent: AtomicBool::new(false),
            wants_push: AtomicBool::new(false),
            served: OnceLock::new(),
            backlog: Held::new(limits.backlog),
            phase: AtomicU8::new(Phase::Open as u8),
            tally: Tally::default(),
            status: Mutex::new(Status::default()),
            news: Condvar::new(),
            watchers: AtomicU32::new(0),
        });
        if let Some(keepalive) = limits.keepalive {
            keepalive::watch(&shared, keepalive)?;
        }
        Ok(Connection { shared })
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

    /// Reads what has come of the next message into `buffer`, and waits for at least one byte,
    /// or the end of the message. So a message of any size needs no more memory than that.
    ///
    /// The parts that this gives have nothing to do with the frames in which the message came. Its
    /// last part may be empty. Until that was read, [`read`](Self::read) is
    /// [`Error::InvalidState`]. The largest message allowed is the same for both; with this one
    /// it may well be `usize::MAX`. A violation may show after parts were given already.
    ///
    /// ```no_run
    /// # fn receive(ws: talkws::Connection, mut file: impl std::io::Write) -> std::io::Result<()> {
    /// let mut buffer = [0; 16 * 1024];
    /// loop {
    ///     let part = ws
    ///         .read_some(&mut buffer, talkws::Deadline::NEVER)
    ///         .map_err(std::io::Error::other)?;
    ///     file.write_all(&buffer[..part.len])?;
    ///     if part.is_last {
    ///         return Ok(());
    ///     }
    /// }
    /// # }
    /// ```
    pub fn read_some(&self, buffer: &mut [u8], deadline: impl Into<Deadline>) -> Result<Part> {
        let buffer = std::ptr::from_mut(buffer) as *mut [MaybeUninit<u8>];
        // SAFETY: the same memory with the same lifetime, and what is initialised there stays so:
        // this function and the transport write initialised bytes only.
        let buffer = unsafe { &mut *buffer };
        self.shared.read_some(buffer, deadline.into())
    }

    /// Like [`read_some`](Self::read_some), into memory that need not be initialised: the first
    /// [`Part::len`] bytes are, after it.
    pub fn read_some_uninit(
        &self,
        buffer: &mut [MaybeUninit<u8>],
        deadline: impl Into<Deadline>,
    ) -> Result<Part> {
        self.shared.read_some(buffer, deadline.into())
    }

    /// Writes a message; waits for as long as the peer takes to make room for it.
    ///
    /// Takes a [`Message`] or a reference to one. Messages from several threads go out whole, one
    /// after the other.
    pub fn write(&self, message: impl Borrow<Message>) -> Result<()> {
        let message = message.borrow();
        let (kind, data) = (message.kind(), message.as_bytes());
        self.shared.write_message(kind, data, WriteOptions::new())
    }

    /// Writes a text message.
    pub fn write_text(&self, text: &str) -> Result<()> {
        let (kind, data) = (MessageKind::Text, text.as_bytes());
        self.shared.write_message(kind, data, WriteOptions::new())
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
        self.write_with(kind, data, WriteOptions::new().deadline(deadline))
    }

    /// Writes a message of which others follow soon: it may stay here until they leave with it in
    /// one system call.
    ///
    /// It leaves with the next message that is written in another way, with a Ping or Close, when
    /// 64 KiB have come together, with [`flush`](Self::flush), and while a call on this connection
    /// waits to read; a read that waits already does not see it. Once this call succeeds the
    /// message is accepted, and will not be lost but with the connection. The rest is as for
    /// [`write_data`](Self::write_data).
    pub fn write_more(
        &self,
        kind: MessageKind,
        data: &[u8],
        deadline: impl Into<Deadline>,
    ) -> Result<()> {
        let options = WriteOptions::new().more(true).deadline(deadline);
        self.write_with(kind, data, options)
    }

    /// Writes a message in whatever way `options` say: see [`write_data`](Self::write_data) for the
    /// deadline, [`write_more`](Self::write_more) for what leaves together, and
    /// [`WriteOptions::compress`].
    pub fn write_with(&self, kind: MessageKind, data: &[u8], options: WriteOptions) -> Result<()> {
        check_text(kind, data)?;
        self.shared.write_message(kind, data, options)
    }

    /// Writes a part of a message, as a frame of its own (RFC 6455, 5.4).
    ///
    /// The parts of one message need the same `kind` and the same thread, and the last one
    /// `is_last`. Between them Pings and Pongs may go out; other messages, and their parts, wait
    /// until the last part was written. It is
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
        let options = WriteOptions::new().deadline(deadline);
        self.write_part_with(kind, data, is_last, options)
    }

    /// Writes a part of a message that may leave together with what follows it: see
    /// [`write_part`](Self::write_part) and [`write_more`](Self::write_more).
    pub fn write_part_more(
        &self,
        kind: MessageKind,
        data: &[u8],
        is_last: bool,
        deadline: impl Into<Deadline>,
    ) -> Result<()> {
        let options = WriteOptions::new().more(true).deadline(deadline);
        self.write_part_with(kind, data, is_last, options)
    }

    /// Writes a part of a message in whatever way `options` say: see
    /// [`write_part`](Self::write_part) and [`write_with`](Self::write_with).
    pub fn write_part_with(
        &self,
        kind: MessageKind,
        data: &[u8],
        is_last: bool,
        options: WriteOptions,
    ) -> Result<()> {
        let part = Piece {
            kind,
            data,
            is_last,
        };
        self.shared.write_part(part, options)
    }

    /// Writes a message that was [prepared](Prepared) for many connections, in whatever way `options`
    /// say: see [`write_with`](Self::write_with).
    pub fn write_prepared(&self, message: &Prepared, options: WriteOptions) -> Result<()> {
        self.shared.write_prepared(message, options)
    }

    /// What was accepted and waits to be sent, as far as it is not on its way in the system; over TLS
    /// up to 48 KiB more may be sealed already. Waits for nothing.
    pub fn backlog(&self) -> Waiting {
        self.shared.backlog.waiting()
    }

    /// Chooses how much may wait to be sent from now on, and what happens when that is reached.
    ///
    /// A write that waits goes on waiting. What was accepted before is never dropped.
    pub fn set_backlog(&self, backlog: Backlog) {
        self.shared.backlog.set(backlog);
    }

    /// Waits until everything that was accepted has been handed to the system.
    pub fn flush(&self, deadline: impl Into<Deadline>) -> Result<()> {
        self.shared.flush(deadline.into())
    }

    /// Sends a Ping with a payload of at most 125 bytes (RFC 6455, 5.5.2). The peer's Pong
    /// arrives while somebody reads; [`wait_pong`](Self::wait_pong) waits for it.
    pub fn ping(&self, payload: &[u8]) -> Result<PingId> {
        self.ping_within(payload, Deadline::NEVER)
    }

    /// Like [`ping`](Self::ping), until `deadline`.
    pub fn ping_within(&self, payload: &[u8], deadline: impl Into<Deadline>) -> Result<PingId> {
        self.shared.write_ping(payload, deadline.into())
    }

    /// Waits until a Ping, or one after it, is answered.
    ///
    /// Reads meanwhile, unless another call does. Messages that come are put aside for the calls
    /// that read them, `max_aside` at most: then this waits until one of them is taken. It is
    /// [`Error::InvalidState`] in the middle of a message that is read in parts.
    ///
    /// ```no_run
    /// # fn measure(ws: talkws::Connection) -> talkws::Result<()> {
    /// use std::time::Duration;
    ///
    /// let ping = ws.ping(b"are you there?")?;
    /// ws.wait_pong(ping, 16, Duration::from_secs(1))?;
    /// println!("after {:?}", ws.counters().round_trip);
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait_pong(
        &self,
        ping: PingId,
        max_aside: usize,
        deadline: impl Into<Deadline>,
    ) -> Result<()> {
        self.shared.wait_pong(ping, max_aside, deadline.into())
    }

    /// Whether a Ping, or one after it, is answered. Waits for nothing, and reads nothing.
    pub fn is_answered(&self, ping: PingId) -> bool {
        self.shared.status.lock().answered >= ping.0
    }

    /// Whether a Ping with this payload was sent, and is not answered.
    pub fn awaits_pong(&self, payload: &[u8]) -> bool {
        let status = self.shared.status.lock();
        status.pings.iter().any(|ping| *ping.payload == *payload)
    }

    /// Sends a Pong that answers no Ping, as a sign of life (RFC 6455, 5.5.3), with a payload of at
    /// most 125 bytes.
    pub fn pong_within(&self, payload: &[u8], deadline: impl Into<Deadline>) -> Result<()> {
        self.shared.write_pong(payload, deadline.into())
    }

    /// Waits until the connection has ended, which [`end`](Self::end) tells about then. Reads
    /// meanwhile, as [`wait_pong`](Self::wait_pong) does.
    pub fn wait_end(&self, max_aside: usize, deadline: impl Into<Deadline>) -> Result<()> {
        self.shared.wait_end(max_aside, deadline.into())
    }

    /// What this connection has done so far, and how long the answer to a Ping took.
    pub fn counters(&self) -> Counters {
        self.shared.tally.read()
    }

    /// What waits inside this connection. An event loop looks here before it waits for the
    /// descriptor ([`AsRawFd`]): what was received already makes that ready no more.
    pub fn pending(&self) -> Pending {
        let shared = &self.shared;
        let is_aside = || !shared.status.lock().aside.is_empty();
        let holds_bytes = || {
            // Whoever is reading will find them.
            let reader = shared.reader.try_lock();
            reader.is_some_and(|reader| reader.holds_bytes()) || shared.transport.holds_unread()
        };
        Pending {
            read: shared.phase() == Phase::Ended || is_aside() || holds_bytes(),
            write: shared.has_unsent() || shared.has_pong.load(Ordering::Acquire),
        }
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

    /// The error with which the connection ended, once it has: that of every later call.
    pub fn end(&self) -> Option<Error> {
        let has_ended = self.shared.phase() == Phase::Ended;
        has_ended.then(|| self.shared.end_error())
    }

    /// What this end closes with, once it has begun to of its own accord: not when it answers the
    /// peer's Close, and not when there was no connection left to close.
    pub fn closing(&self) -> Option<CloseInfo> {
        let closing = self.shared.status.lock().closing.clone();
        closing
            .filter(|info| info.by == ClosedBy::Local)
            .map(|info| *info)
    }

    /// How the connection was closed, once it was: the peer's code and reason.
    pub fn close_info(&self) -> Option<CloseInfo> {
        match self.shared.status.lock().end.as_deref() {
            Some(Error::Closed(info)) => Some(info.clone()),
            _ => None,
        }
    }

    /// The subprotocol that was agreed upon (RFC 6455, 1.9).
    pub fn subprotocol(&self) -> Option<&str> {
        self.shared.opening.subprotocol.as_deref()
    }

    /// What was agreed upon for compressing messages (permessage-deflate, RFC 7692); `None` when
    /// none are compressed.
    pub fn deflate_parameters(&self) -> Option<DeflateParameters> {
        self.shared.opening.deflate
    }

    /// The request that opened the connection: the client's own, or that which the server got.
    pub fn request(&self) -> &RequestHead {
        &self.shared.opening.request
    }

    /// On a client, the response that opened the connection.
    pub fn response(&self) -> Option<&ResponseHead> {
        self.shared.opening.response.as_ref()
    }

    /// The address of the other end. On a server it is the client's, also when a proxy that is
    /// believed came between: see [`ListenOptions::trust_proxy`](crate::ListenOptions::trust_proxy).
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.shared.peer_addr()
    }

    /// The address of who is at the other end of the stream: the peer, or a proxy before it.
    pub fn direct_peer_addr(&self) -> Option<SocketAddr> {
        self.shared.transport.peer_addr()
    }

    /// The address of this end.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.shared.transport.local_addr()
    }

    /// What was agreed upon with the peer, on a connection over TLS.
    pub fn tls(&self) -> Option<TlsInfo> {
        self.shared.transport.tls()
    }

    /// How long [`close`](Self::close) waits for the peer.
    pub fn close_timeout(&self) -> Duration {
        self.shared.close_timeout
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // While its descriptor is open.
        self.writer.get_mut().watch = None;
    }
}

fn check_text(kind: MessageKind, data: &[u8]) -> Result<()> {
    if kind == MessageKind::Text && simdutf8::basic::from_utf8(data).is_err() {
        let reason = "write: the text is not UTF-8; send it as a binary message";
        return Err(Error::InvalidArgument(reason.into()));
    }
    Ok(())
}

/// For event loops, which may wait for it, and must do nothing else with it: see
/// [`Connection::pending`]. It stays valid as long as the connection is there.
impl AsRawFd for Connection {
    fn as_raw_fd(&self) -> RawFd {
        self.shared.transport.as_raw_fd()
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
