//! Redirects: which are followed, and what goes along.

#[path = "support/http_peer.rs"]
mod http_peer;
mod support;

use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::sync::mpsc::channel;
use std::thread;

use http_peer::{Head, Server, wait_for_end};
use support::bounded;
use talkws::{Connection, Deadline, DialOptions, Error};

fn redirect(status: u16, location: &str) -> String {
    format!("HTTP/1.1 {status} x\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
}

/// A server of several clients, one after the other: it upgrades who asks for `/end`, and sends the
/// others where `next` says.
fn server(
    next: impl Fn(&Head) -> String + Send + 'static,
    clients: usize,
) -> (String, thread::JoinHandle<Vec<Head>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let serving = thread::spawn(move || {
        let mut asked = Vec::new();
        for _ in 0..clients {
            let (mut stream, _) = listener.accept().unwrap();
            let head = Head::read(&mut BufReader::new(&stream));
            let answer = if head.line.starts_with("GET /end") {
                head.upgrade(&[])
            } else {
                next(&head).into_bytes()
            };
            stream.write_all(&answer).unwrap();
            asked.push(head);
        }
        asked
    });
    (url, serving)
}

fn is_redirect_error(result: talkws::Result<Connection>, says: &str) {
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Redirect { .. }), "{error:?}");
    assert_eq!(error.status(), -24);
    assert!(error.to_string().contains(says), "{error}");
}

#[test]
fn every_kind_of_redirect_is_followed() {
    bounded(|| {
        for status in [301, 302, 303, 307, 308] {
            let (url, serving) = server(move |_| redirect(status, "../end?x=1"), 2);
            let ws = talkws::dial(&format!("{url}/a/b")).unwrap();
            let asked = serving.join().unwrap();
            assert_eq!(asked[1].line, "GET /end?x=1 HTTP/1.1");
            assert_eq!(ws.request().target(), "/end?x=1");
        }
        // These name a place, and are no redirects.
        for status in [201, 300, 304, 305] {
            let (url, serving) = server(move |_| redirect(status, "/end"), 1);
            let error = talkws::dial(&url).unwrap_err();
            assert_eq!(error.http_status(), Some(status));
            serving.join().unwrap();
        }
    });
}

#[test]
fn a_redirect_without_a_place_is_a_refusal() {
    bounded(|| {
        let server = Server::saying("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n");
        let error = talkws::dial(&server.url).unwrap_err();
        assert_eq!(error.http_status(), Some(302));
        server.join();
    });
}

#[test]
fn a_redirect_is_followed_before_its_body_has_come() {
    bounded(|| {
        let (url, serving) = server(|_| String::new(), 1);
        let first = Server::new(move |_, mut stream| {
            let head = format!("HTTP/1.1 302 Found\r\nLocation: {url}/end\r\n\r\n");
            stream.write_all(head.as_bytes()).unwrap();
            wait_for_end(&stream);
        });
        talkws::dial(&first.url).unwrap();
        first.join();
        serving.join().unwrap();
    });
}

#[test]
fn a_loop_ends_at_the_limit() {
    bounded(|| {
        let (url, serving) = server(|_| redirect(302, "/again"), 11);
        is_redirect_error(
            talkws::dial(&url),
            "more than 10 redirects; the last is from ",
        );
        assert_eq!(serving.join().unwrap().len(), 11);
        let (url, serving) = server(|_| redirect(302, "/end"), 2);
        DialOptions::new().max_redirects(1).dial(&url).unwrap();
        serving.join().unwrap();
        let (url, serving) = server(|_| redirect(302, "/end"), 1);
        let error = DialOptions::new().max_redirects(0).dial(&url).unwrap_err();
        assert_eq!(error.http_status(), Some(302));
        serving.join().unwrap();
    });
}

