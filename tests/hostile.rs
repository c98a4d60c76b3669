//! Peers that do their worst: nobody hangs, panics, or loses what was whole.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use support::bounded;
use support::raw_peer::{
    BINARY, CLOSE, CONTINUATION, FINAL, PING, REQUEST, RawPeer, TEXT, frame, reset,
};
use talkws::{Connection, Error, ListenOptions, Listener, UpgradeOptions};

/// A conversation's worth of a client's bytes: what the messages in it are, and where each is
/// complete.
fn conversation() -> (Vec<u8>, Vec<(usize, Vec<u8>)>) {
    let mut bytes = REQUEST.to_vec();
    let mut messages = Vec::new();
    let long = vec![b'l'; 300];
    let frames: [(u8, &[u8]); 7] = [
        (FINAL | TEXT, b"hello"),
        (FINAL | PING, b"ping"),
        (TEXT, "gr\u{00FC}".as_bytes()),
        (FINAL | PING, b""),
        (FINAL | CONTINUATION, b"\xC3\x9Fe"),
        (FINAL | BINARY, &long),
        (FINAL | CLOSE, b"\x03\xE8bye"),
    ];
    let mut message = Vec::new();
    for (first, payload) in frames {
        bytes.extend(frame(first, payload, true));
        if first & 0x8 == 0 {
            message.extend_from_slice(payload);
            if first & FINAL != 0 {
                messages.push((bytes.len(), std::mem::take(&mut message)));
            }
        }
    }
    (bytes, messages)
}

/// Accepts and reads to the end: the messages, and how it ended.
fn read_all(ws: &Connection) -> (Vec<Vec<u8>>, Error) {
    let mut messages = Vec::new();
    loop {
        match ws.read() {
            Ok(message) => messages.push(message.into_bytes()),
            Err(error) => return (messages, error),
        }
    }
}

fn serve_one(listener: &Listener) -> (Vec<Vec<u8>>, Error) {
    match listener
        .accept()
        .and_then(|request| request.upgrade(UpgradeOptions::default()))
    {
        Ok(ws) => read_all(&ws),
        Err(error) => (Vec::new(), error),
    }
}

#[test]
fn a_conversation_may_come_one_byte_at_a_time() {
    bounded(|| {
        let (bytes, messages) = conversation();
        let listener = talkws::listen("ws://127.0.0.1:0").unwrap();
        let mut stream = TcpStream::connect(listener.local_addr()).unwrap();
        stream.set_nodelay(true).unwrap();
        let server = thread::spawn(move || serve_one(&listener));
        for byte in bytes {
            stream.write_all(&[byte]).unwrap();
        }
        let (received, end) = server.join().unwrap();
        assert_eq!(
            received,
            messages
                .into_iter()
                .map(|(_, message)| message)
                .collect::<Vec<_>>()
        );
        assert!(matches!(end, Error::Closed(_)), "{end}");
    });
}

#[test]
fn a_stream_may_end_or_be_reset_at_every_byte_of_a_conversation() {
    bounded(|| {
        let (bytes, messages) = conversation();
        let options = ListenOptions::new().close_timeout(Duration::from_millis(100));
        let listener = options.listen("ws://127.0.0.1:0").unwrap();
        for cut in 0..=bytes.len() {
            for is_reset in [false, true] {
                let mut stream = TcpStream::connect(listener.local_addr()).unwrap();
                stream.write_all(&bytes[..cut]).unwrap();
                if cut < REQUEST.len() {
                    // Never accepted; the good client below is, with this one's corpse beside it.
                    if is_reset {
                        reset(stream)
                    } else {
                        drop(stream)
                    }
                    continue;
                }
                let ending = thread::spawn(move || {
                    if is_reset {
                        // The server has upgraded before it is cut off.
                        let mut head = [0; 64];
                        stream.read_exact(&mut head).unwrap();
                        reset(stream);
                    } else {
                        stream.shutdown(std::net::Shutdown::Write).unwrap();
                        let _ = stream.read_to_end(&mut Vec::new());
                    }
                });
                let (received, end) = serve_one(&listener);
                ending.join().unwrap();
                let whole: Vec<_> = messages
                    .iter()
                    .filter(|(end, _)| *end <= cut)
                    .map(|(_, message)| message.clone())
                    .collect();
                if is_reset {
                    // A reset may overtake what was sent before it, never tear it.
                    assert!(whole.starts_with(&received), "cut at {cut}: {received:?}");
                } else {
                    assert_eq!(received, whole, "cut at {cut}");
                    let is_closed = matches!(end, Error::Closed(_));
                    assert_eq!(is_closed, cut == bytes.len(), "cut at {cut}: {end}");
                }
            }
        }
        let url = listener.url().to_owned();
        let good = thread::spawn(move || talkws::dial(&url)?.write_text("good"));
        let (received, _) = serve_one(&listener);
        assert_eq!(received, [b"good"]);
        good.join().unwrap().unwrap();
    });
}

