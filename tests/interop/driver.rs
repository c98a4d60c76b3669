//! talkws as a peer of the interoperability tests, in either role.
//!
//! The contract that its command line and its routes keep is in README.md beside this file.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::io::Read;
use std::process::ExitCode;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use talkws::{
    CloseCode, ClosedBy, Connection, DeflateOptions, DialOptions, Error, ListenOptions, Message,
    MessageKind, Request, UpgradeOptions,
};

const NON_ASCII: &str = "Grüße, 世界 🦀 مرحبا";
const FRAGMENTED: &str = "é世🦀 in pieces of three bytes, which split 🦀世é";
const FRAGMENTED_BINARY: &[u8] = &[0, 0xFF, 0x80, 0xC3, 0x28, 0, 0xF0, 0x9F];
const REASON: &str = "some reason ✓";
const V1: &str = "talkws.v1";
const V2: &str = "talkws.v2";

type Outcome<T = ()> = Result<T, Box<dyn StdError>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["server"] => match serve() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        },
        ["client", url] => run_checks(url),
        _ => {
            eprintln!("usage: interop_driver server | client URL");
            ExitCode::from(2)
        }
    }
}

/// Bounds every wait for the other peer.
fn timeout() -> Duration {
    let seconds = std::env::var("INTEROP_TIMEOUT").ok();
    Duration::from_secs(seconds.and_then(|text| text.parse().ok()).unwrap_or(10))
}

/// How messages are to be compressed, if that was said: with these parameters, for this end that
/// is the `own` of RFC 7692, and the other. All of them are.
fn deflate(own: &str, peer: &str) -> talkws::Result<Option<DeflateOptions>> {
    let Ok(parameters) = std::env::var("INTEROP_DEFLATE") else {
        return Ok(None);
    };
    let mut deflate = DeflateOptions::new().threshold(0);
    for parameter in parameters.split(',').filter(|name| !name.is_empty()) {
        let (name, bits) = parameter.split_once('=').unwrap_or((parameter, ""));
        let bits = bits.parse().unwrap_or_default();
        let is = |end: &str, what: &str| name == format!("{end}_{what}");
        deflate = if is(own, "no_context_takeover") {
            deflate.own_no_context_takeover(true)
        } else if is(peer, "no_context_takeover") {
            deflate.peer_no_context_takeover(true)
        } else if is(own, "max_window_bits") {
            deflate.own_max_window_bits(bits)?
        } else {
            deflate.peer_max_window_bits(bits)?
        };
    }
    Ok(Some(deflate))
}

/// An error when messages were to be compressed, and the other end did not agree.
fn check_deflate(ws: &Connection) -> Outcome {
    match (std::env::var("INTEROP_DEFLATE"), ws.deflate_parameters()) {
        (Ok(_), None) => Err("the other end did not agree to compress".into()),
        _ => Ok(()),
    }
}

/// Writes a message in parts of three bytes, with an empty one and a Ping after the first.
fn write_parts(
    ws: &Connection,
    kind: MessageKind,
    payload: &[u8],
    ping: Option<&str>,
) -> talkws::Result<()> {
    let (first, rest) = payload.split_at(3);
    ws.write_part(kind, first, false, timeout())?;
    ws.write_part(kind, &[], false, timeout())?;
    if let Some(ping) = ping {
        ws.ping(ping.as_bytes())?;
    }
    let last = rest.chunks(3).count() - 1;
    for (index, part) in rest.chunks(3).enumerate() {
        ws.write_part(kind, part, index == last, timeout())?;
    }
    Ok(())
}

