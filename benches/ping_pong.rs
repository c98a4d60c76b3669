//! Echo round trips over loopback: raw TCP, tungstenite and talkws, in turn within one run.
//!
//!     cargo bench --bench ping_pong [-- [--quick] [SIZE...]]
//!
//! Prints the median time of a round trip over all rounds, its ratio to raw TCP (raw / it, so
//! that 1.00 is as fast as TCP itself), and the processor time of both ends for each message. The
//! machine's own noise hits all three alike, because every round runs all of them. Then the same for
//! wss, beside rustls alone.

#[cfg(feature = "tls")]
#[path = "ping_pong/tls.rs"]
mod tls;

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use talkws::{
    Deadline, DialOptions, ListenOptions, Listener, Message, MessageKind, UpgradeOptions,
};
use tungstenite::WebSocket;
use tungstenite::protocol::{Role, WebSocketConfig};

const SIZES: [usize; 5] = [32, 1024, 16 * 1024, 256 * 1024, 4 << 20];

/// One way to make a round trip.
trait Peer {
    fn name(&self) -> &'static str;
    fn round_trip(&mut self, kind: MessageKind, payload: &str);
}

struct RawTcp {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl RawTcp {
    fn start(size: usize) -> Self {
        let (stream, mut server) = tcp_pair();
        thread::spawn(move || {
            let mut message = vec![0; size];
            while server
                .read_exact(&mut message)
                .and_then(|()| server.write_all(&message))
                .is_ok()
            {}
        });
        RawTcp {
            stream,
            answer: vec![0; size],
        }
    }
}

impl Peer for RawTcp {
    fn name(&self) -> &'static str {
        "raw TCP"
    }

    fn round_trip(&mut self, _: MessageKind, payload: &str) {
        self.stream.write_all(payload.as_bytes()).unwrap();
        self.stream.read_exact(&mut self.answer).unwrap();
        black_box(&self.answer);
    }
}

struct Tungstenite {
    client: WebSocket<TcpStream>,
    text: tungstenite::Message,
    binary: tungstenite::Message,
}

impl Tungstenite {
    fn start(payload: &str) -> Self {
        let (client, server) = tcp_pair();
        let config = WebSocketConfig::default()
            .max_message_size(Some(64 << 20))
            .max_frame_size(Some(64 << 20));
        thread::spawn(move || {
            let mut server = WebSocket::from_raw_socket(server, Role::Server, Some(config));
            while let Ok(message) = server.read() {
                if !message.is_close() && server.send(message).is_err() {
                    return;
                }
            }
        });
        Tungstenite {
            client: WebSocket::from_raw_socket(client, Role::Client, Some(config)),
            text: tungstenite::Message::text(payload),
            binary: tungstenite::Message::binary(payload.as_bytes().to_vec()),
        }
    }
}

impl Peer for Tungstenite {
    fn name(&self) -> &'static str {
        "tungstenite"
    }

    fn round_trip(&mut self, kind: MessageKind, payload: &str) {
        let message = match kind {
            MessageKind::Text => self.text.clone(),
            MessageKind::Binary => self.binary.clone(),
        };
        self.client.send(message).unwrap();
        let answer = self.client.read().unwrap();
        assert_eq!(answer.len(), payload.len());
    }
}

struct Talkws {
    name: &'static str,
    client: talkws::Connection,
    answer: Message,
}

impl Talkws {
    fn start() -> Self {
        // Nobody else compresses.
        let options = ListenOptions::new().deflate(None);
        let listener = options.listen("ws://127.0.0.1:0").unwrap();
        Talkws::echo("talkws", &listener, &DialOptions::new())
    }

    fn echo(name: &'static str, listener: &Listener, dial: &DialOptions) -> Self {
        let url = listener.url().to_owned();
        let listener = listener.clone();
        thread::spawn(move || {
            let ws = listener
                .accept()
                .unwrap()
                .upgrade(UpgradeOptions::default())
                .unwrap();
            let mut message = Message::default();
            while ws
                .read_into(&mut message, Deadline::NEVER)
                .and_then(|()| ws.write(&message))
                .is_ok()
            {}
        });
        Talkws {
            name,
            client: dial.dial(&url).unwrap(),
            answer: Message::default(),
        }
    }
}

