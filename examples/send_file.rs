//! Sends a file of any size as one message, piece by piece, and prints what the receiver says.
//!
//!     cargo run --release --example send_file FILE [URL]

use std::fs::File;
use std::io::Read;

use talkws::{CloseCode, Connection, Deadline, MessageKind};

const PIECE: usize = 64 * 1024;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let Some(path) = arguments.next() else {
        eprintln!("usage: send_file FILE [URL]");
        std::process::exit(2);
    };
    let url = arguments.next();
    let url = url.as_deref().unwrap_or("ws://localhost:8080/files");
    if let Err(error) = send(&path, url) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn send(path: &str, url: &str) -> Result<(), Box<dyn std::error::Error>> {
    let file = File::open(path).map_err(|error| format!("{path}: {error}"))?;
    let ws = talkws::dial(url)?;
    send_pieces(file, &ws)?;
    println!("Receiver: {}", ws.read()?);
    Ok(ws.close(CloseCode::Normal, "done")?)
}

fn send_pieces(mut file: File, ws: &Connection) -> Result<(), Box<dyn std::error::Error>> {
    let mut piece = vec![0; PIECE];
    loop {
        let length = file.read(&mut piece)?;
        // Only the end of the file tells which piece is the last; so that one is empty.
        let is_last = length == 0;
        let kind = MessageKind::Binary;
        ws.write_part(kind, &piece[..length], is_last, Deadline::NEVER)?;
        if is_last {
            return Ok(());
        }
    }
}
