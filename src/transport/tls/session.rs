//! One rustls session: bytes in, bytes out. It knows no transport, so that no lock on it can be
//! held across a system call.

use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::{ClientConfig, CommonState, HandshakeKind, ProtocolVersion, ServerConfig};

use super::BATCH;
use crate::tls::{TlsInfo, TlsVersion};

/// The most that one record carries (RFC 8446, 5.1).
pub(super) const MAX_RECORD: usize = 16 * 1024;

/// What a record is longer than what it carries, at most: header, nonce of TLS 1.2, type, tag.
pub(super) const OVERHEAD: usize = 64;

/// What the peer sent is not what TLS allows, or this end does not accept it.
#[derive(Debug, Clone)]
pub struct TlsFailure(pub rustls::Error);

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            rustls::Error::AlertReceived(alert) => write!(f, "TLS: the peer sent {alert:?}"),
            error => write!(f, "TLS: {error}"),
        }
    }
}

impl std::error::Error for TlsFailure {}

impl TlsFailure {
    /// Finds the failure in what a transport said.
    pub fn of(error: &io::Error) -> Option<&rustls::Error> {
        let failure = error.get_ref()?.downcast_ref::<TlsFailure>()?;
        Some(&failure.0)
    }
}

impl From<TlsFailure> for io::Error {
    fn from(failure: TlsFailure) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, failure)
    }
}

enum Engine {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
}

/// Records that were made and not sent, in their order.
#[derive(Default)]
pub(super) struct Sealed {
    /// Initialised to its end, and used from `start` to `end`: only growing writes zeros.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Sealed {
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub fn len(&self) -> usize {
        self.end - self.start
    }

    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub fn advance(&mut self, sent: usize) {
        self.start += sent;
        if self.is_empty() {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Gives the memory back. There is nothing in it.
    pub fn release(&mut self) {
        debug_assert!(self.is_empty());
        *self = Sealed::default();
    }

    #[cfg(test)]
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Makes room for records that carry `size` bytes, or for a batch of them.
    pub fn reserve(&mut self, size: usize) -> io::Result<()> {
        let records = size / MAX_RECORD + 1;
        self.room((size + records * OVERHEAD).min(BATCH))?;
        Ok(())
    }

    /// Room for `size` bytes behind what is there.
    fn room(&mut self, size: usize) -> io::Result<&mut [u8]> {
        let needed = self.end + size;
        if needed > self.bytes.len() {
            let more = needed - self.bytes.len();
            self.bytes
                .try_reserve(more)
                .map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
            self.bytes.resize(needed, 0);
        }
        Ok(&mut self.bytes[self.end..])
    }

    fn append(&mut self, other: &mut Sealed) -> io::Result<()> {
        if !other.is_empty() {
            self.room(other.len())?[..other.len()].copy_from_slice(other.rest());
            self.end += other.len();
            other.advance(other.len());
            other.release();
        }
        Ok(())
    }
}

/// Where decrypted bytes go: first where the caller wants them, then where they are kept.
pub(super) struct Plain<'a> {
    pub buffer: &'a mut [MaybeUninit<u8>],
    pub filled: usize,
    pub kept: &'a mut Vec<u8>,
}

impl Plain<'_> {
    fn put(&mut self, payload: &[u8]) -> io::Result<()> {
        let room = &mut self.buffer[self.filled..];
        let (first, rest) = payload.split_at(payload.len().min(room.len()));
        for (room, byte) in room.iter_mut().zip(first) {
            room.write(*byte);
        }
        self.filled += first.len();
        self.kept
            .try_reserve(rest.len())
            .map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        self.kept.extend_from_slice(rest);
        Ok(())
    }
}

/// What is to be done once the session takes it.
enum Order<'a> {
    Nothing,
    Seal(&'a [u8]),
    SayGoodbye,
}

/// How far one step came.
enum Step {
    /// There is more to do.
    Again,
    /// There is nothing to do before more arrives.
    Idle,
    /// The session carries data, and the order was carried out.
    Writable,
}

/// What a step works on besides the session itself.
struct Work<'a, 'p> {
    order: Order<'a>,
    plain: Option<&'a mut Plain<'p>>,
    queued: &'a mut Sealed,
    sealed: Option<&'a mut Sealed>,
    peer_closed: &'a mut bool,
}

/// A TLS session of either role.
pub(super) struct Session {
    engine: Engine,
    /// What was received and is not processed: less than a record, or a part of a message of the
    /// handshake. It stays here, and not with the reader, since rustls wants to see it at every
    /// step, also when this end only sends.
    partial: Vec<u8>,
    /// Records that receiving has produced: parts of the handshake, tickets, alerts.
    queued: Sealed,
    peer_closed: bool,
    said_goodbye: bool,
    failure: Option<TlsFailure>,
}

