//! Messages and control frames into frames (RFC 6455, section 5).

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::Role;
use super::decoder::MAX_CONTROL_PAYLOAD;
use super::mask::Mask;
use crate::close::{CloseCode, MAX_CLOSE_REASON, is_sendable};
use crate::error::{Error, Result};
use crate::message::MessageKind;

/// The longest header: two bytes, a length of eight more, a mask of four more.
pub const MAX_HEADER: usize = 14;

/// The sending direction of a connection.
#[derive(Debug)]
pub struct Encoder {
    role: Role,
    /// The message of which a part was sent, and not the last.
    open: Option<MessageKind>,
}

/// The header of a frame, and the mask for its payload.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    bytes: [u8; MAX_HEADER],
    length: usize,
    /// What the payload must be masked with, if this end masks.
    pub mask: Option<Mask>,
}

impl Header {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The header of a message's first frame, if the message is compressed (RFC 7692, 6).
    pub fn compressed(mut self) -> Self {
        const RSV1: u8 = 0x40;
        self.bytes[0] |= RSV1;
        self
    }
}

/// A whole control frame, masked where it must be.
#[derive(Debug, Clone, Copy)]
pub struct ControlFrame {
    bytes: [u8; MAX_HEADER + MAX_CONTROL_PAYLOAD],
    length: usize,
}

impl ControlFrame {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Encoder {
    /// An encoder for an end with this role.
    pub fn new(role: Role) -> Self {
        Encoder { role, open: None }
    }

    /// Whether a message was begun with a part that was not its last.
    pub fn is_inside_message(&self) -> bool {
        self.open.is_some()
    }

    /// The header of the next frame of a message: a whole message when nothing is open and
    /// `is_last`, else a part of one. Nothing changes until [`sent`](Self::sent) is called.
    pub fn data_header(&self, kind: MessageKind, is_last: bool, length: usize) -> Result<Header> {
        let data = match (self.open, kind) {
            (None, MessageKind::Text) => Data::Text,
            (None, MessageKind::Binary) => Data::Binary,
            (Some(open), kind) if open == kind => Data::Continue,
            (Some(_), _) => {
                let reason = "write part: the kind must be that of the message's first part";
                return Err(Error::InvalidState(reason.into()));
            }
        };
        Ok(self.header(OpCode::Data(data), is_last, length))
    }

    /// The frame with the last header is on its way.
    pub fn sent(&mut self, kind: MessageKind, is_last: bool) {
        self.open = (!is_last).then_some(kind);
    }

    /// A Ping with `payload`, at most 125 bytes.
    pub fn ping(&self, payload: &[u8]) -> Result<ControlFrame> {
        self.control(Control::Ping, payload)
    }

    /// A Pong with `payload`, at most 125 bytes.
    pub fn pong(&self, payload: &[u8]) -> Result<ControlFrame> {
        self.control(Control::Pong, payload)
    }

    /// A Close frame; [`CloseCode::Status`] stands for one without a code (RFC 6455, 7.1.5).
    pub fn close(&self, code: CloseCode, reason: &str) -> Result<ControlFrame> {
        check_close(code, reason)?;
        if code == CloseCode::Status {
            return self.control(Control::Close, &[]);
        }
        let mut payload = [0; MAX_CONTROL_PAYLOAD];
        payload[..2].copy_from_slice(&u16::from(code).to_be_bytes());
        payload[2..2 + reason.len()].copy_from_slice(reason.as_bytes());
        self.control(Control::Close, &payload[..2 + reason.len()])
    }

    fn control(&self, control: Control, payload: &[u8]) -> Result<ControlFrame> {
        if payload.len() > MAX_CONTROL_PAYLOAD {
            let length = payload.len();
            let reason = format!("a control frame holds 125 bytes at most, not {length}");
            return Err(Error::InvalidArgument(reason.into()));
        }
        let mut header = self.header(OpCode::Control(control), true, payload.len());
        let mut frame = ControlFrame {
            bytes: [0; MAX_HEADER + MAX_CONTROL_PAYLOAD],
            length: header.length + payload.len(),
        };
        frame.bytes[..header.length].copy_from_slice(header.as_bytes());
        let body = &mut frame.bytes[header.length..frame.length];
        body.copy_from_slice(payload);
        if let Some(mask) = &mut header.mask {
            mask.apply(body);
        }
        Ok(frame)
    }

