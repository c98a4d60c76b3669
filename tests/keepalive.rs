//! Keepalive: silent peers are asked, dead ones given up, live ones left alone.

mod support;

use std::thread;
use std::time::Duration;

use support::raw_peer::{FINAL, PING, PONG, RawPeer, TEXT};
use support::{bounded, pair_with};
use talkws::{Connection, Deadline, DialOptions, Error, ListenOptions};

const INTERVAL: Duration = Duration::from_millis(20);
/// For peers that are to be given up, and for those that are not, however slow this machine is.
const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(30);

type Make = fn(Duration) -> (RawPeer, Connection);

/// How to make a connection that is kept alive, in either role.
const ROLES: [Make; 2] = [
    |timeout| RawPeer::client_of(&ListenOptions::new().keepalive(INTERVAL, timeout)),
    |timeout| RawPeer::server_of(&DialOptions::new().keepalive(INTERVAL, timeout)),
];

fn is_given_up(error: &Error) -> bool {
    matches!(error, Error::ConnectionLost { reason, .. } if reason.starts_with("keepalive: "))
}

#[test]
fn a_silent_peer_is_asked_and_then_given_up() {
    bounded(|| {
        for make in ROLES {
            let (mut peer, ws) = make(SHORT);
            let other = ws.clone();
            let reader = thread::spawn(move || other.read().unwrap_err());
            assert_eq!(peer.read_frame().0, PING | FINAL);
            let error = reader.join().unwrap();
            assert!(is_given_up(&error), "{error}");
            assert!(is_given_up(&ws.write_text("x").unwrap_err()));
            assert_eq!(ws.counters().pings_sent, 1);
        }
    });
}

#[test]
fn a_peer_that_answers_is_kept() {
    bounded(|| {
        for make in ROLES {
            let (mut peer, ws) = make(LONG);
            let other = ws.clone();
            let reader = thread::spawn(move || other.read());
            for _ in 0..3 {
                let (first, payload) = peer.read_frame();
                assert_eq!(first, PING | FINAL);
                peer.send_frame(PONG | FINAL, &payload);
            }
            peer.send_frame(TEXT | FINAL, b"still here");
            assert_eq!(
                reader.join().unwrap().unwrap().as_text(),
                Some("still here")
            );
            // The third is counted once it is sent, which may be after its answer has come.
            assert!(ws.counters().pings_sent >= 2);
            assert!(ws.counters().round_trip.is_some());
        }
    });
}

#[test]
fn unread_bytes_are_a_sign_of_life() {
    bounded(|| {
        for make in ROLES {
            let (mut talking, heard) = make(Duration::from_millis(400));
            talking.send_frame(TEXT | FINAL, b"unread");
            // One that says nothing, and is given up later, tells when the time has passed.
            let (_silent, unheard) = make(Duration::from_millis(800));
            let error = unheard.read().unwrap_err();
            assert!(is_given_up(&error), "{error}");
            assert_eq!(heard.read().unwrap().as_text(), Some("unread"));
        }
    });
}

#[test]
fn a_busy_connection_is_not_asked() {
    bounded(|| {
        let long = Duration::from_secs(3600);
        let (client, server) = pair_with(
            &ListenOptions::new().keepalive(long, long),
            &DialOptions::new().keepalive(Duration::from_nanos(1), long),
        );
        let echo = thread::spawn(move || {
            while let Ok(message) = server.read_within(Deadline::NEVER) {
                server.write(&message).unwrap();
            }
            server.counters()
        });
        for _ in 0..100 {
            client.write_text("x").unwrap();
            client.read().unwrap();
        }
        client.close(talkws::CloseCode::Normal, "").unwrap();
        let counters = echo.join().unwrap();
        assert_eq!(counters.pings_sent, 0);
        assert_eq!(counters.messages_received, 100);
    });
}

#[test]
fn a_connection_that_nobody_holds_is_not_kept_alive() {
    bounded(|| {
        for make in ROLES {
            let (mut peer, ws) = make(LONG);
            drop(ws);
            // The stream ends, instead of Pings for ever.
            peer.read_to_end();
        }
    });
}
