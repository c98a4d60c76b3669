//! The proxy that the environment names.

use std::env;
use std::net::IpAddr;

use crate::error::{Error, Result};
use crate::network::Network;
use crate::options::proxy::Proxy;
use crate::url::Url;

/// The proxy for `url` by the environment of this process.
pub fn proxy(url: &Url) -> Result<Option<Proxy>> {
    proxy_by(url, |name| env::var(name).ok())
}

fn proxy_by(url: &Url, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Proxy>> {
    let find = |name: &'static str| {
        let upper = || match name {
            // A header "Proxy" of a client of a CGI program becomes this variable.
            "http_proxy" => None,
            name => variable(&name.to_ascii_uppercase()),
        };
        let value = variable(name).or_else(upper)?;
        let value = value.trim();
        (!value.is_empty()).then(|| (name, value.to_owned()))
    };
    if let Some((_, list)) = find("no_proxy")
        && is_excepted(&list, &url.host, url.port)
    {
        return Ok(None);
    }
    // The order is that of Python's `websockets`, after RFC 6455, 4.1: SOCKS before HTTP.
    let names: &[&str] = if url.is_secure {
        &["wss_proxy", "socks_proxy", "https_proxy", "all_proxy"]
    } else {
        &[
            "ws_proxy",
            "socks_proxy",
            "https_proxy",
            "http_proxy",
            "all_proxy",
        ]
    };
    let Some((name, value)) = names.iter().find_map(|name| find(name)) else {
        return Ok(None);
    };
    // Desktops write the address of a SOCKS proxy so.
    let value = match value.strip_prefix("http://") {
        Some(rest) if name == "socks_proxy" => format!("socks5h://{rest}"),
        _ => value,
    };
    match Proxy::parse(&value) {
        Ok(proxy) => Ok(Some(proxy)),
        Err(error) => Err(Error::Proxy {
            attempt: format!("dial {}: the environment variable {name}", url.text).into(),
            reason: error.to_string().into(),
            refusal: None,
        }),
    }
}

/// Whether a list such as `localhost,.example.org,10.0.0.0/8` holds a host.
fn is_excepted(list: &str, host: &str, port: u16) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    list.split([',', ' ', '\t'])
        .filter(|entry| !entry.is_empty())
        .any(|entry| holds(entry, host, port))
}

