//! Messages read in parts: bounded memory for any size, nothing lost, doubled or torn.

mod support;

use std::thread;
use std::time::Duration;

use proptest::prelude::*;
use support::raw_peer::{BINARY, CONTINUATION, FINAL, PING, PONG, RawPeer, TEXT};
use support::{bounded, pair, pair_with};
use talkws::{
    CloseCode, Connection, Deadline, DialOptions, Error, ListenOptions, MessageKind, Part,
};

const SHORT: Duration = Duration::from_millis(20);

/// Reads a whole message in parts of at most `size` bytes.
fn read_parts(ws: &Connection, size: usize) -> talkws::Result<(MessageKind, Vec<u8>)> {
    let mut buffer = vec![0; size];
    let mut message = Vec::new();
    loop {
        let part = ws.read_some(&mut buffer, Deadline::NEVER)?;
        message.extend_from_slice(&buffer[..part.len]);
        if part.is_last {
            return Ok((part.kind, message));
        }
        assert!(part.len > 0, "only the last part may be empty");
    }
}

#[test]
fn messages_of_every_size_come_whole_through_buffers_of_every_size() {
    bounded(|| {
        let (client, server) = pair();
        for size in [0, 1, 125, 126, 4095, 16_384, 65_536, 300_000] {
            let sent: Vec<u8> = (0..size).map(|index| (index % 251) as u8).collect();
            for buffer in [1, 7, 4096, 16_384, 1 << 20] {
                if size / buffer > 20_000 {
                    continue;
                }
                let writer = {
                    let (client, sent) = (client.clone(), sent.clone());
                    thread::spawn(move || client.write_binary(&sent).unwrap())
                };
                let (kind, message) = read_parts(&server, buffer).unwrap();
                writer.join().unwrap();
                assert_eq!(kind, MessageKind::Binary);
                assert!(message == sent, "{size} bytes, {buffer} at a time");
            }
        }
    });
}

#[test]
fn a_message_larger_than_any_memory_is_read_in_a_small_buffer() {
    bounded(|| {
        const SIZE: usize = 24 << 20;
        let options = ListenOptions::new().max_message_size(usize::MAX);
        let (client, server) = pair_with(&options, &DialOptions::new());
        let writer = thread::spawn(move || {
            let piece = vec![7; 1 << 20];
            for index in 1..=SIZE >> 20 {
                let is_last = index == SIZE >> 20;
                client
                    .write_part(MessageKind::Binary, &piece, is_last, Deadline::NEVER)
                    .unwrap();
            }
            client.read().unwrap()
        });
        let mut buffer = vec![0; 64 * 1024];
        let mut size = 0;
        loop {
            let part = server.read_some(&mut buffer, Deadline::NEVER).unwrap();
            assert!(buffer[..part.len].iter().all(|&byte| byte == 7));
            size += part.len;
            if part.is_last {
                break;
            }
        }
        assert_eq!(size, SIZE);
        server.write_text("got it").unwrap();
        assert_eq!(writer.join().unwrap().as_text(), Some("got it"));
    });
}

#[test]
fn what_is_there_is_given_at_once_and_the_end_when_it_comes() {
    bounded(|| {
        for (mut peer, ws) in RawPeer::both_roles() {
            let mut buffer = [0; 100];
            peer.send_frame(TEXT, b"ab");
            let mut part = || ws.read_some(&mut buffer, Duration::from_secs(30)).unwrap();
            let kind = MessageKind::Text;
            let first = Part {
                kind,
                len: 2,
                is_last: false,
            };
            assert_eq!(part(), first);
            assert!(matches!(ws.read(), Err(Error::InvalidState(_))));
            peer.send_frame(PING | FINAL, b"between");
            peer.send_frame(CONTINUATION | FINAL, b"");
            let end = Part {
                kind,
                len: 0,
                is_last: true,
            };
            assert_eq!(part(), end);
            assert_eq!(peer.read_frame(), (PONG | FINAL, b"between".to_vec()));
        }
    });
}

#[test]
fn a_timeout_between_parts_loses_nothing() {
    bounded(|| {
        for (mut peer, ws) in RawPeer::both_roles() {
            let message: Vec<u8> = (0..40_000).map(|index| (index % 253) as u8).collect();
            let frame = peer.frame(BINARY | FINAL, &message);
            let mut buffer = [0; 10_000];
            let mut received = Vec::new();
            let mut sent = 0;
            let is_last = loop {
                match ws.read_some(&mut buffer, Duration::ZERO) {
                    Ok(part) => {
                        received.extend_from_slice(&buffer[..part.len]);
                        if part.is_last {
                            break true;
                        }
                    }
                    Err(Error::TimedOut { .. }) if sent < frame.len() => {
                        let piece = 777.min(frame.len() - sent);
                        peer.send(&frame[sent..sent + piece]);
                        sent += piece;
                    }
                    Err(Error::TimedOut { .. }) => thread::yield_now(),
                    Err(error) => panic!("{error}"),
                }
            };
            assert!(is_last && received == message);
        }
    });
}

#[test]
fn what_a_whole_read_has_begun_is_gone_on_with_in_parts() {
    bounded(|| {
        let (mut peer, ws) = RawPeer::client();
        peer.send_frame(BINARY, b"first ");
        assert!(matches!(ws.read_within(SHORT), Err(Error::TimedOut { .. })));
        peer.send_frame(CONTINUATION | FINAL, b"second");
        let (_, message) = read_parts(&ws, 4).unwrap();
        assert_eq!(message, b"first second");
        peer.send_frame(TEXT | FINAL, b"whole");
        assert_eq!(ws.read().unwrap().as_text(), Some("whole"));
    });
}

