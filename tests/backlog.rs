//! Writers that do not wait for a slow peer, and what becomes of what it does not take.

mod support;

use std::io::{ErrorKind, Read};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use support::bounded;
use support::raw_peer::{BINARY, FINAL, PING, PONG, RawPeer, TEXT};
use talkws::{
    Backlog, BacklogPolicy, CloseCode, Connection, Deadline, DialOptions, Error, ListenOptions,
    MessageKind, Prepared, Topics, WriteOptions, broadcast,
};

const LIMIT: usize = 64 * 1024;

fn backlog(policy: BacklogPolicy) -> Backlog {
    Backlog::new().limit(LIMIT).policy(policy)
}

/// Buffers of the system so small that a peer which does not read is soon slow.
fn listen(policy: BacklogPolicy) -> ListenOptions {
    ListenOptions::new()
        .write_backlog(backlog(policy))
        .socket_buffers(0, 4096)
        .close_timeout(Duration::from_millis(300))
}

fn both_roles(policy: BacklogPolicy) -> [(RawPeer, Connection); 2] {
    let dial = DialOptions::new()
        .write_backlog(backlog(policy))
        .socket_buffers(0, 4096)
        .close_timeout(Duration::from_millis(300));
    [
        RawPeer::client_of(&listen(policy)),
        RawPeer::server_of(&dial),
    ]
}

/// A message that tells its number, and is large enough to fill something.
fn numbered(number: usize) -> Vec<u8> {
    let mut data = format!("{number:08}").into_bytes();
    data.resize(1000, b'.');
    data
}

fn number_of(payload: &[u8]) -> usize {
    assert_eq!(payload.len(), 1000, "a message that is not whole");
    std::str::from_utf8(&payload[..8]).unwrap().parse().unwrap()
}

/// Writes numbered messages until one is refused, or, in vain, 100,000; gives how many were accepted.
fn fill(ws: &Connection) -> (usize, Option<Error>) {
    for number in 0..100_000 {
        if let Err(error) = ws.write_binary(&numbered(number)) {
            return (number, Some(error));
        }
    }
    (100_000, None)
}

#[test]
fn a_full_backlog_refuses_and_all_that_it_accepted_arrives() {
    bounded(|| {
        for (mut peer, ws) in both_roles(BacklogPolicy::Refuse) {
            let (accepted, error) = fill(&ws);
            let error = error.unwrap();
            assert!(matches!(error, Error::WouldBlock { .. }), "{error}");
            assert!(error.is_temporary());
            assert_eq!(error.status(), -25);
            let waiting = ws.backlog();
            assert!(waiting.bytes > LIMIT - 1100 && waiting.bytes <= LIMIT);
            assert!(ws.pending().write);
            // Nobody calls anything here: the sender goes on with it.
            for number in 0..accepted {
                let (first, payload) = peer.read_frame();
                assert_eq!((first, number_of(&payload)), (BINARY | FINAL, number));
            }
            ws.flush(Deadline::NEVER).unwrap();
            assert_eq!(ws.backlog().bytes, 0);
            ws.write_text("again").unwrap();
            assert_eq!(peer.read_frame(), (TEXT | FINAL, b"again".to_vec()));
            assert_eq!(ws.counters().messages_sent, accepted as u64 + 1);
            assert_eq!(ws.counters().messages_dropped, 0);
        }
    });
}

#[test]
fn the_oldest_make_room_whole_and_are_counted() {
    bounded(|| {
        for (mut peer, ws) in both_roles(BacklogPolicy::DropOldest) {
            let (accepted, error) = fill(&ws);
            assert!(error.is_none(), "{error:?}");
            assert!(ws.backlog().bytes <= LIMIT);
            let mut numbers = Vec::new();
            while numbers.last() != Some(&(accepted - 1)) {
                let (first, payload) = peer.read_frame();
                assert_eq!(first, BINARY | FINAL);
                numbers.push(number_of(&payload));
            }
            assert!(numbers.is_sorted_by(|a, b| a < b), "doubled or reordered");
            let dropped = ws.counters().messages_dropped as usize;
            assert!(dropped > 0);
            assert_eq!(numbers.len() + dropped, accepted);
            // The first ones were on their way, and the newest are there.
            assert_eq!(numbers[0], 0);
            let newest = &numbers[numbers.len() - 50..];
            assert!(newest.iter().copied().eq(accepted - 50..accepted));
        }
    });
}

