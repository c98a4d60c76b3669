//! A message to many connections: `cargo bench --bench broadcast -- [CONNECTIONS]`.
//!
//! The peers are raw sockets that do not read: the system keeps what comes, so that what is measured is
//! the writing alone. Beside it the same bytes with `send(2)` on the same sockets, one after the other.
//! Rounds are interleaved; what is told is the median of each.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

use talkws::{Connection, ListenOptions, Prepared, Topics, UpgradeOptions, broadcast};

const SIZE: usize = 64;
const ROUNDS: usize = 41;

fn connect(count: usize) -> (Vec<Connection>, Vec<TcpStream>) {
    let listener = ListenOptions::new().listen("ws://127.0.0.1:0").unwrap();
    let host = listener.url().trim_start_matches("ws://");
    let address = host.trim_end_matches('/').to_owned();
    let accepting = thread::spawn(move || {
        let accept = |_| {
            let request = listener.accept().unwrap();
            request.upgrade(UpgradeOptions::new()).unwrap()
        };
        (0..count).map(accept).collect()
    });
    let request = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let peers = (0..count)
        .map(|_| {
            let mut peer = TcpStream::connect(&address).unwrap();
            peer.write_all(request.as_bytes()).unwrap();
            assert!(peer.read(&mut [0; 1024]).unwrap() > 12);
            peer
        })
        .collect();
    (accepting.join().unwrap(), peers)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn main() {
    let count = std::env::args().find_map(|argument| argument.parse().ok());
    let count = count.unwrap_or(5_000);
    let (connections, _peers) = connect(count);
    let message = Prepared::binary(vec![b'x'; SIZE]);
    let bytes = [0u8; SIZE + 2];
    let topics = Topics::new();
    for connection in &connections {
        topics.subscribe("all", connection);
    }
    let mut times = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        let mut measure = |row: usize, write: &mut dyn FnMut()| {
            let start = Instant::now();
            write();
            times[row].push(start.elapsed());
        };
        measure(0, &mut || {
            let report = broadcast(&connections, &message);
            assert_eq!(report.accepted, count);
        });
        measure(1, &mut || {
            assert_eq!(topics.publish("all", &message).accepted, count);
        });
        measure(2, &mut || {
            for connection in &connections {
                connection.write_binary(message.as_bytes()).unwrap();
            }
        });
        // Zeros are no frames, which is nothing to peers that do not read.
        measure(3, &mut || {
            for connection in &connections {
                let (fd, start) = (connection.as_raw_fd(), bytes.as_ptr().cast());
                let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
                // SAFETY: an open descriptor, and that many bytes.
                let sent = unsafe { libc::send(fd, start, bytes.len(), flags) };
                assert_eq!(sent, bytes.len() as isize);
            }
        });
    }
    let names = [
        "broadcast",
        "Topics::publish",
        "write in a loop",
        "send(2) in a loop",
    ];
    for (name, times) in names.into_iter().zip(times) {
        let took = median(times);
        let each = took.as_nanos() as f64 / count as f64;
        println!("{name:20} {took:10.2?} for {count} connections, {each:7.0} ns each");
    }
}
