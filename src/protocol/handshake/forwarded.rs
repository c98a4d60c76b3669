//! Who a request comes from, when a proxy that is believed has forwarded it.

use std::net::{IpAddr, SocketAddr};

use crate::head::RequestHead;
use crate::options::forwarding::{Forwarding, TrustedProxies};

/// Where a request comes from.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Origination {
    /// The client, as far as it has an address that is known.
    pub peer: Option<SocketAddr>,
    /// The host that it has asked the proxy for, if that tells.
    pub host: Option<String>,
}

/// A proxy that is believed has sent what cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub struct Unreadable;

/// A station on the way of a request, as the next one saw it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Hop {
    /// `None` when it is not told.
    node: Option<SocketAddr>,
    host: Option<String>,
}

/// Who has asked, when `head` came from `peer`.
pub fn origination(
    head: &RequestHead,
    peer: Option<SocketAddr>,
    trusted: &TrustedProxies,
) -> Result<Origination, Unreadable> {
    let hops = match trusted.telling(peer) {
        Some(Forwarding::Forwarded) => forwarded(&list(head, "forwarded"))?,
        Some(Forwarding::XForwardedFor) => x_forwarded(head),
        Some(Forwarding::ProxyProtocol) | None => Vec::new(),
    };
    let mut origination = Origination { peer, host: None };
    // Each proxy adds at the end whom it sees. So the last hop is the word of the peer, and the one
    // before it that of whoever the last one names: worth something if that is a proxy of ours.
    for hop in hops.into_iter().rev() {
        origination.peer = hop.node;
        origination.host = hop.host.or(origination.host);
        if hop.node.is_none() || !trusted.contain(hop.node) {
            break;
        }
    }
    Ok(origination)
}

/// All headers of a name as one list (RFC 9110, 5.3). Bytes that are not UTF-8 are not lost: whoever
/// sent them must not make a proxy's words disappear.
fn list(head: &RequestHead, name: &str) -> String {
    let named = head.headers().filter(|(n, _)| n.eq_ignore_ascii_case(name));
    let values: Vec<_> = named
        .map(|(_, value)| String::from_utf8_lossy(value))
        .collect();
    values.join(",")
}

fn x_forwarded(head: &RequestHead) -> Vec<Hop> {
    let list_of = |name| -> Vec<String> {
        let list = list(head, name);
        let members = list
            .split(',')
            .map(|member| member.trim_matches([' ', '\t']));
        members
            .filter(|m| !m.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let hop = |text: &String| Hop {
        node: node(text),
        host: None,
    };
    let mut hops: Vec<Hop> = list_of("x-forwarded-for").iter().map(hop).collect();
    if let Some(last) = hops.last_mut() {
        last.host = list_of("x-forwarded-host").pop();
    }
    hops
}

/// An address, perhaps with a port; IPv6 in brackets or not.
fn node(text: &str) -> Option<SocketAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let address: IpAddr = bare.unwrap_or(text).parse().ok()?;
    Some(SocketAddr::new(address, 0))
}

/// The elements of `Forwarded` (RFC 7239, 4).
fn forwarded(list: &str) -> Result<Vec<Hop>, Unreadable> {
    let mut hops = Vec::new();
    let mut rest = list;
    loop {
        let mut hop = Hop::default();
        let (mut has_for, mut is_empty) = (false, true);
        loop {
            rest = rest.trim_start_matches([' ', '\t']);
            if !rest.starts_with([';', ',']) && !rest.is_empty() {
                let (name, value, after) = pair(rest)?;
                is_empty = false;
                rest = after.trim_start_matches([' ', '\t']);
                match name.to_ascii_lowercase().as_str() {
                    "for" if has_for => return Err(Unreadable),
                    "for" => {
                        has_for = true;
                        // Also one whose port is hidden, as in 192.0.2.1:_a.
                        hop.node = node(&value).or_else(|| node(value.rsplit_once(":_")?.0));
                    }
                    "host" => hop.host = Some(value),
                    _ => {}
                }
            }
            match rest.strip_prefix(';') {
                Some(after) => rest = after,
                None => break,
            }
        }
        if !is_empty {
            hops.push(hop);
        }
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None if rest.is_empty() => return Ok(hops),
            None => return Err(Unreadable),
        }
    }
}

