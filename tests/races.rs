//! What happens when two things happen at once: closes that cross, writers in the middle of a
//! message, floods, panics.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use support::raw_peer::{BINARY, CLOSE, CONTINUATION, FINAL, PING, PONG, RawPeer, TEXT};
use support::{bounded, pair};
use talkws::{CloseCode, Connection, Deadline, DialOptions, Error, MessageKind};

const SHORT: Duration = Duration::from_millis(10);
const LARGE: usize = 32 << 20;

/// Writes a message that no socket holds; returns when its first bytes are out.
fn writer_in_the_middle(peer: &mut RawPeer, ws: &Connection) -> JoinHandle<talkws::Result<()>> {
    let ws = ws.clone();
    let writer = thread::spawn(move || ws.write_binary(&vec![7; LARGE]));
    let mut header = [0; 2];
    peer.stream.read_exact(&mut header).unwrap();
    assert_eq!(header[0], BINARY | FINAL);
    writer
}

/// Reads to the end; gives how much there was beyond the rest of that message.
fn rest_after_message(mut peer: RawPeer) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut rest = Vec::new();
        peer.stream.read_to_end(&mut rest).unwrap();
        let length = 8 + LARGE;
        assert!(rest.len() >= length, "the message is torn");
        rest.split_off(length)
    })
}

#[test]
fn closes_that_cross_wait_for_the_message_that_is_being_sent() {
    bounded(|| {
        let (mut peer, ws) = RawPeer::client();
        let writer = writer_in_the_middle(&mut peer, &ws);
        let other = ws.clone();
        let reader = thread::spawn(move || other.read().unwrap_err());
        let other = ws.clone();
        let closer = thread::spawn(move || other.close(CloseCode::Normal, ""));
        while ws.is_open() {
            thread::yield_now();
        }
        peer.send_frame(CLOSE | FINAL, &1001_u16.to_be_bytes());
        let rest = rest_after_message(peer);
        writer.join().unwrap().unwrap();
        assert!(matches!(reader.join().unwrap(), Error::Closed(_)));
        closer.join().unwrap().unwrap();
        assert_eq!(rest.join().unwrap(), [0x88, 2, 0x03, 0xE8]);
    });
}

#[test]
fn a_reader_in_a_hurry_does_not_spoil_the_answer_to_a_close() {
    bounded(|| {
        let (mut peer, ws) = RawPeer::client();
        let writer = writer_in_the_middle(&mut peer, &ws);
        peer.send_frame(CLOSE | FINAL, &1001_u16.to_be_bytes());
        // Until the Close has come, and then until its answer could go: there is no time for that.
        while ws.is_open() {
            assert!(matches!(ws.read_within(SHORT), Err(Error::TimedOut { .. })));
        }
        let now = Deadline::NEVER.interrupted_by(|| true);
        assert!(matches!(
            ws.read_within(now),
            Err(Error::Interrupted { .. })
        ));
        assert!(matches!(ws.write_text("late"), Err(Error::Closed(_))));
        let rest = rest_after_message(peer);
        let error = loop {
            match ws.read_within(SHORT) {
                Err(Error::TimedOut { .. }) => {}
                read => break read.unwrap_err(),
            }
        };
        assert!(matches!(error, Error::Closed(info) if info.code == CloseCode::Away));
        writer.join().unwrap().unwrap();
        assert_eq!(rest.join().unwrap(), [0x88, 2, 0x03, 0xE9]);
    });
}

#[test]
fn a_server_that_is_slow_to_hang_up_has_closed_all_the_same() {
    bounded(|| {
        let options = DialOptions::new().close_timeout(Duration::from_millis(100));
        let (mut peer, ws) = RawPeer::server_of(&options);
        let other = ws.clone();
        let reader = thread::spawn(move || other.read().unwrap_err());
        peer.send_frame(PING | FINAL, b"");
        assert_eq!(peer.read_frame().0, PONG | FINAL, "somebody reads");
        let closer = thread::spawn(move || ws.close(CloseCode::Normal, ""));
        assert_eq!(peer.read_close(), Some(1000));
        peer.send_frame(CLOSE | FINAL, &1000_u16.to_be_bytes());
        closer.join().unwrap().unwrap();
        assert!(matches!(reader.join().unwrap(), Error::Closed(_)));
        drop(peer);
    });
}

#[test]
fn a_close_that_is_called_again_goes_on_with_its_timeout() {
    bounded(|| {
        let options = DialOptions::new().close_timeout(Duration::from_millis(100));
        let (_silent, ws) = RawPeer::server_of(&options);
        let now = Deadline::NEVER.interrupted_by(|| true);
        let error = loop {
            match ws.close_within(CloseCode::Normal, "", now) {
                Err(Error::Interrupted { .. }) => {}
                closed => break closed.unwrap_err(),
            }
        };
        assert!(matches!(error, Error::ConnectionLost { .. }), "{error}");
    });
}

