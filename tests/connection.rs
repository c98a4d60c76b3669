//! Messages over an open connection: both directions at once, deadlines, parts.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use support::raw_peer::{BINARY, CONTINUATION, FINAL, PING, PONG, RawPeer, TEXT};
use support::{bounded, pair};
use talkws::{Connection, Deadline, Error, Message, MessageKind};

const SHORT: Duration = Duration::from_millis(20);

#[test]
fn messages_of_every_kind_and_size_arrive_as_they_were_written() {
    bounded(|| {
        let (client, server) = pair();
        let sizes = [
            0,
            1,
            125,
            126,
            16_383,
            16_384,
            65_535,
            65_536,
            1 << 20,
            (4 << 20) + 1,
        ];
        let echo = thread::spawn(move || {
            while let Ok(message) = server.read() {
                server.write(&message).unwrap();
            }
        });
        for size in sizes {
            let bytes: Vec<u8> = (0..size).map(|index| (index * 31 % 251) as u8).collect();
            client.write_binary(&bytes).unwrap();
            assert!(
                client.read().unwrap() == Message::binary(bytes),
                "binary, {size}"
            );
            let text: String = "añ世🦀".chars().cycle().take(size / 2).collect();
            client.write_text(&text).unwrap();
            assert!(
                client.read().unwrap() == Message::text(text),
                "text, {size}"
            );
        }
        client.close(talkws::CloseCode::Normal, "").unwrap();
        echo.join().unwrap();
    });
}

#[test]
fn a_blocked_read_never_stops_a_writer() {
    bounded(|| {
        for (reading, other) in [pair(), {
            let (client, server) = pair();
            (server, client)
        }] {
            let reader = {
                let reading = reading.clone();
                thread::spawn(move || reading.read().unwrap())
            };
            let writers: Vec<_> = (0..4)
                .map(|_| {
                    let reading = reading.clone();
                    thread::spawn(move || (0..500).for_each(|_| reading.write_text("up").unwrap()))
                })
                .collect();
            // Nothing goes the other way until all of it has arrived.
            for _ in 0..2000 {
                assert_eq!(other.read().unwrap().as_text(), Some("up"));
            }
            other.write_text("down").unwrap();
            assert_eq!(reader.join().unwrap().as_text(), Some("down"));
            writers
                .into_iter()
                .for_each(|writer| writer.join().unwrap());
        }
    });
}

#[test]
fn a_blocked_write_never_stops_a_reader() {
    bounded(|| {
        for (mut peer, ws) in RawPeer::both_roles() {
            // The peer does not read, so this write blocks.
            let writer = {
                let ws = ws.clone();
                thread::spawn(move || ws.write_binary(&vec![7; 16 << 20]))
            };
            let mut first = [0];
            peer.stream.peek(&mut first).unwrap();
            assert_eq!(first, [FINAL | BINARY], "the frame has begun");
            for _ in 0..100 {
                peer.send_frame(FINAL | PING, b"are you there?");
                peer.send_frame(FINAL | TEXT, b"hello");
                assert_eq!(ws.read().unwrap().as_text(), Some("hello"));
            }
            let (first, payload) = peer.read_frame();
            assert_eq!((first, payload.len()), (FINAL | BINARY, 16 << 20));
            // Of all the Pings at least the newest is answered, after the frame on its way.
            assert_eq!(
                peer.read_frame(),
                (FINAL | PONG, b"are you there?".to_vec())
            );
            writer.join().unwrap().unwrap();
        }
    });
}

#[test]
fn pings_are_answered_by_whoever_reads_also_between_fragments() {
    bounded(|| {
        for (mut peer, ws) in RawPeer::both_roles() {
            peer.send_frame(TEXT, "sn\u{00F6}".as_bytes().split_at(3).0);
            peer.send_frame(FINAL | PING, b"inside");
            peer.send_frame(
                FINAL | CONTINUATION,
                &["\u{00F6}".as_bytes()[1..].to_vec(), b"w".to_vec()].concat(),
            );
            assert_eq!(ws.read().unwrap().as_text(), Some("snöw"));
            assert_eq!(peer.read_frame(), (FINAL | PONG, b"inside".to_vec()));
        }
    });
}

