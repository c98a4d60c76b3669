//! The end of a connection: closed, aborted, failed, lost.

mod support;

use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use support::raw_peer::{BINARY, CLOSE, CONTINUATION, FINAL, PING, RawPeer, TEXT};
use support::{bounded, pair, pair_with};
use talkws::{
    CloseCode, ClosedBy, Connection, DialOptions, Error, ListenOptions, MessageKind, Violation,
};

const QUICK: Duration = Duration::from_millis(50);

fn quick_listen() -> ListenOptions {
    ListenOptions::new().close_timeout(QUICK)
}

fn quick_dial() -> DialOptions {
    DialOptions::new().close_timeout(QUICK)
}

fn assert_stays(ws: &Connection, expected: &Error) {
    let expected = expected.to_string();
    assert_eq!(ws.read().unwrap_err().to_string(), expected);
    assert_eq!(ws.write_text("x").unwrap_err().to_string(), expected);
    assert_eq!(ws.ping(b"").unwrap_err().to_string(), expected);
    assert!(!ws.is_open());
}

#[test]
fn both_ends_learn_code_and_reason_and_who_began() {
    bounded(|| {
        for (closer, other) in [pair(), {
            let (client, server) = pair();
            (server, client)
        }] {
            let reader = thread::spawn(move || {
                let error = other.read().unwrap_err();
                assert_stays(&other, &error);
                error
            });
            closer.close(CloseCode::from(4001), "enough").unwrap();
            let Error::Closed(seen) = reader.join().unwrap() else {
                panic!("not closed")
            };
            assert_eq!(
                (u16::from(seen.code), seen.reason.as_str()),
                (4001, "enough")
            );
            assert_eq!(seen.by, ClosedBy::Peer);
            let info = closer.close_info().unwrap();
            assert_eq!((u16::from(info.code), info.by), (4001, ClosedBy::Local));
            assert_stays(&closer, &Error::Closed(info));
            closer.close(CloseCode::Normal, "again").unwrap();
        }
    });
}

#[test]
fn the_peers_code_is_echoed_and_a_server_closes_tcp_first() {
    bounded(|| {
        for code in [1000u16, 1001, 1014, 3000, 4999] {
            let (mut peer, ws) = RawPeer::client();
            peer.send_frame(
                FINAL | CLOSE,
                &[&code.to_be_bytes()[..], b"reason"].concat(),
            );
            let Err(Error::Closed(info)) = ws.read() else {
                panic!("not closed")
            };
            assert_eq!(
                (u16::from(info.code), info.reason.as_str()),
                (code, "reason")
            );
            assert_eq!(peer.read_close(), Some(code));
            peer.read_to_end();
        }
        for (mut peer, ws) in RawPeer::both_roles() {
            peer.send_frame(FINAL | CLOSE, b"");
            let reader = thread::spawn(move || ws.read());
            assert_eq!(peer.read_close(), None);
            drop(peer);
            let Err(Error::Closed(info)) = reader.join().unwrap() else {
                panic!("not closed")
            };
            assert_eq!(info.code, CloseCode::Status);
        }
    });
}

#[test]
fn closing_ends_a_blocked_reader_which_makes_the_handshake() {
    bounded(|| {
        // Many times, since the reader may be on its way into the call, or in it.
        for _ in 0..100 {
            let (client, server) = pair();
            let (started, is_started) = channel();
            let reader = {
                let client = client.clone();
                thread::spawn(move || {
                    started.send(()).unwrap();
                    client.read()
                })
            };
            let peer = thread::spawn(move || server.read());
            is_started.recv().unwrap();
            client.close(CloseCode::Normal, "").unwrap();
            assert!(matches!(reader.join().unwrap(), Err(Error::Closed(_))));
            assert!(matches!(peer.join().unwrap(), Err(Error::Closed(_))));
        }
    });
}