impl Session {
    pub fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> io::Result<Self> {
        let engine = UnbufferedClientConnection::new(config, name)
            .map_err(|error| io::Error::from(TlsFailure(error)))?;
        Ok(Self::new(Engine::Client(Box::new(engine))))
    }

    pub fn server(config: Arc<ServerConfig>) -> io::Result<Self> {
        let engine = UnbufferedServerConnection::new(config)
            .map_err(|error| io::Error::from(TlsFailure(error)))?;
        Ok(Self::new(Engine::Server(Box::new(engine))))
    }

    fn new(engine: Engine) -> Self {
        Session {
            engine,
            partial: Vec::new(),
            queued: Sealed::default(),
            peer_closed: false,
            said_goodbye: false,
            failure: None,
        }
    }

    fn state(&self) -> &CommonState {
        match &self.engine {
            Engine::Client(connection) => connection,
            Engine::Server(connection) => connection,
        }
    }

    /// Whether the handshake is through, so that data can be sent and received.
    pub fn is_open(&self) -> bool {
        !self.state().is_handshaking()
    }

    /// Whether the peer has said that nothing more follows (RFC 8446, 6.1).
    pub fn peer_closed(&self) -> bool {
        self.peer_closed
    }

    /// Whether the peer broke the rules of TLS, or this end does not accept it.
    pub fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// The failure, if there was one.
    pub fn check(&self) -> io::Result<()> {
        match &self.failure {
            Some(failure) => Err(failure.clone().into()),
            None => Ok(()),
        }
    }

    pub fn has_queued(&self) -> bool {
        !self.queued.is_empty()
    }

    pub fn take_queued(&mut self) -> Sealed {
        std::mem::take(&mut self.queued)
    }

    /// How many bytes must stand before those that are received next: see [`Session::open`].
    pub fn partial_len(&self) -> usize {
        self.partial.len()
    }

    /// Opens records. In `input`, `received` bytes were received behind room for the partial
    /// record, of which there were `held` bytes when the receiving began.
    pub fn open(
        &mut self,
        input: &mut [MaybeUninit<u8>],
        held: usize,
        received: usize,
        plain: &mut Plain<'_>,
    ) -> io::Result<()> {
        let start = held - self.partial.len();
        for (room, byte) in input[start..held].iter_mut().zip(&self.partial) {
            room.write(*byte);
        }
        let input = &mut input[start..held + received];
        // SAFETY: the partial record was just written, and the caller has received the rest.
        let input =
            unsafe { std::slice::from_raw_parts_mut(input.as_mut_ptr().cast::<u8>(), input.len()) };
        let (used, outcome) = self.run(input, Order::Nothing, Some(plain), None);
        // What rustls has not used it will want to see again, also after an error.
        self.partial.clear();
        if used < input.len() {
            self.partial
                .try_reserve(input.len() - used)
                .map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
            self.partial.extend_from_slice(&input[used..]);
        } else {
            self.partial = Vec::new();
        }
        outcome
    }

    /// Does what can be done before anything arrives: a client's first message.
    pub fn begin(&mut self) -> io::Result<()> {
        self.run_on_partial(Order::Nothing, None)
    }