#[test]
fn a_ping_of_ours_is_answered_and_seen() {
    bounded(|| {
        let (client, server) = pair();
        client.ping(b"payload").unwrap();
        client.write_text("after the ping").unwrap();
        server.read().unwrap();
        server.write_text("after the pong").unwrap();
        client.read().unwrap();
        assert_eq!(client.last_pong().as_deref(), Some(&b"payload"[..]));
        assert!(matches!(
            client.ping(&[0; 126]),
            Err(Error::InvalidArgument(_))
        ));
    });
}

#[test]
fn a_timeout_keeps_the_partial_message_wherever_it_falls() {
    bounded(|| {
        for (mut peer, ws) in RawPeer::both_roles() {
            let bytes = [
                peer.frame(TEXT, "zwölf ".as_bytes()),
                peer.frame(FINAL | PING, b"?"),
                peer.frame(FINAL | CONTINUATION, "Boxkämpfer".as_bytes()),
            ]
            .concat();
            for cut in 1..bytes.len() {
                peer.send(&bytes[..cut]);
                assert!(matches!(
                    ws.read_within(Duration::ZERO),
                    Err(Error::TimedOut { .. })
                ));
                assert!(matches!(
                    ws.read_within(Duration::from_millis(1)),
                    Err(Error::TimedOut { .. })
                ));
                peer.send(&bytes[cut..]);
                assert_eq!(
                    ws.read().unwrap().as_text(),
                    Some("zwölf Boxkämpfer"),
                    "cut at {cut}"
                );
                assert_eq!(peer.read_frame().0, FINAL | PONG);
            }
        }
    });
}

#[test]
fn a_timeout_keeps_what_was_received_in_place() {
    bounded(|| {
        for (mut peer, ws) in RawPeer::both_roles() {
            let payload: Vec<u8> = (0..300_000u32).map(|index| index as u8).collect();
            let bytes = peer.frame(FINAL | BINARY, &payload);
            let mut message = Message::text("an old one");
            for piece in bytes.chunks(70_000) {
                peer.send(piece);
                if let Ok(()) = ws.read_into(&mut message, SHORT) {
                    break;
                }
                assert!(message.is_empty());
            }
            assert!(message.as_bytes() == payload);
        }
    });
}

#[test]
fn a_read_that_fails_keeps_the_memory_that_it_was_given() {
    bounded(|| {
        let (client, server) = pair();
        let mut message = Message::with_buffer(Vec::with_capacity(1000));
        let memory = message.as_bytes().as_ptr();
        let read = server.read_into(&mut message, Duration::ZERO);
        assert!(matches!(read, Err(Error::TimedOut { .. })));
        assert_eq!((message.len(), message.as_bytes().as_ptr()), (0, memory));
        client.write_text("hello").unwrap();
        server.read_into(&mut message, Deadline::NEVER).unwrap();
        assert_eq!(message.as_text(), Some("hello"));
        assert_eq!(message.as_bytes().as_ptr(), memory);
    });
}

#[test]
fn many_messages_of_one_packet_come_one_by_one() {
    bounded(|| {
        let (mut peer, ws) = RawPeer::client();
        let bytes: Vec<u8> = (0..1000u16)
            .flat_map(|number| peer.frame(FINAL | BINARY, &number.to_be_bytes()))
            .collect();
        peer.send(&bytes);
        for number in 0..1000u16 {
            assert_eq!(ws.read().unwrap().as_bytes(), number.to_be_bytes());
        }
        assert!(matches!(
            ws.read_within(Duration::ZERO),
            Err(Error::TimedOut { .. })
        ));
    });
}

/// Writes until the stream is full, and gives how many messages were accepted.
fn fill(ws: &Connection, message: &[u8]) -> usize {
    for accepted in 0.. {
        match ws.write_data(MessageKind::Binary, message, SHORT) {
            Ok(()) => {}
            Err(Error::TimedOut { .. }) => return accepted,
            Err(error) => panic!("{error}"),
        }
    }
    unreachable!()
}