#[test]
fn what_is_a_secret_of_one_origin_stays_there() {
    bounded(|| {
        let (other, serving_other) = server(|_| String::new(), 1);
        let (url, serving) = server(
            move |head| match head.line.as_str() {
                "GET / HTTP/1.1" => redirect(302, "/second"),
                _ => redirect(302, &format!("{other}/end")),
            },
            2,
        );
        let options = DialOptions::new()
            .header("Cookie", "a=b")
            .unwrap()
            .header("Host", "virtual.example")
            .unwrap()
            .header("X-Mine", "1")
            .unwrap();
        options
            .dial(&url.replace("ws://", "ws://user:pw@"))
            .unwrap();
        for head in serving.join().unwrap() {
            assert_eq!(head.header("Authorization"), Some("Basic dXNlcjpwdw=="));
            assert_eq!(head.header("Cookie"), Some("a=b"));
            assert_eq!(head.header("Host"), Some("virtual.example"));
        }
        let head = &serving_other.join().unwrap()[0];
        assert_eq!(
            (head.header("Authorization"), head.header("Cookie")),
            (None, None)
        );
        assert_ne!(head.header("Host"), Some("virtual.example"));
        assert_eq!(head.header("X-Mine"), Some("1"));
    });
}

#[test]
fn authorization_of_the_program_stays_too() {
    bounded(|| {
        let (other, serving_other) = server(|_| String::new(), 1);
        let (url, serving) = server(move |_| redirect(307, &format!("{other}/end")), 1);
        let options = DialOptions::new()
            .header("Authorization", "Bearer 1")
            .unwrap();
        options.dial(&url).unwrap();
        assert_eq!(
            serving.join().unwrap()[0].header("Authorization"),
            Some("Bearer 1")
        );
        assert_eq!(
            serving_other.join().unwrap()[0].header("Authorization"),
            None
        );
    });
}

#[test]
fn a_place_that_is_no_websocket_is_an_error_without_its_password() {
    bounded(|| {
        for (location, says) in [
            ("ftp://user:secret@h/", "that is no URL of a WebSocket"),
            (
                "ws+unix:///run/other.sock:/",
                "that is no URL of a WebSocket",
            ),
            ("ws://user:secret@h:x/", "the port must be"),
        ] {
            let (url, serving) = server(move |_| redirect(302, location), 1);
            let error = talkws::dial(&url).unwrap_err();
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
            is_redirect_error(Err(error), says);
            serving.join().unwrap();
        }
    });
}

#[test]
fn a_refusal_at_the_end_is_that_of_the_last_server() {
    bounded(|| {
        let (url, serving) = server(
            |head| match head.line.as_str() {
                "GET /first HTTP/1.1" => redirect(302, "/second"),
                _ => "HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n".to_owned(),
            },
            2,
        );
        let error = talkws::dial(&format!("{url}/first")).unwrap_err();
        assert!(
            error.to_string().contains("/second: server answered 404"),
            "{error}"
        );
        serving.join().unwrap();
    });
}

#[test]
fn an_adopted_socket_leads_nowhere_else() {
    bounded(|| {
        let answer = "HTTP/1.1 302 x\r\nLocation: /end\r\nContent-Length: 4\r\n\r\nread";
        let server = Server::saying(answer);
        let stream = TcpStream::connect(server.address).unwrap();
        let dialled = DialOptions::new().dial_on(stream, &server.url, Deadline::NEVER);
        match dialled.unwrap_err() {
            Error::Refused(refusal) => {
                assert_eq!((refusal.status(), refusal.body()), (302, &b"read"[..]));
            }
            other => panic!("{other:?}"),
        }
        server.join();
    });
}

#[test]
fn a_unix_socket_may_redirect_on_itself() {
    bounded(|| {
        let path = std::env::temp_dir().join(format!("talkws-redirect-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let (heard, hears) = channel();
        let serving = thread::spawn(move || {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().unwrap();
                let head = Head::read(&mut BufReader::new(&stream));
                let answer = match head.line.starts_with("GET /end") {
                    true => head.upgrade(&[]),
                    false => redirect(302, "end").into_bytes(),
                };
                stream.write_all(&answer).unwrap();
                heard.send(head.line).unwrap();
            }
        });
        talkws::dial(&format!("ws+unix:{}:/first", path.display())).unwrap();
        let _ = std::fs::remove_file(&path);
        serving.join().unwrap();
        assert_eq!(hears.iter().last().unwrap(), "GET /end HTTP/1.1");
    });
}
