//! Listening, accepting in two steps, upgrading and refusing: against clients of every manner.

#[path = "support/http_peer.rs"]
mod http_peer;
mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use http_peer::{Answer, Ask, client, dribble, get};
use socket2::{Domain, Socket, Type};
use support::bounded;
use support::raw_peer::{BINARY, FINAL, TEXT, frame, reset};
use talkws::{
    CloseCode, Connection, Deadline, DialOptions, Error, ListenOptions, Listener, OriginRule,
    Request, UpgradeOptions, listen,
};

/// Long enough that no test sees it pass: who waits for it, hangs.
const AGES: Duration = Duration::from_secs(3600);

/// A listener whose clients have all the time they want.
fn patient() -> ListenOptions {
    ListenOptions::new().handshake_timeout(AGES)
}

fn here(options: &ListenOptions) -> Listener {
    options.listen("ws://127.0.0.1:0").unwrap()
}

/// Takes every handshake as far as what the clients have sent allows, without waiting. There
/// must be nobody to accept.
fn drive(listener: &Listener) {
    let error = listener.accept_within(Duration::ZERO).unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
}

/// Lets the time of clients run out. Nothing is waited for: only the clock matters.
fn let_pass(time: Duration) {
    thread::sleep(time);
}

/// The answer to a request that `accept` deals with by itself.
fn refused_by(options: &ListenOptions, url: &str, request: impl AsRef<[u8]>) -> Answer {
    let listener = options.listen(url).unwrap();
    let accepting = thread::spawn({
        let listener = listener.clone();
        // One that is let through is answered too, so that the test fails and does not hang.
        move || listener.accept().map(drop)
    });
    let answer = Answer::whole(&client(listener.local_addr(), request));
    listener.close();
    let error = accepting.join().unwrap().unwrap_err();
    assert!(matches!(error, Error::Aborted { .. }), "{error}");
    assert!(
        answer.head.header("Connection").unwrap().contains("close"),
        "{answer:?}"
    );
    answer
}

fn refused(request: impl AsRef<[u8]>) -> Answer {
    refused_by(&patient(), "ws://127.0.0.1:0", request)
}

/// Asks, and gives what the program gets to see.
fn accepted(listener: &Listener, ask: &Ask) -> (TcpStream, Request) {
    let stream = client(listener.local_addr(), ask.bytes());
    (stream, listener.accept().unwrap())
}

