//! Serving by events: a few threads, each with a loop, for any number of connections.

mod crew;
mod event_loop;
mod handler;
mod slots;

use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use crate::close::CloseCode;
use crate::connection::{Connection, is_on_loop, run_loop};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::protocol::encoder::check_close;

use super::pending::Pending;
use super::{Listener, Request};
pub(super) use crew::Crew;
use crew::{News, Stop};
use event_loop::EventLoop;
pub use handler::{Handler, ServeReport};

/// More loops than any machine has use for.
const MAX_THREADS: usize = 1024;

/// The clients that had come to a listener before it was served.
struct Taken {
    pending: Vec<Pending>,
    ready: VecDeque<Request>,
}

impl Listener {
    /// Serves clients with so many threads, of which the calling one is the first, until the listener is
    /// [closed](Self::close) and the last connection has ended, or after [`shutdown`](Self::shutdown).
    ///
    /// `handler` is told what happens: see [`Handler`]. Each connection belongs to one thread, and each
    /// client goes to the thread that has the fewest. Meanwhile [`accept`](Self::accept) is
    /// [`Error::InvalidState`].
    ///
    /// ```no_run
    /// use talkws::{Connection, Handler, Message};
    ///
    /// struct Echo;
    ///
    /// impl Handler for Echo {
    ///     type State = ();
    ///
    ///     fn open(&self, _: &Connection) {}
    ///
    ///     fn message(&self, ws: &Connection, _: &mut (), message: &Message) {
    ///         // It fails when the connection has ended, of which `closed` is told.
    ///         let _ = ws.write(message);
    ///     }
    /// }
    ///
    /// let listener = talkws::listen("ws://localhost:8080/talk-to-server")?;
    /// listener.serve(&Echo, 2)?;
    /// # Ok::<(), talkws::Error>(())
    /// ```
    pub fn serve<H: Handler>(&self, handler: &H, threads: usize) -> Result<ServeReport> {
        self.serve_within(handler, threads, Deadline::NEVER)
    }

    /// Like [`serve`](Self::serve), until `deadline`, or until that is interrupted: then it shuts down,
    /// with [`CloseCode::Away`] and the close timeout of each connection, and gives
    /// [`Error::TimedOut`] or [`Error::Interrupted`].
    pub fn serve_within<H: Handler>(
        &self,
        handler: &H,
        threads: usize,
        deadline: impl Into<Deadline>,
    ) -> Result<ServeReport> {
        let deadline = deadline.into();
        if !(1..=MAX_THREADS).contains(&threads) {
            let reason = format!("serve: {threads} threads; use 1 to {MAX_THREADS}");
            return Err(Error::InvalidArgument(reason.into()));
        }
        if is_on_loop() {
            let reason = "serve: this thread serves already";
            return Err(Error::InvalidState(reason.into()));
        }
        let cannot = |error| Error::io(format!("serve on {}", self.shared.url), error);
        let (crew, polls) = Crew::new(threads).map_err(cannot)?;
        let crew = Arc::new(crew);
        let taken = self.take_over(&crew)?;
        let mut loops = Vec::new();
        for (index, poll) in polls.into_iter().enumerate() {
            loops.push(EventLoop::new(&self.shared, handler, &crew, index, poll));
        }
        let mut loops = loops.into_iter();
        let first = loops.next();
        let outcome = thread::scope(|scope| {
            let mut others = Vec::new();
            let mut failure = None;
            for (index, others_loop) in loops.enumerate() {
                let spawned = thread::Builder::new()
                    .name(format!("talkws-loop-{}", index + 1))
                    .spawn_scoped(scope, || run_loop(|| others_loop.run(Deadline::NEVER)));
                match spawned {
                    Ok(thread) => others.push(thread),
                    Err(error) => failure = Some(error),
                }
            }
            if let Some(error) = failure {
                self.stop(CloseCode::Away, "", Duration::ZERO);
                drop(first);
                crew.mail(0).close();
                return Err(cannot(error));
            }
            let outcome = first.map_or(Ok(()), |mut first| {
                run_loop(|| {
                    first.open_door(taken).map_err(cannot)?;
                    first.run(deadline)
                })
            });
            if outcome.is_err() {
                self.stop(CloseCode::Away, "", Duration::ZERO);
            }
            for thread in others {
                match thread.join() {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => return Err(error),
                    Err(panic) => resume_unwind(panic),
                }
            }
            outcome
        });
        *self.shared.crew.lock() = None;
        outcome.map(|()| crew.report())
    }

    /// Takes clients from those who accept, for the loops; gives the clients that have come already.
    fn take_over(&self, crew: &Arc<Crew>) -> Result<Taken> {
        let attempt = || format!("serve on {}", self.shared.url);
        let Some(mut handshakes) = self.shared.handshakes.try_lock() else {
            let reason = format!("{}: another thread accepts on it", attempt());
            return Err(Error::InvalidState(reason.into()));
        };
        let mut place = self.shared.crew.lock();
        if place.is_some() {
            let reason = format!("{}: it is served already", attempt());
            return Err(Error::InvalidState(reason.into()));
        }
        if self.shared.mailbox.is_closed.load(Ordering::Acquire) {
            let attempt = attempt().into();
            return Err(Error::Aborted { attempt });
        }
        *place = Some(crew.clone());
        Ok(Taken {
            pending: std::mem::take(&mut handshakes.pending),
            ready: std::mem::take(&mut handshakes.ready),
        })
    }

    /// Shuts down what [`serve`](Self::serve) does: no more clients come, each connection is closed with
    /// `code` and `reason`, and those that have not answered `timeout` from now are ended. Waits for
    /// nothing, and may be called by a handler; what became of the connections is what `serve` returns.
    ///
    /// [`Error::InvalidState`] when nobody serves.
    pub fn shutdown(&self, code: CloseCode, reason: &str, timeout: Duration) -> Result<()> {
        check_close(code, reason)?;
        if self.stop(code, reason, timeout) {
            return Ok(());
        }
        let reason = format!("shut down {}: nobody serves it", self.shared.url);
        Err(Error::InvalidState(reason.into()))
    }

    fn stop(&self, code: CloseCode, reason: &str, timeout: Duration) -> bool {
        let crew = self.shared.crew.lock().clone();
        let Some(crew) = crew else {
            return false;
        };
        crew.stop(Stop {
            code,
            reason: reason.to_owned(),
            at: Instant::now() + timeout.min(super::LONGEST_HANDSHAKE),
        });
        self.close();
        true
    }

    /// Has a connection served that was made in another way: by a [`Request`] that was
    /// kept and upgraded later, or by dialling. From here on nobody else reads it.
    ///
    /// [`Error::InvalidState`] when nobody serves, it is served already, or another thread reads it.
    pub fn add(&self, ws: Connection) -> Result<()> {
        let crew = self.shared.crew.lock().clone();
        let attempt = || format!("add a connection to {}", self.shared.url);
        let Some(crew) = crew else {
            let reason = format!("{}: nobody serves it", attempt());
            return Err(Error::InvalidState(reason.into()));
        };
        if ws.is_served() {
            let reason = format!("{}: it is served already", attempt());
            return Err(Error::InvalidState(reason.into()));
        }
        if ws.is_being_read() {
            let reason = format!("{}: another thread reads it", attempt());
            return Err(Error::InvalidState(reason.into()));
        }
        let index = crew.least_loaded();
        match crew.mail(index).post(News::Connection(ws)) {
            true => Ok(()),
            false => Err(Error::Aborted {
                attempt: attempt().into(),
            }),
        }
    }
}
