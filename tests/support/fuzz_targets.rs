//! The bodies of the fuzz targets, which `tests/corpora.rs` runs too. Each panics when something
//! is wrong.
//!
//! Inputs begin with a byte that chooses, a byte with the number of cuts (see
//! [`pieces`](super::oracle::pieces)), and the cuts; the rest is what the peer sends.

use talkws::protocol::Role;
use talkws::protocol::handshake::HeadScan;
use talkws::protocol::handshake::client::{Answer, ClientHandshake};
use talkws::protocol::handshake::server::{Progress, Rules};
use talkws::url::Url;
use talkws::{DialOptions, ListenOptions, MAX_HEAD_SIZE, MAX_HEADERS, OriginRule, UpgradeOptions};
use tungstenite::handshake::derive_accept_key;

#[cfg(feature = "deflate")]
use super::deflate_targets;
use super::oracle::{MIN_LIMIT, compare, decode, pieces};

/// Takes any bytes.
pub type Target = fn(&[u8]);

/// The name and the body of each target; a corpus stands in the folder of that name.
pub const TARGETS: &[(&str, Target)] = &[
    ("decoder_oracle", decoder_oracle),
    ("decoder_split", decoder_split),
    ("server_handshake", server_handshake),
    ("client_handshake", client_handshake),
    #[cfg(feature = "tls")]
    ("wss_split", wss_split),
    #[cfg(feature = "deflate")]
    ("extension_header", deflate_targets::extension_header),
    #[cfg(feature = "deflate")]
    ("inflater", deflate_targets::inflater),
];

/// Our decoder and tungstenite agree.
pub fn decoder_oracle(input: &[u8]) {
    let Some(case) = Case::new(input) else { return };
    if let Err(disagreement) = compare(case.role(), case.limit(), case.bytes, case.cuts) {
        panic!("{:?}, {}: {disagreement}", case.role(), case.limit());
    }
}

/// Our decoder gives the same, and keeps the same, however the bytes are divided.
pub fn decoder_split(input: &[u8]) {
    let Some(case) = Case::new(input) else { return };
    let whole = decode(case.role(), case.limit(), case.bytes, &[]);
    // 0 and 1 are cuts after every byte; in place, as 1 has it, where there is payload.
    for cuts in [&[0], &[1], case.cuts] {
        let divided = decode(case.role(), case.limit(), case.bytes, cuts);
        assert_eq!(divided, whole, "divided by {cuts:?}");
    }
}

/// A conversation over wss is the same however its bytes are divided, and a falsified byte makes
/// no message another one.
#[cfg(feature = "tls")]
pub fn wss_split(input: &[u8]) {
    let Some(case) = Case::new(input) else { return };
    let cut = [case.choice / 2];
    let messages: Vec<&[u8]> = pieces(case.bytes, &cut)
        .map(|(piece, _)| piece)
        .take(32)
        .collect();
    // Somewhere in the handshake, or in the messages after it.
    let at = case.bytes.iter().map(|&byte| usize::from(byte)).sum();
    let falsified = (case.choice & 1 == 1).then_some(at);
    super::wss_conversation::converse(&messages, case.cuts, falsified);
}

/// A server's verdict about a request is the same however it is divided, and what it upgrades
/// is a request to upgrade.
pub fn server_handshake(input: &[u8]) {
    let Some(case) = Case::new(input) else { return };
    let rules = rules(case.choice);
    let whole = judge_request(&rules, case.bytes, &[]);
    let divided = judge_request(&rules, case.bytes, case.cuts);
    match (&whole, &divided) {
        // It may be looked at later, but not otherwise.
        (Verdict::No(_), Verdict::NotYet) => {
            let ended = [case.bytes, b"\r\n\r\n"].concat();
            assert_eq!(judge_request(&rules, &ended, case.cuts), whole);
        }
        _ => assert_eq!(divided, whole, "divided by {:?}", case.cuts),
    }
}

fn rules(choice: u8) -> Rules {
    let mut options = ListenOptions::new();
    if choice & 1 != 0 {
        options = options.subprotocol("chat").unwrap();
        options = options.subprotocol("chat.v2").unwrap();
    }
    options = options.require_subprotocol(choice & 2 != 0);
    options = options.origins(match choice >> 2 & 3 {
        0 => OriginRule::SameHost,
        1 => OriginRule::Only(vec!["https://example.org".into()]),
        _ => OriginRule::Any,
    });
    let route = (choice & 16 != 0).then(|| "/talk-to-server".to_owned());
    Rules::new(route, &options)
}

/// What became of a head.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    NotYet,
    /// The size of the head, and what was made of it.
    Yes(usize, String),
    No(String),
}