/// Reads until a Pong comes that is not `before`, and gives its payload.
fn next_pong(ws: &Connection, before: Option<Vec<u8>>) -> Outcome<Vec<u8>> {
    let start = Instant::now();
    loop {
        match ws.last_pong() {
            Some(pong) if Some(&pong) != before.as_ref() => return Ok(pong),
            _ if start.elapsed() > timeout() => return Err("no pong".into()),
            _ => {}
        }
        // A Pong ends no read, so this looks for one now and then.
        match ws.read_within(Duration::from_millis(5)) {
            Ok(message) => return Err(format!("{message:?} instead of a pong").into()),
            Err(Error::TimedOut { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

// The server

/// How each connection with an id ended.
#[derive(Default)]
struct Ends {
    by_id: Mutex<HashMap<String, String>>,
    added: Condvar,
}

impl Ends {
    fn put(&self, id: Option<&String>, end: String) {
        if let Some(id) = id {
            self.by_id.lock().unwrap().insert(id.clone(), end);
            self.added.notify_all();
        }
    }

    fn take(&self, id: &str) -> String {
        let by_id = self.by_id.lock().unwrap();
        let is_missing = |by_id: &mut HashMap<String, String>| !by_id.contains_key(id);
        let waited = self.added.wait_timeout_while(by_id, timeout(), is_missing);
        let end = waited.unwrap().0.remove(id);
        end.unwrap_or_else(|| "0 the connection did not end".to_owned())
    }
}

const ROUTES: &[&str] = &[
    "/",
    "/close",
    "/outcome",
    "/ping",
    "/fragments",
    "/subprotocol",
];

fn serve() -> talkws::Result<()> {
    let mut options = ListenOptions::new();
    if let Some(deflate) = deflate("server", "client")? {
        options = options.deflate(deflate);
    }
    let listener = options.listen("ws://127.0.0.1:0")?;
    println!("Listening on {}", listener.url());
    // The test that started this holds the other end of our input, until it ends.
    thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let ends = Arc::new(Ends::default());
    loop {
        let request = listener.accept()?;
        let ends = ends.clone();
        thread::spawn(move || {
            let path = request.head().target().to_owned();
            match answer(request, &ends) {
                Err(error) if error.downcast_ref().is_none_or(is_failure) => {
                    eprintln!("{path}: {error}");
                }
                _ => {}
            }
        });
    }
}

fn is_failure(error: &Error) -> bool {
    !matches!(error, Error::Closed(_))
}

fn answer(request: Request, ends: &Ends) -> Outcome {
    let query = parse_query(request.query().unwrap_or(""));
    let text = |name| query.get(name).map_or("", String::as_str);
    let offered: Vec<String> = request.subprotocols().map(str::to_owned).collect();
    let mut options = UpgradeOptions::new();
    let path = request.path().to_owned();
    if path == "/subprotocol" && offered.iter().any(|name| name == V2) {
        options = options.subprotocol(V2)?;
    }
    let ws = match path.as_str() {
        "/refuse" => return Ok(request.refuse(403, "no")?),
        path if ROUTES.contains(&path) => request.upgrade(options)?,
        _ => return Ok(request.refuse(404, "no such route")?),
    };
    check_deflate(&ws)?;
    match path.as_str() {
        "/" => {
            let end = echo(&ws);
            ends.put(query.get("id"), describe(&end));
            Err(end.into())
        }
        "/close" => {
            let code = text("code").parse().map_or(CloseCode::Status, u16::into);
            let closed = ws.close(code, text("reason"));
            let end = match ws.close_info() {
                Some(info) => Error::Closed(info),
                None => closed.err().ok_or("closed, but not said how")?,
            };
            ends.put(query.get("id"), describe(&end));
            Err(end.into())
        }
        "/outcome" => {
            ws.write(Message::text(ends.take(text("id"))))?;
            discard(&ws)
        }
        "/ping" => {
            ws.ping(text("payload").as_bytes())?;
            report_pong(&ws)
        }
        "/fragments" => {
            let text = FRAGMENTED.as_bytes();
            write_parts(&ws, MessageKind::Text, text, Some("between"))?;
            write_parts(&ws, MessageKind::Binary, FRAGMENTED_BINARY, None)?;
            report_pong(&ws)
        }
        "/subprotocol" => {
            ws.write(Message::text(offered.join(",")))?;
            discard(&ws)
        }
        _ => unreachable!("not one of the routes"),
    }
}

fn echo(ws: &Connection) -> Error {
    loop {
        match ws.read() {
            Ok(message) => match ws.write(message) {
                Ok(()) => {}
                Err(error) => return error,
            },
            Err(error) => return error,
        }
    }
}

fn report_pong(ws: &Connection) -> Outcome {
    let pong = next_pong(ws, None)?;
    let pong = String::from_utf8_lossy(&pong);
    ws.write(Message::text(format!("pong {pong}")))?;
    discard(ws)
}

/// Waits for the client to close.
fn discard(ws: &Connection) -> Outcome {
    loop {
        ws.read_within(timeout())?;
    }
}

fn describe(end: &Error) -> String {
    match end {
        Error::Closed(info) => format!("{} {}", u16::from(info.code), info.reason),
        error => format!("1006 {error}"),
    }
}

fn parse_query(query: &str) -> HashMap<String, String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), percent_decode(value)))
        .collect()
}

fn percent_decode(text: &str) -> String {
    let mut decoded = Vec::new();
    let mut bytes = text.bytes();
    let hex = |digit: Option<u8>| char::from(digit?).to_digit(16);
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => match (hex(bytes.next()), hex(bytes.next())) {
                (Some(high), Some(low)) => (high * 16 + low) as u8,
                _ => b'?',
            },
            other => other,
        });
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn percent_encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

