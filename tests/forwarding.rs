//! A server behind proxies: whom it believes, and whom it takes for its client.

#[path = "support/http_peer.rs"]
mod http_peer;
mod support;

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;

use http_peer::{Answer, client, get};
use support::bounded;
use talkws::{Error, Forwarding, ListenOptions, Listener, UpgradeOptions};

fn behind(network: &str, tells: Forwarding) -> ListenOptions {
    ListenOptions::new().trust_proxy(network, tells).unwrap()
}

fn listening(options: &ListenOptions) -> Listener {
    options.listen("ws://127.0.0.1:0").unwrap()
}

/// Whom a server takes for the client that has sent these bytes; who has connected is known.
fn peer(options: &ListenOptions, bytes: &[u8]) -> Option<String> {
    let listener = listening(options);
    let stream = client(listener.local_addr(), bytes);
    let direct = Some(stream.local_addr().unwrap());
    let request = listener.accept().unwrap();
    assert_eq!(request.direct_peer_addr(), direct);
    let peer = request.peer_addr();
    let ws = request.upgrade(UpgradeOptions::new()).unwrap();
    assert_eq!((ws.peer_addr(), ws.direct_peer_addr()), (peer, direct));
    peer.filter(|peer| Some(*peer) != direct)
        .map(|peer| peer.to_string())
}

/// What a server answers to these bytes by itself.
fn answer(options: &ListenOptions, bytes: &[u8]) -> Answer {
    let listener = listening(options);
    let stream = client(listener.local_addr(), bytes);
    let accepting = {
        let listener = listener.clone();
        thread::spawn(move || listener.accept().map(drop))
    };
    let answer = Answer::whole(&stream);
    listener.close();
    let accepted = accepting.join().unwrap();
    assert!(
        matches!(accepted, Err(Error::Aborted { .. })),
        "{accepted:?}"
    );
    answer
}

#[test]
fn a_proxy_that_is_believed_names_the_client_in_a_header() {
    bounded(|| {
        let request = get("/")
            .with("X-Forwarded-For: 6.6.6.6, 192.0.2.1")
            .with("Forwarded: for=6.6.6.6, for=\"[2001:db8::1]:4711\"")
            .bytes();
        let by = |tells| peer(&behind("127.0.0.0/8", tells), &request);
        assert_eq!(
            by(Forwarding::XForwardedFor).as_deref(),
            Some("192.0.2.1:0")
        );
        assert_eq!(
            by(Forwarding::Forwarded).as_deref(),
            Some("[2001:db8::1]:4711")
        );
    });
}

#[test]
fn a_header_of_anybody_else_is_nothing() {
    bounded(|| {
        let request = get("/")
            .with("X-Forwarded-For: 192.0.2.1")
            .with("Forwarded: for=192.0.2.1")
            .bytes();
        assert_eq!(peer(&ListenOptions::new(), &request), None);
        for tells in [Forwarding::XForwardedFor, Forwarding::Forwarded] {
            assert_eq!(peer(&behind("10.0.0.0/8", tells), &request), None);
            assert_eq!(peer(&behind("unix", tells), &request), None);
        }
    });
}

#[test]
fn a_proxy_at_a_unix_socket_is_believed_by_that_name() {
    bounded(|| {
        let path = std::env::temp_dir().join(format!("talkws-forwarding-{}", std::process::id()));
        let client = Some("192.0.2.1:0".parse().unwrap());
        for (network, expected) in [("unix", client), ("0.0.0.0/0", None)] {
            let options = behind(network, Forwarding::XForwardedFor);
            let url = format!("ws+unix:{}", path.display());
            let listener = options.listen(&url).unwrap();
            let mut stream = UnixStream::connect(&path).unwrap();
            let request = get("/").with("X-Forwarded-For: 192.0.2.1").bytes();
            stream.write_all(&request).unwrap();
            let request = listener.accept().unwrap();
            assert_eq!(request.peer_addr(), expected);
            assert_eq!(request.direct_peer_addr(), None);
        }
    });
}

#[test]
fn a_header_that_cannot_be_read_is_a_bad_request() {
    bounded(|| {
        let request = get("/").with("Forwarded: for=\"192.0.2.1").bytes();
        let options = behind("127.0.0.1", Forwarding::Forwarded);
        assert_eq!(answer(&options, &request).status, 400);
        // From whoever is not believed it is nothing.
        assert_eq!(peer(&ListenOptions::new(), &request), None);
    });
}

