//! Waiting for a Pong, or for the end, while messages come that nobody has asked for yet.

mod support;

use std::thread;
use std::time::Duration;

use support::bounded;
use support::raw_peer::{BINARY, CLOSE, CONTINUATION, FINAL, PING, PONG, RawPeer, TEXT};
use talkws::{CloseCode, Connection, Deadline, Error};

const NOW: Duration = Duration::ZERO;

fn text(ws: &Connection) -> String {
    ws.read().unwrap().into_text().unwrap()
}

#[test]
fn a_pong_is_waited_for_and_messages_before_it_are_kept() {
    bounded(|| {
        for (mut peer, ws) in RawPeer::both_roles() {
            let ping = ws.ping(b"1").unwrap();
            assert!(!ws.is_answered(ping) && ws.awaits_pong(b"1"));
            assert_eq!(peer.read_frame(), (PING | FINAL, b"1".to_vec()));
            peer.send_frame(TEXT | FINAL, b"first");
            peer.send_frame(TEXT, b"sec");
            peer.send_frame(CONTINUATION | FINAL, b"ond");
            peer.send_frame(PONG | FINAL, b"1");
            ws.wait_pong(ping, 16, Deadline::NEVER).unwrap();
            assert!(ws.is_answered(ping) && !ws.awaits_pong(b"1"));
            assert!(ws.pending().read);
            assert_eq!(ws.counters().messages_received, 0);
            assert_eq!([text(&ws), text(&ws)], ["first", "second"]);
            assert_eq!(ws.counters().messages_received, 2);
            assert!(!ws.pending().read);
        }
    });
}

#[test]
fn a_pong_answers_the_pings_before_it_and_no_other() {
    bounded(|| {
        let (mut peer, ws) = RawPeer::client();
        let pings = [b"a", b"b", b"c"].map(|payload| ws.ping(payload).unwrap());
        peer.send_frame(PONG | FINAL, b"none of these");
        peer.send_frame(PONG | FINAL, b"b");
        ws.wait_pong(pings[1], 16, Deadline::NEVER).unwrap();
        assert_eq!(pings.map(|ping| ws.is_answered(ping)), [true, true, false]);
        let waited = ws.wait_pong(pings[2], 16, NOW);
        assert!(matches!(waited, Err(Error::TimedOut { .. })), "{waited:?}");
        peer.send_frame(PONG | FINAL, b"c");
        ws.wait_pong(pings[2], 16, Deadline::NEVER).unwrap();
    });
}

#[test]
fn whoever_reads_takes_the_pong_for_those_who_wait() {
    bounded(|| {
        let (mut peer, ws) = RawPeer::client();
        let ping = ws.ping(b"x").unwrap();
        let reader = thread::spawn({
            let ws = ws.clone();
            move || text(&ws)
        });
        let waiter = thread::spawn({
            let ws = ws.clone();
            move || ws.wait_pong(ping, 16, Deadline::NEVER)
        });
        peer.send_frame(PONG | FINAL, b"x");
        waiter.join().unwrap().unwrap();
        peer.send_frame(TEXT | FINAL, b"and a message");
        assert_eq!(reader.join().unwrap(), "and a message");
    });
}

#[test]
fn no_more_is_put_aside_than_allowed() {
    bounded(|| {
        let (mut peer, ws) = RawPeer::client();
        let ping = ws.ping(b"x").unwrap();
        for message in ["1", "2", "3"] {
            peer.send_frame(TEXT | FINAL, message.as_bytes());
        }
        peer.send_frame(PONG | FINAL, b"x");
        let waited = ws.wait_pong(ping, 2, Duration::from_millis(1));
        assert!(matches!(waited, Err(Error::TimedOut { .. })), "{waited:?}");
        let waiter = thread::spawn({
            let ws = ws.clone();
            move || ws.wait_pong(ping, 2, Deadline::NEVER)
        });
        assert_eq!([text(&ws), text(&ws)], ["1", "2"]);
        waiter.join().unwrap().unwrap();
        assert_eq!(text(&ws), "3");
    });
}

