//! Says hello once a second for as long as it may, and dials again when the connection is lost:
//! after a pause that doubles, with jitter, so that not all clients of a restarted server come at once.
//!
//!     cargo run --release --example reconnect_client [URL [HELLOS [ATTEMPTS [PAUSE_MS]]]]

use std::thread;
use std::time::Duration;

use talkws::{CloseCode, Connection, DialOptions, Error};

const KEEPALIVE: Duration = Duration::from_secs(20);

struct Plan {
    url: String,
    /// How many hellos are still to be answered.
    hellos: u32,
    /// How often to try in vain before giving up.
    attempts: u32,
    /// Since the last answer.
    failures: u32,
    /// The first pause, and the time between two hellos.
    pause: Duration,
}

fn main() {
    let argument = |index| std::env::args().nth(index);
    let number = |index, otherwise| {
        argument(index)
            .and_then(|a| a.parse().ok())
            .unwrap_or(otherwise)
    };
    let mut plan = Plan {
        url: argument(1).unwrap_or("ws://localhost:8080/talk-to-server".into()),
        hellos: number(2, 10),
        attempts: number(3, 8),
        failures: 0,
        pause: Duration::from_millis(number(4, 1000).into()),
    };
    if let Err(error) = stay_connected(&mut plan) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn stay_connected(plan: &mut Plan) -> talkws::Result<()> {
    // A server that dies without a word is noticed, too.
    let options = DialOptions::new().keepalive(KEEPALIVE, KEEPALIVE);
    loop {
        let (error, what) = match options.dial(&plan.url) {
            Ok(ws) => {
                println!("Connected");
                match talk(plan, &ws) {
                    Ok(()) => return ws.close(CloseCode::Normal, "bye"),
                    Err(error) => (error, "Lost"),
                }
            }
            Err(error) => (error, "Not connected"),
        };
        plan.failures += 1;
        if !is_worth_another_try(&error) || plan.failures == plan.attempts {
            return Err(error);
        }
        println!("{what}: {error}");
        let wait = asked_to_wait(&error);
        thread::sleep(wait.unwrap_or_else(|| backoff(plan.pause, plan.failures)));
    }
}

fn talk(plan: &mut Plan, ws: &Connection) -> talkws::Result<()> {
    loop {
        ws.write_text("Hello from client!")?;
        println!("Received: {}", ws.read()?);
        plan.failures = 0;
        plan.hellos -= 1;
        if plan.hellos == 0 {
            return Ok(());
        }
        thread::sleep(plan.pause);
    }
}

/// A wrong URL stays wrong, and so does most of what a server refuses.
fn is_worth_another_try(error: &Error) -> bool {
    match error {
        Error::Refused(refusal) => matches!(refusal.status(), 408 | 429 | 500..),
        Error::InvalidArgument(_) | Error::InvalidUrl { .. } | Error::Unsupported(_) => false,
        Error::Handshake { .. } => false,
        _ => true,
    }
}

/// How many seconds the server asks its client to wait.
fn asked_to_wait(error: &Error) -> Option<Duration> {
    let Error::Refused(refusal) = error else {
        return None;
    };
    let seconds = refusal.head().header("retry-after")?;
    // A date, or more than some hours, is not heard.
    let is_number = seconds.len() < 5 && seconds.bytes().all(|b| b.is_ascii_digit());
    let seconds = seconds.parse().ok().filter(|_| is_number)?;
    Some(Duration::from_secs(seconds))
}

/// From half of the pause to all of it; the pause doubles with each failure, up to 64 times.
fn backoff(pause: Duration, failures: u32) -> Duration {
    let longest = pause * (1 << failures.min(6));
    longest.mul_f64(0.5 + rand::random::<f64>() / 2.0)
}