#[test]
fn a_flood_of_pings_by_a_peer_that_never_reads_stops_nobody() {
    bounded(|| {
        for (mut peer, ws) in RawPeer::both_roles() {
            let flood: Vec<u8> = (0..1000)
                .flat_map(|_| peer.frame(FINAL | PING, &[b'p'; 125]))
                .collect();
            let end = peer.frame(FINAL | TEXT, b"through");
            // Far more Pongs than the system has room for, and nobody takes them.
            let flooder = thread::spawn(move || {
                for _ in 0..200 {
                    peer.send(&flood);
                }
                peer.send(&end);
                peer
            });
            assert_eq!(ws.read().unwrap().as_text(), Some("through"));
            drop(flooder.join().unwrap());
        }
    });
}

#[test]
fn garbage_after_the_upgrade_ends_the_connection_and_nothing_else() {
    bounded(|| {
        // A linear congruential generator: the same garbage in every run.
        let mut state = 0x2545_F491_4F6C_DD1Du64;
        let mut garbage = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as u8
        };
        for round in 0..200 {
            let (mut peer, ws) = RawPeer::client();
            let bytes: Vec<u8> = (0..round * 7 + 1).map(|_| garbage()).collect();
            let reader = thread::spawn(move || read_all(&ws));
            // The server may have hung up in the middle of it.
            let _ = peer.stream.write_all(&bytes);
            let _ = peer.stream.shutdown(std::net::Shutdown::Write);
            peer.read_to_end();
            drop(peer);
            let (_, end) = reader.join().unwrap();
            assert!(
                matches!(
                    end,
                    Error::Protocol(_)
                        | Error::InvalidUtf8(_)
                        | Error::TooBig(_)
                        | Error::ConnectionLost { .. }
                        | Error::Closed(_)
                ),
                "{end}"
            );
        }
    });
}

#[test]
fn a_peer_that_never_reads_times_a_writer_out_while_the_reader_goes_on() {
    bounded(|| {
        for (mut peer, ws) in RawPeer::both_roles() {
            let timeout = Duration::from_millis(20);
            let data = vec![0; 100_000];
            while ws
                .write_data(talkws::MessageKind::Binary, &data, timeout)
                .is_ok()
            {}
            for _ in 0..10 {
                // The system may find room for a little more; what counts is that this ends.
                match ws.write_data(talkws::MessageKind::Binary, &data, timeout) {
                    Ok(()) | Err(Error::TimedOut { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
                peer.send_frame(FINAL | TEXT, b"but I do write");
                assert_eq!(ws.read().unwrap().as_text(), Some("but I do write"));
            }
        }
    });
}

#[test]
fn a_flood_outlasts_neither_a_deadline_nor_the_close_timeout() {
    bounded(|| {
        let options = ListenOptions::new().close_timeout(Duration::from_millis(50));
        for first in [FINAL | PING, FINAL | TEXT] {
            let (mut peer, ws) = RawPeer::client_of(&options);
            let flood: Vec<u8> = (0..5000)
                .flat_map(|_| peer.frame(first, b"flood"))
                .collect();
            let flooder = thread::spawn(move || while peer.stream.write_all(&flood).is_ok() {});
            if first == FINAL | PING {
                let result = ws.read_within(Duration::from_millis(50));
                assert!(matches!(result, Err(Error::TimedOut { .. })));
            }
            let error = ws.close(talkws::CloseCode::Normal, "").unwrap_err();
            assert!(matches!(error, Error::ConnectionLost { .. }), "{error}");
            drop(ws);
            flooder.join().unwrap();
        }
    });
}
