//! Sockets that the program made itself, and requests that want no WebSocket.

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;

use support::bounded;
use talkws::{
    CloseCode, Deadline, DialOptions, Error, ListenOptions, RefuseOptions, UpgradeOptions,
};

#[test]
fn a_tcp_socket_is_dialled_on_whatever_the_url_names() {
    bounded(|| {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let listener = ListenOptions::new().listen_on([socket]).unwrap();
        assert_eq!(listener.local_addr(), address);
        assert_eq!(listener.url(), format!("ws://{address}"));
        let client = thread::spawn(move || {
            let stream = TcpStream::connect(address).unwrap();
            let url = "ws://example.org/room?x=1";
            let ws = DialOptions::new().dial_on(stream, url, Deadline::NEVER)?;
            ws.write_text("over my own socket")?;
            ws.close(CloseCode::Normal, "")
        });
        let request = listener.accept().unwrap();
        assert_eq!(request.header("host"), Some("example.org"));
        assert_eq!(request.head().target(), "/room?x=1");
        let ws = request.upgrade(UpgradeOptions::new()).unwrap();
        assert_eq!(ws.read().unwrap().as_text(), Some("over my own socket"));
        assert!(matches!(ws.read(), Err(Error::Closed(_))));
        client.join().unwrap().unwrap();
    });
}

#[test]
fn several_sockets_are_one_listener() {
    bounded(|| {
        let sockets = [0, 0].map(|port| TcpListener::bind(("127.0.0.1", port)).unwrap());
        let addresses = [0, 1].map(|index: usize| sockets[index].local_addr().unwrap());
        let listener = ListenOptions::new().listen_on(sockets).unwrap();
        for address in addresses {
            let client = thread::spawn(move || talkws::dial(&format!("ws://{address}/")));
            let request = listener.accept().unwrap();
            assert_eq!(request.local_addr(), Some(address));
            request.upgrade(UpgradeOptions::new()).unwrap();
            client.join().unwrap().unwrap();
        }
        let none = ListenOptions::new().listen_on(Vec::<TcpListener>::new());
        assert!(matches!(none, Err(Error::InvalidArgument(_))));
    });
}

#[test]
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
fn a_socket_that_does_not_listen_is_refused() {
    bounded(|| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let refused = ListenOptions::new().listen_on([socket.unwrap()]);
        assert!(matches!(refused, Err(Error::InvalidArgument(_))));
    });
}

#[test]
fn a_connected_socket_is_a_client_that_has_come() {
    bounded(|| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut other, others) = UnixStream::pair().unwrap();
        let listener = ListenOptions::new().listen_on([ours, others]).unwrap();
        // One after the other: first who asks wrongly, and is answered inside.
        let client = thread::spawn(move || {
            other.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
            let mut answer = String::new();
            other.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
            drop(other);
            let ws = DialOptions::new().dial_on(theirs, "ws://localhost/", Deadline::NEVER)?;
            ws.read()
        });
        let ws = listener.accept().unwrap().upgrade(UpgradeOptions::new());
        // Nobody else can come.
        let over = listener.accept().unwrap_err();
        assert!(matches!(over, Error::Aborted { .. }), "{over:?}");
        drop(listener);
        ws.unwrap().write_text("hello").unwrap();
        let message = client.join().unwrap().unwrap();
        assert_eq!(message.as_text(), Some("hello"));
    });
}

#[test]
fn a_connected_socket_comes_before_those_of_a_listening_one() {
    bounded(|| {
        let listening = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listening.local_addr().unwrap();
        let first = TcpStream::connect(address).unwrap();
        let (accepted, _) = listening.accept().unwrap();
        let sockets = [OwnedFd::from(listening), OwnedFd::from(accepted)];
        let listener = ListenOptions::new().listen_on(sockets).unwrap();
        let client = thread::spawn(move || {
            let ws = DialOptions::new().dial_on(first, "ws://localhost/", Deadline::NEVER)?;
            ws.read()?;
            talkws::dial(&format!("ws://{address}/"))?.read()
        });
        for _ in 0..2 {
            let request = listener.accept().unwrap();
            assert_eq!(request.local_addr(), Some(address));
            let ws = request.upgrade(UpgradeOptions::new()).unwrap();
            ws.write_text("hello").unwrap();
        }
        client.join().unwrap().unwrap();
    });
}

