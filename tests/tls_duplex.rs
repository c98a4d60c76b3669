//! wss, full duplex: one thread reads and another writes on both ends at once, with all the stream
//! takes.
#![cfg(feature = "tls")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use support::bounded;
use support::certificates::Authority;
use talkws::{
    ClientTls, CloseCode, Connection, DialOptions, Error, ListenOptions, Message, MessageKind,
    ServerTls, UpgradeOptions,
};

/// A client and a server, connected over TLS.
fn pair_with(listen: ListenOptions, dial: DialOptions) -> (Connection, Connection) {
    let ca = Authority::new();
    let identity = ca.issue(&["127.0.0.1"]);
    let server = ServerTls::new()
        .certificate_pem(&identity.chain, &identity.key)
        .unwrap();
    let client = ClientTls::new().ca_pem(ca.pem()).unwrap();
    let listener = listen.tls(server).listen("wss://127.0.0.1:0").unwrap();
    let url = listener.url().to_owned();
    let client = thread::spawn(move || dial.tls(client).dial(&url).unwrap());
    let request = listener.accept().unwrap();
    let server = request.upgrade(UpgradeOptions::new()).unwrap();
    (client.join().unwrap(), server)
}

fn pair() -> (Connection, Connection) {
    pair_with(ListenOptions::new(), DialOptions::new())
}

/// A message that tells its number, of a size that is different each time.
fn message(number: u64) -> Vec<u8> {
    let size = 8 + (number * 104_729) % 90_000;
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.resize(size as usize, number as u8);
    bytes
}

/// Writes until told to stop; gives how many messages.
fn write(ws: &Connection, stop: &Arc<AtomicBool>) -> thread::JoinHandle<u64> {
    let (ws, stop) = (ws.clone(), stop.clone());
    thread::spawn(move || {
        for number in 0.. {
            if stop.load(Ordering::Relaxed) {
                return number;
            }
            // Some of them with a deadline, which takes another way.
            let deadline = if number % 2 == 0 {
                talkws::Deadline::NEVER
            } else {
                Duration::from_secs(50).into()
            };
            ws.write_data(MessageKind::Binary, &message(number), deadline)
                .unwrap();
        }
        unreachable!()
    })
}

/// Reads until the peer has said goodbye; gives how many messages.
fn read(ws: &Connection, bytes: &Arc<AtomicU64>) -> thread::JoinHandle<u64> {
    let (ws, bytes) = (ws.clone(), bytes.clone());
    thread::spawn(move || {
        let mut received = Message::default();
        for number in 0.. {
            match ws.read_into(&mut received, talkws::Deadline::NEVER) {
                Ok(()) if received.is_empty() => return number,
                Ok(()) => assert!(received.as_bytes() == message(number), "{number}"),
                Err(error) => panic!("message {number}: {error}"),
            }
            bytes.fetch_add(received.len() as u64, Ordering::Relaxed);
        }
        unreachable!()
    })
}

/// Saturates both ways until `enough` bytes have come.
fn saturate(enough: impl Fn(u64) -> bool) -> u64 {
    let (client, server) = pair();
    let stop = Arc::new(AtomicBool::new(false));
    let bytes = Arc::new(AtomicU64::new(0));
    let writers = [write(&client, &stop), write(&server, &stop)];
    let readers = [read(&server, &bytes), read(&client, &bytes)];
    while !enough(bytes.load(Ordering::Relaxed)) {
        thread::yield_now();
    }
    stop.store(true, Ordering::Relaxed);
    let written = writers.map(|writer| writer.join().unwrap());
    client.write_binary(b"").unwrap();
    server.write_binary(b"").unwrap();
    let received = readers.map(|reader| reader.join().unwrap());
    assert_eq!(received, written);
    bytes.load(Ordering::Relaxed)
}

#[test]
fn reading_and_writing_on_both_ends_at_once_never_stalls() {
    bounded(|| {
        saturate(|bytes| bytes > 100_000_000);
    });
}

