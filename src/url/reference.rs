//! References, relative ones too, as a redirect gives them (RFC 3986, section 5).

use std::borrow::Cow;

use super::{Url, percent};
use crate::error::Result;

impl Url {
    /// The URL that `reference` means to somebody who looks at this one. `http` and `https` are `ws`
    /// and `wss`, and a fragment, which concerns nobody here, is dropped; the user and password of
    /// this URL stay on its origin. The error says what is wrong.
    pub fn join(&self, reference: &str) -> Result<Url, Cow<'static, str>> {
        let reference = reference.split('#').next().unwrap_or_default();
        let joined = match scheme(reference) {
            Some((scheme, rest)) => {
                // Not to a Unix socket: where one is, is no matter of a server's.
                let scheme = match scheme.to_ascii_lowercase().as_str() {
                    "ws" | "http" => "ws",
                    "wss" | "https" => "wss",
                    _ => return Err("that is no URL of a WebSocket".into()),
                };
                parse(&format!("{scheme}:{rest}"))?
            }
            None if reference.starts_with("//") => {
                let scheme = if self.is_secure { "wss" } else { "ws" };
                parse(&format!("{scheme}:{reference}"))?
            }
            None => self.with_target(&self.target(reference))?,
        };
        let is_anonymous = joined.credentials.is_none();
        Ok(Url {
            credentials: if is_anonymous && joined.has_origin_of(self) {
                self.credentials.clone()
            } else {
                joined.credentials
            },
            ..joined
        })
    }

    /// Whether scheme, host and port are the same (RFC 6454, 5).
    pub fn has_origin_of(&self, other: &Url) -> bool {
        self.is_secure == other.is_secure
            && self.socket == other.socket
            && self.host.eq_ignore_ascii_case(&other.host)
            && (&self.zone, self.port) == (&other.zone, other.port)
    }

    /// Path and query of a relative reference (RFC 3986, 5.2.2).
    fn target(&self, reference: &str) -> String {
        let base = self.uri.path();
        let (path, query) = match reference.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (reference, None),
        };
        let query = match (query, path) {
            (None, "") => self.uri.query(),
            (query, _) => query,
        };
        let path = match path {
            "" => base.to_owned(),
            path if path.starts_with('/') => without_dots(path),
            path => {
                let directory = base.rsplit_once('/').map_or("", |(directory, _)| directory);
                without_dots(&format!("{directory}/{path}"))
            }
        };
        match query {
            Some(query) => format!("{path}?{query}"),
            None => path,
        }
    }

    /// The same place, asked for something else.
    fn with_target(&self, target: &str) -> Result<Url, Cow<'static, str>> {
        let base = match (&self.socket, &self.zone, self.uri.authority()) {
            (Some(_), ..) => {
                // The colon of the scheme, and the one after the socket.
                let mut parts = self.text.splitn(3, ':');
                let scheme = parts.next().unwrap_or_default();
                format!("{scheme}:{}:", parts.next().unwrap_or_default())
            }
            (None, None, Some(authority)) => {
                let scheme = if self.is_secure { "wss" } else { "ws" };
                format!("{scheme}://{authority}")
            }
            (None, ..) => {
                let scheme = if self.is_secure { "wss" } else { "ws" };
                format!("{scheme}://{}", self.endpoint())
            }
        };
        parse(&format!("{base}{target}"))
    }
}

fn parse(text: &str) -> Result<Url, Cow<'static, str>> {
    // Some servers write what is to be encoded (RFC 9110, 10.2.2, has nothing for them).
    let text = percent::encode_beyond_ascii(text).replace(' ', "%20");
    Url::parse(&text).map_err(|error| error.to_string().into())
}

/// The scheme of a reference that has one, and what follows its colon (RFC 3986, 3.1).
fn scheme(reference: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = reference.split_once(':')?;
    let is_scheme_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let begins = scheme.starts_with(|first: char| first.is_ascii_alphabetic());
    (begins && scheme.bytes().all(is_scheme_byte)).then_some((scheme, rest))
}

