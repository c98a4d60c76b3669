//! The PROXY protocol, versions 1 and 2, of the receiver (HAProxy's `proxy-protocol.txt`, 2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1, with its end.
const LONGEST_LINE: usize = 107;
/// `PROXY UNKNOWN` and the end of the line.
const SHORTEST_LINE: usize = 15;
const FIXED_PART: usize = 16;
/// Addresses, and more about the connection than anybody sends.
const LONGEST_REST: usize = 4096;

/// What the bytes received so far amount to.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// At least so many bytes are missing, and may be received: they are all of the header.
    Missing(usize),
    /// The header is whole.
    Complete(Source),
    /// Not a header of this protocol.
    Broken,
}

/// For whom the proxy has connected.
#[derive(Debug, PartialEq, Eq)]
pub enum Source {
    /// For itself, to see whether we are there, or it does not say.
    Itself,
    /// For a client; one at a Unix socket has no address.
    Client(Option<SocketAddr>),
}

/// Looks at all that a proxy has sent so far.
pub fn read(received: &[u8]) -> Progress {
    let signature = received.len().min(SIGNATURE.len());
    if received[..signature] == SIGNATURE[..signature] {
        return match received.len() {
            // Not more than the other version has, which it may be as long as nothing has come.
            0 => Progress::Missing(SHORTEST_LINE),
            _ => read_binary(received),
        };
    }
    read_line(received)
}

/// Version 1: a line.
fn read_line(received: &[u8]) -> Progress {
    let start = received.len().min(b"PROXY ".len());
    if received[..start] != b"PROXY "[..start] {
        return Progress::Broken;
    }
    match received.iter().position(|&byte| byte == b'\n') {
        Some(end) if end + 1 == received.len() => {}
        Some(_) => return Progress::Broken,
        None if received.len() >= LONGEST_LINE => return Progress::Broken,
        None if received.len() < SHORTEST_LINE => {
            return Progress::Missing(SHORTEST_LINE - received.len());
        }
        None if received.ends_with(b"\r") => return Progress::Missing(1),
        None => return Progress::Missing(2.min(LONGEST_LINE - received.len())),
    }
    let line = received.strip_suffix(b"\r\n").map(std::str::from_utf8);
    let Some(Ok(line)) = line else {
        return Progress::Broken;
    };
    source_of_line(line).map_or(Progress::Broken, Progress::Complete)
}

fn source_of_line(line: &str) -> Option<Source> {
    let mut words = line.split(' ').skip(1);
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(Source::Itself);
    }
    let [source, destination, port, other_port] = [(); 4].map(|()| words.next());
    if words.next().is_some() {
        return None;
    }
    let address = |text: Option<&str>| -> Option<IpAddr> {
        match family {
            "TCP4" => Some(IpAddr::V4(text?.parse().ok()?)),
            "TCP6" => Some(IpAddr::V6(text?.parse().ok()?)),
            _ => None,
        }
    };
    let number = |text: Option<&str>| text?.parse::<u16>().ok();
    let client = SocketAddr::new(address(source)?, number(port)?);
    address(destination)?;
    number(other_port)?;
    Some(Source::Client(Some(client)))
}

/// Version 2.
fn read_binary(received: &[u8]) -> Progress {
    let Some(fixed) = received.first_chunk::<FIXED_PART>() else {
        return Progress::Missing(FIXED_PART - received.len());
    };
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if length > LONGEST_REST {
        return Progress::Broken;
    }
    let rest = &received[FIXED_PART..];
    if rest.len() < length {
        return Progress::Missing(length - rest.len());
    }
    if rest.len() > length {
        return Progress::Broken;
    }
    let source = match (fixed[12], fixed[13] >> 4) {
        (0x20, _) | (0x21, 0) => Some(Source::Itself),
        (0x21, 1) => addresses::<4>(rest, |octets| Ipv4Addr::from(octets).into()),
        (0x21, 2) => addresses::<16>(rest, |octets| Ipv6Addr::from(octets).into()),
        (0x21, 3) => Some(Source::Client(None)),
        _ => None,
    };
    source.map_or(Progress::Broken, Progress::Complete)
}