fn holds(entry: &str, host: &str, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    let address: Option<IpAddr> = host.parse().ok();
    let is_in = |network: &str| {
        let network: Option<Network> = network.parse().ok();
        network
            .zip(address)
            .is_some_and(|(network, address)| network.contains(address))
    };
    if is_in(entry) {
        return true;
    }
    let (name, only_port) = match entry.rsplit_once(':') {
        Some((name, digits)) if !name.contains(':') || name.ends_with(']') => {
            (name, Some(digits.parse()))
        }
        _ => (entry, None),
    };
    if only_port.is_some_and(|only| only != Ok(port)) {
        return false;
    }
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    if address.is_some() {
        return is_in(bare);
    }
    let bare = bare.strip_prefix('*').unwrap_or(bare);
    let bare = bare.strip_prefix('.').unwrap_or(bare);
    let bare = bare.strip_suffix('.').unwrap_or(bare);
    let Some(start) = host.len().checked_sub(bare.len()) else {
        return false;
    };
    let is_whole = start == 0 || host.as_bytes()[start - 1] == b'.';
    let end = &host.as_bytes()[start..];
    !bare.is_empty() && is_whole && end.eq_ignore_ascii_case(bare.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(url: &str, variables: &[(&str, &str)]) -> Option<String> {
        let url = Url::parse(url).unwrap();
        let variable = |name: &str| {
            let (_, value) = variables.iter().find(|(known, _)| *known == name)?;
            Some((*value).to_owned())
        };
        let proxy = proxy_by(&url, variable).unwrap();
        proxy.map(|proxy| proxy.to_string())
    }

    #[test]
    fn each_variable_has_its_place() {
        let all = [
            ("ws_proxy", "http://ws"),
            ("wss_proxy", "http://wss"),
            ("socks_proxy", "socks5://socks"),
            ("https_proxy", "http://https"),
            ("http_proxy", "http://http"),
            ("all_proxy", "http://all"),
        ];
        let expected = |url: &str, names: &[&str]| {
            for (skip, name) in names.iter().enumerate() {
                let gone = &names[..skip];
                let rest: Vec<_> = all.into_iter().filter(|(n, _)| !gone.contains(n)).collect();
                let short = name.strip_suffix("_proxy").unwrap();
                let proxy = chosen(url, &rest).unwrap();
                assert!(proxy.contains(&format!("//{short}:")), "{name}: {proxy}");
            }
        };
        expected(
            "ws://h/",
            &[
                "ws_proxy",
                "socks_proxy",
                "https_proxy",
                "http_proxy",
                "all_proxy",
            ],
        );
        expected(
            "wss://h/",
            &["wss_proxy", "socks_proxy", "https_proxy", "all_proxy"],
        );
        assert_eq!(chosen("wss://h/", &[("http_proxy", "http://p")]), None);
        assert_eq!(chosen("ws://h/", &[]), None);
    }

    #[test]
    fn upper_case_does_too_but_not_where_a_stranger_sets_it() {
        let p = "http://p:1";
        assert_eq!(chosen("ws://h/", &[("ALL_PROXY", p)]).as_deref(), Some(p));
        assert_eq!(chosen("ws://h/", &[("HTTP_PROXY", p)]), None);
        let both = [("ALL_PROXY", "http://upper"), ("all_proxy", p)];
        assert_eq!(chosen("ws://h/", &both).as_deref(), Some(p));
        assert_eq!(chosen("ws://h/", &[("all_proxy", " ")]), None);
    }

    #[test]
    fn a_socks_proxy_may_be_written_as_desktops_do() {
        let proxy = chosen("ws://h/", &[("socks_proxy", "http://p:9")]);
        assert_eq!(proxy.as_deref(), Some("socks5h://p:9"));
    }

    #[test]
    fn a_variable_that_is_wrong_is_named_without_its_password() {
        let url = Url::parse("ws://h/").unwrap();
        let variable = |name: &str| (name == "all_proxy").then(|| "ftp://u:secret@p".into());
        let error = proxy_by(&url, variable).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("all_proxy") && !text.contains("secret"),
            "{text}"
        );
    }

    #[test]
    fn excepted_hosts_are_dialled_directly() {
        for (list, inside, outside) in [
            ("*", "ws://anything", ""),
            ("example.org", "ws://example.org", "ws://notexample.org"),
            (
                "example.org",
                "ws://a.b.EXAMPLE.org.",
                "ws://example.org.evil",
            ),
            (".example.org", "ws://a.example.org", "ws://org"),
            ("*.example.org", "ws://a.example.org", "ws://example.com"),
            ("a, b c", "ws://c", "ws://d"),
            ("h:81", "ws://h:81", "ws://h:80"),
            ("127.0.0.1", "ws://127.0.0.1", "ws://127.0.0.11"),
            ("10.0.0.0/8", "ws://10.9.8.7", "ws://11.0.0.1"),
            ("::1", "ws://[::1]", "ws://[::2]"),
            ("[::1]:81", "ws://[::1]:81", "ws://[::1]:80"),
            ("fd00::/8", "ws://[fd00::1]", "ws://fd00"),
            ("1", "ws://a.1x.1", "ws://127.0.0.1"),
        ] {
            let directly = |url| {
                let variables = [("all_proxy", "http://p"), ("no_proxy", list)];
                chosen(url, &variables).is_none()
            };
            assert!(directly(inside), "{list}: {inside}");
            assert!(
                outside.is_empty() || !directly(outside),
                "{list}: {outside}"
            );
        }
        let upper = [("all_proxy", "http://p"), ("NO_PROXY", "h")];
        assert_eq!(chosen("ws://h", &upper), None);
    }

    proptest::proptest! {
        #[test]
        fn any_list_excepts_a_host_or_not(list in "[a-c1.:/*, \\[\\]\u{fc}-]{0,30}") {
            for host in ["a.b", "1.1.1.1", "::1", ""] {
                is_excepted(&list, host, 1);
            }
            let _ = Proxy::parse(&list);
        }
    }
}
