//! Any writes under any policies, onto a stream that takes what it likes.

use std::collections::VecDeque;
use std::io::{IoSlice, PipeReader, PipeWriter};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use parking_lot::Mutex;
use proptest::prelude::*;

use super::super::{Connection, Opening};
use super::broadcast;
use crate::deadline::Deadline;
use crate::head::RequestHead;
use crate::message::MessageKind;
use crate::options::{Backlog, BacklogPolicy, ConnectionLimits, WriteOptions};
use crate::prepared::Prepared;
use crate::protocol::Role;
use crate::protocol::decoder::{Decoder, Event};
use crate::protocol::deflate::{DeflateParameters, Inflater};
use crate::transport::{Halt, Readiness, Transport};

const AGREED: DeflateParameters = DeflateParameters {
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    server_max_window_bits: 15,
    client_max_window_bits: 15,
};

/// A stream that takes as many bytes at a time as it is told, and none when it is told nothing.
#[derive(Debug, Clone)]
struct Slow {
    taken: Arc<Mutex<Vec<u8>>>,
    appetite: Arc<Mutex<VecDeque<usize>>>,
    /// Its descriptor is never ready for more, so that the sender stays out of this.
    never: Arc<(PipeReader, PipeWriter)>,
}

// SAFETY: `receive` returns no number of bytes at all.
unsafe impl Transport for Slow {
    fn receive(&self, _: &mut [MaybeUninit<u8>], _: Deadline) -> Result<usize, Halt> {
        Err(Halt::TimedOut)
    }

