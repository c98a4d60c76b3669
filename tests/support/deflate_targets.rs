//! The bodies of the fuzz targets for permessage-deflate (RFC 7692): see `fuzz_targets`.

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};
use talkws::protocol::Role;
use talkws::protocol::decoder::{Decoder, Event};
use talkws::protocol::deflate::{Inflater, answer, offer, verify};
use talkws::{DeflateOptions, MessageKind, Violation};

use super::fuzz_targets::Case;
use super::oracle::pieces;

/// A server's answer to any offers keeps to its own options and to an offer, and a client that
/// made this offer takes it. A client takes no answer that goes beyond its offer.
pub fn extension_header(input: &[u8]) {
    let Some(case) = Case::new(input) else { return };
    let options = options(case.choice);
    let lines = || case.bytes.split(|&byte| byte == b'\n');
    if let Some(agreement) = answer(&options, lines()) {
        let parameters = agreement.parameters;
        assert!((8..=15).contains(&parameters.client_max_window_bits));
        assert!((8..=own_bits(case.choice)).contains(&parameters.server_max_window_bits));
        assert!(parameters.server_no_context_takeover || case.choice & 1 == 0);
        assert!(parameters.client_no_context_takeover || case.choice & 2 == 0);
        let header = agreement.header.as_bytes();
        let asked = DeflateOptions::new();
        let taken = verify(Some(&asked), std::iter::once(header)).unwrap();
        assert_eq!(taken, Some(parameters), "{}", agreement.header);
    }
    if !case.bytes.contains(&b'"') {
        let accepts = lines().any(|line| naive_offers(line).any(naive_is_good));
        assert_eq!(answer(&options, lines()).is_some(), accepts);
    }
    match verify(Some(&options), lines()) {
        Ok(Some(parameters)) => {
            assert!((8..=15).contains(&parameters.server_max_window_bits));
            assert!((8..=own_bits(case.choice)).contains(&parameters.client_max_window_bits));
            assert!(parameters.client_no_context_takeover || case.choice & 1 == 0);
            assert!(parameters.server_no_context_takeover || case.choice & 2 == 0);
        }
        Ok(None) => assert!(lines().all(|line| line.iter().all(|byte| b" \t,".contains(byte)))),
        Err(reason) => assert!(!reason.is_empty()),
    }
    // A server takes what a client of ours offers, whatever either wants.
    let offered = offer(&options);
    let agreement = answer(&DeflateOptions::new(), std::iter::once(offered.as_bytes())).unwrap();
    let header = agreement.header.as_bytes();
    let taken = verify(Some(&options), std::iter::once(header)).unwrap();
    assert!(taken.is_some());
}

fn own_bits(choice: u8) -> u8 {
    8 + (choice >> 2 & 7)
}

fn options(choice: u8) -> DeflateOptions {
    DeflateOptions::new()
        .own_no_context_takeover(choice & 1 != 0)
        .peer_no_context_takeover(choice & 2 != 0)
        .own_max_window_bits(own_bits(choice))
        .unwrap()
}

/// The members of a header without quotes, or none when one of them is malformed.
fn naive_offers(line: &[u8]) -> impl Iterator<Item = Vec<&str>> {
    let text = std::str::from_utf8(line).unwrap_or(";");
    let members = text.split(',').map(trim);
    let members: Vec<Vec<&str>> = members
        .filter(|member| !member.is_empty())
        .map(|member| member.split(';').map(trim).collect())
        .collect();
    let is_well_formed = members.iter().all(|member| {
        let is_parameter = |text: &&str| match text.split_once('=') {
            Some((name, value)) => is_token(trim(name)) && is_token(trim(value)),
            None => is_token(text),
        };
        is_token(member[0]) && member[1..].iter().all(is_parameter)
    });
    members.into_iter().filter(move |_| is_well_formed)
}

