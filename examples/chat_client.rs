//! Says the lines of its input in a chat, and prints what others say, both at any time.
//!
//!     cargo run --release --example chat_client [URL]

use std::error::Error;
use std::io;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use talkws::{CloseCode, Connection};

/// The input has ended, so the end of the connection is as it should be.
static IS_LEAVING: AtomicBool = AtomicBool::new(false);

/// The main thread may be waiting for a line that never comes: only the end of the process ends
/// that wait.
fn give_up(error: &talkws::Error) -> ! {
    eprintln!("{error}");
    process::exit(1);
}

fn print_messages(ws: &Connection) {
    let error = loop {
        match ws.read() {
            Ok(message) => println!("{message}"),
            Err(error) => break error,
        }
    };
    if !IS_LEAVING.load(Ordering::SeqCst) {
        give_up(&error);
    }
}

fn say_lines(ws: &Connection) -> io::Result<()> {
    for line in io::stdin().lines() {
        if let Err(error) = ws.write_text(&line?) {
            give_up(&error);
        }
    }
    Ok(())
}

fn chat(url: &str) -> Result<(), Box<dyn Error>> {
    let ws = talkws::dial(url)?;
    thread::scope(|scope| {
        scope.spawn(|| print_messages(&ws));
        let said = say_lines(&ws);
        IS_LEAVING.store(true, Ordering::SeqCst);
        ws.close(CloseCode::Normal, "bye")?;
        Ok(said?)
    })
}

fn main() {
    let url = std::env::args().nth(1);
    let url = url.as_deref().unwrap_or("ws://localhost:8080/lobby");
    if let Err(error) = chat(url) {
        eprintln!("{error}");
        process::exit(1);
    }
}