/// A path without `.` and `..` (RFC 3986, 5.2.4). It begins with a slash.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(base: &str, reference: &str) -> String {
        let base = Url::parse(base).unwrap();
        match base.join(reference) {
            Ok(url) => url.text,
            Err(reason) => format!("error: {reason}"),
        }
    }

    #[test]
    fn the_examples_of_the_rfc_come_out() {
        // RFC 3986, 5.4.1 and 5.4.2, as far as they are no other schemes and have no fragments.
        for (reference, expected) in [
            ("g", "ws://a/b/c/g"),
            ("./g", "ws://a/b/c/g"),
            ("g/", "ws://a/b/c/g/"),
            ("/g", "ws://a/g"),
            ("//g", "ws://g"),
            ("?y", "ws://a/b/c/d;p?y"),
            ("g?y", "ws://a/b/c/g?y"),
            ("#s", "ws://a/b/c/d;p?q"),
            ("g#s", "ws://a/b/c/g"),
            ("g?y#s", "ws://a/b/c/g?y"),
            (";x", "ws://a/b/c/;x"),
            ("g;x?y#s", "ws://a/b/c/g;x?y"),
            ("", "ws://a/b/c/d;p?q"),
            (".", "ws://a/b/c/"),
            ("./", "ws://a/b/c/"),
            ("..", "ws://a/b/"),
            ("../", "ws://a/b/"),
            ("../g", "ws://a/b/g"),
            ("../..", "ws://a/"),
            ("../../g", "ws://a/g"),
            ("../../../g", "ws://a/g"),
            ("/./g", "ws://a/g"),
            ("/../g", "ws://a/g"),
            ("g.", "ws://a/b/c/g."),
            ("..g", "ws://a/b/c/..g"),
            ("./../g", "ws://a/b/g"),
            ("./g/.", "ws://a/b/c/g/"),
            ("g/./h", "ws://a/b/c/g/h"),
            ("g/../h", "ws://a/b/c/h"),
            ("g;x=1/../y", "ws://a/b/c/y"),
            ("g?y/../x", "ws://a/b/c/g?y/../x"),
        ] {
            assert_eq!(
                joined("ws://a/b/c/d;p?q", reference),
                expected,
                "{reference}"
            );
        }
    }

    #[test]
    fn a_reference_may_have_any_scheme_of_the_web_and_no_other() {
        assert_eq!(joined("ws://a/", "HTTPS://b:1/c"), "wss://b:1/c");
        assert_eq!(joined("wss://a:8/x", "//b/c"), "wss://b/c");
        assert_eq!(joined("wss://a:8/x", "y"), "wss://a:8/y");
        assert_eq!(joined("ws://a", "b"), "ws://a/b");
        assert_eq!(joined("ws://a/", "/caf\u{e9} x"), "ws://a/caf%C3%A9%20x");
        for reference in [
            "ws+unix:///run/x",
            "file:///etc/passwd",
            "mailto:a",
            "http:b",
            "http://",
        ] {
            let error = joined("ws://a/", reference);
            assert!(error.starts_with("error: "), "{reference}: {error}");
        }
    }

    #[test]
    fn a_place_stays_whole() {
        assert_eq!(
            joined("ws+unix:/a.sock:/b/c?d", "e"),
            "ws+unix:/a.sock:/b/e"
        );
        assert_eq!(joined("ws+unix:/a.sock", "/e?f"), "ws+unix:/a.sock:/e?f");
        assert_eq!(
            joined("ws://[fe80::1%25lo]:1/", "x"),
            "ws://[fe80::1%25lo]:1/x"
        );
    }

    #[test]
    fn user_and_password_stay_on_their_origin() {
        let base = Url::parse("ws://user:pw@a:80/").unwrap();
        let has_credentials = |reference: &str| base.join(reference).unwrap().credentials.is_some();
        for same in ["/x", "ws://a/x", "//A:80/", "http://a"] {
            assert!(has_credentials(same), "{same}");
        }
        for other in ["wss://a:80/", "ws://a:81/", "ws://b/", "ws://a.b/"] {
            assert!(!has_credentials(other), "{other}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_reference_is_joined_or_not(
            base in "(wss?://|ws[+]unix:)[a-z@:%./?\\[\\]\u{fc}-]{0,20}",
            reference in "[a-z@:%./?# \\[\\]\u{fc}-]{0,30}",
        ) {
            if let Ok(base) = Url::parse(&base)
                && let Ok(joined) = base.join(&reference)
            {
                // What is joined is a URL as good as any.
                let again = Url::parse(&joined.text).unwrap();
                proptest::prop_assert_eq!(again.uri, joined.uri);
                proptest::prop_assert_eq!(again.socket, joined.socket);
            }
        }
    }
}