/// A connection on which a thread waits for a Pong that does not come, after it has put `message`
/// aside.
fn one_aside(message: &str) -> (RawPeer, Connection) {
    let (mut peer, ws) = RawPeer::client();
    let ping = ws.ping(b"never answered").unwrap();
    thread::spawn({
        let ws = ws.clone();
        move || ws.wait_pong(ping, 16, Deadline::NEVER)
    });
    peer.send_frame(TEXT | FINAL, message.as_bytes());
    peer.send_frame(PING | FINAL, b"seen?");
    assert_eq!(peer.read_frame().0, PING | FINAL);
    assert_eq!(peer.read_frame(), (PONG | FINAL, b"seen?".to_vec()));
    (peer, ws)
}

#[test]
fn a_message_put_aside_is_there_while_another_thread_still_waits() {
    bounded(|| {
        let (_peer, ws) = one_aside("here");
        let message = ws.read_within(NOW).unwrap();
        assert_eq!(message.into_text().unwrap(), "here");
    });
}

#[test]
fn so_are_its_parts() {
    bounded(|| {
        let (_peer, ws) = one_aside("here");
        assert!(ws.pending().read);
        let mut byte = [0; 1];
        for (at, expected) in b"here".iter().enumerate() {
            let part = ws.read_some(&mut byte, NOW).unwrap();
            assert_eq!((byte[0], part.len, part.is_last), (*expected, 1, at == 3));
        }
        assert!(!ws.pending().read);
    });
}

#[test]
fn who_waits_for_a_message_and_who_waits_for_a_pong_go_on_in_turns() {
    bounded(|| {
        let (mut peer, ws) = one_aside("0");
        let echo = thread::spawn(move || {
            for number in 0..1000 {
                assert_eq!(text(&ws), number.to_string());
                ws.write_text("next").unwrap();
            }
        });
        for number in 1..=1000 {
            // Nothing comes before the answer to what came before.
            assert_eq!(peer.read_frame(), (TEXT | FINAL, b"next".to_vec()));
            peer.send_frame(TEXT | FINAL, number.to_string().as_bytes());
        }
        echo.join().unwrap();
    });
}

#[test]
fn between_the_parts_of_a_message_put_aside_no_other_is_read() {
    bounded(|| {
        let (mut peer, ws) = RawPeer::client();
        let ping = ws.ping(b"x").unwrap();
        peer.send_frame(TEXT | FINAL, b"first");
        peer.send_frame(TEXT | FINAL, b"second");
        peer.send_frame(PONG | FINAL, b"x");
        ws.wait_pong(ping, 16, Deadline::NEVER).unwrap();
        ws.read_some(&mut [0; 2], NOW).unwrap();
        let read = ws.read_within(NOW);
        assert!(matches!(read, Err(Error::InvalidState(_))), "{read:?}");
        let mut rest = [0; 10];
        let part = ws.read_some(&mut rest, NOW).unwrap();
        assert_eq!((&rest[..part.len], part.is_last), (&b"rst"[..], true));
        assert_eq!(text(&ws), "second");
    });
}

#[test]
fn the_end_has_come_when_its_wait_is_over() {
    bounded(|| {
        let (mut peer, ws) = RawPeer::server();
        let reader = thread::spawn({
            let ws = ws.clone();
            move || ws.read()
        });
        peer.send_frame(CLOSE | FINAL, b"\x03\xe8");
        assert_eq!(peer.read_close(), Some(1000));
        // The reader waits for the end of the stream now, or is about to.
        for _ in 0..1000 {
            if ws.wait_end(16, NOW).is_ok() {
                assert!(ws.end().is_some());
            }
            thread::yield_now();
        }
        peer.half_close();
        assert!(matches!(reader.join().unwrap(), Err(Error::Closed(_))));
        ws.wait_end(16, NOW).unwrap();
    });
}

#[test]
fn the_end_ends_the_wait_and_loses_nothing() {
    bounded(|| {
        for (mut peer, ws) in RawPeer::both_roles() {
            let ping = ws.ping(b"x").unwrap();
            peer.read_frame();
            peer.send_frame(BINARY | FINAL, &[7; 100_000]);
            peer.send_frame(CLOSE | FINAL, b"\x03\xe8bye");
            peer.half_close();
            let waited = ws.wait_pong(ping, 16, Deadline::NEVER);
            assert!(matches!(waited, Err(Error::Closed(_))), "{waited:?}");
            assert_eq!(ws.read().unwrap().as_bytes(), [7; 100_000]);
            assert!(matches!(ws.read(), Err(Error::Closed(_))));
        }
    });
}

