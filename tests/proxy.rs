//! Dialling through proxies, which are played here: what they are told, and what comes of what they
//! say.

#[path = "support/http_peer.rs"]
mod http_peer;
mod support;

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use http_peer::{Head, Server};
use support::bounded;
use talkws::{Connection, DialOptions, Error};

const TARGET: &str = "ws://target.invalid:8080/path";

/// Reads a head, and no byte more.
fn read_head(stream: &TcpStream) -> Head {
    Head::read(&mut BufReader::with_capacity(1, stream))
}

/// Answers as the server behind the tunnel does, and says hello.
fn serve(mut stream: &TcpStream) -> Head {
    let asked = read_head(stream);
    stream.write_all(&asked.upgrade(&[])).unwrap();
    stream.write_all(b"\x81\x05hello").unwrap();
    asked
}

/// A proxy of one client, at a free port.
fn proxy(play: impl FnOnce(TcpStream) + Send + 'static) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let playing = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        play(stream);
    });
    (address, playing)
}

fn through(proxy: &str) -> DialOptions {
    DialOptions::new().proxy(proxy).unwrap()
}

fn says_hello(ws: &Connection) {
    assert_eq!(ws.read().unwrap().as_text(), Some("hello"));
}

/// What a dial comes to whose proxy gives this answer to CONNECT.
fn answered(user: &str, answer: &str) -> Error {
    let answer = answer.to_owned();
    let (address, playing) = proxy(move |mut stream| {
        read_head(&stream);
        let _ = stream.write_all(answer.as_bytes());
    });
    let error = through(&format!("http://{user}{address}")).dial(TARGET);
    playing.join().unwrap();
    let error = error.unwrap_err();
    let named = format!("dial {TARGET} through proxy http://{address}: ");
    assert!(error.to_string().starts_with(&named), "{error}");
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    error
}

fn is_proxy_error(error: &Error, says: &str) {
    assert!(matches!(error, Error::Proxy { .. }), "{error:?}");
    assert_eq!(error.status(), -23);
    assert!(error.to_string().contains(says), "{error}");
}

// HTTP

#[test]
fn a_connection_is_asked_for_and_the_request_goes_through_it() {
    bounded(|| {
        let (heard, hears) = channel();
        let (address, playing) = proxy(move |mut stream| {
            let asked = read_head(&stream);
            stream
                .write_all(b"HTTP/1.0 200 Connection established\r\n\r\n")
                .unwrap();
            heard.send((asked, serve(&stream))).unwrap();
        });
        let options = through(&format!("http://user:p%40ss@{address}/"))
            .header("Authorization", "Bearer mine")
            .unwrap();
        says_hello(&options.dial(TARGET).unwrap());
        playing.join().unwrap();
        let (connect, request) = hears.recv().unwrap();
        assert_eq!(connect.line, "CONNECT target.invalid:8080 HTTP/1.1");
        assert_eq!(connect.header("Host"), Some("target.invalid:8080"));
        assert_eq!(
            connect.header("Proxy-Authorization"),
            Some("Basic dXNlcjpwQHNz")
        );
        // Neither learns what is the other's.
        assert_eq!(connect.header("Authorization"), None);
        assert_eq!(request.line, "GET /path HTTP/1.1");
        assert_eq!(request.header("Authorization"), Some("Bearer mine"));
        assert_eq!(request.header("Proxy-Authorization"), None);
    });
}

#[test]
fn bytes_after_the_proxys_answer_are_the_servers() {
    bounded(|| {
        // A server that talks before it is asked breaks the rules, and is heard all the same.
        let (address, playing) = proxy(|mut stream| {
            read_head(&stream);
            let early =
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 Yes\r\nContent-Length: 9\r\n\r\n\
                HTTP/1.1 418 Teapot\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(early).unwrap();
            read_head(&stream);
        });
        let error = through(&format!("http://{address}"))
            .dial(TARGET)
            .unwrap_err();
        assert!(matches!(error, Error::Refused(_)), "{error:?}");
        assert_eq!(error.http_status(), Some(418));
        playing.join().unwrap();
    });
}

#[test]
fn an_answer_may_come_in_pieces() {
    bounded(|| {
        let answer = b"HTTP/1.1 200 OK\r\nVia: x\r\n\r\n";
        for cut in 1..answer.len() {
            let (address, playing) = proxy(move |mut stream| {
                read_head(&stream);
                for part in [&answer[..cut], &answer[cut..]] {
                    stream.write_all(part).unwrap();
                }
                serve(&stream);
            });
            says_hello(&through(&format!("http://{address}")).dial(TARGET).unwrap());
            playing.join().unwrap();
        }
    });
}

