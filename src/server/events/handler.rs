//! What a program does with the connections that are served.

use crate::connection::Connection;
use crate::error::{Error, Result};
use crate::message::Message;
use crate::options::UpgradeOptions;
use crate::server::Request;

/// What to do with clients, their messages and their end: see [`Listener::serve`](crate::Listener::serve).
///
/// Each connection has one thread, which makes all calls for it, one after the other. While a call lasts,
/// the other connections of that thread wait.
///
/// The [`Connection`]s are ordinary ones, but that nobody reads them: any thread may write to them, close
/// them and keep clones, at any time, and a handler may do so with any of them. What a handler writes
/// leaves when it has handled what was received, many answers together. Nothing that a handler calls on
/// them waits for a peer: what the stream does not take is kept, and [`close`](Connection::close) only
/// begins to close. When as much is kept as the [`Backlog`](crate::Backlog) allows, writes of handlers are
/// [`Error::WouldBlock`], those of other threads wait, and nothing more is read from the peer.
///
/// A panic is logged, and closes its connection with [`CloseCode::Error`](crate::CloseCode::Error).
pub trait Handler: Sync {
    /// What the program keeps for each connection.
    type State: Send;

    /// Answers a client: gives the connection that is to be served, if it upgrades.
    ///
    /// One that is [refused](Request::refuse) gives `None`; so does one that is kept, to be answered
    /// later, by whichever thread, and [added](crate::Listener::add). With
    /// [`plain_requests`](crate::ListenOptions::plain_requests) a refusal with status 200 is a page.
    fn request(&self, request: Request) -> Result<Option<Connection>> {
        request.upgrade(UpgradeOptions::new()).map(Some)
    }

    /// A connection is open.
    fn open(&self, ws: &Connection) -> Self::State;

    /// A message has come. Its memory is lent for the length of the call.
    fn message(&self, ws: &Connection, state: &mut Self::State, message: &Message);

    /// A connection has ended, as [`Connection::end`] tells: once for each that was opened.
    fn closed(&self, ws: &Connection, state: Self::State, end: &Error) {
        let _ = (ws, state, end);
    }
}

/// What became of the connections when a server was [shut down](crate::Listener::shutdown).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ServeReport {
    /// Connections that were closed in order.
    pub closed: usize,
    /// Connections whose peers did not answer in time, or were lost.
    pub unanswered: usize,
}
