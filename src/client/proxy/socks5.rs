//! SOCKS 5 (RFC 1928), with user and password (RFC 1929).

use std::net::{IpAddr, SocketAddr};

use super::Exchange;
use crate::error::Result;
use crate::url::authority::{Credentials, Endpoint};

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const NONE_ACCEPTABLE: u8 = 0xFF;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// What the proxy is to connect to.
pub(super) struct Target<'a> {
    endpoint: &'a Endpoint,
    address: Option<SocketAddr>,
}

impl<'a> Target<'a> {
    /// Of an endpoint whose name was resolved here, or is for the proxy to resolve.
    pub fn new(endpoint: &'a Endpoint, resolved: Option<&SocketAddr>) -> Self {
        let literal = || Some(SocketAddr::new(endpoint.host.parse().ok()?, endpoint.port));
        Target {
            endpoint,
            address: resolved.copied().or_else(literal),
        }
    }

    /// The request to connect (RFC 1928, 4); `None` when the name is too long for it.
    fn request(&self) -> Option<Vec<u8>> {
        let mut request = vec![VERSION, CONNECT, 0];
        match self.address.map(|address| address.ip()) {
            Some(IpAddr::V4(address)) => {
                request.push(IPV4);
                request.extend_from_slice(&address.octets());
            }
            Some(IpAddr::V6(address)) => {
                request.push(IPV6);
                request.extend_from_slice(&address.octets());
            }
            None => {
                let name = self.endpoint.host.as_bytes();
                request.extend_from_slice(&[NAME, u8::try_from(name.len()).ok()?]);
                request.extend_from_slice(name);
            }
        }
        request.extend_from_slice(&self.endpoint.port.to_be_bytes());
        Some(request)
    }
}

/// Has the proxy connect to `target`. The stream is the target's when this succeeds.
pub(super) fn open(
    exchange: &Exchange<'_>,
    target: &Target<'_>,
    credentials: Option<&Credentials>,
) -> Result<()> {
    let too_long = || exchange.failed("the host's name has more than 255 bytes");
    let request = target.request().ok_or_else(too_long)?;
    authenticate(exchange, credentials)?;
    exchange.send(&request)?;
    let mut reply = Vec::new();
    // Version, reply, reserved, kind of address, and the first byte of the address.
    exchange.receive(&mut reply, 5)?;
    check_version(exchange, reply[0], VERSION)?;
    if reply[1] != 0 {
        let (said, endpoint) = (meaning(reply[1]), target.endpoint);
        return Err(exchange.failed(format!("asked for {endpoint} it answered: {said}")));
    }
    // The address at which the proxy went out, which nobody asked for.
    let rest = match reply[3] {
        IPV4 => 3 + 2,
        IPV6 => 15 + 2,
        NAME => usize::from(reply[4]) + 2,
        kind => {
            let reason = format!("it answered with an address of unknown kind {kind}");
            return Err(exchange.failed(reason));
        }
    };
    exchange.receive(&mut reply, rest)
}

/// Agrees on how to authenticate (RFC 1928, 3), and does so.
fn authenticate(exchange: &Exchange<'_>, credentials: Option<&Credentials>) -> Result<()> {
    let offer: &[u8] = match credentials {
        None => &[VERSION, 1, NO_AUTHENTICATION],
        Some(_) => &[VERSION, 2, NO_AUTHENTICATION, USER_AND_PASSWORD],
    };
    exchange.send(offer)?;
    let mut choice = Vec::new();
    exchange.receive(&mut choice, 2)?;
    check_version(exchange, choice[0], VERSION)?;
    match (choice[1], credentials) {
        (NO_AUTHENTICATION, _) => return Ok(()),
        (USER_AND_PASSWORD, Some(credentials)) => {
            exchange.send(&user_and_password(credentials))?;
        }
        (NONE_ACCEPTABLE, None) => {
            let reason = "it wants a user and a password, as in socks5://user:password@proxy:1080";
            return Err(exchange.failed(reason));
        }
        (NONE_ACCEPTABLE, Some(_)) => {
            let reason = "it takes neither a user with a password nor none at all";
            return Err(exchange.failed(reason));
        }
        (method, _) => {
            let reason = format!("it chose authentication {method}, which was not offered");
            return Err(exchange.failed(reason));
        }
    }
    let mut verdict = Vec::new();
    exchange.receive(&mut verdict, 2)?;
    // RFC 1929, 2. Its version is 1, but not every proxy says so.
    if verdict[1] != 0 {
        return Err(exchange.failed("it does not take this user and password"));
    }
    Ok(())
}

/// RFC 1929, 2. The lengths fit, or there would be no such proxy.
fn user_and_password(credentials: &Credentials) -> Vec<u8> {
    let mut message = vec![1];
    for part in [&credentials.user, &credentials.password] {
        message.push(part.len() as u8);
        message.extend_from_slice(part);
    }
    message
}

fn check_version(exchange: &Exchange<'_>, version: u8, expected: u8) -> Result<()> {
    if version == expected {
        return Ok(());
    }
    let reason = match version {
        b'H' => "it answered in HTTP; its URL may have to begin with http://".to_owned(),
        version => format!("it answered in version {version}, not SOCKS 5"),
    };
    Err(exchange.failed(reason))
}

/// What a reply says in words (RFC 1928, 6).
fn meaning(reply: u8) -> String {
    match reply {
        1 => "general failure",
        2 => "its rules do not allow this connection",
        3 => "the network cannot be reached",
        4 => "the host cannot be reached",
        5 => "connection refused",
        6 => "the time to live ran out",
        7 => "it cannot connect to anything (command not supported)",
        8 => "it does not know this kind of address; socks5:// and socks5h:// send different ones",
        other => return format!("reply {other}, which has no meaning (RFC 1928, 6)"),
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(host: &str) -> Endpoint {
        Endpoint {
            host: host.into(),
            zone: None,
            port: 0x1F90,
        }
    }

    #[test]
    fn a_request_names_an_address_or_a_name() {
        let request = |host: &str, resolved: Option<&str>| {
            let resolved = resolved.map(|address| address.parse().unwrap());
            Target::new(&endpoint(host), resolved.as_ref()).request()
        };
        let name = request("example.org", None).unwrap();
        assert_eq!(name, b"\x05\x01\x00\x03\x0Bexample.org\x1F\x90");
        let v4 = b"\x05\x01\x00\x01\x7F\x00\x00\x01\x1F\x90";
        assert_eq!(request("127.0.0.1", None).unwrap(), v4);
        assert_eq!(request("localhost", Some("127.0.0.1:1")).unwrap(), v4);
        let v6 = request("::1", None).unwrap();
        assert_eq!((v6[3], v6.len()), (IPV6, 4 + 16 + 2));
        assert_eq!(request(&"x".repeat(256), None), None);
    }

    #[test]
    fn every_reply_has_a_meaning() {
        for reply in 1..=255 {
            assert!(!meaning(reply).is_empty());
        }
    }
}