/// Asks and upgrades, and gives what the client was told.
fn upgraded(options: &ListenOptions, ask: &Ask, upgrade: UpgradeOptions) -> (Answer, Connection) {
    let (stream, request) = accepted(&here(options), ask);
    let connection = request.upgrade(upgrade).unwrap();
    let answer = Answer::head(&stream);
    assert_eq!(
        (answer.status, answer.head.header("Sec-WebSocket-Accept")),
        (101, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
    );
    (answer, connection)
}

/// Accepts in the background until the listener is closed, and that is when this is dropped.
struct Serving {
    listener: Listener,
    thread: Option<JoinHandle<()>>,
}

impl Serving {
    fn new(listener: Listener, mut serve: impl FnMut(Request) + Send + 'static) -> Self {
        let thread = thread::spawn({
            let listener = listener.clone();
            move || {
                while let Ok(request) = listener.accept() {
                    serve(request);
                }
            }
        });
        Serving {
            listener,
            thread: Some(thread),
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.listener.close();
        let _ = self.thread.take().unwrap().join();
    }
}

/// A socket at the address, which is free then, that does not listen.
fn occupy(address: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket
}

/// Runs a test in a process that it shares with no other test.
fn in_a_process_of_its_own(test: &'static str, body: impl FnOnce() + Send + 'static) {
    const ALONE: &str = "TALKWS_TEST_IS_ALONE";
    bounded(move || {
        if std::env::var_os(ALONE).is_some() {
            return body();
        }
        let output = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture"])
            .env(ALONE, "yes")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
    });
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/dev/fd").unwrap().count()
}

/// Opens files until the process may not open another one.
fn take_all_descriptors() -> Vec<File> {
    let limit = libc::rlimit {
        rlim_cur: 100,
        rlim_max: 100,
    };
    // SAFETY: the pointer is to a live value of the type that the call reads.
    let result = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
    assert_eq!(result, 0);
    let files: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(!files.is_empty());
    files
}

/// The time that this process has spent computing, in itself and in the system.
fn cpu_time() -> Duration {
    // SAFETY: all zeros is a valid value of this struct of numbers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live value of the type that the call writes.
    let result = unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    assert_eq!(result, 0);
    let span = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    span(usage.ru_utime) + span(usage.ru_stime)
}

// Addresses, URLs and routes

#[test]
fn port_0_takes_a_free_port_that_the_url_names() {
    bounded(|| {
        let listener = listen("ws://127.0.0.1:0/chat").unwrap();
        let address = listener.local_addr();
        assert_ne!(address.port(), 0);
        assert_eq!(
            listener.url(),
            format!("ws://127.0.0.1:{}/chat", address.port())
        );
        let url = listener.url().to_owned();
        let dialling = thread::spawn(move || talkws::dial(&url).unwrap());
        let server = listener.accept().unwrap().upgrade(UpgradeOptions::new());
        assert_eq!(server.unwrap().local_addr(), Some(address));
        assert_eq!(dialling.join().unwrap().peer_addr(), Some(address));
    });
}

#[test]
fn an_ipv6_address_is_bracketed_in_the_url() {
    bounded(|| {
        if TcpStream::connect("[::1]:9")
            .is_err_and(|error| error.kind() != std::io::ErrorKind::ConnectionRefused)
        {
            println!("skipped: there is no IPv6 here");
            return;
        }
        let listener = listen("ws://[::1]:0/chat").unwrap();
        let port = listener.local_addr().port();
        assert_eq!(listener.url(), format!("ws://[::1]:{port}/chat"));
        let (_, request) = accepted(&listener, &get("/chat"));
        assert!(request.peer_addr().unwrap().is_ipv6());
    });
}

#[test]
fn localhost_is_served_at_each_of_its_addresses() {
    bounded(|| {
        let listener = listen("ws://localhost:0").unwrap();
        let port = listener.local_addr().port();
        assert_eq!(listener.url(), format!("ws://localhost:{port}"));
        for address in ("localhost", port).to_socket_addrs().unwrap() {
            let _client = client(address, get("/").bytes());
            let request = listener.accept().unwrap();
            let peer = request.peer_addr().unwrap();
            assert_eq!(peer.ip(), address.ip());
        }
    });
}

#[test]
fn what_cannot_be_listened_on_is_named() {
    let taken = occupy("127.0.0.1:0".parse().unwrap());
    taken.listen(1).unwrap();
    let port = taken.local_addr().unwrap().as_socket().unwrap().port();
    let url = format!("ws://127.0.0.1:{port}/chat");
    let error = listen(&url).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    assert!(
        error.to_string().starts_with(&format!("listen on {url} (")),
        "{error}"
    );

    // 203.0.113.0/24 is for documentation (RFC 5737): nobody has it.
    let error = listen("ws://203.0.113.1:0").unwrap_err().to_string();
    assert!(error.starts_with("listen on ws://203.0.113.1:0"), "{error}");

    let error = listen("ws://127.0.0.1:0/chat?room=1").unwrap_err();
    assert!(matches!(error, Error::InvalidUrl { .. }), "{error:?}");
}

#[test]
fn only_the_path_of_the_url_is_served() {
    bounded(|| {
        for (route, other) in [
            ("/chat", "/"),
            ("/chat", "/chat/"),
            ("/chat", "/Chat"),
            ("/chat", "/chats?/chat"),
            ("/", "/chat"),
            ("/", "/?/../chat/.."),
        ] {
            let url = format!("ws://127.0.0.1:0{route}");
            let listener = patient().listen(&url).unwrap();
            let (_, request) = accepted(&listener, &get(&format!("{route}?room=1")));
            assert_eq!((request.path(), request.query()), (route, Some("room=1")));
            if other.split('?').next() != Some(route) {
                let answer = refused_by(&patient(), &url, get(other).bytes());
                assert_eq!(answer.status, 404, "{other} at {route}");
            }
        }
    });
}

#[test]
fn a_listener_without_a_path_serves_every_path() {
    bounded(|| {
        let listener = here(&patient());
        for path in ["/", "/chat", "/a/b%20c", "/a//b"] {
            let (_, request) = accepted(&listener, &get(path));
            assert_eq!((request.path(), request.query()), (path, None));
        }
    });
}

// What is answered inside `accept`

#[test]
fn what_is_no_upgrade_to_version_13_is_told_how_to_ask() {
    bounded(|| {
        let plain = get("/").without("Connection").without("Upgrade");
        let version = |value: &str| get("/").instead(&format!("Sec-WebSocket-Version: {value}"));
        for (what, ask) in [
            ("a plain GET", plain.clone()),
            ("no Upgrade", get("/").without("Upgrade")),
            ("another Upgrade", get("/").instead("Upgrade: h2c")),
            ("no Connection", get("/").without("Connection")),
            (
                "another Connection",
                get("/").instead("Connection: keep-alive"),
            ),
            ("HTTP/1.0", Ask::line("GET / HTTP/1.0")),
            ("version 8", version("8")),
            ("version 130", version("130")),
            ("two versions", version("13, 8")),
            ("no version", get("/").without("Sec-WebSocket-Version")),
        ] {
            let answer = refused(ask.bytes());
            assert_eq!(answer.status, 426, "{what}");
            assert_eq!(answer.head.line, "HTTP/1.1 426 Upgrade Required");
            assert_eq!(answer.head.header("Upgrade"), Some("websocket"), "{what}");
            // RFC 9110, 7.8: who sends Upgrade names it in Connection.
            assert_eq!(answer.head.header("Connection"), Some("close, Upgrade"));
            assert_eq!(
                answer.head.header("Sec-WebSocket-Version"),
                Some("13"),
                "{what}"
            );
        }
    });
}

#[test]
fn other_methods_are_told_that_get_is_allowed() {
    bounded(|| {
        for method in ["POST", "HEAD", "PUT", "OPTIONS", "CONNECT", "get"] {
            let answer = refused(Ask::line(format!("{method} / HTTP/1.1")).bytes());
            assert_eq!(answer.status, 405, "{method}");
            assert_eq!(answer.head.header("Allow"), Some("GET"), "{method}");
        }
    });
}

#[test]
fn the_answer_to_head_has_no_body() {
    // RFC 9110, 9.3.2.
    bounded(|| assert_eq!(refused(Ask::line("HEAD / HTTP/1.1").bytes()).body, ""));
}

#[test]
fn malformed_requests_are_refused() {
    bounded(|| {
        let key = |value: &str| get("/").instead(&format!("Sec-WebSocket-Key: {value}"));
        let good_key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
        for (what, request) in [
            (
                "no request line",
                b"\x16\x03\x01\x02\0\x01\0\r\n\r\n".to_vec(),
            ),
            ("no version", Ask::line("GET /").bytes()),
            ("two targets", Ask::line("GET / / HTTP/1.1").bytes()),
            ("a version to come", Ask::line("GET / HTTP/2.0").bytes()),
            ("no target", Ask::line("GET  HTTP/1.1").bytes()),
            ("a header without a name", get("/").with(": x").bytes()),
            ("a space in a name", get("/").with("X Y: z").bytes()),
            ("a space before the colon", get("/").with("X : z").bytes()),
            ("a line without a colon", get("/").with("nonsense").bytes()),
            ("a NUL", get("/").with(b"X: \0").bytes()),
            ("a folded line", get("/").with("X: y\r\n z").bytes()),
            ("no Host", get("/").without("Host").bytes()),
            ("two Hosts", get("/").with("Host: localhost").bytes()),
            ("no key", get("/").without("Sec-WebSocket-Key").bytes()),
            ("two keys", get("/").with(good_key).bytes()),
            ("a short key", key("dGhlIHNhbXBsZSBub25j").bytes()),
            (
                "a key that is no base64",
                key("dGhlIHNhbXBsZSBub25jZ!==").bytes(),
            ),
            ("an empty key", key("").bytes()),
            (
                "two versions",
                get("/").with("Sec-WebSocket-Version: 13").bytes(),
            ),
            ("a body", get("/").with("Content-Length: 5").bytes()),
            (
                "chunks",
                get("/").with("Transfer-Encoding: chunked").bytes(),
            ),
            (
                "no subprotocol",
                get("/").with("Sec-WebSocket-Protocol: a b").bytes(),
            ),
        ] {
            let answer = refused(request);
            assert_eq!((answer.status, what), (400, what));
            assert!(answer.body.starts_with("Bad request: "), "{what}");
        }
    });
}

#[test]
fn an_empty_body_is_none() {
    bounded(|| {
        accepted(&here(&patient()), &get("/").with("Content-Length: 0"));
    });
}

#[test]
fn a_head_may_have_16_kib_and_no_more() {
    bounded(|| {
        let sized = |size: usize| {
            let ask = get("/").with("X: ");
            let padding = size - ask.bytes().len();
            get("/").with(format!("X: {}", "x".repeat(padding)))
        };
        let largest = sized(talkws::MAX_HEAD_SIZE);
        assert_eq!(largest.bytes().len(), 16 * 1024);
        accepted(&here(&patient()), &largest);
        assert_eq!(
            refused(sized(talkws::MAX_HEAD_SIZE + 1).bytes()).status,
            431
        );
        // One that does not end is not waited for.
        let endless = [b"GET /".as_slice(), &[b'x'; 64 * 1024]].concat();
        assert_eq!(refused(endless).status, 431);
    });
}

#[test]
fn a_head_may_have_100_headers_and_no_more() {
    bounded(|| {
        let with = |count: usize| {
            let mut ask = get("/");
            while ask.header_count() < count {
                ask = ask.with("X: y");
            }
            ask
        };
        accepted(&here(&patient()), &with(talkws::MAX_HEADERS));
        for count in [101, 124, 125, 1000] {
            assert_eq!(refused(with(count).bytes()).status, 431, "{count}");
        }
    });
}

#[test]
fn by_default_only_pages_of_the_same_host_may_connect() {
    bounded(|| {
        let ask = |origin: &[u8]| {
            get("/")
                .instead("Host: example.org:8080")
                .with([b"Origin: ", origin].concat())
        };
        let listener = here(&patient());
        for own in [
            "http://example.org:8080",
            "https://example.org:8080",
            "http://EXAMPLE.org:8080",
        ] {
            accepted(&listener, &ask(own.as_bytes()));
        }
        accepted(&listener, &get("/"));
        for foreign in [
            &b"http://example.org"[..],
            b"http://example.org:80",
            b"http://example.org:80801",
            b"http://sub.example.org:8080",
            b"http://example.org.evil.test:8080",
            b"http://evil.test/example.org:8080",
            b"http://example.org:8080@evil.test",
            b"http://evil@example.org:8080",
            b"null",
            b"",
            b"\xFF",
        ] {
            let answer = refused(ask(foreign).bytes());
            let origin = String::from_utf8_lossy(foreign).into_owned();
            assert_eq!((answer.status, &origin), (403, &origin));
        }
        let two = ask(b"http://example.org:8080").with("Origin: http://example.org:8080");
        assert_eq!(refused(two.bytes()).status, 403);
    });
}

#[test]
fn a_list_of_origins_or_all_of_them_may_be_allowed() {
    bounded(|| {
        let from = |origin: &str| get("/").with(format!("Origin: {origin}"));
        let only = patient().origins(OriginRule::Only(vec![
            "https://one.test".into(),
            "https://two.test:8443".into(),
        ]));
        let listener = here(&only);
        accepted(&listener, &from("https://one.test"));
        accepted(&listener, &from("https://TWO.test:8443"));
        accepted(&listener, &get("/"));
        for foreign in ["http://one.test", "https://two.test", "http://localhost"] {
            let answer = refused_by(&only, "ws://127.0.0.1:0", from(foreign).bytes());
            assert_eq!((answer.status, foreign), (403, foreign));
        }
        let any = here(&patient().origins(OriginRule::Any));
        accepted(&any, &from("https://one.test"));
        accepted(&any, &from("null"));
    });
}

#[test]
fn a_silent_client_is_dropped_after_the_handshake_timeout() {
    bounded(|| {
        let hasty = ListenOptions::new().handshake_timeout(Duration::from_millis(20));
        for said in ["", "GET / HTTP/1.1\r\nHost: localhost\r\n"] {
            let answer = refused_by(&hasty, "ws://127.0.0.1:0", said);
            assert_eq!(answer.head.line, "HTTP/1.1 408 Request Timeout");
        }
    });
}

#[test]
fn a_client_that_sends_byte_by_byte_has_no_more_time_than_others() {
    bounded(|| {
        let hasty = ListenOptions::new().handshake_timeout(Duration::from_millis(100));
        let serving = Serving::new(here(&hasty), |_| panic!("the request never ended"));
        let mut stream = client(serving.listener.local_addr(), "");
        let head = "GET / HTTP/1.1\r\nHost: localhost\r\nX: ".bytes();
        dribble(&mut stream, head.chain(std::iter::repeat(b'x')));
        assert_eq!(Answer::whole(&stream).status, 408);
    });
}

#[test]
fn the_handshake_timeout_holds_for_a_program_that_never_waits() {
    bounded(|| {
        let listener = here(&ListenOptions::new().handshake_timeout(Duration::from_millis(20)));
        let stream = client(listener.local_addr(), "GET /");
        // It is taken in, and its time runs.
        drive(&listener);
        let_pass(Duration::from_millis(50));
        drive(&listener);
        stream.set_nonblocking(true).unwrap();
        let mut answer = [0; 12];
        (&stream).read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 408");
    });
}

#[test]
fn a_refusal_is_read_to_its_end_by_a_client_that_sends_on() {
    bounded(|| {
        // More than the system keeps: it is never all sent to one that does not receive.
        let more = vec![b'x'; 8 << 20];
        for ask in [
            get("/elsewhere"),
            Ask::line("POST /chat HTTP/1.1").with("Content-Length: 8388608"),
        ] {
            let request = [ask.bytes(), more.clone()].concat();
            let answer = refused_by(&patient(), "ws://127.0.0.1:0/chat", request);
            assert!(matches!(answer.status, 404 | 405), "{}", answer.status);
        }
        // And likewise when the program refuses.
        let serving = Serving::new(here(&patient()), |request| {
            request.refuse(403, "No.\n").unwrap();
        });
        let request = [get("/").bytes(), more].concat();
        let answer = Answer::whole(&client(serving.listener.local_addr(), request));
        assert_eq!((answer.status, answer.body.as_str()), (403, "No.\n"));
    });
}

// Looking at a request

#[test]
fn connection_and_upgrade_are_lists_over_several_lines() {
    bounded(|| {
        for ask in [
            get("/").instead("Connection: keep-alive, Upgrade"),
            get("/").instead("Connection: UPGRADE,keep-alive"),
            get("/")
                .instead("Connection: keep-alive")
                .with("connection: ,\t upgrade ,"),
            get("/").instead("Upgrade: h2c, WebSocket"),
            get("/").instead("Upgrade: h2c").with("Upgrade: websocket"),
        ] {
            upgraded(&patient(), &ask, UpgradeOptions::new());
        }
    });
}

#[test]
fn lines_may_end_without_a_carriage_return() {
    // RFC 9112, 2.2.
    bounded(|| {
        let request = String::from_utf8(get("/chat").bytes()).unwrap();
        let listener = here(&patient());
        let _client = client(listener.local_addr(), request.replace("\r\n", "\n"));
        let request = listener.accept().unwrap();
        assert_eq!(
            (request.path(), request.header("host")),
            ("/chat", Some("localhost"))
        );
    });
}

#[test]
fn a_request_tells_what_the_client_asked() {
    bounded(|| {
        let listener = here(&patient());
        let ask = get("/chat/%C3%A9?room=1&x=%20?")
            .with("X-Token:  abc ")
            .with("x-token: second")
            .with("Sec-WebSocket-Protocol: one,two")
            .with("Sec-WebSocket-Protocol: three");
        let (stream, request) = accepted(&listener, &ask);
        assert_eq!(request.path(), "/chat/%C3%A9");
        assert_eq!(request.query(), Some("room=1&x=%20?"));
        assert_eq!(request.head().target(), "/chat/%C3%A9?room=1&x=%20?");
        assert_eq!(request.header("X-TOKEN"), Some("abc"));
        assert_eq!(request.header("X-Other"), None);
        let offered: Vec<_> = request.subprotocols().collect();
        assert_eq!(offered, ["one", "two", "three"]);
        assert_eq!(request.peer_addr(), stream.local_addr().ok());
        assert_eq!(request.head().headers().count(), ask.header_count());
        // The connection keeps what the request told.
        let ws = request.upgrade(UpgradeOptions::new()).unwrap();
        assert_eq!(ws.request().path(), "/chat/%C3%A9");
        assert_eq!(ws.request().header("x-token"), Some("abc"));
        assert_eq!(ws.peer_addr(), stream.local_addr().ok());
    });
}

#[test]
fn bytes_over_7f_in_a_header_can_be_looked_at() {
    bounded(|| {
        let ask = get("/")
            .with("X-Name: Renée".as_bytes())
            .with(b"X-Raw: \xFF\x80");
        let (_client, request) = accepted(&here(&patient()), &ask);
        assert_eq!(request.header("x-name"), Some("Renée"));
        assert_eq!(request.header("x-raw"), None);
        let raw = request.head().headers().find(|(name, _)| *name == "X-Raw");
        assert_eq!(raw, Some(("X-Raw", &b"\xFF\x80"[..])));
    });
}

#[test]
fn bytes_behind_the_request_belong_to_the_connection() {
    bounded(|| {
        let listener = here(&patient());
        let large = vec![b'y'; 20_000];
        let bytes = [
            get("/").bytes(),
            frame(FINAL | TEXT, b"Hello from client!", true),
            frame(FINAL | BINARY, &large, true),
            // Half a message, whose rest comes after the upgrade.
            frame(FINAL | TEXT, b"rest", true)[..7].to_vec(),
        ]
        .concat();
        let mut stream = client(listener.local_addr(), bytes);
        let request = listener.accept().unwrap();
        let ws = request.upgrade(UpgradeOptions::new()).unwrap();
        assert_eq!(ws.read().unwrap().as_text(), Some("Hello from client!"));
        assert_eq!(ws.read().unwrap().as_bytes(), large);
        stream
            .write_all(&frame(FINAL | TEXT, b"rest", true)[7..])
            .unwrap();
        assert_eq!(ws.read().unwrap().as_text(), Some("rest"));
    });
}

#[test]
fn a_request_may_come_in_any_pieces() {
    bounded(|| {
        let listener = here(&patient());
        let bytes = [
            get("/chat?room=1").bytes(),
            frame(FINAL | TEXT, b"Hello!", true),
        ]
        .concat();
        let check = |mut stream: TcpStream, rest: &[u8]| {
            let request = listener.accept().unwrap();
            assert_eq!((request.path(), request.query()), ("/chat", Some("room=1")));
            let ws = request.upgrade(UpgradeOptions::new()).unwrap();
            stream.write_all(rest).unwrap();
            assert_eq!(ws.read().unwrap().as_text(), Some("Hello!"));
        };
        let head = get("/chat?room=1").bytes().len();
        for cut in 1..head {
            let mut stream = client(listener.local_addr(), &bytes[..cut]);
            drive(&listener);
            stream.write_all(&bytes[cut..]).unwrap();
            check(stream, b"");
        }
        let mut stream = client(listener.local_addr(), "");
        for index in 0..head - 1 {
            stream.write_all(&bytes[index..=index]).unwrap();
            drive(&listener);
        }
        stream.write_all(&bytes[head - 1..head]).unwrap();
        check(stream, &bytes[head..]);
    });
}

// Upgrading

#[test]
fn the_server_prefers_its_first_subprotocol_that_is_offered() {
    bounded(|| {
        let options = patient().subprotocol("two").unwrap();
        let options = options.subprotocol("one").unwrap();
        let offer = |names: &str| get("/").with(format!("Sec-WebSocket-Protocol: {names}"));
        let agreed = |ask: &Ask, upgrade| {
            let (answer, ws) = upgraded(&options, ask, upgrade);
            let told = answer.head.header("Sec-WebSocket-Protocol");
            assert_eq!(told, ws.subprotocol());
            told.map(str::to_owned)
        };
        let as_listened = UpgradeOptions::new;
        assert_eq!(
            agreed(&offer("one, two, three"), as_listened()).as_deref(),
            Some("two")
        );
        assert_eq!(
            agreed(&offer("three, one"), as_listened()).as_deref(),
            Some("one")
        );
        assert_eq!(agreed(&offer("three, One"), as_listened()), None);
        assert_eq!(agreed(&get("/"), as_listened()), None);
        let chosen = UpgradeOptions::new().subprotocol("three").unwrap();
        assert_eq!(
            agreed(&offer("one, two, three"), chosen).as_deref(),
            Some("three")
        );
    });
}

#[test]
fn a_subprotocol_that_was_not_offered_cannot_be_chosen() {
    bounded(|| {
        let ask = get("/").with("Sec-WebSocket-Protocol: one");
        let (stream, request) = accepted(&here(&patient()), &ask);
        let upgrade = UpgradeOptions::new().subprotocol("two").unwrap();
        let error = request.upgrade(upgrade).unwrap_err();
        assert!(matches!(error, Error::InvalidArgument(_)), "{error:?}");
        assert!(error.to_string().contains("\"two\""), "{error}");
        assert_eq!(Answer::head(&stream).status, 503);
    });
}

#[test]
fn a_response_that_no_client_would_take_is_not_sent() {
    bounded(|| {
        let (stream, request) = accepted(&here(&patient()), &get("/"));
        let upgrade = UpgradeOptions::new()
            .header("X-Large", "x".repeat(16 * 1024))
            .unwrap();
        let error = request.upgrade(upgrade).unwrap_err();
        assert!(matches!(error, Error::InvalidArgument(_)), "{error:?}");
        assert!(error.to_string().contains("over 16 KiB"), "{error}");
        assert_eq!(Answer::head(&stream).status, 503);
    });
}

#[test]
fn a_subprotocol_can_be_required() {
    bounded(|| {
        let options = patient().subprotocol("chat").unwrap();
        let options = options.require_subprotocol(true);
        for ask in [
            get("/"),
            get("/").with("Sec-WebSocket-Protocol: chat2, CHAT"),
        ] {
            let answer = refused_by(&options, "ws://127.0.0.1:0", ask.bytes());
            assert_eq!(answer.status, 400);
            assert!(answer.body.contains("chat"), "{}", answer.body);
        }
        let ask = get("/").with("Sec-WebSocket-Protocol: other, chat");
        let (_, ws) = upgraded(&options, &ask, UpgradeOptions::new());
        assert_eq!(ws.subprotocol(), Some("chat"));
    });
}

#[test]
fn an_upgrade_can_have_headers_of_its_own() {
    bounded(|| {
        let upgrade = UpgradeOptions::new()
            .header("Set-Cookie", "a=1")
            .and_then(|options| options.header("Set-Cookie", "b=2"))
            .and_then(|options| options.header("X-Raw", b"\xFF"))
            .unwrap();
        let (answer, _) = upgraded(&patient(), &get("/"), upgrade);
        assert_eq!(answer.head.line, "HTTP/1.1 101 Switching Protocols");
        assert_eq!(answer.head.values("Set-Cookie"), [b"a=1", b"b=2"]);
        assert_eq!(answer.head.values("X-Raw"), [b"\xFF"]);
        assert_eq!(answer.head.header("Connection"), Some("Upgrade"));
        assert_eq!(answer.head.header("Upgrade"), Some("websocket"));
        assert_eq!(answer.head.header("Sec-WebSocket-Extensions"), None);
    });
}

#[test]
fn extensions_are_not_accepted_unasked() {
    bounded(|| {
        let ask = get("/").with("Sec-WebSocket-Extensions: x-unknown; y=1");
        let (answer, _) = upgraded(&patient(), &ask, UpgradeOptions::new());
        assert_eq!(answer.head.header("Sec-WebSocket-Extensions"), None);
    });
}

// Refusing

#[test]
fn a_program_refuses_with_a_status_and_a_text() {
    bounded(|| {
        let listener = here(&patient());
        for (status, line, body) in [
            (401, "HTTP/1.1 401 Unauthorized", "Who are you?\n"),
            (403, "HTTP/1.1 403 Forbidden", ""),
            (200, "HTTP/1.1 200 OK", "déjà vu"),
            (599, "HTTP/1.1 599 ", "odd"),
        ] {
            let (stream, request) = accepted(&listener, &get("/"));
            request.refuse(status, body).unwrap();
            let answer = Answer::whole(&stream);
            assert_eq!(
                (answer.head.line.as_str(), answer.body.as_str()),
                (line, body)
            );
            assert_eq!(answer.head.header("Connection"), Some("close"));
        }
    });
}

#[test]
fn a_status_that_is_none_is_an_error_and_the_client_is_told_503() {
    bounded(|| {
        let listener = here(&patient());
        for status in [0, 99, 100, 101, 199, 600, 1000, u16::MAX] {
            let (stream, request) = accepted(&listener, &get("/"));
            let error = request.refuse(status, "").unwrap_err();
            assert!(matches!(error, Error::InvalidArgument(_)), "{error:?}");
            assert!(error.to_string().contains(&status.to_string()), "{error}");
            assert_eq!(Answer::whole(&stream).status, 503);
        }
    });
}

#[test]
fn a_refusal_larger_than_the_socket_buffer_goes_out_while_somebody_accepts() {
    bounded(|| {
        let body: String = (0..1_000_000).map(|n| format!("{n:07}\n")).collect();
        let sent = body.clone();
        let serving = Serving::new(here(&patient()), move |request| {
            // Waits for nothing, or else nobody would accept meanwhile.
            request.refuse(403, &body).unwrap();
        });
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        let address = serving.listener.local_addr();
        socket.connect(&address.into()).unwrap();
        let mut stream = TcpStream::from(socket);
        stream.write_all(&get("/").bytes()).unwrap();
        let answer = Answer::whole(&stream);
        assert_eq!(answer.status, 403);
        assert!(answer.body == sent, "the body is not what was sent");
    });
}

#[test]
fn a_request_that_is_dropped_is_answered_503() {
    bounded(|| {
        let listener = here(&patient());
        let (stream, request) = accepted(&listener, &get("/"));
        drop(request);
        let answer = Answer::whole(&stream);
        assert_eq!(answer.head.line, "HTTP/1.1 503 Service Unavailable");
    });
}

#[test]
fn a_refusal_is_answered_after_the_listener_has_gone() {
    bounded(|| {
        let listener = here(&patient());
        let (stream, request) = accepted(&listener, &get("/"));
        let (other, another) = accepted(&listener, &get("/"));
        listener.close();
        request.refuse(403, "No.\n").unwrap();
        assert_eq!(Answer::whole(&stream).status, 403);
        drop(listener);
        drop(another);
        assert_eq!(Answer::whole(&other).status, 503);
    });
}

#[test]
fn a_client_that_is_gone_harms_nobody() {
    bounded(|| {
        let listener = here(&patient());
        let address = listener.local_addr();
        reset(client(address, ""));
        reset(client(address, "GET /"));
        drop(client(address, "GET / HTTP/1.1\r\n"));
        drive(&listener);
        for answer in [
            |request: Request| drop(request.upgrade(UpgradeOptions::new())),
            |request: Request| request.refuse(403, "No.\n").unwrap(),
            drop,
        ] {
            let (stream, request) = accepted(&listener, &get("/"));
            reset(stream);
            answer(request);
        }
        accepted(&listener, &get("/"));
    });
}

// Many at a time

#[test]
fn silent_and_slow_clients_never_hold_up_another() {
    bounded(|| {
        let listener = here(&patient());
        let address = listener.local_addr();
        let silent: Vec<_> = (0..200).map(|_| client(address, "")).collect();
        let is_over = Arc::new(AtomicBool::new(false));
        let slow = thread::spawn({
            let is_over = is_over.clone();
            let mut stream = client(address, "GET / HTTP/1.1\r\nX: ");
            move || {
                let bytes = std::iter::repeat(b'x').take_while(|_| !is_over.load(Ordering::SeqCst));
                dribble(&mut stream, bytes);
            }
        });
        for turn in 0..20 {
            let (stream, request) = accepted(&listener, &get(&format!("/{turn}")));
            assert_eq!(request.path(), format!("/{turn}"));
            request.upgrade(UpgradeOptions::new()).unwrap();
            assert_eq!(Answer::head(&stream).status, 101);
        }
        is_over.store(true, Ordering::SeqCst);
        slow.join().unwrap();
        // Nor were they forgotten.
        for mut stream in silent {
            stream.write_all(&get("/late").bytes()).unwrap();
            assert_eq!(listener.accept().unwrap().path(), "/late");
        }
    });
}

#[test]
fn past_max_pending_the_client_that_waits_longest_goes() {
    bounded(|| {
        let listener = here(&patient().max_pending(2));
        let mut waiting = Vec::new();
        for name in ["a", "b", "c", "d"] {
            waiting.push(client(
                listener.local_addr(),
                format!("GET /{name} HTTP/1.1\r\n"),
            ));
            drive(&listener);
        }
        let rest = get("/").bytes()["GET / HTTP/1.1\r\n".len()..].to_vec();
        for (stream, name) in waiting[2..].iter_mut().zip(["/c", "/d"]) {
            stream.write_all(&rest).unwrap();
            assert_eq!(listener.accept().unwrap().path(), name);
        }
        for stream in &mut waiting[..2] {
            // In order or not: it has heard nothing, and hears nothing any more.
            assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
        }
    });
}

#[test]
fn threads_that_accept_at_once_serve_each_client_once() {
    bounded(|| {
        const CLIENTS: usize = 100;
        let listener = here(&patient());
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let listener = listener.clone();
                thread::spawn(move || {
                    let mut served = Vec::new();
                    while let Ok(request) = listener.accept() {
                        served.push(request.path().to_owned());
                        let ws = request.upgrade(UpgradeOptions::new()).unwrap();
                        ws.write_text(&served[served.len() - 1]).unwrap();
                        let _ = ws.read();
                    }
                    served
                })
            })
            .collect();
        let clients: Vec<_> = (0..4)
            .map(|quarter| {
                let url = listener.url().to_owned();
                thread::spawn(move || {
                    for number in (quarter..CLIENTS).step_by(4) {
                        let ws = talkws::dial(&format!("{url}/{number}")).unwrap();
                        let answer = ws.read().unwrap();
                        assert_eq!(answer.as_text(), Some(format!("/{number}").as_str()));
                        ws.close(CloseCode::Normal, "").unwrap();
                    }
                })
            })
            .collect();
        for client in clients {
            client.join().unwrap();
        }
        listener.close();
        let mut served: Vec<_> = threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect();
        served.sort();
        let mut expected: Vec<_> = (0..CLIENTS).map(|number| format!("/{number}")).collect();
        expected.sort();
        assert_eq!(served, expected);
    });
}