// The client

/// The server under test.
struct Checks<'a> {
    base: &'a str,
    last_id: u32,
}

impl Checks<'_> {
    fn dial(&self, path: &str) -> talkws::Result<Connection> {
        let mut options = DialOptions::new().timeout(timeout());
        if let Some(deflate) = deflate("client", "server")? {
            options = options.deflate(deflate);
        }
        options
            .close_timeout(timeout())
            .dial(&format!("{}{path}", self.base))
    }

    fn next_id(&mut self) -> String {
        self.last_id += 1;
        format!("talkws-{}", self.last_id)
    }

    fn echo(&self, messages: &[Message]) -> Outcome {
        let ws = self.dial("/")?;
        check_deflate(&ws)?;
        for message in messages {
            ws.write(message)?;
        }
        for message in messages {
            expect(&ws, message)?;
        }
        leave(&ws)
    }

    fn echo_text(&self, text: &str) -> Outcome {
        self.echo(&[Message::text(text)])
    }

    fn echo_parts(&self, message: &Message, ping: Option<&str>) -> Outcome {
        let ws = self.dial("/")?;
        write_parts(&ws, message.kind(), message.as_bytes(), ping)?;
        expect(&ws, message)?;
        if let Some(ping) = ping {
            expect_pong(&ws, None, ping)?;
        }
        leave(&ws)
    }

    fn parts_from_server(&self) -> Outcome {
        let ws = self.dial("/fragments")?;
        expect(&ws, &Message::text(FRAGMENTED))?;
        expect(&ws, &Message::binary(FRAGMENTED_BINARY))?;
        expect(&ws, &Message::text("pong between"))?;
        leave(&ws)
    }

    fn ping(&self) -> Outcome {
        let ws = self.dial("/")?;
        for payload in ["ping", "", &"p".repeat(125)] {
            let before = ws.last_pong();
            ws.ping(payload.as_bytes())?;
            expect_pong(&ws, before, payload)?;
        }
        leave(&ws)
    }

    fn ping_from_server(&self) -> Outcome {
        let ws = self.dial("/ping?payload=are+you+there")?;
        expect(&ws, &Message::text("pong are you there"))?;
        leave(&ws)
    }

    /// Asks the server how the connection with that id ended.
    fn expect_outcome(&self, id: &str, code: u16, reason: Option<&str>) -> Outcome {
        let ws = self.dial(&format!("/outcome?id={id}"))?;
        let outcome = ws.read_within(timeout())?;
        let outcome = outcome.as_text().ok_or("the outcome is not text")?;
        let (got_code, got_reason) = outcome.split_once(' ').unwrap_or((outcome, ""));
        if got_code != code.to_string() || reason.is_some_and(|reason| reason != got_reason) {
            let why = format!("the server saw {outcome:?}, not {code} {reason:?}");
            return Err(why.into());
        }
        leave(&ws)
    }

    fn close(&mut self, code: u16, reason: &str) -> Outcome {
        let id = self.next_id();
        let ws = self.dial(&format!("/?id={id}"))?;
        ws.close(code.into(), reason)?;
        expect_closed(&ws, code, None, ClosedBy::Local)?;
        self.expect_outcome(&id, code, Some(reason))
    }

    fn closed(&mut self, code: u16, reason: &str) -> Outcome {
        let id = self.next_id();
        let mut path = format!("/close?id={id}");
        if code != 1005 {
            path += &format!("&code={code}&reason={}", percent_encode(reason));
        }
        let ws = self.dial(&path)?;
        expect_closed(&ws, code, Some(reason), ClosedBy::Peer)?;
        self.expect_outcome(&id, code, None)
    }

    fn subprotocol(&self, offered: &[&str], chosen: Option<&str>) -> Outcome {
        let mut options = DialOptions::new().timeout(timeout());
        for name in offered {
            options = options.subprotocol(name)?;
        }
        let ws = options.dial(&format!("{}/subprotocol", self.base))?;
        if ws.subprotocol() != chosen {
            let got = ws.subprotocol();
            return Err(format!("the server chose {got:?}, not {chosen:?}").into());
        }
        expect(&ws, &Message::text(offered.join(",")))?;
        leave(&ws)
    }

    fn refused(&self, path: &str, status: u16) -> Outcome {
        match self.dial(path) {
            Err(Error::Refused(refusal)) if refusal.status() == status => Ok(()),
            Err(error) => Err(format!("{error}, not refused with {status}").into()),
            Ok(_) => Err("not refused".into()),
        }
    }
}

