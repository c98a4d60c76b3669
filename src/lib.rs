//! Blocking WebSocket clients and servers (RFC 6455): full duplex, with deadlines, from any thread.
//!
//! A client dials, writes, reads, and closes:
//!
//! ```no_run
//! use talkws::{CloseCode, Message};
//!
//! let ws = talkws::dial("ws://localhost:8080/talk-to-server")?;
//! ws.write(Message::text("Hello from client!"))?;
//! println!("Received: {}", ws.read()?);
//! ws.close(CloseCode::Normal, "bye")?;
//! # Ok::<(), talkws::Error>(())
//! ```
//!
//! A server listens, looks at each request, and upgrades or refuses it:
//!
//! ```no_run
//! use talkws::{Message, UpgradeOptions};
//!
//! let listener = talkws::listen("ws://localhost:8080/talk-to-server")?;
//! loop {
//!     let request = listener.accept()?;
//!     if request.header("x-tenant").is_none() {
//!         request.refuse(403, "Name your tenant.\n")?;
//!         continue;
//!     }
//!     std::thread::spawn(move || -> talkws::Result<()> {
//!         let ws = request.upgrade(UpgradeOptions::default())?;
//!         while let Ok(message) = ws.read() {
//!             println!("Message: {message}");
//!             ws.write(Message::text("Hello from server!"))?;
//!         }
//!         Ok(())
//!     });
//! }
//! # #[allow(unreachable_code)]
//! # Ok::<(), talkws::Error>(())
//! ```
//!
//! # Threads
//!
//! [`Connection`] and [`Listener`] are cheap to clone, `Send` and `Sync`; every method takes
//! `&self` and may be called from any thread at any time. A connection has two halves, each with
//! a lock of its own: one thread may be blocked in [`read`](Connection::read) for hours while
//! others [`write`](Connection::write). Messages are written whole, one after the other.
//!
//! Thousands of connections need no thread each: [`Listener::serve`] serves them with a few, and tells a
//! [`Handler`] what happens.
//!
//! Nothing else here starts a thread, but for a resolver while a dial waits for a name, one timer
//! for all connections of the process that want [keepalive](DialOptions::keepalive), and one sender
//! for all whose [backlog](Connection::backlog) leaves in the background.
//!
//! # Deadlines
//!
//! Calls whose names end in `within` (and [`read_into`](Connection::read_into),
//! [`write_data`](Connection::write_data)) take a [`Deadline`]: a `Duration` from now, zero for
//! "do not wait", or [`Deadline::NEVER`]. It is taken once and covers the whole call.
//! [`Error::TimedOut`] damages nothing: what has come of a message is kept, what was accepted
//! for sending is sent, and the same call may be made again.
//!
//! # Control messages
//!
//! Whoever reads answers Pings and makes the closing handshake, so a program that wants to
//! notice the end of a connection should read from it. [`ping`](Connection::ping) sends a Ping;
//! [`wait_pong`](Connection::wait_pong) waits for its answer, and
//! [`counters`](Connection::counters) tell how long that took.
//!
//! # Streams
//!
//! [`read_some`](Connection::read_some) and [`write_part`](Connection::write_part) read and write a
//! message of any size in bounded memory. [`write_more`](Connection::write_more) lets several small
//! messages leave in one system call.
//!
//! # Slow peers, and many
//!
//! A write waits for a slow peer, unless its connection has another [`Backlog`] policy: then it never
//! waits, what the peer does not take is kept, and what does not fit is refused, makes room at the cost
//! of the oldest, or closes the connection. [`broadcast`] writes a [`Prepared`] message to any number of
//! connections, and [`Topics`] to those that have subscribed; no slow one holds up another.
//!
//! # Getting there
//!
//! A dial may go through a proxy ([`DialOptions::proxy`], [`DialOptions::proxy_from_env`]) and follows
//! redirects ([`DialOptions::max_redirects`]); user and password in a URL are basic authentication, and
//! shown nowhere. `ws+unix:///run/app.sock:/path` is a Unix socket, of either role. Sockets that are
//! there already are taken by [`DialOptions::dial_on`], [`ListenOptions::listen_on`], and from systemd
//! by [`ListenOptions::listen_systemd`]. A server behind nginx or HAProxy knows its clients once it is
//! told whom to believe ([`ListenOptions::trust_proxy`]).
//!
//! # Event loops
//!
//! A connection has a descriptor to wait for (`AsRawFd`); [`pending`](Connection::pending) tells what
//! waits inside. Read with a deadline of `Duration::ZERO`, and write so too.
//!
//! # Log
//!
//! What happens of its own accord is logged through the crate `log`, under the targets
//! `talkws::client` and `talkws::server`. Nothing is ever printed.
//!
//! # Closing
//!
//! [`close`](Connection::close) sends Close, waits for the peer's within the close timeout, and
//! ends every blocked call on the connection. [`abort`](Connection::abort) ends it at once.
//! After the end every call gives the same [`Error`]: [`Error::Closed`] with the peer's code and
//! reason when both ends agreed, [`Error::ConnectionLost`] when the stream just ended, and
//! [`Error::Protocol`], [`Error::InvalidUtf8`] or [`Error::TooBig`] when the peer broke a rule;
//! it was told so with 1002, 1007 or 1009.
//!
//! # Origin
//!
//! A browser sends the origin of the page that connects. By default only pages of the same host
//! may ([`OriginRule`]); programs that send no `Origin` are not concerned.
//!
//! # Buffers
//!
//! [`read_into`](Connection::read_into) uses the memory of an old message for the next one, so
//! that a loop allocates nothing. The payload of a large message is received straight into it.
//! An idle connection costs about 1 KiB of heap. Memory grows with the bytes that arrive,
//! never with the length that a header claims; the largest message allowed is 16 MiB unless
//! [`ListenOptions::max_message_size`] or [`DialOptions::max_message_size`] says otherwise.
//!
//! # TLS
//!
//! With the feature `tls`, which is on by default, [`dial`] takes `wss` URLs: the server's certificate must
//! be valid for the host, and lead to an authority that the system trusts; [`ClientTls`] chooses
//! otherwise. A listener with a [`ServerTls`] has a `wss` URL. Everything else is the same: full duplex,
//! deadlines, closing. A stream that ends without TLS's `close_notify` (RFC 8446, 6.1) before the closing
//! handshake is truncated, and [`Error::ConnectionLost`]. [`Connection::tls`] tells what was agreed upon.
//!
//! # Compression
//!
//! Messages of 256 bytes and more are compressed if the peer agrees (permessage-deflate, RFC 7692);
//! [`DeflateOptions`] says how, `deflate(None)` of [`DialOptions`] and [`ListenOptions`] turns it
//! off, [`WriteOptions::compress`] for one message. The largest message allowed is counted as it is
//! inflated, so a small message that would become a huge one costs no more than that. A connection
//! that has compressed messages keeps two windows, 417 KiB in all by default; [`DeflateOptions`]
//! tells how to do with less, or none. The Cargo feature `deflate` has it, on by default.
//!
//! Who sends a secret together with what an attacker chooses should not compress the two
//! ([`WriteOptions::compress`]): the size of the message tells about the secret.
//!
//! # Systems
//!
//! The crate needs a Unix (Linux, macOS, a BSD).

