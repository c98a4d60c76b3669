//! permessage-deflate (RFC 7692): what is agreed upon, what goes compressed, and what comes.

#![cfg(feature = "deflate")]

mod support;

use std::thread;
use std::time::Duration;

use support::raw_peer::{BINARY, CLOSE, CONTINUATION, FINAL, PING, PONG, RawPeer, TEXT};
use support::{bounded, pair_with};
use talkws::protocol::deflate::{Deflater, Inflater};
use talkws::{
    Connection, Deadline, DeflateOptions, DialOptions, Error, ListenOptions, Message, MessageKind,
    Violation, WriteOptions,
};

const RSV1: u8 = 0x40;
const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
const WITHOUT_TAKEOVER: &str = "Sec-WebSocket-Extensions: permessage-deflate; \
    server_no_context_takeover; client_no_context_takeover\r\n";

fn deflate() -> DeflateOptions {
    DeflateOptions::new()
}

/// A raw peer in each role that has agreed to compress, and the end it talks to.
fn both_roles(
    deflate: DeflateOptions,
    limit: usize,
    extensions: &str,
) -> [(RawPeer, Connection); 2] {
    let listen = ListenOptions::new()
        .deflate(deflate)
        .max_message_size(limit);
    let dial = DialOptions::new().deflate(deflate).max_message_size(limit);
    [
        RawPeer::client_with(&listen, extensions),
        RawPeer::server_with(&dial, extensions),
    ]
}

const LIMIT: usize = 1 << 20;

fn peers() -> [(RawPeer, Connection); 2] {
    both_roles(deflate(), LIMIT, OFFER)
}

/// The payload of a compressed message.
fn deflated(data: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    let mut deflater = Deflater::new(&deflate(), false, 15);
    deflater.deflate(data, true, &mut payload).unwrap();
    payload
}

/// Inflates messages as a peer does, however large they are.
struct Window(Inflater);

impl Window {
    fn new() -> Self {
        Window(Inflater::new(true))
    }

    fn inflate(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut output = Vec::with_capacity(8 << 20);
        self.0.get_ready().unwrap();
        let room = usize::MAX;
        let used = self.0.inflate(payload, true, &mut output, room).unwrap();
        assert!(used == payload.len() && !self.0.has_more());
        self.0.end();
        output
    }
}

/// Text that becomes about six times as small.
fn json(size: usize) -> String {
    let mut text = String::new();
    for id in 0.. {
        text += &format!(
            "{{\"id\": {id}, \"name\": \"user {}\", \"on\": true}}, ",
            id * 7919
        );
        if text.len() >= size {
            text.truncate(size);
            return text;
        }
    }
    unreachable!("the loop ends when there is enough")
}

/// Bytes of which nothing can be made.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 1u64;
    let byte = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..size).map(byte).collect()
}

// What is agreed upon

#[test]
fn both_ends_know_what_was_agreed_upon() {
    bounded(|| {
        let small = || deflate().own_max_window_bits(9).unwrap();
        let cases: [(Option<DeflateOptions>, Option<DeflateOptions>, Option<&str>); 8] = [
            (Some(deflate()), Some(deflate()), Some("")),
            (None, Some(deflate()), None),
            (Some(deflate()), None, None),
            (
                Some(deflate().own_no_context_takeover(true)),
                Some(deflate()),
                Some("; client_no_context_takeover"),
            ),
            (
                Some(deflate().peer_no_context_takeover(true)),
                Some(deflate()),
                Some("; server_no_context_takeover"),
            ),
            (
                Some(deflate()),
                Some(
                    deflate()
                        .own_no_context_takeover(true)
                        .peer_no_context_takeover(true),
                ),
                Some("; server_no_context_takeover; client_no_context_takeover"),
            ),
            (
                Some(small()),
                Some(small()),
                Some("; server_max_window_bits=9; client_max_window_bits=9"),
            ),
            (
                Some(deflate().peer_max_window_bits(8).unwrap()),
                Some(deflate().peer_max_window_bits(10).unwrap()),
                Some("; server_max_window_bits=8; client_max_window_bits=10"),
            ),
        ];
        for (at_client, at_server, agreed) in cases {
            let (client, server) = pair_with(
                &ListenOptions::new().deflate(at_server),
                &DialOptions::new().deflate(at_client),
            );
            let agreed = agreed.map(|parameters| format!("permessage-deflate{parameters}"));
            for ws in [&client, &server] {
                let parameters = ws.deflate_parameters().map(|agreed| agreed.to_string());
                assert_eq!(parameters, agreed);
            }
            let answered = client
                .response()
                .unwrap()
                .header("Sec-WebSocket-Extensions");
            assert_eq!(answered, agreed.as_deref());
            for (from, to) in [(&client, &server), (&server, &client)] {
                for size in [0, 1, 255, 256, 1000, 100_000, 3_000_000] {
                    let text = json(size);
                    thread::scope(|scope| {
                        scope.spawn(|| from.write_text(&text).unwrap());
                        assert!(to.read().unwrap() == Message::text(text.as_str()));
                    });
                }
            }
        }
    });
}

