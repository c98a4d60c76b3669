//! What the loops of a server have in common, and what they tell each other.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use mio::{Poll, Token, Waker};
use parking_lot::Mutex;

use super::ServeReport;
use crate::close::CloseCode;
use crate::connection::{Connection, Watcher};
use crate::error::Error;
use crate::server::pending::Pending;

/// The token of a loop's waker.
pub(super) const WAKER: Token = Token(usize::MAX);

/// The loops of a server.
pub(in crate::server) struct Crew {
    mail: Vec<Arc<Mail>>,
    stop: Mutex<Option<Stop>>,
    closed: AtomicUsize,
    unanswered: AtomicUsize,
}

/// How to end the connections.
#[derive(Clone)]
pub(super) struct Stop {
    pub code: CloseCode,
    pub reason: String,
    /// When to wait no longer.
    pub at: Instant,
}

/// Something for a loop to do.
pub(super) enum News {
    Client(Pending),
    Connection(Connection),
    /// The connection of this key is being closed.
    Look(usize),
}

/// What comes to a loop from other threads.
pub(super) struct Mail {
    waker: Waker,
    /// `None` when the loop has ended.
    inbox: Mutex<Option<Vec<News>>>,
    /// How many clients the loop has.
    load: AtomicUsize,
}

impl Crew {
    pub(super) fn new(threads: usize) -> io::Result<(Self, Vec<Poll>)> {
        let mut polls = Vec::new();
        let mut mail = Vec::new();
        for _ in 0..threads {
            let poll = Poll::new()?;
            mail.push(Arc::new(Mail {
                waker: Waker::new(poll.registry(), WAKER)?,
                inbox: Mutex::new(Some(Vec::new())),
                load: AtomicUsize::new(0),
            }));
            polls.push(poll);
        }
        let crew = Crew {
            mail,
            stop: Mutex::new(None),
            closed: AtomicUsize::new(0),
            unanswered: AtomicUsize::new(0),
        };
        Ok((crew, polls))
    }

    pub(super) fn mail(&self, index: usize) -> &Arc<Mail> {
        &self.mail[index]
    }

    pub(super) fn size(&self) -> usize {
        self.mail.len()
    }

    /// The loop with the fewest clients.
    pub(super) fn least_loaded(&self) -> usize {
        let load = |index: &usize| self.mail[*index].load.load(Ordering::Relaxed);
        (0..self.mail.len()).min_by_key(load).unwrap_or(0)
    }

    /// Has all connections ended, unless that was begun before.
    pub(super) fn stop(&self, stop: Stop) {
        self.stop.lock().get_or_insert(stop);
        self.wake_all();
    }

    pub(super) fn wake_all(&self) {
        for mail in &self.mail {
            mail.wake();
        }
    }

    pub(super) fn stopping(&self) -> Option<Stop> {
        self.stop.lock().clone()
    }

    /// Counts a connection that ended while the server was shut down.
    pub(super) fn count(&self, end: &Error) {
        let count = match end {
            Error::Closed(_) => &self.closed,
            _ => &self.unanswered,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn report(&self) -> ServeReport {
        ServeReport {
            closed: self.closed.load(Ordering::Relaxed),
            unanswered: self.unanswered.load(Ordering::Relaxed),
        }
    }
}

impl Mail {
    fn wake(&self) {
        // It fails when the counter is full: a wake-up is on its way then.
        let _ = self.waker.wake();
    }

    /// Tells the loop something; false when it has ended.
    pub fn post(&self, news: News) -> bool {
        if let News::Client(_) | News::Connection(_) = news {
            self.count_in();
        }
        let mut inbox = self.inbox.lock();
        let Some(inbox) = inbox.as_mut() else {
            return false;
        };
        inbox.push(news);
        // Who finds something there need not wake.
        if inbox.len() == 1 {
            self.wake();
        }
        true
    }

    pub fn take(&self) -> Vec<News> {
        self.inbox
            .lock()
            .as_mut()
            .map_or_else(Vec::new, std::mem::take)
    }

    /// Takes no more, unless there is something.
    pub fn close_if_empty(&self) -> bool {
        let mut inbox = self.inbox.lock();
        if inbox.as_ref().is_some_and(|inbox| !inbox.is_empty()) {
            return false;
        }
        *inbox = None;
        true
    }

    pub fn close(&self) {
        *self.inbox.lock() = None;
    }

    /// The loop has one client more.
    pub fn count_in(&self) {
        self.load.fetch_add(1, Ordering::Relaxed);
    }

    /// And one less.
    pub fn count_out(&self) {
        self.load.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Watcher for Mail {
    fn look(&self, key: usize) {
        self.post(News::Look(key));
    }
}
