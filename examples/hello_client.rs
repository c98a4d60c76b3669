//! Says hello to a WebSocket server and prints its answer.
//!
//!     cargo run --example hello_client [URL]

use talkws::{CloseCode, Message};

fn main() {
    let url = std::env::args().nth(1);
    let url = url
        .as_deref()
        .unwrap_or("ws://localhost:8080/talk-to-server");
    if let Err(error) = talk(url) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn talk(url: &str) -> talkws::Result<()> {
    let ws = talkws::dial(url)?;
    ws.write(Message::text("Hello from client!"))?;
    println!("Received: {}", ws.read()?);
    ws.close(CloseCode::Normal, "bye")
}
