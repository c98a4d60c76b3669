//! Through which proxy a client dials.

use std::fmt;

use super::DialOptions;
use crate::error::{Error, Result};
use crate::tls::ClientTls;
use crate::url::authority::{Authority, Credentials, Endpoint};

/// How a client comes to its server.
#[derive(Debug, Clone, Default)]
pub(crate) enum Way {
    #[default]
    Direct,
    Through(Proxy),
    /// As the environment says when it dials.
    Environment,
}

/// A proxy that carries TCP connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    pub kind: ProxyKind,
    pub endpoint: Endpoint,
    pub credentials: Option<Credentials>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProxyKind {
    /// CONNECT (RFC 9110, 9.3.6).
    Http,
    /// The same, over TLS.
    Https,
    /// SOCKS 5 (RFC 1928); names are resolved here.
    Socks5,
    /// SOCKS 5; the proxy resolves names.
    Socks5h,
}

impl Proxy {
    /// Takes the URL of a proxy apart.
    pub fn parse(text: &str) -> Result<Proxy> {
        let wrong = |reason: &str| {
            let shown = match text.rfind('@') {
                // Nobody knows where the password of a URL ends that is wrong.
                Some(end) => format!("***{}", &text[end..]),
                None => text.to_owned(),
            };
            Error::invalid_url(&shown, reason.to_owned())
        };
        // Without a scheme it is HTTP, as for other programs.
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let (kind, default_port) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (ProxyKind::Http, 80),
            "https" => (ProxyKind::Https, 443),
            "socks5" => (ProxyKind::Socks5, 1080),
            "socks5h" => (ProxyKind::Socks5h, 1080),
            _ => return Err(wrong("the scheme must be http, https, socks5 or socks5h")),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err(wrong("a path or query means nothing to a proxy"));
        }
        let authority = Authority::parse(authority).map_err(|reason| wrong(&reason))?;
        if let (ProxyKind::Socks5 | ProxyKind::Socks5h, Some(credentials)) =
            (kind, &authority.credentials)
        {
            let fits = |text: &[u8]| (1..=255).contains(&text.len());
            if !fits(&credentials.user) || !fits(&credentials.password) {
                let reason = "user and password of SOCKS have 1 to 255 bytes each (RFC 1929)";
                return Err(wrong(reason));
            }
        }
        Ok(Proxy {
            kind,
            endpoint: Endpoint {
                host: authority.host,
                zone: authority.zone,
                port: authority.port.unwrap_or(default_port),
            },
            credentials: authority.credentials,
        })
    }
}

/// Without user and password.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            ProxyKind::Http => "http",
            ProxyKind::Https => "https",
            ProxyKind::Socks5 => "socks5",
            ProxyKind::Socks5h => "socks5h",
        };
        write!(f, "{scheme}://{}", self.endpoint)
    }
}

impl DialOptions {
    /// Dials through a proxy, such as `http://user:password@proxy.example:3128`: the schemes are
    /// `http` and `https` (CONNECT; RFC 9110, 9.3.6), `socks5` (RFC 1928), where this end resolves the
    /// server's name, and `socks5h`, where the proxy does. Ports are 80, 443 and 1080 unless given.
    /// The proxy gets no header of the request, and the server nothing of the proxy's. Unix sockets
    /// need none. Default: no proxy.
    ///
    /// [`Error::InvalidUrl`] when it is no such URL, [`Error::Proxy`] when the proxy refuses.
    pub fn proxy(mut self, url: &str) -> Result<Self> {
        self.way = Way::Through(Proxy::parse(url)?);
        Ok(self)
    }

    /// Dials through the proxy that the environment names when it dials, if it does: in `ws_proxy`
    /// for `ws`, `wss_proxy` for `wss`, or else `socks_proxy`, `https_proxy`, for `ws` also
    /// `http_proxy`, and last `all_proxy`. Hosts in `no_proxy` are dialled directly: names with all
    /// below them, addresses, networks (`10.0.0.0/8`), each perhaps with a port, or `*` for all, with
    /// commas between them. Upper case does too, but not `HTTP_PROXY`, which a client of a CGI
    /// program can set.
    pub fn proxy_from_env(mut self) -> Self {
        self.way = Way::Environment;
        self
    }

    /// How a proxy that is reached by TLS (`https`) is trusted, and who this end is to it. Default: as
    /// the system trusts. What [`tls`](Self::tls) says is for the server alone.
    pub fn proxy_tls(mut self, tls: ClientTls) -> Self {
        self.proxy_tls = tls;
        self
    }

    /// Dials without a proxy, which is the default.
    pub fn no_proxy(mut self) -> Self {
        self.way = Way::Direct;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_proxy() {
        for (text, shown) in [
            ("http://p", "http://p:80"),
            ("https://p/", "https://p:443"),
            ("socks5://p", "socks5://p:1080"),
            ("SOCKS5H://[::1]:9", "socks5h://[::1]:9"),
            ("p:3128", "http://p:3128"),
            ("user:secret@p", "http://p:80"),
        ] {
            assert_eq!(Proxy::parse(text).unwrap().to_string(), shown, "{text}");
        }
        let proxy = Proxy::parse("http://us%40er:pw@p").unwrap();
        assert_eq!(proxy.credentials.unwrap().user, b"us@er");
    }

    #[test]
    fn what_is_wrong_with_a_proxy_is_said_without_its_password() {
        for (text, says) in [
            ("", "no host"),
            ("socks4://p", "scheme must be"),
            ("ftp://user:secret@p", "scheme must be"),
            ("http://user:secret@p/path", "path or query"),
            ("http://user:secret@p:x", "port must be"),
            ("socks5://user:@p", "RFC 1929"),
        ] {
            let error = Proxy::parse(text).unwrap_err().to_string();
            assert!(error.contains(says) && !error.contains("secret"), "{error}");
        }
    }
}
