//! One loop: waits for its sockets, all at once, and does what they allow without waiting.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::crew::{Mail, News, Stop, WAKER};
use super::slots::{Entry, Served, Slots};
use super::{Crew, Handler, Taken};
use crate::close::CloseCode;
use crate::connection::{Connection, Progress, Scratch, flush_touched};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::server::pending::{LINGER, Pending, Verdict};
use crate::server::{Request, Shared};

/// How many sockets are heard of at a time.
const EVENTS: usize = 1024;

/// The token of what comes to the listener from other threads; those of its sockets are below it.
const WAKES: Token = Token(usize::MAX - 1);

/// The loop of one thread.
pub(super) struct EventLoop<'a, H: Handler> {
    listener: &'a Shared,
    handler: &'a H,
    crew: &'a Crew,
    mail: Arc<Mail>,
    /// How many clients may be pending here.
    max_pending: usize,
    poll: Poll,
    slots: Slots<H::State>,
    /// Who may have received more than its turn was long.
    again: VecDeque<usize>,
    scratch: Scratch,
    /// With the first loop, as long as clients come.
    door: Option<Door>,
    stop: Option<Stop>,
}

/// Where clients come from.
struct Door {
    sockets: usize,
    /// Some may be waiting at these sockets, of which is not told again.
    waiting: Vec<usize>,
    paused_until: Option<Instant>,
}

impl<'a, H: Handler> EventLoop<'a, H> {
    pub fn new(
        listener: &'a Shared,
        handler: &'a H,
        crew: &'a Crew,
        index: usize,
        poll: Poll,
    ) -> Self {
        EventLoop {
            listener,
            handler,
            crew,
            mail: crew.mail(index).clone(),
            max_pending: listener.options.max_pending.div_ceil(crew.size()),
            poll,
            slots: Slots::new(),
            again: VecDeque::new(),
            scratch: Scratch::new(),
            door: None,
            stop: None,
        }
    }

    /// Lets clients in, by this loop to all of them.
    pub fn open_door(&mut self, taken: Taken) -> io::Result<()> {
        let handshakes = self.listener.handshakes.lock();
        let registry = self.poll.registry();
        let wakes = handshakes.wakes.as_raw_fd();
        registry.register(&mut SourceFd(&wakes), WAKES, Interest::READABLE)?;
        for (index, socket) in handshakes.sockets.iter().enumerate() {
            let socket = socket.as_raw_fd();
            registry.register(&mut SourceFd(&socket), door(index), Interest::READABLE)?;
        }
        let sockets = handshakes.sockets.len();
        drop(handshakes);
        self.door = Some(Door {
            sockets,
            waiting: (0..sockets).collect(),
            paused_until: None,
        });
        for pending in taken.pending {
            self.let_in(pending);
        }
        for request in taken.ready {
            self.mail.count_in();
            self.ask(request);
        }
        Ok(())
    }