#[test]
fn a_client_fails_when_the_server_goes_beyond_the_offer() {
    bounded(|| {
        let options = DialOptions::new().deflate(deflate().own_max_window_bits(10).unwrap());
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}", server.local_addr().unwrap());
        let dialling = thread::spawn(move || options.dial(&url));
        let (stream, _) = server.accept().unwrap();
        let extension = "permessage-deflate; client_max_window_bits=11";
        support::raw_peer::upgrade(
            stream,
            &format!("Sec-WebSocket-Extensions: {extension}\r\n"),
        );
        let error = dialling.join().unwrap().unwrap_err();
        assert!(matches!(error, Error::Handshake { .. }));
        let text = error.to_string();
        let expected = "client_max_window_bits=11, where 10 was offered";
        assert!(text.ends_with(expected), "{text}");
    });
}

// What goes

#[test]
fn large_messages_go_compressed_and_small_ones_as_they_are() {
    bounded(|| {
        for (mut peer, ws) in both_roles(deflate().threshold(100), LIMIT, OFFER) {
            let mut window = Window::new();
            for size in [100, 1000, 100_000] {
                let text = json(size);
                ws.write_text(&text).unwrap();
                let (first, payload) = peer.read_frame();
                assert_eq!(first, FINAL | RSV1 | TEXT);
                assert!(payload.len() < size * 9 / 10, "{}", payload.len());
                assert!(window.inflate(&payload) == text.as_bytes());
            }
            ws.write_binary(&[b'x'; 99]).unwrap();
            assert_eq!(peer.read_frame(), (FINAL | BINARY, vec![b'x'; 99]));
            let counters = ws.counters();
            assert_eq!(counters.bytes_sent, 100 + 1000 + 100_000 + 99);
        }
    });
}

#[test]
fn a_message_goes_as_it_is_when_the_caller_says_so() {
    bounded(|| {
        for (mut peer, ws) in peers() {
            let plain = || WriteOptions::new().compress(false);
            let data = [b'x'; 1000];
            ws.write_with(MessageKind::Binary, &data, plain()).unwrap();
            assert_eq!(peer.read_frame(), (FINAL | BINARY, data.to_vec()));
            // Of a message in parts, the first one decides.
            let parts = [(plain(), false), (WriteOptions::new(), true)];
            for (options, is_last) in parts {
                ws.write_part_with(MessageKind::Binary, &data, is_last, options)
                    .unwrap();
            }
            assert_eq!(peer.read_frame(), (BINARY, data.to_vec()));
            assert_eq!(peer.read_frame(), (FINAL | CONTINUATION, data.to_vec()));
            ws.write_binary(&data).unwrap();
            assert_eq!(peer.read_frame().0, FINAL | RSV1 | BINARY);
        }
    });
}