#[test]
fn one_who_is_too_slow_is_closed_with_1013() {
    bounded(|| {
        for (mut peer, ws) in both_roles(BacklogPolicy::Close) {
            let (accepted, error) = fill(&ws);
            let Some(Error::Closed(info)) = error else {
                panic!("{error:?}");
            };
            assert_eq!(info.code, CloseCode::Again);
            assert!(!ws.is_open());
            let mut whole = 0;
            let close = loop {
                let (first, payload) = peer.read_frame();
                if first == 0x88 {
                    break payload;
                }
                assert_eq!(number_of(&payload), whole);
                whole += 1;
            };
            assert_eq!(close[..2], 1013u16.to_be_bytes());
            assert!(whole < accepted, "what had not begun to leave came");
            assert_eq!(ws.counters().messages_dropped as usize + whole, accepted);
            // Nobody reads here, and the answer is read all the same.
            peer.send_frame(0x88, &close[..2]);
            ws.wait_end(0, Deadline::NEVER).unwrap();
            assert!(matches!(ws.end(), Some(Error::Closed(_))), "{:?}", ws.end());
        }
    });
}

#[test]
fn one_who_never_takes_the_close_is_given_up() {
    bounded(|| {
        for (_peer, ws) in both_roles(BacklogPolicy::Close) {
            let (_, error) = fill(&ws);
            assert!(matches!(error, Some(Error::Closed(_))), "{error:?}");
            while ws.end().is_none() {
                thread::yield_now();
            }
            assert!(matches!(ws.end(), Some(Error::ConnectionLost { .. })));
        }
    });
}

#[test]
fn a_reader_that_is_blocked_holds_nothing_up() {
    bounded(|| {
        for (mut peer, ws) in both_roles(BacklogPolicy::Refuse) {
            let reading = {
                let ws = ws.clone();
                thread::spawn(move || ws.read())
            };
            let (accepted, _) = fill(&ws);
            for number in 0..accepted {
                assert_eq!(number_of(&peer.read_frame().1), number);
            }
            peer.send_frame(TEXT | FINAL, b"done");
            assert_eq!(reading.join().unwrap().unwrap().as_bytes(), b"done");
        }
    });
}

#[test]
fn pings_pongs_and_close_find_room() {
    bounded(|| {
        for (mut peer, ws) in both_roles(BacklogPolicy::Refuse) {
            let (accepted, _) = fill(&ws);
            ws.ping_within(b"ours", Duration::ZERO).unwrap();
            // Of many Pings one is answered at once, and the newest when there is room.
            for number in 0..1000 {
                peer.send_frame(PING | FINAL, format!("{number}").as_bytes());
            }
            peer.send_frame(TEXT | FINAL, b"now");
            assert_eq!(ws.read().unwrap().as_bytes(), b"now");
            assert!(ws.backlog().bytes < LIMIT + 500, "{:?}", ws.backlog());
            for number in 0..accepted {
                assert_eq!(number_of(&peer.read_frame().1), number);
            }
            assert_eq!(peer.read_frame(), (PING | FINAL, b"ours".to_vec()));
            let mut pong = peer.read_frame();
            while pong.1 != b"999" {
                assert_eq!(pong.0, PONG | FINAL);
                pong = peer.read_frame();
            }
            let closer = thread::spawn(move || ws.close(CloseCode::Normal, ""));
            assert_eq!(peer.read_close(), Some(1000));
            peer.send_frame(0x88, b"\x03\xE8");
            drop(peer);
            closer.join().unwrap().unwrap();
        }
    });
}

