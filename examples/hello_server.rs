//! Answers every client's hello.
//!
//!     cargo run --example hello_server [URL]

use std::thread;

use talkws::{Error, Message, Request, UpgradeOptions};

fn main() {
    let url = std::env::args().nth(1);
    let url = url
        .as_deref()
        .unwrap_or("ws://localhost:8080/talk-to-server");
    if let Err(error) = serve(url) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn serve(url: &str) -> talkws::Result<()> {
    let listener = talkws::listen(url)?;
    println!("Listening on {}", listener.url());
    loop {
        let request = listener.accept()?;
        thread::spawn(move || {
            if let Err(error) = answer(request) {
                eprintln!("{error}");
            }
        });
    }
}

fn answer(request: Request) -> talkws::Result<()> {
    let ws = request.upgrade(UpgradeOptions::default())?;
    loop {
        match ws.read() {
            Ok(message) => println!("Message: {message}"),
            Err(Error::Closed(_)) => return Ok(()),
            Err(error) => return Err(error),
        }
        ws.write(Message::text("Hello from server!"))?;
    }
}