#[test]
fn nothing_goes_compressed_to_who_has_a_window_of_256_bytes() {
    bounded(|| {
        let tiny = "permessage-deflate; server_max_window_bits=8; client_max_window_bits=8";
        let header = format!("Sec-WebSocket-Extensions: {tiny}\r\n");
        for (mut peer, ws) in both_roles(deflate(), LIMIT, &header) {
            assert_eq!(ws.deflate_parameters().unwrap().to_string(), tiny);
            ws.write_binary(&[b'x'; 1000]).unwrap();
            assert_eq!(peer.read_frame(), (FINAL | BINARY, vec![b'x'; 1000]));
            // What comes may be compressed all the same.
            peer.send_frame(FINAL | RSV1 | TEXT, &deflated(b"Hello"));
            assert_eq!(ws.read().unwrap(), Message::text("Hello"));
        }
    });
}

#[test]
fn a_window_that_was_agreed_upon_is_kept_to() {
    bounded(|| {
        let small = "permessage-deflate; server_max_window_bits=9; client_max_window_bits=9";
        let header = format!("Sec-WebSocket-Extensions: {small}\r\n");
        for (mut peer, ws) in both_roles(deflate(), LIMIT, &header) {
            // What repeats, but farther back than the window, becomes no smaller.
            let data = noise(1000).repeat(4);
            ws.write_binary(&data).unwrap();
            let (first, payload) = peer.read_frame();
            assert_eq!(first, FINAL | RSV1 | BINARY);
            assert!(payload.len() > data.len() * 9 / 10, "{}", payload.len());
            assert!(Window::new().inflate(&payload) == data);
        }
    });
}

#[test]
fn the_parts_of_a_message_are_one_stream() {
    bounded(|| {
        for extensions in [OFFER, WITHOUT_TAKEOVER] {
            for (mut peer, ws) in both_roles(deflate(), LIMIT, extensions) {
                let part = json(1000);
                let mut window = Window::new();
                for _ in 0..2 {
                    let mut payload = Vec::new();
                    let mut sizes = Vec::new();
                    for (data, first) in [
                        (part.as_str(), RSV1 | TEXT),
                        ("small", CONTINUATION),
                        (&part, CONTINUATION),
                        ("", FINAL | CONTINUATION),
                    ] {
                        let is_last = first & FINAL != 0;
                        ws.write_part(MessageKind::Text, data.as_bytes(), is_last, Deadline::NEVER)
                            .unwrap();
                        ws.ping(b"between").unwrap();
                        let frame = peer.read_frame();
                        assert_eq!(frame.0, first);
                        assert_eq!(peer.read_frame(), (FINAL | PING, b"between".to_vec()));
                        sizes.push(frame.1.len());
                        payload.extend(frame.1);
                    }
                    assert!(sizes[2] < 50, "it refers to the first: {sizes:?}");
                    let whole = format!("{part}small{part}");
                    assert!(window.inflate(&payload) == whole.as_bytes());
                }
                assert!(!ws.pending().write);
            }
        }
    });
}

#[test]
fn without_takeover_what_becomes_no_smaller_goes_as_it_is() {
    bounded(|| {
        let data = noise(1000);
        for (mut peer, ws) in both_roles(deflate(), LIMIT, WITHOUT_TAKEOVER) {
            ws.write_binary(&data).unwrap();
            assert_eq!(peer.read_frame(), (FINAL | BINARY, data.clone()));
        }
        // With it, later messages may refer to it.
        for (mut peer, ws) in peers() {
            let mut window = Window::new();
            for _ in 0..2 {
                ws.write_binary(&data).unwrap();
                let (first, payload) = peer.read_frame();
                assert_eq!(first, FINAL | RSV1 | BINARY);
                assert!(window.inflate(&payload) == data);
            }
        }
    });
}