#[test]
fn a_page_of_the_host_that_the_proxy_was_asked_for_may_connect() {
    bounded(|| {
        let page = get("/")
            .with("Origin: https://example.org")
            .with("X-Forwarded-For: 192.0.2.1")
            .with("X-Forwarded-Host: example.org")
            .with("Forwarded: for=192.0.2.1;host=example.org")
            .bytes();
        for tells in [Forwarding::XForwardedFor, Forwarding::Forwarded] {
            let options = behind("127.0.0.1", tells);
            assert_eq!(peer(&options, &page).as_deref(), Some("192.0.2.1:0"));
            let strangers = behind("10.0.0.1", tells);
            assert_eq!(answer(&strangers, &page).status, 403);
        }
    });
}

const V1: &[u8] = b"PROXY TCP4 192.0.2.1 127.0.0.1 4660 80\r\n";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0C\xC0\0\x02\x01\x7F\0\0\x01\x12\x34\0\x50";
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

#[test]
fn the_proxy_protocol_names_the_client_before_the_request() {
    bounded(|| {
        let options = behind("127.0.0.1", Forwarding::ProxyProtocol);
        let request = get("/").with("X-Forwarded-For: 6.6.6.6").bytes();
        for (header, expected) in [
            (V1, Some("192.0.2.1:4660")),
            (V2, Some("192.0.2.1:4660")),
            (LOCAL, None),
            (b"PROXY UNKNOWN\r\n", None),
        ] {
            let bytes = [header, &request].concat();
            assert_eq!(peer(&options, &bytes).as_deref(), expected, "{header:?}");
        }
    });
}

#[test]
fn a_header_of_the_proxy_protocol_may_come_byte_by_byte() {
    bounded(|| {
        let listener = listening(&behind("127.0.0.1", Forwarding::ProxyProtocol));
        let accepting = {
            let listener = listener.clone();
            thread::spawn(move || listener.accept().unwrap().peer_addr())
        };
        let mut stream = TcpStream::connect(listener.local_addr()).unwrap();
        let bytes = [V2, &get("/").bytes()].concat();
        http_peer::dribble(&mut stream, bytes);
        let peer: SocketAddr = "192.0.2.1:4660".parse().unwrap();
        assert_eq!(accepting.join().unwrap(), Some(peer));
    });
}

#[test]
fn the_proxy_protocol_is_for_proxies_that_are_believed() {
    bounded(|| {
        let bytes = [V1, &get("/").bytes()].concat();
        assert_eq!(answer(&ListenOptions::new(), &bytes).status, 400);
        let strangers = behind("10.0.0.1", Forwarding::ProxyProtocol);
        assert_eq!(answer(&strangers, &bytes).status, 400);
        // Who is believed must speak it, or its clients would pass for the proxy.
        let options = behind("127.0.0.1", Forwarding::ProxyProtocol);
        let answer = answer(&options, &get("/").bytes());
        assert_eq!(answer.status, 400);
        assert!(answer.body.contains("PROXY protocol"), "{}", answer.body);
    });
}

#[test]
fn a_proxy_that_says_nothing_holds_up_nobody() {
    bounded(|| {
        let listener = listening(&behind("127.0.0.1", Forwarding::ProxyProtocol));
        let _silent = TcpStream::connect(listener.local_addr()).unwrap();
        let _halfway = client(listener.local_addr(), &V2[..20]);
        let bytes = [V1, &get("/").bytes()].concat();
        let _client = client(listener.local_addr(), bytes);
        assert!(listener.accept().unwrap().peer_addr().is_some());
    });
}

#[test]
fn what_cannot_be_believed_is_refused() {
    let options = ListenOptions::new();
    for network in ["", "localhost", "10.0.0.0/33", "Unix"] {
        let refused = options
            .clone()
            .trust_proxy(network, Forwarding::Forwarded)
            .map(drop);
        assert!(
            matches!(refused, Err(Error::InvalidArgument(_))),
            "{network}"
        );
    }
    let mixed = behind("::1", Forwarding::Forwarded)
        .trust_proxy("127.0.0.1", Forwarding::XForwardedFor)
        .map(drop);
    assert!(matches!(mixed, Err(Error::InvalidArgument(_))));
}