    /// Runs until no clients can come and none are left.
    pub fn run(mut self, deadline: Deadline) -> Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        let mut outcome = Ok(());
        loop {
            if let Err(error) = self.wait(&mut events, deadline) {
                // Nothing tells of the sockets any more.
                events.clear();
                self.end_all();
                self.take_returned();
                outcome = outcome.and(Err(error));
            }
            if outcome.is_ok() && self.is_time_up(deadline) {
                let attempt = format!("serve on {}", self.listener.url).into();
                outcome = match deadline.is_interrupted() {
                    true => Err(Error::Interrupted { attempt }),
                    false => Err(Error::TimedOut { attempt }),
                };
            }
            let stop = self.crew.stopping();
            for event in &events {
                self.heard(event);
            }
            for key in std::mem::take(&mut self.again) {
                self.turn_again(key);
            }
            self.read_mail();
            self.look_at_the_clock();
            self.accept_waiting();
            if self.stop.is_none() && stop.is_some() {
                self.stop = stop;
                self.begin_to_stop();
            }
            let is_over = self.door.is_none() && self.listener.is_closed() && self.slots.len() == 0;
            if is_over && self.mail.close_if_empty() {
                return outcome;
            }
        }
    }

    /// Whether the caller of `serve_within` has waited long enough; then the server shuts down.
    fn is_time_up(&self, deadline: Deadline) -> bool {
        let is_up = deadline.is_interrupted() || deadline.has_passed();
        if is_up {
            self.crew.stop(Stop {
                code: CloseCode::Away,
                reason: String::new(),
                at: Instant::now() + self.listener.options.limits.close_timeout.min(DAY),
            });
            self.listener.close();
        }
        is_up
    }

    /// Ends all that is served, by this loop and the others, at once.
    fn end_all(&self) {
        self.crew.stop(Stop {
            code: CloseCode::Error,
            reason: String::new(),
            at: Instant::now(),
        });
        self.listener.close();
    }

    fn wait(&mut self, events: &mut Events, deadline: Deadline) -> Result<()> {
        let has_work = !self.again.is_empty()
            || self.door.as_ref().is_some_and(|door| {
                !door.waiting.is_empty() && door.paused_until.is_none_or(|at| at <= Instant::now())
            });
        let timers = [
            self.slots.next_timer(),
            self.door.as_ref().and_then(|door| door.paused_until),
            self.stop.as_ref().map(|stop| stop.at),
        ];
        let soonest = timers.into_iter().flatten().min();
        let timeout = match (has_work, soonest) {
            (true, _) => Some(Duration::ZERO),
            (false, None) => None,
            (false, Some(at)) => Some(at.saturating_duration_since(Instant::now())),
        };
        // Once it has passed nothing hurries any more: the connections have their time to close.
        let slice = match self.stop {
            None => deadline.slice(),
            Some(_) => None,
        };
        let timeout = match (timeout, slice) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                let attempt = format!("serve on {}: wait for the sockets", self.listener.url);
                Err(Error::io(attempt, error))
            }
            _ => Ok(()),
        }
    }

    fn heard(&mut self, event: &Event) {
        match event.token() {
            WAKER => {}
            WAKES => self.take_returned(),
            Token(token) if token > usize::MAX / 2 => {
                if let Some(door) = &mut self.door {
                    let index = WAKES.0 - 1 - token;
                    if index < door.sockets && !door.waiting.contains(&index) {
                        door.waiting.push(index);
                    }
                }
            }
            Token(key) => match self.slots.get(key) {
                Some(Entry::Pending(_)) => self.advance(key),
                Some(Entry::Served(served)) => {
                    if event.is_writable() {
                        served.ws.make_progress();
                    }
                    let is_ending = event.is_read_closed() || event.is_error();
                    if event.is_readable() || is_ending || served.ws.close_by().is_some() {
                        self.turn(key, is_ending);
                    }
                }
                Some(Entry::Lingering(_)) => self.linger(key),
                None => {}
            },
        }
    }

    /// Takes what other threads gave to the listener: refusals to finish, or its end.
    fn take_returned(&mut self) {
        let mut bytes = [0; 64];
        {
            let handshakes = self.listener.handshakes.lock();
            while (&handshakes.wakes)
                .read(&mut bytes)
                .is_ok_and(|count| count == bytes.len())
            {}
        }
        let returned = std::mem::take(&mut *self.listener.mailbox.returned.lock());
        for pending in returned {
            self.mail.count_in();
            self.begin(pending);
        }
        if self.listener.is_closed() && self.door.take().is_some() {
            // The others have no more to expect either.
            self.crew.wake_all();
        }
    }

    fn read_mail(&mut self) {
        for news in self.mail.take() {
            match news {
                News::Client(pending) => self.begin(pending),
                News::Connection(ws) => self.serve(ws),
                News::Look(key) => {
                    self.watch_closing(key);
                    // It may have stopped reading, and not have been told of an end.
                    self.turn(key, true);
                }
            }
        }
    }

    fn look_at_the_clock(&mut self) {
        let Some(soonest) = self.slots.next_timer() else {
            return self.stop_waiting();
        };
        let now = Instant::now();
        if soonest <= now {
            while let Some(key) = self.slots.take_due(now) {
                self.time_is_up(key);
            }
        }
        self.stop_waiting();
    }

    fn time_is_up(&mut self, key: usize) {
        match self.slots.get(key) {
            Some(Entry::Pending(_)) => {
                let Some(Entry::Pending(pending)) = self.slots.take(key) else {
                    return;
                };
                match pending.too_slow() {
                    Some(refused) => self.wait_for(key, refused),
                    None => self.forget(key),
                }
            }
            Some(Entry::Served(served)) => {
                let error = served.ws.give_up_closing();
                self.ended(key, &error);
            }
            Some(Entry::Lingering(ws)) => {
                ws.abort();
                self.leave(key);
            }
            None => {}
        }
    }

    /// After the time that a shutdown has, ends what is left.
    fn stop_waiting(&mut self) {
        let is_up = |stop: &Stop| stop.at <= Instant::now();
        if !self.stop.as_ref().is_some_and(is_up) {
            return;
        }
        for key in self.slots.keys() {
            match self.slots.get(key) {
                Some(Entry::Served(_) | Entry::Lingering(_)) => self.time_is_up(key),
                _ => self.forget(key),
            }
        }
    }

    fn begin_to_stop(&mut self) {
        let Some(stop) = self.stop.clone() else {
            return;
        };
        for key in self.slots.keys() {
            match self.slots.get(key) {
                Some(Entry::Served(served)) => {
                    // Also one that is closed already has until then.
                    let _ = served.ws.close(stop.code, &stop.reason);
                    self.watch_closing(key);
                }
                Some(Entry::Pending(_)) => self.forget(key),
                Some(Entry::Lingering(_)) | None => {}
            }
        }
        flush_touched();
    }

    /// Takes clients out of the system's backlog.
    fn accept_waiting(&mut self) {
        let Some(door) = &mut self.door else {
            return;
        };
        if door.paused_until.is_some_and(|at| at > Instant::now()) {
            return;
        }
        door.paused_until = None;
        for index in std::mem::take(&mut door.waiting) {
            let accepted = self.listener.handshakes.lock().accept(index, self.listener);
            if let Some(door) = &mut self.door {
                if accepted.may_be_more || accepted.paused_until.is_some() {
                    door.waiting.push(index);
                }
                door.paused_until = door.paused_until.or(accepted.paused_until);
            }
            for pending in accepted.clients {
                self.let_in(pending);
            }
        }
    }

    /// Gives a client to the loop that has the fewest.
    fn let_in(&mut self, pending: Pending) {
        let mail = self.crew.mail(self.crew.least_loaded());
        if Arc::ptr_eq(mail, &self.mail) {
            self.mail.count_in();
            self.begin(pending);
        } else {
            mail.post(News::Client(pending));
        }
    }

    fn begin(&mut self, pending: Pending) {
        if self.stop.is_some() {
            return self.mail.count_out();
        }
        if self.slots.pending() >= self.max_pending
            && let Some(oldest) = self.slots.oldest_pending()
        {
            if let Some(Entry::Pending(gone)) = self.slots.get(oldest) {
                gone.log("dropped for a newer client: max_pending is reached");
            }
            self.forget(oldest);
        }
        // Its request has often come along.
        match pending.advance(self.listener) {
            Verdict::Wait(pending) => {
                let (key, socket) = (self.slots.next_key(), pending.as_raw_fd());
                if self.register(key, socket).is_err() {
                    return self.mail.count_out();
                }
                let deadline = pending.deadline();
                self.slots.insert(Entry::Pending(Box::new(pending)));
                self.slots.set_timer(key, Some(deadline));
            }
            Verdict::Drop => self.mail.count_out(),
            Verdict::Ready(request) => self.ask(*request),
        }
    }

    fn advance(&mut self, key: usize) {
        let Some(Entry::Pending(pending)) = self.slots.take(key) else {
            return;
        };
        let socket = pending.as_raw_fd();
        match pending.advance(self.listener) {
            Verdict::Wait(pending) => self.wait_for(key, pending),
            Verdict::Drop => self.forget(key),
            Verdict::Ready(request) => {
                // It may be answered by another thread, and be gone when the handler returns.
                self.deregister(socket);
                self.slots.remove(key);
                self.ask(*request);
            }
        }
    }

    fn wait_for(&mut self, key: usize, pending: Pending) {
        let deadline = pending.deadline();
        self.slots.put_back(key, Entry::Pending(Box::new(pending)));
        self.slots.set_timer(key, Some(deadline));
    }

    fn ask(&mut self, request: Request) {
        let asked = catch_unwind(AssertUnwindSafe(|| self.handler.request(request)));
        flush_touched();
        match asked {
            Ok(Ok(Some(ws))) => return self.serve(ws),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => {
                log::info!(target: "talkws::server", "a client is not served: {error}")
            }
            Err(_) => log::error!(target: "talkws::server", "the handler panicked at a request"),
        }
        self.mail.count_out();
    }

    fn serve(&mut self, ws: Connection) {
        let (key, socket) = (self.slots.next_key(), ws.as_raw_fd());
        let is_ours = ws.serve(self.mail.clone(), key);
        if !is_ours || self.register(key, socket).is_err() {
            log::error!(target: "talkws::server", "{ws:?} cannot be served, and is dropped");
            return self.mail.count_out();
        }
        let opened = catch_unwind(AssertUnwindSafe(|| self.handler.open(&ws)));
        let state = match opened {
            Ok(state) => Some(state),
            Err(_) => {
                panicked(&ws, "open");
                None
            }
        };
        if let Some(stop) = &self.stop {
            let _ = ws.close(stop.code, &stop.reason);
        }
        flush_touched();
        self.slots.insert(Entry::Served(Served {
            ws,
            state,
            is_queued: false,
        }));
        // What has come with its request, or since then.
        self.turn(key, false);
    }

    /// Receives what has come to a connection, and has the handler deal with it.
    fn turn(&mut self, key: usize, to_the_end: bool) {
        let Some(mut served) = self.slots.take_served(key) else {
            return;
        };
        let Served { ws, state, .. } = &mut served;
        let handler = self.handler;
        let mut has_panicked = false;
        let progress = ws.turn(&mut self.scratch, to_the_end, &mut |message, _| {
            let Some(state) = state.as_mut().filter(|_| !has_panicked) else {
                return true;
            };
            let handled = catch_unwind(AssertUnwindSafe(|| handler.message(ws, state, message)));
            if handled.is_err() {
                has_panicked = true;
                panicked(ws, "message");
            }
            true
        });
        let is_closing = ws.close_by().is_some();
        if matches!(progress, Progress::Again) && !std::mem::replace(&mut served.is_queued, true) {
            self.again.push_back(key);
        }
        self.slots.put_back(key, Entry::Served(served));
        flush_touched();
        match progress {
            Progress::Idle if is_closing => self.watch_closing(key),
            Progress::Idle | Progress::Again => {}
            Progress::Ended(error) => self.ended(key, &error),
        }
    }

    /// Goes on with a connection whose turn was over before it had no more.
    fn turn_again(&mut self, key: usize) {
        if let Some(Entry::Served(served)) = self.slots.get_mut(key) {
            served.is_queued = false;
            // It may have been told of an end that this turn is the first to come to.
            self.turn(key, true);
        }
    }

    /// Sets the time until which a connection that is being closed has to.
    fn watch_closing(&mut self, key: usize) {
        if let Some(Entry::Served(served)) = self.slots.get(key) {
            served.ws.go_on_closing();
            let close_by = served.ws.close_by();
            if close_by.is_some() {
                self.slots.set_timer(key, close_by);
            }
        }
    }

    /// A connection has ended: the handler is told, once.
    fn ended(&mut self, key: usize, error: &Error) {
        let Some(Served { ws, state, .. }) = self.slots.take_served(key) else {
            return;
        };
        if self.stop.is_some() {
            self.crew.count(error);
        }
        if let Some(state) = state {
            let told = catch_unwind(AssertUnwindSafe(|| self.handler.closed(&ws, state, error)));
            if told.is_err() {
                log::error!(target: "talkws::server", "the handler panicked at the end of {ws:?}");
            }
            flush_touched();
        }
        let is_lingering = matches!(
            error,
            Error::Protocol(_) | Error::InvalidUtf8(_) | Error::TooBig(_)
        );
        self.slots.put_back(key, Entry::Lingering(ws));
        if is_lingering {
            self.slots.set_timer(key, Some(Instant::now() + LINGER));
            self.linger(key);
        } else {
            self.leave(key);
        }
    }

    /// Lets the peer read why a connection has failed: a socket that is closed with unread bytes
    /// resets the connection.
    fn linger(&mut self, key: usize) {
        let Some(Entry::Lingering(ws)) = self.slots.get(key) else {
            return;
        };
        ws.make_progress();
        if !ws.linger(&mut self.scratch) {
            ws.abort();
            self.leave(key);
        }
    }

    /// Leaves a connection to whoever else has it.
    fn leave(&mut self, key: usize) {
        if let Some(Entry::Lingering(ws)) = self.slots.get_mut(key) {
            let socket = ws.as_raw_fd();
            self.deregister(socket);
        }
        self.forget(key);
    }

    fn forget(&mut self, key: usize) {
        self.slots.remove(key);
        self.mail.count_out();
    }

    fn register(&self, key: usize, socket: RawFd) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        let registry = self.poll.registry();
        registry.register(&mut SourceFd(&socket), Token(key), both)
    }

    fn deregister(&self, socket: RawFd) {
        // It fails when it was not registered, which is what is wanted.
        let _ = self.poll.registry().deregister(&mut SourceFd(&socket));
    }
}

impl<H: Handler> Drop for EventLoop<'_, H> {
    fn drop(&mut self) {
        // However it ended, nobody is to leave anything here any more, nor wait for it.
        self.mail.close();
        if thread::panicking() {
            self.end_all();
        }
    }
}

/// Longer than anybody waits for the end, and not too long for the clock.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The token of a listening socket.
fn door(index: usize) -> Token {
    Token(WAKES.0 - 1 - index)
}

/// Ends a connection whose handler has panicked.
fn panicked(ws: &Connection, at: &str) {
    log::error!(target: "talkws::server", "the handler panicked at {at} of {ws:?}");
    let _ = ws.close(CloseCode::Error, "");
}
