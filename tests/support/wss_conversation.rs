//! A whole conversation over wss, through something that divides it, and may falsify it.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use talkws::{
    ClientTls, CloseCode, Connection, Deadline, DialOptions, ListenOptions, Listener, Message,
    ServerTls, UpgradeOptions,
};

use super::oracle::pieces;

/// How long a call may take before something has gone wrong.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a call waits for what may never come: the rest of a record whose length was falsified.
const DOUBT: Duration = Duration::from_millis(200);

/// A server that sends back what it gets, and its clients' trust in it: one for all conversations.
struct Server {
    path: std::path::PathBuf,
    dial: DialOptions,
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["test.example".to_owned()]).unwrap();
        let chain = params.self_signed(&key).unwrap().pem();
        let tls = ServerTls::new()
            .certificate_pem(&chain, key.serialize_pem())
            .unwrap();
        let folder = std::env::temp_dir();
        let path = folder.join(format!("talkws-wss-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let socket = UnixListener::bind(&path).unwrap();
        let listener = ListenOptions::new().tls(tls).listen_on([socket]).unwrap();
        thread::spawn(move || serve(&listener));
        let trust = ClientTls::new().ca_pem(chain).unwrap();
        let dial = DialOptions::new().tls(trust).close_timeout(PATIENCE);
        Server {
            path,
            dial: dial.timeout(PATIENCE),
        }
    })
}

fn serve(listener: &Listener) {
    while let Ok(request) = listener.accept() {
        thread::spawn(move || {
            let Ok(ws) = request.upgrade(UpgradeOptions::new()) else {
                return;
            };
            while let Ok(message) = ws.read() {
                if ws.write(&message).is_err() {
                    return;
                }
            }
        });
    }
}

/// Carries bytes from one socket to another, divided as the cuts say. The byte at `falsified` is
/// changed on the way.
fn carry(mut from: UnixStream, mut to: UnixStream, cuts: &[u8], falsified: Option<usize>) {
    let mut buffer = vec![0; 100_000];
    let mut carried = 0;
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if let Some(at) = falsified
            && (carried..carried + length).contains(&at)
        {
            buffer[at - carried] ^= 0x10;
        }
        carried += length;
        for (piece, _) in pieces(&buffer[..length], cuts) {
            if to.write_all(piece).is_err() {
                let _ = from.shutdown(Shutdown::Both);
                return;
            }
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// Has messages sent back over wss, whose bytes are divided by `cuts` on the way. With a falsified
/// byte, on the way to the client, there may be an error, but no other message than was sent.
pub fn converse(messages: &[&[u8]], cuts: &[u8], falsified: Option<usize>) {
    let server = server();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let onwards = UnixStream::connect(&server.path).unwrap();
    thread::scope(|scope| {
        let (from, to) = (theirs.try_clone().unwrap(), onwards.try_clone().unwrap());
        scope.spawn(move || carry(from, to, cuts, None));
        scope.spawn(move || carry(onwards, theirs, cuts, falsified));
        let deadline = match falsified {
            Some(_) => Deadline::after(DOUBT),
            None => Deadline::NEVER,
        };
        let outcome = server
            .dial
            .dial_on(ours, "wss://test.example/", deadline)
            .and_then(|ws| {
                let patience = if falsified.is_some() { DOUBT } else { PATIENCE };
                let outcome = exchange(&ws, messages, patience);
                // Whatever is left of it ends here.
                ws.abort();
                outcome
            });
        if let Err(error) = outcome {
            assert!(falsified.is_some(), "{error}");
        }
    });
}

fn exchange(ws: &Connection, messages: &[&[u8]], patience: Duration) -> talkws::Result<()> {
    for message in messages {
        ws.write_binary(message)?;
    }
    for message in messages {
        let echo: Message = ws.read_within(patience)?;
        assert!(echo.as_bytes() == *message);
    }
    ws.close_within(CloseCode::Normal, "", patience)
}
