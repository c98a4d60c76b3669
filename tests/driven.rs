//! Connections that an event loop of the program's own drives: nothing waits, and nothing is lost.

mod support;

use std::io::Read;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use support::bounded;
use support::raw_peer::{BINARY, CLOSE, FINAL, RawPeer, TEXT};
use talkws::{CloseCode, DialOptions, Driven, Error, ListenOptions, MessageKind, Progress};

/// Waits as a loop does, until the descriptor has something to read.
fn until_readable(driven: &Driven) {
    let mut entry = libc::pollfd {
        fd: driven.connection().as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one entry, which lives for the call.
    let ready = unsafe { libc::poll(&raw mut entry, 1, -1) };
    assert_eq!(ready, 1);
}

/// Takes turns until so many messages have come.
fn messages(driven: &Driven, count: usize) -> Vec<Vec<u8>> {
    let mut got = Vec::new();
    while got.len() < count {
        until_readable(driven);
        let progress = driven.turn(|message, _| {
            got.push(message.as_bytes().to_vec());
            true
        });
        assert!(!matches!(progress, Progress::Ended(_)), "{progress:?}");
    }
    got
}

/// Takes turns until the connection has ended.
fn end(driven: &Driven) -> Error {
    loop {
        until_readable(driven);
        if let Progress::Ended(error) = driven.turn(|_, _| true) {
            return error;
        }
    }
}

#[test]
fn one_turn_gives_what_has_come_and_waits_for_nothing() {
    bounded(|| {
        for (mut peer, ws) in RawPeer::both_roles() {
            let driven = ws.drive().unwrap();
            assert!(matches!(driven.turn(|_, _| true), Progress::Idle));
            let mut bytes = peer.frame(TEXT | FINAL, b"one");
            bytes.extend(peer.frame(BINARY | FINAL, b"two"));
            bytes.extend(peer.frame(TEXT, b"thr"));
            peer.send(&bytes);
            assert_eq!(messages(&driven, 2), [b"one", b"two"]);
            peer.send_frame(FINAL, b"ee");
            assert_eq!(messages(&driven, 1), [b"three"]);
        }
    });
}

#[test]
fn a_turn_stops_when_it_is_told_to_and_goes_on_without_the_descriptor() {
    bounded(|| {
        let (mut peer, ws) = RawPeer::client();
        let driven = ws.drive().unwrap();
        let frames = [b"a", b"b", b"c"].map(|payload| peer.frame(TEXT | FINAL, payload));
        peer.send(&frames.concat());
        until_readable(&driven);
        for expected in [b"a", b"b", b"c"] {
            let mut got = Vec::new();
            let progress = driven.turn(|message, _| {
                got.push(message.as_bytes().to_vec());
                false
            });
            assert!(matches!(progress, Progress::Again), "{progress:?}");
            assert_eq!(got, [expected]);
        }
        assert!(matches!(driven.turn(|_, _| false), Progress::Idle));
    });
}

#[test]
fn nobody_else_reads_it() {
    bounded(|| {
        let (_peer, ws) = RawPeer::client();
        let _driven = ws.drive().unwrap();
        assert!(matches!(ws.drive(), Err(Error::InvalidState(_))));
        assert!(matches!(ws.read(), Err(Error::InvalidState(_))));
    });
}

#[test]
fn what_the_peer_does_not_take_is_kept_and_leaves_in_order() {
    bounded(|| {
        let (mut peer, ws) = RawPeer::client();
        let driven = ws.drive().unwrap();
        let mut sent = 0_u32;
        while driven.waiting() < 1 << 20 {
            let mut data = vec![0; 100_000];
            data[..4].copy_from_slice(&sent.to_be_bytes());
            driven
                .write(MessageKind::Binary, &data, true, false)
                .unwrap();
            sent += 1;
        }
        assert!(driven.push() > 0);
        // Nobody pushes any more: it leaves by itself as the peer reads.
        for number in 0..sent {
            let (_, data) = peer.read_frame();
            assert_eq!(data.len(), 100_000);
            assert_eq!(data[..4], number.to_be_bytes());
        }
    });
}

#[test]
fn messages_of_which_more_follow_leave_together_when_they_are_pushed() {
    bounded(|| {
        let (mut peer, ws) = RawPeer::client();
        let driven = ws.drive().unwrap();
        for text in [b"one", b"two"] {
            driven.write(MessageKind::Text, text, true, true).unwrap();
        }
        assert!(driven.waiting() > 0);
        assert_eq!(driven.push(), 0);
        assert_eq!(peer.read_frame(), (TEXT | FINAL, b"one".to_vec()));
        assert_eq!(peer.read_frame(), (TEXT | FINAL, b"two".to_vec()));
    });
}

#[test]
fn closing_sends_close_and_a_turn_takes_the_answer() {
    bounded(|| {
        for (mut peer, ws) in RawPeer::both_roles() {
            let driven = ws.drive().unwrap();
            driven.close(CloseCode::Away, "bye").unwrap();
            assert!(driven.close_by().is_some() && !ws.is_open());
            assert_eq!(peer.read_close(), Some(1001));
            // What still comes is dropped.
            peer.send_frame(TEXT | FINAL, b"too late");
            peer.send_frame(CLOSE | FINAL, &1001_u16.to_be_bytes());
            assert!(matches!(end(&driven), Error::Closed(_)));
            assert!(driven.close_by().is_none());
            driven.close(CloseCode::Normal, "").unwrap();
        }
    });
}

#[test]
fn a_close_that_is_not_answered_ends_when_the_loop_gives_up() {
    bounded(|| {
        let options = ListenOptions::new().close_timeout(Duration::ZERO);
        let (_peer, ws) = RawPeer::client_of(&options);
        let driven = ws.drive().unwrap();
        driven.close(CloseCode::Normal, "").unwrap();
        assert!(driven.close_by().unwrap() <= Instant::now());
        assert!(ws.end().is_none());
        driven.give_up_closing();
        assert!(matches!(ws.end(), Some(Error::ConnectionLost { .. })));
    });
}

#[test]
fn the_peer_learns_why_it_has_failed_although_it_still_sends() {
    bounded(|| {
        let options = ListenOptions::new().max_message_size(10);
        let (mut peer, ws) = RawPeer::client_of(&options);
        let driven = ws.drive().unwrap();
        peer.send_frame(BINARY | FINAL, &[0; 200_000]);
        assert!(matches!(end(&driven), Error::TooBig(_)));
        assert!(driven.lingers_for().is_some());
        while driven.linger() {
            if peer.read_close() == Some(1009) {
                peer.half_close();
                until_readable(&driven);
            }
        }
        let mut rest = Vec::new();
        peer.stream.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty());
    });
}

#[test]
fn a_client_answers_the_close_of_its_server() {
    bounded(|| {
        let (mut peer, ws) = RawPeer::server_of(&DialOptions::new());
        let driven = ws.drive().unwrap();
        peer.send_frame(CLOSE | FINAL, &1000_u16.to_be_bytes());
        assert!(matches!(end(&driven), Error::Closed(_)));
        assert_eq!(peer.read_close(), Some(1000));
        assert!(driven.lingers_for().is_none());
    });
}
