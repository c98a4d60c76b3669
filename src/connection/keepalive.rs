//! Keepalive: Pings for peers that are silent, and an end for those that stay so.
//!
//! One thread serves all connections of the process. It starts with the first connection that
//! wants to be kept alive, and ends with the last.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::{Phase, Shared};
use crate::error::{Error, Result};
use crate::options::Keepalive;

static TIMER: Timer = Timer {
    state: Mutex::new(State {
        process: 0,
        watches: BinaryHeap::new(),
    }),
    is_sooner: Condvar::new(),
};

struct Timer {
    state: Mutex<State>,
    /// Told when a connection came that must be looked at before all others.
    is_sooner: Condvar,
}

struct State {
    /// The process in which the thread runs, or 0. A child of `fork` has no such thread.
    process: u32,
    watches: BinaryHeap<Reverse<Watch>>,
}

/// A connection, and when to look at it again.
struct Watch {
    at: Instant,
    connection: Weak<Shared>,
    keepalive: Keepalive,
    /// How often bytes had come when it was last looked at.
    times_heard: u64,
    /// When it was first seen that nothing came any more.
    silent_since: Instant,
}

impl PartialEq for Watch {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Watch {}

impl PartialOrd for Watch {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Watch {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

/// Keeps a connection alive from now on.
pub(super) fn watch(connection: &Arc<Shared>, keepalive: Keepalive) -> Result<()> {
    let now = Instant::now();
    let watch = Watch {
        at: now + keepalive.look_every(),
        connection: Arc::downgrade(connection),
        keepalive,
        times_heard: connection.tally.times_heard(),
        silent_since: now,
    };
    let mut state = TIMER.state.lock();
    if state.process != std::process::id() {
        // What a parent process watched is not ours to keep alive.
        state.watches.clear();
        thread::Builder::new()
            .name("talkws-keepalive".into())
            .spawn(run)
            .map_err(|error| Error::io("keepalive: start its thread", error))?;
        state.process = std::process::id();
    }
    state.watches.push(Reverse(watch));
    TIMER.is_sooner.notify_one();
    Ok(())
}

/// The thread.
fn run() {
    let mut state = TIMER.state.lock();
    while let Some(Reverse(next)) = state.watches.peek() {
        let at = next.at;
        if at > Instant::now() {
            TIMER.is_sooner.wait_until(&mut state, at);
            continue;
        }
        let Some(Reverse(watch)) = state.watches.pop() else {
            continue;
        };
        // Looking at it takes system calls, and may end it: others may join meanwhile.
        let again = parking_lot::MutexGuard::unlocked(&mut state, || watch.look());
        state.watches.extend(again.map(Reverse));
    }
    state.process = 0;
}

impl Watch {
    /// Looks at the connection; gives when to look again, unless it has ended.
    fn look(mut self) -> Option<Watch> {
        let connection = self.connection.upgrade()?;
        if connection.phase() == Phase::Ended {
            return None;
        }
        let now = Instant::now();
        let times_heard = connection.tally.times_heard();
        // Bytes that nobody has read yet are a sign of life too.
        if times_heard != self.times_heard || connection.transport.has_unread() {
            self.times_heard = times_heard;
            self.silent_since = now;
        }
        let silent = now.saturating_duration_since(self.silent_since);
        let (interval, timeout) = (self.keepalive.interval(), self.keepalive.timeout());
        let before = silent.saturating_sub(self.keepalive.look_every());
        if silent >= interval.saturating_add(timeout) {
            let reason = format!(
                "keepalive: nothing came for {:.1} s, and no answer to a Ping",
                silent.as_secs_f64()
            );
            connection.end(Error::ConnectionLost {
                reason: reason.into(),
                source: None,
            });
            return None;
        }
        if silent >= interval && before < interval && connection.phase() == Phase::Open {
            connection.try_ping(b"keepalive");
        }
        self.at = now + self.keepalive.look_every();
        Some(self)
    }
}

impl Keepalive {
    /// How often a connection is looked at: no call pays for knowing the time, so that silence is
    /// measured to a part of the interval.
    fn look_every(&self) -> Duration {
        let shortest = Duration::from_millis(1);
        (self.interval().min(self.timeout()) / 4).max(shortest)
    }
}
