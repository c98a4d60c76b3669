//! Sends a file of any size as one message, in bounded memory.
//!
//!     cargo run --release --example send_file FILE [URL]

use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::time::Duration;

use talkws::{CloseCode, Connection, Deadline, DialOptions, MessageKind};

/// How long the receiver may take for each part, and for its receipt.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Each part is what was read; the last one is empty.
fn send_parts(ws: &Connection, file: &mut File) -> Result<u64, Box<dyn Error>> {
    let mut buffer = vec![0; 64 * 1024];
    let mut size = 0;
    loop {
        let len = file.read(&mut buffer)?;
        let is_last = len == 0;
        ws.write_part(
            MessageKind::Binary,
            &buffer[..len],
            is_last,
            Deadline::NEVER,
        )?;
        size += len as u64;
        if is_last {
            return Ok(size);
        }
    }
}

/// That all was sent does not mean that it has come: the receiver says how much has.
fn read_receipt(ws: &Connection, size: u64) -> Result<(), Box<dyn Error>> {
    let receipt = ws.read_within(TIMEOUT)?.to_string();
    if receipt != format!("Received {size} bytes") {
        return Err(format!("sent {size} bytes, but the receiver says: {receipt}").into());
    }
    Ok(())
}

fn send_file(path: &str, url: &str) -> Result<(), Box<dyn Error>> {
    let mut file = File::open(path).map_err(|error| format!("{path}: {error}"))?;
    let ws = DialOptions::new().write_timeout(TIMEOUT).dial(url)?;
    let size = send_parts(&ws, &mut file)?;
    read_receipt(&ws, size)?;
    ws.close(CloseCode::Normal, "")?;
    println!("Sent {size} bytes");
    Ok(())
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let Some(path) = arguments.next() else {
        eprintln!("usage: send_file FILE [URL]");
        std::process::exit(2);
    };
    let url = arguments.next();
    let url = url.as_deref().unwrap_or("ws://localhost:8080/files");
    if let Err(error) = send_file(&path, url) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