#[test]
fn a_message_in_parts_comes_out_of_what_was_put_aside() {
    bounded(|| {
        let (mut peer, ws) = RawPeer::client();
        let ping = ws.ping(b"x").unwrap();
        peer.send_frame(TEXT | FINAL, b"whole");
        peer.send_frame(TEXT, b"beg");
        peer.send_frame(PONG | FINAL, b"x");
        ws.wait_pong(ping, 16, Deadline::NEVER).unwrap();
        let mut buffer = [0; 3];
        let part = ws.read_some(&mut buffer, NOW).unwrap();
        assert_eq!((&buffer[..part.len], part.is_last), (&b"who"[..], false));
        let again = ws.ping(b"y").unwrap();
        let waited = ws.wait_pong(again, 16, NOW);
        assert!(matches!(waited, Err(Error::InvalidState(_))), "{waited:?}");
        let part = ws.read_some(&mut buffer, NOW).unwrap();
        assert_eq!((&buffer[..part.len], part.is_last), (&b"le"[..], true));
        peer.send_frame(CONTINUATION | FINAL, b"inning");
        assert_eq!(text(&ws), "beginning");
    });
}

#[test]
fn a_message_put_aside_survives_the_end_in_parts() {
    bounded(|| {
        let (mut peer, ws) = RawPeer::client();
        peer.send_frame(TEXT | FINAL, b"abc");
        peer.send_frame(CLOSE | FINAL, &[]);
        ws.wait_end(16, Deadline::NEVER).unwrap();
        assert!(matches!(ws.end(), Some(Error::Closed(_))));
        let mut byte = [0; 1];
        for expected in b"abc" {
            ws.read_some(&mut byte, NOW).unwrap();
            assert_eq!(byte[0], *expected);
        }
        assert!(matches!(
            ws.read_some(&mut byte, NOW),
            Err(Error::Closed(_))
        ));
    });
}

#[test]
fn closing_drops_what_was_put_aside() {
    bounded(|| {
        let (mut peer, ws) = RawPeer::client();
        let ping = ws.ping(b"x").unwrap();
        peer.send_frame(TEXT | FINAL, b"unwanted");
        peer.send_frame(PONG | FINAL, b"x");
        ws.wait_pong(ping, 16, Deadline::NEVER).unwrap();
        peer.send_frame(CLOSE | FINAL, b"\x03\xe8");
        ws.close(CloseCode::Normal, "").unwrap();
        assert!(matches!(ws.read(), Err(Error::Closed(_))));
    });
}

#[test]
fn closing_ends_every_wait() {
    bounded(|| {
        let (mut peer, ws) = RawPeer::client();
        let ping = ws.ping(b"never answered").unwrap();
        let waiters = [true, false].map(|for_pong| {
            let ws = ws.clone();
            thread::spawn(move || match for_pong {
                true => matches!(
                    ws.wait_pong(ping, 16, Deadline::NEVER),
                    Err(Error::Closed(_))
                ),
                false => ws.wait_end(16, Deadline::NEVER).is_ok(),
            })
        });
        assert_eq!(peer.read_frame().0, PING | FINAL);
        let closer = thread::spawn(move || ws.close(CloseCode::Normal, ""));
        peer.read_close();
        peer.send_frame(CLOSE | FINAL, b"\x03\xe8");
        closer.join().unwrap().unwrap();
        for waiter in waiters {
            assert!(waiter.join().unwrap());
        }
    });
}

#[test]
fn a_pong_of_our_own_accord_goes_out() {
    bounded(|| {
        let (mut peer, ws) = RawPeer::client();
        ws.pong_within(b"alive", Deadline::NEVER).unwrap();
        assert_eq!(peer.read_frame(), (PONG | FINAL, b"alive".to_vec()));
        let too_long = ws.pong_within(&[0; 126], Deadline::NEVER);
        assert!(matches!(too_long, Err(Error::InvalidArgument(_))));
    });
}
