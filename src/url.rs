//! `ws` URLs (RFC 6455, section 3), and those of Unix sockets.

pub mod authority;
pub mod percent;
mod reference;

use std::borrow::Cow;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use http::Uri;

use crate::error::{Error, Result};
use authority::{Authority, Credentials, Endpoint};

/// A `ws` URL, taken apart and checked.
#[derive(Debug, Clone)]
pub struct Url {
    /// As it was given, without user and password.
    pub text: String,
    /// As tungstenite wants it: the host in ASCII, no user, no zone.
    pub uri: Uri,
    /// A name in ASCII, or an IP address without brackets; `localhost` for a Unix socket.
    pub host: String,
    /// The zone of a link-local address (RFC 6874).
    pub zone: Option<String>,
    pub port: u16,
    /// The Unix socket to go to, instead of host and port. One that begins with NUL is abstract.
    pub socket: Option<PathBuf>,
    /// User and password, to be sent as `Authorization`.
    pub credentials: Option<Credentials>,
    /// Whether the stream is to be TLS: `wss`.
    pub is_secure: bool,
    /// Whether a path stands after the host: `ws://host/` has one, `ws://host` has none.
    pub has_path: bool,
}

const SCHEMES: &str = "the scheme must be ws or wss, as in ws://host:port/path";

impl Url {
    pub fn parse(text: &str) -> Result<Url> {
        let wrong = |reason| Error::invalid_url(&without_secrets(text), reason);
        if text.is_empty() {
            return Err(wrong("the URL is empty".into()));
        }
        if text.contains('#') {
            return Err(wrong(
                "a ws URL has no fragment, no '#' (RFC 6455, 3)".into(),
            ));
        }
        let (scheme, rest) = text.split_once(':').ok_or_else(|| wrong(SCHEMES.into()))?;
        match scheme.to_ascii_lowercase().as_str() {
            "ws" => Self::of_host(text, rest, false),
            "wss" => Self::of_host(text, rest, true),
            "ws+unix" => Self::of_socket(text, rest, false),
            "wss+unix" => Self::of_socket(text, rest, true),
            _ => Err(SCHEMES.into()),
        }
        .map_err(wrong)
    }

    /// `rest` is what stands after `ws:`.
    fn of_host(text: &str, rest: &str, is_secure: bool) -> Result<Url, Cow<'static, str>> {
        let rest = rest.strip_prefix("//").ok_or(SCHEMES)?;
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let parsed = Authority::parse(authority)?;
        let scheme = if is_secure { "wss" } else { "ws" };
        let host = if parsed.host.contains(':') {
            format!("[{}]", parsed.host)
        } else {
            parsed.host.clone()
        };
        let port = parsed
            .port
            .map_or_else(String::new, |port| format!(":{port}"));
        let shown = match authority.rsplit_once('@') {
            Some((_, place)) => {
                let scheme = &text[..text.len() - rest.len()];
                format!("{scheme}***@{place}{target}")
            }
            None => text.to_owned(),
        };
        Ok(Url {
            text: shown,
            uri: uri(&format!("{scheme}://{host}{port}"), target)?,
            host: parsed.host,
            zone: parsed.zone,
            // RFC 6455, 3.
            port: parsed.port.unwrap_or(if is_secure { 443 } else { 80 }),
            socket: None,
            credentials: parsed.credentials,
            is_secure,
            has_path: target.starts_with('/'),
        })
    }

    /// `rest` is what stands after `ws+unix:`: where the socket is, and after a colon what is
    /// asked for there.
    fn of_socket(text: &str, rest: &str, is_secure: bool) -> Result<Url, Cow<'static, str>> {
        let (place, target) = rest.split_at(rest.find(':').unwrap_or(rest.len()));
        let target = target.strip_prefix(':').unwrap_or_default();
        if !target.is_empty() && !target.starts_with('/') {
            let reason = "what is asked for begins with a slash: ws+unix:///run/app.sock:/path";
            return Err(reason.into());
        }
        if place.contains('?') {
            let reason = "a query stands after a path: ws+unix:///run/app.sock:/path?query";
            return Err(reason.into());
        }
        let scheme = if is_secure { "wss" } else { "ws" };
        Ok(Url {
            text: text.to_owned(),
            uri: uri(&format!("{scheme}://localhost"), target)?,
            host: "localhost".to_owned(),
            zone: None,
            port: if is_secure { 443 } else { 80 },
            socket: Some(socket(place)?),
            credentials: None,
            is_secure,
            has_path: !target.is_empty(),
        })
    }

    /// Where a TCP connection to it goes.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint {
            host: self.host.clone(),
            zone: self.zone.clone(),
            port: self.port,
        }
    }
}

/// What tungstenite takes for a URL.
fn uri(base: &str, target: &str) -> Result<Uri, Cow<'static, str>> {
    let target = percent::encode_beyond_ascii(target);
    let parsed = format!("{base}{target}").parse();
    parsed.map_err(|error: http::uri::InvalidUri| error.to_string().into())
}