#[test]
fn compressed_messages_leave_together_with_others() {
    bounded(|| {
        for (mut peer, ws) in peers() {
            let text = json(2000);
            let data = text.as_bytes();
            ws.write_more(MessageKind::Text, data, Deadline::NEVER)
                .unwrap();
            ws.write_more(MessageKind::Text, b"small", Deadline::NEVER)
                .unwrap();
            assert!(ws.pending().write);
            ws.write_text(&text).unwrap();
            assert!(!ws.pending().write);
            let mut window = Window::new();
            for (expected, first) in [
                (data, FINAL | RSV1 | TEXT),
                (b"small", FINAL | TEXT),
                (data, FINAL | RSV1 | TEXT),
            ] {
                let (found, payload) = peer.read_frame();
                assert_eq!(found, first);
                let payload = match first & RSV1 {
                    0 => payload,
                    _ => window.inflate(&payload),
                };
                assert!(payload == expected);
            }
        }
    });
}

#[test]
fn a_write_that_timed_out_leaves_no_trace_in_those_after_it() {
    bounded(|| {
        let listen = ListenOptions::new().socket_buffers(4096, 4096);
        let dial = DialOptions::new().socket_buffers(4096, 4096);
        for (mut peer, ws) in [
            RawPeer::client_with(&listen, OFFER),
            RawPeer::server_with(&dial, OFFER),
        ] {
            let mut window = Window::new();
            let mut refused = 0;
            let mut unread = std::collections::VecDeque::new();
            // Frames that fill the stream, some of which wait for others, some in parts.
            for round in 0..60usize {
                let data = [&noise(3000 + 37 * round)[..], json(2000).as_bytes()].concat();
                let options = WriteOptions::new()
                    .deadline(Duration::ZERO)
                    .more(round % 7 == 3);
                match ws.write_with(MessageKind::Binary, &data, options) {
                    Ok(()) => unread.push_back(data),
                    Err(Error::TimedOut { .. }) => refused += 1,
                    Err(error) => panic!("{error}"),
                }
                if round % 3 == 2 && unread.len() > 4 {
                    let expected = unread.pop_front().unwrap();
                    check(&mut peer, &mut window, &expected);
                }
            }
            assert!(refused > 5, "{refused} of 60 found no room");
            let flushing = thread::spawn(move || ws.flush(Deadline::NEVER).map(|()| ws));
            for expected in unread {
                check(&mut peer, &mut window, &expected);
            }
            let ws = flushing.join().unwrap().unwrap();
            ws.write_text(&json(1000)).unwrap();
            check(&mut peer, &mut window, json(1000).as_bytes());
        }
    });

    fn check(peer: &mut RawPeer, window: &mut Window, expected: &[u8]) {
        let (first, payload) = peer.read_frame();
        assert_eq!(first & !0x0F, FINAL | RSV1);
        assert!(window.inflate(&payload) == expected);
    }
}

// What comes

#[test]
fn compressed_messages_come_however_they_are_divided() {
    bounded(|| {
        let text = json(5000);
        let payload = deflated(text.as_bytes());
        for (mut peer, ws) in peers() {
            for size in [1, 7, 100, 10_000] {
                let pieces: Vec<_> = payload.chunks(size).collect();
                for (index, piece) in pieces.iter().enumerate() {
                    let mut first = if index == 0 {
                        RSV1 | TEXT
                    } else {
                        CONTINUATION
                    };
                    if index + 1 == pieces.len() {
                        first |= FINAL;
                    }
                    peer.send_frame(first, piece);
                }
                assert!(ws.read().unwrap() == Message::text(text.as_str()));
            }
            // The last frame may be empty, and the only one, too (RFC 7692, 7.2.3.6).
            peer.send_frame(RSV1 | TEXT, &payload);
            peer.send_frame(FINAL | CONTINUATION, b"");
            assert!(ws.read().unwrap() == Message::text(text.as_str()));
            peer.send_frame(FINAL | RSV1 | BINARY, &[0]);
            peer.send_frame(FINAL | RSV1 | BINARY, b"");
            for _ in 0..2 {
                assert_eq!(ws.read().unwrap(), Message::binary(b""));
            }
            // What follows is as good as before.
            peer.send_frame(FINAL | RSV1 | TEXT, &payload);
            assert!(ws.read().unwrap() == Message::text(text.as_str()));
            // The next may be as it is.
            peer.send_frame(FINAL | TEXT, b"plain");
            assert_eq!(ws.read().unwrap(), Message::text("plain"));
        }
    });
}

