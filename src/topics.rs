//! Topics: who wants to hear of what.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::connection::{Broadcast, Connection, Subscriber};
use crate::prepared::Prepared;

/// Connections by what they want to hear of: a chat's rooms, a stock's prices.
///
/// Any thread may call anything at any time, and publishing holds up nobody: it
/// [broadcasts](crate::broadcast) to those who were subscribed when it began. Messages that one thread
/// publishes reach everybody in that order. A connection that has ended, or of which no handle is left,
/// leaves by itself. Clones share the topics.
///
/// ```no_run
/// # fn join(ws: talkws::Connection) {
/// use talkws::{Prepared, Topics};
///
/// let rooms = Topics::new();
/// rooms.subscribe("kitchen", &ws);
/// rooms.publish("kitchen", &Prepared::text("Dinner!"));
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Topics {
    state: Arc<Mutex<State>>,
}

/// So few subscribers are not worth looking through.
const FEW: usize = 64;

#[derive(Default)]
struct State {
    /// Shared with those who publish, and copied only while they do.
    /// In the order of their memory, in which they are gone through.
    members: HashMap<Arc<str>, Arc<BTreeMap<usize, Subscriber>>>,
    /// What each has subscribed to.
    topics: HashMap<usize, (Subscriber, HashSet<Arc<str>>)>,
    /// How many subscribers there may be until those that are gone are looked for.
    tidy_at: usize,
}

impl State {
    /// Lets those go that are gone and have not been published to since.
    fn tidy(&mut self) {
        if self.topics.len() < self.tidy_at {
            return;
        }
        let is_gone = |(key, (subscriber, _)): (&usize, &(Subscriber, _))| {
            (!subscriber.is_open()).then_some(*key)
        };
        let gone: Vec<_> = self.topics.iter().filter_map(is_gone).collect();
        gone.into_iter().for_each(|key| self.leave(key));
        self.tidy_at = FEW.max(2 * self.topics.len());
    }

    fn leave(&mut self, key: usize) {
        let Some((_, topics)) = self.topics.remove(&key) else {
            return;
        };
        for topic in topics {
            self.remove(&topic, key);
        }
    }

    fn remove(&mut self, topic: &str, key: usize) {
        if let Some(members) = self.members.get_mut(topic) {
            Arc::make_mut(members).remove(&key);
            if members.is_empty() {
                self.members.remove(topic);
            }
        }
    }
}

impl Topics {
    /// No topics.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets a connection hear of a topic. False if it does already, or is open no more.
    pub fn subscribe(&self, topic: &str, connection: &Connection) -> bool {
        if !connection.is_open() {
            return false;
        }
        let subscriber = Subscriber::of(connection);
        let key = subscriber.key();
        let mut state = self.state.lock();
        state.tidy();
        let topic = match state.members.get_key_value(topic) {
            Some((topic, _)) => topic.clone(),
            None => topic.into(),
        };
        let (_, topics) = state
            .topics
            .entry(key)
            .or_insert_with(|| (subscriber.clone(), HashSet::new()));
        if !topics.insert(topic.clone()) {
            return false;
        }
        let members = state.members.entry(topic).or_default();
        Arc::make_mut(members).insert(key, subscriber);
        true
    }

    /// Lets a connection hear of a topic no more. False if it did not.
    pub fn unsubscribe(&self, topic: &str, connection: &Connection) -> bool {
        let key = Subscriber::of(connection).key();
        let mut state = self.state.lock();
        let Some((_, topics)) = state.topics.get_mut(&key) else {
            return false;
        };
        if !topics.remove(topic) {
            return false;
        }
        if topics.is_empty() {
            state.topics.remove(&key);
        }
        state.remove(topic, key);
        true
    }

    /// Lets a connection hear of nothing more; gives of how many topics it did.
    pub fn unsubscribe_all(&self, connection: &Connection) -> usize {
        let key = Subscriber::of(connection).key();
        let mut state = self.state.lock();
        let count = state.topics.get(&key).map_or(0, |(_, topics)| topics.len());
        state.leave(key);
        count
    }

    /// Writes a message to all who want to hear of a topic, and waits for none of them: see
    /// [`broadcast`](crate::broadcast).
    pub fn publish(&self, topic: &str, message: &Prepared) -> Broadcast {
        let members = self.state.lock().members.get(topic).cloned();
        let mut report = Broadcast::default();
        let Some(members) = members else {
            return report;
        };
        let mut gone = Vec::new();
        for (key, member) in members.iter() {
            if !member.offer(message, &mut report) {
                // Itself too: its key is that of no other as long as it is there.
                gone.push((*key, member.clone()));
            }
        }
        // Its memory is changed in place then.
        drop(members);
        if !gone.is_empty() {
            let mut state = self.state.lock();
            gone.iter().for_each(|(key, _)| state.leave(*key));
        }
        report
    }

    /// How many connections hear of a topic, as far as it is known that they have not ended.
    pub fn subscribers(&self, topic: &str) -> usize {
        let state = self.state.lock();
        let members = state.members.get(topic);
        members.map_or(0, |members| {
            members.values().filter(|member| member.is_open()).count()
        })
    }
}

impl fmt::Debug for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("Topics")
            .field("topics", &state.members.len())
            .field("subscribers", &state.topics.len())
            .finish()
    }
}