fn judge_request(rules: &Rules, bytes: &[u8], cuts: &[u8]) -> Verdict {
    let mut scan = HeadScan::default();
    let mut received = Vec::new();
    for (piece, _) in pieces(bytes, cuts) {
        received.extend_from_slice(piece);
        match rules.read(&mut scan, &received, None) {
            Progress::Incomplete => {}
            Progress::Refuse(refusal) => {
                assert!((400..500).contains(&refusal.status), "{refusal:?}");
                let answer = String::from_utf8(refusal.to_bytes()).unwrap();
                return Verdict::No(answer);
            }
            Progress::Complete(size, request) => {
                let (answer, subprotocol) = request.accept(&UpgradeOptions::new()).unwrap();
                check_upgrade(&received[..size], &answer, subprotocol.as_deref());
                let mut lines = [httparse::EMPTY_HEADER; MAX_HEADERS];
                let mut parsed = httparse::Request::new(&mut lines);
                parsed.parse(&received[..size]).unwrap();
                assert_eq!(request.head.target(), parsed.path.unwrap());
                assert_same_headers(request.head.headers(), parsed.headers);
                if let Some(route) = &rules.route {
                    assert_eq!(request.head.path(), route);
                }
                let answer = String::from_utf8(answer).unwrap();
                return Verdict::Yes(size, answer);
            }
        }
    }
    Verdict::NotYet
}

/// Looks again at a request that was found good, and at the answer to it, with httparse alone.
fn check_upgrade(head: &[u8], answer: &[u8], subprotocol: Option<&str>) {
    assert!(head.len() <= MAX_HEAD_SIZE);
    let mut lines = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut lines);
    let size = request.parse(head).unwrap();
    assert_eq!(size, httparse::Status::Complete(head.len()));
    assert_eq!((request.method, request.version), (Some("GET"), Some(1)));
    assert_eq!(values(request.headers, "host").count(), 1);
    assert!(has_token(request.headers, "upgrade", "websocket"));
    assert!(has_token(request.headers, "connection", "upgrade"));
    assert!(values(request.headers, "sec-websocket-version").eq([b"13"]));
    let keys: Vec<_> = values(request.headers, "sec-websocket-key").collect();
    assert_eq!((keys.len(), keys[0].len()), (1, 24));

    let mut lines = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut lines);
    let size = response.parse(answer).unwrap();
    assert_eq!(size, httparse::Status::Complete(answer.len()));
    assert_eq!(response.code, Some(101));
    let accept = derive_accept_key(keys[0]);
    assert!(values(response.headers, "sec-websocket-accept").eq([accept.as_bytes()]));
    let chosen = subprotocol.iter().map(|name| name.as_bytes());
    assert!(values(response.headers, "sec-websocket-protocol").eq(chosen));
    if let Some(name) = subprotocol {
        assert!(has_token(request.headers, "sec-websocket-protocol", name));
    }
}

/// Where this stands in an input for [`client_handshake`], the right Sec-WebSocket-Accept is put.
const ACCEPT: &str = "{accept}";

/// A client's verdict about a response is the same however it is divided, and what it takes for
/// an upgrade is one.
pub fn client_handshake(input: &[u8]) {
    let Some(case) = Case::new(input) else { return };
    let whole = judge_response(case.choice, case.bytes, &[]);
    let divided = judge_response(case.choice, case.bytes, case.cuts);
    match (&whole, &divided) {
        (Verdict::No(_), Verdict::NotYet) => {
            let ended = [case.bytes, b"\r\n\r\n"].concat();
            assert_eq!(judge_response(case.choice, &ended, case.cuts), whole);
        }
        _ => assert_eq!(divided, whole, "divided by {:?}", case.cuts),
    }
}