fn expect(ws: &Connection, want: &Message) -> Outcome {
    let got = ws.read_within(timeout())?;
    if got.kind() != want.kind() {
        return Err(format!("{:?}, not {:?}", got.kind(), want.kind()).into());
    }
    if got.as_bytes() != want.as_bytes() {
        let (got, want) = (brief(&got), brief(want));
        return Err(format!("wrong payload: {got}, not {want}").into());
    }
    Ok(())
}

fn brief(message: &Message) -> String {
    let start = &message.as_bytes()[..message.len().min(60)];
    format!("\"{}\" of {} bytes", start.escape_ascii(), message.len())
}

fn expect_pong(ws: &Connection, before: Option<Vec<u8>>, want: &str) -> Outcome {
    let got = next_pong(ws, before)?;
    if got != want.as_bytes() {
        let got = got.escape_ascii();
        return Err(format!("pong with \"{got}\", not {want:?}").into());
    }
    Ok(())
}

/// Waits for the end; it must be a close with that code.
fn expect_closed(ws: &Connection, code: u16, reason: Option<&str>, by: ClosedBy) -> Outcome {
    match ws.read_within(timeout()) {
        Ok(message) => Err(format!("{} instead of a close", brief(&message)).into()),
        Err(Error::Closed(info)) => {
            let is_right = u16::from(info.code) == code
                && reason.is_none_or(|reason| reason == info.reason)
                && info.by == by;
            let why = || format!("{info}, not by {by:?} with {code}, reason {reason:?}");
            is_right.then_some(()).ok_or_else(|| why().into())
        }
        Err(error) => Err(error.into()),
    }
}

