//! What the integration tests share: pairs of connections, and peers that speak raw bytes.
#![allow(dead_code, reason = "each test file uses a part of it")]

#[cfg(feature = "tls")]
pub mod certificates;
pub mod raw_peer;

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use talkws::{Connection, ListenOptions, UpgradeOptions};

/// Runs a test in a thread, and fails when it has not ended after a minute: a call that hangs
/// must fail its test, not stop them all.
pub fn bounded(test: impl FnOnce() + Send + 'static) {
    let (done, ended) = channel();
    let test = thread::spawn(move || {
        test();
        let _ = done.send(());
    });
    match ended.recv_timeout(Duration::from_secs(60)) {
        Ok(()) | Err(RecvTimeoutError::Disconnected) => {
            if let Err(panic) = test.join() {
                std::panic::resume_unwind(panic);
            }
        }
        Err(RecvTimeoutError::Timeout) => panic!("the test still hangs after a minute"),
    }
}

/// A client and a server, connected.
pub fn pair() -> (Connection, Connection) {
    pair_with(&ListenOptions::new(), &talkws::DialOptions::new())
}

/// A client and a server with options, connected.
pub fn pair_with(listen: &ListenOptions, dial: &talkws::DialOptions) -> (Connection, Connection) {
    let listener = listen.listen("ws://127.0.0.1:0").unwrap();
    let url = listener.url().to_owned();
    let dial = dial.clone();
    let client = thread::spawn(move || dial.dial(&url).unwrap());
    let server = listener
        .accept()
        .unwrap()
        .upgrade(UpgradeOptions::default())
        .unwrap();
    (client.join().unwrap(), server)
}
