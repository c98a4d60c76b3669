//! Our decoder beside tungstenite's, and our encoder through both. See `support/oracle.rs` for how
//! they are compared and where they differ on purpose.

#[path = "support/oracle.rs"]
mod oracle;

use oracle::{Decoded, Difference, End, Judged, MIN_LIMIT, Received, Stop};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use talkws::protocol::Role;
use talkws::protocol::encoder::Encoder;
use talkws::{CloseCode, MessageKind, Violation};

const LIMITS: [usize; 4] = [MIN_LIMIT, 1000, 70_000, 1 << 20];

fn cases(count: u32) -> ProptestConfig {
    ProptestConfig {
        cases: count,
        // What fails is shown as bytes, and belongs into a corpus.
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// A frame, right or wrong.
#[derive(Debug, Clone)]
struct Frame {
    first: u8,
    key: Option<[u8; 4]>,
    payload: Vec<u8>,
    /// The length in the header, and 0, 126 or 127 for how it is written, if not as it must be.
    length: Option<(u8, u64)>,
}

const FINAL: u8 = 0x80;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

impl Frame {
    fn append_to(&self, wire: &mut Vec<u8>) {
        let actual = self.payload.len() as u64;
        let (form, length) = self.length.unwrap_or(match actual {
            0..126 => (0, actual),
            126..65536 => (126, actual),
            _ => (127, actual),
        });
        let mask_bit = if self.key.is_some() { 0x80 } else { 0 };
        wire.push(self.first);
        match form {
            0 => wire.push(mask_bit | length.min(125) as u8),
            126 => {
                wire.push(mask_bit | 126);
                wire.extend((length as u16).to_be_bytes());
            }
            _ => {
                wire.push(mask_bit | 127);
                wire.extend(length.to_be_bytes());
            }
        }
        match self.key {
            None => wire.extend(&self.payload),
            Some(key) => {
                wire.extend(key);
                let masked = self.payload.iter().zip(key.iter().cycle());
                wire.extend(masked.map(|(byte, key)| byte ^ key));
            }
        }
    }
}

/// Something done to a good conversation.
#[derive(Debug, Clone)]
enum Flaw {
    Opcode(Index, u8),
    ReservedBits(Index, u8),
    OtherFinalBit(Index),
    OtherMaskBit(Index),
    LongerForm(Index, u8),
    Claim(Index, u64),
    BitFlip(Index, u8),
    Overwrite(Index, u8),
    Insert(Index, Vec<u8>),
    Truncate(Index),
}

fn flaw() -> impl Strategy<Value = Flaw> {
    let at = any::<Index>;
    let lengths = select(vec![
        0,
        1,
        125,
        126,
        127,
        1000,
        65535,
        65536,
        1 << 20,
        (1 << 63) - 1,
        1 << 63,
        u64::MAX,
    ]);
    prop_oneof![
        (at(), 0..16u8).prop_map(|(at, opcode)| Flaw::Opcode(at, opcode)),
        (at(), 1..8u8).prop_map(|(at, bits)| Flaw::ReservedBits(at, bits)),
        at().prop_map(Flaw::OtherFinalBit),
        at().prop_map(Flaw::OtherMaskBit),
        (at(), select(vec![126, 127])).prop_map(|(at, form)| Flaw::LongerForm(at, form)),
        (at(), lengths).prop_map(|(at, length)| Flaw::Claim(at, length)),
        (at(), 0..8u8).prop_map(|(at, bit)| Flaw::BitFlip(at, bit)),
        (at(), any::<u8>()).prop_map(|(at, byte)| Flaw::Overwrite(at, byte)),
        (at(), prop::collection::vec(any::<u8>(), 1..8))
            .prop_map(|(at, bytes)| Flaw::Insert(at, bytes)),
        at().prop_map(Flaw::Truncate),
    ]
}

/// The bytes of `frames` with `flaws`: those of frames first, then those of bytes.
fn wire(mut frames: Vec<Frame>, flaws: &[Flaw]) -> Vec<u8> {
    for flaw in flaws {
        let count = frames.len();
        match flaw {
            Flaw::Opcode(at, opcode) => {
                let first = &mut frames[at.index(count)].first;
                *first = *first & 0xF0 | opcode;
            }
            Flaw::ReservedBits(at, bits) => frames[at.index(count)].first |= bits << 4,
            Flaw::OtherFinalBit(at) => frames[at.index(count)].first ^= FINAL,
            Flaw::OtherMaskBit(at) => {
                let key = &mut frames[at.index(count)].key;
                *key = key.is_none().then_some([1, 2, 3, 4]);
            }
            Flaw::LongerForm(at, form) => {
                let frame = &mut frames[at.index(count)];
                frame.length = Some((*form, frame.payload.len() as u64));
            }
            Flaw::Claim(at, length) => frames[at.index(count)].length = Some((127, *length)),
            _ => {}
        }
    }
    let mut wire = Vec::new();
    frames.iter().for_each(|frame| frame.append_to(&mut wire));
    for flaw in flaws {
        let length = wire.len();
        match flaw {
            Flaw::BitFlip(at, bit) if length > 0 => wire[at.index(length)] ^= 1 << bit,
            Flaw::Overwrite(at, byte) if length > 0 => wire[at.index(length)] = *byte,
            Flaw::Insert(at, bytes) => {
                let at = at.index(length + 1);
                wire.splice(at..at, bytes.iter().copied());
            }
            Flaw::Truncate(at) => wire.truncate(at.index(length + 1)),
            _ => {}
        }
    }
    wire
}

/// Sizes about which lengths change their form, and common ones.
fn size() -> impl Strategy<Value = usize> {
    prop_oneof![
        20 => 0..40usize,
        5 => 120..132usize,
        3 => 900..1100usize,
        1 => 16_300..16_500usize,
        1 => 65_530..65_540usize,
    ]
}

/// Bytes with characters of every length, or any bytes. Text that is cut off is not always UTF-8.
fn payload() -> impl Strategy<Value = (MessageKind, Vec<u8>)> {
    let characters = prop::collection::vec(any::<char>(), 1..20);
    let text = (size(), characters, any::<u8>()).prop_map(|(size, characters, cut)| {
        let mut text = String::new();
        for character in characters.into_iter().cycle() {
            if text.len() >= size {
                break;
            }
            text.push(character);
        }
        let mut text = text.into_bytes();
        if cut < 8 {
            text.pop();
        }
        (MessageKind::Text, text)
    });
    let binary = (size(), any::<u8>()).prop_map(|(size, first)| {
        let bytes = (0..size).map(|i| first.wrapping_add((i * 7) as u8));
        (MessageKind::Binary, bytes.collect())
    });
    prop_oneof![2 => text, 1 => binary]
}

/// A Ping or Pong with a payload of up to `longest` bytes.
fn control(longest: usize) -> impl Strategy<Value = (u8, Vec<u8>)> {
    let payload = prop::collection::vec(any::<u8>(), 0..=longest);
    (select(vec![PING, PONG]), payload)
}

/// The opcode and final bit, and the payload, of the frames of one message, or of one Close.
fn exchange() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let cuts = prop::collection::vec(any::<Index>(), 0..4);
    let between = prop::collection::vec(prop::option::of(control(125)), 4);
    let message = (payload(), cuts, between).prop_map(|((kind, payload), cuts, between)| {
        let mut ends: Vec<_> = cuts
            .iter()
            .map(|cut| cut.index(payload.len() + 1))
            .collect();
        ends.sort();
        ends.push(payload.len());
        let mut frames = Vec::new();
        let mut start = 0;
        let mut opcode = match kind {
            MessageKind::Text => 1,
            MessageKind::Binary => 2,
        };
        for (i, &end) in ends.iter().enumerate() {
            if i > 0
                && let Some((opcode, payload)) = &between[i - 1]
            {
                frames.push((FINAL | opcode, payload.clone()));
            }
            let final_bit = if i + 1 == ends.len() { FINAL } else { 0 };
            frames.push((final_bit | opcode, payload[start..end].to_vec()));
            (start, opcode) = (end, 0);
        }
        frames
    });
    let codes = prop_oneof![
        select(vec![
            999, 1000, 1001, 1003, 1004, 1005, 1006, 1007, 1011, 1013, 1014, 1015, 1016, 2999,
            3000, 4999, 5000
        ]),
        any::<u16>(),
    ];
    let reasons = prop_oneof![
        Just(b"bye".to_vec()),
        Just("bye 🦀".as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..=123),
    ];
    let close = prop_oneof![
        1 => Just(vec![]),
        1 => Just(vec![3]),
        8 => (codes, reasons)
            .prop_map(|(code, reason)| [&code.to_be_bytes()[..], &reason].concat()),
    ];
    prop_oneof![
        12 => message,
        4 => control(130).prop_map(|(opcode, payload)| vec![(FINAL | opcode, payload)]),
        2 => close.prop_map(|payload| vec![(FINAL | CLOSE, payload)]),
    ]
}

/// What one end sends, mostly right.
fn conversation(role: Role) -> impl Strategy<Value = Vec<u8>> {
    let frames = prop::collection::vec(exchange(), 1..5).prop_flat_map(move |exchanges| {
        let frames = exchanges.concat();
        let keys = prop::collection::vec(any::<[u8; 4]>(), frames.len());
        keys.prop_map(move |keys| {
            let frames = frames.clone().into_iter().zip(keys);
            let frames = frames.map(|((first, payload), key)| Frame {
                first,
                key: (role == Role::Server).then_some(key),
                payload,
                length: None,
            });
            frames.collect::<Vec<_>>()
        })
    });
    let flaws = prop_oneof![
        2 => Just(vec![]),
        3 => prop::collection::vec(flaw(), 1..3),
    ];
    (frames, flaws).prop_map(|(frames, flaws)| wire(frames, &flaws))
}

fn any_role() -> impl Strategy<Value = Role> {
    select(vec![Role::Client, Role::Server])
}

fn cuts() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..8)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