#[test]
fn parts_of_two_threads_never_mix() {
    bounded(|| {
        let (client, server) = pair();
        let kind = MessageKind::Binary;
        client
            .write_part(kind, b"AA", false, Deadline::NEVER)
            .unwrap();
        let other = client.clone();
        let waited = thread::spawn(move || {
            // Of another kind too, which is no mistake in another thread.
            for kind in [kind, MessageKind::Text] {
                let error = other.write_part(kind, b"BB", true, SHORT).unwrap_err();
                assert!(matches!(error, Error::TimedOut { .. }), "{error}");
            }
            other
        });
        let other = waited.join().unwrap();
        let waiting = thread::spawn(move || other.write_part(kind, b"BB", true, Deadline::NEVER));
        client
            .write_part(kind, b"aa", true, Deadline::NEVER)
            .unwrap();
        waiting.join().unwrap().unwrap();
        assert_eq!(server.read().unwrap().as_bytes(), b"AAaa");
        assert_eq!(server.read().unwrap().as_bytes(), b"BB");
    });
}

fn panics() -> bool {
    panic!("a caller's own")
}

#[test]
fn a_panic_in_the_middle_of_a_read_ends_the_connection() {
    bounded(|| {
        let (mut peer, ws) = RawPeer::client();
        // Half a character: nobody may take what follows for text.
        peer.send_frame(TEXT, b"\xC3");
        let other = ws.clone();
        let reader =
            thread::spawn(move || other.read_within(Deadline::NEVER.interrupted_by(panics)));
        assert!(reader.join().is_err());
        let rest = peer.frame(CONTINUATION | FINAL, b"\xA9");
        let _ = peer.stream.write_all(&rest);
        assert!(matches!(ws.read(), Err(Error::Aborted { .. })));
    });
}

#[test]
fn a_panic_in_the_middle_of_a_write_ends_the_connection() {
    bounded(|| {
        let (peer, ws) = RawPeer::client();
        let other = ws.clone();
        let writer = thread::spawn(move || {
            let deadline = Deadline::NEVER.interrupted_by(panics);
            other.write_data(MessageKind::Binary, &vec![7; LARGE], deadline)
        });
        assert!(writer.join().is_err());
        // Nothing may follow a torn frame.
        assert!(matches!(ws.write_text("x"), Err(Error::Aborted { .. })));
        drop(peer);
    });
}

#[test]
fn accepted_bytes_leave_under_a_flood_of_messages() {
    bounded(|| {
        let (peer, ws) = RawPeer::client();
        let size = 16 << 20;
        ws.write_data(MessageKind::Binary, &vec![7; size], Duration::ZERO)
            .unwrap();
        assert!(ws.pending().write);
        let flood: Vec<u8> = peer.frame(BINARY | FINAL, &[1; 8000]).repeat(100);
        let (mut input, mut output) = (peer.stream.try_clone().unwrap(), peer.stream);
        let flooder = thread::spawn(move || while output.write_all(&flood).is_ok() {});
        let got = Arc::new(AtomicUsize::new(0));
        let counter = got.clone();
        let taker = thread::spawn(move || {
            let mut buffer = vec![0; 1 << 20];
            while let Ok(length @ 1..) = input.read(&mut buffer) {
                counter.fetch_add(length, Ordering::SeqCst);
            }
        });
        while got.load(Ordering::SeqCst) < size {
            ws.read().unwrap();
        }
        drop(ws);
        flooder.join().unwrap();
        taker.join().unwrap();
    });
}

#[test]
fn a_flood_does_not_outlast_an_interruption() {
    bounded(|| {
        let (peer, ws) = RawPeer::client();
        let flood = peer.frame(PONG | FINAL, b"unasked").repeat(1000);
        let mut output = peer.stream;
        let flooder = thread::spawn(move || while output.write_all(&flood).is_ok() {});
        let now = Deadline::NEVER.interrupted_by(|| true);
        let error = ws.read_within(now).unwrap_err();
        assert!(matches!(error, Error::Interrupted { .. }), "{error}");
        drop(ws);
        flooder.join().unwrap();
    });
}

#[test]
fn refused_clients_do_not_keep_an_accept_past_its_deadline() {
    bounded(|| {
        let listener = talkws::listen("ws://127.0.0.1:0/served").unwrap();
        let address = listener.local_addr();
        let is_over = Arc::new(AtomicBool::new(false));
        let flooders: Vec<_> = (0..4)
            .map(|_| {
                let is_over = is_over.clone();
                thread::spawn(move || {
                    while !is_over.load(Ordering::SeqCst) {
                        let Ok(mut stream) = TcpStream::connect(address) else {
                            continue;
                        };
                        let _ = stream.write_all(b"GET /other HTTP/1.1\r\nHost: a\r\n\r\n");
                        let _ = stream.write_all(&[b'x'; 100_000]);
                    }
                })
            })
            .collect();
        let until_interrupted = Deadline::NEVER.interrupted_by(|| true);
        for deadline in [SHORT.into(), until_interrupted, Duration::ZERO.into()] {
            let error = listener.accept_within(deadline).unwrap_err();
            assert!(error.is_temporary(), "{error}");
        }
        is_over.store(true, Ordering::SeqCst);
        listener.close();
        for flooder in flooders {
            flooder.join().unwrap();
        }
    });
}