#[test]
fn a_write_that_times_out_sent_nothing_and_one_that_succeeds_is_whole() {
    bounded(|| {
        for size in [100, 5_000, 300_000] {
            for (mut peer, ws) in RawPeer::both_roles() {
                let accepted = fill(&ws, &vec![b'x'; size]);
                assert!(accepted > 0);
                // The system may find room for a little more. What counts is that the answer is true.
                let extra = ws.write_data(MessageKind::Binary, b"extra", Duration::ZERO);
                assert!(matches!(extra, Ok(()) | Err(Error::TimedOut { .. })));
                let last = thread::spawn(move || ws.write_text("the end").map(|()| ws));
                for number in 0..accepted {
                    let (first, payload) = peer.read_frame();
                    assert_eq!(first, FINAL | BINARY);
                    assert!(
                        payload == vec![b'x'; size],
                        "message {number} of {size} bytes is torn"
                    );
                }
                if extra.is_ok() {
                    assert_eq!(peer.read_frame(), (FINAL | BINARY, b"extra".to_vec()));
                }
                assert_eq!(peer.read_frame(), (FINAL | TEXT, b"the end".to_vec()));
                drop(last.join().unwrap().unwrap());
            }
        }
    });
}

#[test]
fn the_rest_of_an_accepted_message_leaves_while_this_end_waits_to_read() {
    bounded(|| {
        for (mut peer, ws) in RawPeer::both_roles() {
            // Larger than what the system buffers: a part stays behind when the deadline passes.
            let question = vec![b'?'; 24 << 20];
            ws.write_data(MessageKind::Binary, &question, SHORT)
                .unwrap();
            let reader = thread::spawn(move || ws.read());
            assert!(peer.read_frame().1 == question);
            peer.send_frame(FINAL | TEXT, b"!");
            assert_eq!(reader.join().unwrap().unwrap().as_text(), Some("!"));
        }
    });
}

#[test]
fn flush_waits_for_the_rest_of_an_accepted_message() {
    bounded(|| {
        for (mut peer, ws) in RawPeer::both_roles() {
            let message = vec![b'm'; 24 << 20];
            ws.write_data(MessageKind::Binary, &message, SHORT).unwrap();
            assert!(matches!(
                ws.flush(Duration::ZERO),
                Err(Error::TimedOut { .. })
            ));
            let flushed = thread::spawn(move || ws.flush(Deadline::NEVER).map(|()| ws));
            assert!(peer.read_frame().1 == message);
            drop(flushed.join().unwrap().unwrap());
        }
    });
}

#[test]
fn a_second_reader_waits_for_its_turn_until_its_deadline() {
    bounded(|| {
        let (client, server) = pair();
        let (started, is_started) = channel();
        let first = {
            let client = client.clone();
            thread::spawn(move || {
                started.send(()).unwrap();
                client.read()
            })
        };
        is_started.recv().unwrap();
        assert!(matches!(
            client.read_within(SHORT),
            Err(Error::TimedOut { .. })
        ));
        let second = thread::spawn(move || client.read());
        server.write_text("one").unwrap();
        server.write_text("two").unwrap();
        let mut texts = [
            first.join().unwrap().unwrap(),
            second.join().unwrap().unwrap(),
        ]
        .map(|message| message.to_string());
        texts.sort();
        assert_eq!(texts, ["one", "two"]);
    });
}