#[test]
fn a_silent_peer_costs_no_more_than_the_close_timeout() {
    bounded(|| {
        let pairs = [
            RawPeer::client_of(&quick_listen()),
            RawPeer::server_of(&quick_dial()),
        ];
        for (peer, ws) in pairs {
            let reader = {
                let ws = ws.clone();
                thread::spawn(move || ws.read())
            };
            let error = ws.close(CloseCode::Normal, "anyone?").unwrap_err();
            assert!(matches!(error, Error::ConnectionLost { .. }), "{error}");
            assert!(reader.join().unwrap().is_err());
            assert_stays(&ws, &error);
            drop(peer);
        }
    });
}

#[test]
fn closing_ends_a_write_that_the_peer_does_not_take() {
    bounded(|| {
        let pairs = [
            RawPeer::client_of(&quick_listen()),
            RawPeer::server_of(&quick_dial()),
        ];
        for (peer, ws) in pairs {
            let writer = {
                let ws = ws.clone();
                thread::spawn(move || {
                    loop {
                        if let Err(error) = ws.write_binary(&[0; 1 << 20]) {
                            break error;
                        }
                    }
                })
            };
            // The writer holds its half of the connection once this does not find it free.
            while ws.flush(Duration::ZERO).is_ok() {}
            assert!(ws.close(CloseCode::Normal, "").is_err());
            let _ = writer.join().unwrap();
            drop(peer);
        }
    });
}

#[test]
fn what_the_peer_sends_after_our_close_is_dropped_until_its_own() {
    bounded(|| {
        for (mut peer, ws) in RawPeer::both_roles() {
            let closer = {
                let ws = ws.clone();
                thread::spawn(move || ws.close(CloseCode::Normal, ""))
            };
            assert_eq!(peer.read_close(), Some(1000));
            peer.send_frame(TEXT, b"still ");
            peer.send_frame(FINAL | PING, b"no answer");
            peer.send_frame(FINAL | CONTINUATION, b"talking");
            peer.send_frame(FINAL | BINARY, &vec![1; 100_000]);
            peer.send_frame(FINAL | CLOSE, &1000u16.to_be_bytes());
            peer.half_close();
            peer.read_to_end();
            closer.join().unwrap().unwrap();
            assert!(matches!(ws.read(), Err(Error::Closed(_))));
        }
    });
}

#[test]
fn a_blocked_reader_gets_no_message_that_came_after_our_close() {
    bounded(|| {
        for (mut peer, ws) in RawPeer::both_roles() {
            let reader = {
                let ws = ws.clone();
                thread::spawn(move || (ws.read(), ws.read()))
            };
            // The reader is in its first call until this has come, and in its second then.
            peer.send_frame(FINAL | TEXT, b"before");
            let closer = thread::spawn(move || ws.close(CloseCode::Normal, ""));
            assert_eq!(peer.read_close(), Some(1000));
            peer.send_frame(FINAL | TEXT, b"after");
            peer.send_frame(FINAL | CLOSE, &1000u16.to_be_bytes());
            peer.half_close();
            closer.join().unwrap().unwrap();
            let (_, second) = reader.join().unwrap();
            assert!(matches!(second, Err(Error::Closed(_))), "{second:?}");
        }
    });
}

#[test]
fn both_ends_may_close_at_once() {
    bounded(|| {
        for _ in 0..50 {
            let (client, server) = pair();
            let other = thread::spawn(move || server.close(CloseCode::Away, "server"));
            client.close(CloseCode::Normal, "client").unwrap();
            other.join().unwrap().unwrap();
        }
    });
}

#[test]
fn many_threads_may_close() {
    bounded(|| {
        let (client, server) = pair();
        let peer = thread::spawn(move || server.read());
        let closers: Vec<_> = (0..8)
            .map(|_| {
                let client = client.clone();
                thread::spawn(move || client.close(CloseCode::Normal, ""))
            })
            .collect();
        closers
            .into_iter()
            .for_each(|closer| closer.join().unwrap().unwrap());
        assert!(matches!(peer.join().unwrap(), Err(Error::Closed(_))));
    });
}