#[test]
fn closing_ends_accept_in_every_thread() {
    bounded(|| {
        let listener = here(&patient());
        let barrier = Arc::new(Barrier::new(5));
        let threads: Vec<_> = (0..4)
            .map(|index| {
                let (listener, barrier) = (listener.clone(), barrier.clone());
                thread::spawn(move || {
                    // Each has served a client, and waits for another one when it ends.
                    let first = listener.accept().unwrap();
                    let _ws = first.upgrade(UpgradeOptions::new()).unwrap();
                    barrier.wait();
                    match index {
                        0 => listener.accept_within(AGES),
                        1 => listener.accept_within(Deadline::NEVER.interrupted_by(|| false)),
                        _ => listener.accept(),
                    }
                })
            })
            .collect();
        let _clients: Vec<_> = (0..4)
            .map(|_| client(listener.local_addr(), get("/").bytes()))
            .collect();
        barrier.wait();
        // Whoever has the duty to poll does not keep the others from timing out.
        let error = listener
            .accept_within(Duration::from_millis(100))
            .unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error}");
        listener.close();
        for thread in threads {
            let error = thread.join().unwrap().unwrap_err();
            assert!(matches!(error, Error::Aborted { .. }), "{error:?}");
            let attempt = format!("accept on {}", listener.url());
            assert!(error.to_string().starts_with(&attempt), "{error}");
        }
        let again = listener.accept_within(Duration::ZERO).unwrap_err();
        assert!(matches!(again, Error::Aborted { .. }), "{again:?}");
        listener.close();
    });
}

