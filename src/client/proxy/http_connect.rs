//! CONNECT, by which an HTTP proxy becomes a tunnel (RFC 9110, 9.3.6).

use super::Exchange;
use crate::client::body;
use crate::error::{Refusal, Result};
use crate::head::ResponseHead;
use crate::options::{MAX_HEAD_SIZE, MAX_HEADERS};
use crate::url::authority::{Credentials, Endpoint};

/// How much of a proxy's explanation is told, in characters.
const MAX_EXPLANATION: usize = 120;

/// Has the proxy connect to `target`. The stream is the target's when this succeeds.
pub(super) fn open(
    exchange: &Exchange<'_>,
    target: &Endpoint,
    credentials: Option<&Credentials>,
) -> Result<()> {
    exchange.send(request(target, credentials).as_bytes())?;
    let mut size = 0;
    loop {
        let head = receive_head(exchange, &mut size)?;
        match head.status() {
            200..=299 => return Ok(()),
            // An interim response; the real one follows (RFC 9110, 15.2).
            100..=199 => {}
            _ => return Err(refused(exchange, target, credentials, head)),
        }
    }
}

fn request(target: &Endpoint, credentials: Option<&Credentials>) -> String {
    // A zone is of this machine, and means nothing to the proxy.
    let target = Endpoint {
        zone: None,
        ..target.clone()
    };
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if let Some(credentials) = credentials {
        let basic = credentials.basic();
        request += &format!("Proxy-Authorization: {basic}\r\n");
    }
    request += "\r\n";
    request
}

/// Receives a head, and adds its size to `size`, which has a limit.
fn receive_head(exchange: &Exchange<'_>, size: &mut usize) -> Result<ResponseHead> {
    let mut head = Vec::new();
    // Byte by byte, since what follows an answer of 2xx is the server's. Once in a dial, some hundred
    // system calls are no matter.
    while !head.ends_with(b"\n\r\n") && !head.ends_with(b"\n\n") {
        if *size >= MAX_HEAD_SIZE {
            return Err(exchange.failed("its answer has a head of more than 16 KiB"));
        }
        exchange.receive(&mut head, 1)?;
        *size += 1;
    }
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    match httparse::Response::new(&mut headers).parse(&head) {
        Ok(httparse::Status::Complete(_)) => Ok(ResponseHead::new(&head)),
        Ok(httparse::Status::Partial) => Err(exchange.failed("its answer is not HTTP/1.1")),
        Err(error) => Err(exchange.failed(format!("its answer is not HTTP/1.1 ({error})"))),
    }
}

fn refused(
    exchange: &Exchange<'_>,
    target: &Endpoint,
    credentials: Option<&Credentials>,
    head: ResponseHead,
) -> crate::Error {
    let body = body::receive(&head, Vec::new(), |received| {
        // Whatever ends it, the status is the news, and the body is extra.
        exchange.0.receive_more(received).unwrap_or(false)
    });
    // Some proxies say 401 where they mean 407.
    let advice = match (head.status(), credentials) {
        (401 | 407, None) => {
            "it wants a user and a password, as in http://user:password@proxy:3128"
        }
        (401 | 407, Some(_)) => "it does not take this user and password, or not as Basic",
        (403 | 405, _) => "it does not allow this host or port",
        (502..=504, _) => "it cannot reach the server",
        _ => "it is no proxy, or not for this",
    };
    let mut reason = format!("asked for {target} it answered {}", head.status());
    for part in [head.reason(), &explanation(&body)] {
        if !part.is_empty() {
            reason += &format!(" {part}");
        }
    }
    let reason = format!("{reason}: {advice}");
    let url = exchange.0.attempt.to_owned();
    exchange.refused(reason, Refusal { url, head, body })
}

/// The beginning of a body, in one line: of a page its title, since the rest is how it looks.
fn explanation(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let lower = text.to_ascii_lowercase();
    let title = || {
        let start = lower.find("<title>")? + "<title>".len();
        let length = lower[start..].find("</title>")?;
        Some(&text[start..start + length])
    };
    let is_page = lower.contains("<html");
    let text = title().unwrap_or(if is_page { "" } else { &text });
    let printable = |character: char| !character.is_control();
    let words: Vec<&str> = text.split_whitespace().collect();
    let line: String = words.join(" ").chars().filter(|c| printable(*c)).collect();
    match line.char_indices().nth(MAX_EXPLANATION) {
        Some((end, _)) => format!("({}...)", &line[..end]),
        None if line.is_empty() => line,
        None => format!("({line})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_stays_at_home_and_a_password_is_encoded() {
        let target = Endpoint {
            host: "fe80::1".into(),
            zone: Some("eth0".into()),
            port: 80,
        };
        let credentials = Credentials {
            user: b"user".to_vec(),
            password: b"p@ss:w".to_vec(),
        };
        assert_eq!(
            request(&target, Some(&credentials)),
            "CONNECT [fe80::1]:80 HTTP/1.1\r\nHost: [fe80::1]:80\r\n\
             Proxy-Authorization: Basic dXNlcjpwQHNzOnc=\r\n\r\n"
        );
    }

    #[test]
    fn an_explanation_is_a_short_line() {
        assert_eq!(explanation(b"No \r\n way.\x1b\n"), "(No way.)");
        assert_eq!(explanation(b""), "");
        assert_eq!(explanation(b"<html><body>x"), "");
        let page = b"<HTML><head><Title>ERROR: no\nway</title><style>x";
        assert_eq!(explanation(page), "(ERROR: no way)");
        let long = explanation("\u{e9}".repeat(500).as_bytes());
        assert_eq!(long.chars().count(), MAX_EXPLANATION + "(...)".len());
        explanation(b"\xFF<title>\xFF\xFE</TITLE>");
    }
}
