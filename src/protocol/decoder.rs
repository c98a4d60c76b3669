//! Frames into messages and control frames (RFC 6455, sections 5 and 7).
//!
//! A small frame is decoded out of the bytes it came with, see [`Decoder::decode`]. The payload
//! of a large one is received in place, at the end of the message, where
//! [`Decoder::decode_in_place`] works through it: there is no copy of it.
//!
//! A compressed message (RFC 7692) is inflated in steps of bounded size, so that the memory for it
//! can be had, or not, before each.

use std::io::Cursor;

use tungstenite::error::{Error as TungsteniteError, ProtocolError};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::Role;
use super::deflate::{Inflater, NoMemory};
use super::mask::Mask;
use super::utf8::Utf8;
use crate::close::{CloseCode, is_sendable};
use crate::error::Violation;
use crate::message::MessageKind;

/// The most bytes in the payload of a control frame (RFC 6455, 5.5).
pub const MAX_CONTROL_PAYLOAD: usize = 125;

/// Two bytes, a length of eight more, a mask of four more.
const MAX_HEADER: usize = 14;

/// The most that is inflated in one step.
const STEP: usize = 32 * 1024;

/// The least that there is room for when something is inflated.
const LEAST_ROOM: usize = 512;

/// Something whole has arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The message is whole; its payload stands in the buffer given to the decoder.
    Message(MessageKind),
    /// The peer wants a Pong with this payload.
    Ping(ControlPayload),
    /// The peer's answer to a Ping, or a Pong of its own accord.
    Pong(ControlPayload),
    /// The peer has said its last word: its code, or 1005 when it gave none, and its reason.
    Close(CloseCode, String),
}

/// The payload of a control frame.
#[derive(Clone, Copy)]
pub struct ControlPayload {
    bytes: [u8; MAX_CONTROL_PAYLOAD],
    length: u8,
}

impl Default for ControlPayload {
    fn default() -> Self {
        ControlPayload {
            bytes: [0; MAX_CONTROL_PAYLOAD],
            length: 0,
        }
    }
}

impl ControlPayload {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length.into()]
    }

    /// Takes what it has room for from the front of `piece`.
    fn append(&mut self, piece: &mut [u8], mask: Option<&mut Mask>) {
        if let Some(mask) = mask {
            mask.apply(piece);
        }
        let length = usize::from(self.length);
        self.bytes[length..length + piece.len()].copy_from_slice(piece);
        self.length += piece.len() as u8;
    }
}

impl std::fmt::Debug for ControlPayload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_bytes().fmt(f)
    }
}

impl PartialEq for ControlPayload {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for ControlPayload {}

/// What the next bytes are.
#[derive(Debug, Clone, Copy)]
enum State {
    Header,
    Data {
        remaining: u64,
        is_final: bool,
        mask: Option<Mask>,
    },
    Control {
        opcode: Control,
        remaining: usize,
        mask: Option<Mask>,
    },
}

/// The receiving direction of a connection.
#[derive(Debug)]
pub struct Decoder {
    role: Role,
    max_message_size: usize,
    state: State,
    header: [u8; MAX_HEADER],
    header_length: u8,
    /// Of the control frame that is arriving. Most connections never see one, and would pay for it.
    control: Option<Box<ControlPayload>>,
    /// The message whose fragments are arriving, and its size as far as its headers tell, or as it
    /// was inflated.
    message: Option<MessageKind>,
    message_size: u64,
    text: Utf8,
    /// There if both ends agreed to compress. It is large, and most of it seldom looked at.
    inflater: Option<Box<Inflater>>,
    /// Whether the message is compressed.
    is_compressed: bool,
}

impl Decoder {
    /// A decoder for the bytes that an end with this role receives. `max_message_size` is in
    /// bytes.
    pub fn new(role: Role, max_message_size: usize) -> Self {
        Decoder {
            role,
            max_message_size,
            state: State::Header,
            header: [0; MAX_HEADER],
            header_length: 0,
            control: None,
            message: None,
            message_size: 0,
            text: Utf8::default(),
            inflater: None,
            is_compressed: false,
        }
    }

    /// A decoder for messages that may be compressed.
    pub fn with_inflater(self, inflater: Option<Inflater>) -> Self {
        let inflater = inflater.map(Box::new);
        Decoder { inflater, ..self }
    }

    /// Whether a message has begun and is not whole: what is in its buffer must be kept.
    pub fn is_inside_message(&self) -> bool {
        self.message.is_some()
    }