#[test]
fn a_closed_listener_is_dialled_in_vain_and_its_connections_live_on() {
    bounded(|| {
        let listener = here(&patient());
        let (mut stream, request) = accepted(&listener, &get("/"));
        let ws = request.upgrade(UpgradeOptions::new()).unwrap();
        let mut half = client(listener.local_addr(), "GET / HTTP/1.1\r\n");
        drive(&listener);
        // Two are complete, of whom one is not accepted, and one is with the system.
        let ready = client(listener.local_addr(), get("/").bytes());
        let other = client(listener.local_addr(), get("/").bytes());
        let accepted_one = listener.accept().unwrap();
        let mut whole = client(listener.local_addr(), get("/").bytes());
        listener.close();
        drop(accepted_one);
        for stream in [ready, other] {
            assert_eq!(Answer::whole(&stream).status, 503);
        }
        // The port is free, and kept so.
        let _port = occupy(listener.local_addr());
        let error = talkws::dial(listener.url()).unwrap_err();
        let Error::Io { source, .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!(source.kind(), std::io::ErrorKind::ConnectionRefused);
        for dropped in [&mut half, &mut whole] {
            assert!(matches!(dropped.read(&mut [0]), Ok(0) | Err(_)));
        }
        stream
            .write_all(&frame(FINAL | TEXT, b"still here", true))
            .unwrap();
        assert_eq!(ws.read().unwrap().as_text(), Some("still here"));
    });
}

#[test]
fn a_timeout_of_accept_keeps_the_half_read_request() {
    bounded(|| {
        let listener = here(&patient());
        let bytes = get("/chat").bytes();
        let mut stream = client(listener.local_addr(), &bytes[..20]);
        for timeout in [Duration::ZERO, Duration::from_millis(20)] {
            let error = listener.accept_within(timeout).unwrap_err();
            assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
            assert!(error.is_temporary());
            assert_eq!(
                error.to_string(),
                format!("accept on {}: timed out", listener.url())
            );
        }
        stream.write_all(&bytes[20..]).unwrap();
        assert_eq!(listener.accept().unwrap().path(), "/chat");
    });
}

#[test]
fn an_interruption_of_accept_keeps_the_half_read_request() {
    bounded(|| {
        let listener = here(&patient());
        let bytes = get("/chat").bytes();
        let mut stream = client(listener.local_addr(), &bytes[..20]);
        let interrupted = Deadline::NEVER.interrupted_by(|| true);
        let error = listener.accept_within(interrupted).unwrap_err();
        assert!(matches!(error, Error::Interrupted { .. }), "{error:?}");
        assert!(error.is_temporary());
        stream.write_all(&bytes[20..]).unwrap();
        assert_eq!(listener.accept().unwrap().path(), "/chat");
    });
}

#[test]
fn who_asked_while_nobody_accepted_is_served_however_late() {
    bounded(|| {
        let listener = here(&ListenOptions::new().handshake_timeout(Duration::from_millis(20)));
        let bytes = get("/").bytes();
        let mut begun = client(listener.local_addr(), &bytes[..20]);
        // It is taken in, and its time runs.
        drive(&listener);
        begun.write_all(&bytes[20..]).unwrap();
        let _queued = client(listener.local_addr(), &bytes);
        let_pass(Duration::from_millis(50));
        listener.accept().unwrap();
        listener.accept().unwrap();
    });
}

// What a process has only so many of

#[test]
fn without_descriptors_accept_neither_ends_nor_spins_and_then_goes_on() {
    let name = "without_descriptors_accept_neither_ends_nor_spins_and_then_goes_on";
    in_a_process_of_its_own(name, || {
        let listener = here(&patient());
        let bytes = get("/early").bytes();
        let mut early = client(listener.local_addr(), &bytes[..20]);
        drive(&listener);
        let _late = client(listener.local_addr(), get("/late").bytes());
        let hoard = take_all_descriptors();
        let before = cpu_time();
        let span = Duration::from_secs(1);
        let error = listener.accept_within(span).unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
        // Spinning takes a second of it, less what other programs take; waiting next to nothing.
        let used = cpu_time() - before;
        assert!(used < span / 10, "{used:?} of CPU time in {span:?}");
        // Who has a descriptor already is served meanwhile.
        early.write_all(&bytes[20..]).unwrap();
        let request = listener.accept().unwrap();
        assert_eq!(request.path(), "/early");
        drop(hoard);
        assert_eq!(listener.accept().unwrap().path(), "/late");
    });
}

#[test]
fn the_last_listener_takes_port_and_descriptors_with_it() {
    let name = "the_last_listener_takes_port_and_descriptors_with_it";
    in_a_process_of_its_own(name, || {
        let before = open_descriptors();
        let listener = here(&patient());
        let address = listener.local_addr();
        // One silent, one being told no, one not accepted, one accepted.
        let mut clients = vec![
            client(address, ""),
            client(address, "POST / HTTP/1.1\r\n\r\n"),
        ];
        drive(&listener);
        let (stream, request) = accepted(&listener, &get("/"));
        clients.push(stream);
        clients.push(client(address, get("/").bytes()));
        request.refuse(403, "No.\n").unwrap();
        let other = listener.clone();
        drop(listener);
        // A clone keeps it all alive.
        other.accept().unwrap();
        drop(other);
        drop(clients);
        occupy(address);
        assert_eq!(open_descriptors(), before);
    });
}

#[test]
fn a_closed_listener_has_no_descriptors_of_clients() {
    let name = "a_closed_listener_has_no_descriptors_of_clients";
    in_a_process_of_its_own(name, || {
        let listener = here(&patient());
        let before = open_descriptors();
        let address = listener.local_addr();
        let silent = client(address, "");
        let no = client(address, "POST / HTTP/1.1\r\n\r\n");
        drive(&listener);
        let (refused, request) = accepted(&listener, &get("/"));
        let (late, dropped_later) = accepted(&listener, &get("/"));
        request.refuse(403, "No.\n").unwrap();
        listener.close();
        drop(dropped_later);
        drop((silent, no, refused, late));
        // The listening socket is gone too.
        assert_eq!(open_descriptors(), before - 1);
    });
}

#[test]
fn dial_and_accept_agree_on_all_that_each_can_say() {
    bounded(|| {
        let options = patient().subprotocol("chat").unwrap();
        let listener = options.listen("ws://127.0.0.1:0/chat").unwrap();
        let url = format!("{}?room=1", listener.url());
        let origin = listener.url().replace("ws:", "http:");
        let origin = origin.trim_end_matches("/chat").to_owned();
        let dial = DialOptions::new()
            .subprotocol("chat")
            .and_then(|dial| dial.origin(&origin))
            .and_then(|dial| dial.header("X-Raw", b"\xFF"))
            .unwrap();
        let dialling = thread::spawn(move || dial.dial(&url).unwrap());
        let request = listener.accept().unwrap();
        assert_eq!(request.query(), Some("room=1"));
        let upgrade = UpgradeOptions::new().header("X-Served-By", "me").unwrap();
        let server = request.upgrade(upgrade).unwrap();
        let client = dialling.join().unwrap();
        assert_eq!((server.subprotocol(), client.subprotocol()), {
            (Some("chat"), Some("chat"))
        });
        let response = client.response().unwrap();
        assert_eq!(
            (response.status(), response.header("x-served-by")),
            (101, Some("me"))
        );
    });
}