impl Peer for Talkws {
    fn name(&self) -> &'static str {
        self.name
    }

    fn round_trip(&mut self, kind: MessageKind, payload: &str) {
        match kind {
            MessageKind::Text => self.client.write_text(payload).unwrap(),
            MessageKind::Binary => self.client.write_binary(payload.as_bytes()).unwrap(),
        }
        self.client
            .read_into(&mut self.answer, Deadline::NEVER)
            .unwrap();
        assert_eq!(self.answer.len(), payload.len());
    }
}

/// Text as people write it: mostly ASCII, and a longer character now and then.
fn text(size: usize) -> String {
    let mut text =
        "The quick brown fox, naïvely, jumps over the lazy dog again. ".repeat(size / 40 + 1);
    let end = (0..=size)
        .rev()
        .find(|&end| text.is_char_boundary(end))
        .unwrap_or(0);
    text.truncate(end);
    text + &".".repeat(size - end)
}

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    (client, server)
}

/// User and system time of this process so far.
fn processor_time() -> Duration {
    // SAFETY: `rusage` is plain data, and the call fills it in.
    let usage = unsafe {
        let mut usage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let libc::rusage {
        ru_utime, ru_stime, ..
    } = usage;
    let microseconds = |time: libc::timeval| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
    Duration::from_micros(microseconds(ru_utime) + microseconds(ru_stime))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let (rounds, round_time) = match is_quick {
        true => (11, Duration::from_millis(20)),
        false => (75, Duration::from_millis(20)),
    };
    println!(
        "{:>9} {:>7} {:>12} {:>14} {:>13} {:>15}",
        "bytes", "kind", "peer", "round trip us", "ratio to raw", "CPU us/message"
    );
    let mut sizes: Vec<usize> = std::env::args()
        .filter_map(|argument| argument.parse().ok())
        .collect();
    if sizes.is_empty() {
        sizes.extend(SIZES);
    }
    for size in sizes {
        let payload = text(size);
        for kind in [MessageKind::Binary, MessageKind::Text] {
            let mut peers: Vec<Box<dyn Peer>> = vec![
                Box::new(RawTcp::start(size)),
                Box::new(Tungstenite::start(&payload)),
                Box::new(Talkws::start()),
            ];
            measure(&mut peers, kind, &payload, rounds, round_time);
            #[cfg(feature = "tls")]
            {
                let mut peers: Vec<Box<dyn Peer>> =
                    vec![Box::new(tls::RawTls::start(size)), Box::new(tls::talkws())];
                measure(&mut peers, kind, &payload, rounds, round_time);
            }
        }
    }
}

fn measure(
    peers: &mut [Box<dyn Peer>],
    kind: MessageKind,
    payload: &str,
    rounds: usize,
    round_time: Duration,
) {
    let mut times = vec![Vec::new(); peers.len()];
    let mut processor = vec![Vec::new(); peers.len()];
    for peer in peers.iter_mut() {
        for _ in 0..3 {
            peer.round_trip(kind, payload);
        }
    }
    for _ in 0..rounds {
        for (index, peer) in peers.iter_mut().enumerate() {
            let (started, processor_before) = (Instant::now(), processor_time());
            let mut count = 0;
            while started.elapsed() < round_time {
                peer.round_trip(kind, payload);
                count += 1;
            }
            let each = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(count);
            times[index].push(each(started.elapsed()));
            // Two messages make a round trip.
            processor[index].push(each(processor_time() - processor_before) / 2.0);
        }
    }
    // The ratio of each round by itself: what slows one down slows down its neighbours.
    for (index, peer) in peers.iter().enumerate() {
        let ratios = times[0]
            .iter()
            .zip(&times[index])
            .map(|(raw, own)| raw / own)
            .collect();
        println!(
            "{:>9} {:>7} {:>12} {:>14.1} {:>13.2} {:>15.1}",
            payload.len(),
            format!("{kind:?}").to_lowercase(),
            peer.name(),
            median(times[index].clone()),
            median(ratios),
            median(processor[index].clone()),
        );
    }
}
