//! A chat: a member's messages go to all others who dialled the same path.
//!
//!     cargo run --release --example chat_server [URL]

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use talkws::{Connection, Error, ListenOptions, Message, Request, UpgradeOptions};

/// How long a member may take no message, before it has to go.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

struct Member {
    id: u64,
    room: String,
    ws: Connection,
}

static MEMBERS: Mutex<Vec<Member>> = Mutex::new(Vec::new());

fn main() {
    let url = std::env::args().nth(1);
    let url = url.as_deref().unwrap_or("ws://localhost:8080");
    if let Err(error) = serve(url) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn serve(url: &str) -> talkws::Result<()> {
    let listener = ListenOptions::new()
        .write_timeout(WRITE_TIMEOUT)
        .listen(url)?;
    println!("Listening on {}", listener.url());
    for id in 0.. {
        let request = listener.accept()?;
        thread::spawn(move || match serve_member(id, request) {
            Ok(()) | Err(Error::Closed(_)) => {}
            Err(error) => eprintln!("{error}"),
        });
    }
    Ok(())
}

fn serve_member(id: u64, request: Request) -> talkws::Result<()> {
    let room = request.path().to_owned();
    let ws = request.upgrade(UpgradeOptions::new())?;
    enter(id, &room, &ws);
    let talked = talk(id, &room, &ws);
    leave(id);
    talked
}

fn enter(id: u64, room: &str, ws: &Connection) {
    let (room, ws) = (room.to_owned(), ws.clone());
    let mut members = MEMBERS.lock().expect("nobody panics with it");
    members.push(Member { id, room, ws });
}

fn leave(id: u64) {
    let mut members = MEMBERS.lock().expect("nobody panics with it");
    members.retain(|member| member.id != id);
}

fn find_others(id: u64, room: &str) -> Vec<Connection> {
    let members = MEMBERS.lock().expect("nobody panics with it");
    let others = members.iter().filter(|m| m.id != id && m.room == room);
    others.map(|member| member.ws.clone()).collect()
}

/// Not under the lock, so that nobody waits for the slow but those who talk to them.
fn tell_others(id: u64, room: &str, message: &Message) {
    for other in find_others(id, room) {
        if let Err(Error::TimedOut { .. }) = other.write(message) {
            other.abort();
        }
    }
}

fn talk(id: u64, room: &str, ws: &Connection) -> talkws::Result<()> {
    ws.write_text(&format!("Welcome to {room}"))?;
    loop {
        tell_others(id, room, &ws.read()?);
    }
}
