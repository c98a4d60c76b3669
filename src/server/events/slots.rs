//! The clients and connections of a loop, each with at most one point in time at which to look at it.

use std::collections::BTreeSet;
use std::time::Instant;

use slab::Slab;

use crate::connection::Connection;
use crate::server::pending::Pending;

/// What a loop waits for, by key.
pub(super) struct Slots<S> {
    slots: Slab<Slot<S>>,
    timers: BTreeSet<(Instant, usize)>,
    pending: usize,
}

struct Slot<S> {
    timer: Option<Instant>,
    /// `None` while it is being worked on.
    entry: Option<Entry<S>>,
}

pub(super) enum Entry<S> {
    /// The request has not come, or its refusal has not gone.
    Pending(Box<Pending>),
    Served(Served<S>),
    /// It has failed, and the peer may still be reading why.
    Lingering(Connection),
}

pub(super) struct Served<S> {
    pub ws: Connection,
    /// `None` if the handler did not get as far.
    pub state: Option<S>,
    /// Whether it is among those that have a turn again.
    pub is_queued: bool,
}

impl<S> Slots<S> {
    pub fn new() -> Self {
        Slots {
            slots: Slab::new(),
            timers: BTreeSet::new(),
            pending: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// How many are pending.
    pub fn pending(&self) -> usize {
        self.pending
    }

    pub fn next_key(&self) -> usize {
        self.slots.vacant_key()
    }

    pub fn insert(&mut self, entry: Entry<S>) -> usize {
        self.pending += usize::from(matches!(entry, Entry::Pending(_)));
        self.slots.insert(Slot {
            timer: None,
            entry: Some(entry),
        })
    }

    pub fn get(&self, key: usize) -> Option<&Entry<S>> {
        self.slots.get(key)?.entry.as_ref()
    }

    pub fn get_mut(&mut self, key: usize) -> Option<&mut Entry<S>> {
        self.slots.get_mut(key)?.entry.as_mut()
    }

    /// Takes an entry out, to be put back.
    pub fn take(&mut self, key: usize) -> Option<Entry<S>> {
        let entry = self.slots.get_mut(key)?.entry.take()?;
        self.pending -= usize::from(matches!(entry, Entry::Pending(_)));
        Some(entry)
    }

    /// Takes a connection out, to be put back; leaves what is no connection that is served.
    pub fn take_served(&mut self, key: usize) -> Option<Served<S>> {
        match self.take(key)? {
            Entry::Served(served) => Some(served),
            other => {
                self.put_back(key, other);
                None
            }
        }
    }

    pub fn put_back(&mut self, key: usize, entry: Entry<S>) {
        if let Some(slot) = self.slots.get_mut(key) {
            self.pending += usize::from(matches!(entry, Entry::Pending(_)));
            slot.entry = Some(entry);
        }
    }

    pub fn remove(&mut self, key: usize) -> Option<Entry<S>> {
        let entry = self.take(key);
        self.set_timer(key, None);
        self.slots.try_remove(key);
        entry
    }

    pub fn set_timer(&mut self, key: usize, at: Option<Instant>) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        if slot.timer == at {
            return;
        }
        if let Some(before) = slot.timer {
            self.timers.remove(&(before, key));
        }
        slot.timer = at;
        self.timers.extend(at.map(|at| (at, key)));
    }

    pub fn next_timer(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Takes one whose time has come.
    pub fn take_due(&mut self, now: Instant) -> Option<usize> {
        let &(at, key) = self.timers.first()?;
        if at > now {
            return None;
        }
        self.set_timer(key, None);
        Some(key)
    }

    /// Who is pending for longest, or is about to have been.
    pub fn oldest_pending(&self) -> Option<usize> {
        let is_pending = |key: &usize| matches!(self.get(*key), Some(Entry::Pending(_)));
        let mut keys = self.timers.iter().map(|(_, key)| *key);
        keys.find(is_pending)
    }

    pub fn keys(&self) -> Vec<usize> {
        self.slots.iter().map(|(key, _)| key).collect()
    }
}