#[test]
fn a_unix_socket_carries_a_websocket() {
    bounded(|| {
        let path = std::env::temp_dir().join(format!("talkws-{}.sock", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = ListenOptions::new()
            .listen_on([UnixListener::bind(&path).unwrap()])
            .unwrap();
        assert_eq!(listener.url(), format!("ws+unix:{}", path.display()));
        assert_eq!(listener.local_addr().port(), 0);
        let stream = UnixStream::connect(&path).unwrap();
        let _ = std::fs::remove_file(&path);
        let client = thread::spawn(move || {
            let ws = DialOptions::new().dial_on(stream, "ws://localhost/", Deadline::NEVER)?;
            assert_eq!((ws.peer_addr(), ws.local_addr()), (None, None));
            ws.read()
        });
        let request = listener.accept().unwrap();
        assert_eq!(request.peer_addr(), None);
        let ws = request.upgrade(UpgradeOptions::new()).unwrap();
        ws.write_text("hello").unwrap();
        let message = client.join().unwrap().unwrap();
        assert_eq!(message.as_text(), Some("hello"));
    });
}

#[test]
fn a_socket_that_is_not_connected_is_told_so() {
    bounded(|| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let dialled =
            DialOptions::new().dial_on(socket.unwrap(), "ws://localhost/", Deadline::NEVER);
        let error = dialled.unwrap_err();
        assert!(matches!(error, Error::ConnectionLost { .. }), "{error:?}");
    });
}

#[test]
fn a_plain_request_is_answered_by_the_program() {
    bounded(|| {
        let options = ListenOptions::new().plain_requests(true);
        let listener = options.listen("ws://127.0.0.1:0").unwrap();
        let address = listener.local_addr();
        let ask = move |target: &str| {
            let mut stream = TcpStream::connect(address).unwrap();
            write!(stream, "GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            answer
        };
        let client = thread::spawn(move || [ask("/page"), ask("/upgraded"), ask("/refused")]);
        let request = listener.accept().unwrap();
        assert!(!request.is_upgrade());
        assert_eq!(request.path(), "/page");
        let html = RefuseOptions::new()
            .header("Content-Type", "image/png")
            .unwrap();
        request.refuse_with(200, b"\x89PNG\xff", html).unwrap();
        let request = listener.accept().unwrap();
        let error = request.upgrade(UpgradeOptions::new()).unwrap_err();
        assert!(matches!(error, Error::InvalidState(_)), "{error:?}");
        let request = listener.accept().unwrap();
        request.refuse(426, "Upgrade, please.\n").unwrap();
        // The last answer is driven on while somebody accepts.
        let driver = listener.clone();
        let driver = thread::spawn(move || driver.accept());
        let [page, upgraded, refused] = client.join().unwrap();
        assert!(page.starts_with(b"HTTP/1.1 200 OK\r\n"));
        assert!(page.ends_with(b"\r\n\r\n\x89PNG\xff"));
        assert!(String::from_utf8_lossy(&page).contains("image/png\r\n"));
        for answer in [upgraded, refused] {
            assert!(answer.starts_with(b"HTTP/1.1 426 "));
            let answer = String::from_utf8(answer).unwrap();
            assert!(answer.contains("\r\nUpgrade: websocket\r\n"), "{answer}");
        }
        listener.close();
        assert!(matches!(driver.join().unwrap(), Err(Error::Aborted { .. })));
    });
}

#[test]
fn an_upgrade_is_an_upgrade_where_plain_requests_are_admitted() {
    bounded(|| {
        let options = ListenOptions::new().plain_requests(true);
        let listener = options.listen("ws://127.0.0.1:0").unwrap();
        let url = listener.url().to_owned();
        let client = thread::spawn(move || talkws::dial(&url).unwrap().read());
        let request = listener.accept().unwrap();
        assert!(request.is_upgrade());
        let options = UpgradeOptions::new().header("X-A", "b").unwrap();
        let response = request.upgrade_response(&options).unwrap();
        assert_eq!(
            (response.status(), response.header("x-a")),
            (101, Some("b"))
        );
        let ws = request.upgrade(UpgradeOptions::new()).unwrap();
        ws.write_text("hello").unwrap();
        assert_eq!(client.join().unwrap().unwrap().as_text(), Some("hello"));
    });
}
