//! The oracle: the same bytes to our decoder and to `tungstenite::WebSocket`. Both must give the
//! same messages and control frames, and break off at the same place for the same reason, but for
//! what [`Difference`] lists.
//!
//! Two things are not compared, because only one side has an opinion:
//! * what follows a Close: we stop there, and drop it; tungstenite calls it a violation as a
//!   client, and does not look as a server;
//! * whether bytes that end do so between two frames or inside one: tungstenite has one error for
//!   both. [`Stop::Starved`] has it of our decoder, and is compared between divisions.

use std::io::{self, Read, Write};

use talkws::protocol::Role;
use talkws::protocol::decoder::{Decoder, Event};
use talkws::{MessageKind, Violation};
use tungstenite::error::{CapacityError, Error, ProtocolError};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, WebSocket};

/// Where we and tungstenite differ on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// We judge a header when it has come, and text as it comes; tungstenite waits for the end
    /// of the frame. A bad frame must fail at once, before it costs memory (RFC 6455, 8.1, and
    /// Autobahn 6.4). Given the rest of the frame, tungstenite must say the same.
    JudgedEarly,
    /// tungstenite looks at the size of a frame before it looks at anything but the opcode. We
    /// look at it last: a frame that is wrong at any size is answered with 1002, not 1009.
    SizeFirst,
    /// We refuse lengths that are not in their shortest form, or that have their highest bit set
    /// (RFC 6455, 5.2, "MUST"). tungstenite reads the first, and finds the second too big.
    BadLength,
    /// We refuse a Close whose code must not be sent, and fail with 1002 (RFC 6455, 7.4).
    /// tungstenite gives it to the caller as 1002, "Protocol violation".
    UnsendableCloseCode,
    /// 1014 (Bad Gateway) was registered after RFC 6455. tungstenite does not know it.
    BadGatewayCode,
    /// We look at the code of a Close before its reason, tungstenite at the reason first.
    CodeBeforeReason,
    /// We look at the reserved bits before the mask, in both roles; tungstenite does so only as
    /// a client.
    BitsBeforeMask,
}

impl Difference {
    pub const ALL: [Difference; 7] = [
        Difference::JudgedEarly,
        Difference::SizeFirst,
        Difference::BadLength,
        Difference::UnsendableCloseCode,
        Difference::BadGatewayCode,
        Difference::CodeBeforeReason,
        Difference::BitsBeforeMask,
    ];
}

/// The smallest limit that may be compared: tungstenite applies its own to control frames too.
pub const MIN_LIMIT: usize = 126;

/// Gives the same bytes to both. Our decoder gets them whole, and divided by `cuts`. `Ok` says
/// which difference was met, if any, `Err` what they disagree about.
pub fn compare(
    role: Role,
    limit: usize,
    bytes: &[u8],
    cuts: &[u8],
) -> Result<Option<Difference>, String> {
    assert!(limit >= MIN_LIMIT);
    let ours = decode(role, limit, bytes, &[]);
    let divided = decode(role, limit, bytes, cuts);
    if ours != divided {
        return Err(format!("whole: {ours:?}\ndivided: {divided:?}"));
    }
    if let Some(frame) = frames(bytes).into_iter().find(Frame::has_bad_length) {
        // tungstenite would not tell if we let it pass.
        let up_to_header = decode(role, limit, &bytes[..frame.payload], &[]);
        if matches!(up_to_header.stop, Stop::Starved { .. }) {
            return Err(format!("accepted: {frame:?}"));
        }
    }
    let theirs = tungstenite(role, limit, bytes);
    let judged = ours.judged();
    if judged == theirs {
        return Ok(None);
    }
    match explain(role, limit, bytes, &ours, &theirs) {
        Some(difference) => Ok(Some(difference)),
        None => Err(format!("ours: {judged:?}\ntheirs: {theirs:?}")),
    }
}