/// `name=value`, whose value may be quoted, and what follows it.
fn pair(text: &str) -> Result<(&str, String, &str), Unreadable> {
    let (name, rest) = text.split_once('=').ok_or(Unreadable)?;
    if !crate::options::is_token(name) {
        return Err(Unreadable);
    }
    let Some(quoted) = rest.strip_prefix('"') else {
        let end = rest.find([';', ',', ' ', '\t']).unwrap_or(rest.len());
        let (value, rest) = rest.split_at(end);
        // RFC 7239, 4, wants quotes around what is no token, such as a port; not every proxy does.
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"\\()<>@{}?=".contains(&byte);
        if value.is_empty() || !value.bytes().all(is_plain) {
            return Err(Unreadable);
        }
        return Ok((name, value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return Ok((name, value, &quoted[index + 1..])),
            '\\' => value.push(characters.next().ok_or(Unreadable)?.1),
            other => value.push(other),
        }
    }
    Err(Unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::ListenOptions;

    fn trusted(tells: Forwarding) -> TrustedProxies {
        let mut options = ListenOptions::new();
        for network in ["127.0.0.1", "10.0.0.0/8", "unix"] {
            options = options.trust_proxy(network, tells).unwrap();
        }
        options.trusted
    }

    fn asked(tells: Forwarding, peer: &str, headers: &[u8]) -> Result<Origination, Unreadable> {
        let head = [b"GET / HTTP/1.1\r\n", headers, b"\r\n"].concat();
        origination(&RequestHead::new(&head), peer.parse().ok(), &trusted(tells))
    }

    fn peer(tells: Forwarding, from: &str, headers: &str) -> Option<String> {
        let origination = asked(tells, from, headers.as_bytes()).unwrap();
        origination.peer.map(|peer| peer.to_string())
    }

    const PROXY: &str = "127.0.0.1:5";

    #[test]
    fn the_last_address_that_is_no_proxy_of_ours_is_the_client() {
        for (list, expected) in [
            ("192.0.2.1", "192.0.2.1:0"),
            ("6.6.6.6, 192.0.2.1", "192.0.2.1:0"),
            ("6.6.6.6, 192.0.2.1, 10.0.0.2,10.9.9.9", "192.0.2.1:0"),
            ("10.0.0.1, 10.0.0.2", "10.0.0.1:0"),
            ("2001:db8::1", "[2001:db8::1]:0"),
            ("[2001:db8::1]", "[2001:db8::1]:0"),
            ("[2001:db8::1]:7", "[2001:db8::1]:7"),
            ("192.0.2.1:7", "192.0.2.1:7"),
            (", ,192.0.2.1,", "192.0.2.1:0"),
        ] {
            let header = format!("X-Forwarded-For: {list}\r\n");
            let found = peer(Forwarding::XForwardedFor, PROXY, &header);
            assert_eq!(found.as_deref(), Some(expected), "{list}");
        }
        let lines = "X-Forwarded-For: 6.6.6.6\r\nx-forwarded-for: 192.0.2.1\r\n";
        let found = peer(Forwarding::XForwardedFor, "unix", lines);
        assert_eq!(found.as_deref(), Some("192.0.2.1:0"));
        let without = peer(Forwarding::XForwardedFor, PROXY, "");
        assert_eq!(without.as_deref(), Some(PROXY));
    }

    #[test]
    fn nobody_else_is_believed() {
        let headers = "X-Forwarded-For: 1.1.1.1\r\nForwarded: for=1.1.1.1;host=x\r\n\
                       X-Forwarded-Host: x\r\n";
        for tells in [Forwarding::Forwarded, Forwarding::XForwardedFor] {
            let stranger = "192.0.2.9:1";
            assert_eq!(peer(tells, stranger, headers).as_deref(), Some(stranger));
            let origination = asked(tells, stranger, headers.as_bytes()).unwrap();
            assert_eq!(origination.host, None);
        }
        let proxy = peer(Forwarding::ProxyProtocol, PROXY, headers);
        assert_eq!(proxy.as_deref(), Some(PROXY));
        // The header that was not chosen does not count.
        let other = "Forwarded: for=1.1.1.1\r\n";
        let proxy = peer(Forwarding::XForwardedFor, PROXY, other);
        assert_eq!(proxy.as_deref(), Some(PROXY));
    }

    #[test]
    fn who_is_not_told_has_no_address() {
        for list in [
            "unknown",
            "6.6.6.6, unknown",
            "6.6.6.6, \u{fffd}, 10.0.0.1",
            "garbage",
        ] {
            let header = format!("X-Forwarded-For: {list}\r\n");
            assert_eq!(
                peer(Forwarding::XForwardedFor, PROXY, &header),
                None,
                "{list}"
            );
        }
        for list in [
            "for=unknown",
            "for=_hidden",
            "for=1.1.1.1, by=x",
            "for=\"_a:_b\"",
        ] {
            let header = format!("Forwarded: {list}\r\n");
            assert_eq!(peer(Forwarding::Forwarded, PROXY, &header), None, "{list}");
        }
        // Bytes that are no text do not make the proxy's word disappear.
        let bytes = b"X-Forwarded-For: \xFF, 192.0.2.1\r\n";
        let found = asked(Forwarding::XForwardedFor, PROXY, bytes).unwrap().peer;
        assert_eq!(found, Some("192.0.2.1:0".parse().unwrap()));
    }

    #[test]
    fn forwarded_is_read_as_the_rfc_writes_it() {
        // RFC 7239, 4 and 6.
        for (list, expected) in [
            ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60:0"),
            (
                "For=\"[2001:db8:cafe::17]:4711\"",
                "[2001:db8:cafe::17]:4711",
            ),
            ("for=\"[2001:db8::1]\"", "[2001:db8::1]:0"),
            ("for=192.0.2.43, for=198.51.100.17", "198.51.100.17:0"),
            ("for=192.0.2.43,for=10.0.0.1;host=x", "192.0.2.43:0"),
            (
                "proto=https ; FOR=\"192.0.2.43:47011\" , , for=10.0.0.1",
                "192.0.2.43:47011",
            ),
            ("for=192.0.2.43:47011", "192.0.2.43:47011"),
            ("for=\"192.0.2.43:_port\"", "192.0.2.43:0"),
            ("for=\"19\\2.0.2.43\"", "192.0.2.43:0"),
            ("by=\",;for=6.6.6.6\", for=192.0.2.1", "192.0.2.1:0"),
        ] {
            let header = format!("Forwarded: {list}\r\n");
            let found = peer(Forwarding::Forwarded, PROXY, &header);
            assert_eq!(found.as_deref(), Some(expected), "{list}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_guessed_at() {
        for list in [
            "for=\"192.0.2.1",
            "for",
            "for=",
            "=1.1.1.1",
            "for=1.1.1.1;for=2.2.2.2",
            "for=1.1.1.1 for=2.2.2.2",
            "for=\"x\"y",
            "fo r=1.1.1.1",
            // A client that opens quotes, so that they swallow what the proxy adds.
            "by=\", for=192.0.2.1",
            "by=\", for=\"[2001:db8::1]:1\"",
        ] {
            let header = format!("Forwarded: {list}\r\n");
            let read = asked(Forwarding::Forwarded, PROXY, header.as_bytes());
            assert_eq!(read, Err(Unreadable), "{list}");
        }
    }

    #[test]
    fn the_host_is_that_which_the_proxy_was_asked_for() {
        let host = |tells, headers: &str| asked(tells, PROXY, headers.as_bytes()).unwrap().host;
        let of = |text: &str| Some(text.to_owned());
        let headers = "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Host: made.up, example.org:8443\r\n";
        assert_eq!(
            host(Forwarding::XForwardedFor, headers),
            of("example.org:8443")
        );
        let headers = "Forwarded: for=6.6.6.6;host=made.up, for=1.1.1.1;host=\"outer:1\", \
                       for=10.0.0.1;host=inner\r\n";
        assert_eq!(host(Forwarding::Forwarded, headers), of("outer:1"));
        assert_eq!(host(Forwarding::Forwarded, ""), None);
    }

    proptest::proptest! {
        #[test]
        fn any_header_is_read_or_not(list in "[a-z=\",;:. \\\\0-9\\[\\]\u{e9}]{0,60}") {
            let _ = forwarded(&list);
            node(&list);
        }
    }
}
