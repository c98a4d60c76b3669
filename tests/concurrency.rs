//! Every call from every thread, on both ends at once: messages are whole, none is lost or
//! doubled before the close, and all threads come back.

mod support;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread::{self, JoinHandle};

use support::{bounded, pair};
use talkws::{CloseCode, Connection, Error};

const WRITERS: u64 = 8;

/// A message that tells its writer and number, and cannot be mistaken when it is torn.
fn message(writer: u64, number: u64) -> Vec<u8> {
    let size = (writer * 7919 + number * 104_729) % 40_000;
    let mut bytes = [writer.to_be_bytes(), number.to_be_bytes()].concat();
    bytes.extend((0..size).map(|index| (writer + number + index) as u8));
    bytes
}

/// What an end sent, and what it received.
struct End {
    writers: Vec<JoinHandle<u64>>,
    reader: JoinHandle<HashMap<u64, u64>>,
    pinger: JoinHandle<()>,
}

fn start(ws: &Connection, received: &Arc<AtomicU64>, begin: &Arc<Barrier>) -> End {
    let writers = (0..WRITERS)
        .map(|writer| {
            let (ws, begin) = (ws.clone(), begin.clone());
            thread::spawn(move || {
                begin.wait();
                for number in 0.. {
                    match ws.write_binary(&message(writer, number)) {
                        Ok(()) => {}
                        Err(Error::Closed(_) | Error::ConnectionLost { .. }) => return number,
                        Err(error) => panic!("writer {writer}, message {number}: {error}"),
                    }
                }
                unreachable!()
            })
        })
        .collect();
    let reader = {
        let (ws, received) = (ws.clone(), received.clone());
        thread::spawn(move || {
            let mut next = HashMap::new();
            loop {
                match ws.read() {
                    Ok(got) => {
                        let bytes = got.as_bytes();
                        let writer = u64::from_be_bytes(bytes[..8].try_into().unwrap());
                        let number = next.entry(writer).or_insert(0);
                        assert!(
                            bytes == message(writer, *number),
                            "writer {writer}, {number}"
                        );
                        *number += 1;
                        received.fetch_add(1, Ordering::SeqCst);
                    }
                    Err(Error::Closed(_)) => return next,
                    Err(error) => panic!("reader: {error}"),
                }
            }
        })
    };
    let pinger = {
        let ws = ws.clone();
        thread::spawn(move || while ws.ping(b"ping").is_ok() {})
    };
    End {
        writers,
        reader,
        pinger,
    }
}

#[test]
fn eight_writers_a_reader_a_pinger_and_a_closer_on_each_end() {
    bounded(|| {
        for closes_as_client in [true, false] {
            let (client, server) = pair();
            let begin = Arc::new(Barrier::new(2 * WRITERS as usize));
            let counts = [Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0))];
            let ends = [
                start(&client, &counts[0], &begin),
                start(&server, &counts[1], &begin),
            ];
            // Enough has gone both ways.
            while counts
                .iter()
                .any(|count| count.load(Ordering::SeqCst) < 500)
            {
                thread::yield_now();
            }
            let closer = if closes_as_client { &client } else { &server };
            closer.close(CloseCode::Normal, "enough").unwrap();
            let [of_client, of_server] = ends.map(|end| {
                let sent: Vec<u64> = end
                    .writers
                    .into_iter()
                    .map(|writer| writer.join().unwrap())
                    .collect();
                end.pinger.join().unwrap();
                (sent, end.reader.join().unwrap())
            });
            let (from_closer, at_other, from_other, at_closer) = match closes_as_client {
                true => (of_client.0, of_server.1, of_server.0, of_client.1),
                false => (of_server.0, of_client.1, of_client.0, of_server.1),
            };
            for (writer, sent) in from_closer.into_iter().enumerate() {
                let received = at_other.get(&(writer as u64)).copied().unwrap_or(0);
                assert_eq!(
                    received, sent,
                    "everything before the Close arrives: {writer}"
                );
            }
            // What the other end sends after the Close is dropped, in the order it was sent.
            for (writer, sent) in from_other.into_iter().enumerate() {
                let received = at_closer.get(&(writer as u64)).copied().unwrap_or(0);
                assert!(received <= sent, "{writer}: {received} of {sent}");
            }
        }
    });
}