#[test]
fn the_rest_of_a_message_in_parts_is_not_given_as_a_whole_one() {
    bounded(|| {
        let (mut peer, ws) = RawPeer::client();
        let mut buffer = [0; 3];
        peer.send_frame(TEXT | FINAL, b"abcdef");
        assert_eq!(ws.read_some(&mut buffer, SHORT).unwrap().len, 3);
        assert!(ws.pending().read, "the rest is there");
        assert!(matches!(ws.read(), Err(Error::InvalidState(_))));
        assert!(ws.read_some(&mut buffer, SHORT).unwrap().is_last);
        assert_eq!(&buffer, b"def");
        assert!(matches!(
            ws.read_some(&mut [], SHORT),
            Err(Error::InvalidArgument(_))
        ));
        assert!(ws.is_open());
    });
}

#[test]
fn a_violation_shows_when_it_is_reached() {
    bounded(|| {
        for (mut peer, ws) in RawPeer::both_roles() {
            let mut buffer = [0; 16];
            peer.send_frame(TEXT, "caf\u{e9}".as_bytes());
            assert_eq!(ws.read_some(&mut buffer, Deadline::NEVER).unwrap().len, 5);
            peer.send_frame(CONTINUATION | FINAL, b"\xC3");
            let reader = thread::spawn(move || {
                let error = ws.read_some(&mut buffer, Deadline::NEVER).unwrap_err();
                assert!(matches!(error, Error::InvalidUtf8(_)), "{error}");
                assert!(matches!(ws.read(), Err(Error::InvalidUtf8(_))));
            });
            assert_eq!(peer.read_close(), Some(1007));
            drop(peer);
            reader.join().unwrap();
        }
    });
}

#[test]
fn the_limit_counts_for_parts_too() {
    bounded(|| {
        let options = ListenOptions::new().max_message_size(10);
        let (mut peer, ws) = RawPeer::client_of(&options);
        peer.send_frame(BINARY, &[1; 10]);
        let mut buffer = [0; 16];
        assert_eq!(ws.read_some(&mut buffer, Deadline::NEVER).unwrap().len, 10);
        peer.send_frame(CONTINUATION | FINAL, &[1]);
        let reader = thread::spawn(move || ws.read_some(&mut buffer, Deadline::NEVER));
        assert_eq!(peer.read_close(), Some(1009));
        drop(peer);
        assert!(matches!(reader.join().unwrap(), Err(Error::TooBig(_))));
    });
}

#[test]
fn closing_drops_the_rest_of_a_message_in_parts() {
    bounded(|| {
        let (client, server) = pair();
        let mut buffer = [0; 2];
        client.write_binary(b"abcd").unwrap();
        assert_eq!(
            server.read_some(&mut buffer, Deadline::NEVER).unwrap().len,
            2
        );
        let peer = thread::spawn(move || client.read().unwrap_err());
        server.close(CloseCode::Normal, "").unwrap();
        assert!(matches!(
            server.read_some(&mut buffer, Deadline::NEVER),
            Err(Error::Closed(_))
        ));
        assert!(matches!(peer.join().unwrap(), Error::Closed(_)));
    });
}

#[test]
fn a_close_ends_a_reader_of_parts_that_waits() {
    bounded(|| {
        // One that parts are received into, and one that is too small for that.
        for ((mut peer, ws), size) in RawPeer::both_roles().into_iter().zip([8192, 100]) {
            let mut buffer = vec![0; size];
            let frame = peer.frame(BINARY | FINAL, &[9; 50_000]);
            peer.send(&frame[..1000]);
            let other = ws.clone();
            let part = ws.read_some(&mut buffer, Deadline::NEVER).unwrap();
            assert!(!part.is_last);
            let reader = thread::spawn(move || {
                let mut received = part.len;
                loop {
                    match ws.read_some(&mut buffer, Deadline::NEVER) {
                        Ok(part) => received += part.len,
                        Err(error) => return (received, error),
                    }
                }
            });
            let closer = thread::spawn(move || other.close(CloseCode::Normal, ""));
            assert_eq!(peer.read_close(), Some(1000));
            peer.send(&frame[1000..]);
            peer.send_frame(0x88, b"\x03\xE8");
            drop(peer);
            let (received, error) = reader.join().unwrap();
            assert!(matches!(error, Error::Closed(_)), "{error}");
            assert!(received <= 1000, "what came after our Close is dropped");
            closer.join().unwrap().unwrap();
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the frames, the pieces they come in and the room there is: the same messages.
    #[test]
    fn parts_put_together_are_the_message(
        messages in prop::collection::vec(
            prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9000), 1..4), 1..4),
        cut in 1..20_000_usize,
        room in 1..20_000_usize,
    ) {
        let (mut peer, ws) = RawPeer::client();
        let mut bytes = Vec::new();
        for fragments in &messages {
            for (index, fragment) in fragments.iter().enumerate() {
                let first = if index == 0 { BINARY } else { CONTINUATION };
                let is_last = index + 1 == fragments.len();
                bytes.extend(peer.frame(first | if is_last { FINAL } else { 0 }, fragment));
            }
        }
        let writer = thread::spawn(move || {
            for piece in bytes.chunks(cut) {
                peer.send(piece);
            }
            peer
        });
        for fragments in &messages {
            let (_, message) = read_parts(&ws, room).unwrap();
            prop_assert_eq!(message, fragments.concat());
        }
        writer.join().unwrap();
        prop_assert_eq!(ws.counters().messages_received, messages.len() as u64);
    }
}
