//! Byte streams under a connection: received and sent by two threads at once, with deadlines,
//! and shut down by a third.

pub mod poll;
pub mod tcp;
#[cfg(feature = "tls")]
pub mod tls;

use std::fmt;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::RawFd;

use parking_lot::{Mutex, MutexGuard};

use crate::deadline::Deadline;
use crate::tls::TlsInfo;

/// Why a transport stopped without doing what it was asked.
#[derive(Debug)]
pub enum Halt {
    /// The deadline passed. Nothing was received or sent by this call.
    TimedOut,
    /// The caller's interruption. Nothing was received or sent by this call.
    Interrupted,
    /// The stream failed, for good.
    Failed(io::Error),
}

/// What to wait for, and what has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readiness {
    /// Bytes can be received, or the stream has ended.
    pub receive: bool,
    /// Bytes can be sent, or the stream has failed.
    pub send: bool,
}

/// A byte stream.
///
/// One thread receives while another sends; neither waits for the other. A third may
/// [`shutdown`](Transport::shutdown) at any time, which ends both their waits.
///
/// # Safety
///
/// [`receive`](Transport::receive) promises that as many bytes at the start of the buffer are
/// initialised as it returns, and never more than the buffer has, and that it leaves none of the
/// buffer less initialised than it was; callers rely on it.
pub unsafe trait Transport: Send + Sync + fmt::Debug {
    /// Makes the handshake that the stream needs before it carries bytes. A halt other than a
    /// failure loses nothing of it: call again.
    fn open(&self, _deadline: Deadline) -> Result<(), Halt> {
        Ok(())
    }

    /// Waits for bytes and puts them at the start of `buffer`; gives how many, 0 at the end of
    /// the stream. `buffer` must not be empty.
    fn receive(&self, buffer: &mut [MaybeUninit<u8>], deadline: Deadline) -> Result<usize, Halt>;

    /// Sends what the stream takes of `pieces`, in their order, at least one byte; gives how
    /// many. Without a deadline it usually takes all.
    fn send(&self, pieces: &[IoSlice<'_>], deadline: Deadline) -> Result<usize, Halt>;

    /// How many bytes it is best to give to [`send`](Transport::send) at a time, by who must copy
    /// them first.
    fn piece_size(&self) -> usize {
        512 * 1024
    }

    /// Sends what [`send`](Transport::send) took and the stream below has not taken yet.
    fn flush(&self, _deadline: Deadline) -> Result<(), Halt> {
        Ok(())
    }

    /// Whether there is something to [`flush`](Transport::flush).
    fn has_unsent(&self) -> bool {
        false
    }

    /// Waits until one of `wanted` is so. Only whoever may receive may wait to.
    fn wait(&self, wanted: Readiness, deadline: Deadline) -> Result<Readiness, Halt>;

    /// Whether bytes have come, or the end, that nobody has received. Waits for nothing.
    fn has_unread(&self) -> bool;

    /// Whether bytes, or the end, have come that the descriptor does not tell of any more.
    fn holds_unread(&self) -> bool {
        false
    }

    /// What an event loop may wait for.
    fn as_raw_fd(&self) -> RawFd;

    /// Ends a direction, or both. Whoever waits for it is woken.
    fn shutdown(&self, how: Shutdown);

    /// The address of the other end, if the stream has one.
    fn peer_addr(&self) -> Option<SocketAddr>;

    /// The address of this end, if the stream has one.
    fn local_addr(&self) -> Option<SocketAddr>;

    /// What was agreed upon, if the stream is TLS.
    fn tls(&self) -> Option<TlsInfo> {
        None
    }
}

/// Waits for a lock until `deadline`.
pub fn lock<T>(mutex: &Mutex<T>, deadline: Deadline) -> Result<MutexGuard<'_, T>, Halt> {
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
