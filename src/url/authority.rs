//! What stands between `//` and the path of a URL (RFC 3986, 3.2): who, where, at which port.

use std::borrow::Cow;
use std::ffi::CString;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

use data_encoding::BASE64;

use super::percent;

/// The authority of a URL, taken apart and checked.
#[derive(Debug)]
pub struct Authority {
    pub credentials: Option<Credentials>,
    pub host: String,
    pub zone: Option<String>,
    /// As it was given; there may be none.
    pub port: Option<u16>,
}

/// Where a TCP connection goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A name in ASCII, or an IP address without brackets.
    pub host: String,
    /// Which interface a link-local address belongs to: its name or number (RFC 4007, 11).
    pub zone: Option<String>,
    pub port: u16,
}

/// A user and a password. They show nowhere but in the header that they are for.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub user: Vec<u8>,
    pub password: Vec<u8>,
}

const NO_HOST: &str = "there is no host, as in ws://host:port/path";

impl Authority {
    /// Takes `text` apart; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Authority, Cow<'static, str>> {
        let (credentials, place) = match text.rsplit_once('@') {
            Some((user_info, place)) => (Credentials::parse(user_info)?, place),
            None => (None, text),
        };
        let (host, zone, rest) = match place.strip_prefix('[') {
            Some(literal) => {
                let Some((inside, rest)) = literal.split_once(']') else {
                    return Err("the bracket before the host is never closed".into());
                };
                let (address, zone) = ipv6(inside)?;
                (address, zone, rest)
            }
            None => {
                let end = place.find(':').unwrap_or(place.len());
                (name(&place[..end])?, None, &place[end..])
            }
        };
        let port = match rest.strip_prefix(':') {
            None if rest.is_empty() => None,
            Some("") => None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(
                digits
                    .parse()
                    .map_err(|_| "the port must be a number from 0 to 65535")?,
            ),
            _ => return Err("the port must be a number from 0 to 65535".into()),
        };
        Ok(Authority {
            credentials,
            host,
            zone,
            port,
        })
    }
}

/// An IPv6 address without its brackets, and its zone (RFC 6874).
fn ipv6(text: &str) -> Result<(String, Option<String>), Cow<'static, str>> {
    let (address, zone) = match text.split_once('%') {
        None => (text, None),
        Some((address, zone)) => {
            let Some(zone) = zone.strip_prefix("25").filter(|zone| !zone.is_empty()) else {
                let reason = "a zone is written after %25, as in [fe80::1%25eth0] (RFC 6874)";
                return Err(reason.into());
            };
            let zone = percent::decode(zone).and_then(|zone| String::from_utf8(zone).ok());
            (address, Some(zone.ok_or("the zone is not UTF-8")?))
        }
    };
    if address.parse::<Ipv6Addr>().is_err() {
        return Err("the host in brackets is not an IPv6 address".into());
    }
    Ok((address.to_owned(), zone))
}

/// A host's name as the DNS and the `Host` header have it.
fn name(text: &str) -> Result<String, Cow<'static, str>> {
    if text.is_empty() {
        return Err(NO_HOST.into());
    }
    let decoded = percent::decode(text).and_then(|name| String::from_utf8(name).ok());
    let decoded = decoded.ok_or("the host's name is not UTF-8")?;
    let is_international = |label: &str| {
        !label.is_ascii()
            || label
                .get(..4)
                .is_some_and(|p| p.eq_ignore_ascii_case("xn--"))
    };
    if !decoded.split('.').any(is_international) {
        return Ok(decoded);
    }
    // As browsers have it: UTS 46, without transitional processing.
    match idna::domain_to_ascii_cow(decoded.as_bytes(), idna::AsciiDenyList::URL) {
        Ok(ascii) if ascii.is_empty() => Err(NO_HOST.into()),
        Ok(ascii) => Ok(ascii.into_owned()),
        Err(_) => Err(format!("{decoded:?} cannot be a host's name (UTS 46)").into()),
    }
}

impl Endpoint {
    /// The address, when the host is one rather than a name. An error when there is no such zone.
    pub fn address(&self) -> io::Result<Option<SocketAddr>> {
        let Ok(address) = self.host.parse::<IpAddr>() else {
            return Ok(None);
        };
        match (address, &self.zone) {
            (IpAddr::V6(address), Some(zone)) => {
                let scope = scope_of(zone)?;
                Ok(Some(SocketAddrV6::new(address, self.port, 0, scope).into()))
            }
            _ => Ok(Some(SocketAddr::new(address, self.port))),
        }
    }
}