    fn send(&self, pieces: &[IoSlice<'_>], _: Deadline) -> Result<usize, Halt> {
        let mut most = match self.appetite.lock().pop_front() {
            None | Some(0) => return Err(Halt::TimedOut),
            Some(most) => most,
        };
        let mut sent = 0;
        for piece in pieces {
            let length = piece.len().min(most);
            self.taken.lock().extend_from_slice(&piece[..length]);
            (sent, most) = (sent + length, most - length);
        }
        Ok(sent)
    }

    fn wait(&self, _: Readiness, _: Deadline) -> Result<Readiness, Halt> {
        Err(Halt::TimedOut)
    }

    fn has_unread(&self) -> bool {
        false
    }

    fn as_raw_fd(&self) -> RawFd {
        self.never.0.as_raw_fd()
    }

    fn shutdown(&self, _: Shutdown) {}

    fn peer_addr(&self) -> Option<SocketAddr> {
        None
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        None
    }
}

#[derive(Debug, Clone)]
enum Step {
    Write(usize),
    Prepared(usize),
    Broadcast(usize),
    More(usize),
    Ping,
    Policy(BacklogPolicy),
    /// The stream takes so much, in these pieces.
    Take(Vec<usize>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let size = || prop_oneof![4 => 0..300usize, 1 => 300..3000usize, 1 => 60_000..70_000usize];
    let policy = prop_oneof![Just(BacklogPolicy::Refuse), Just(BacklogPolicy::DropOldest),];
    let step = prop_oneof![
        6 => size().prop_map(Step::Write),
        2 => size().prop_map(Step::Prepared),
        2 => size().prop_map(Step::Broadcast),
        1 => size().prop_map(Step::More),
        1 => Just(Step::Ping),
        1 => policy.prop_map(Step::Policy),
        3 => proptest::collection::vec(0..900usize, 1..5).prop_map(Step::Take),
    ];
    proptest::collection::vec(step, 1..120)
}

fn connection(role: Role, deflates: bool) -> (Connection, Slow) {
    let slow = Slow {
        taken: Arc::default(),
        appetite: Arc::default(),
        never: Arc::new(std::io::pipe().unwrap()),
    };
    let opening = Opening {
        named: None,
        request: RequestHead::new(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        response: None,
        subprotocol: None,
        deflate: deflates.then_some(AGREED),
    };
    let limits = ConnectionLimits {
        backlog: Backlog::new().limit(4000).policy(BacklogPolicy::DropOldest),
        ..ConnectionLimits::default()
    };
    let connection = Connection::new(Box::new(slow.clone()), role, limits, opening, &[]).unwrap();
    (connection, slow)
}

/// A payload that tells its number, and is no other's beginning.
fn payload(number: u32, size: usize) -> Vec<u8> {
    let mut data = number.to_be_bytes().to_vec();
    data.extend((0..size).map(|index| (index as u32 * 7 + number) as u8 % 23));
    data
}

/// The numbers of the messages in what a stream took, each of which must be whole.
fn numbers(role: Role, deflates: bool, mut bytes: &mut [u8], sizes: &[usize]) -> Vec<u32> {
    let peer = match role {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    };
    let inflater = deflates.then(|| Inflater::new(true));
    let mut decoder = Decoder::new(peer, usize::MAX).with_inflater(inflater);
    let (mut numbers, mut message) = (Vec::new(), Vec::new());
    while !bytes.is_empty() || decoder.has_more() {
        decoder.get_ready(&mut message).unwrap();
        let (used, event) = decoder.decode(bytes, &mut message).unwrap();
        bytes = &mut bytes[used..];
        if let Some(Event::Message(_)) = event {
            let number = u32::from_be_bytes(message[..4].try_into().unwrap());
            let whole = payload(number, sizes[number as usize]);
            assert!(message == whole, "message {number} is torn");
            numbers.push(number);
            message.clear();
        }
    }
    assert!(!decoder.is_inside_message(), "a torn message");
    numbers
}

fn run(role: Role, deflates: bool, steps: Vec<Step>) {
    let (ws, slow) = connection(role, deflates);
    let (mut sizes, mut accepted) = (Vec::new(), Vec::new());
    for step in steps {
        let number = sizes.len() as u32;
        let mut data = |size| {
            sizes.push(size);
            payload(number, size)
        };
        let is_accepted = match step {
            Step::Write(size) => ws.write_binary(&data(size)).is_ok(),
            Step::More(size) => {
                let options = WriteOptions::new().more(true);
                ws.write_with(MessageKind::Binary, &data(size), options)
                    .is_ok()
            }
            Step::Prepared(size) => {
                let prepared = Prepared::binary(data(size));
                ws.write_prepared(&prepared, WriteOptions::new()).is_ok()
            }
            Step::Broadcast(size) => {
                let report = broadcast([&ws], &Prepared::binary(data(size)));
                assert_eq!(report.accepted + report.refused, 1);
                report.accepted == 1
            }
            Step::Ping => {
                ws.ping(b"ping").unwrap();
                false
            }
            Step::Policy(policy) => {
                ws.set_backlog(Backlog::new().limit(4000).policy(policy));
                false
            }
            Step::Take(pieces) => {
                slow.appetite.lock().extend(pieces);
                ws.shared.push_unsent();
                false
            }
        };
        if is_accepted {
            accepted.push(number);
        }
    }
    while ws.backlog().bytes > 0 {
        slow.appetite.lock().extend([1000]);
        ws.shared.push_unsent();
    }
    let mut taken = std::mem::take(&mut *slow.taken.lock());
    let arrived = numbers(role, deflates, &mut taken, &sizes);
    let mut rest = accepted.iter();
    let is_part = arrived
        .iter()
        .all(|number| rest.any(|accepted| accepted == number));
    assert!(is_part, "{arrived:?} of {accepted:?}: doubled or reordered");
    let dropped = ws.counters().messages_dropped as usize;
    assert_eq!(arrived.len() + dropped, accepted.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn nothing_is_torn_doubled_reordered_or_dropped_uncounted(
        is_client: bool,
        deflates: bool,
        steps in steps(),
    ) {
        let role = if is_client { Role::Client } else { Role::Server };
        run(role, deflates && cfg!(feature = "deflate"), steps);
    }
}
