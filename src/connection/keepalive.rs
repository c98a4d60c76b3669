//! Keepalive: Pings for peers that are silent, and an end for those that stay so.
//!
//! One thread serves all connections of the process. It starts with the first connection that
//! wants to be kept alive, and ends with the last.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
// Not parking_lot's: its table of waiting threads is one for the process, and in a child of `fork`
// the thread that waits here would still stand in it.
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::{Phase, Shared};
use crate::error::{Error, Result};
use crate::options::Keepalive;

/// The timer of this process, or of its parent, which is not ours to touch.
static TIMER: AtomicPtr<Timer> = AtomicPtr::new(ptr::null_mut());

struct Timer {
    process: u32,
    state: Mutex<State>,
    /// Told when a connection came that must be looked at before all others.
    is_sooner: Condvar,
}

#[derive(Default)]
struct State {
    is_running: bool,
    watches: BinaryHeap<Reverse<Watch>>,
    /// How many watches there may be until those of connections that are gone are looked for.
    tidy_at: usize,
}

/// So few watches are not worth looking through.
const FEW: usize = 64;

impl State {
    fn add(&mut self, watch: Watch) {
        // A watch keeps the memory of its connection, and its time may be hours away: no more of
        // those that are gone are kept than there are others.
        if self.watches.len() >= self.tidy_at {
            self.watches.retain(|Reverse(watch)| watch.is_needed());
            self.tidy_at = FEW.max(2 * self.watches.len());
        }
        self.watches.push(Reverse(watch));
    }
}

impl Timer {
    fn of_this_process() -> &'static Timer {
        let process = std::process::id();
        loop {
            let known = TIMER.load(Ordering::Acquire);
            // SAFETY: NULL, or put there below and never freed.
            if let Some(timer) = unsafe { known.as_ref() }
                && timer.process == process
            {
                return timer;
            }
            let ours = Box::into_raw(Box::new(Timer {
                process,
                state: Mutex::default(),
                is_sooner: Condvar::new(),
            }));
            let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
            if TIMER
                .compare_exchange(known, ours, success, failure)
                .is_err()
            {
                // SAFETY: just made, and nobody else has seen it.
                drop(unsafe { Box::from_raw(ours) });
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
    /// When the peer was first to be asked for a sign of life.
    asked_at: Option<Instant>,
    /// Whether the Ping went out: whoever was writing may have had the writer's turn.
    is_asked: bool,
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
        asked_at: None,
        is_asked: false,
    };
    let timer = Timer::of_this_process();
    let mut state = timer.lock();
    if !state.is_running {
        thread::Builder::new()
            .name("talkws-keepalive".into())
            .spawn(|| run(timer))
            .map_err(|error| Error::io("keepalive: start its thread", error))?;
        state.is_running = true;
    }
    let is_sooner = state
        .watches
        .peek()
        .is_none_or(|Reverse(next)| watch.at < next.at);
    state.add(watch);
    if is_sooner {
        timer.is_sooner.notify_one();
    }
    Ok(())
}

/// The thread.
fn run(timer: &Timer) {
    let mut state = timer.lock();
    while let Some(Reverse(next)) = state.watches.peek() {
        let wait = next.at.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            let waited = timer.is_sooner.wait_timeout(state, wait);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        let due = state.watches.pop();
        // Looking at it takes system calls, and may end it: others may join meanwhile.
        drop(state);
        let again = due.and_then(|Reverse(watch)| watch.look());
        state = timer.lock();
        state.watches.extend(again.map(Reverse));
    }
    state.is_running = false;
}

impl Watch {
    fn is_needed(&self) -> bool {
        self.connection.strong_count() > 0
    }

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
            (self.asked_at, self.is_asked) = (None, false);
        }
        let silent = now.saturating_duration_since(self.silent_since);
        if silent >= self.keepalive.interval() && connection.phase() == Phase::Open {
            // Counted from here, and not from the silence: this thread, or the machine, may have
            // slept for longer than both times.
            let asked_at = *self.asked_at.get_or_insert(now);
            if now.saturating_duration_since(asked_at) >= self.keepalive.timeout() {
                give_up(&connection, silent);
                return None;
            }
            self.is_asked = self.is_asked || connection.try_ping(b"keepalive");
        }
        self.at = now + self.keepalive.look_every();
        Some(self)
    }
}

fn give_up(connection: &Shared, silent: Duration) {
    let reason = format!(
        "keepalive: nothing came for {:.1} s, and no answer to a Ping",
        silent.as_secs_f64()
    );
    connection.end(Error::ConnectionLost {
        reason: reason.into(),
        source: None,
    });
}

impl Keepalive {
    /// How often a connection is looked at: no call pays for knowing the time, so that silence is
    /// measured to a part of the interval.
    fn look_every(&self) -> Duration {
        let shortest = Duration::from_millis(1);
        (self.interval().min(self.timeout()) / 4).max(shortest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::UpgradeOptions;

    const HOUR: Duration = Duration::from_secs(3600);

    fn watch_of(connection: Weak<Shared>) -> Watch {
        let now = Instant::now();
        Watch {
            at: now + HOUR,
            connection,
            keepalive: Keepalive::new(HOUR, HOUR).unwrap(),
            times_heard: 0,
            silent_since: now,
            asked_at: None,
            is_asked: false,
        }
    }

    #[test]
    fn what_is_gone_is_forgotten_before_its_time() {
        let listener = crate::listen("ws://127.0.0.1:0").unwrap();
        let url = listener.url().to_owned();
        let dialling = thread::spawn(move || crate::dial(&url).unwrap());
        let request = listener.accept().unwrap();
        let server = request.upgrade(UpgradeOptions::new()).unwrap();
        let client = dialling.join().unwrap();

        let mut state = State::default();
        state.add(watch_of(Arc::downgrade(&client.shared)));
        for _ in 0..1000 {
            state.add(watch_of(Weak::new()));
            assert!(state.watches.len() <= FEW);
        }
        state.add(watch_of(Arc::downgrade(&server.shared)));
        let needed = state
            .watches
            .iter()
            .filter(|Reverse(watch)| watch.is_needed());
        assert_eq!(needed.count(), 2);
    }
}