/// The number of an interface, by which the system knows a zone.
fn scope_of(zone: &str) -> io::Result<u32> {
    if let Ok(number) = zone.parse() {
        return Ok(number);
    }
    let no_interface = || {
        let reason = format!("there is no network interface {zone:?}");
        io::Error::new(io::ErrorKind::NotFound, reason)
    };
    let name = CString::new(zone).map_err(|_| no_interface())?;
    // SAFETY: the name is NUL-terminated and lives until the call returns.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(no_interface()),
        number => Ok(number),
    }
}

/// As it stands in a URL, with its port.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Endpoint { host, zone, port } = self;
        match zone {
            Some(zone) => write!(f, "[{host}%25{zone}]:{port}"),
            None if host.contains(':') => write!(f, "[{host}]:{port}"),
            None => write!(f, "{host}:{port}"),
        }
    }
}

impl Credentials {
    /// User and password of a URL; `None` when both are empty.
    fn parse(text: &str) -> Result<Option<Credentials>, Cow<'static, str>> {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        let broken = "a '%' in the user or password is no percent-encoding; write it as %25";
        let user = percent::decode(user).ok_or(broken)?;
        let password = percent::decode(password).ok_or(broken)?;
        let is_control = |byte: &u8| byte.is_ascii_control();
        if user.contains(&b':') || user.iter().chain(&password).any(is_control) {
            let reason = "a user may hold no colon, nor a control character, and a password none of \
                          those either (RFC 7617, 2)";
            return Err(reason.into());
        }
        let is_none = user.is_empty() && password.is_empty();
        Ok((!is_none).then_some(Credentials { user, password }))
    }

    /// The value of `Authorization` or `Proxy-Authorization` (RFC 7617, 2).
    pub fn basic(&self) -> String {
        let pair = [&self.user[..], b":", &self.password].concat();
        format!("Basic {}", BASE64.encode(&pair))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_are_decoded() {
        let authority = Authority::parse("us%65r:p%40ss:w@h:1").unwrap();
        let credentials = authority.credentials.unwrap();
        assert_eq!(
            (&credentials.user[..], &credentials.password[..]),
            (&b"user"[..], &b"p@ss:w"[..])
        );
        assert_eq!(credentials.basic(), "Basic dXNlcjpwQHNzOnc=");
        assert!(!format!("{credentials:?}").contains("user"));
        assert_eq!(Authority::parse("@h").unwrap().credentials, None);
        assert!(Authority::parse("user@h").unwrap().credentials.is_some());
        for broken in ["u%3Av:p@h", "u:p%0A@h", "u%:p@h", "u:100%@h"] {
            assert!(Authority::parse(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn an_international_name_goes_out_in_ascii() {
        let host = |text: &str| Authority::parse(text).map(|authority| authority.host);
        assert_eq!(
            host("b\u{fc}cher.example").unwrap(),
            "xn--bcher-kva.example"
        );
        assert_eq!(
            host("B%C3%9CCHER.example").unwrap(),
            "xn--bcher-kva.example"
        );
        assert_eq!(host("fa\u{df}.de").unwrap(), "xn--fa-hia.de");
        assert_eq!(
            host("xn--bcher-kva.example").unwrap(),
            "xn--bcher-kva.example"
        );
        assert_eq!(host("Plain.example").unwrap(), "Plain.example");
        for broken in [
            "xn--a\u{fc}",
            "a\u{fc}/b",
            "\u{fc}%20",
            "a\u{fc}\u{202e}b",
            "%FF",
        ] {
            assert!(host(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_zone_names_an_interface() {
        let authority = Authority::parse("[fe80::1%251]:80").unwrap();
        assert_eq!(
            (authority.host.as_str(), authority.zone.as_deref()),
            ("fe80::1", Some("1"))
        );
        let endpoint = |zone: &str| Endpoint {
            host: "fe80::1".into(),
            zone: Some(zone.into()),
            port: 80,
        };
        let address = endpoint("7").address().unwrap();
        assert_eq!(address, Some("[fe80::1%7]:80".parse().unwrap()));
        assert_eq!(endpoint("eth0").to_string(), "[fe80::1%25eth0]:80");
        let error = endpoint("no-such-interface").address().unwrap_err();
        assert!(error.to_string().contains("no-such-interface"), "{error}");
        for broken in [
            "[fe80::1%eth0]",
            "[fe80::1%25]",
            "[1.2.3.4%25eth0]",
            "[::1",
            "[::1]x",
        ] {
            assert!(Authority::parse(broken).is_err(), "{broken}");
        }
    }
}
