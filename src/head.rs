//! The heads of the opening handshake's request and response, kept as they came.
//!
//! Only a head that was parsed and found well-formed is kept; looking a header up walks its
//! lines. That keeps an idle connection small: one allocation, no table of headers.

use std::fmt;

/// The request line and headers with which a client opened a connection.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestHead(Head);

/// The status line and headers with which a server answered.
#[derive(Clone, PartialEq, Eq)]
pub struct ResponseHead(Head);

impl RequestHead {
    /// Keeps `bytes`, a well-formed head up to and including the empty line.
    pub(crate) fn new(bytes: &[u8]) -> Self {
        RequestHead(Head(bytes.into()))
    }

    /// The request target as the client wrote it: path and query, percent-encoded.
    pub fn target(&self) -> &str {
        self.0.start_line().split(' ').nth(1).unwrap_or("/")
    }

    /// The path of the request, percent-encoded, without the query; `/` when it is empty.
    pub fn path(&self) -> &str {
        let path = self.path_and_query().split('?').next().unwrap_or("");
        if path.is_empty() { "/" } else { path }
    }

    /// The query of the request, percent-encoded, without the question mark.
    pub fn query(&self) -> Option<&str> {
        self.path_and_query()
            .split_once('?')
            .map(|(_, query)| query)
    }

    /// The target without the scheme and host that a proxy's client may write (RFC 9112, 3.2.2).
    fn path_and_query(&self) -> &str {
        let target = self.target();
        match target.split_once("://") {
            Some((scheme, rest)) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                rest.find(['/', '?']).map_or("", |start| &rest[start..])
            }
            _ => target,
        }
    }

    /// The subprotocols that the client offers, in its order of preference.
    pub fn subprotocols(&self) -> impl Iterator<Item = &str> {
        self.0.tokens("sec-websocket-protocol")
    }
}

impl ResponseHead {
    /// Keeps `bytes`, a well-formed head up to and including the empty line.
    pub(crate) fn new(bytes: &[u8]) -> Self {
        ResponseHead(Head(bytes.into()))
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.0
            .start_line()
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .unwrap_or(0)
    }

    /// The reason phrase, often empty.
    pub fn reason(&self) -> &str {
        self.0
            .start_line()
            .splitn(3, ' ')
            .nth(2)
            .unwrap_or("")
            .trim()
    }
}

macro_rules! headers {
    ($head:ident) => {
        impl $head {
            /// The value of the first header of that name, whatever its case; `None` when there
            /// is none, or when its value is not UTF-8 (see [`headers`](Self::headers)).
            pub fn header(&self, name: &str) -> Option<&str> {
                self.0
                    .values(name)
                    .next()
                    .and_then(|value| std::str::from_utf8(value).ok())
            }

            /// All headers in their order: name and value as they came, without the white space
            /// around the value. A value may hold bytes over 0x7F.
            pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
                self.0.headers()
            }

            /// The comma-separated members of all headers of that name (RFC 9110, 5.6.1).
            pub(crate) fn tokens<'a, 'n>(
                &'a self,
                name: &'n str,
            ) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
                self.0.tokens(name)
            }

            /// The values of all headers of that name, in their order.
            pub(crate) fn values<'a, 'n>(
                &'a self,
                name: &'n str,
            ) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
                self.0.values(name)
            }

            /// How many headers there are of that name.
            pub(crate) fn count(&self, name: &str) -> usize {
                self.0.values(name).count()
            }

            /// Whether a list header holds `token`, in any case.
            pub(crate) fn has_token(&self, name: &str, token: &str) -> bool {
                self.tokens(name)
                    .any(|member| member.eq_ignore_ascii_case(token))
            }
        }

        impl fmt::Debug for $head {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(
                    f,
                    "{}({:?})",
                    stringify!($head),
                    String::from_utf8_lossy(&self.0.0)
                )
            }
        }
    };
}

headers!(RequestHead);
headers!(ResponseHead);

#[derive(Clone, PartialEq, Eq)]
struct Head(Box<[u8]>);

impl Head {
    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        // RFC 9112, 2.2: a recipient may take a lone LF as the end of a line.
        self.0
            .split(|&byte| byte == b'\n')
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
    }

    fn start_line(&self) -> &str {
        let line = self
            .lines()
            .find(|line| !line.is_empty())
            .unwrap_or_default();
        match std::str::from_utf8(line) {
            Ok(line) => line,
            // A reason phrase may hold any bytes; what stands before it is ASCII.
            Err(error) => std::str::from_utf8(&line[..error.valid_up_to()]).unwrap_or_default(),
        }
    }

    fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let lines = self.lines().skip_while(|line| line.is_empty()).skip(1);
        lines.filter_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            let name = std::str::from_utf8(&line[..colon]).ok()?;
            Some((name, line[colon + 1..].trim_ascii()))
        })
    }

    fn values<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.headers()
            .filter(move |(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    fn tokens<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.values(name)
            .filter_map(|value| std::str::from_utf8(value).ok())
            .flat_map(|value| value.split(','))
            // White space is what RFC 9110, 5.6.3, says it is, not Unicode's.
            .map(|token| token.trim_matches([' ', '\t']))
            .filter(|token| !token.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_looked_at_where_it_lies() {
        let head = RequestHead::new(
            b"GET /chat?room=1 HTTP/1.1\r\nHost: a\r\nX-Bytes: \xFF\r\n\
              Sec-WebSocket-Protocol: a, b\r\nsec-websocket-protocol: c\r\n\r\n",
        );
        assert_eq!((head.path(), head.query()), ("/chat", Some("room=1")));
        assert_eq!(head.header("HOST"), Some("a"));
        assert_eq!(head.header("x-bytes"), None);
        assert_eq!(head.headers().nth(1), Some(("X-Bytes", &b"\xFF"[..])));
        assert_eq!(head.subprotocols().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(head.count("Sec-WebSocket-Protocol"), 2);
    }

    #[test]
    fn a_token_beside_a_no_break_space_is_another_token() {
        let head = RequestHead::new(b"GET / HTTP/1.1\r\nConnection:\xC2\xA0Upgrade,\ta \r\n\r\n");
        assert!(!head.has_token("connection", "upgrade"));
        assert!(head.has_token("connection", "a"));
    }

    #[test]
    fn an_absolute_target_has_the_path_of_its_url() {
        let path = |target: &str| {
            let head = RequestHead::new(format!("GET {target} HTTP/1.1\r\n\r\n").as_bytes());
            (head.path().to_owned(), head.query().map(str::to_owned))
        };
        assert_eq!(path("http://h:80/a?b"), ("/a".into(), Some("b".into())));
        assert_eq!(path("http://h?b"), ("/".into(), Some("b".into())));
        assert_eq!(path("http://h"), ("/".into(), None));
        assert_eq!(
            path("/a?u=http://x/y"),
            ("/a".into(), Some("u=http://x/y".into()))
        );
    }

    #[test]
    fn a_response_tells_status_and_reason() {
        let head = ResponseHead::new(b"HTTP/1.1 404 Not Found\nServer: x\n\n");
        assert_eq!((head.status(), head.reason()), (404, "Not Found"));
        assert_eq!(head.header("server"), Some("x"));
        let odd = ResponseHead::new(b"HTTP/1.1 500 \xFF\r\n\r\n");
        assert_eq!((odd.status(), odd.reason()), (500, ""));
    }
}
