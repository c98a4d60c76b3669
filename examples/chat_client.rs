//! Sends each line of its input, and prints what the others say, at the same time.
//!
//!     cargo run --release --example chat_client [URL]

use std::io::BufRead;
use std::thread;

use talkws::{CloseCode, Connection, Error};

fn main() {
    let url = std::env::args().nth(1);
    let url = url.as_deref().unwrap_or("ws://localhost:8080/lobby");
    if let Err(error) = chat(url) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn chat(url: &str) -> talkws::Result<()> {
    let ws = talkws::dial(url)?;
    thread::scope(|threads| {
        // Reading waits for nobody but the others; writing goes on meanwhile.
        let reader = threads.spawn(|| print_messages(&ws));
        let sent = send_lines(&ws);
        // Ends the reader, too.
        let closed = ws.close(CloseCode::Normal, "bye");
        reader.join().expect("it does not panic")?;
        sent.and(closed)
    })
}

fn print_messages(ws: &Connection) -> talkws::Result<()> {
    loop {
        match ws.read() {
            Ok(message) => println!("{message}"),
            Err(Error::Closed(_)) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

fn send_lines(ws: &Connection) -> talkws::Result<()> {
    for line in std::io::stdin().lock().lines() {
        // Input that is not text ends it, as its end does.
        let Ok(line) = line else { break };
        ws.write_text(&line)?;
    }
    Ok(())
}
