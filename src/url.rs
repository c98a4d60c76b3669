//! `ws` URLs (RFC 6455, section 3).

use std::net::Ipv6Addr;

use http::Uri;

use crate::error::{Error, Result};

/// A `ws` URL, taken apart and checked.
#[derive(Debug, Clone)]
pub struct Url {
    /// As it was given.
    pub text: String,
    /// As tungstenite wants it.
    pub uri: Uri,
    /// A name, or an IP address without brackets.
    pub host: String,
    pub port: u16,
    /// Whether the stream is to be TLS: `wss`.
    pub is_secure: bool,
    /// Whether a path stands after the host: `ws://host/` has one, `ws://host` has none.
    pub has_path: bool,
}

impl Url {
    pub fn parse(text: &str) -> Result<Url> {
        let wrong = |reason: &'static str| Err(Error::invalid_url(text, reason));
        if text.contains('#') {
            return wrong("a ws URL has no fragment, no '#' (RFC 6455, 3)");
        }
        let uri: Uri = match text.parse() {
            Ok(uri) => uri,
            Err(error) => return Err(Error::invalid_url(text, error.to_string())),
        };
        let is_secure = match uri.scheme_str() {
            Some(scheme) if scheme.eq_ignore_ascii_case("ws") => false,
            Some(scheme) if scheme.eq_ignore_ascii_case("wss") => true,
            _ => return wrong("the scheme must be ws or wss, as in ws://host:port/path"),
        };
        let Some(authority) = uri.authority() else {
            return wrong("there is no host, as in ws://host:port/path");
        };
        if authority.as_str().contains('@') {
            return wrong("a user or password in the URL is not supported; set a header");
        }
        let bracketed = authority.host();
        let host = bracketed.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return wrong("there is no host, as in ws://host:port/path");
        }
        if bracketed.starts_with('[') && host.parse::<Ipv6Addr>().is_err() {
            return wrong("the host in brackets is not an IPv6 address");
        }
        let port = match authority.as_str()[bracketed.len()..].strip_prefix(':') {
            // RFC 6455, 3.
            None | Some("") => {
                if is_secure {
                    443
                } else {
                    80
                }
            }
            Some(digits) => match digits.parse() {
                Ok(port) => port,
                Err(_) => return wrong("the port must be a number from 0 to 65535"),
            },
        };
        let after_scheme = text.split_once("://").map_or("", |(_, rest)| rest);
        let end_of_host = after_scheme.find(['/', '?']);
        let has_path = end_of_host.is_some_and(|end| after_scheme[end..].starts_with('/'));
        Ok(Url {
            text: text.to_owned(),
            host: host.to_owned(),
            port,
            is_secure,
            has_path,
            uri,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_url() {
        let url = Url::parse("ws://localhost:8080/talk-to-server?x=1").unwrap();
        assert_eq!(
            (url.host.as_str(), url.port, url.has_path),
            ("localhost", 8080, true)
        );
        let url = Url::parse("ws://[::1]").unwrap();
        assert_eq!(
            (url.host.as_str(), url.port, url.has_path),
            ("::1", 80, false)
        );
        assert!(Url::parse("ws://h/").unwrap().has_path);
        assert!(!Url::parse("ws://h?q").unwrap().has_path);
        assert!(!Url::parse("ws://h?q=/").unwrap().has_path);
        // Hosts whose names are found in the scheme.
        assert!(Url::parse("ws://ws/chat").unwrap().has_path);
        assert!(Url::parse("WS://s/chat").unwrap().has_path);
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said() {
        for (text, says) in [
            ("", "empty"),
            ("localhost:8080", "scheme must be ws or wss"),
            ("http://localhost/", "scheme must be ws or wss"),
            ("ws://h/#f", "no fragment"),
            ("ws://user:pw@h/", "user or password"),
            ("ws://h:99999/", "port must be"),
            ("ws://h:x/", "port"),
            ("ws://[1.2.3.4]/", "not an IPv6 address"),
            ("ws:///path", ""),
            ("ws://h/with space", ""),
        ] {
            match Url::parse(text) {
                Err(Error::InvalidUrl { url, reason }) => {
                    assert_eq!(url, text);
                    assert!(reason.contains(says), "{text}: {reason}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_secure_url_has_a_port_of_its_own() {
        let port = |text| {
            Url::parse(text)
                .map(|url| (url.is_secure, url.port))
                .unwrap()
        };
        assert_eq!(port("wss://h/"), (true, 443));
        assert_eq!(port("WSS://h:80/"), (true, 80));
        assert_eq!(port("ws://h"), (false, 80));
    }
}