#[test]
fn closing_sends_the_backlog_first() {
    bounded(|| {
        for (mut peer, ws) in both_roles(BacklogPolicy::Refuse) {
            let (accepted, _) = fill(&ws);
            let closer = thread::spawn(move || ws.close(CloseCode::Normal, ""));
            for number in 0..accepted {
                assert_eq!(number_of(&peer.read_frame().1), number);
            }
            assert_eq!(peer.read_close(), Some(1000));
            peer.send_frame(0x88, b"\x03\xE8");
            drop(peer);
            closer.join().unwrap().unwrap();
        }
    });
}

#[test]
fn closing_sends_what_a_broadcast_left_to_a_writer() {
    bounded(|| {
        let options = listen(BacklogPolicy::Wait).close_timeout(Duration::from_secs(60));
        let (mut peer, ws) = RawPeer::client_of(&options);
        let writer = {
            let ws = ws.clone();
            thread::spawn(move || ws.write_binary(&vec![0; 4 << 20]))
        };
        let mut first = [0; 1];
        peer.stream.peek(&mut first).unwrap();
        // The writer is blocked in the system, and has the turn.
        assert_eq!(broadcast([&ws], &Prepared::text("news")).accepted, 1);
        let closer = {
            let ws = ws.clone();
            thread::spawn(move || ws.close(CloseCode::Normal, ""))
        };
        while ws.is_open() {
            thread::yield_now();
        }
        assert_eq!(peer.read_frame().1.len(), 4 << 20);
        assert_eq!(peer.read_frame(), (TEXT | FINAL, b"news".to_vec()));
        assert_eq!(peer.read_close(), Some(1000));
        peer.send_frame(0x88, b"\x03\xE8");
        drop(peer);
        writer.join().unwrap().unwrap();
        closer.join().unwrap().unwrap();
    });
}

#[test]
fn a_policy_is_chosen_on_an_open_connection() {
    bounded(|| {
        let (mut peer, ws) = RawPeer::client_of(&listen(BacklogPolicy::Refuse));
        let (accepted, _) = fill(&ws);
        ws.set_backlog(backlog(BacklogPolicy::Wait));
        let timed_out = ws.write_data(MessageKind::Binary, b"x", Duration::ZERO);
        assert!(matches!(timed_out, Err(Error::TimedOut { .. })));
        ws.set_backlog(backlog(BacklogPolicy::DropOldest));
        ws.write_binary(&numbered(accepted)).unwrap();
        // What was accepted under the other policy is not dropped.
        for number in 0..=accepted {
            assert_eq!(number_of(&peer.read_frame().1), number);
        }
    });
}

/// Bytes until the stream has nothing more at the moment.
fn received(peer: &mut RawPeer) -> Vec<u8> {
    let mut bytes = vec![0; 1 << 20];
    peer.stream.set_nonblocking(true).unwrap();
    let read = peer.stream.read(&mut bytes);
    peer.stream.set_nonblocking(false).unwrap();
    match read {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Vec::new(),
        read => {
            bytes.truncate(read.unwrap());
            bytes
        }
    }
}

#[test]
fn a_prepared_message_is_the_same_as_any_other() {
    bounded(|| {
        for policy in [BacklogPolicy::Wait, BacklogPolicy::Refuse] {
            for (mut peer, ws) in both_roles(policy) {
                let prepared = [
                    Prepared::text("héllo"),
                    Prepared::binary(numbered(7)),
                    Prepared::binary(vec![1; 70_000]),
                ];
                for message in &prepared {
                    ws.write_prepared(message, WriteOptions::new()).unwrap();
                    let (first, payload) = peer.read_frame();
                    let opcode = match message.kind() {
                        MessageKind::Text => TEXT,
                        MessageKind::Binary => BINARY,
                    };
                    assert_eq!(first, opcode | FINAL);
                    assert_eq!(payload, message.as_bytes());
                }
                let options = WriteOptions::new().more(true);
                ws.write_prepared(&prepared[0], options).unwrap();
                assert!(received(&mut peer).is_empty());
                ws.flush(Deadline::NEVER).unwrap();
                assert_eq!(peer.read_frame().1, "héllo".as_bytes());
                assert_eq!(ws.counters().messages_sent, 4);
            }
        }
    });
}

