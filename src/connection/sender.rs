//! The sender: what was accepted for slow peers leaves when they make room, whatever the program does.
//!
//! One thread serves all connections of the process. It starts with the first one that needs it, and
//! ends a moment after the last.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::RawFd;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering, fence};
// Not parking_lot's, for the reason that the timer of keepalive has.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token, Waker};

use super::Shared;

/// How long the thread stays when there is nothing to do: slow peers are slow again and again.
const LINGER: Duration = Duration::from_millis(200);

/// How often connections that are being closed are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How many connections are told of at a time.
const EVENTS: usize = 256;

/// The sender of this process, or of its parent, which is not ours to touch.
static SENDER: AtomicPtr<Sender> = AtomicPtr::new(ptr::null_mut());

struct Sender {
    process: u32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// There while the thread runs.
    running: Option<Running>,
    watched: BTreeMap<usize, Weak<Shared>>,
    last_key: usize,
    closing: Vec<Weak<Shared>>,
}

/// How to talk to the thread.
struct Running {
    registry: Registry,
    waker: Waker,
}

/// The waker's; connections count from 1.
const WAKE: Token = Token(0);

/// Has a connection watched until it is dropped.
pub(super) struct Watch {
    process: u32,
    key: usize,
    fd: RawFd,
}

impl Watch {
    /// Whether it is watched in this process, and not only in its parent.
    pub fn is_ours(&self) -> bool {
        self.process == std::process::id()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // A parent's is for the parent to end.
        if !self.is_ours() {
            return;
        }
        let mut state = Sender::of_this_process().lock();
        state.watched.remove(&self.key);
        if let Some(running) = &state.running {
            // It fails when a thread before this one has known it.
            let _ = running.registry.deregister(&mut SourceFd(&self.fd));
        }
    }
}

impl Sender {
    fn of_this_process() -> &'static Sender {
        let process = std::process::id();
        loop {
            let known = SENDER.load(Ordering::Acquire);
            // SAFETY: NULL, or put there below and never freed.
            if let Some(sender) = unsafe { known.as_ref() }
                && sender.process == process
            {
                return sender;
            }
            let ours = Box::into_raw(Box::new(Sender {
                process,
                state: Mutex::default(),
            }));
            let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
            if SENDER
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

    /// Starts the thread if it does not run.
    fn start(&'static self, state: &mut State) -> io::Result<()> {
        if state.running.is_some() {
            return Ok(());
        }
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let waker = Waker::new(&registry, WAKE)?;
        thread::Builder::new()
            .name("talkws-sender".into())
            .spawn(move || self.run(poll))?;
        state.running = Some(Running { registry, waker });
        Ok(())
    }

    /// The thread.
    fn run(&self, mut poll: Poll) {
        let mut events = Events::with_capacity(EVENTS);
        let mut timeout = LINGER;
        loop {
            let polled = poll.poll(&mut events, Some(timeout));
            if polled.is_err() {
                events.clear();
            }
            for event in &events {
                let watched = self.lock().watched.get(&event.token().0).cloned();
                if let Some(connection) = watched.and_then(|watched| watched.upgrade()) {
                    connection.push_watched();
                }
            }
            let closing = std::mem::take(&mut self.lock().closing);
            let closing: Vec<_> = closing
                .into_iter()
                .filter(|closing| {
                    let connection = closing.upgrade();
                    connection.is_some_and(|connection| connection.go_on_closing())
                })
                .collect();
            let mut state = self.lock();
            state.closing.extend(closing);
            if events.is_empty()
                && polled.is_ok()
                && state.watched.is_empty()
                && state.closing.is_empty()
            {
                state.running = None;
                return;
            }
            timeout = match state.closing.is_empty() {
                true => LINGER,
                false => LOOK_EVERY,
            };
        }
    }
}

/// Has the unsent bytes of a connection sent as its peer makes room, until the watch is dropped. The
/// caller has the writer's turn.
pub(super) fn watch(connection: &Arc<Shared>) -> io::Result<Watch> {
    let sender = Sender::of_this_process();
    let mut state = sender.lock();
    sender.start(&mut state)?;
    state.last_key += 1;
    let key = state.last_key;
    let fd = connection.transport.as_raw_fd();
    if let Some(running) = &state.running {
        // It tells at once if there is room already.
        let source = &mut SourceFd(&fd);
        running
            .registry
            .register(source, Token(key), Interest::WRITABLE)?;
    }
    state.watched.insert(key, Arc::downgrade(connection));
    Ok(Watch {
        process: sender.process,
        key,
        fd,
    })
}

/// Closes a connection whose peer is too slow, within its close timeout.
pub(super) fn watch_closing(connection: &Arc<Shared>) -> io::Result<()> {
    let sender = Sender::of_this_process();
    let mut state = sender.lock();
    sender.start(&mut state)?;
    state.closing.push(Arc::downgrade(connection));
    match &state.running {
        Some(running) => running.waker.wake(),
        None => Ok(()),
    }
}

impl Shared {
    /// Sends what was accepted, as far as the stream takes it. When another thread is writing, that one
    /// does when it is done: no room that the descriptor has told of goes unused.
    pub(super) fn push_watched(&self) {
        if self.push_unsent() {
            return;
        }
        self.wants_push.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if self.push_unsent() {
            self.wants_push.store(false, Ordering::Relaxed);
        }
    }

    /// After the writer's turn was given back: what the sender wanted to send meanwhile.
    pub(super) fn push_if_wanted(&self) {
        if self.wants_push.load(Ordering::Relaxed) && self.wants_push.swap(false, Ordering::AcqRel)
        {
            self.push_unsent();
        }
    }
}
