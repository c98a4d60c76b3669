//! What TLS promises as a transport, seen from the transport below it.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, OnceLock, Weak};
use std::thread;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use socket2::{SockRef, Socket};

use super::{BATCH, SENDABLE, Tls};
use crate::deadline::Deadline;
use crate::tls::{ClientTls, ServerTls};
use crate::transport::tcp::Tcp;
use crate::transport::{Halt, Readiness, Transport};

/// A socket that fails the test when the session above it is locked during a call. Only one
/// thread uses the session, so nobody else can have locked it.
#[derive(Debug)]
struct Watching {
    socket: Tcp,
    above: Arc<OnceLock<Weak<Tls>>>,
}

impl Watching {
    fn check(&self) {
        if let Some(tls) = self.above.get().and_then(Weak::upgrade) {
            assert!(tls.session.try_lock().is_some(), "the session is locked");
        }
    }
}

// SAFETY: as the socket below.
unsafe impl Transport for Watching {
    fn receive(&self, buffer: &mut [MaybeUninit<u8>], deadline: Deadline) -> Result<usize, Halt> {
        self.check();
        self.socket.receive(buffer, deadline)
    }

    fn send(&self, pieces: &[IoSlice<'_>], deadline: Deadline) -> Result<usize, Halt> {
        self.check();
        self.socket.send(pieces, deadline)
    }

    fn flush(&self, _: Deadline) -> Result<(), Halt> {
        self.check();
        Ok(())
    }

    fn wait(&self, wanted: Readiness, deadline: Deadline) -> Result<Readiness, Halt> {
        self.check();
        self.socket.wait(wanted, deadline)
    }

    fn has_unread(&self) -> bool {
        self.check();
        self.socket.has_unread()
    }

    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    fn shutdown(&self, how: Shutdown) {
        self.check();
        self.socket.shutdown(how);
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        None
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        None
    }
}

fn over(socket: UnixStream, make: impl FnOnce(Box<dyn Transport>) -> Tls) -> Arc<Tls> {
    let above = Arc::new(OnceLock::new());
    let socket = Tcp::new(Socket::from(socket)).unwrap();
    let tls = Arc::new(make(Box::new(Watching {
        socket,
        above: above.clone(),
    })));
    above.set(Arc::downgrade(&tls)).unwrap();
    tls
}

/// A client and a server over a pair of sockets, before the handshake.
fn pair() -> (Arc<Tls>, Arc<Tls>) {
    let (a, b) = UnixStream::pair().unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["test.example".to_owned()]).unwrap();
    let chain = params.self_signed(&key).unwrap().pem();
    let client = ClientTls::new().danger_accept_any_certificate(true);
    let server = ServerTls::new()
        .certificate_pem(chain, key.serialize_pem())
        .unwrap();
    let name = client.name_for("test.example").unwrap();
    let client = over(a, |inner| {
        Tls::client(inner, client.config().unwrap(), name).unwrap()
    });
    let server = over(b, |inner| {
        Tls::server(inner, server.config().unwrap(), &[]).unwrap()
    });
    (client, server)
}

/// A client and a server after it.
fn open_pair() -> (Arc<Tls>, Arc<Tls>) {
    let (client, server) = pair();
    let opening = thread::spawn({
        let server = server.clone();
        move || server.open(Deadline::NEVER).unwrap()
    });
    client.open(Deadline::NEVER).unwrap();
    opening.join().unwrap();
    (client, server)
}

fn now() -> Deadline {
    Duration::ZERO.into()
}

fn send_all(tls: &Tls, mut bytes: &[u8], deadline: Deadline) {
    while !bytes.is_empty() {
        let sent = tls.send(&[IoSlice::new(bytes)], deadline).unwrap();
        bytes = &bytes[sent..];
    }
}

fn receive(tls: &Tls, size: usize, deadline: Deadline) -> Result<Vec<u8>, Halt> {
    let mut buffer = vec![MaybeUninit::uninit(); size];
    let length = tls.receive(&mut buffer, deadline)?;
    // SAFETY: the transport has initialised that many.
    let received = buffer[..length]
        .iter()
        .map(|byte| unsafe { byte.assume_init() });
    Ok(received.collect())
}

#[test]
fn the_session_is_never_locked_across_a_call_of_the_transport() {
    let (client, server) = pair();
    let peer = thread::spawn(move || {
        server.open(Deadline::NEVER).unwrap();
        while let Ok(bytes) = receive(&server, 100_000, Deadline::NEVER) {
            if bytes.is_empty() {
                break;
            }
            send_all(&server, &bytes, Deadline::NEVER);
        }
        server.shutdown(Shutdown::Both);
    });
    client.open(Deadline::NEVER).unwrap();
    let bytes = vec![7; 50_000];
    for deadline in [Deadline::NEVER, Duration::from_secs(30).into()] {
        send_all(&client, &bytes, deadline);
        client.flush(deadline).unwrap();
        let mut missing = bytes.len();
        while missing > 0 {
            let receivable = Readiness {
                receive: true,
                send: false,
            };
            client.wait(receivable, deadline).unwrap();
            assert!(client.has_unread());
            missing -= receive(&client, 10_000, deadline).unwrap().len();
        }
    }
    client.shutdown(Shutdown::Write);
    assert_eq!(receive(&client, 1, Deadline::NEVER).unwrap(), b"");
    client.shutdown(Shutdown::Both);
    peer.join().unwrap();
}