#[test]
fn a_proxy_that_refuses_is_told_with_what_it_said_and_what_to_do() {
    bounded(|| {
        let text =
            "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 7\r\n\r\nWho\nyou";
        let error = answered("", text);
        is_proxy_error(
            &error,
            "asked for target.invalid:8080 it answered 407 Proxy Authentication Required \
             (Who you): it wants a user and a password",
        );
        assert_eq!(error.http_status(), Some(407));
        let Error::Proxy {
            refusal: Some(refusal),
            ..
        } = &error
        else {
            panic!("{error:?}");
        };
        assert_eq!(refusal.body(), b"Who\nyou");
        is_proxy_error(&answered("user:secret@", text), "does not take this user");
        let page = "HTTP/1.1 403 Forbidden\r\n\r\n<html><title>Not here</title><p>...";
        is_proxy_error(
            &answered("", page),
            "403 Forbidden (Not here): it does not allow",
        );
        is_proxy_error(
            &answered("", "HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n"),
            "502 Bad: it cannot reach the server",
        );
    });
}

#[test]
fn what_is_no_answer_is_the_proxys_fault() {
    bounded(|| {
        is_proxy_error(&answered("", ""), "ended the connection without an answer");
        is_proxy_error(&answered("", "HTTP/1.1 200"), "ended the connection");
        is_proxy_error(&answered("", "SSH-2.0-x\r\n\r\n"), "not HTTP/1.1");
        let long = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(17_000));
        is_proxy_error(&answered("", &long), "more than 16 KiB");
    });
}

#[test]
fn a_proxy_that_is_not_there_is_named() {
    bounded(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = through(&format!("http://u:secret@{address}"))
            .dial(TARGET)
            .unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error:?}");
        let says = format!("through proxy http://{address}: connecting to {address}");
        assert!(error.to_string().contains(&says), "{error}");
    });
}

#[test]
fn one_deadline_covers_the_proxy() {
    bounded(|| {
        for scheme in ["http", "socks5h"] {
            let (done, wait) = channel::<()>();
            let (address, playing) = proxy(move |_silent| {
                let _ = wait.recv();
            });
            let options = through(&format!("{scheme}://{address}"));
            let error = options
                .timeout(Duration::from_millis(20))
                .dial(TARGET)
                .unwrap_err();
            assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
            assert!(error.to_string().contains("through proxy"), "{error}");
            drop(done);
            playing.join().unwrap();
        }
    });
}

// SOCKS

/// A SOCKS proxy that reads and writes these in turn, and then is the server.
fn socks(script: Vec<(Vec<u8>, Vec<u8>)>) -> (SocketAddr, JoinHandle<()>) {
    proxy(move |mut stream| {
        for (expected, reply) in script {
            let mut heard = vec![0; expected.len()];
            stream.read_exact(&mut heard).unwrap();
            assert_eq!(heard, expected);
            // Split at every boundary, as far as the network keeps that.
            for byte in reply {
                stream.write_all(&[byte]).unwrap();
            }
        }
        serve(&stream);
    })
}

fn connect_to_name() -> Vec<u8> {
    b"\x05\x01\x00\x03\x0Etarget.invalid\x1F\x90".to_vec()
}

const YES: &[u8] = b"\x05\x00\x00\x01\x7F\x00\x00\x01\x00\x50";

#[test]
fn socks5h_leaves_the_name_to_the_proxy() {
    bounded(|| {
        let named = b"\x05\x00\x00\x03\x04name\x00\x50";
        let six = [&b"\x05\x00\x00\x04"[..], &[0; 18]].concat();
        for yes in [YES, named, &six] {
            let (address, playing) = socks(vec![
                (b"\x05\x01\x00".to_vec(), b"\x05\x00".to_vec()),
                (connect_to_name(), yes.to_vec()),
            ]);
            says_hello(
                &through(&format!("socks5h://{address}"))
                    .dial(TARGET)
                    .unwrap(),
            );
            playing.join().unwrap();
        }
    });
}

