//! Serving by events: what a handler is told, what it may do, and what becomes of everybody else.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use support::bounded;
use support::raw_peer::{BINARY, CLOSE, FINAL, PING, PONG, REQUEST, RawPeer, TEXT, reset};
use talkws::{
    CloseCode, Connection, Deadline, DialOptions, Error, Handler, ListenOptions, Listener, Message,
    MessageKind, Request, ServeReport, UpgradeOptions,
};

/// What a handler was told.
#[derive(Debug)]
enum Told {
    Request(Box<Request>),
    Open(Connection),
    Message(Message),
    Closed(Error),
}

/// Does what its messages say, and sends back those that say nothing.
struct Program {
    told: Sender<Told>,
    others: Mutex<Vec<Connection>>,
    /// Shut while the test holds it.
    gate: Arc<Mutex<()>>,
}

/// Counts the messages of its connection.
type State = usize;

impl Program {
    fn tell(&self, told: Told) {
        // A test that has seen enough listens no more.
        let _ = self.told.send(told);
    }
}

impl Handler for Program {
    type State = State;

    fn request(&self, request: Request) -> talkws::Result<Option<Connection>> {
        match request.path() {
            "/keep" => self.tell(Told::Request(Box::new(request))),
            "/page" => request.refuse(200, "a page\n")?,
            "/panic" => panic!("at a request, as the test wants it"),
            _ => return request.upgrade(UpgradeOptions::new()).map(Some),
        }
        Ok(None)
    }

    fn open(&self, ws: &Connection) -> State {
        assert!(ws.request().path() != "/panic-open", "as the test wants it");
        self.others.lock().unwrap().push(ws.clone());
        self.tell(Told::Open(ws.clone()));
        0
    }

    fn message(&self, ws: &Connection, state: &mut State, message: &Message) {
        *state += 1;
        let others = || {
            let mut others = self.others.lock().unwrap().clone();
            others.retain(Connection::is_open);
            others
        };
        match message.as_text() {
            Some("count") => ws.write_text(&state.to_string()).unwrap(),
            Some("panic") => panic!("at a message, as the test wants it"),
            Some("wait") => {
                self.tell(Told::Message(message.clone()));
                drop(self.gate.lock().unwrap());
            }
            Some("big") => ws.write_binary(&vec![1; 300_000]).unwrap(),
            Some("close") => ws.close(CloseCode::Normal, "as you said").unwrap(),
            Some("close all") => others()
                .iter()
                .for_each(|other| other.close(CloseCode::Away, "").unwrap()),
            Some("abort all") => others().iter().for_each(Connection::abort),
            Some("all") => others()
                .iter()
                .for_each(|other| other.write_text("to all").unwrap()),
            Some("read") => {
                let error = ws.read().unwrap_err();
                assert!(matches!(error, Error::InvalidState(_)), "{error:?}");
                let error = ws.wait_end(1, Deadline::NEVER).unwrap_err();
                assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
                ws.write_text("read").unwrap();
            }
            _ => {
                self.tell(Told::Message(message.clone()));
                let _ = ws.write(message);
            }
        }
    }

    fn closed(&self, ws: &Connection, _: State, end: &Error) {
        assert_eq!(ws.end().as_ref().map(Error::status), Some(end.status()));
        self.tell(Told::Closed(end.clone()));
    }
}

/// Wants to know nothing.
struct Nothing;

impl Handler for Nothing {
    type State = ();

    fn open(&self, _: &Connection) {}

    fn message(&self, _: &Connection, _: &mut (), _: &Message) {}
}

/// A program that is served.
struct Serving {
    listener: Listener,
    told: Receiver<Told>,
    gate: Arc<Mutex<()>>,
    serving: thread::JoinHandle<talkws::Result<ServeReport>>,
}

impl Serving {
    fn new(threads: usize) -> Self {
        Self::of(&ListenOptions::new(), threads)
    }

    fn of(options: &ListenOptions, threads: usize) -> Self {
        let listener = options.listen("ws://127.0.0.1:0").unwrap();
        let (told, hears) = channel();
        let server = listener.clone();
        let gate = Arc::default();
        let program = Program {
            told,
            others: Mutex::default(),
            gate: Arc::clone(&gate),
        };
        let serving = thread::spawn(move || server.serve(&program, threads));
        Serving {
            listener,
            told: hears,
            gate,
            serving,
        }
    }