    /// The kind of the message that has begun and is not whole.
    pub fn message(&self) -> Option<MessageKind> {
        self.message
    }

    /// Whether the bytes so far end where a frame ends.
    pub fn is_between_frames(&self) -> bool {
        self.header_length == 0 && matches!(self.state, State::Header)
    }

    /// How many bytes of a data frame are still to come, and can be received in place; 0 when
    /// something else is next, or they are compressed.
    pub fn missing_payload(&self) -> u64 {
        match self.state {
            State::Data { remaining, .. } if !self.is_compressed => remaining,
            _ => 0,
        }
    }

    /// Whether the message that has begun is compressed.
    pub fn is_inflating(&self) -> bool {
        self.is_compressed
    }

    /// Whether [`decode`](Self::decode) has something to do before more is received: a step of
    /// inflating.
    pub fn has_more(&self) -> bool {
        let inflater = self.inflater.as_ref().filter(|_| self.is_compressed);
        inflater.is_some_and(|inflater| inflater.has_more() || !inflater.is_ready())
    }

    /// Gets what the next step needs of inflating a compressed message: a window, and room in
    /// `payload`. To be called before [`decode`](Self::decode); nothing is lost when there is no
    /// memory for it.
    pub fn get_ready(&mut self, payload: &mut Vec<u8>) -> Result<(), NoMemory> {
        let Some(inflater) = self.inflater.as_mut().filter(|_| self.is_compressed) else {
            return Ok(());
        };
        inflater.get_ready()?;
        if payload.capacity() - payload.len() >= LEAST_ROOM {
            return Ok(());
        }
        let remaining = match self.state {
            State::Data { remaining, .. } => usize::try_from(remaining).unwrap_or(usize::MAX),
            _ => 0,
        };
        // A guess that most messages fit in; it doubles after that, but never beyond the limit.
        let guess = remaining.saturating_mul(4).clamp(LEAST_ROOM, STEP);
        let left = self.room_left();
        let doubled = guess.max(payload.len());
        // The last step is not worth a reallocation of its own.
        let room = if doubled >= left / 2 { left } else { doubled };
        payload.try_reserve_exact(room).map_err(|_| NoMemory)
    }

    /// How much the message may still grow, and one byte more, which is too much.
    fn room_left(&self) -> usize {
        let left = (self.max_message_size as u64).saturating_sub(self.message_size);
        usize::try_from(left).map_or(usize::MAX, |left| left.saturating_add(1))
    }

    /// Works through `input` until something is whole or the input is used up, or a step of
    /// inflating was done: see [`has_more`](Self::has_more). Payload of messages is appended to
    /// `payload`, which begins empty for each message, or each time that all of it was taken out.
    /// `input` is also the place where control frames and compressed data are unmasked. Gives how
    /// many bytes were used, and the event.
    pub fn decode(
        &mut self,
        input: &mut [u8],
        payload: &mut Vec<u8>,
    ) -> Result<(usize, Option<Event>), Violation> {
        let mut used = 0;
        loop {
            let rest = &mut input[used..];
            match &mut self.state {
                State::Header => {
                    if rest.is_empty() {
                        return Ok((used, None));
                    }
                    let (taken, is_whole) = self.take_header(rest)?;
                    used += taken;
                    if !is_whole {
                        return Ok((used, None));
                    }
                    if self.is_compressed && matches!(self.state, State::Data { .. }) {
                        // Also an empty frame may end a message, to which a tail belongs.
                        continue;
                    }
                }
                State::Data { .. } if self.is_compressed => {
                    let (taken, is_through) = self.inflate(rest, payload)?;
                    used += taken;
                    if !is_through {
                        return Ok((used, None));
                    }
                }
                State::Data { remaining, .. } if *remaining > 0 => {
                    if rest.is_empty() {
                        return Ok((used, None));
                    }
                    let length = rest
                        .len()
                        .min(usize::try_from(*remaining).unwrap_or(usize::MAX));
                    let start = payload.len();
                    payload.extend_from_slice(&rest[..length]);
                    used += length;
                    self.take_payload(&mut payload[start..])?;
                }
                State::Control {
                    remaining, mask, ..
                } if *remaining > 0 => {
                    if rest.is_empty() {
                        return Ok((used, None));
                    }
                    let length = rest.len().min(*remaining);
                    let control = self.control.get_or_insert_default();
                    control.append(&mut rest[..length], mask.as_mut());
                    *remaining -= length;
                    used += length;
                }
                State::Data { .. } | State::Control { .. } => {}
            }
            if let Some(event) = self.end_of_frame()? {
                return Ok((used, Some(event)));
            }
        }
    }