#[test]
fn socks5_resolves_the_name_here() {
    bounded(|| {
        let (address, playing) = socks(vec![
            (b"\x05\x01\x00".to_vec(), b"\x05\x00".to_vec()),
            (
                b"\x05\x01\x00\x01\x7F\x00\x00\x01\x00\x07".to_vec(),
                YES.to_vec(),
            ),
        ]);
        let options = through(&format!("socks5://{address}"));
        says_hello(&options.dial("ws://127.0.0.1:7/").unwrap());
        playing.join().unwrap();
        // The proxy is not bothered with what cannot be.
        let error = options.dial(TARGET).unwrap_err();
        assert!(matches!(error, Error::Resolve { .. }), "{error:?}");
    });
}

#[test]
fn a_socks_proxy_gets_user_and_password_if_it_wants_them() {
    bounded(|| {
        let offer = || b"\x05\x02\x00\x02".to_vec();
        let (address, playing) = socks(vec![
            (offer(), b"\x05\x02".to_vec()),
            (b"\x01\x04user\x04p@ss".to_vec(), b"\x01\x00".to_vec()),
            (connect_to_name(), YES.to_vec()),
        ]);
        let url = format!("socks5h://user:p%40ss@{address}");
        says_hello(&through(&url).dial(TARGET).unwrap());
        playing.join().unwrap();
        let (address, playing) = socks(vec![
            (offer(), b"\x05\x00".to_vec()),
            (connect_to_name(), YES.to_vec()),
        ]);
        let url = format!("socks5h://user:p%40ss@{address}");
        says_hello(&through(&url).dial(TARGET).unwrap());
        playing.join().unwrap();
    });
}

#[test]
fn a_socks_proxy_that_refuses_is_told_in_words() {
    bounded(|| {
        let fails = |user: &str, replies: &[&'static [u8]], says: &str| {
            let replies = replies.to_vec();
            let (address, playing) = proxy(move |mut stream| {
                let mut chunk = [0; 512];
                for reply in replies {
                    assert!(stream.read(&mut chunk).unwrap() > 0);
                    stream.write_all(reply).unwrap();
                }
            });
            let error = through(&format!("socks5h://{user}{address}")).dial(TARGET);
            playing.join().unwrap();
            let error = error.unwrap_err();
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
            is_proxy_error(&error, says);
        };
        let user = "user:secret@";
        fails("", &[b"\x05\xFF"], "it wants a user and a password");
        fails(
            user,
            &[b"\x05\xFF"],
            "neither a user with a password nor none",
        );
        fails(
            "",
            &[b"\x05\x02"],
            "authentication 2, which was not offered",
        );
        fails(
            user,
            &[b"\x05\x02", b"\x01\x01"],
            "does not take this user and password",
        );
        fails("", &[b"HTTP/1.1 400 Bad"], "begin with http://");
        fails("", &[b"\x04\x00"], "version 4, not SOCKS 5");
        for (reply, says) in [
            (&b"\x05\x02\x00\x01\x00"[..], "rules do not allow"),
            (b"\x05\x04\x00\x01\x00", "host cannot be reached"),
            (
                b"\x05\x05\x00\x01\x00",
                "asked for target.invalid:8080 it answered: connection refused",
            ),
            (b"\x05\x63\x00\x01\x00", "reply 99"),
            (b"\x05\x00\x00\x09\x00", "unknown kind 9"),
            (b"\x05\x00\x00", "ended the connection without an answer"),
        ] {
            fails("", &[b"\x05\x00", reply], says);
        }
    });
}

#[test]
fn a_name_that_socks_cannot_carry_is_refused() {
    bounded(|| {
        let (address, playing) = proxy(|_stream| {});
        let url = format!("ws://{}.invalid/", "x".repeat(250));
        let error = through(&format!("socks5h://{address}"))
            .dial(&url)
            .unwrap_err();
        is_proxy_error(&error, "more than 255 bytes");
        playing.join().unwrap();
    });
}

// Choosing

#[test]
fn a_unix_socket_needs_no_proxy() {
    bounded(|| {
        let options = through("http://127.0.0.1:1");
        let error = options.dial("ws+unix:no-such.sock").unwrap_err();
        assert!(!error.to_string().contains("proxy"), "{error}");
    });
}

#[test]
fn the_last_choice_of_a_proxy_counts() {
    bounded(|| {
        let server = Server::saying("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        let options = through("http://127.0.0.1:1").no_proxy();
        assert_eq!(
            options.dial(&server.url).unwrap_err().http_status(),
            Some(404)
        );
        server.join();
        let error = DialOptions::new().proxy("ftp://p").unwrap_err();
        assert!(matches!(error, Error::InvalidUrl { .. }), "{error:?}");
    });
}
