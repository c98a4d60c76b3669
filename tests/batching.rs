//! Messages that wait for each other, to leave in one system call; and what waits inside.

mod support;

use std::io::{ErrorKind, Read};
use std::thread;
use std::time::Duration;

use support::raw_peer::{BINARY, CONTINUATION, FINAL, PING, RawPeer, TEXT};
use support::{bounded, pair};
use talkws::{CloseCode, Connection, Deadline, Error, MessageKind, WriteOptions};

/// Whether the peer has got nothing: over loopback, what was sent is there.
fn got_nothing(peer: &mut RawPeer) -> bool {
    peer.stream.set_nonblocking(true).unwrap();
    let read = peer.stream.read(&mut [0]);
    peer.stream.set_nonblocking(false).unwrap();
    matches!(read, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

fn write_more(ws: &Connection, text: &str) {
    ws.write_more(MessageKind::Text, text.as_bytes(), Deadline::NEVER)
        .unwrap();
}

fn texts<const N: usize>(peer: &mut RawPeer) -> [String; N] {
    std::array::from_fn(|_| {
        let (first, payload) = peer.read_frame();
        assert_eq!(first, TEXT | FINAL);
        String::from_utf8(payload).unwrap()
    })
}

#[test]
fn messages_wait_for_the_one_that_does_not() {
    bounded(|| {
        for (mut peer, ws) in RawPeer::both_roles() {
            write_more(&ws, "a");
            write_more(&ws, "b");
            assert!(got_nothing(&mut peer));
            assert!(ws.pending().write);
            ws.write_text("c").unwrap();
            assert!(!ws.pending().write);
            assert_eq!(texts(&mut peer), ["a", "b", "c"]);
            assert_eq!(ws.counters().messages_sent, 3);
        }
    });
}

#[test]
fn flush_ping_and_close_take_along_what_waits() {
    bounded(|| {
        for (mut peer, ws) in RawPeer::both_roles() {
            write_more(&ws, "flushed");
            ws.flush(Deadline::NEVER).unwrap();
            assert_eq!(texts(&mut peer), ["flushed"]);
            write_more(&ws, "before the ping");
            ws.ping(b"now").unwrap();
            assert_eq!(texts(&mut peer), ["before the ping"]);
            assert_eq!(peer.read_frame(), (PING | FINAL, b"now".to_vec()));
            write_more(&ws, "before the close");
            let closer = thread::spawn(move || ws.close(CloseCode::Normal, ""));
            assert_eq!(texts(&mut peer), ["before the close"]);
            assert_eq!(peer.read_close(), Some(1000));
            peer.send_frame(0x88, b"\x03\xE8");
            drop(peer);
            closer.join().unwrap().unwrap();
        }
    });
}

#[test]
fn what_waits_leaves_while_a_call_waits_to_read() {
    bounded(|| {
        let (client, server) = pair();
        write_more(&client, "question");
        let server = thread::spawn(move || {
            let question = server.read().unwrap();
            server.write(&question).unwrap();
        });
        assert_eq!(client.read().unwrap().as_text(), Some("question"));
        server.join().unwrap();
    });
}

#[test]
fn no_more_waits_than_is_worth_a_system_call() {
    bounded(|| {
        let (client, server) = pair();
        let reader = thread::spawn(move || {
            for index in 0..200_u32 {
                let message = server.read().unwrap();
                assert_eq!(&message.as_bytes()[..4], &index.to_le_bytes());
                assert_eq!(message.len(), 1000);
            }
        });
        for index in 0..200_u32 {
            let mut payload = vec![0; 1000];
            payload[..4].copy_from_slice(&index.to_le_bytes());
            client
                .write_more(MessageKind::Binary, &payload, Deadline::NEVER)
                .unwrap();
        }
        // Too large to wait for others.
        client.flush(Deadline::NEVER).unwrap();
        reader.join().unwrap();
    });
}

#[test]
fn parts_may_leave_together() {
    bounded(|| {
        for (mut peer, ws) in RawPeer::both_roles() {
            let kind = MessageKind::Binary;
            ws.write_part_more(kind, b"one ", false, Deadline::NEVER)
                .unwrap();
            ws.write_part_more(kind, b"two ", false, Deadline::NEVER)
                .unwrap();
            assert!(got_nothing(&mut peer));
            ws.write_part(kind, b"three", true, Deadline::NEVER)
                .unwrap();
            assert_eq!(peer.read_frame(), (BINARY, b"one ".to_vec()));
            assert_eq!(peer.read_frame(), (CONTINUATION, b"two ".to_vec()));
            assert_eq!(peer.read_frame(), (CONTINUATION | FINAL, b"three".to_vec()));
            assert_eq!(ws.counters().messages_sent, 1);
            assert_eq!(ws.counters().bytes_sent, 13);
        }
    });
}

/// Writes until the peer, which reads nothing, takes no more: how many messages were accepted.
fn fill(ws: &Connection, message: &[u8], more: bool) -> usize {
    let mut accepted = 0;
    loop {
        // As they are: compressed, they would fill nothing.
        let options = WriteOptions::new().compress(false).more(more);
        match ws.write_with(
            MessageKind::Binary,
            message,
            options.deadline(Duration::ZERO),
        ) {
            Ok(()) => accepted += 1,
            Err(Error::TimedOut { .. }) => return accepted,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn what_finds_no_room_is_not_accepted_and_what_was_accepted_comes_once() {
    bounded(|| {
        for more in [true, false] {
            for (reading, writing) in [pair(), {
                let (client, server) = pair();
                (server, client)
            }] {
                // Small ones, that wait behind others; and too large ones, that do not.
                let mut sizes = Vec::new();
                for size in [100_000, 10, 3000, 60_000, 10] {
                    let accepted = fill(&writing, &vec![size as u8; size], more);
                    sizes.extend(std::iter::repeat_n(size, accepted));
                }
                assert!(writing.pending().write);
                let last = writing.clone();
                let writer = thread::spawn(move || last.write_text("last").unwrap());
                for size in sizes {
                    let message = reading.read().unwrap();
                    assert_eq!(message.len(), size);
                    assert!(message.as_bytes().iter().all(|&byte| byte == size as u8));
                }
                assert_eq!(reading.read().unwrap().as_text(), Some("last"));
                writer.join().unwrap();
                assert!(!writing.pending().write);
            }
        }
    });
}

#[test]
fn a_small_message_that_finds_no_room_is_not_kept_for_later() {
    bounded(|| {
        // Buffers of a size that stays.
        let (_reading, writing) = support::pair_with(
            &talkws::ListenOptions::new().socket_buffers(32 << 10, 32 << 10),
            &talkws::DialOptions::new().socket_buffers(32 << 10, 32 << 10),
        );
        fill(&writing, &[1; 100_000], false);
        let accepted = fill(&writing, &[2; 10], false);
        assert!(accepted < 100, "{accepted} went where there is no room");
    });
}

#[test]
fn a_write_timeout_counts_for_calls_that_say_none() {
    bounded(|| {
        let options = talkws::DialOptions::new().write_timeout(Duration::from_millis(1));
        let (_peer, ws) = RawPeer::server_of(&options);
        let mut accepted = 0;
        let error = loop {
            match ws.write_binary(&[0; 100_000]) {
                Ok(()) => accepted += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::TimedOut { .. }), "{error}");
        assert!(accepted > 0 && ws.is_open());
    });
}

#[test]
fn bytes_that_came_along_are_told_to_an_event_loop() {
    bounded(|| {
        for (mut peer, ws) in RawPeer::both_roles() {
            assert!(!ws.pending().read);
            let mut both = peer.frame(TEXT | FINAL, b"one");
            both.extend(peer.frame(TEXT | FINAL, b"two"));
            peer.send(&both);
            ws.read().unwrap();
            assert!(ws.pending().read, "the second came with the first");
            assert_eq!(
                ws.read_within(Duration::ZERO).unwrap().as_text(),
                Some("two")
            );
            assert!(!ws.pending().read);
            ws.abort();
            assert!(ws.pending().read, "the end is news");
        }
    });
}