fn explain(
    role: Role,
    limit: usize,
    bytes: &[u8],
    ours: &Decoded,
    theirs: &Judged,
) -> Option<Difference> {
    let violation = match &ours.stop {
        Stop::Starved { .. } => return None,
        Stop::Closed => {
            let (last, before) = ours.received.split_last()?;
            let is_explained = matches!(last, Received::Close(1014, _))
                && theirs.received == with_refused_close(before);
            return is_explained.then_some(Difference::BadGatewayCode);
        }
        Stop::Violation(violation) => violation,
    };
    let frame = violating_frame(role, limit, bytes);
    let finished = tungstenite(role, limit, &frame.finished(bytes, limit));
    let agreed_before = finished.received == ours.received;
    match (violation, &finished.end) {
        _ if finished == ours.judged() => match theirs.end {
            End::Starved => Some(Difference::JudgedEarly),
            End::Broken(Rule::TooBig) => Some(Difference::SizeFirst),
            _ => None,
        },
        (Violation::BadLength(_), _) if frame.has_bad_length() => finished
            .received
            .starts_with(&ours.received)
            .then_some(Difference::BadLength),
        (Violation::CloseCode(code), End::Closed) => {
            let refused = finished.received == with_refused_close(&ours.received);
            (refused && *code != 1002).then_some(Difference::UnsendableCloseCode)
        }
        (Violation::CloseCode(_), End::Broken(Rule::NotUtf8)) => {
            agreed_before.then_some(Difference::CodeBeforeReason)
        }
        (Violation::ReservedBits, End::Broken(Rule::Unmasked)) => {
            agreed_before.then_some(Difference::BitsBeforeMask)
        }
        _ => None,
    }
}

/// What tungstenite gives when it finds a code that must not be sent.
fn with_refused_close(before: &[Received]) -> Vec<Received> {
    let mut received = before.to_vec();
    received.push(Received::Close(1002, "Protocol violation".into()));
    received
}

/// Something whole that came out of a decoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    Message(MessageKind, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(u16, String),
}

/// What our decoder made of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Decoded {
    pub received: Vec<Received>,
    pub stop: Stop,
}

/// Why our decoder went no further.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    /// There were no more bytes.
    Starved {
        is_between_frames: bool,
        is_inside_message: bool,
        missing_payload: u64,
        partial: Vec<u8>,
    },
    Closed,
    Violation(Violation),
}

/// What either side made of some bytes, in the words that both have.
#[derive(Debug, PartialEq, Eq)]
pub struct Judged {
    pub received: Vec<Received>,
    pub end: End,
}

#[derive(Debug, PartialEq, Eq)]
pub enum End {
    Starved,
    Closed,
    Broken(Rule),
}

#[derive(Debug, PartialEq, Eq)]
pub enum Rule {
    ReservedBits,
    ReservedOpcode(u8),
    Unmasked,
    Masked,
    FragmentedControl,
    LongControl,
    BadLength,
    UnexpectedContinuation,
    ExpectedContinuation,
    CloseTooShort,
    CloseCode,
    NotUtf8,
    TooBig,
}

impl Decoded {
    fn judged(&self) -> Judged {
        let end = match &self.stop {
            Stop::Starved { .. } => End::Starved,
            Stop::Closed => End::Closed,
            Stop::Violation(violation) => End::Broken(match violation {
                Violation::ReservedBits => Rule::ReservedBits,
                Violation::ReservedOpcode(opcode) => Rule::ReservedOpcode(*opcode),
                Violation::UnmaskedFrame => Rule::Unmasked,
                Violation::MaskedFrame => Rule::Masked,
                Violation::FragmentedControl => Rule::FragmentedControl,
                Violation::LongControl(_) => Rule::LongControl,
                Violation::BadLength(_) => Rule::BadLength,
                Violation::UnexpectedContinuation => Rule::UnexpectedContinuation,
                Violation::ExpectedContinuation => Rule::ExpectedContinuation,
                Violation::CloseTooShort => Rule::CloseTooShort,
                Violation::CloseCode(_) => Rule::CloseCode,
                Violation::CloseReasonNotUtf8 | Violation::TextNotUtf8 => Rule::NotUtf8,
                Violation::MessageTooBig { .. } => Rule::TooBig,
                other => panic!("{other:?} has no place in the oracle yet"),
            }),
        };
        Judged {
            received: self.received.clone(),
            end,
        }
    }
}