#[test]
fn a_reserved_bit_means_nothing_anywhere_else() {
    bounded(|| {
        let hello = deflated(b"Hello");
        let refused = |(mut peer, ws): (RawPeer, Connection), frames: &[(u8, &[u8])]| {
            for (first, payload) in frames {
                peer.send_frame(*first, payload);
            }
            peer.half_close();
            let error = ws.read().unwrap_err();
            assert!(matches!(error, Error::Protocol(Violation::ReservedBits)));
            assert_eq!(peer.read_close(), Some(1002));
        };
        for role in 0..2 {
            let peer = || peers().into_iter().nth(role).unwrap();
            for first in [PING, PONG, CLOSE] {
                refused(peer(), &[(FINAL | RSV1 | first, b"")]);
            }
            refused(peer(), &[(FINAL | RSV1 | 0x20 | TEXT, &hello)]);
            refused(peer(), &[(FINAL | RSV1 | 0x10 | TEXT, &hello)]);
            let continued = FINAL | RSV1 | CONTINUATION;
            refused(peer(), &[(RSV1 | TEXT, &hello), (continued, b"")]);
            refused(peer(), &[(TEXT, b"Hello"), (continued, b"")]);
            let unasked = RawPeer::both_roles().into_iter().nth(role).unwrap();
            refused(unasked, &[(FINAL | RSV1 | TEXT, &hello)]);
        }
    });
}

#[test]
fn what_cannot_be_inflated_fails_the_connection() {
    bounded(|| {
        for (mut peer, ws) in peers() {
            // A block of the kind that there is not.
            peer.send_frame(FINAL | RSV1 | BINARY, &[0x07, 0x00, 0x00]);
            peer.half_close();
            let error = ws.read().unwrap_err();
            assert!(matches!(error, Error::Protocol(Violation::BrokenDeflate)));
            assert_eq!(error.close_code().map(u16::from), Some(1002));
            assert_eq!(peer.read_close(), Some(1002));
        }
    });
}

#[test]
fn text_is_checked_as_it_was_before_it_was_compressed() {
    bounded(|| {
        for (mut peer, ws) in peers() {
            let text = "κόσμε".repeat(1000);
            peer.send_frame(FINAL | RSV1 | TEXT, &deflated(text.as_bytes()));
            assert!(ws.read().unwrap() == Message::text(text));
            peer.send_frame(RSV1 | TEXT, &deflated(&b"\xCE"[..]));
            peer.send_frame(FINAL | CONTINUATION, b"");
            peer.half_close();
            assert!(matches!(ws.read(), Err(Error::InvalidUtf8(_))));
            assert_eq!(peer.read_close(), Some(1007));
        }
    });
}

/// A message of `count` MiB, in a thousandth of that.
fn bomb(count: usize) -> Vec<u8> {
    let mut deflater = Deflater::new(&deflate(), true, 15);
    let mut mebibyte = Vec::new();
    deflater
        .deflate(&vec![0; 1 << 20], false, &mut mebibyte)
        .unwrap();
    let mut bomb = mebibyte.repeat(count);
    bomb.truncate(bomb.len() - 4);
    bomb
}

#[test]
fn the_limit_counts_what_was_inflated() {
    bounded(|| {
        for limit in [0, 1000, LIMIT, LIMIT + 100_000] {
            for (mut peer, ws) in both_roles(deflate(), limit, OFFER) {
                let exact = vec![b'x'; limit];
                peer.send_frame(FINAL | RSV1 | BINARY, &deflated(&exact));
                assert!(ws.read().unwrap().as_bytes() == exact);
                peer.send_frame(
                    FINAL | RSV1 | BINARY,
                    &deflated(&[&exact[..], b"x"].concat()),
                );
                peer.half_close();
                let error = ws.read().unwrap_err();
                let Error::TooBig(Violation::MessageTooBig { size, limit: its }) = error else {
                    panic!("{error}");
                };
                assert_eq!((size, its), (limit as u64 + 1, limit));
                assert_eq!(peer.read_close(), Some(1009));
            }
        }
    });
}