#[test]
fn an_interruption_ends_every_wait_and_harms_nothing() {
    static INTERRUPTED: AtomicBool = AtomicBool::new(true);
    bounded(|| {
        let (mut peer, ws) = RawPeer::client();
        let interruptible =
            || Deadline::NEVER.interrupted_by(|| INTERRUPTED.load(Ordering::SeqCst));
        peer.send(&peer.frame(FINAL | TEXT, b"hello")[..3]);
        assert!(matches!(
            ws.read_into(&mut Message::default(), interruptible()),
            Err(Error::Interrupted { .. })
        ));
        let full = loop {
            let result = ws.write_data(MessageKind::Binary, &[0; 100_000], interruptible());
            if let Err(error) = result {
                break error;
            }
        };
        assert!(matches!(full, Error::Interrupted { .. }));
        assert!(matches!(
            ws.close_within(talkws::CloseCode::Normal, "", interruptible()),
            Err(Error::Interrupted { .. })
        ));
        INTERRUPTED.store(false, Ordering::SeqCst);
        let closer =
            thread::spawn(move || ws.close_within(talkws::CloseCode::Normal, "", interruptible()));
        while peer.read_frame().0 == FINAL | BINARY {}
        peer.send(&peer.frame(FINAL | TEXT, b"hello")[3..]);
        peer.send_frame(FINAL | 0x8, &1000u16.to_be_bytes());
        closer.join().unwrap().unwrap();
    });
}

#[test]
fn the_parts_of_a_message_are_its_frames_and_nothing_comes_between_them_but_control() {
    bounded(|| {
        for (mut peer, ws) in RawPeer::both_roles() {
            ws.write_part(MessageKind::Text, b"one ", false, Deadline::NEVER)
                .unwrap();
            assert!(matches!(ws.write_text("torn"), Err(Error::InvalidState(_))));
            assert!(matches!(
                ws.write_part(MessageKind::Binary, b"", true, Deadline::NEVER),
                Err(Error::InvalidState(_))
            ));
            ws.ping(b"between").unwrap();
            let other = {
                let ws = ws.clone();
                thread::spawn(move || ws.write_text("whole"))
            };
            ws.write_part(MessageKind::Text, b"two", true, Deadline::NEVER)
                .unwrap();
            other.join().unwrap().unwrap();
            assert_eq!(peer.read_frame(), (TEXT, b"one ".to_vec()));
            assert_eq!(peer.read_frame(), (FINAL | PING, b"between".to_vec()));
            assert_eq!(peer.read_frame(), (FINAL | CONTINUATION, b"two".to_vec()));
            assert_eq!(peer.read_frame(), (FINAL | TEXT, b"whole".to_vec()));
        }
    });
}

#[test]
fn a_character_may_be_divided_between_parts_and_a_part_that_cannot_be_text_is_not_sent() {
    bounded(|| {
        let (client, server) = pair();
        let part = |data: &[u8], is_last| {
            client.write_part(MessageKind::Text, data, is_last, Deadline::NEVER)
        };
        part(b"sn\xC3", false).unwrap();
        assert!(matches!(part(b"o", false), Err(Error::InvalidArgument(_))));
        assert!(matches!(part(b"", true), Err(Error::InvalidArgument(_))));
        part(b"\xB6w", true).unwrap();
        assert_eq!(server.read().unwrap().as_text(), Some("snöw"));
    });
}

#[test]
fn a_writer_waits_for_anothers_last_part_until_its_deadline() {
    bounded(|| {
        let (mut peer, ws) = RawPeer::client();
        ws.write_part(MessageKind::Binary, b"1", false, Deadline::NEVER)
            .unwrap();
        let other = ws.clone();
        let waited = thread::spawn(move || other.write_data(MessageKind::Text, b"late", SHORT));
        assert!(matches!(
            waited.join().unwrap(),
            Err(Error::TimedOut { .. })
        ));
        ws.write_part(MessageKind::Binary, b"2", true, Deadline::NEVER)
            .unwrap();
        ws.write_text("free again").unwrap();
        assert_eq!(peer.read_frame(), (BINARY, b"1".to_vec()));
        assert_eq!(peer.read_frame(), (FINAL | CONTINUATION, b"2".to_vec()));
        assert_eq!(peer.read_frame(), (FINAL | TEXT, b"free again".to_vec()));
    });
}

#[test]
fn text_that_is_not_utf8_is_not_sent() {
    let (client, server) = pair();
    let error = client
        .write_data(MessageKind::Text, b"\xFF", Deadline::NEVER)
        .unwrap_err();
    assert!(matches!(error, Error::InvalidArgument(_)), "{error}");
    client.write_text("fine").unwrap();
    assert_eq!(server.read().unwrap().as_text(), Some("fine"));
}