    /// Works through bytes of a data frame's payload that were received where they belong, at
    /// the end of the message: at most [`missing_payload`](Self::missing_payload) bytes.
    pub fn decode_in_place(&mut self, piece: &mut [u8]) -> Result<Option<Event>, Violation> {
        debug_assert!(piece.len() as u64 <= self.missing_payload());
        self.take_payload(piece)?;
        self.end_of_frame()
    }

    /// Inflates the next piece of a compressed frame, at most a step of it. Gives how much of the
    /// input was used, and whether the frame is through.
    fn inflate(
        &mut self,
        input: &mut [u8],
        payload: &mut Vec<u8>,
    ) -> Result<(usize, bool), Violation> {
        let room = self.room_left().min(STEP);
        let (
            State::Data {
                remaining,
                is_final,
                mask,
            },
            Some(inflater),
        ) = (&mut self.state, &mut self.inflater)
        else {
            return Ok((0, true));
        };
        let length = input
            .len()
            .min(usize::try_from(*remaining).unwrap_or(usize::MAX));
        let piece = &mut input[..length];
        let masked = *mask;
        if let Some(mask) = mask {
            mask.apply(piece);
        }
        let is_end = *is_final && *remaining == length as u64;
        let start = payload.len();
        let used = inflater.inflate(piece, is_end, payload, room);
        // What came before a fault is looked at first, as it would be had it come alone.
        let inflated = &payload[start..];
        self.message_size = self.message_size.saturating_add(inflated.len() as u64);
        if self.message_size > self.max_message_size as u64 {
            let (size, limit) = (self.message_size, self.max_message_size);
            return Err(Violation::MessageTooBig { size, limit });
        }
        if self.message == Some(MessageKind::Text) {
            self.text
                .feed(inflated)
                .map_err(|_| Violation::TextNotUtf8)?;
        }
        let used = used.map_err(|_| Violation::BrokenDeflate)?;
        *remaining -= used as u64;
        if used < length {
            // What waits for room is masked again, as it came.
            *mask = masked.map(|mask| mask.turned(used));
            if let Some(mut mask) = *mask {
                mask.apply(&mut piece[used..]);
            }
        }
        let is_through = *remaining == 0 && !inflater.has_more();
        Ok((used, is_through))
    }

    /// Unmasks and checks the next piece of a data frame.
    fn take_payload(&mut self, piece: &mut [u8]) -> Result<(), Violation> {
        let State::Data {
            remaining, mask, ..
        } = &mut self.state
        else {
            return Ok(());
        };
        *remaining -= piece.len() as u64;
        // In pieces that stay in the cache from the one pass to the next.
        for piece in piece.chunks_mut(16 * 1024) {
            if let Some(mask) = mask {
                mask.apply(piece);
            }
            if self.message == Some(MessageKind::Text) {
                self.text.feed(piece).map_err(|_| Violation::TextNotUtf8)?;
            }
        }
        Ok(())
    }

    /// Takes as much of a header from the front of `input` as is there; says whether it is whole.
    fn take_header(&mut self, input: &[u8]) -> Result<(usize, bool), Violation> {
        if self.header_length == 0 && input.len() >= 2 && input.len() >= header_size(input[1]) {
            let size = header_size(input[1]);
            self.begin_frame(&input[..size])?;
            return Ok((size, true));
        }
        for (taken, &byte) in input.iter().enumerate() {
            self.header[usize::from(self.header_length)] = byte;
            self.header_length += 1;
            let length = usize::from(self.header_length);
            if length >= 2 && length == header_size(self.header[1]) {
                let header = self.header;
                self.header_length = 0;
                self.begin_frame(&header[..length])?;
                return Ok((taken + 1, true));
            }
        }
        Ok((input.len(), false))
    }

