//! Deadlines: a point in time, taken once when a call begins, that covers the whole call.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// When a call stops waiting.
///
/// Made from a timeout ([`Duration`], counted from now), a point in time ([`Instant`]), or
/// [`Deadline::NEVER`]. A timeout of zero means: do what can be done without waiting.
///
/// ```
/// use std::time::Duration;
/// use talkws::Deadline;
///
/// assert!(Deadline::from(Duration::ZERO).has_passed());
/// assert!(!Deadline::NEVER.has_passed());
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Deadline {
    at: Option<Instant>,
    interrupted: Option<fn() -> bool>,
}

impl Deadline {
    /// Wait for ever.
    pub const NEVER: Deadline = Deadline {
        at: None,
        interrupted: None,
    };

    /// `timeout` from now. One too long for the clock is [`Deadline::NEVER`].
    pub fn after(timeout: Duration) -> Self {
        Deadline {
            at: Instant::now().checked_add(timeout),
            interrupted: None,
        }
    }

    /// Asks `interrupted` every [`Deadline::INTERRUPT_INTERVAL`] while waiting, and whenever a
    /// signal arrives; the call ends with [`Error::Interrupted`](crate::Error::Interrupted)
    /// once it says `true`. Like a timeout, that damages nothing: call again and go on.
    ///
    /// This is how a language runtime lets its user stop a wait (Ctrl-C in Python).
    pub fn interrupted_by(self, interrupted: fn() -> bool) -> Self {
        Deadline {
            interrupted: Some(interrupted),
            ..self
        }
    }

    /// How often a wait looks whether it was interrupted.
    pub const INTERRUPT_INTERVAL: Duration = Duration::from_millis(50);

    /// One that has passed already: for calls that must not wait. Costs no look at the clock.
    pub(crate) fn passed() -> Self {
        static EARLIER: OnceLock<Instant> = OnceLock::new();
        Deadline {
            at: Some(*EARLIER.get_or_init(Instant::now)),
            interrupted: None,
        }
    }

    /// Whether the point in time is behind us.
    pub fn has_passed(&self) -> bool {
        self.at.is_some_and(|at| at <= Instant::now())
    }

    /// The time left; `None` when there is no end to it.
    pub fn remaining(&self) -> Option<Duration> {
        self.at
            .map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// The point in time, if there is one.
    pub fn instant(&self) -> Option<Instant> {
        self.at
    }

    /// This deadline, or `other` if that comes first. Keeps this one's interruption.
    pub fn or_sooner(self, other: impl Into<Deadline>) -> Self {
        let at = match (self.at, other.into().at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Deadline { at, ..self }
    }

    /// Whether a wait may be one uninterrupted system call.
    pub(crate) fn is_unbounded(&self) -> bool {
        self.at.is_none() && self.interrupted.is_none()
    }

    /// Whether the caller wants the wait to end now, whatever the time.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted.is_some_and(|interrupted| interrupted())
    }

    /// How long one system call may wait before the deadline must be looked at again.
    pub(crate) fn slice(&self) -> Option<Duration> {
        match (self.remaining(), self.interrupted) {
            (Some(left), Some(_)) => Some(left.min(Self::INTERRUPT_INTERVAL)),
            (None, Some(_)) => Some(Self::INTERRUPT_INTERVAL),
            (left, None) => left,
        }
    }
}

impl From<Duration> for Deadline {
    fn from(timeout: Duration) -> Self {
        Deadline::after(timeout)
    }
}

impl From<Option<Duration>> for Deadline {
    fn from(timeout: Option<Duration>) -> Self {
        timeout.map_or(Deadline::NEVER, Deadline::after)
    }
}

impl From<Instant> for Deadline {
    fn from(at: Instant) -> Self {
        Deadline {
            at: Some(at),
            interrupted: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_too_long_for_the_clock_is_never() {
        assert!(Deadline::after(Duration::MAX).instant().is_none());
    }

    #[test]
    fn the_sooner_of_two_deadlines_wins() {
        let (near, far) = (Duration::from_secs(1), Duration::from_secs(100));
        let sooner = Deadline::after(far).or_sooner(near).instant();
        assert!(sooner < Deadline::after(far).instant());
        assert!(Deadline::NEVER.or_sooner(near).instant().is_some());
        assert!(
            Deadline::after(near)
                .or_sooner(Deadline::NEVER)
                .instant()
                .is_some()
        );
    }

    #[test]
    fn an_interruptible_wait_is_sliced_whatever_its_deadline() {
        let wait = Deadline::after(Duration::from_secs(100)).interrupted_by(|| false);
        assert_eq!(wait.slice(), Some(Deadline::INTERRUPT_INTERVAL));
        assert_eq!(Deadline::NEVER.slice(), None);
        assert!(!Deadline::NEVER.interrupted_by(|| false).is_unbounded());
    }
}