fn judge_response(choice: u8, bytes: &[u8], cuts: &[u8]) -> Verdict {
    let mut options = DialOptions::new();
    if choice & 1 != 0 {
        options = options.subprotocol("chat").unwrap();
        options = options.subprotocol("chat.v2").unwrap();
    }
    options = options.require_subprotocol(choice & 2 != 0);
    let url = Url::parse("ws://localhost:8080/talk-to-server").unwrap();
    let (request, mut handshake) = ClientHandshake::request(&url, &options).unwrap();
    let mut lines = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut lines);
    parsed.parse(&request).unwrap();
    let key = values(parsed.headers, "sec-websocket-key").next().unwrap();
    let accept = derive_accept_key(key);

    let bytes = replace(bytes, ACCEPT.as_bytes(), accept.as_bytes());
    let mut received = Vec::new();
    for (piece, _) in pieces(&bytes, cuts) {
        received.extend_from_slice(piece);
        match handshake.read(&received) {
            Ok(None) => {}
            // The keys of two handshakes differ, and nothing else may.
            Err(error) => return Verdict::No(error.to_string().replace(&accept, ACCEPT)),
            Ok(Some((size, answer))) => {
                let (head, subprotocol, deflate) = match answer {
                    Answer::Upgraded {
                        head,
                        subprotocol,
                        deflate,
                    } => (head, Some(subprotocol), deflate),
                    Answer::Refused(head) => (head, None, None),
                };
                let status = check_response(&received[..size], &accept, subprotocol.as_ref());
                if deflate.is_none() && subprotocol.is_some() {
                    let mut extensions = head
                        .headers()
                        .filter(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-extensions"));
                    let is_nothing = |value: &[u8]| value.iter().all(|b| b" \t,".contains(b));
                    assert!(extensions.all(|(_, value)| is_nothing(value)));
                }
                assert_eq!(head.status(), status);
                let mut lines = [httparse::EMPTY_HEADER; MAX_HEADERS];
                let mut parsed = httparse::Response::new(&mut lines);
                let start = last_head(&received[..size]);
                parsed.parse(&received[start..size]).unwrap();
                assert_same_headers(head.headers(), parsed.headers);
                return Verdict::Yes(size, format!("{status} {subprotocol:?} {deflate:?}"));
            }
        }
    }
    Verdict::NotYet
}

/// Looks again at what a server said, with httparse alone, and gives the status. `subprotocol`
/// is what the client made of an upgrade.
fn check_response(heads: &[u8], accept: &str, subprotocol: Option<&Option<String>>) -> u16 {
    let mut lines = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut lines);
    response.parse(&heads[last_head(heads)..]).unwrap();
    let status = response.code.unwrap();
    assert_eq!(status == 101, subprotocol.is_some());
    if let Some(subprotocol) = subprotocol {
        assert!(has_token(response.headers, "upgrade", "websocket"));
        assert!(has_token(response.headers, "connection", "upgrade"));
        assert!(values(response.headers, "sec-websocket-accept").eq([accept.as_bytes()]));
        let chosen = subprotocol.iter().map(|name| name.as_bytes());
        assert!(values(response.headers, "sec-websocket-protocol").eq(chosen));
    }
    status
}

/// Where the last of several heads begins; those before it are interim responses.
fn last_head(heads: &[u8]) -> usize {
    let mut start = 0;
    loop {
        let mut lines = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut lines);
        let httparse::Status::Complete(size) = response.parse(&heads[start..]).unwrap() else {
            panic!("a head that is not whole was accepted");
        };
        assert!(size <= MAX_HEAD_SIZE);
        if start + size == heads.len() {
            return start;
        }
        assert!(matches!(response.code, Some(100 | 102..=199)));
        start += size;
    }
}

fn values<'a>(
    headers: &'a [httparse::Header<'a>],
    name: &'a str,
) -> impl Iterator<Item = &'a [u8]> {
    headers
        .iter()
        .filter(move |header| header.name.eq_ignore_ascii_case(name))
        .map(|header| header.value)
}

fn has_token(headers: &[httparse::Header<'_>], name: &str, token: &str) -> bool {
    values(headers, name)
        .flat_map(|value| value.split(|&byte| byte == b','))
        .any(|member| member.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// A head that walks its own lines must find in them what httparse finds.
fn assert_same_headers<'a>(
    ours: impl Iterator<Item = (&'a str, &'a [u8])>,
    theirs: &[httparse::Header<'_>],
) {
    let theirs: Vec<_> = theirs
        .iter()
        .map(|h| (h.name, h.value.trim_ascii()))
        .collect();
    assert_eq!(ours.collect::<Vec<_>>(), theirs);
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        replaced.extend_from_slice(&rest[..at]);
        replaced.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    replaced.extend_from_slice(rest);
    replaced
}

/// An input, taken apart.
pub struct Case<'a> {
    pub choice: u8,
    pub cuts: &'a [u8],
    pub bytes: &'a [u8],
}

impl<'a> Case<'a> {
    pub fn new(input: &'a [u8]) -> Option<Self> {
        let (&[choice, count], rest) = input.split_first_chunk()?;
        let (cuts, bytes) = rest.split_at_checked(usize::from(count % 16))?;
        Some(Case {
            choice,
            cuts,
            bytes,
        })
    }

    pub fn role(&self) -> Role {
        match self.choice & 1 {
            0 => Role::Server,
            _ => Role::Client,
        }
    }

    fn limit(&self) -> usize {
        [MIN_LIMIT, 1000, 70_000, 1 << 20][usize::from(self.choice >> 1 & 3)]
    }
}
