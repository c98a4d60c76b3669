//! What a connection counts: cheap enough for every message, and read by anybody at any time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a connection has done so far: see [`Connection::counters`](crate::Connection::counters).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Messages that were read to their end.
    pub messages_received: u64,
    /// Messages that were accepted for sending, to their end.
    pub messages_sent: u64,
    /// Bytes of payload that were read.
    pub bytes_received: u64,
    /// Bytes of payload that were accepted for sending.
    pub bytes_sent: u64,
    /// Messages that were accepted for sending and dropped, to make room for newer ones
    /// ([`BacklogPolicy::DropOldest`](crate::BacklogPolicy::DropOldest)).
    pub messages_dropped: u64,
    /// Pings that came, each of which was, or will be, answered (but see RFC 6455, 5.5.3).
    pub pings_received: u64,
    /// Pings that were sent, those of keepalive included.
    pub pings_sent: u64,
    /// Pongs that came, asked for or not.
    pub pongs_received: u64,
    /// How long the answer to the newest answered Ping took.
    pub round_trip: Option<Duration>,
}

/// The counters while they count.
///
/// Each is written under the lock of one half, or of the status, and read without any.
#[derive(Debug, Default)]
pub(super) struct Tally {
    messages_received: AtomicU64,
    messages_sent: AtomicU64,
    bytes_received: AtomicU64,
    bytes_sent: AtomicU64,
    messages_dropped: AtomicU64,
    pings_received: AtomicU64,
    pings_sent: AtomicU64,
    pongs_received: AtomicU64,
    /// In nanoseconds; 0 before the first.
    round_trip: AtomicU64,
    /// How often bytes were received.
    heard: AtomicU64,
}

impl Tally {
    pub fn message_received(&self, size: usize) {
        self.part_received(size, true);
    }

    pub fn part_received(&self, size: usize, is_last: bool) {
        add(&self.bytes_received, size as u64);
        add(&self.messages_received, is_last.into());
    }

    pub fn part_sent(&self, size: usize, is_last: bool) {
        add(&self.bytes_sent, size as u64);
        add(&self.messages_sent, is_last.into());
    }

    pub fn message_dropped(&self) {
        // Not under one lock only.
        self.messages_dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub fn ping_received(&self) {
        add(&self.pings_received, 1);
    }

    pub fn ping_sent(&self) {
        add(&self.pings_sent, 1);
    }

    pub fn pong_received(&self) {
        add(&self.pongs_received, 1);
    }

    pub fn round_trip(&self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.round_trip.store(nanoseconds.max(1), Ordering::Relaxed);
    }

    pub fn heard(&self) {
        add(&self.heard, 1);
    }

    /// A number that changes whenever the peer is heard of.
    pub fn times_heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    pub fn read(&self) -> Counters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let round_trip = read(&self.round_trip);
        Counters {
            messages_received: read(&self.messages_received),
            messages_sent: read(&self.messages_sent),
            bytes_received: read(&self.bytes_received),
            bytes_sent: read(&self.bytes_sent),
            messages_dropped: read(&self.messages_dropped),
            pings_received: read(&self.pings_received),
            pings_sent: read(&self.pings_sent),
            pongs_received: read(&self.pongs_received),
            round_trip: (round_trip > 0).then(|| Duration::from_nanos(round_trip)),
        }
    }
}

/// Adds to a counter that nobody else writes meanwhile: that needs no locked instruction.
fn add(counter: &AtomicU64, more: u64) {
    let sum = counter.load(Ordering::Relaxed).wrapping_add(more);
    counter.store(sum, Ordering::Relaxed);
}
