//! TLS over any other transport.
//!
//! One rustls session under one lock, which is held for the arithmetic only, never across a call
//! of the transport below. Records leave in the order in which they were made: whoever sends has
//! the sending turn, and makes records only then. What receiving produces (alerts, tickets) is
//! queued, and leaves before the next record, or at once when nobody is sending.

mod session;

use std::fmt;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};

use super::{Halt, Readiness, Transport, lock};
use crate::deadline::Deadline;
use crate::tls::TlsInfo;

pub use session::TlsFailure;
use session::{MAX_RECORD, OVERHEAD, Plain, Sealed, Session};

/// The most that is received at a time, on the receiving thread's stack: two full records.
const CHUNK: usize = 2 * (MAX_RECORD + OVERHEAD);

/// The least: what follows a short message may as well come along.
const SMALL_CHUNK: usize = 4 * 1024;

/// So much is sealed, then sent, then the next so much: three full records, which go into one
/// segment of a loopback's TCP. With a little more than a segment every batch would wake the peer
/// twice.
const BATCH: usize = 3 * (MAX_RECORD + OVERHEAD);

/// A TLS session over a byte stream.
pub struct Tls {
    inner: Box<dyn Transport>,
    session: Mutex<Session>,
    /// Held by the one that receives.
    incoming: Mutex<Incoming>,
    /// The sending turn, and what its last holder could not send.
    unsent: Mutex<Sealed>,
    /// Decrypted bytes, or the end, wait for whoever receives next.
    has_unread: AtomicBool,
    /// Records were left behind by a sender whose deadline passed.
    has_unsent: AtomicBool,
    /// Receiving has produced records, and they are not in anybody's hands yet.
    has_queued: AtomicBool,
}

/// Bytes that were decrypted and not received yet.
#[derive(Default)]
struct Incoming {
    plain: Vec<u8>,
    start: usize,
    end: Option<End>,
}

/// How the stream ended.
#[derive(Clone, Copy)]
enum End {
    /// As the peer has said it would.
    Told,
    /// Without a word: what came last may be missing (RFC 8446, 6.1).
    Truncated,
}

impl Incoming {
    fn has_some(&self) -> bool {
        self.start < self.plain.len() || self.end.is_some()
    }

    /// Moves bytes to the start of `buffer`.
    fn take(&mut self, buffer: &mut [MaybeUninit<u8>]) -> usize {
        let rest = &self.plain[self.start..];
        let length = rest.len().min(buffer.len());
        for (room, byte) in buffer.iter_mut().zip(rest) {
            room.write(*byte);
        }
        self.start += length;
        if self.start == self.plain.len() {
            self.start = 0;
            self.plain = Vec::new();
        }
        length
    }
}

/// The sending turn. Whoever gives it back sends what receiving has produced meanwhile.
struct Turn<'a> {
    tls: &'a Tls,
    unsent: Option<MutexGuard<'a, Sealed>>,
}

impl std::ops::Deref for Turn<'_> {
    type Target = Sealed;

    fn deref(&self) -> &Sealed {
        self.unsent.as_ref().expect("held until it is dropped")
    }
}

impl std::ops::DerefMut for Turn<'_> {
    fn deref_mut(&mut self) -> &mut Sealed {
        self.unsent.as_mut().expect("held until it is dropped")
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.is_empty() {
            self.release();
        }
        self.tls
            .has_unsent
            .store(!self.is_empty(), Ordering::Release);
        self.unsent = None;
        // Either this thread sees what a receiver has queued, or that one gets the turn.
        fence(Ordering::SeqCst);
        if self.tls.has_queued.load(Ordering::Relaxed) {
            self.tls.push_queued();
        }
    }
}