/// Gives `bytes` to our decoder, in pieces as [`pieces`] makes them; where a cut is odd, payload is
/// put where it belongs and decoded in place.
pub fn decode(role: Role, limit: usize, bytes: &[u8], cuts: &[u8]) -> Decoded {
    let mut decoder = Decoder::new(role, limit);
    let mut payload = Vec::new();
    let mut received = Vec::new();
    for (piece, cut) in pieces(bytes, cuts) {
        let mut piece = piece.to_vec();
        let mut rest = &mut piece[..];
        while !rest.is_empty() {
            let in_place = (decoder.missing_payload().min(rest.len() as u64)) as usize;
            let step = if cut % 2 == 1 && in_place > 0 {
                let start = payload.len();
                payload.extend_from_slice(&rest[..in_place]);
                let event = decoder.decode_in_place(&mut payload[start..]);
                event.map(|event| (in_place, event))
            } else {
                decoder.decode(rest, &mut payload)
            };
            assert!(payload.len() <= limit, "{} bytes of payload", payload.len());
            let (used, event) = match step {
                Ok(step) => step,
                Err(violation) => {
                    let stop = Stop::Violation(violation);
                    return Decoded { received, stop };
                }
            };
            assert!(event.is_some() || used == rest.len() || cut % 2 == 1);
            rest = &mut rest[used..];
            received.extend(event.map(|event| match event {
                Event::Message(kind) => Received::Message(kind, std::mem::take(&mut payload)),
                Event::Ping(payload) => Received::Ping(payload.as_bytes().to_vec()),
                Event::Pong(payload) => Received::Pong(payload.as_bytes().to_vec()),
                Event::Close(code, reason) => Received::Close(code.into(), reason),
            }));
            if let Some(Received::Close(..)) = received.last() {
                let stop = Stop::Closed;
                return Decoded { received, stop };
            }
        }
    }
    let nothing = decoder.decode(&mut [], &mut payload);
    assert_eq!(nothing, Ok((0, None)), "nothing comes of nothing");
    Decoded {
        received,
        stop: Stop::Starved {
            is_between_frames: decoder.is_between_frames(),
            is_inside_message: decoder.is_inside_message(),
            missing_payload: decoder.missing_payload(),
            partial: payload,
        },
    }
}

/// Divides `bytes`: each cut, over and over, is the size of a piece, from one byte to 16 KiB. Gives
/// each piece with its cut. Without cuts there is one piece.
pub fn pieces<'a>(
    mut bytes: &'a [u8],
    cuts: &'a [u8],
) -> impl Iterator<Item = (&'a [u8], u8)> + 'a {
    let mut cuts = cuts.iter().copied().cycle();
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let cut = cuts.next();
        let size = cut.map_or(bytes.len(), |cut| usize::from(cut / 2).pow(2).max(1));
        let (piece, rest) = bytes.split_at(size.min(bytes.len()));
        bytes = rest;
        Some((piece, cut.unwrap_or(0)))
    })
}

/// Gives `bytes` to tungstenite.
pub fn tungstenite(role: Role, limit: usize, bytes: &[u8]) -> Judged {
    let role = match role {
        Role::Client => tungstenite::protocol::Role::Client,
        Role::Server => tungstenite::protocol::Role::Server,
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .max_message_size(Some(limit))
        .max_frame_size(Some(limit));
    let mut socket = WebSocket::from_raw_socket(Wire(bytes), role, Some(config));
    let mut received = Vec::new();
    loop {
        received.push(match socket.read() {
            Ok(Message::Text(text)) => {
                Received::Message(MessageKind::Text, text.as_bytes().to_vec())
            }
            Ok(Message::Binary(data)) => Received::Message(MessageKind::Binary, data.to_vec()),
            Ok(Message::Ping(payload)) => Received::Ping(payload.to_vec()),
            Ok(Message::Pong(payload)) => Received::Pong(payload.to_vec()),
            Ok(Message::Close(close)) => {
                received.push(match close {
                    Some(close) => Received::Close(close.code.into(), close.reason.to_string()),
                    None => Received::Close(1005, String::new()),
                });
                let end = End::Closed;
                return Judged { received, end };
            }
            Ok(Message::Frame(frame)) => unreachable!("{frame:?} is never read"),
            Err(error) => {
                let end = end_of(error);
                return Judged { received, end };
            }
        });
    }
}

fn end_of(error: Error) -> End {
    End::Broken(match error {
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => return End::Starved,
        Error::Protocol(ProtocolError::NonZeroReservedBits) => Rule::ReservedBits,
        Error::Protocol(ProtocolError::InvalidOpcode(opcode)) => Rule::ReservedOpcode(opcode),
        Error::Protocol(ProtocolError::UnmaskedFrameFromClient) => Rule::Unmasked,
        Error::Protocol(ProtocolError::MaskedFrameFromServer) => Rule::Masked,
        Error::Protocol(ProtocolError::FragmentedControlFrame) => Rule::FragmentedControl,
        Error::Protocol(ProtocolError::ControlFrameTooBig) => Rule::LongControl,
        Error::Protocol(ProtocolError::UnexpectedContinueFrame) => Rule::UnexpectedContinuation,
        Error::Protocol(ProtocolError::ExpectedFragment(_)) => Rule::ExpectedContinuation,
        Error::Protocol(ProtocolError::InvalidCloseSequence) => Rule::CloseTooShort,
        Error::Capacity(CapacityError::MessageTooLong { .. }) => Rule::TooBig,
        Error::Utf8(_) => Rule::NotUtf8,
        other => panic!("tungstenite: {other}"),
    })
}

/// A stream that has already sent everything, and takes whatever it is given.
struct Wire<'a>(&'a [u8]);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where a frame lies, told by nothing but its header.
#[derive(Debug)]
struct Frame {
    start: usize,
    payload: usize,
    length: u64,
    /// 0, 126 or 127: how the length is written.
    form: u8,
}