    /// Checks a whole header, and everything that can be known from it before memory is spent.
    fn begin_frame(&mut self, header: &[u8]) -> Result<(), Violation> {
        let (frame, length) = match FrameHeader::parse(&mut Cursor::new(header)) {
            Ok(Some(parsed)) => parsed,
            Err(TungsteniteError::Protocol(ProtocolError::InvalidOpcode(opcode))) => {
                return Err(Violation::ReservedOpcode(opcode));
            }
            // The header is whole, and parsing can fail in no other way.
            Ok(None) | Err(_) => return Err(Violation::ReservedOpcode(header[0] & 0x0F)),
        };
        // RFC 7692, 6: the first bit of the first frame says that the message is compressed.
        let may_compress = matches!(frame.opcode, OpCode::Data(Data::Text | Data::Binary));
        if (frame.rsv1 && !(may_compress && self.inflater.is_some())) || frame.rsv2 || frame.rsv3 {
            return Err(Violation::ReservedBits);
        }
        match (self.role, frame.mask) {
            (Role::Server, None) => return Err(Violation::UnmaskedFrame),
            (Role::Client, Some(_)) => return Err(Violation::MaskedFrame),
            _ => {}
        }
        let shortest = match header[1] & 0x7F {
            126 => 126,
            127 => 1 << 16,
            _ => 0,
        };
        if length < shortest || length > i64::MAX as u64 {
            return Err(Violation::BadLength(length));
        }
        let mask = frame.mask.map(Mask::new);
        match frame.opcode {
            OpCode::Control(opcode) => {
                if !frame.is_final {
                    return Err(Violation::FragmentedControl);
                }
                if length > MAX_CONTROL_PAYLOAD as u64 {
                    return Err(Violation::LongControl(length));
                }
                if let Some(control) = &mut self.control {
                    control.length = 0;
                }
                self.state = State::Control {
                    opcode,
                    remaining: length as usize,
                    mask,
                };
            }
            OpCode::Data(data) => {
                let kind = match (data, self.message) {
                    (Data::Continue, Some(kind)) => kind,
                    (Data::Continue, None) => return Err(Violation::UnexpectedContinuation),
                    (_, Some(_)) => return Err(Violation::ExpectedContinuation),
                    (Data::Text, None) => MessageKind::Text,
                    (Data::Binary, None) => MessageKind::Binary,
                    (Data::Reserved(opcode), None) => {
                        return Err(Violation::ReservedOpcode(opcode));
                    }
                };
                if self.message.is_none() {
                    self.is_compressed = frame.rsv1;
                }
                if !self.is_compressed {
                    let size = self.message_size.saturating_add(length);
                    if size > self.max_message_size as u64 {
                        let limit = self.max_message_size;
                        return Err(Violation::MessageTooBig { size, limit });
                    }
                    self.message_size = size;
                }
                self.message = Some(kind);
                self.state = State::Data {
                    remaining: length,
                    is_final: frame.is_final,
                    mask,
                };
            }
        }
        Ok(())
    }

    /// Gives the event of a frame, or of a message, whose last byte has been taken.
    fn end_of_frame(&mut self) -> Result<Option<Event>, Violation> {
        let event = match self.state {
            State::Data {
                remaining: 0,
                is_final: true,
                ..
            } => {
                let kind = self.message.take().unwrap_or_default();
                self.message_size = 0;
                if let Some(inflater) = &mut self.inflater
                    && std::mem::take(&mut self.is_compressed)
                {
                    inflater.end();
                }
                if kind == MessageKind::Text {
                    self.text.finish().map_err(|_| Violation::TextNotUtf8)?;
                }
                Some(Event::Message(kind))
            }
            State::Data {
                remaining: 0,
                is_final: false,
                ..
            } => None,
            State::Control {
                opcode,
                remaining: 0,
                ..
            } => Some(match opcode {
                Control::Ping => Event::Ping(self.control_payload()),
                Control::Pong => Event::Pong(self.control_payload()),
                Control::Close => self.close_event()?,
                Control::Reserved(opcode) => return Err(Violation::ReservedOpcode(opcode)),
            }),
            _ => return Ok(None),
        };
        self.state = State::Header;
        Ok(event)
    }

    fn control_payload(&self) -> ControlPayload {
        self.control.as_deref().copied().unwrap_or_default()
    }

    fn close_event(&self) -> Result<Event, Violation> {
        match self.control_payload().as_bytes() {
            [] => Ok(Event::Close(CloseCode::Status, String::new())),
            [_] => Err(Violation::CloseTooShort),
            [high, low, reason @ ..] => {
                let code = u16::from_be_bytes([*high, *low]);
                if !is_sendable(code) {
                    return Err(Violation::CloseCode(code));
                }
                let reason =
                    std::str::from_utf8(reason).map_err(|_| Violation::CloseReasonNotUtf8)?;
                Ok(Event::Close(code.into(), reason.to_owned()))
            }
        }
    }
}

/// The size of a header, told by its second byte.
fn header_size(second: u8) -> usize {
    let length = match second & 0x7F {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    2 + length + if second & 0x80 != 0 { 4 } else { 0 }
}
