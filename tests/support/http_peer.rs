//! The other end of an opening handshake, on a plain socket: a client that asks whatever it is
//! told to, and a server that answers so.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tungstenite::handshake::derive_accept_key;

/// How long a peer that sends byte by byte waits after each for an answer.
const PACE: Duration = Duration::from_millis(5);

/// A request, by default one that every server upgrades.
#[derive(Clone)]
pub struct Ask {
    line: Vec<u8>,
    headers: Vec<Vec<u8>>,
}

/// Asks for an upgrade at a path, perhaps with a query.
pub fn get(target: &str) -> Ask {
    Ask::line(format!("GET {target} HTTP/1.1"))
}

impl Ask {
    /// An upgrade with another request line.
    pub fn line(line: impl AsRef<[u8]>) -> Ask {
        let headers = [
            "Host: localhost",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ];
        Ask {
            line: line.as_ref().to_owned(),
            headers: headers.map(|header| header.into()).to_vec(),
        }
    }

    /// Adds a header line.
    pub fn with(mut self, header: impl AsRef<[u8]>) -> Ask {
        self.headers.push(header.as_ref().to_owned());
        self
    }

    /// Drops the headers of that name.
    pub fn without(mut self, name: &str) -> Ask {
        let start = format!("{name}:");
        self.headers
            .retain(|header| !header.starts_with(start.as_bytes()));
        self
    }

    /// Puts a header line in the place of those of its name.
    pub fn instead(self, header: &str) -> Ask {
        let name = header.split(':').next().unwrap();
        self.without(name).with(header)
    }

    pub fn header_count(&self) -> usize {
        self.headers.len()
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.line.clone();
        for header in &self.headers {
            bytes.extend_from_slice(b"\r\n");
            bytes.extend_from_slice(header);
        }
        bytes.extend_from_slice(b"\r\n\r\n");
        bytes
    }
}

/// The head of a request or response.
#[derive(Debug)]
pub struct Head {
    /// The request line or status line.
    pub line: String,
    headers: Vec<(String, Vec<u8>)>,
}

impl Head {
    /// Reads a head up to its empty line, and no byte more.
    pub fn read(stream: &mut impl BufRead) -> Head {
        let mut line = || {
            let mut line = Vec::new();
            stream.read_until(b'\n', &mut line).unwrap();
            assert!(line.ends_with(b"\r\n"), "a line without its end: {line:?}");
            line.truncate(line.len() - 2);
            line
        };
        let start = String::from_utf8(line()).unwrap();
        let mut headers = Vec::new();
        loop {
            let line = line();
            if line.is_empty() {
                break;
            }
            let colon = line.iter().position(|&byte| byte == b':').unwrap();
            let name = String::from_utf8(line[..colon].to_owned()).unwrap();
            headers.push((name, line[colon + 1..].trim_ascii().to_owned()));
        }
        Head {
            line: start,
            headers,
        }
    }

    /// The values of all headers of that name.
    pub fn values(&self, name: &str) -> Vec<&[u8]> {
        let named = |(found, _): &&(String, Vec<u8>)| found.eq_ignore_ascii_case(name);
        self.headers
            .iter()
            .filter(named)
            .map(|(_, value)| value.as_slice())
            .collect()
    }

    /// The value of the only header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let values = self.values(name);
        assert!(values.len() <= 1, "{name} came {} times", values.len());
        values
            .first()
            .map(|value| std::str::from_utf8(value).unwrap())
    }

    /// What a server must say to the key of this request.
    pub fn accept_key(&self) -> String {
        derive_accept_key(self.header("Sec-WebSocket-Key").unwrap().as_bytes())
    }

    /// The response that upgrades this request, with more header lines.
    pub fn upgrade(&self, more: &[&str]) -> Vec<u8> {
        let mut response = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {}\r\n",
            self.accept_key()
        );
        for line in more {
            response += line;
            response += "\r\n";
        }
        response += "\r\n";
        response.into_bytes()
    }
}

/// What a server answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: Head,
    pub body: String,
}

impl Answer {
    /// Reads the head of an answer, and no byte more.
    pub fn head(stream: &TcpStream) -> Answer {
        // One byte at a time, since what follows belongs to the connection.
        Answer::of(Head::read(&mut BufReader::with_capacity(1, stream)))
    }

    /// Reads an answer to the end of the stream, which must come in order, not by a reset, and
    /// be that of the body.
    pub fn whole(stream: &TcpStream) -> Answer {
        let mut stream = BufReader::with_capacity(1024, stream);
        let mut answer = Answer::of(Head::read(&mut stream));
        stream.read_to_string(&mut answer.body).unwrap();
        let length = answer.head.header("Content-Length");
        assert_eq!(length, Some(answer.body.len().to_string().as_str()));
        answer
    }

    fn of(head: Head) -> Answer {
        let status = head.line.strip_prefix("HTTP/1.1 ").unwrap();
        let status = status.split(' ').next().unwrap().parse().unwrap();
        let body = String::new();
        Answer { status, head, body }
    }
}

/// A client that has sent these bytes.
pub fn client(server: SocketAddr, bytes: impl AsRef<[u8]>) -> TcpStream {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(bytes.as_ref()).unwrap();
    stream
}

/// Sends byte by byte, each after having waited in vain for an answer, until there is one, or
/// the other end has gone, or all is sent.
pub fn dribble(stream: &mut TcpStream, bytes: impl IntoIterator<Item = u8>) {
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PACE)).unwrap();
    for byte in bytes {
        if stream.write_all(&[byte]).is_err() {
            break;
        }
        match stream.peek(&mut [0]) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            _ => break,
        }
    }
    stream.set_read_timeout(None).unwrap();
}

/// A server of one client, in a thread of its own.
pub struct Server {
    /// Where it is dialled.
    pub url: String,
    pub address: SocketAddr,
    thread: JoinHandle<()>,
}

impl Server {
    /// Reads the head of one request, and hands it to `answer`.
    pub fn new(answer: impl FnOnce(Head, TcpStream) + Send + 'static) -> Server {
        Server::at("127.0.0.1", answer)
    }

    pub fn at(host: &str, answer: impl FnOnce(Head, TcpStream) + Send + 'static) -> Server {
        let listener = TcpListener::bind((host, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let thread = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            stream.set_nodelay(true).unwrap();
            // A client sends nothing before it has the answer, so nothing is lost in the buffer.
            let asked = Head::read(&mut BufReader::new(&stream));
            answer(asked, stream);
        });
        Server {
            url: format!("ws://{address}"),
            address,
            thread,
        }
    }

    /// A server that sends these bytes, and then waits until the client has gone.
    pub fn saying(bytes: impl Into<Vec<u8>>) -> Server {
        let bytes = bytes.into();
        Server::new(move |_, mut stream| {
            // The client may have heard enough before the end.
            let _ = stream.write_all(&bytes);
            wait_for_end(&stream);
        })
    }

    /// Waits until the server has done its part.
    pub fn join(self) {
        if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

/// Waits until the other end has gone.
pub fn wait_for_end(mut stream: &TcpStream) {
    let mut chunk = [0; 4096];
    while stream.read(&mut chunk).is_ok_and(|count| count > 0) {}
}
