//! Dialling: what goes out on the wire, and servers that answer as they please.

#[path = "support/http_peer.rs"]
mod http_peer;
mod support;

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use http_peer::{Head, Server, dribble, wait_for_end};
use socket2::{Domain, Socket, Type};
use support::bounded;
use support::raw_peer::{BINARY, FINAL, TEXT, frame, reset};
use talkws::{CloseCode, Connection, Deadline, DialOptions, Error, Refusal, dial};

/// For dials that must not come to anything.
const SHORT: Duration = Duration::from_millis(200);

fn short() -> DialOptions {
    DialOptions::new().timeout(SHORT)
}

/// Dials what is not to be reached, and gives the error, which says what was tried.
fn failing(options: &DialOptions, url: &str) -> Error {
    let error = options.dial(url).unwrap_err();
    let attempt = format!("dial {url}: ");
    assert!(error.to_string().starts_with(&attempt), "{error}");
    error
}

/// Dials a server that says these bytes, whatever it is asked.
fn answered(bytes: impl Into<Vec<u8>>) -> Error {
    let server = Server::saying(bytes);
    let error = failing(&DialOptions::new(), &server.url);
    server.join();
    error
}

/// Dials a server whose answer depends on what it is asked.
fn answered_with(
    options: &DialOptions,
    answer: impl FnOnce(&Head) -> Vec<u8> + Send + 'static,
) -> Result<Connection, Error> {
    let server = Server::new(move |asked, mut stream| {
        stream.write_all(&answer(&asked)).unwrap();
        wait_for_end(&stream);
    });
    let result = options.dial(&server.url);
    if let Err(error) = &result {
        let attempt = format!("dial {}: ", server.url);
        assert!(error.to_string().starts_with(&attempt), "{error}");
        server.join();
    }
    result
}