    fn peer(&self) -> RawPeer {
        RawPeer::client_at(self.listener.local_addr())
    }

    /// A peer, and the server's end.
    fn pair(&self) -> (RawPeer, Connection) {
        let peer = self.peer();
        (peer, self.opened())
    }

    fn opened(&self) -> Connection {
        match self.told.recv().unwrap() {
            Told::Open(ws) => ws,
            told => panic!("{told:?}"),
        }
    }

    fn closed(&self) -> Error {
        match self.told.recv().unwrap() {
            Told::Closed(error) => error,
            told => panic!("{told:?}"),
        }
    }

    fn end(self) -> ServeReport {
        self.listener
            .shutdown(CloseCode::Away, "", Duration::ZERO)
            .unwrap();
        self.serving.join().unwrap().unwrap()
    }
}

fn answer(peer: &mut RawPeer, text: &str) -> String {
    peer.send_frame(FINAL | TEXT, text.as_bytes());
    let (first, payload) = peer.read_frame();
    assert_eq!(first, FINAL | TEXT);
    String::from_utf8(payload).unwrap()
}

#[test]
fn a_handler_is_told_what_happens_in_order_and_once() {
    bounded(|| {
        let serving = Serving::new(2);
        let (mut peer, ws) = serving.pair();
        assert_eq!(answer(&mut peer, "hello"), "hello");
        assert_eq!(answer(&mut peer, "count"), "2");
        let Told::Message(message) = serving.told.recv().unwrap() else {
            panic!("not a message");
        };
        assert_eq!(message.as_text(), Some("hello"));
        peer.send_frame(
            FINAL | CLOSE,
            &[&4000_u16.to_be_bytes()[..], b"bye"].concat(),
        );
        assert_eq!(peer.read_close(), Some(4000));
        let Error::Closed(info) = serving.closed() else {
            panic!("not closed");
        };
        assert_eq!((info.code, &*info.reason), (CloseCode::from(4000), "bye"));
        assert!(!ws.is_open());
        serving.listener.close();
        // Nobody is left.
        let report = serving.serving.join().unwrap().unwrap();
        assert_eq!(report, ServeReport::default());
        assert!(serving.told.recv().is_err());
    });
}

#[test]
fn messages_of_all_sizes_are_echoed_whole() {
    bounded(|| {
        let serving = Serving::new(1);
        let ws = talkws::dial(serving.listener.url()).unwrap();
        let sizes = [0, 1, 125, 126, 16_383, 65_535, 65_536, 1_000_000, 9_000_000];
        for size in sizes {
            let data: Vec<u8> = (0..size).map(|index| (index * 7 % 251) as u8).collect();
            ws.write_binary(&data).unwrap();
            assert_eq!(ws.read().unwrap().as_bytes(), data);
        }
        ws.close(CloseCode::Normal, "").unwrap();
        serving.end();
    });
}

#[test]
fn messages_divided_anywhere_are_the_same() {
    bounded(|| {
        let serving = Serving::new(1);
        let (mut peer, _) = serving.pair();
        let bytes = [
            peer.frame(TEXT, b"in "),
            peer.frame(FINAL | PING, b"between"),
            peer.frame(FINAL, b"parts"),
        ]
        .concat();
        for cut in 1..bytes.len() {
            peer.send(&bytes[..cut]);
            peer.send(&bytes[cut..]);
            assert_eq!(peer.read_frame(), (FINAL | PONG, b"between".to_vec()));
            assert_eq!(peer.read_frame(), (FINAL | TEXT, b"in parts".to_vec()));
        }
        serving.end();
    });
}

#[test]
fn answers_to_what_came_together_leave_together() {
    bounded(|| {
        let serving = Serving::new(1);
        let (mut peer, _) = serving.pair();
        let bytes = peer.frame(FINAL | BINARY, &[7; 64]).repeat(100);
        for _ in 0..20 {
            peer.send(&bytes);
            // In one piece: a second system call could not have been done yet.
            let mut answer = vec![0; 100 * 66];
            assert_eq!(peer.stream.read(&mut answer).unwrap(), answer.len());
        }
        serving.end();
    });
}