#[cfg(not(unix))]
compile_error!("talkws needs poll(2) and MSG_DONTWAIT: it runs on Linux, macOS and the BSDs");

mod client;
mod close;
mod connection;
mod deadline;
mod error;
mod head;
mod message;
mod network;
mod options;
mod prepared;
#[doc(hidden)]
pub mod protocol;
mod server;
#[doc(hidden)]
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(not(feature = "testing"))]
mod testing;
mod tls;
mod topics;
mod transport;
#[doc(hidden)]
pub mod url;

pub use client::dial;
pub use close::{CloseCode, CloseInfo, ClosedBy, MAX_CLOSE_REASON};
pub use connection::{
    Broadcast, Connection, Counters, Driven, Pending, PingId, Progress, Waiting, broadcast,
};
pub use deadline::Deadline;
pub use error::{Error, Refusal, Result, Violation};
pub use head::{RequestHead, ResponseHead};
pub use message::{Message, MessageKind, Part};
pub use options::forwarding::Forwarding;
pub use options::{
    Backlog, BacklogPolicy, DeflateOptions, DialOptions, ListenOptions, MAX_HEAD_SIZE, MAX_HEADERS,
    OriginRule, RefuseOptions, UpgradeOptions, WriteOptions,
};
pub use prepared::Prepared;
pub use protocol::deflate::DeflateParameters;
pub use protocol::encoder::check_close;
pub use server::{Handler, Listener, Request, ServeReport, listen};
pub use tls::{ClientAuth, ClientTls, ServerTls, TlsInfo, TlsVersion};
pub use topics::Topics;