#[test]
fn what_is_sealed_and_not_sent_leaves_before_anything_else() {
    let (client, server) = open_pair();
    // Far less than a batch of records, so that parts of one stay behind.
    // SAFETY: the client holds it open.
    let socket = unsafe { BorrowedFd::borrow_raw(client.as_raw_fd()) };
    SockRef::from(&socket).set_send_buffer_size(8192).unwrap();
    let mut expected: Vec<u8> = Vec::new();
    // More than the socket takes: some of it stays sealed, and then nothing is taken any more.
    for round in 0_u8.. {
        match client.send(&[IoSlice::new(&vec![round; BATCH])], now()) {
            Ok(sent) => expected.extend(vec![round; sent]),
            Err(Halt::TimedOut) => break,
            Err(halt) => panic!("{halt:?}"),
        }
    }
    assert!(client.has_unsent());
    assert!(matches!(client.flush(now()), Err(Halt::TimedOut)));
    assert!(client.wait(SENDABLE, now()).is_err());
    let reading = thread::spawn(move || {
        let mut received = Vec::new();
        loop {
            match receive(&server, 100_000, Deadline::NEVER).unwrap() {
                bytes if bytes.is_empty() => return received,
                bytes => received.extend(bytes),
            }
        }
    });
    client.flush(Deadline::NEVER).unwrap();
    assert!(!client.has_unsent());
    send_all(&client, b"the end", Deadline::NEVER);
    expected.extend(b"the end");
    client.shutdown(Shutdown::Write);
    assert!(reading.join().unwrap() == expected);
}

#[test]
fn records_in_bits_and_pieces_make_the_same_bytes() {
    let (client, server) = open_pair();
    let bytes: Vec<u8> = (0..40_000_u32).map(|index| (index / 3) as u8).collect();
    let pieces = [0, 1, 16_383, 16_384, 7_232]
        .iter()
        .scan(0, |start, &size| {
            *start += size;
            Some(IoSlice::new(&bytes[*start - size..*start]))
        });
    let pieces: Vec<_> = pieces.collect();
    assert_eq!(client.send(&pieces, Deadline::NEVER).unwrap(), 40_000);
    for size in [1, 100, 16_384, 100_000] {
        let mut received = Vec::new();
        while received.len() < bytes.len() {
            received.extend(receive(&server, size, Deadline::NEVER).unwrap());
        }
        assert!(received == bytes, "{size}");
        assert!(!server.holds_unread());
        send_all(&client, &bytes, Deadline::NEVER);
    }
}

#[test]
fn an_end_without_close_notify_is_a_truncation() {
    let (client, server) = open_pair();
    send_all(&client, b"so far", Deadline::NEVER);
    client.inner.shutdown(Shutdown::Both);
    assert_eq!(receive(&server, 100, Deadline::NEVER).unwrap(), b"so far");
    match receive(&server, 100, Deadline::NEVER) {
        Err(Halt::Failed(error)) => assert!(error.to_string().contains("truncated"), "{error}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_receive_that_times_out_loses_nothing_of_a_record() {
    let (client, server) = open_pair();
    assert!(matches!(receive(&server, 10, now()), Err(Halt::TimedOut)));
    send_all(&client, b"whole", Deadline::NEVER);
    assert_eq!(receive(&server, 2, now()).unwrap(), b"wh");
    assert!(server.holds_unread());
    assert_eq!(receive(&server, 10, now()).unwrap(), b"ole");
    assert!(matches!(receive(&server, 10, now()), Err(Halt::TimedOut)));
}

#[test]
fn garbage_is_an_error_also_the_second_time() {
    let (client, server) = open_pair();
    client
        .inner
        .send(
            &[IoSlice::new(&[
                23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19,
                20,
            ])],
            Deadline::NEVER,
        )
        .unwrap();
    for _ in 0..2 {
        match receive(&server, 100, Deadline::NEVER) {
            Err(Halt::Failed(error)) => assert!(error.to_string().starts_with("TLS: "), "{error}"),
            other => panic!("{other:?}"),
        }
    }
    // The peer was told why.
    match receive(&client, 100, Deadline::NEVER) {
        Err(Halt::Failed(error)) => assert!(error.to_string().contains("BadRecordMac"), "{error}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_idle_session_holds_no_buffers() {
    let (client, server) = open_pair();
    send_all(&client, &[1; 30_000], Deadline::NEVER);
    let mut missing = 30_000;
    while missing > 0 {
        missing -= receive(&server, 1000, Deadline::NEVER).unwrap().len();
    }
    assert_eq!(client.unsent.lock().capacity(), 0);
    assert_eq!(server.incoming.lock().plain.capacity(), 0);
    assert_eq!(server.session.lock().capacity(), 0);
}