/// Two addresses of `SIZE` bytes, and the two ports; what may follow is not for us.
fn addresses<const SIZE: usize>(
    bytes: &[u8],
    address: impl Fn([u8; SIZE]) -> IpAddr,
) -> Option<Source> {
    let octets = bytes.first_chunk::<SIZE>()?;
    let ports = bytes.get(2 * SIZE..2 * SIZE + 4)?;
    let port = u16::from_be_bytes([ports[0], ports[1]]);
    let client = SocketAddr::new(address(*octets), port);
    Some(Source::Client(Some(client)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of a header that is received as asked for, when that gives at most `most` bytes at
    /// a time, and how many bytes are taken.
    fn received(header: &[u8], most: usize) -> (Progress, usize) {
        let mut taken = 0;
        loop {
            match read(&header[..taken]) {
                Progress::Missing(missing) => {
                    assert!(missing > 0);
                    if taken == header.len() {
                        return (Progress::Missing(missing), taken);
                    }
                    taken = header.len().min(taken + missing.min(most));
                }
                progress => return (progress, taken),
            }
        }
    }

    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = (rest.len() as u16).to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    fn client(address: &str) -> Progress {
        Progress::Complete(Source::Client(Some(address.parse().unwrap())))
    }

    fn headers() -> Vec<(Vec<u8>, Progress)> {
        let v4 = [192, 0, 2, 1, 127, 0, 0, 1, 0x12, 0x34, 0, 80];
        let mut v6 = [0; 36];
        v6[15] = 1;
        v6[32..34].copy_from_slice(&[0, 9]);
        let extra = [&v4[..], &[0x20, 0, 3, 1, 2, 3]].concat();
        let longest = format!("PROXY UNKNOWN {}\r\n", "f".repeat(LONGEST_LINE - 16));
        assert_eq!(longest.len(), LONGEST_LINE);
        vec![
            (
                b"PROXY TCP4 192.0.2.1 127.0.0.1 4660 80\r\n".to_vec(),
                client("192.0.2.1:4660"),
            ),
            (
                b"PROXY TCP6 2001:db8::1 ::1 9 65535\r\n".to_vec(),
                client("[2001:db8::1]:9"),
            ),
            (
                b"PROXY UNKNOWN\r\n".to_vec(),
                Progress::Complete(Source::Itself),
            ),
            (longest.into(), Progress::Complete(Source::Itself)),
            (binary(0x21, 0x11, &v4), client("192.0.2.1:4660")),
            (binary(0x21, 0x11, &extra), client("192.0.2.1:4660")),
            (binary(0x21, 0x21, &v6), client("[::1]:9")),
            (
                binary(0x21, 0x31, &[0; 216]),
                Progress::Complete(Source::Client(None)),
            ),
            (binary(0x20, 0x00, &[]), Progress::Complete(Source::Itself)),
            (binary(0x20, 0x11, &v4), Progress::Complete(Source::Itself)),
            (binary(0x21, 0x00, &[]), Progress::Complete(Source::Itself)),
        ]
    }

    #[test]
    fn a_header_is_taken_whole_and_nothing_after_it() {
        for (header, expected) in headers() {
            let with_more = [&header[..], b"\x16\x03GET / HTTP/1.1\r\n\r\n"].concat();
            for most in 1..=header.len() {
                let (progress, taken) = received(&with_more, most);
                assert_eq!(progress, expected, "{header:?} by {most}");
                assert_eq!(taken, header.len(), "{header:?} by {most}");
            }
        }
    }

    #[test]
    fn a_part_of_a_header_is_not_one() {
        for (header, _) in headers() {
            for length in 0..header.len() {
                let progress = read(&header[..length]);
                assert!(
                    matches!(progress, Progress::Missing(_)),
                    "{length} of {header:?}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_header_is_broken() {
        let too_long = format!("PROXY UNKNOWN {}\r\n", "f".repeat(LONGEST_LINE));
        for broken in [
            &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
            b"PROXY TCP4 192.0.2.1 127.0.0.1 4660\r\n",
            b"PROXY TCP4 192.0.2.1 127.0.0.1 4660 80 1\r\n",
            b"PROXY TCP4 ::1 127.0.0.1 4660 80\r\n",
            b"PROXY TCP4 192.0.2.1 127.0.0.1 65536 80\r\n",
            b"PROXY TCP4  192.0.2.1 127.0.0.1 1 80\r\n",
            b"PROXY TCP5 192.0.2.1 127.0.0.1 1 80\r\n",
            b"PROXY TCP4 192.0.2.1 127.0.0.1 1 80\n",
            b"PROXY \xFF \xFF \xFF \xFF\r\n",
            too_long.as_bytes(),
            &binary(0x21, 0x11, &[0; 11]),
            &binary(0x21, 0x41, &[0; 200]),
            &binary(0x22, 0x11, &[0; 12]),
            &binary(0x11, 0x11, &[0; 12]),
            &binary(0x21, 0x11, &[0; LONGEST_REST + 1]),
            b"\r\n\r\n\0\r\nQUIX\n",
        ] {
            assert_eq!(
                received(broken, usize::MAX).0,
                Progress::Broken,
                "{broken:?}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_header_or_not(bytes: Vec<u8>, binary: bool, most in 1_usize..40) {
            let start: &[u8] = if binary { SIGNATURE } else { b"PROXY " };
            received(&[start, &bytes].concat(), most);
            received(&bytes, most);
        }
    }
}
