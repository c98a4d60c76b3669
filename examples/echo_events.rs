//! Sends every message back to who sent it: a few threads for any number of clients.
//!
//! `cargo run --release --example echo_events -- [PORT [THREADS]]`; port 0 takes a free one.

use talkws::{Connection, Handler, Message};

struct Echo;

impl Handler for Echo {
    type State = ();

    fn open(&self, _: &Connection) {}

    fn message(&self, ws: &Connection, _: &mut (), message: &Message) {
        // It fails when the connection has ended, of which `closed` would be told.
        let _ = ws.write(message);
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().map_or(Ok(8080), |port| port.parse())?;
    let threads = arguments.next().map_or(Ok(1), |threads| threads.parse())?;
    let listener = talkws::listen(&format!("ws://localhost:{port}/"))?;
    println!("Listening on {}", listener.url());
    listener.serve(&Echo, threads)?;
    Ok(())
}