#[test]
#[cfg(feature = "deflate")]
fn compressed_messages_survive_prepared_and_dropped_ones_among_them() {
    bounded(|| {
        for policy in [
            BacklogPolicy::Wait,
            BacklogPolicy::Refuse,
            BacklogPolicy::DropOldest,
        ] {
            let dial = DialOptions::new().write_backlog(backlog(policy));
            let (client, server) = support::pair_with(&listen(policy), &dial);
            let text = "all work and no play makes a dull test ".repeat(20);
            let prepared = Prepared::text(&text);
            for ws in [&server, &client] {
                let reader = if std::ptr::eq(ws, &server) {
                    &client
                } else {
                    &server
                };
                for round in 0..20 {
                    let own = format!("{round} {text}");
                    ws.write_text(&own).unwrap();
                    ws.write_prepared(&prepared, WriteOptions::new()).unwrap();
                    ws.write_text(&own).unwrap();
                    assert_eq!(reader.read().unwrap().as_text(), Some(&*own));
                    assert_eq!(reader.read().unwrap().as_text(), Some(&*text));
                    assert_eq!(reader.read().unwrap().as_text(), Some(&*own));
                }
            }
            if policy != BacklogPolicy::DropOldest {
                continue;
            }
            // Hard to compress, and like what was before it.
            let noise: String = (0u32..700)
                .map(|i| format!("{:08x}", i.wrapping_mul(0x9E37_79B9)))
                .collect();
            for number in 0..2000 {
                server.write_text(&format!("{number} {noise}")).unwrap();
            }
            let dropped = server.counters().messages_dropped;
            assert!(dropped > 0);
            let mut last = None;
            for _ in 0..2000 - dropped {
                let message = client.read().unwrap();
                let (number, rest) = message.as_text().unwrap().split_once(' ').unwrap();
                assert_eq!(rest, noise);
                let number: u32 = number.parse().unwrap();
                assert!(last < Some(number));
                last = Some(number);
            }
            assert_eq!(last, Some(1999));
        }
    });
}

/// A text that is hard to compress, unless it was written before.
#[cfg(feature = "deflate")]
fn noise(number: u32) -> String {
    let word = |i: u32| (number * 500 + i).wrapping_mul(0x9E37_79B9);
    (0..500).map(|i| format!("{:08x}", word(i))).collect()
}