/// The path of a Unix socket. An abstract one, which has a name and no file, is written `@name`, as
/// in /proc/net/unix, and begins with NUL here.
fn socket(text: &str) -> Result<PathBuf, Cow<'static, str>> {
    let path = match text.strip_prefix("//") {
        Some(path) if path.starts_with(['/', '@', '%']) => path,
        Some(_) => return Err("a path after // is absolute: ws+unix:///run/app.sock".into()),
        None => text,
    };
    let decoded = percent::decode(path).ok_or("a '%' in a socket's path is written %25")?;
    let bytes = match path.strip_prefix('@') {
        Some(_) => [b"\0", &decoded[1..]].concat(),
        None => decoded,
    };
    let is_abstract = bytes.first() == Some(&0);
    let name = bytes.strip_prefix(b"\0").unwrap_or(&bytes);
    if name.is_empty() {
        return Err("there is no socket, as in ws+unix:///run/app.sock:/path".into());
    }
    if !is_abstract && name.contains(&0) {
        return Err("the path of the socket holds a NUL".into());
    }
    if is_abstract && !cfg!(any(target_os = "linux", target_os = "android")) {
        return Err("abstract sockets are there on Linux only; name a path".into());
    }
    Ok(OsString::from_vec(bytes).into())
}

/// A URL that is wrong, as it may be shown. Nobody knows where its password ends, so all that might
/// be one goes.
pub fn without_secrets(text: &str) -> Cow<'_, str> {
    match (text.find("://"), text.rfind('@')) {
        (Some(start), Some(end)) if end > start && !is_unix(text) => {
            format!("{}***{}", &text[..start + 3], &text[end..]).into()
        }
        _ => text.into(),
    }
}

fn is_unix(text: &str) -> bool {
    let scheme = text.split(':').next().unwrap_or_default();
    scheme.eq_ignore_ascii_case("ws+unix") || scheme.eq_ignore_ascii_case("wss+unix")
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
            ("ws:/h/", "scheme must be ws or wss"),
            ("ws://h/#f", "no fragment"),
            ("ws://h:99999/", "port must be"),
            ("ws://h:x/", "port must be"),
            ("ws://h:+1/", "port must be"),
            ("ws://[1.2.3.4]/", "not an IPv6 address"),
            ("ws://[fe80::1%eth0]/", "%25"),
            ("ws:///path", "no host"),
            ("ws://h/with space", ""),
            ("ws+unix:", "no socket"),
            ("ws+unix:@:/", "no socket"),
            ("ws+unix://run/app.sock", "absolute"),
            ("ws+unix:///run/app.sock:path", "begins with a slash"),
            ("ws+unix:///run/app.sock?query", "after a path"),
            ("ws+unix:///run/%00:/", "holds a NUL"),
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

    #[test]
    fn a_password_is_shown_nowhere() {
        let url = Url::parse("ws://user:secret@h:1/a@b").unwrap();
        assert_eq!(url.text, "ws://***@h:1/a@b");
        assert_eq!(url.uri, "ws://h:1/a@b");
        assert!(!format!("{url:?}").contains("secret"));
        for wrong in [
            "ws://user:secret@h:x/",
            "ws://user:secret@/",
            "ws://user:se/secret@h/",
            "ws://user:se#secret@h/",
            "http://user:secret@h/",
        ] {
            let error = Url::parse(wrong).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
        }
    }

    #[test]
    fn what_goes_out_is_ascii() {
        let url = Url::parse("ws://b\u{fc}cher.example:8080/caf\u{e9}?\u{e9}").unwrap();
        assert_eq!(url.uri, "ws://xn--bcher-kva.example:8080/caf%C3%A9?%C3%A9");
        let url = Url::parse("ws://[fe80::1%25lo]:8080/").unwrap();
        assert_eq!(url.uri, "ws://[fe80::1]:8080/");
        assert_eq!(url.zone.as_deref(), Some("lo"));
    }

    #[test]
    fn a_unix_socket_has_a_path_and_is_asked_for_one() {
        let parts = |text: &str| {
            let url = Url::parse(text).unwrap();
            let socket = url.socket.unwrap().into_os_string().into_string().unwrap();
            (socket, url.uri.to_string(), url.has_path, url.is_secure)
        };
        let of = |socket: &str, uri: &str, has_path| (socket.into(), uri.into(), has_path, false);
        assert_eq!(
            parts("ws+unix:///run/app.sock:/chat?x=1"),
            of("/run/app.sock", "ws://localhost/chat?x=1", true)
        );
        assert_eq!(
            parts("ws+unix:/a%3Ab"),
            of("/a:b", "ws://localhost/", false)
        );
        assert_eq!(
            parts("WS+UNIX:a.sock:/"),
            of("a.sock", "ws://localhost/", true)
        );
        assert!(parts("wss+unix:///run/app.sock").3);
        if cfg!(target_os = "linux") {
            assert_eq!(
                parts("ws+unix:@app:/x"),
                of("\0app", "ws://localhost/x", true)
            );
            assert_eq!(
                parts("ws+unix://@app"),
                of("\0app", "ws://localhost/", false)
            );
            assert_eq!(
                parts("ws+unix:%00app"),
                of("\0app", "ws://localhost/", false)
            );
        }
    }
}