    /// Makes a record of `payload`, at most [`MAX_RECORD`], behind those that are to leave before
    /// it.
    pub fn seal(&mut self, payload: &[u8], sealed: &mut Sealed) -> io::Result<()> {
        if self.said_goodbye {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.run_on_partial(Order::Seal(payload), Some(sealed))
    }

    /// Makes the record that says that nothing more follows, once.
    pub fn say_goodbye(&mut self, sealed: &mut Sealed) -> io::Result<()> {
        if self.said_goodbye || !self.is_open() {
            return Ok(());
        }
        self.said_goodbye = true;
        self.run_on_partial(Order::SayGoodbye, Some(sealed))
    }

    fn run_on_partial(&mut self, order: Order<'_>, sealed: Option<&mut Sealed>) -> io::Result<()> {
        let mut partial = std::mem::take(&mut self.partial);
        let (used, outcome) = self.run(&mut partial, order, None, sealed);
        partial.drain(..used);
        self.partial = partial;
        outcome
    }

    /// Takes the session as far as it goes with `input`; gives how much of that is used up.
    fn run(
        &mut self,
        input: &mut [u8],
        order: Order<'_>,
        mut plain: Option<&mut Plain<'_>>,
        mut sealed: Option<&mut Sealed>,
    ) -> (usize, io::Result<()>) {
        if let Some(failure) = &self.failure {
            return (0, Err(failure.clone().into()));
        }
        let mut used = 0;
        let mut failure = None;
        // After a failure only the alert that tells the peer is taken: rustls must not see again
        // what it has failed on.
        while failure.is_none() || self.state().wants_write() {
            let mut work = Work {
                order: match order {
                    Order::Nothing => Order::Nothing,
                    Order::Seal(payload) => Order::Seal(payload),
                    Order::SayGoodbye => Order::SayGoodbye,
                },
                plain: plain.as_deref_mut(),
                queued: &mut self.queued,
                sealed: sealed.as_deref_mut(),
                peer_closed: &mut self.peer_closed,
            };
            let input = &mut input[used..];
            let (discard, step) = match &mut self.engine {
                Engine::Client(engine) => handle(engine.process_tls_records(input), &mut work),
                Engine::Server(engine) => handle(engine.process_tls_records(input), &mut work),
            };
            used += discard;
            match step {
                Ok(Step::Again) => {}
                Ok(Step::Idle | Step::Writable) => return (used, Ok(())),
                Err(Trouble::Tls(error)) => failure = Some(TlsFailure(error)),
                Err(Trouble::Io(error)) => return (used, Err(error)),
            }
        }
        self.failure = failure;
        (used, self.check())
    }

    /// How much memory its buffers hold.
    #[cfg(test)]
    pub fn capacity(&self) -> usize {
        self.partial.capacity() + self.queued.capacity()
    }

    pub fn info(&self) -> TlsInfo {
        let state = self.state();
        TlsInfo {
            version: match state.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => TlsVersion::Tls12,
                _ => TlsVersion::Tls13,
            },
            cipher: state
                .negotiated_cipher_suite()
                .and_then(|suite| suite.suite().as_str())
                .unwrap_or_default(),
            is_resumed: state.handshake_kind() == Some(HandshakeKind::Resumed),
            peer_certificates: state
                .peer_certificates()
                .unwrap_or_default()
                .iter()
                .map(|certificate| certificate.to_vec())
                .collect(),
        }
    }
}

enum Trouble {
    Tls(rustls::Error),
    Io(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Trouble::Io(error)
    }
}

fn handle<D>(
    status: UnbufferedStatus<'_, '_, D>,
    work: &mut Work<'_, '_>,
) -> (usize, Result<Step, Trouble>) {
    let UnbufferedStatus { mut discard, state } = status;
    let step = match state {
        Ok(state) => carry_out(state, work, &mut discard),
        Err(error) => Err(Trouble::Tls(error)),
    };
    (discard, step)
}

fn carry_out<D>(
    state: ConnectionState<'_, '_, D>,
    work: &mut Work<'_, '_>,
    discard: &mut usize,
) -> Result<Step, Trouble> {
    match state {
        ConnectionState::ReadTraffic(mut traffic) => {
            while let Some(record) = traffic.next_record() {
                let record = record.map_err(Trouble::Tls)?;
                *discard += record.discard;
                if let Some(plain) = &mut work.plain {
                    plain.put(record.payload)?;
                }
            }
            Ok(Step::Again)
        }
        ConnectionState::EncodeTlsData(mut data) => {
            let mut size = 0;
            loop {
                match data.encode(work.queued.room(size)?) {
                    Ok(written) => {
                        work.queued.end += written;
                        return Ok(Step::Again);
                    }
                    Err(EncodeError::InsufficientSize(short)) => size = short.required_size,
                    Err(EncodeError::AlreadyEncoded) => return Ok(Step::Again),
                }
            }
        }
        ConnectionState::TransmitTlsData(transmit) => {
            transmit.done();
            Ok(Step::Again)
        }
        ConnectionState::PeerClosed => {
            *work.peer_closed = true;
            Ok(Step::Again)
        }
        ConnectionState::WriteTraffic(mut traffic) => {
            let Some(sealed) = &mut work.sealed else {
                return Ok(Step::Writable);
            };
            sealed.append(work.queued)?;
            let mut size = match work.order {
                Order::Seal(payload) => payload.len() + OVERHEAD,
                Order::SayGoodbye => OVERHEAD,
                Order::Nothing => return Ok(Step::Writable),
            };
            loop {
                let room = sealed.room(size)?;
                let written = match work.order {
                    Order::Seal(payload) => traffic.encrypt(payload, room),
                    _ => traffic.queue_close_notify(room),
                };
                match written {
                    Ok(written) => {
                        sealed.end += written;
                        return Ok(Step::Writable);
                    }
                    Err(EncryptError::InsufficientSize(short)) => size = short.required_size,
                    Err(EncryptError::EncryptExhausted) => {
                        return Err(Trouble::Tls(rustls::Error::EncryptError));
                    }
                }
            }
        }
        // Early data is never offered nor accepted; both ends have closed; or more must arrive.
        _ => Ok(Step::Idle),
    }
}