#[test]
fn requests_are_refused_kept_and_answered_later() {
    bounded(|| {
        let options = ListenOptions::new().plain_requests(true);
        let serving = Serving::of(&options, 2);
        let mut stream = TcpStream::connect(serving.listener.local_addr()).unwrap();
        stream
            .write_all(b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.ends_with("\r\n\r\na page\n"));
        // Asked for an upgrade all the same.
        let url = serving.listener.url().to_owned();
        let refused = talkws::dial(&format!("{url}/page")).unwrap_err();
        assert_eq!(refused.http_status(), Some(200));
        let panicked = talkws::dial(&format!("{url}/panic")).unwrap_err();
        assert_eq!(panicked.http_status(), Some(503));

        let client = thread::spawn(move || talkws::dial(&format!("{url}/keep")).unwrap());
        let Told::Request(request) = serving.told.recv().unwrap() else {
            panic!("not a request");
        };
        let ws = request.upgrade(UpgradeOptions::new()).unwrap();
        serving.listener.add(ws.clone()).unwrap();
        let again = serving.opened();
        assert!(matches!(
            serving.listener.add(again),
            Err(Error::InvalidState(_))
        ));
        let client = client.join().unwrap();
        client.write_text("kept").unwrap();
        assert_eq!(client.read().unwrap().as_text(), Some("kept"));
        serving.end();
    });
}

#[test]
fn a_client_of_ours_may_be_served_too() {
    bounded(|| {
        let serving = Serving::new(1);
        let (mut server, client) = RawPeer::server();
        // Not while another thread reads it.
        static READS: AtomicBool = AtomicBool::new(false);
        static IS_OVER: AtomicBool = AtomicBool::new(false);
        let until_over = Deadline::NEVER.interrupted_by(|| {
            READS.store(true, Ordering::SeqCst);
            IS_OVER.load(Ordering::SeqCst)
        });
        let reader = client.clone();
        let reading = thread::spawn(move || reader.read_within(until_over));
        while !READS.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        let error = serving.listener.add(client.clone()).unwrap_err();
        assert!(matches!(error, Error::InvalidState(_)), "{error:?}");
        IS_OVER.store(true, Ordering::SeqCst);
        let read = reading.join().unwrap();
        assert!(matches!(read, Err(Error::Interrupted { .. })));
        serving.listener.add(client.clone()).unwrap();
        serving.opened();
        server.send_frame(FINAL | TEXT, b"count");
        assert_eq!(server.read_frame(), (FINAL | TEXT, b"1".to_vec()));
        serving.end();
    });
}

#[test]
fn other_threads_write_and_close() {
    bounded(|| {
        let serving = Serving::new(1);
        let (mut peer, ws) = serving.pair();
        let writers: Vec<_> = (0..4)
            .map(|_| {
                let ws = ws.clone();
                thread::spawn(move || (0..100).for_each(|_| ws.write_binary(&[1; 1000]).unwrap()))
            })
            .collect();
        for _ in 0..400 {
            assert_eq!(peer.read_frame(), (FINAL | BINARY, vec![1; 1000]));
        }
        writers
            .into_iter()
            .for_each(|writer| writer.join().unwrap());
        let ping = ws.ping(b"there?").unwrap();
        assert_eq!(peer.read_frame(), (FINAL | PING, b"there?".to_vec()));
        peer.send_frame(FINAL | PONG, b"there?");
        ws.wait_pong(ping, 1, Deadline::NEVER).unwrap();
        let closing = thread::spawn(move || ws.close(CloseCode::Normal, "enough"));
        assert_eq!(peer.read_close(), Some(1000));
        assert!(!closing.is_finished());
        peer.send_frame(FINAL | CLOSE, &1000_u16.to_be_bytes());
        closing.join().unwrap().unwrap();
        assert!(matches!(serving.closed(), Error::Closed(_)));
        serving.end();
    });
}

