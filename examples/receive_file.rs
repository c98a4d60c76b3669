//! Receives a file of any size as one message, in bounded memory.
//!
//!     cargo run --release --example receive_file FILE [URL]

use std::error::Error;
use std::fs::{self, File};
use std::io::Write;

use talkws::{CloseCode, Connection, Deadline, ListenOptions, UpgradeOptions};

/// The limit is for those who keep whole messages; here, memory does not grow with them.
fn accept_sender(url: &str) -> talkws::Result<Connection> {
    let options = ListenOptions::new().max_message_size(usize::MAX);
    let listener = options.listen(url)?;
    println!("Listening on {}", listener.url());
    listener.accept()?.upgrade(UpgradeOptions::default())
}

fn receive_parts(ws: &Connection, file: &mut File) -> Result<u64, Box<dyn Error>> {
    let mut buffer = vec![0; 64 * 1024];
    let mut size = 0;
    loop {
        let part = ws.read_some(&mut buffer, Deadline::NEVER)?;
        file.write_all(&buffer[..part.len])?;
        size += part.len as u64;
        if part.is_last {
            return Ok(size);
        }
    }
}

/// The receipt tells the sender that the file is written.
fn receive_file(url: &str, file: &mut File) -> Result<u64, Box<dyn Error>> {
    let ws = accept_sender(url)?;
    let size = receive_parts(&ws, file)?;
    ws.write_text(&format!("Received {size} bytes"))?;
    ws.close(CloseCode::Normal, "")?;
    Ok(size)
}

fn receive(path: &str, url: &str) -> Result<(), Box<dyn Error>> {
    let mut file = File::create(path).map_err(|error| format!("{path}: {error}"))?;
    let size = receive_file(url, &mut file).inspect_err(|_| {
        // What is there of the file is of no use to anybody.
        let _ = fs::remove_file(path);
    })?;
    println!("Received {size} bytes");
    Ok(())
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let Some(path) = arguments.next() else {
        eprintln!("usage: receive_file FILE [URL]");
        std::process::exit(2);
    };
    let url = arguments.next();
    let url = url.as_deref().unwrap_or("ws://localhost:8080/files");
    if let Err(error) = receive(&path, url) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