fn naive_is_good(member: Vec<&str>) -> bool {
    let mut names = Vec::new();
    member[0] == "permessage-deflate"
        && member[1..].iter().all(|parameter| {
            let (name, value) = match parameter.split_once('=') {
                Some((name, value)) => (trim(name), Some(trim(value))),
                None => (*parameter, None),
            };
            let is_first = !names.contains(&name);
            names.push(name);
            let is_bits = |value: &str| (8..=15).any(|bits| bits.to_string() == value);
            is_first
                && match name {
                    "server_no_context_takeover" | "client_no_context_takeover" => value.is_none(),
                    "server_max_window_bits" => value.is_some_and(is_bits),
                    "client_max_window_bits" => value.is_none_or(is_bits),
                    _ => false,
                }
        })
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

fn is_token(text: &str) -> bool {
    let is_token_byte =
        |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// Compressed messages give the same however they are divided and in steps of any size, within the
/// limit, and what miniz_oxide makes of them.
pub fn inflater(input: &[u8]) {
    let Some(case) = Case::new(input) else { return };
    let keeps_context = case.choice & 2 != 0;
    let limit = [100, 10_000, 1 << 20, 1 << 20][usize::from(case.choice >> 2 & 3)];
    let messages = messages(case.bytes);
    let (role, wire) = (
        case.role(),
        wire(&messages, case.role(), case.choice & 16 != 0),
    );
    let whole = inflate(role, keeps_context, limit, &wire, &[], usize::MAX);
    for cuts in [&[0], case.cuts] {
        for room in [usize::MAX, 1000] {
            let divided = inflate(role, keeps_context, limit, &wire, cuts, room);
            assert_eq!(divided, whole, "divided by {cuts:?}, with room for {room}");
        }
    }
    let mut reference = Reference::default();
    for (ours, message) in whole.messages.iter().zip(&messages) {
        assert!(ours.len() <= limit);
        if !keeps_context {
            reference = Reference::default();
        }
        // It finds some faults of tables earlier, in data that ends within them.
        let Some(theirs) = reference.inflate(message) else {
            return;
        };
        assert_eq!(&theirs, ours);
    }
}

/// The input as messages: each begins with a byte for its length, in steps of 8.
fn messages(bytes: &[u8]) -> Vec<&[u8]> {
    let mut messages = Vec::new();
    let mut rest = bytes;
    while let Some((&length, after)) = rest.split_first() {
        let length = (usize::from(length) * 8).min(after.len());
        let (message, after) = after.split_at(length);
        messages.push(message);
        rest = after;
    }
    messages
}

/// The frames of compressed binary messages, each in one or in three, the last of which is empty.
fn wire(messages: &[&[u8]], receiver: Role, divides: bool) -> Vec<u8> {
    const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
    let mut wire = Vec::new();
    let mut add = |first: u8, payload: &[u8]| {
        let mask_bit = if receiver == Role::Server { 0x80 } else { 0 };
        wire.push(first);
        match payload.len() {
            length @ 0..126 => wire.push(mask_bit | length as u8),
            length => {
                wire.push(mask_bit | 126);
                wire.extend((length as u16).to_be_bytes());
            }
        }
        match receiver {
            Role::Server => {
                wire.extend(MASK);
                let keys = MASK.iter().cycle();
                wire.extend(payload.iter().zip(keys).map(|(byte, key)| byte ^ key));
            }
            Role::Client => wire.extend(payload),
        }
    };
    for message in messages {
        if divides {
            let (first, last) = message.split_at(message.len() / 3);
            add(0x42, first);
            add(0x00, last);
            add(0x80, b"");
        } else {
            add(0xC2, message);
        }
    }
    wire
}

#[derive(Debug, PartialEq, Eq)]
struct Inflated {
    messages: Vec<Vec<u8>>,
    violation: Option<Violation>,
}

fn inflate(
    role: Role,
    keeps_context: bool,
    limit: usize,
    wire: &[u8],
    cuts: &[u8],
    room: usize,
) -> Inflated {
    let inflater = Some(Inflater::new(keeps_context));
    let mut decoder = Decoder::new(role, limit).with_inflater(inflater);
    let mut inflated = Inflated {
        messages: Vec::new(),
        violation: None,
    };
    // What a reader in parts takes out comes here.
    let (mut message, mut payload) = (Vec::new(), Vec::new());
    for (piece, _) in pieces(wire, cuts) {
        let mut piece = piece.to_vec();
        let mut rest = piece.as_mut_slice();
        while !rest.is_empty() || decoder.has_more() {
            decoder.get_ready(&mut payload).unwrap();
            assert!(payload.capacity() <= 3 * limit.max(32 * 1024));
            let (used, event) = match decoder.decode(rest, &mut payload) {
                Ok(decoded) => decoded,
                Err(violation) => {
                    inflated.violation = Some(violation);
                    return inflated;
                }
            };
            rest = &mut rest[used..];
            if payload.len() >= room {
                message.append(&mut payload);
            }
            if let Some(event) = event {
                assert_eq!(event, Event::Message(MessageKind::Binary));
                message.append(&mut payload);
                inflated.messages.push(std::mem::take(&mut message));
            }
        }
    }
    inflated
}

/// Inflates messages with miniz_oxide: all of a context into one buffer.
#[derive(Default)]
struct Reference {
    stream: Box<DecompressorOxide>,
    output: Vec<u8>,
    /// Where the output of the stream begins.
    start: usize,
}

impl Reference {
    fn inflate(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let before = self.output.len();
        let mut is_fed = false;
        for (input, is_tail) in [(message, false), (&[0, 0, 0xFF, 0xFF], true)] {
            let mut rest = input;
            while !rest.is_empty() && (is_fed || !is_tail) {
                is_fed = true;
                if self.feed(&mut rest)? == TINFLStatus::Done {
                    *self = Reference {
                        output: std::mem::take(&mut self.output),
                        ..Reference::default()
                    };
                    self.start = self.output.len();
                    is_fed = false;
                }
            }
        }
        Some(self.output[before..].to_vec())
    }

    fn feed(&mut self, rest: &mut &[u8]) -> Option<TINFLStatus> {
        let flags = TINFL_FLAG_HAS_MORE_INPUT | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        loop {
            let end = self.output.len();
            self.output.resize(end + 64 * 1024, 0);
            let stream = &mut self.output[self.start..];
            let at = end - self.start;
            let (status, used, made) = decompress(&mut self.stream, rest, stream, at, flags);
            self.output.truncate(end + made);
            *rest = &rest[used..];
            match status {
                TINFLStatus::HasMoreOutput => {}
                TINFLStatus::Done | TINFLStatus::NeedsMoreInput => return Some(status),
                _ => return None,
            }
        }
    }
}
