//! Redirects (RFC 9110, 15.4): a server that says where else to ask.

use std::borrow::Cow;

use http::header::{AUTHORIZATION, COOKIE, HOST, HeaderName, PROXY_AUTHORIZATION};

use crate::connection::Connection;
use crate::error::{Error, Result};
use crate::head::ResponseHead;
use crate::options::DialOptions;
use crate::url::Url;

/// Headers that are for the origin for which the program has set them.
const OF_ONE_ORIGIN: [HeaderName; 4] = [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, HOST];

/// Where an answer redirects to, if it does.
fn location(answer: &ResponseHead) -> Option<&str> {
    let is_redirect = matches!(answer.status(), 301 | 302 | 303 | 307 | 308);
    answer.header("location").filter(|_| is_redirect)
}

/// Whether the answer is one after which the dial goes on.
pub(super) fn leads_on(answer: &ResponseHead, options: &DialOptions) -> bool {
    options.max_redirects > 0 && location(answer).is_some()
}

/// Dials, with `dial`, wherever `first` and the servers say.
pub(super) fn follow(
    first: Url,
    options: &DialOptions,
    dial: impl Fn(&Url, &DialOptions) -> Result<Connection>,
) -> Result<Connection> {
    let attempt = format!("dial {}", first.text);
    let failed = |reason: String| Error::Redirect {
        attempt: attempt.clone().into(),
        reason: reason.into(),
    };
    let mut options = Cow::Borrowed(options);
    let mut url = first;
    let mut count = 0;
    loop {
        let refusal = match dial(&url, &options) {
            Err(Error::Refused(refusal)) if leads_on(refusal.head(), &options) => refusal,
            result => return result,
        };
        let location = location(refusal.head()).unwrap_or_default();
        let from = &url.text;
        let next = match url.join(location) {
            Ok(next) => next,
            Err(reason) => {
                let shown = crate::url::without_secrets(location);
                return Err(failed(format!("{from} redirects to {shown:?}: {reason}")));
            }
        };
        let to = &next.text;
        count += 1;
        if count > options.max_redirects {
            let limit = options.max_redirects;
            let reason = format!("more than {limit} redirects; the last is from {from} to {to}");
            return Err(failed(reason));
        }
        if url.is_secure && !next.is_secure {
            let reason = format!("{from} redirects to {to}, which is not encrypted");
            return Err(failed(reason));
        }
        log::debug!(target: "talkws::client", "{from}: redirected to {to}");
        if !next.has_origin_of(&url) {
            let options = options.to_mut();
            let headers = &mut options.headers;
            headers.retain(|(name, _)| !OF_ONE_ORIGIN.contains(name));
            options.tls = options.tls.for_another_origin();
        }
        url = next;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::error::Refusal;

    /// Follows redirects from `first` through `locations`, and gives where was asked and the error.
    fn followed(first: &str, locations: &[&str]) -> (Vec<String>, Error) {
        let asked = RefCell::new(Vec::new());
        let dial = |url: &Url, _: &DialOptions| {
            let mut asked = asked.borrow_mut();
            asked.push(url.text.clone());
            let head = match locations.get(asked.len() - 1) {
                Some(location) => format!("HTTP/1.1 302 x\r\nLocation: {location}\r\n\r\n"),
                None => "HTTP/1.1 404 x\r\n\r\n".to_owned(),
            };
            let (url, body) = (url.text.clone(), Vec::new());
            let head = ResponseHead::new(head.as_bytes());
            Err(Error::Refused(Refusal { url, head, body }.into()))
        };
        let first = Url::parse(first).unwrap();
        let error = follow(first, &DialOptions::new(), dial).unwrap_err();
        (asked.into_inner(), error)
    }

    #[test]
    fn nothing_goes_from_wss_to_ws() {
        for first in ["wss://a/", "ws://a/"] {
            let (asked, error) = followed(first, &["https://b/", "http://b/secret"]);
            assert_eq!(asked, [first, "wss://b/"]);
            assert!(matches!(error, Error::Redirect { .. }), "{error:?}");
            let says = "wss://b/ redirects to ws://b/secret, which is not encrypted";
            assert!(error.to_string().contains(says), "{error}");
        }
    }

    #[test]
    fn a_relative_place_is_one_of_the_last_server() {
        let (asked, error) = followed("ws://a/x/y", &["//b/p/q", "r?s", "?t"]);
        assert_eq!(asked[1..], ["ws://b/p/q", "ws://b/p/r?s", "ws://b/p/r?t"]);
        assert_eq!(error.http_status(), Some(404));
    }
}