fn refusal(error: &Error) -> &Refusal {
    match error {
        Error::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

/// What a server is asked when it is dialled like this.
fn asked(options: &DialOptions, path: &str) -> (Head, SocketAddr) {
    let (heard, hears) = channel();
    let server = Server::new(move |asked, mut stream| {
        let protocol = asked.values("Sec-WebSocket-Protocol");
        let protocol = protocol.first().map(|names| {
            let names = std::str::from_utf8(names).unwrap();
            let first = names.split(',').next().unwrap();
            format!("Sec-WebSocket-Protocol: {first}")
        });
        let more: Vec<_> = protocol.iter().map(String::as_str).collect();
        stream.write_all(&asked.upgrade(&more)).unwrap();
        heard.send(asked).unwrap();
    });
    options.dial(&format!("{}{path}", server.url)).unwrap();
    let address = server.address;
    server.join();
    (hears.recv().unwrap(), address)
}

// What goes out

#[test]
fn a_request_holds_what_the_rfc_asks_for() {
    // RFC 6455, 4.1.
    bounded(|| {
        let (head, address) = asked(&DialOptions::new(), "/talk-to-server?a=1&b=%20");
        assert_eq!(head.line, "GET /talk-to-server?a=1&b=%20 HTTP/1.1");
        assert_eq!(head.header("Host"), Some(address.to_string().as_str()));
        assert_eq!(head.header("Upgrade"), Some("websocket"));
        assert_eq!(head.header("Connection"), Some("Upgrade"));
        assert_eq!(head.header("Sec-WebSocket-Version"), Some("13"));
        let key = head.header("Sec-WebSocket-Key").unwrap().to_owned();
        assert_eq!((key.len(), &key[22..]), (24, "=="));
        for unasked in ["Origin", "Sec-WebSocket-Protocol"] {
            assert_eq!(head.header(unasked), None);
        }
        // RFC 7692, 7.1.2.2: the server may choose a smaller window for us.
        let offer = "permessage-deflate; client_max_window_bits";
        let offer = cfg!(feature = "deflate").then_some(offer);
        assert_eq!(head.header("Sec-WebSocket-Extensions"), offer);
        let (again, _) = asked(&DialOptions::new(), "/");
        assert_ne!(again.header("Sec-WebSocket-Key"), Some(key.as_str()));
    });
}

#[test]
fn user_and_password_of_the_url_are_basic_authentication() {
    // RFC 7617.
    bounded(|| {
        let ask = |options: &DialOptions, user: &str| {
            let (heard, hears) = channel();
            let server = Server::new(move |asked, mut stream| {
                stream.write_all(&asked.upgrade(&[])).unwrap();
                heard.send(asked).unwrap();
            });
            let url = server.url.replace("ws://", &format!("ws://{user}@"));
            options.dial(&url).unwrap();
            let address = server.address.to_string();
            server.join();
            let asked: Head = hears.recv().unwrap();
            assert_eq!(asked.header("Host"), Some(address.as_str()));
            asked.header("Authorization").map(str::to_owned)
        };
        let plain = DialOptions::new();
        let basic = Some("Basic dXNlcjpwQHNzOnc=".to_owned());
        assert_eq!(ask(&plain, "user:p%40ss:w"), basic);
        assert_eq!(ask(&plain, ""), None);
        let own = plain.header("authorization", "Bearer 123").unwrap();
        assert_eq!(ask(&own, "user:pw").as_deref(), Some("Bearer 123"));
    });
}

#[test]
fn a_password_shows_in_no_error() {
    bounded(|| {
        let server = Server::saying("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        let url = server.url.replace("ws://", "ws://user:secret@");
        let error = DialOptions::new().dial(&url).unwrap_err();
        server.join();
        let text = format!("{error} {error:?}");
        assert!(text.contains("ws://***@127.0.0.1:"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    });
}

#[test]
fn a_zone_says_which_interface_and_stays_at_home() {
    bounded(|| {
        let (heard, hears) = channel();
        let server = Server::at("::1", move |asked, mut stream| {
            stream.write_all(&asked.upgrade(&[])).unwrap();
            heard.send(asked).unwrap();
        });
        let port = server.address.port();
        let options = DialOptions::new();
        options.dial(&format!("ws://[::1%251]:{port}/")).unwrap();
        server.join();
        let host = format!("[::1]:{port}");
        assert_eq!(hears.recv().unwrap().header("Host"), Some(host.as_str()));
        let error = failing(&options, "ws://[fe80::1%25nowhere]/");
        assert!(matches!(error, Error::Resolve { .. }), "{error:?}");
        assert!(
            error
                .to_string()
                .contains("no network interface \"nowhere\""),
            "{error}"
        );
    });
}

#[test]
fn a_url_without_a_path_asks_for_the_root() {
    bounded(|| {
        assert_eq!(asked(&DialOptions::new(), "").0.line, "GET / HTTP/1.1");
        assert_eq!(
            asked(&DialOptions::new(), "?x=1").0.line,
            "GET /?x=1 HTTP/1.1"
        );
    });
}

#[test]
fn headers_go_out_as_they_were_given() {
    bounded(|| {
        let options = DialOptions::new()
            .header("X-Token", "abc")
            .and_then(|dial| dial.header("X-Many", "one"))
            .and_then(|dial| dial.header("X-Many", "two"))
            .and_then(|dial| dial.header("X-Name", "Renée"))
            .and_then(|dial| dial.header("X-Raw", b"\xFF\x80"))
            .and_then(|dial| dial.header("X-Empty", ""))
            .and_then(|dial| dial.header("Host", "example.org:81"))
            .and_then(|dial| dial.origin("https://example.org"))
            .and_then(|dial| dial.subprotocol("chat.v2"))
            .and_then(|dial| dial.subprotocol("chat"))
            .unwrap();
        let (head, _) = asked(&options, "/");
        assert_eq!(head.header("X-Token"), Some("abc"));
        assert_eq!(head.values("X-Many"), [b"one", b"two"]);
        assert_eq!(head.header("X-Name"), Some("Renée"));
        assert_eq!(head.values("X-Raw"), [b"\xFF\x80"]);
        assert_eq!(head.values("X-Empty"), [b""]);
        assert_eq!(head.header("Host"), Some("example.org:81"));
        assert_eq!(head.header("Origin"), Some("https://example.org"));
        assert_eq!(head.header("Sec-WebSocket-Protocol"), Some("chat.v2, chat"));
    });
}

#[test]
fn a_host_over_7f_is_an_error_before_anything_is_dialled() {
    bounded(|| {
        let options = DialOptions::new().header("Host", b"\xFF");
        let error = options.and_then(|dial| dial.dial("ws://127.0.0.1:9"));
        assert!(
            matches!(
                error,
                Err(Error::InvalidArgument(_) | Error::InvalidUrl { .. })
            ),
            "{error:?}"
        );
    });
}

// Answers that are upgrades

#[test]
fn an_upgrade_need_not_be_to_the_letter() {
    bounded(|| {
        for connection in ["keep-alive, Upgrade", "UPGRADE", "upgrade , keep-alive"] {
            let ws = answered_with(&DialOptions::new(), move |asked| {
                format!(
                    "HTTP/1.1 101 Why Not\r\nconnection: {connection}\r\nUPGRADE:WebSocket\r\n\
                     sec-websocket-accept:\t{} \r\nX-Name: Ren\u{e9}e\r\n\r\n",
                    asked.accept_key()
                )
                .into_bytes()
            });
            let ws = ws.unwrap();
            let response = ws.response().unwrap();
            assert_eq!((response.status(), response.reason()), (101, "Why Not"));
            assert_eq!(response.header("x-name"), Some("Renée"));
            assert_eq!(ws.subprotocol(), None);
        }
    });
}

#[test]
fn an_upgrade_may_come_byte_by_byte() {
    bounded(|| {
        let server = Server::new(|asked, mut stream| {
            dribble(&mut stream, asked.upgrade(&["X-Slow: yes"]));
            stream
                .write_all(&frame(FINAL | TEXT, b"there", false))
                .unwrap();
            wait_for_end(&stream);
        });
        let ws = dial(&server.url).unwrap();
        assert_eq!(ws.response().unwrap().header("x-slow"), Some("yes"));
        assert_eq!(ws.read().unwrap().as_text(), Some("there"));
    });
}

#[test]
fn frames_behind_the_response_belong_to_the_connection() {
    bounded(|| {
        let large = vec![b'y'; 20_000];
        let server = Server::new({
            let large = large.clone();
            move |asked, mut stream| {
                let half = frame(FINAL | TEXT, b"rest", false);
                let bytes = [
                    asked.upgrade(&[]),
                    frame(FINAL | TEXT, b"Hello from server!", false),
                    frame(FINAL | BINARY, &large, false),
                    half[..3].to_vec(),
                ];
                stream.write_all(&bytes.concat()).unwrap();
                stream.write_all(&half[3..]).unwrap();
                wait_for_end(&stream);
            }
        });
        let ws = dial(&server.url).unwrap();
        assert_eq!(ws.read().unwrap().as_text(), Some("Hello from server!"));
        assert_eq!(ws.read().unwrap().as_bytes(), large);
        assert_eq!(ws.read().unwrap().as_text(), Some("rest"));
    });
}

#[test]
fn interim_responses_are_passed_over() {
    bounded(|| {
        for interim in [
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 \r\nX: y\r\n\r\n",
        ] {
            let ws = answered_with(&DialOptions::new(), move |asked| {
                [interim.as_bytes(), &asked.upgrade(&["X-Real: yes"])].concat()
            });
            let ws = ws.unwrap();
            assert_eq!(ws.response().unwrap().header("X-Real"), Some("yes"));
            let error = answered(format!(
                "{interim}HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"
            ));
            assert_eq!(
                (refusal(&error).status(), refusal(&error).body()),
                (404, &b"no"[..])
            );
        }
    });
}

#[test]
fn interim_responses_without_end_are_too_much() {
    bounded(|| {
        let server = Server::new(|_, mut stream| {
            while stream
                .write_all(&b"HTTP/1.1 100 Continue\r\n\r\n".repeat(100))
                .is_ok()
            {}
        });
        let error = failing(&DialOptions::new().timeout(None), &server.url);
        assert!(matches!(error, Error::Handshake { .. }), "{error:?}");
        server.join();
    });
}

#[test]
fn the_subprotocol_is_the_one_that_the_server_chose() {
    bounded(|| {
        let options = DialOptions::new().subprotocol("one").unwrap();
        let options = options.subprotocol("two").unwrap();
        let chosen = |name: Option<&'static str>| {
            answered_with(&options, move |asked| match name {
                Some(name) => asked.upgrade(&[&format!("Sec-WebSocket-Protocol: {name}")]),
                None => asked.upgrade(&[]),
            })
        };
        assert_eq!(chosen(Some("two")).unwrap().subprotocol(), Some("two"));
        assert_eq!(chosen(None).unwrap().subprotocol(), None);
        for wrong in ["three", "One", "one, two", ""] {
            let error = chosen(Some(wrong)).unwrap_err();
            assert!(
                matches!(error, Error::Handshake { .. }),
                "{wrong}: {error:?}"
            );
            assert!(error.to_string().contains(&format!("{wrong:?}")), "{error}");
        }
    });
}

#[test]
fn a_subprotocol_can_be_required() {
    bounded(|| {
        let options = DialOptions::new().subprotocol("chat.v2").unwrap();
        let options = options.subprotocol("chat").unwrap();
        let options = options.require_subprotocol(true);
        let error = answered_with(&options, |asked| asked.upgrade(&[])).unwrap_err();
        assert!(matches!(error, Error::NoSubprotocol { .. }), "{error:?}");
        assert!(error.to_string().contains("chat.v2, chat"), "{error}");
        let ws = answered_with(&options, |asked| {
            asked.upgrade(&["Sec-WebSocket-Protocol: chat"])
        });
        assert_eq!(ws.unwrap().subprotocol(), Some("chat"));
    });
}

// Answers that are neither upgrade nor refusal

#[test]
fn a_101_that_breaks_a_rule_is_an_error() {
    bounded(|| {
        type Change = fn(String) -> String;
        let changes: [(&str, Change, &str); 12] = [
            (
                "another key's answer",
                |head| head.replace("Accept: ", "Accept: x"),
                "Sec-WebSocket-Accept",
            ),
            (
                "an answer in another case",
                |head| {
                    let (start, accept) = head.split_once("Accept: ").unwrap();
                    format!("{start}Accept: {}", accept.to_ascii_lowercase())
                },
                "Sec-WebSocket-Accept",
            ),
            (
                "no answer to the key",
                |head| head.replace("Sec-WebSocket-Accept", "X-Accept"),
                "Sec-WebSocket-Accept",
            ),
            (
                "two answers to the key",
                |head| head.replace("\r\n\r\n", "\r\nSec-WebSocket-Accept: x\r\n\r\n"),
                "Sec-WebSocket-Accept",
            ),
            (
                "no Upgrade",
                |head| head.replace("Upgrade: websocket\r\n", ""),
                "Upgrade: websocket",
            ),
            (
                "another Upgrade",
                |head| head.replace("Upgrade: websocket", "Upgrade: h2c"),
                "Upgrade: websocket",
            ),
            (
                "no Connection",
                |head| head.replace("Connection: Upgrade\r\n", ""),
                "Connection: Upgrade",
            ),
            (
                "another Connection",
                |head| head.replace("Connection: Upgrade", "Connection: close"),
                "Connection: Upgrade",
            ),
            (
                "an extension",
                |head| {
                    let extension = "\r\nSec-WebSocket-Extensions: permessage-deflate; a=1\r\n\r\n";
                    head.replace("\r\n\r\n", extension)
                },
                "permessage-deflate",
            ),
            (
                "a subprotocol",
                |head| head.replace("\r\n\r\n", "\r\nSec-WebSocket-Protocol: chat\r\n\r\n"),
                "\"chat\"",
            ),
            (
                "HTTP/1.0",
                |head| head.replace("HTTP/1.1", "HTTP/1.0"),
                "HTTP/1.1",
            ),
            (
                "a folded line",
                |head| head.replace("\r\n\r\n", "\r\nX: y\r\n z\r\n\r\n"),
                "HTTP/1.1",
            ),
        ];
        for (what, change, says) in changes {
            let result = answered_with(&DialOptions::new(), move |asked| {
                let head = String::from_utf8(asked.upgrade(&[])).unwrap();
                let changed = change(head.clone());
                assert_ne!(changed, head, "{what}");
                changed.into_bytes()
            });
            let error = result.expect_err(what);
            assert!(
                matches!(error, Error::Handshake { .. }),
                "{what}: {error:?}"
            );
            assert!(error.to_string().contains(says), "{what}: {error}");
        }
    });
}

#[test]
fn what_is_not_http_is_an_error() {
    bounded(|| {
        for garbage in [
            &b"\x16\x03\x01\x02\0\x01\0"[..],
            b"SSH-2.0-OpenSSH_9.9\r\n",
            b"220 mail.example.org ESMTP\r\n\r\n",
            b"HTTP/2 101 \r\n\r\n",
            b"HTTP/1.1 1O1 Switching Protocols\r\n\r\n",
            b"HTTP/1.1 101\0 \r\n\r\n",
            b"\r\n\r\nnonsense\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
        ] {
            let error = answered(garbage);
            assert!(
                matches!(error, Error::Handshake { .. }),
                "{}: {error:?}",
                garbage.escape_ascii()
            );
        }
    });
}

#[test]
fn a_head_may_have_16_kib_and_100_headers_and_no_more() {
    bounded(|| {
        let sized = |size: usize| {
            answered_with(&DialOptions::new(), move |asked| {
                let padding = size - asked.upgrade(&["X: "]).len();
                asked.upgrade(&[&format!("X: {}", "x".repeat(padding))])
            })
        };
        sized(talkws::MAX_HEAD_SIZE).unwrap();
        let error = sized(talkws::MAX_HEAD_SIZE + 1).unwrap_err().to_string();
        assert!(error.contains("16 KiB"), "{error}");
        let error = answered([&b"HTTP/1.1 101 "[..], &[b'x'; 64 * 1024]].concat()).to_string();
        assert!(error.contains("16 KiB"), "{error}");

        let with = |count: usize| {
            // Three of them make the upgrade.
            answered_with(&DialOptions::new(), move |asked| {
                asked.upgrade(&vec!["X: y"; count - 3])
            })
        };
        with(talkws::MAX_HEADERS).unwrap();
        for count in [101, 124, 125, 1000] {
            let error = with(count).unwrap_err();
            assert!(
                matches!(error, Error::Handshake { .. }),
                "{count}: {error:?}"
            );
            assert!(error.to_string().contains("100 headers"), "{error}");
        }
    });
}

#[test]
fn a_stream_that_ends_early_is_a_lost_connection_wherever_it_ends() {
    bounded(|| {
        let whole = |asked: &Head| asked.upgrade(&["X-More: yes"]);
        let mut cut = 0;
        loop {
            let (told, length) = channel();
            let server = Server::new(move |asked, mut stream| {
                let bytes = whole(&asked);
                told.send(bytes.len()).unwrap();
                stream.write_all(&bytes[..cut]).unwrap();
            });
            let result = DialOptions::new().dial(&server.url);
            let url = server.url.clone();
            server.join();
            if cut == length.recv().unwrap() {
                result.unwrap();
                break;
            }
            let error = result.unwrap_err();
            assert!(
                matches!(error, Error::ConnectionLost { .. }),
                "after {cut}: {error:?}"
            );
            assert_eq!(error.close_code(), Some(CloseCode::Abnormal));
            assert!(
                error.to_string().starts_with(&format!("dial {url}: ")),
                "{error}"
            );
            cut += 1;
        }
    });
}

#[test]
fn a_reset_is_a_lost_connection() {
    bounded(|| {
        let server = Server::new(|_, mut stream| {
            stream.write_all(b"HTTP/1.1 101 ").unwrap();
            reset(stream);
        });
        let error = failing(&DialOptions::new(), &server.url);
        assert!(matches!(error, Error::ConnectionLost { .. }), "{error:?}");
        server.join();
    });
}

// Refusals

#[test]
fn a_refusal_tells_status_reason_headers_and_body() {
    bounded(|| {
        let error = answered(
            "HTTP/1.1 401 Who Are You\r\nWWW-Authenticate: Basic\r\nX-Many: 1\r\nX-Many: 2\r\n\
             Content-Length: 6\r\n\r\nLog in, and more that is not the body",
        );
        assert!(
            error
                .to_string()
                .ends_with("server answered 401 Who Are You, not 101 Switching Protocols"),
            "{error}"
        );
        assert_eq!(error.http_status(), Some(401));
        let refusal = refusal(&error);
        assert_eq!(refusal.status(), 401);
        assert_eq!(refusal.head().reason(), "Who Are You");
        assert_eq!(refusal.head().header("www-authenticate"), Some("Basic"));
        assert_eq!(refusal.head().headers().count(), 4);
        assert_eq!(refusal.body(), b"Log in");
    });
}

#[test]
fn any_status_but_101_is_a_refusal() {
    bounded(|| {
        for status in [200, 204, 301, 400, 426, 500, 599] {
            let error = answered(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"));
            assert_eq!(refusal(&error).status(), status);
            assert_eq!(refusal(&error).body(), b"");
        }
    });
}

#[test]
fn a_refusal_in_http_1_0_is_a_refusal() {
    bounded(|| {
        let server = Server::new(|_, mut stream| {
            stream
                .write_all(b"HTTP/1.0 404 File not found\r\nServer: plain\r\n\r\nnone here")
                .unwrap();
        });
        let error = failing(&DialOptions::new(), &server.url);
        let refusal = refusal(&error);
        assert_eq!(
            (refusal.status(), refusal.head().reason()),
            (404, "File not found")
        );
        assert_eq!(refusal.head().header("Server"), Some("plain"));
        assert_eq!(refusal.body(), b"none here");
        server.join();
    });
}

#[test]
fn the_body_ends_where_its_framing_says() {
    bounded(|| {
        for (what, head, body, expected) in [
            (
                "by its length",
                "Content-Length: 5\r\n",
                "12345678",
                "12345",
            ),
            (
                "by chunks",
                "Transfer-Encoding: chunked\r\n",
                "5\r\n12345\r\n3;x=y\r\n678\r\n0\r\nX: y\r\n\r\nmore",
                "12345678",
            ),
            (
                "by chunks, whatever the length says",
                "Content-Length: 3\r\nTransfer-Encoding: Chunked\r\n",
                "5\r\n12345\r\n0\r\n\r\n",
                "12345",
            ),
        ] {
            // The server does not end the stream.
            let error = answered(format!("HTTP/1.1 403 No\r\n{head}\r\n{body}"));
            assert_eq!(refusal(&error).body(), expected.as_bytes(), "{what}");
        }
        // In its absence the stream ends the body; and it may end too soon.
        for (head, body, expected) in [
            ("", "to the end", "to the end"),
            ("", "", ""),
            ("Content-Length: 50\r\n", "short", "short"),
            ("Transfer-Encoding: chunked\r\n", "9\r\nshort", "short"),
            (
                "Transfer-Encoding: chunked\r\n",
                "5\r\nshort\r\nrubbish\r\n",
                "short",
            ),
        ] {
            let server = Server::new(move |_, mut stream| {
                let response = format!("HTTP/1.1 403 No\r\n{head}\r\n{body}");
                stream.write_all(response.as_bytes()).unwrap();
            });
            let error = failing(&DialOptions::new(), &server.url);
            assert_eq!(refusal(&error).body(), expected.as_bytes(), "{head}{body}");
            server.join();
        }
    });
}

#[test]
fn a_body_is_cut_off_after_64_kib() {
    bounded(|| {
        let line = b"0123456789abcdef";
        let body = line.repeat(100_000 / 16);
        let chunk = [&b"10\r\n"[..], line, b"\r\n"].concat();
        for (head, sent) in [
            ("", body.clone()),
            ("Content-Length: 100000\r\n", body.clone()),
            ("Content-Length: 18446744073709551615\r\n", body.clone()),
            ("Transfer-Encoding: chunked\r\n", chunk.repeat(100_000 / 16)),
            (
                "Transfer-Encoding: chunked\r\n",
                [b"ffffffffffffffff\r\n", &body[..]].concat(),
            ),
        ] {
            // The stream does not end, and yet the dial does.
            let head = format!("HTTP/1.1 503 Busy\r\n{head}\r\n");
            let error = answered([head.as_bytes(), &sent].concat());
            assert_eq!(refusal(&error).body().len(), 64 * 1024);
            assert!(body.starts_with(refusal(&error).body()));
        }
    });
}

#[test]
fn chunks_that_are_hardly_any_body_are_not_read_without_end() {
    bounded(|| {
        let extension = "x".repeat(1000);
        for (first, then) in [
            ("", format!("1;{extension}\r\ny\r\n")),
            ("1;", extension.clone()),
        ] {
            let server = Server::new(move |_, mut stream| {
                let head = "HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n";
                let _ = stream.write_all(format!("{head}{first}").as_bytes());
                while stream.write_all(then.as_bytes()).is_ok() {}
            });
            let error = failing(&DialOptions::new().timeout(None), &server.url);
            let body = refusal(&error).body();
            assert!(body.len() < 1000, "{} bytes", body.len());
            assert!(body.iter().all(|&byte| byte == b'y'));
            server.join();
        }
    });
}

#[test]
fn a_body_that_stalls_leaves_the_status() {
    bounded(|| {
        for (head, body) in [
            ("Content-Length: 100\r\n", "the beginning"),
            ("", "the beginning"),
            ("", ""),
            ("Transfer-Encoding: chunked\r\n", ""),
        ] {
            let server = Server::saying(format!("HTTP/1.1 403 No\r\n{head}\r\n{body}"));
            let error = failing(&short(), &server.url);
            assert_eq!(refusal(&error).status(), 403);
            assert_eq!(refusal(&error).body(), body.as_bytes());
            server.join();
        }
    });
}

// Deadlines and interruptions

#[test]
fn a_server_that_never_answers_is_waited_for_until_the_deadline() {
    bounded(|| {
        for said in ["", "HTTP/1.1 101 Switching", "HTTP/1.1 100 \r\n\r\n"] {
            let server = Server::saying(said);
            let error = failing(&short(), &server.url);
            assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
            server.join();
        }
        // Whichever comes first of the deadline and the timeout.
        let server = Server::saying("");
        let error = DialOptions::new().dial_within(&server.url, SHORT);
        assert!(matches!(error, Err(Error::TimedOut { .. })), "{error:?}");
        server.join();
        let server = Server::saying("");
        let error = short().dial_within(&server.url, Duration::MAX);
        assert!(matches!(error, Err(Error::TimedOut { .. })), "{error:?}");
        server.join();
    });
}

#[test]
fn a_server_that_never_takes_us_is_waited_for_until_the_deadline() {
    bounded(|| {
        // The kernel answers for it, as for any that is too busy to accept.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let error = failing(&short(), &url);
        assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
        assert!(error.is_temporary());
    });
}

#[test]
fn the_deadline_holds_while_the_head_comes_byte_by_byte() {
    bounded(|| {
        let server = Server::new(|_, mut stream| {
            let head = b"HTTP/1.1 101 Switching Protocols\r\nX: ".iter().copied();
            dribble(&mut stream, head.chain(std::iter::repeat(b'x')));
        });
        let error = failing(&short(), &server.url);
        assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
        server.join();
    });
}

#[test]
#[cfg(target_os = "linux")]
fn the_deadline_holds_while_nobody_answers_the_connection() {
    bounded(|| {
        // Linux does not answer once the backlog is full.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
        socket.bind(&address.into()).unwrap();
        socket.listen(0).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let mut waiting = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, SHORT) {
            waiting.push(stream);
        }
        let error = failing(&short(), &format!("ws://{address}"));
        assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
        let tried = format!("connecting to {address}");
        assert!(error.to_string().contains(&tried), "{error}");
    });
}

#[test]
fn an_interruption_ends_a_dial() {
    static IS_INTERRUPTED: AtomicBool = AtomicBool::new(false);
    bounded(|| {
        let server = Server::new(|_, stream| {
            IS_INTERRUPTED.store(true, Ordering::SeqCst);
            wait_for_end(&stream);
        });
        let wait = Deadline::NEVER.interrupted_by(|| IS_INTERRUPTED.load(Ordering::SeqCst));
        let options = DialOptions::new().timeout(None);
        let error = options.dial_within(&server.url, wait).unwrap_err();
        assert!(matches!(error, Error::Interrupted { .. }), "{error:?}");
        let attempt = format!("dial {}: ", server.url);
        assert!(error.to_string().starts_with(&attempt), "{error}");
        server.join();
    });
}

#[test]
fn a_dial_that_is_not_interrupted_succeeds() {
    bounded(|| {
        let server = Server::new(|asked, mut stream| {
            dribble(&mut stream, asked.upgrade(&[]));
            wait_for_end(&stream);
        });
        let wait = Deadline::NEVER.interrupted_by(|| false);
        DialOptions::new().dial_within(&server.url, wait).unwrap();
    });
}

// Finding and reaching the server

#[test]
fn a_host_that_does_not_resolve_is_named() {
    bounded(|| {
        // RFC 6761, 6.4: `invalid` has no names.
        let error = failing(&DialOptions::new(), "ws://something.invalid:8080/chat");
        assert!(
            // The second where name servers are out of reach.
            matches!(error, Error::Resolve { .. } | Error::TimedOut { .. }),
            "{error:?}"
        );
        assert!(
            error.to_string().contains("\"something.invalid\""),
            "{error}"
        );
    });
}

#[test]
fn where_nobody_listens_url_and_addresses_are_named() {
    bounded(|| {
        // A port that is taken, so that nobody comes to listen there.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
        socket.bind(&address.into()).unwrap();
        let port = socket.local_addr().unwrap().as_socket().unwrap().port();
        let error = failing(&DialOptions::new(), &format!("ws://127.0.0.1:{port}/chat"));
        let Error::Io { source, .. } = &error else {
            panic!("{error:?}")
        };
        assert_eq!(source.kind(), std::io::ErrorKind::ConnectionRefused);
        let says = format!("connecting to 127.0.0.1:{port}: Connection refused");
        assert!(error.to_string().contains(&says), "{error}");
        // By name: each of its addresses.
        let error = failing(&DialOptions::new(), &format!("ws://localhost:{port}"));
        let says = format!("127.0.0.1:{port}");
        assert!(error.to_string().contains(&says), "{error}");
    });
}

#[test]
fn a_server_of_one_family_is_reached_by_the_name_of_both() {
    bounded(|| {
        let server = Server::new(|asked, mut stream| {
            let host = asked.header("Host").unwrap().to_owned();
            stream
                .write_all(&asked.upgrade(&[&format!("X-Host: {host}")]))
                .unwrap();
            wait_for_end(&stream);
        });
        let port = server.address.port();
        let ws = dial(&format!("ws://localhost:{port}/")).unwrap();
        assert_eq!(ws.peer_addr(), Some(server.address));
        let host = ws.response().unwrap().header("X-Host");
        assert_eq!(host, Some(format!("localhost:{port}").as_str()));
    });
}

#[test]
fn an_ipv6_address_is_dialled_in_brackets() {
    bounded(|| {
        if TcpListener::bind("[::1]:0").is_err() {
            println!("skipped: there is no IPv6 here");
            return;
        }
        let (heard, hears) = channel();
        let server = Server::at("::1", move |asked, mut stream| {
            stream.write_all(&asked.upgrade(&[])).unwrap();
            heard.send(asked).unwrap();
            wait_for_end(&stream);
        });
        assert!(server.url.starts_with("ws://[::1]:"));
        let ws = dial(&server.url).unwrap();
        assert_eq!(ws.peer_addr(), Some(server.address));
        let host = server.address.to_string();
        let asked = hears.recv().unwrap();
        assert_eq!(asked.header("Host"), Some(host.as_str()));
    });
}

#[test]
fn a_url_that_cannot_be_dialled_is_named_with_the_reason() {
    for (url, says) in [
        ("http://localhost/", "scheme must be ws"),
        ("localhost:8080", "scheme must be ws"),
        ("ws://localhost/#part", "fragment"),
        ("ws://localhost:70000/", "port"),
        ("ws://", ""),
        ("", ""),
    ] {
        let error = dial(url).unwrap_err();
        assert!(matches!(error, Error::InvalidUrl { .. }), "{error:?}");
        let named = error.to_string().starts_with(&format!("URL {url:?}: "));
        assert!(named && error.to_string().contains(says), "{error}");
    }
    #[cfg(not(feature = "tls"))]
    {
        let error = dial("wss://localhost/").unwrap_err();
        assert!(matches!(error, Error::Unsupported(_)), "{error:?}");
    }
}
