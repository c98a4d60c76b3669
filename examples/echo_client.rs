//! Sends back every message of a conformance suite's server, case by case: the client side of the
//! Autobahn test suite.
//!
//!     cargo run --release --example echo_client ws://127.0.0.1:9001 AGENT

use talkws::{Connection, Deadline, DialOptions, Error, Message};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(base), Some(agent)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: echo_client BASE_URL AGENT");
        std::process::exit(2);
    };
    if let Err(error) = run_cases(&base, &agent) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn run_cases(base: &str, agent: &str) -> talkws::Result<()> {
    let count = talkws::dial(&format!("{base}/getCaseCount"))?.read()?;
    let count: u32 = count
        .as_text()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    for case in 1..=count {
        let options = DialOptions::new().max_message_size(64 << 20);
        echo(&options.dial(&format!("{base}/runCase?case={case}&agent={agent}"))?);
    }
    match talkws::dial(&format!("{base}/updateReports?agent={agent}"))?.read() {
        Ok(_) | Err(Error::Closed(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// How a case ends is for the suite to judge.
fn echo(ws: &Connection) {
    let mut message = Message::default();
    while ws
        .read_into(&mut message, Deadline::NEVER)
        .and_then(|()| ws.write(&message))
        .is_ok()
    {}
}
