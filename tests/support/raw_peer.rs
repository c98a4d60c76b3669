//! A peer that has made the opening handshake and from then on does as it is told, right or wrong.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

use talkws::{Connection, DialOptions, ListenOptions, UpgradeOptions};
use tungstenite::handshake::derive_accept_key;

pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CONTINUATION: u8 = 0x0;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xA;
pub const FINAL: u8 = 0x80;

/// What a client asks with.
pub const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

pub struct RawPeer {
    pub stream: TcpStream,
    /// Whether this peer plays the client, and so masks.
    masks: bool,
}

impl RawPeer {
    /// A raw client of a talkws server.
    pub fn client() -> (RawPeer, Connection) {
        RawPeer::client_of(&ListenOptions::new())
    }

    pub fn client_of(options: &ListenOptions) -> (RawPeer, Connection) {
        RawPeer::client_with(options, "")
    }

    /// One that asks with further headers, each of which ends its line.
    pub fn client_with(options: &ListenOptions, headers: &str) -> (RawPeer, Connection) {
        let listener = options.listen("ws://127.0.0.1:0").unwrap();
        let mut stream = TcpStream::connect(listener.local_addr()).unwrap();
        stream.set_nodelay(true).unwrap();
        let request = REQUEST.strip_suffix(b"\r\n").unwrap();
        let request = [request, headers.as_bytes(), b"\r\n"].concat();
        stream.write_all(&request).unwrap();
        let server = listener
            .accept()
            .unwrap()
            .upgrade(UpgradeOptions::default())
            .unwrap();
        let head = read_head(&mut stream);
        assert!(
            head.starts_with(b"HTTP/1.1 101 "),
            "{}",
            String::from_utf8_lossy(&head)
        );
        (
            RawPeer {
                stream,
                masks: true,
            },
            server,
        )
    }

    /// A raw client of whoever answers at this address.
    pub fn client_at(address: SocketAddr) -> RawPeer {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.write_all(REQUEST).unwrap();
        let head = read_head(&mut stream);
        let is_upgraded = head.starts_with(b"HTTP/1.1 101 ");
        assert!(is_upgraded, "{}", String::from_utf8_lossy(&head));
        RawPeer {
            stream,
            masks: true,
        }
    }

    /// A raw server of a talkws client.
    pub fn server() -> (RawPeer, Connection) {
        RawPeer::server_of(&DialOptions::new())
    }

    pub fn server_of(options: &DialOptions) -> (RawPeer, Connection) {
        RawPeer::server_with(options, "")
    }

    /// One that answers with further headers, each of which ends its line.
    pub fn server_with(options: &DialOptions, headers: &str) -> (RawPeer, Connection) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let options = options.clone();
        let client = thread::spawn(move || options.dial(&url).unwrap());
        let (stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let stream = upgrade(stream, headers);
        (
            RawPeer {
                stream,
                masks: false,
            },
            client.join().unwrap(),
        )
    }

    /// A raw peer for each role, with the talkws end it talks to.
    pub fn both_roles() -> [(RawPeer, Connection); 2] {
        [RawPeer::client(), RawPeer::server()]
    }

    /// The bytes of a frame, masked if this peer plays the client.
    pub fn frame(&self, first: u8, payload: &[u8]) -> Vec<u8> {
        frame(first, payload, self.masks)
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub fn send_frame(&mut self, first: u8, payload: &[u8]) {
        let frame = self.frame(first, payload);
        self.send(&frame);
    }

    /// Reads a frame: its first byte, and its payload unmasked.
    pub fn read_frame(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head).unwrap();
        let length = match head[1] & 0x7F {
            126 => u16::from_be_bytes(self.read_array()).into(),
            127 => u64::from_be_bytes(self.read_array()),
            length => length.into(),
        };
        assert_eq!(
            head[1] & 0x80 != 0,
            !self.masks,
            "a client masks, a server does not"
        );
        let mask: [u8; 4] = if self.masks {
            [0; 4]
        } else {
            self.read_array()
        };
        let mut payload = vec![0; length as usize];
        self.stream.read_exact(&mut payload).unwrap();
        for (index, byte) in payload.iter_mut().enumerate() {
            *byte ^= mask[index % 4];
        }
        (head[0], payload)
    }

    /// Reads a Close frame, and gives its code.
    pub fn read_close(&mut self) -> Option<u16> {
        let (first, payload) = self.read_frame();
        assert_eq!(
            first,
            FINAL | CLOSE,
            "a Close was expected, not {payload:?}"
        );
        payload
            .get(..2)
            .map(|code| u16::from_be_bytes([code[0], code[1]]))
    }

    /// Reads until the stream ends, in order or not.
    pub fn read_to_end(&mut self) {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Ends this peer's direction of the stream.
    pub fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Ends the stream with a reset.
    pub fn reset(self) {
        reset(self.stream);
    }

    fn read_array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }
}

/// Answers a client's request with 101 and further headers, each of which ends its line.
pub fn upgrade(mut stream: TcpStream, headers: &str) -> TcpStream {
    let head = String::from_utf8(read_head(&mut stream)).unwrap();
    let key = head
        .lines()
        .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
        .unwrap();
    let accept = derive_accept_key(key.as_bytes());
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{headers}\r\n"
    );
    stream.write_all(response.as_bytes()).unwrap();
    stream
}

pub fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream)
        .set_linger(Some(std::time::Duration::ZERO))
        .unwrap();
    drop(stream);
}

pub fn frame(first: u8, payload: &[u8], masks: bool) -> Vec<u8> {
    let mut bytes = vec![first];
    let mask_bit = if masks { 0x80 } else { 0 };
    match payload.len() {
        length @ 0..126 => bytes.push(mask_bit | length as u8),
        length @ 126..65536 => {
            bytes.push(mask_bit | 126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            bytes.push(mask_bit | 127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    let mask = if masks {
        [0x12, 0x34, 0x56, 0x78]
    } else {
        [0; 4]
    };
    if masks {
        bytes.extend_from_slice(&mask);
    }
    bytes.extend(
        payload
            .iter()
            .enumerate()
            .map(|(index, byte)| byte ^ mask[index % 4]),
    );
    bytes
}

fn read_head(stream: &mut TcpStream) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    head
}