#[test]
fn a_bomb_is_read_in_parts_one_small_step_after_the_other() {
    bounded(|| {
        const SIZE: usize = 24;
        for (mut peer, ws) in both_roles(deflate(), usize::MAX, OFFER) {
            let bomb = bomb(SIZE);
            assert!(bomb.len() < 64 * 1024);
            peer.send_frame(FINAL | RSV1 | BINARY, &bomb);
            peer.send_frame(FINAL | PING, b"behind");
            let mut buffer = vec![1; 10_000];
            let mut size = 0;
            loop {
                let part = ws.read_some(&mut buffer, Duration::from_secs(30)).unwrap();
                assert!(buffer[..part.len].iter().all(|&byte| byte == 0));
                size += part.len;
                if part.is_last {
                    break;
                }
                assert!(ws.pending().read || size % 1000 != 0);
            }
            assert_eq!(size, SIZE << 20);
            assert!(ws.read_within(Duration::ZERO).is_err());
            assert_eq!(peer.read_frame(), (FINAL | PONG, b"behind".to_vec()));
        }
    });
}

#[test]
fn the_limit_counts_for_parts_too() {
    bounded(|| {
        for (mut peer, ws) in peers() {
            peer.send_frame(FINAL | RSV1 | BINARY, &bomb(2));
            peer.half_close();
            let mut buffer = vec![0; 100_000];
            let mut size = 0;
            let error = loop {
                match ws.read_some(&mut buffer, Deadline::NEVER) {
                    Ok(part) => size += part.len,
                    Err(error) => break error,
                }
            };
            assert!(matches!(error, Error::TooBig(_)), "{error}");
            assert!(size <= LIMIT);
            assert_eq!(peer.read_close(), Some(1009));
        }
    });
}

#[test]
fn a_timeout_keeps_what_was_inflated() {
    bounded(|| {
        let text = json(100_000);
        let payload = deflated(text.as_bytes());
        for (mut peer, ws) in peers() {
            let frame = peer.frame(FINAL | RSV1 | TEXT, &payload);
            for piece in frame.chunks(frame.len() / 7) {
                peer.send(piece);
                let short = Duration::from_millis(1);
                match ws.read_within(short) {
                    Err(Error::TimedOut { .. }) => {}
                    Ok(message) => assert!(message == Message::text(text.as_str())),
                    Err(error) => panic!("{error}"),
                }
            }
            // In parts as well, the first of which come before the rest was sent.
            let (first, rest) = frame.split_at(frame.len() / 2);
            peer.send(first);
            let mut buffer = vec![0; 777];
            let mut message = Vec::new();
            while let Ok(part) = ws.read_some(&mut buffer, Duration::from_millis(5)) {
                message.extend_from_slice(&buffer[..part.len]);
            }
            assert!(message.len() > text.len() / 4);
            peer.send(rest);
            loop {
                let part = ws.read_some(&mut buffer, Deadline::NEVER).unwrap();
                message.extend_from_slice(&buffer[..part.len]);
                if part.is_last {
                    break;
                }
            }
            assert!(message == text.as_bytes());
        }
    });
}

#[test]
fn who_waits_for_a_pong_puts_compressed_messages_aside() {
    bounded(|| {
        let text = json(100_000);
        for (mut peer, ws) in peers() {
            let ping = ws.ping(b"?").unwrap();
            assert_eq!(peer.read_frame().0, FINAL | PING);
            peer.send_frame(FINAL | RSV1 | TEXT, &deflated(text.as_bytes()));
            peer.send_frame(FINAL | PONG, b"?");
            ws.wait_pong(ping, 2, Duration::from_secs(30)).unwrap();
            assert!(ws.read().unwrap() == Message::text(text.as_str()));
        }
    });
}