#[test]
fn abort_ends_reader_and_writer_at_once() {
    bounded(|| {
        for (peer, ws) in RawPeer::both_roles() {
            let reader = {
                let ws = ws.clone();
                thread::spawn(move || ws.read())
            };
            let writer = {
                let ws = ws.clone();
                thread::spawn(move || ws.write_binary(&vec![0; 32 << 20]))
            };
            while ws.flush(Duration::ZERO).is_ok() {}
            ws.abort();
            assert!(matches!(reader.join().unwrap(), Err(Error::Aborted { .. })));
            assert!(matches!(writer.join().unwrap(), Err(Error::Aborted { .. })));
            assert!(matches!(
                ws.close(CloseCode::Normal, ""),
                Err(Error::Aborted { .. })
            ));
            drop(peer);
        }
    });
}

#[test]
fn a_close_that_must_not_be_sent_is_refused_and_harms_nothing() {
    let (client, server) = pair();
    for code in [0u16, 1005 + 1, 1015, 2000, 5000] {
        let error = client.close(CloseCode::from(code), "").unwrap_err();
        assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
    }
    let long = "x".repeat(124);
    assert!(matches!(
        client.close(CloseCode::Normal, &long),
        Err(Error::InvalidArgument(_))
    ));
    client.write_text("still open").unwrap();
    assert_eq!(server.read().unwrap().as_text(), Some("still open"));
}

#[test]
fn a_violation_is_told_to_the_peer_and_is_the_error_from_then_on() {
    type Bytes = Box<dyn Fn(&RawPeer) -> Vec<u8> + Send>;
    let frame = |first: u8, payload: &'static [u8]| -> Bytes {
        Box::new(move |peer| peer.frame(first, payload))
    };
    let raw = |bytes: &'static [u8]| -> Bytes { Box::new(move |_| bytes.to_vec()) };
    let cases: Vec<(&str, Bytes, u16)> = vec![
        ("a reserved bit", frame(FINAL | 0x40 | TEXT, b"x"), 1002),
        ("a reserved opcode", frame(FINAL | 0x3, b""), 1002),
        ("a reserved control opcode", frame(FINAL | 0xB, b""), 1002),
        (
            "nothing to continue",
            frame(FINAL | CONTINUATION, b"x"),
            1002,
        ),
        ("a fragmented Ping", frame(PING, b"x"), 1002),
        ("a long Ping", frame(FINAL | PING, &[0; 126]), 1002),
        ("half a close code", frame(FINAL | CLOSE, b"\x03"), 1002),
        (
            "a close code that is not sent",
            frame(FINAL | CLOSE, b"\x03\xEE"),
            1002,
        ),
        (
            "a close reason in Latin-1",
            frame(FINAL | CLOSE, b"\x03\xE8\xE9"),
            1007,
        ),
        ("text in Latin-1", frame(FINAL | TEXT, b"caf\xE9"), 1007),
        (
            "text that ends inside a character",
            frame(FINAL | TEXT, b"\xE2\x82"),
            1007,
        ),
        (
            "a length of 2^63",
            raw(b"\x82\xFF\x80\0\0\0\0\0\0\0\0\0\0\0"),
            1002,
        ),
    ];
    bounded(move || {
        for (name, bytes, code) in &cases {
            let (mut peer, ws) = RawPeer::client();
            let bytes = bytes(&peer);
            let reader = thread::spawn(move || (ws.read().unwrap_err(), ws));
            peer.send(&bytes);
            assert_eq!(peer.read_close(), Some(*code), "{name}");
            peer.read_to_end();
            drop(peer);
            let (error, ws) = reader.join().unwrap();
            assert_eq!(
                error.close_code().map(u16::from),
                Some(*code),
                "{name}: {error}"
            );
            assert_stays(&ws, &error);
        }
    });
}

#[test]
fn each_role_insists_on_its_masks() {
    bounded(|| {
        let (mut peer, server) = RawPeer::client();
        peer.send(b"\x81\x01x");
        drop(peer);
        assert!(matches!(
            server.read(),
            Err(Error::Protocol(Violation::UnmaskedFrame))
        ));
        let (mut peer, client) = RawPeer::server();
        peer.send(b"\x81\x81\0\0\0\0x");
        drop(peer);
        assert!(matches!(
            client.read(),
            Err(Error::Protocol(Violation::MaskedFrame))
        ));
    });
}