#[test]
fn who_does_not_read_holds_up_nobody_but_its_writers() {
    bounded(|| {
        let serving = Serving::new(1);
        let (mut slow, ws) = serving.pair();
        let (mut other, _) = serving.pair();
        let writer = ws.clone();
        let writer = thread::spawn(move || {
            for number in 0..64_u8 {
                writer.write_binary(&vec![number; 200_000]).unwrap();
            }
        });
        // Who must not wait is told when there is no room.
        let now = Duration::ZERO;
        let mut more = 0;
        loop {
            match ws.write_data(MessageKind::Binary, &[64; 200_000], now) {
                Ok(()) => more += 1,
                Err(Error::TimedOut { .. }) => break,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(matches!(ws.flush(now), Err(Error::TimedOut { .. })));
        for _ in 0..100 {
            assert_eq!(answer(&mut other, "still there"), "still there");
        }
        let mut numbers = 0..64_u8;
        for _ in 0..64 + more {
            let (_, payload) = slow.read_frame();
            if payload[0] != 64 {
                assert_eq!(Some(payload[0]), numbers.next());
            }
            assert_eq!(payload, vec![payload[0]; 200_000]);
        }
        assert_eq!(numbers.next(), None);
        writer.join().unwrap();
        ws.flush(Deadline::NEVER).unwrap();
        serving.end();
    });
}

#[test]
fn a_handler_writes_to_who_does_not_read_without_waiting() {
    bounded(|| {
        let serving = Serving::new(1);
        let (mut slow, ws) = serving.pair();
        let message = vec![9; 1_000_000];
        let frame = slow.frame(FINAL | BINARY, &message);
        let mut sending = slow.stream.try_clone().unwrap();
        let sender = thread::spawn(move || sending.write_all(&frame.repeat(16)).unwrap());
        // Answers are kept up to the limit; then no more is read, and nothing is lost.
        while !ws.backlog().is_full {
            thread::yield_now();
        }
        let (mut other, _) = serving.pair_after_messages();
        assert_eq!(answer(&mut other, "still there"), "still there");
        for _ in 0..16 {
            assert_eq!(slow.read_frame(), (FINAL | BINARY, message.clone()));
        }
        sender.join().unwrap();
        serving.end();
    });
}

impl Serving {
    /// A peer, and the server's end, of which is told after what others have sent.
    fn pair_after_messages(&self) -> (RawPeer, Connection) {
        let peer = self.peer();
        loop {
            match self.told.recv().unwrap() {
                Told::Open(ws) => return (peer, ws),
                Told::Message(_) => {}
                told => panic!("{told:?}"),
            }
        }
    }
}

#[test]
fn a_handler_closes_itself_and_others() {
    bounded(|| {
        for threads in [1, 3] {
            let serving = Serving::new(threads);
            let (mut peer, _) = serving.pair();
            peer.send_frame(FINAL | TEXT, b"close");
            assert_eq!(peer.read_close(), Some(1000));
            // What still comes is dropped.
            peer.send_frame(FINAL | TEXT, b"dropped");
            peer.send_frame(FINAL | CLOSE, &1000_u16.to_be_bytes());
            assert!(matches!(serving.closed(), Error::Closed(_)));
            peer.read_to_end();

            let mut pairs: Vec<_> = (0..5).map(|_| serving.pair()).collect();
            assert_eq!(answer(&mut pairs[0].0, "all"), "to all");
            for (peer, _) in &mut pairs[1..] {
                assert_eq!(peer.read_frame(), (FINAL | TEXT, b"to all".to_vec()));
            }
            pairs[0].0.send_frame(FINAL | TEXT, b"close all");
            for (peer, _) in &mut pairs {
                assert_eq!(peer.read_close(), Some(1001));
                peer.send_frame(FINAL | CLOSE, &1001_u16.to_be_bytes());
                assert!(matches!(serving.closed(), Error::Closed(_)));
            }
            let mut pairs: Vec<_> = (0..5).map(|_| serving.pair()).collect();
            pairs[0].0.send_frame(FINAL | TEXT, b"abort all");
            for (peer, _) in &mut pairs {
                peer.read_to_end();
                assert!(matches!(serving.closed(), Error::Aborted { .. }));
            }
            serving.end();
        }
    });
}

#[test]
fn a_panic_ends_its_own_connection() {
    bounded(|| {
        let serving = Serving::new(1);
        let (mut other, _) = serving.pair();
        let (mut peer, _) = serving.pair();
        peer.send_frame(FINAL | TEXT, b"panic");
        assert_eq!(peer.read_close(), Some(1011));
        peer.send_frame(FINAL | CLOSE, &1011_u16.to_be_bytes());
        assert!(matches!(serving.closed(), Error::Closed(_)));
        let url = format!("{}/panic-open", serving.listener.url());
        let client = talkws::dial(&url).unwrap();
        let Err(Error::Closed(info)) = client.read() else {
            panic!("not closed");
        };
        assert_eq!(info.code, CloseCode::Error);
        assert_eq!(answer(&mut other, "hello"), "hello");
        serving.end();
    });
}

#[test]
fn nobody_reads_what_a_loop_reads() {
    bounded(|| {
        let serving = Serving::new(1);
        let (mut peer, ws) = serving.pair();
        assert_eq!(answer(&mut peer, "read"), "read");
        assert!(matches!(ws.read(), Err(Error::InvalidState(_))));
        let some = ws.read_some(&mut [0], Deadline::NEVER);
        assert!(matches!(some, Err(Error::InvalidState(_))));
        let accepted = serving.listener.accept();
        assert!(matches!(accepted, Err(Error::InvalidState(_))));
        let again = serving.listener.serve(&Nothing, 1);
        assert!(matches!(again, Err(Error::InvalidState(_))));
        let none = serving.listener.serve(&Nothing, 0);
        assert!(matches!(none, Err(Error::InvalidArgument(_))));
        serving.end();
        let nobody = talkws::listen("ws://127.0.0.1:0").unwrap();
        let nobody = nobody.shutdown(CloseCode::Away, "", Duration::ZERO);
        assert!(matches!(nobody, Err(Error::InvalidState(_))));
    });
}

#[test]
fn who_breaks_the_protocol_reads_why() {
    bounded(|| {
        let serving = Serving::of(&ListenOptions::new().max_message_size(1000), 1);
        let violations: [(Vec<u8>, u16); 3] = [
            (
                support::raw_peer::frame(FINAL | TEXT, b"unmasked", false),
                1002,
            ),
            (support::raw_peer::frame(FINAL | TEXT, b"\xFF", true), 1007),
            (
                support::raw_peer::frame(FINAL | BINARY, &[0; 2000], true),
                1009,
            ),
        ];
        for (bytes, code) in violations {
            let (mut peer, ws) = serving.pair();
            peer.send(&bytes);
            // More than anybody takes, which must not reset the connection before it is read.
            let _ = peer.stream.write_all(&[0; 100_000]);
            assert_eq!(peer.read_close(), Some(code));
            let error = serving.closed();
            assert_eq!(error.close_code(), Some(CloseCode::from(code)));
            assert!(ws.write_text("late").is_err());
        }
        serving.end();
    });
}

#[test]
fn who_breaks_the_protocol_is_not_reset_when_nobody_keeps_the_connection() {
    bounded(|| {
        let listener = talkws::listen("ws://127.0.0.1:0").unwrap();
        let server = listener.clone();
        let serving = thread::spawn(move || server.serve(&Nothing, 1));
        for _ in 0..20 {
            let mut peer = RawPeer::client_at(listener.local_addr());
            let unmasked = support::raw_peer::frame(FINAL | TEXT, b"unmasked", false);
            peer.send(&[&unmasked[..], &[0; 300_000]].concat());
            assert_eq!(peer.read_close(), Some(1002));
            peer.half_close();
            peer.read_to_end();
        }
        listener
            .shutdown(CloseCode::Away, "", Duration::ZERO)
            .unwrap();
        serving.join().unwrap().unwrap();
    });
}

#[test]
fn reading_goes_on_when_the_answers_have_left() {
    bounded(|| {
        let serving = Serving::new(1);
        let (mut peer, ws) = serving.pair();
        // All of them come at once, and of the later ones nothing tells any more.
        let questions = peer.frame(FINAL | TEXT, b"big").repeat(40);
        peer.send(&questions);
        while !ws.backlog().is_full {
            thread::yield_now();
        }
        for _ in 0..40 {
            assert_eq!(peer.read_frame(), (FINAL | BINARY, vec![1; 300_000]));
        }
        serving.end();
    });
}

#[test]
fn an_end_that_comes_with_the_last_message_is_noticed() {
    bounded(|| {
        let serving = Serving::new(1);
        let (mut busy, _) = serving.pair();
        let (mut peer, _) = serving.pair();
        // The loop hears of both at once.
        let gate = serving.gate.clone();
        let shut = gate.lock().unwrap();
        busy.send_frame(FINAL | TEXT, b"wait");
        assert!(matches!(serving.told.recv(), Ok(Told::Message(_))));
        peer.send_frame(FINAL | TEXT, b"last");
        peer.half_close();
        drop(shut);
        assert!(matches!(serving.told.recv(), Ok(Told::Message(_))));
        assert!(matches!(serving.closed(), Error::ConnectionLost { .. }));
        serving.end();
    });
}

#[test]
fn who_is_closed_and_breaks_the_protocol_at_once_is_not_forgotten() {
    bounded(|| {
        let serving = Serving::new(1);
        for _ in 0..10 {
            let (mut peer, _) = serving.pair();
            let close = peer.frame(FINAL | TEXT, b"close");
            let unmasked = support::raw_peer::frame(FINAL | TEXT, b"unmasked", false);
            peer.send(&[close, unmasked].concat());
            assert_eq!(peer.read_close(), Some(1000));
            serving.closed();
            peer.half_close();
            peer.read_to_end();
        }
        // It returns when nobody is left.
        serving.listener.close();
        serving.serving.join().unwrap().unwrap();
    });
}

#[test]
fn resets_and_ends_are_told_in_every_state() {
    bounded(|| {
        let serving = Serving::new(1);
        let (peer, _) = serving.pair();
        peer.reset();
        assert!(matches!(serving.closed(), Error::ConnectionLost { .. }));
        let (mut peer, _) = serving.pair();
        peer.send(&[FINAL | TEXT, 0x85, 1]);
        peer.half_close();
        assert!(matches!(serving.closed(), Error::ConnectionLost { .. }));
        peer.read_to_end();
        let (mut peer, _) = serving.pair();
        peer.send_frame(FINAL | TEXT, b"close");
        peer.reset();
        assert!(matches!(serving.closed(), Error::ConnectionLost { .. }));
        // In the middle of a request, and before it.
        for request in [&REQUEST[..40], b""] {
            let mut stream = TcpStream::connect(serving.listener.local_addr()).unwrap();
            stream.write_all(request).unwrap();
            reset(stream);
        }
        let (mut peer, _) = serving.pair();
        assert_eq!(answer(&mut peer, "hello"), "hello");
        serving.end();
    });
}

#[test]
fn a_peer_that_does_not_answer_a_close_is_given_up() {
    bounded(|| {
        let options = ListenOptions::new().close_timeout(Duration::from_millis(20));
        let serving = Serving::of(&options, 1);
        let (mut peer, _) = serving.pair();
        peer.send_frame(FINAL | TEXT, b"close");
        let error = serving.closed();
        assert!(matches!(error, Error::ConnectionLost { .. }), "{error:?}");
        peer.read_to_end();
        let (_peer, ws) = serving.pair();
        let error = ws.close(CloseCode::Normal, "").unwrap_err();
        assert!(matches!(error, Error::ConnectionLost { .. }), "{error:?}");
        serving.closed();
        serving.end();
    });
}

#[test]
fn a_shutdown_tells_who_did_not_answer() {
    bounded(|| {
        let serving = Serving::new(2);
        let mut answering: Vec<_> = (0..3).map(|_| serving.pair()).collect();
        let mut silent: Vec<_> = (0..2).map(|_| serving.pair()).collect();
        let timeout = Duration::from_millis(200);
        let listener = &serving.listener;
        listener
            .shutdown(CloseCode::Away, "maintenance", timeout)
            .unwrap();
        for (peer, _) in &mut answering {
            assert_eq!(peer.read_close(), Some(1001));
            peer.send_frame(FINAL | CLOSE, &1001_u16.to_be_bytes());
        }
        let report = serving.serving.join().unwrap().unwrap();
        assert_eq!((report.closed, report.unanswered), (3, 2));
        for (peer, _) in &mut silent {
            assert_eq!(peer.read_close(), Some(1001));
            peer.read_to_end();
        }
        let refused = TcpStream::connect(listener.local_addr());
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_deadline_and_an_interruption_shut_down() {
    bounded(|| {
        let listener = talkws::listen("ws://127.0.0.1:0").unwrap();
        let error = listener.serve_within(&Nothing, 2, Duration::from_millis(1));
        assert!(matches!(error, Err(Error::TimedOut { .. })), "{error:?}");
        let listener = talkws::listen("ws://127.0.0.1:0").unwrap();
        let interrupted = Deadline::NEVER.interrupted_by(|| true);
        let error = listener.serve_within(&Nothing, 1, interrupted);
        assert!(matches!(error, Err(Error::Interrupted { .. })), "{error:?}");
        let error = listener.serve(&Nothing, 1);
        assert!(matches!(error, Err(Error::Aborted { .. })), "{error:?}");
    });
}

#[test]
fn slow_requests_hold_up_nobody_and_end() {
    bounded(|| {
        let options = ListenOptions::new()
            .handshake_timeout(Duration::from_millis(100))
            .max_pending(64);
        let serving = Serving::of(&options, 2);
        let address = serving.listener.local_addr();
        let mut stalled: Vec<_> = (0..100)
            .map(|_| {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.write_all(&REQUEST[..20]).unwrap();
                stream
            })
            .collect();
        let (mut peer, _) = serving.pair();
        assert_eq!(answer(&mut peer, "hello"), "hello");
        let mut answers = Vec::new();
        for stream in &mut stalled {
            let mut answer = Vec::new();
            // Those that were too many are gone without one.
            let _ = stream.read_to_end(&mut answer);
            answers.push(answer.starts_with(b"HTTP/1.1 408 "));
        }
        let told = answers.iter().filter(|&&is_told| is_told).count();
        assert!((1..=64).contains(&told), "{told}");
        serving.end();
    });
}

#[test]
fn clients_are_divided_evenly() {
    struct Threads(Mutex<Vec<thread::ThreadId>>);
    impl Handler for Threads {
        type State = ();
        fn open(&self, _: &Connection) {
            self.0.lock().unwrap().push(thread::current().id());
        }
        fn message(&self, _: &Connection, _: &mut (), _: &Message) {}
    }
    bounded(|| {
        let listener = talkws::listen("ws://127.0.0.1:0").unwrap();
        let server = listener.clone();
        let serving = thread::spawn(move || {
            let threads = Threads(Mutex::default());
            server.serve(&threads, 4).unwrap();
            threads.0.into_inner().unwrap()
        });
        let _peers: Vec<_> = (0..40)
            .map(|_| RawPeer::client_at(listener.local_addr()))
            .collect();
        listener
            .shutdown(CloseCode::Away, "", Duration::ZERO)
            .unwrap();
        let threads = serving.join().unwrap();
        for thread in &threads {
            let its = threads.iter().filter(|other| *other == thread).count();
            assert_eq!(its, 10);
        }
    });
}

#[test]
fn silence_is_noticed_where_nobody_calls_read() {
    bounded(|| {
        let short = Duration::from_millis(10);
        let serving = Serving::of(&ListenOptions::new().keepalive(short, short), 1);
        let (mut peer, _) = serving.pair();
        assert_eq!(peer.read_frame().0, FINAL | PING);
        let error = serving.closed();
        assert!(matches!(error, Error::ConnectionLost { .. }), "{error:?}");
        serving.end();
    });
}

#[test]
fn many_clients_talk_at_once() {
    bounded(|| {
        let serving = Serving::new(3);
        let url = serving.listener.url();
        let dial = DialOptions::new();
        thread::scope(|scope| {
            for client in 0..8 {
                let (dial, url) = (&dial, url);
                scope.spawn(move || {
                    let peers: Vec<_> = (0..20).map(|_| dial.dial(url).unwrap()).collect();
                    for round in 0..20 {
                        for (number, ws) in peers.iter().enumerate() {
                            let text = format!("{client} {round} {number}").repeat(number * 50 + 1);
                            ws.write_text(&text).unwrap();
                            assert_eq!(ws.read().unwrap().as_text(), Some(&*text));
                        }
                    }
                    for ws in peers {
                        ws.close(CloseCode::Normal, "").unwrap();
                    }
                });
            }
        });
        serving.end();
    });
}