impl Tls {
    /// A client's end, of which nothing has been sent: see [`Transport::open`].
    pub fn client(
        inner: Box<dyn Transport>,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> io::Result<Self> {
        Ok(Self::new(inner, Session::client(config, name)?))
    }

    /// A server's end. `received` is what the client has sent already.
    pub fn server(
        inner: Box<dyn Transport>,
        config: Arc<ServerConfig>,
        received: &[u8],
    ) -> io::Result<Self> {
        let tls = Self::new(inner, Session::server(config)?);
        let mut chunk: Vec<_> = received.iter().copied().map(MaybeUninit::new).collect();
        tls.decrypt(
            &mut Incoming::default(),
            &mut [],
            &mut chunk,
            0,
            received.len(),
        )
        .or_else(|error| {
            // Told by the call that opens, as every failure of the handshake is.
            TlsFailure::of(&error).map(|_| 0).ok_or(error)
        })?;
        Ok(tls)
    }

    fn new(inner: Box<dyn Transport>, session: Session) -> Self {
        Tls {
            inner,
            session: Mutex::new(session),
            incoming: Mutex::default(),
            unsent: Mutex::default(),
            has_unread: AtomicBool::new(false),
            has_unsent: AtomicBool::new(false),
            has_queued: AtomicBool::new(false),
        }
    }

    fn turn(&self, deadline: Deadline) -> Result<Turn<'_>, Halt> {
        let unsent = lock(&self.unsent, deadline)?;
        Ok(Turn {
            tls: self,
            unsent: Some(unsent),
        })
    }

    /// Sends what was sealed earlier, and what receiving has produced.
    fn drain(&self, sealed: &mut Sealed, deadline: Deadline) -> Result<(), Halt> {
        loop {
            while !sealed.is_empty() {
                let sent = self.inner.send(&[IoSlice::new(sealed.rest())], deadline)?;
                sealed.advance(sent);
            }
            if !self.has_queued.load(Ordering::Acquire) {
                return Ok(());
            }
            let mut session = self.session.lock();
            *sealed = session.take_queued();
            self.has_queued.store(false, Ordering::Release);
        }
    }

    /// Sends what receiving has produced, as far as that needs no waiting.
    fn push_queued(&self) {
        while self.has_queued.load(Ordering::Acquire) {
            let Some(mut unsent) = self.unsent.try_lock() else {
                return;
            };
            let is_drained = self.drain(&mut unsent, now()).is_ok();
            self.has_unsent.store(!unsent.is_empty(), Ordering::Release);
            drop(unsent);
            if !is_drained {
                return;
            }
            // As when a turn is given back: more may have come, whose receiver found no turn.
            fence(Ordering::SeqCst);
        }
    }

    /// Receives once and decrypts that; gives how many bytes stand at the start of `buffer` then,
    /// which may be none. What it has no room for is kept.
    fn pull(
        &self,
        incoming: &mut Incoming,
        buffer: &mut [MaybeUninit<u8>],
        deadline: Deadline,
    ) -> Result<usize, Halt> {
        let held = {
            let session = self.session.lock();
            session.check().map_err(Halt::Failed)?;
            session.partial_len()
        };
        let size = (held + buffer.len() + 8 * OVERHEAD).clamp(SMALL_CHUNK, CHUNK);
        let received = if held + OVERHEAD <= CHUNK {
            let mut chunk = [MaybeUninit::uninit(); CHUNK];
            let size = size.max(held + OVERHEAD).min(CHUNK);
            self.pull_through(incoming, buffer, &mut chunk[..size], held, deadline)?
        } else {
            // A message of the handshake in many records.
            let mut chunk = vec![MaybeUninit::uninit(); held + CHUNK];
            self.pull_through(incoming, buffer, &mut chunk, held, deadline)?
        };
        self.has_unread
            .store(incoming.has_some(), Ordering::Release);
        Ok(received)
    }

    fn pull_through(
        &self,
        incoming: &mut Incoming,
        buffer: &mut [MaybeUninit<u8>],
        chunk: &mut [MaybeUninit<u8>],
        held: usize,
        deadline: Deadline,
    ) -> Result<usize, Halt> {
        let received = self.inner.receive(&mut chunk[held..], deadline)?;
        if received == 0 {
            incoming.end = Some(End::Truncated);
            return Ok(0);
        }
        self.decrypt(incoming, buffer, chunk, held, received)
            .map_err(Halt::Failed)
    }