proptest! {
    #![proptest_config(cases(6000))]

    #[test]
    fn both_give_the_same_messages_and_the_same_verdict(
        (role, bytes) in any_role().prop_flat_map(|role| (Just(role), conversation(role))),
        limit in select(LIMITS.to_vec()),
        cuts in cuts(),
    ) {
        if let Err(disagreement) = oracle::compare(role, limit, &bytes, &cuts) {
            prop_assert!(false, "{}\n{role:?}, {limit}, {}", disagreement, hex(&bytes));
        }
    }

    #[test]
    fn text_fails_at_the_first_byte_after_which_nothing_helps(
        mut text in prop::collection::vec(any::<char>(), 1..12)
            .prop_map(|characters| characters.into_iter().collect::<String>().into_bytes()),
        flaw in (any::<Index>(), any::<u8>()),
        more in 1..70u8,
    ) {
        let at = flaw.0.index(text.len());
        text[at] = flaw.1;
        // The frame claims more than comes of it: 48 bytes of text, and up to 70 more.
        let frame = [&[FINAL | 1, text.len() as u8 + more], &text[..]].concat();
        let is_hopeless = |text: &[u8]| {
            std::str::from_utf8(text).is_err_and(|error| error.error_len().is_some())
        };
        for end in 0..=text.len() {
            let decoded = oracle::decode(Role::Client, 1000, &frame[..2 + end], &[0]);
            let failed = decoded.stop == Stop::Violation(Violation::TextNotUtf8);
            prop_assert_eq!(failed, is_hopeless(&text[..end]), "{} of {}", end, hex(&text));
        }
    }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn both_decode_what_we_encode(
        role in any_role(),
        messages in prop::collection::vec(outgoing(), 1..5),
        code in select(vec![1000u16, 1001, 1005, 1011, 1013, 3000, 4999]),
        reason in select(vec!["", "bye", "до свидания"]),
        cuts in cuts(),
    ) {
        let (mut encoder, mut wire, mut expected) = (Encoder::new(role), Vec::new(), Vec::new());
        for message in &messages {
            encode(&mut encoder, message, &mut wire, &mut expected);
        }
        let reason = if code == 1005 { "" } else { reason };
        wire.extend(encoder.close(CloseCode::from(code), reason).unwrap().as_bytes());
        expected.push(Received::Close(code, reason.into()));
        check_round_trip(role, &wire, &cuts, expected);
    }
}