/// The frames whose headers are whole; the last may lack payload.
fn frames(bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut start = 0;
    while let Some(&[_, second]) = bytes.get(start..start + 2) {
        let wide = match second & 0x7F {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let payload = start + 2 + wide + if second & 0x80 != 0 { 4 } else { 0 };
        if payload > bytes.len() {
            break;
        }
        let (length, form) = match wide {
            0 => (u64::from(second & 0x7F), 0),
            _ => {
                let digits = &bytes[start + 2..start + 2 + wide];
                let length = digits
                    .iter()
                    .fold(0, |length, &digit| length << 8 | u64::from(digit));
                (length, second & 0x7F)
            }
        };
        frames.push(Frame {
            start,
            payload,
            length,
            form,
        });
        match usize::try_from(length) {
            Ok(length) if length <= bytes.len() - payload => start = payload + length,
            _ => break,
        }
    }
    frames
}

impl Frame {
    fn has_bad_length(&self) -> bool {
        let shortest = match self.form {
            126 => 126,
            127 => 65536,
            _ => 0,
        };
        self.length < shortest || self.length >= 1 << 63
    }

    fn end(&self, bytes: &[u8]) -> usize {
        let missing = (bytes.len() - self.payload) as u64;
        self.payload + self.length.min(missing) as usize
    }

    /// The bytes up to the end of this frame, where zeros stand for what is missing of it. One
    /// that is larger than tungstenite would read is given a payload that it reads.
    fn finished(&self, bytes: &[u8], limit: usize) -> Vec<u8> {
        if self.length <= limit as u64 {
            let mut finished = bytes[..self.end(bytes)].to_vec();
            finished.resize(self.payload + self.length as usize, 0);
            return finished;
        }
        let mut finished = bytes[..self.start + 1].to_vec();
        let mask_bit = bytes[self.start + 1] & 0x80;
        finished.extend([mask_bit | 126, 0, MIN_LIMIT as u8]);
        if mask_bit != 0 {
            finished.extend([0; 4]);
        }
        finished.extend([0; MIN_LIMIT]);
        finished
    }
}

/// The frame with which our decoder finds fault.
fn violating_frame(role: Role, limit: usize, bytes: &[u8]) -> Frame {
    let mut decoder = Decoder::new(role, limit);
    let mut payload = Vec::new();
    for frame in frames(bytes) {
        let mut piece = bytes[frame.start..frame.end(bytes)].to_vec();
        match decoder.decode(&mut piece, &mut payload) {
            Err(_) => return frame,
            Ok((used, event)) => {
                assert_eq!(used, piece.len(), "at most one event a frame, at its end");
                if let Some(Event::Message(_)) = event {
                    payload.clear();
                }
            }
        }
    }
    panic!("fault was found outside of any frame");
}