fn leave(ws: &Connection) -> Outcome {
    ws.close(CloseCode::Normal, "")?;
    expect_closed(ws, 1000, None, ClosedBy::Local)
}

/// Exactly 1 MiB of text with characters of one to four bytes.
fn mebibyte() -> String {
    let mut text = "é世🦀.".repeat((1 << 20) / 10);
    text += &"x".repeat((1 << 20) - text.len());
    text
}

fn run_checks(base: &str) -> ExitCode {
    let mut checks = Checks { base, last_id: 0 };
    let binary = |data: &[u8]| [Message::binary(data)];
    let lengths = [1, 125, 126, 127, 65_535, 65_536];
    let lengths = lengths.map(|length| Message::binary(vec![b'l'; length]));
    let many: Vec<_> = (0..100)
        .map(|i| Message::text(format!("message {i}")))
        .collect();
    let fragmented = Message::text(FRAGMENTED);

    type Run<'a> = Box<dyn Fn(&mut Checks) -> Outcome + 'a>;
    let all: [(&str, Run); 26] = [
        ("text", Box::new(|c| c.echo_text("Hello"))),
        ("empty text", Box::new(|c| c.echo_text(""))),
        ("non-ASCII text", Box::new(|c| c.echo_text(NON_ASCII))),
        ("1 MiB text", Box::new(|c| c.echo_text(&mebibyte()))),
        (
            "binary",
            Box::new(|c| c.echo(&binary(&[0, 1, 0x80, 0xFE, 0xFF]))),
        ),
        ("empty binary", Box::new(|c| c.echo(&binary(&[])))),
        (
            "1 MiB binary",
            Box::new(|c| c.echo(&binary(&[0xFF, 0, 0x80, 7].repeat(1 << 18)))),
        ),
        ("frame length boundaries", Box::new(|c| c.echo(&lengths))),
        ("many messages in order", Box::new(|c| c.echo(&many))),
        (
            "fragmented text",
            Box::new(|c| c.echo_parts(&fragmented, None)),
        ),
        (
            "fragmented binary",
            Box::new(|c| c.echo_parts(&Message::binary(FRAGMENTED_BINARY), None)),
        ),
        (
            "ping between fragments",
            Box::new(|c| c.echo_parts(&fragmented, Some("between"))),
        ),
        (
            "fragments from the server",
            Box::new(|c| c.parts_from_server()),
        ),
        ("ping", Box::new(|c| c.ping())),
        ("ping from the server", Box::new(|c| c.ping_from_server())),
        ("close with 1000", Box::new(|c| c.close(1000, ""))),
        ("close with 4001", Box::new(|c| c.close(4001, REASON))),
        ("close without a code", Box::new(|c| c.close(1005, ""))),
        (
            "closed by the server with 1000",
            Box::new(|c| c.closed(1000, "")),
        ),
        (
            "closed by the server with 4001",
            Box::new(|c| c.closed(4001, REASON)),
        ),
        (
            "closed by the server without a code",
            Box::new(|c| c.closed(1005, "")),
        ),
        (
            "subprotocol chosen",
            Box::new(|c| c.subprotocol(&[V1, V2], Some(V2))),
        ),
        (
            "subprotocol declined",
            Box::new(|c| c.subprotocol(&[V1], None)),
        ),
        (
            "no subprotocol offered",
            Box::new(|c| c.subprotocol(&[], None)),
        ),
        ("refused with 403", Box::new(|c| c.refused("/refuse", 403))),
        (
            "refused with 404",
            Box::new(|c| c.refused("/nothing-here", 404)),
        ),
    ];
    let mut exit = ExitCode::SUCCESS;
    for (name, run) in all {
        match run(&mut checks) {
            Ok(()) => println!("ok {name}"),
            Err(why) => {
                println!("not ok {name}: {why}");
                exit = ExitCode::FAILURE;
            }
        }
    }
    exit
}