    fn decrypt(
        &self,
        incoming: &mut Incoming,
        buffer: &mut [MaybeUninit<u8>],
        chunk: &mut [MaybeUninit<u8>],
        held: usize,
        received: usize,
    ) -> io::Result<usize> {
        let mut plain = Plain {
            buffer,
            filled: 0,
            kept: &mut incoming.plain,
        };
        let mut session = self.session.lock();
        let outcome = session.open(chunk, held, received, &mut plain);
        let filled = plain.filled;
        if session.peer_closed() {
            incoming.end = Some(End::Told);
        }
        let has_queued = session.has_queued();
        if has_queued {
            self.has_queued.store(true, Ordering::Relaxed);
        }
        drop(session);
        if has_queued {
            fence(Ordering::SeqCst);
            self.push_queued();
        }
        // What came before a failure is given first; the failure stays for the next call.
        match outcome {
            Err(_) if filled > 0 => Ok(filled),
            outcome => outcome.map(|()| filled),
        }
    }
}

/// The deadline of whoever must not wait.
fn now() -> Deadline {
    Duration::ZERO.into()
}

// SAFETY: `receive` returns how many bytes `Incoming::take` or `Plain::put` wrote to the start of
// the buffer, one after the other; neither writes more than it has.
unsafe impl Transport for Tls {
    fn open(&self, deadline: Deadline) -> Result<(), Halt> {
        self.inner.open(deadline)?;
        let mut incoming = self.incoming.lock();
        loop {
            let begun = {
                let mut session = self.session.lock();
                let begun = session.begin();
                if session.has_queued() {
                    self.has_queued.store(true, Ordering::Release);
                }
                begun
            };
            if let Err(error) = begun {
                // The alert says why, if the peer still listens.
                let _ = self.flush(now());
                return Err(Halt::Failed(error));
            }
            self.flush(deadline)?;
            if self.session.lock().is_open() {
                return Ok(());
            }
            self.pull(&mut incoming, &mut [], deadline)?;
            if incoming.end.is_some() {
                return Err(Halt::Failed(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    fn receive(&self, buffer: &mut [MaybeUninit<u8>], deadline: Deadline) -> Result<usize, Halt> {
        let mut incoming = self.incoming.lock();
        loop {
            let taken = incoming.take(buffer);
            if taken > 0 {
                self.has_unread
                    .store(incoming.has_some(), Ordering::Release);
                return Ok(taken);
            }
            match incoming.end {
                None => {}
                Some(End::Told) => return Ok(0),
                Some(End::Truncated) => return Err(Halt::Failed(truncated())),
            }
            let received = self.pull(&mut incoming, buffer, deadline)?;
            if received > 0 {
                return Ok(received);
            }
        }
    }

    fn send(&self, pieces: &[IoSlice<'_>], deadline: Deadline) -> Result<usize, Halt> {
        let mut turn = self.turn(deadline)?;
        self.drain(&mut turn, deadline)?;
        if !deadline.is_unbounded() {
            // Once it is sealed it is sent, sooner or later; so only when there is room.
            self.inner.wait(SENDABLE, deadline)?;
        }
        let size: usize = pieces.iter().map(|piece| piece.len()).sum();
        turn.reserve(size).map_err(Halt::Failed)?;
        let mut records = Records::new(pieces);
        loop {
            let mut is_last = false;
            while turn.len() + MAX_RECORD + OVERHEAD <= BATCH {
                let Some(payload) = records.next() else {
                    is_last = true;
                    break;
                };
                let sealed = self.session.lock().seal(payload, &mut turn);
                sealed.map_err(Halt::Failed)?;
            }
            match self.drain(&mut turn, deadline) {
                Ok(()) if is_last => return Ok(records.given),
                Ok(()) => {}
                Err(Halt::Failed(error)) => return Err(Halt::Failed(error)),
                // The records that are left go before anything else does.
                Err(_) => return Ok(records.given),
            }
        }
    }

    fn wait(&self, wanted: Readiness, deadline: Deadline) -> Result<Readiness, Halt> {
        if !wanted.receive {
            return self.inner.wait(wanted, deadline);
        }
        let mut incoming = self.incoming.lock();
        loop {
            if incoming.has_some() || self.session.lock().has_failed() {
                let send = wanted.send && self.inner.wait(SENDABLE, now()).is_ok();
                return Ok(Readiness {
                    receive: true,
                    send,
                });
            }
            let ready = self.inner.wait(wanted, deadline)?;
            // What has come may be half a record, or none that carries data.
            if ready.receive
                && let Err(Halt::Failed(error)) = self.pull(&mut incoming, &mut [], now())
                && TlsFailure::of(&error).is_none()
            {
                return Err(Halt::Failed(error));
            }
            if ready.send {
                return Ok(Readiness {
                    receive: incoming.has_some() || self.session.lock().has_failed(),
                    send: true,
                });
            }
        }
    }

    fn flush(&self, deadline: Deadline) -> Result<(), Halt> {
        if self.has_unsent.load(Ordering::Acquire) || self.has_queued.load(Ordering::Acquire) {
            let mut turn = self.turn(deadline)?;
            self.drain(&mut turn, deadline)?;
        }
        self.inner.flush(deadline)
    }

    fn has_unsent(&self) -> bool {
        self.has_unsent.load(Ordering::Acquire)
            || self.has_queued.load(Ordering::Acquire)
            || self.inner.has_unsent()
    }

    fn has_unread(&self) -> bool {
        self.has_unread.load(Ordering::Acquire) || self.inner.has_unread()
    }

    fn holds_unread(&self) -> bool {
        self.has_unread.load(Ordering::Acquire) || self.inner.holds_unread()
    }

    fn as_raw_fd(&self) -> RawFd {
        self.inner.as_raw_fd()
    }

    fn shutdown(&self, how: Shutdown) {
        // Who is sending may be in the middle of a record, and is about to be woken: no goodbye
        // could follow that.
        if how != Shutdown::Read
            && let Some(unsent) = self.unsent.try_lock()
        {
            let mut turn = Turn {
                tls: self,
                unsent: Some(unsent),
            };
            if self.session.lock().say_goodbye(&mut turn).is_ok() {
                let _ = self.drain(&mut turn, now());
            }
        }
        self.inner.shutdown(how);
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.inner.peer_addr()
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.inner.local_addr()
    }

    fn piece_size(&self) -> usize {
        3 * MAX_RECORD
    }

    fn tls(&self) -> Option<TlsInfo> {
        Some(self.session.lock().info())
    }
}

const SENDABLE: Readiness = Readiness {
    receive: false,
    send: true,
};

fn truncated() -> io::Error {
    let reason = "truncated: the peer ended TCP without the close_notify of TLS (RFC 8446, 6.1)";
    io::Error::new(io::ErrorKind::UnexpectedEof, reason)
}

/// Cuts pieces into payloads of records.
struct Records<'a> {
    pieces: &'a [IoSlice<'a>],
    /// How much of the first piece was given.
    start: usize,
    /// How much was given in all.
    given: usize,
    /// A payload that was put together from several pieces.
    joined: Vec<u8>,
}

impl<'a> Records<'a> {
    fn new(pieces: &'a [IoSlice<'a>]) -> Self {
        Records {
            pieces,
            start: 0,
            given: 0,
            joined: Vec::new(),
        }
    }

    /// The next payload, as it is if it stands in one piece.
    fn next(&mut self) -> Option<&[u8]> {
        self.joined.clear();
        loop {
            let Some((piece, others)) = self.pieces.split_first() else {
                return (!self.joined.is_empty()).then_some(&self.joined[..]);
            };
            let piece: &'a [u8] = piece;
            let rest = &piece[self.start..];
            let room = MAX_RECORD - self.joined.len();
            let taken = &rest[..rest.len().min(room)];
            self.start += taken.len();
            self.given += taken.len();
            if self.start == piece.len() {
                (self.pieces, self.start) = (others, 0);
            }
            let is_full = taken.len() == room;
            let is_whole = is_full || others.iter().all(|piece| piece.is_empty());
            if self.joined.is_empty() && is_whole && !taken.is_empty() {
                return Some(taken);
            }
            self.joined.extend_from_slice(taken);
            if is_full {
                return Some(&self.joined);
            }
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