/// For one minute, by hand: `cargo test --release --test tls_duplex -- --ignored --nocapture`.
#[test]
#[ignore = "it takes a minute"]
fn for_a_whole_minute() {
    let end = std::time::Instant::now() + Duration::from_secs(60);
    let bytes = saturate(|_| {
        thread::sleep(Duration::from_millis(50));
        std::time::Instant::now() > end
    });
    println!("{} MB in a minute", bytes / 1_000_000);
}

#[test]
fn a_peer_that_does_not_read_does_not_keep_us_from_reading() {
    bounded(|| {
        let small = |options: ListenOptions| options.socket_buffers(8192, 8192);
        let dial = DialOptions::new().socket_buffers(8192, 8192);
        let (client, server) = pair_with(small(ListenOptions::new()), dial);
        let data = vec![5; 4 << 20];
        let writing = thread::spawn({
            let (client, data) = (client.clone(), data.clone());
            move || client.write_binary(&data).unwrap()
        });
        for number in 0..100 {
            server.write_text(&number.to_string()).unwrap();
            assert_eq!(client.read().unwrap().as_text(), Some(&*number.to_string()));
        }
        assert!(server.read().unwrap().as_bytes() == data);
        writing.join().unwrap();
    });
}

#[test]
fn what_a_deadline_left_behind_leaves_before_anything_else() {
    bounded(|| {
        let (client, server) = pair();
        let mut accepted = 0;
        loop {
            let data = vec![accepted as u8; 1 << 20];
            match client.write_data(MessageKind::Binary, &data, Duration::ZERO) {
                Ok(()) => accepted += 1,
                Err(Error::TimedOut { .. }) => break,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(accepted > 0);
        // Whoever waits to read sends it.
        let reading = thread::spawn(move || {
            for number in 0..accepted {
                let message = server.read().unwrap();
                assert!(
                    message.as_bytes() == vec![number as u8; 1 << 20],
                    "{number}"
                );
            }
            server.write_text("all there").unwrap();
            server.read().unwrap_err()
        });
        assert_eq!(client.read().unwrap(), Message::text("all there"));
        assert!(!client.pending().write);
        client.close(CloseCode::Normal, "").unwrap();
        assert!(matches!(reading.join().unwrap(), Error::Closed(_)));
    });
}

#[test]
fn closing_ends_a_read_and_a_write_that_wait() {
    bounded(|| {
        let dial = DialOptions::new().close_timeout(Duration::from_millis(50));
        let (client, _server) = pair_with(ListenOptions::new(), dial);
        let reading = thread::spawn({
            let client = client.clone();
            move || client.read().unwrap_err()
        });
        let writing = thread::spawn({
            let client = client.clone();
            move || client.write_binary(&vec![0; 64 << 20]).unwrap_err()
        });
        // Nobody reads at the other end, so that Close cannot get there.
        let _ = client.close(CloseCode::Normal, "");
        reading.join().unwrap();
        writing.join().unwrap();
    });
}

#[test]
fn a_read_that_times_out_loses_nothing() {
    bounded(|| {
        let (client, server) = pair();
        let data = vec![9; 3 << 20];
        let writing = thread::spawn({
            let data = data.clone();
            move || server.write_binary(&data).map(|()| server)
        });
        let message = loop {
            match client.read_within(Duration::ZERO) {
                Ok(message) => break message,
                Err(Error::TimedOut { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        };
        assert!(message.as_bytes() == data);
        writing.join().unwrap().unwrap();
    });
}

#[test]
fn decrypted_bytes_that_wait_inside_are_told() {
    bounded(|| {
        let (client, server) = pair();
        for _ in 0..3 {
            server
                .write_more(MessageKind::Text, b"one of three", Duration::from_secs(9))
                .unwrap();
        }
        server.flush(Duration::from_secs(9)).unwrap();
        client.read().unwrap();
        assert!(client.pending().read);
        client.read_within(Duration::ZERO).unwrap();
        client.read_within(Duration::ZERO).unwrap();
        assert!(!client.pending().read);
    });
}
