//! Sends every message back: one thread serves all connections with poll(2), and waits for none.
//!
//!     cargo run --example poll_server [URL]

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use libc::{POLLIN, POLLOUT, pollfd};
use talkws::{Connection, Error, Listener, Message, UpgradeOptions};

const MAX_CLIENTS: usize = 1000; // the next one waits until one has gone
const MESSAGES_A_TURN: usize = 16; // then the others have theirs
const NO_WAIT: Duration = Duration::ZERO;

struct Client {
    ws: Connection,
    message: Option<Message>, // waits to be sent back, before another is read
    has_news: bool,           // the library holds what poll(2) does not see
}

/// Runs in a thread of its own, because accepting waits. Each byte in the pipe, which poll(2) sees,
/// says that there is a connection; its end that there will be no more.
fn accept_clients(listener: &Listener, connections: &Sender<Connection>, mut pipe: PipeWriter) {
    while let Ok(request) = listener.accept().inspect_err(|error| eprintln!("{error}")) {
        // Otherwise it is a client that has gone again.
        if let Ok(ws) = request.upgrade(UpgradeOptions::default()) {
            let _ = connections.send(ws).is_ok() && pipe.write_all(&[0]).is_ok();
        }
    }
}

impl Client {
    /// Does what needs no waiting. One that reads slowly is not read from meanwhile.
    fn serve(&mut self) -> talkws::Result<()> {
        for _ in 0..MESSAGES_A_TURN {
            self.ws.flush(NO_WAIT)?;
            let message = match self.message.take() {
                Some(message) => message,
                None => self.ws.read_within(NO_WAIT)?,
            };
            let message = self.message.insert(message);
            self.ws
                .write_data(message.kind(), message.as_bytes(), NO_WAIT)?;
            self.message = None;
        }
        Ok(())
    }

    /// What to wait for: news of the client, or room for what is to be sent to it.
    fn wait_for(&mut self) -> pollfd {
        let pending = self.ws.pending();
        let is_behind = self.message.is_some() || pending.write;
        self.has_news = pending.read && !is_behind;
        entry(&self.ws, if is_behind { POLLOUT } else { POLLIN })
    }
}

fn entry(source: &impl AsRawFd, events: i16) -> pollfd {
    let fd = source.as_raw_fd();
    pollfd {
        fd,
        events,
        revents: 0,
    }
}

/// One round for all clients; false when no more will come.
fn serve_all(
    clients: &mut Vec<Client>,
    connections: &Receiver<Connection>,
    pipe: &mut PipeReader,
) -> io::Result<bool> {
    let mut fds: Vec<pollfd> = clients.iter_mut().map(Client::wait_for).collect();
    let has_news = clients.iter().any(|client| client.has_news);
    if clients.len() < MAX_CLIENTS {
        fds.push(entry(pipe, POLLIN));
    }
    let timeout = if has_news { 0 } else { -1 };
    // SAFETY: so many entries are there, and stay there.
    if unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, timeout) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut is_ready = fds.iter().map(|fd| fd.revents != 0);
    // To close might wait for the peer, to drop does not. One that said goodbye was answered by
    // the read already.
    clients.retain_mut(|client| {
        let is_idle = is_ready.next() == Some(false) && !client.has_news;
        is_idle || matches!(client.serve(), Ok(()) | Err(Error::TimedOut { .. }))
    });
    if is_ready.next() != Some(true) {
        return Ok(true);
    }
    if pipe.read(&mut [0])? == 0 {
        return Ok(false);
    }
    let ws = connections.recv().map_err(io::Error::other)?;
    clients.push(Client {
        ws,
        message: None,
        has_news: false,
    });
    Ok(true)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1);
    let listener = talkws::listen(url.as_deref().unwrap_or("ws://localhost:8080/echo"))?;
    let (mut pipe, pipe_writer) = io::pipe()?;
    let (sender, connections) = mpsc::channel();
    println!("Listening on {}", listener.url());
    thread::spawn(move || accept_clients(&listener, &sender, pipe_writer));
    let mut clients = Vec::new();
    while serve_all(&mut clients, &connections, &mut pipe)? {}
    std::process::exit(1)
}