#[test]
fn both_decode_what_we_encode_at_every_size_where_lengths_change_their_form() {
    for role in [Role::Client, Role::Server] {
        for size in (0..=130).chain([1000, 16_384]).chain(65_530..=65_540) {
            for kind in [MessageKind::Text, MessageKind::Binary] {
                let payload: Vec<u8> = (0..size).map(|i| b'a' + (i % 26) as u8).collect();
                let (mut encoder, mut wire, mut expected) =
                    (Encoder::new(role), Vec::new(), Vec::new());
                let message = Outgoing {
                    kind,
                    payload,
                    cuts: vec![],
                    between: vec![],
                };
                encode(&mut encoder, &message, &mut wire, &mut expected);
                check_round_trip(role, &wire, &[255], expected);
            }
        }
    }
}

/// A message on its way, divided where `cuts` has it, with control frames between its fragments.
#[derive(Debug, Clone)]
struct Outgoing {
    kind: MessageKind,
    payload: Vec<u8>,
    cuts: Vec<Index>,
    between: Vec<(u8, Vec<u8>)>,
}

fn outgoing() -> impl Strategy<Value = Outgoing> {
    let cuts = prop::collection::vec(any::<Index>(), 0..4);
    let between = prop::collection::vec(control(125), 0..3);
    let valid = payload().prop_filter("text is UTF-8", |(kind, payload)| {
        *kind == MessageKind::Binary || std::str::from_utf8(payload).is_ok()
    });
    (valid, cuts, between).prop_map(|((kind, payload), cuts, between)| Outgoing {
        kind,
        payload,
        cuts,
        between,
    })
}