    fn header(&self, opcode: OpCode, is_final: bool, length: usize) -> Header {
        // RFC 6455, 5.3: a fresh key from a strong source for each frame. This generator is a
        // ChaCha that asks the system for new seeds only now and then.
        let key = (self.role == Role::Client).then(rand::random::<[u8; 4]>);
        let header = FrameHeader {
            is_final,
            opcode,
            mask: key,
            ..FrameHeader::default()
        };
        let mut bytes = Cursor::new([0; MAX_HEADER]);
        header
            .format(length as u64, &mut bytes)
            .expect("14 bytes hold any header");
        let length = bytes.position() as usize;
        Header {
            bytes: bytes.into_inner(),
            length,
            mask: key.map(Mask::new),
        }
    }
}

/// Whether a Close frame may carry `code` and `reason`, and [`Error::InvalidArgument`] if not.
///
/// For who closes many connections, and would rather know before the first.
pub fn check_close(code: CloseCode, reason: &str) -> Result<()> {
    let number = u16::from(code);
    if !is_sendable(number) && code != CloseCode::Status {
        let range = "use 1000 to 1003, 1007 to 1014 or 3000 to 4999 (RFC 6455, 7.4)";
        return Err(Error::InvalidArgument(
            format!("close with {number}: {range}").into(),
        ));
    }
    if code == CloseCode::Status && !reason.is_empty() {
        return Err(Error::InvalidArgument(
            "close: a reason needs a code beside it".into(),
        ));
    }
    if reason.len() > MAX_CLOSE_REASON {
        let length = reason.len();
        let message = format!("close: the reason has {length} bytes, at most 123 fit");
        return Err(Error::InvalidArgument(message.into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_in_their_shortest_form() {
        let server = Encoder::new(Role::Server);
        for (length, size) in [(0, 2), (125, 2), (126, 4), (65535, 4), (65536, 10)] {
            let header = server
                .data_header(MessageKind::Binary, true, length)
                .unwrap();
            assert_eq!(header.as_bytes().len(), size, "{length} bytes");
        }
    }

    #[test]
    fn a_client_masks_every_frame_with_another_key() {
        let client = Encoder::new(Role::Client);
        let mut keys = std::collections::HashSet::new();
        for _ in 0..1000 {
            let header = client.data_header(MessageKind::Text, true, 5).unwrap();
            assert_eq!(header.as_bytes()[1], 0x80 | 5);
            keys.insert(header.as_bytes()[2..6].to_vec());
        }
        assert!(keys.len() > 990, "{} keys for 1000 frames", keys.len());
    }

    #[test]
    fn parts_continue_the_message_they_belong_to() {
        let mut encoder = Encoder::new(Role::Server);
        let first = |encoder: &Encoder, kind, last| {
            encoder
                .data_header(kind, last, 0)
                .map(|header| header.as_bytes()[0])
        };
        assert_eq!(first(&encoder, MessageKind::Text, false).unwrap(), 0x01);
        encoder.sent(MessageKind::Text, false);
        assert_eq!(
            encoder.ping(b"").unwrap().as_bytes(),
            [0x89, 0],
            "between the parts"
        );
        assert!(first(&encoder, MessageKind::Binary, true).is_err());
        assert_eq!(first(&encoder, MessageKind::Text, true).unwrap(), 0x80);
        encoder.sent(MessageKind::Text, true);
        assert_eq!(first(&encoder, MessageKind::Binary, true).unwrap(), 0x82);
    }

    #[test]
    fn a_close_frame_never_carries_what_must_not_be_sent() {
        let encoder = Encoder::new(Role::Server);
        assert_eq!(
            encoder.close(CloseCode::Normal, "x").unwrap().as_bytes(),
            b"\x88\x03\x03\xE8x"
        );
        assert_eq!(
            encoder.close(CloseCode::Status, "").unwrap().as_bytes(),
            b"\x88\x00"
        );
        assert!(encoder.close(CloseCode::Status, "x").is_err());
        assert!(encoder.close(CloseCode::Abnormal, "").is_err());
        assert!(encoder.close(CloseCode::Normal, &"x".repeat(123)).is_ok());
        assert!(encoder.close(CloseCode::Normal, &"x".repeat(124)).is_err());
        assert!(encoder.ping(&[0; 126]).is_err());
    }
}
