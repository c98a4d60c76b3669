//! Receives one file of any size in bounded memory, and says how large it was.
//!
//!     cargo run --release --example receive_file FILE [URL]

use std::fs::File;
use std::io::Write;

use talkws::{Connection, Deadline, Error, ListenOptions, UpgradeOptions};

const BUFFER: usize = 64 * 1024;

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

fn receive(path: &str, url: &str) -> Result<(), Box<dyn std::error::Error>> {
    let mut file = File::create(path).map_err(|error| format!("{path}: {error}"))?;
    // Memory does not grow with the message, so any size will do.
    let options = ListenOptions::new().max_message_size(usize::MAX);
    let listener = options.listen(url)?;
    println!("Listening on {}", listener.url());
    let ws = listener.accept()?.upgrade(UpgradeOptions::new())?;
    let size = receive_parts(&mut file, &ws)?;
    println!("Received {size} bytes");
    ws.write_text(&format!("{size} bytes, thank you"))?;
    match ws.read() {
        Err(Error::Closed(_)) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(_) => Err("the sender went on after its file".into()),
    }
}

fn receive_parts(file: &mut File, ws: &Connection) -> Result<u64, Box<dyn std::error::Error>> {
    let mut buffer = vec![0; BUFFER];
    let mut size = 0;
    loop {
        let part = ws.read_some(&mut buffer, Deadline::NEVER)?;
        file.write_all(&buffer[..part.len])?;
        size += part.len as u64;
        if part.is_last {
            file.flush()?;
            return Ok(size);
        }
    }
}