/// Appends the frames of `message` to `wire`, and what must come out of them to `expected`.
fn encode(
    encoder: &mut Encoder,
    message: &Outgoing,
    wire: &mut Vec<u8>,
    expected: &mut Vec<Received>,
) {
    let Outgoing { kind, payload, .. } = message;
    let mut ends: Vec<_> = message
        .cuts
        .iter()
        .map(|cut| cut.index(payload.len() + 1))
        .collect();
    ends.sort();
    ends.push(payload.len());
    let mut between = message.between.iter();
    let mut start = 0;
    for (i, &end) in ends.iter().enumerate() {
        let is_last = i + 1 == ends.len();
        let header = encoder.data_header(*kind, is_last, end - start).unwrap();
        wire.extend(header.as_bytes());
        let body = wire.len();
        wire.extend(&payload[start..end]);
        if let Some(mut mask) = header.mask {
            mask.apply(&mut wire[body..]);
        }
        encoder.sent(*kind, is_last);
        assert_eq!(encoder.is_inside_message(), !is_last);
        start = end;
        if !is_last && let Some((opcode, payload)) = between.next() {
            let frame = match *opcode {
                PING => encoder.ping(payload),
                _ => encoder.pong(payload),
            };
            wire.extend(frame.unwrap().as_bytes());
            expected.push(match *opcode {
                PING => Received::Ping(payload.clone()),
                _ => Received::Pong(payload.clone()),
            });
        }
    }
    expected.push(Received::Message(*kind, payload.clone()));
}

/// Both decoders, at the other end from `role`, give what is expected, and nothing is left over.
fn check_round_trip(role: Role, wire: &[u8], cuts: &[u8], expected: Vec<Received>) {
    let peer = match role {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    };
    let (stop, end) = match expected.last() {
        Some(Received::Close(..)) => (Stop::Closed, End::Closed),
        _ => {
            let between_frames = Stop::Starved {
                is_between_frames: true,
                is_inside_message: false,
                missing_payload: 0,
                partial: vec![],
            };
            (between_frames, End::Starved)
        }
    };
    let decoded = oracle::decode(peer, 1 << 20, wire, cuts);
    let judged = oracle::tungstenite(peer, 1 << 20, wire);
    let received = expected.clone();
    assert_eq!(judged, Judged { received, end });
    let received = expected;
    assert_eq!(decoded, Decoded { received, stop });
}

/// A difference that is listed but never met hides a disagreement one day.
#[test]
fn every_listed_difference_is_met() {
    let examples: [(Difference, Role, &[u8]); 11] = [
        // A masked frame from a server, of which the header alone has come.
        (Difference::JudgedEarly, Role::Client, b"\x82\x85abcd"),
        (Difference::JudgedEarly, Role::Client, b"\x81\x05a\xFF"),
        (
            Difference::JudgedEarly,
            Role::Client,
            b"\x01\x01a\x80\x7E\x03\xE8",
        ),
        (Difference::SizeFirst, Role::Client, b"\xC2\x7E\xFF\xFF"),
        (Difference::BadLength, Role::Client, b"\x82\x7E\x00\x01a"),
        (
            Difference::BadLength,
            Role::Server,
            b"\x82\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFFabcd",
        ),
        (
            Difference::UnsendableCloseCode,
            Role::Client,
            b"\x88\x02\x03\xED",
        ),
        (
            Difference::BadGatewayCode,
            Role::Client,
            b"\x88\x02\x03\xF6",
        ),
        (
            Difference::CodeBeforeReason,
            Role::Client,
            b"\x88\x03\x03\xED\xFF",
        ),
        (Difference::BitsBeforeMask, Role::Server, b"\xC2\x00"),
        (Difference::BitsBeforeMask, Role::Server, b"\xC2\x05abcd"),
    ];
    for (difference, role, bytes) in examples {
        let met = oracle::compare(role, 1000, bytes, &[0]);
        assert_eq!(met, Ok(Some(difference)), "{}", hex(bytes));
    }
    for difference in Difference::ALL {
        let has_example = examples.iter().any(|(example, ..)| *example == difference);
        assert!(has_example, "{difference:?} has no example");
    }
}
