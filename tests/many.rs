//! As many connections as the system allows, up to ten thousand, with one thread. A test of its own,
//! since the descriptors are those of the whole process.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use support::bounded;
use support::raw_peer::{CLOSE, FINAL, RawPeer, TEXT, frame, reset};
use talkws::{CloseCode, Connection, Error, Handler, Message};

const MOST: usize = 10_000;

#[derive(Default)]
struct Echo {
    open: AtomicUsize,
    lost: AtomicUsize,
}

impl Handler for Echo {
    type State = ();

    fn open(&self, _: &Connection) {
        self.open.fetch_add(1, Ordering::SeqCst);
    }

    fn message(&self, ws: &Connection, _: &mut (), message: &Message) {
        ws.write(message).unwrap();
    }

    fn closed(&self, _: &Connection, _: (), end: &Error) {
        if !matches!(end, Error::Closed(_)) {
            self.lost.fetch_add(1, Ordering::SeqCst);
        }
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// How many connections fit, of which both ends are in this process.
fn room() -> usize {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: it writes to the structure, which lives.
    let got = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    assert_eq!(got, 0);
    limit.rlim_cur = limit.rlim_max.min(3 * MOST as libc::rlim_t);
    // SAFETY: it reads the structure.
    let set = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
    assert_eq!(set, 0);
    MOST.min((limit.rlim_cur as usize).saturating_sub(200) / 2)
}

fn descriptors() -> usize {
    std::fs::read_dir("/dev/fd").unwrap().count()
}

#[test]
fn thousands_of_connections_are_served_by_one_thread() {
    bounded(|| {
        let count = room();
        println!("{count} connections");
        let before = descriptors();
        let listener = talkws::listen("ws://127.0.0.1:0").unwrap();
        let (server, echo) = (listener.clone(), Echo::default());
        let (echo, done) = (&echo, &listener);
        thread::scope(|scope| {
            let serving = scope.spawn(move || server.serve(echo, 1).unwrap());
            let mut peers: Vec<_> = (0..count)
                .map(|_| RawPeer::client_at(done.local_addr()))
                .collect();
            while echo.open.load(Ordering::SeqCst) < count {
                thread::yield_now();
            }
            for (number, peer) in peers.iter_mut().enumerate() {
                peer.send_frame(FINAL | TEXT, number.to_string().as_bytes());
            }
            for (number, peer) in peers.iter_mut().enumerate() {
                let answer = peer.read_frame();
                assert_eq!(answer, (FINAL | TEXT, number.to_string().into_bytes()));
            }
            let resets = peers.split_off(count / 2).into_iter();
            resets.for_each(|peer| reset(peer.stream));
            let goodbye = frame(FINAL | CLOSE, &1000_u16.to_be_bytes(), true);
            for peer in &mut peers {
                peer.stream.write_all(&goodbye).unwrap();
            }
            for peer in peers {
                end_of(peer.stream);
            }
            while echo.open.load(Ordering::SeqCst) > 0 {
                thread::yield_now();
            }
            assert_eq!(echo.lost.load(Ordering::SeqCst), count - count / 2);
            done.shutdown(CloseCode::Away, "", Duration::ZERO).unwrap();
            serving.join().unwrap();
        });
        drop(listener);
        assert_eq!(descriptors(), before);
    });
}

fn end_of(mut stream: TcpStream) {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
}
