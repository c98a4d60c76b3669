//! A chat: what a member says goes to all others who dialled the same path.
//!
//!     cargo run --release --example chat_server [URL]

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use talkws::{Connection, Error, ListenOptions, Message, Request, UpgradeOptions};

const MAX_MEMBERS: usize = 100;
/// A member who takes nothing of what is said for so long has to go.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

struct Member {
    /// Empty until the upgrade.
    ws: OnceLock<Connection>,
    room: String,
}

static MEMBERS: Mutex<Vec<Arc<Member>>> = Mutex::new(Vec::new());

fn members() -> MutexGuard<'static, Vec<Arc<Member>>> {
    MEMBERS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn enter(request: &Request) -> Option<Arc<Member>> {
    let member = Arc::new(Member {
        ws: OnceLock::new(),
        room: request.path().to_owned(),
    });
    let mut members = members();
    if members.len() == MAX_MEMBERS {
        return None;
    }
    members.push(member.clone());
    Some(member)
}

fn leave(member: &Arc<Member>) {
    members().retain(|other| !Arc::ptr_eq(other, member));
}

/// Writes without the lock, so that nobody waits for a slow member but those who talk to it. The
/// connection of one who has left meanwhile gives an error, which does no harm.
fn tell_others(member: &Arc<Member>, message: &Message) {
    let mut others = members().clone();
    others.retain(|other| other.room == member.room && !Arc::ptr_eq(other, member));
    for ws in others.iter().filter_map(|other| other.ws.get()) {
        if let Err(Error::TimedOut { .. }) = ws.write(message) {
            ws.abort();
        }
    }
}

fn serve_member(member: &Arc<Member>, request: Request) -> talkws::Result<()> {
    let ws = request.upgrade(UpgradeOptions::default())?;
    let ws = member.ws.get_or_init(|| ws);
    ws.write_text(&format!("Welcome to {}", member.room))?;
    loop {
        match ws.read() {
            Ok(message) => tell_others(member, &message),
            Err(Error::Closed(_)) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

fn start_member(request: Request) {
    let Some(member) = enter(&request) else {
        // Whether the client takes the answer is its own affair.
        let _ = request.refuse(503, "Too many members.\n");
        return;
    };
    thread::spawn(move || {
        if let Err(error) = serve_member(&member, request) {
            eprintln!("{error}");
        }
        leave(&member);
    });
}

fn serve(url: &str) -> talkws::Result<()> {
    let options = ListenOptions::new().write_timeout(WRITE_TIMEOUT);
    let listener = options.listen(url)?;
    println!("Listening on {}", listener.url());
    loop {
        start_member(listener.accept()?);
    }
}

fn main() {
    let url = std::env::args().nth(1);
    let url = url.as_deref().unwrap_or("ws://localhost:8080");
    if let Err(error) = serve(url) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