#[test]
fn bad_text_fails_in_the_middle_of_its_frame() {
    bounded(|| {
        for (mut peer, ws) in RawPeer::both_roles() {
            // A frame of 100,000 bytes, of which only the first three ever come.
            let bytes = peer.frame(FINAL | TEXT, &[b'a', b'b', 0xFF].repeat(33_334));
            let header = bytes.len() - 100_002;
            peer.send(&bytes[..header + 3]);
            let reader = thread::spawn(move || ws.read());
            assert_eq!(peer.read_close(), Some(1007));
            drop(peer);
            assert!(matches!(reader.join().unwrap(), Err(Error::InvalidUtf8(_))));
        }
    });
}

#[test]
fn a_message_over_the_limit_fails_before_it_is_received() {
    bounded(|| {
        let options = ListenOptions::new().max_message_size(1000);
        let (mut peer, ws) = RawPeer::client_of(&options);
        peer.send_frame(FINAL | BINARY, &[0; 1000]);
        assert_eq!(ws.read().unwrap().len(), 1000);
        peer.send_frame(BINARY, &[0; 600]);
        let header = &peer.frame(FINAL | CONTINUATION, &[0; 401])[..8];
        peer.send(header);
        let reader = thread::spawn(move || ws.read());
        assert_eq!(peer.read_close(), Some(1009));
        drop(peer);
        let error = reader.join().unwrap().unwrap_err();
        let Error::TooBig(Violation::MessageTooBig { size, limit }) = error else {
            panic!("{error}")
        };
        assert_eq!((size, limit), (1001, 1000));
    });
}

#[test]
fn a_stream_that_just_ends_is_a_lost_connection() {
    bounded(|| {
        for (mut peer, ws) in RawPeer::both_roles() {
            peer.send_frame(FINAL | TEXT, b"last words");
            drop(peer);
            assert_eq!(ws.read().unwrap().as_text(), Some("last words"));
            let error = ws.read().unwrap_err();
            assert!(matches!(error, Error::ConnectionLost { .. }), "{error}");
            assert_eq!(error.close_code(), Some(CloseCode::Abnormal));
            assert_stays(&ws, &error);
        }
        for (mut peer, ws) in RawPeer::both_roles() {
            peer.send(&peer.frame(FINAL | TEXT, b"cut off")[..4]);
            peer.reset();
            assert!(matches!(ws.read(), Err(Error::ConnectionLost { .. })));
        }
    });
}

#[test]
fn messages_that_came_before_a_failed_write_are_still_read() {
    bounded(|| {
        let (mut peer, ws) = RawPeer::client();
        peer.send_frame(FINAL | TEXT, b"one");
        peer.send_frame(FINAL | TEXT, b"two");
        peer.send_frame(FINAL | CLOSE, &1001u16.to_be_bytes());
        drop(peer);
        // The peer is gone; the system finds that out after a write or two.
        while ws
            .write_data(MessageKind::Binary, &[0; 1000], Duration::from_secs(1))
            .is_ok()
        {}
        assert!(ws.write_text("x").is_err());
        match ws.read() {
            // Linux gives what had arrived even after a reset; elsewhere the reset comes first.
            Ok(message) => {
                assert_eq!(message.as_text(), Some("one"));
                assert_eq!(ws.read().unwrap().as_text(), Some("two"));
                let Err(Error::Closed(info)) = ws.read() else {
                    panic!("not closed")
                };
                assert_eq!(info.code, CloseCode::Away);
            }
            Err(error) => assert!(matches!(error, Error::ConnectionLost { .. }), "{error}"),
        }
    });
}

#[test]
fn dropping_the_last_clone_ends_the_connection_for_the_peer() {
    bounded(|| {
        let (client, server) = pair_with(&quick_listen(), &quick_dial());
        drop(client.clone());
        client.write_text("still there").unwrap();
        assert_eq!(server.read().unwrap().as_text(), Some("still there"));
        drop(client);
        assert!(matches!(server.read(), Err(Error::ConnectionLost { .. })));
    });
}
