//! Sends every message back, with a thread for each connection.
//!
//!     cargo run --release --example echo_server [PORT]

use std::thread;

use talkws::{Connection, Deadline, Error, Message, UpgradeOptions};

fn main() {
    let port = std::env::args().nth(1);
    let port = port.as_deref().unwrap_or("9001");
    if let Err(error) = serve(&format!("ws://127.0.0.1:{port}")) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn serve(url: &str) -> talkws::Result<()> {
    let listener = talkws::listen(url)?;
    println!("Listening on {}", listener.url());
    loop {
        let request = listener.accept()?;
        thread::spawn(move || match request.upgrade(UpgradeOptions::default()) {
            Ok(ws) => echo(&ws),
            Err(error) => eprintln!("{error}"),
        });
    }
}

fn echo(ws: &Connection) {
    let mut message = Message::default();
    let error = loop {
        if let Err(error) = ws.read_into(&mut message, Deadline::NEVER) {
            break error;
        }
        if let Err(error) = ws.write(&message) {
            break error;
        }
    };
    // What a peer did wrong was told to the peer; here it is worth a line only when asked for.
    if !matches!(error, Error::Closed(_)) && std::env::var_os("ECHO_VERBOSE").is_some() {
        eprintln!("{error}");
    }
}