#[test]
#[cfg(feature = "deflate")]
fn parts_refer_to_no_message_that_is_dropped_for_a_close() {
    bounded(|| {
        let policy = BacklogPolicy::Close;
        let listen = listen(policy).close_timeout(Duration::from_secs(60));
        let (client, server) = support::pair_with(&listen, &DialOptions::new());
        let mut number = 0;
        // Each is written twice.
        let end = loop {
            let text = noise(number);
            let written = server.write_text(&text).and_then(|()| {
                let (kind, deadline) = (MessageKind::Text, Deadline::NEVER);
                server.write_part(kind, text.as_bytes(), true, deadline)
            });
            match written {
                Ok(()) => number += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(end, Error::Closed(_)), "{end}");
        assert!(server.counters().messages_dropped > 0);
        let mut read = 0;
        let end = loop {
            match client.read() {
                Ok(message) => {
                    let text = message.as_text().unwrap();
                    assert!((0..=number).any(|number| noise(number) == text));
                    read += 1;
                }
                Err(error) => break error,
            }
        };
        assert!(read > 0);
        let Error::Closed(info) = &end else {
            panic!("{end}");
        };
        assert_eq!(info.code, CloseCode::Again);
    });
}

#[test]
#[cfg(feature = "deflate")]
fn a_policy_that_comes_later_drops_no_message_that_others_refer_to() {
    bounded(|| {
        let listen = listen(BacklogPolicy::Close);
        let (client, server) = support::pair_with(&listen, &DialOptions::new());
        let mut number = 0;
        // Each refers to the one before it.
        while server.backlog().bytes < LIMIT / 2 {
            server.write_text(&noise(number)).unwrap();
            server.write_text(&noise(number)).unwrap();
            number += 1;
        }
        // So little that the next message finds no room.
        let drops = Backlog::new().policy(BacklogPolicy::DropOldest);
        server.set_backlog(drops.limit(LIMIT / 4));
        while server.counters().messages_dropped < 3 {
            server.write_text(&noise(number)).unwrap();
            server.write_text(&noise(number)).unwrap();
            number += 1;
        }
        server.write_text("end").unwrap();
        let mut read = 0;
        loop {
            let message = client.read().unwrap();
            let text = message.as_text().unwrap();
            if text == "end" {
                break;
            }
            assert!((0..number).any(|number| noise(number) == text));
            read += 1;
        }
        let dropped = server.counters().messages_dropped;
        assert_eq!(read + dropped, 2 * u64::from(number));
    });
}

#[test]
fn a_broadcast_waits_for_no_one_whatever_the_policy() {
    bounded(|| {
        let (mut slow, slow_ws) = RawPeer::client_of(&listen(BacklogPolicy::Wait));
        let (mut fast, fast_ws) = RawPeer::client_of(&listen(BacklogPolicy::Wait));
        let (gone, gone_ws) = RawPeer::client();
        drop(gone);
        gone_ws.read().unwrap_err();
        let all = [slow_ws, fast_ws, gone_ws];
        let mut accepted = 0;
        for number in 0.. {
            let report = broadcast(&all, &Prepared::binary(numbered(number)));
            assert_eq!(number_of(&fast.read_frame().1), number);
            assert_eq!(report.closed, 1);
            assert_eq!(report.accepted + report.refused, 2);
            if report.refused == 1 {
                break;
            }
            accepted += 1;
        }
        for number in 0..accepted {
            assert_eq!(number_of(&slow.read_frame().1), number);
        }
    });
}

#[test]
fn a_broadcast_waits_for_no_writer_and_no_message_in_parts() {
    bounded(|| {
        let (mut peer, ws) = RawPeer::client_of(&listen(BacklogPolicy::Wait));
        let all = [ws.clone()];
        let news = Prepared::text("news");
        ws.write_part(MessageKind::Binary, b"a", false, Deadline::NEVER)
            .unwrap();
        assert_eq!(broadcast(&all, &news).accepted, 1);
        assert_eq!(ws.backlog().bytes, 4 + 14);
        ws.write_part(MessageKind::Binary, b"b", true, Deadline::NEVER)
            .unwrap();
        assert_eq!(peer.read_frame(), (BINARY, b"a".to_vec()));
        assert_eq!(peer.read_frame(), (FINAL, b"b".to_vec()));
        assert_eq!(peer.read_frame(), (TEXT | FINAL, b"news".to_vec()));

        // A writer that is blocked in the system has the turn.
        let large = vec![0; 4 << 20];
        let writer = {
            let (ws, large) = (ws.clone(), large.clone());
            thread::spawn(move || ws.write_binary(&large))
        };
        let mut first = [0; 1];
        peer.stream.peek(&mut first).unwrap();
        while broadcast(&all, &news).refused == 0 {}
        let accepted = ws.counters();
        assert_eq!(accepted.messages_dropped, 0);
        assert_eq!(peer.read_frame().1.len(), large.len());
        writer.join().unwrap().unwrap();
        assert_eq!(peer.read_frame(), (TEXT | FINAL, b"news".to_vec()));
    });
}

#[test]
fn messages_of_many_threads_arrive_once_each_and_in_order() {
    bounded(|| {
        for policy in [BacklogPolicy::Wait, BacklogPolicy::DropOldest] {
            let (mut peer, ws) = RawPeer::client_of(&listen(policy));
            let ws = Arc::new(ws);
            let writers: Vec<_> = (0..4usize)
                .map(|thread| {
                    let ws = ws.clone();
                    thread::spawn(move || {
                        let mut accepted = 0;
                        for number in 0..2000 {
                            let data = numbered(thread * 10_000 + number);
                            accepted += match (policy, number % 2) {
                                (BacklogPolicy::Wait, 1) => {
                                    broadcast([&*ws], &Prepared::binary(data)).accepted
                                }
                                _ => {
                                    ws.write_binary(&data).unwrap();
                                    1
                                }
                            };
                        }
                        accepted
                    })
                })
                .collect();
            let ending = {
                let ws = ws.clone();
                thread::spawn(move || {
                    let accepted: usize = writers
                        .into_iter()
                        .map(|writer| writer.join().unwrap())
                        .sum();
                    ws.flush(Deadline::NEVER).unwrap();
                    ws.write_text("end").unwrap();
                    accepted
                })
            };
            let (mut last, mut count) = ([None; 4], 0);
            loop {
                let (first, payload) = peer.read_frame();
                if first == TEXT | FINAL {
                    break;
                }
                let number = number_of(&payload);
                let last = &mut last[number / 10_000];
                assert!(*last < Some(number), "{last:?}, then {number}");
                *last = Some(number);
                count += 1;
            }
            let dropped = ws.counters().messages_dropped as usize;
            assert_eq!(count + dropped, ending.join().unwrap(), "{policy:?}");
        }
    });
}

#[test]
fn topics_reach_those_who_want_to_hear_and_no_others() {
    bounded(|| {
        let topics = Topics::new();
        let [(mut a, a_ws), (mut b, b_ws)] = [RawPeer::client(), RawPeer::client()];
        assert!(topics.subscribe("news", &a_ws));
        assert!(!topics.subscribe("news", &a_ws), "twice");
        assert!(topics.subscribe("news", &b_ws));
        assert!(topics.subscribe("sport", &b_ws));
        assert_eq!(topics.publish("news", &Prepared::text("1")).accepted, 2);
        assert_eq!(topics.publish("sport", &Prepared::text("2")).accepted, 1);
        assert_eq!(
            topics.publish("nothing", &Prepared::text("3")),
            Default::default()
        );
        assert_eq!(
            (a.read_frame().1, b.read_frame().1),
            (b"1".to_vec(), b"1".to_vec())
        );
        assert_eq!(b.read_frame().1, b"2");
        assert!(topics.unsubscribe("news", &b_ws));
        assert!(!topics.unsubscribe("news", &b_ws));
        assert_eq!(topics.unsubscribe_all(&b_ws), 1);
        assert_eq!(
            topics.publish("sport", &Prepared::text("4")),
            Default::default()
        );
        // One ends, of one no handle is left.
        a_ws.abort();
        let report = topics.publish("news", &Prepared::text("5"));
        assert_eq!((report.accepted, report.closed), (0, 1));
        assert_eq!(
            topics.publish("news", &Prepared::text("6")),
            Default::default()
        );
        topics.subscribe("sport", &b_ws);
        drop(b_ws);
        assert_eq!(topics.subscribers("sport"), 0);
        assert_eq!(topics.publish("sport", &Prepared::text("7")).accepted, 0);
        assert!(format!("{topics:?}").contains("topics: 0, subscribers: 0"));
    });
}

#[test]
fn topics_are_used_by_many_threads() {
    bounded(|| {
        let topics = Topics::new();
        let peers: Vec<_> = (0..8).map(|_| RawPeer::client()).collect();
        let (peers, connections): (Vec<_>, Vec<_>) = peers.into_iter().unzip();
        connections
            .iter()
            .for_each(|ws| assert!(topics.subscribe("all", ws)));
        thread::scope(|scope| {
            for (index, ws) in connections.iter().enumerate() {
                let topics = &topics;
                scope.spawn(move || {
                    for round in 0..200 {
                        let own = format!("{}", round % 3);
                        topics.subscribe(&own, ws);
                        topics.publish("all", &Prepared::text(format!("{index}")));
                        topics.unsubscribe(&own, ws);
                    }
                });
            }
            for mut peer in peers {
                scope.spawn(move || {
                    let mut counts = [0; 8];
                    for _ in 0..8 * 200 {
                        let (_, payload) = peer.read_frame();
                        counts[usize::from(payload[0] - b'0')] += 1;
                    }
                    assert_eq!(counts, [200; 8]);
                });
            }
        });
    });
}
