//! The client's opening handshake (RFC 6455, 4.1).

use std::borrow::Cow;

use http::HeaderValue;
use http::header::{AUTHORIZATION, HOST, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL};
use http::uri::InvalidUri;
use tungstenite::client::IntoClientRequest;
use tungstenite::error::{CapacityError, Error as TungsteniteError, ProtocolError};
use tungstenite::handshake::client::{Response, generate_request};
use tungstenite::handshake::derive_accept_key;
use tungstenite::handshake::machine::TryParse;

use super::HeadScan;
use crate::error::{Error, Result};
use crate::head::ResponseHead;
use crate::options::{DeflateOptions, DialOptions, MAX_HEAD_SIZE, MAX_HEADERS};
use crate::protocol::deflate::{self, DeflateParameters};
use crate::url::Url;

/// A request on its way, and what its response must say.
#[derive(Debug)]
pub struct ClientHandshake {
    /// What is being done, for errors.
    attempt: String,
    accept: String,
    offered: Vec<String>,
    subprotocol_required: bool,
    deflate: Option<DeflateOptions>,
    scan: HeadScan,
}

/// What the server answered.
#[derive(Debug)]
pub enum Answer {
    /// The connection is a WebSocket from here on.
    Upgraded {
        /// The server's head.
        head: ResponseHead,
        /// What the server chose of what was offered.
        subprotocol: Option<String>,
        /// What it accepted of the offer to compress.
        deflate: Option<DeflateParameters>,
    },
    /// Another status than 101; a body may follow.
    Refused(ResponseHead),
}

impl ClientHandshake {
    /// The bytes of a request to `url`, and the handshake that waits for their answer.
    pub fn request(url: &Url, options: &DialOptions) -> Result<(Vec<u8>, ClientHandshake)> {
        let attempt = format!("dial {}", url.text);
        let cannot_ask = |error: TungsteniteError| Error::invalid_url(&url.text, error.to_string());
        let mut request = url.uri.clone().into_client_request().map_err(cannot_ask)?;
        if let Some(query) = url.uri.query()
            && !url.has_path
        {
            // A request line always has a path (RFC 9112, 3.2.1).
            *request.uri_mut() = format!("/?{query}")
                .parse()
                .map_err(|error: InvalidUri| Error::invalid_url(&url.text, error.to_string()))?;
        }
        let headers = request.headers_mut();
        for (name, value) in &options.headers {
            if name == HOST {
                headers.insert(HOST, value.clone());
            } else {
                headers.append(name.clone(), value.clone());
            }
        }
        if let Some(credentials) = &url.credentials
            && !headers.contains_key(AUTHORIZATION)
        {
            let mut value = HeaderValue::try_from(credentials.basic())
                .map_err(|error| Error::invalid_url(&url.text, error.to_string()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        if !options.subprotocols.is_empty() {
            let list = HeaderValue::try_from(options.subprotocols.join(", "))
                .map_err(|_| Error::InvalidArgument("subprotocols: not tokens".into()))?;
            headers.insert(SEC_WEBSOCKET_PROTOCOL, list);
        }
        if let Some(deflate) = &options.limits.deflate {
            let offer = HeaderValue::try_from(deflate::offer(deflate))
                .map_err(|_| Error::InvalidArgument("deflate: no header".into()))?;
            headers.insert(SEC_WEBSOCKET_EXTENSIONS, offer);
        }
        let (bytes, key) = generate_request(request).map_err(cannot_ask)?;
        let handshake = ClientHandshake {
            attempt,
            accept: derive_accept_key(key.as_bytes()),
            offered: options.subprotocols.clone(),
            subprotocol_required: options.subprotocol_required,
            deflate: options.limits.deflate,
            scan: HeadScan::default(),
        };
        Ok((bytes, handshake))
    }

    /// Looks at all that has come so far. Gives the answer once its head is whole, and how many
    /// bytes that head has; what follows it belongs to the connection or the body.
    pub fn read(&mut self, received: &[u8]) -> Result<Option<(usize, Answer)>> {
        if !self.scan.is_worth_parsing(received) {
            return Ok(None);
        }
        // What lies beyond the limit is not looked at: whether it has come must not matter. Interim
        // responses count, or a server could send them for ever.
        let heads = &received[..received.len().min(MAX_HEAD_SIZE)];
        let mut start = 0;
        loop {
            let rest = &heads[start..];
            let (size, response) = match Response::try_parse(rest) {
                Ok(Some(parsed)) => parsed,
                Ok(None) if received.len() <= MAX_HEAD_SIZE => return Ok(None),
                Ok(None) => return self.fail("the server's head is over 16 KiB"),
                Err(TungsteniteError::Capacity(CapacityError::TooManyHeaders)) => {
                    return self.fail("the server sent more than 100 headers");
                }
                Err(TungsteniteError::Protocol(ProtocolError::WrongHttpVersion)) => {
                    let (size, head) = self.refusal_in_http_1_0(rest)?;
                    return Ok(Some((start + size, Answer::Refused(head))));
                }
                Err(error) => {
                    return self.fail(format!("the server's answer is not HTTP/1.1 ({error})"));
                }
            };
            if response.headers().len() > MAX_HEADERS {
                return self.fail("the server sent more than 100 headers");
            }
            let head = ResponseHead::new(&rest[..size]);
            start += size;
            match head.status() {
                101 => {
                    let deflate = self.verify(&head)?;
                    let subprotocol = self.chosen_subprotocol(&head)?;
                    let answer = Answer::Upgraded {
                        head,
                        subprotocol,
                        deflate,
                    };
                    return Ok(Some((start, answer)));
                }
                // An interim response; the real one follows (RFC 9110, 15.2).
                100..=199 => continue,
                _ => return Ok(Some((start, Answer::Refused(head)))),
            }
        }
    }

    /// Reads a whole head in HTTP/1.0, in which a plain server can refuse, though not upgrade.
    fn refusal_in_http_1_0(&self, received: &[u8]) -> Result<(usize, ResponseHead)> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(received) {
            Ok(httparse::Status::Complete(size)) if response.code >= Some(200) => {
                Ok((size, ResponseHead::new(&received[..size])))
            }
            _ => self.fail("the server's answer is not HTTP/1.1, but 1.0"),
        }
    }

    /// Checks a 101 response (RFC 6455, 4.1), and gives what the server says about compressing.
    fn verify(&self, head: &ResponseHead) -> Result<Option<DeflateParameters>> {
        if !head.has_token("upgrade", "websocket") {
            return self.fail("the server's 101 lacks \"Upgrade: websocket\"");
        }
        if !head.has_token("connection", "upgrade") {
            return self.fail("the server's 101 lacks \"Connection: Upgrade\"");
        }
        if head.count("sec-websocket-accept") != 1
            || head.header("sec-websocket-accept") != Some(self.accept.as_str())
        {
            return self.fail("the server's Sec-WebSocket-Accept does not fit our key");
        }
        deflate::verify(
            self.deflate.as_ref(),
            head.values("sec-websocket-extensions"),
        )
        .or_else(|reason| self.fail(reason))
    }

    /// The subprotocol that the server chose, which must be one of those that were offered.
    fn chosen_subprotocol(&self, head: &ResponseHead) -> Result<Option<String>> {
        if head.count("sec-websocket-protocol") > 1 {
            return self.fail("the server sent Sec-WebSocket-Protocol twice");
        }
        match head.header("sec-websocket-protocol") {
            Some(chosen) if self.offered.iter().any(|offered| offered == chosen) => {
                Ok(Some(chosen.to_owned()))
            }
            Some(chosen) => self.fail(format!(
                "the server chose subprotocol {chosen:?}, not offered"
            )),
            None if head.count("sec-websocket-protocol") > 0 => {
                self.fail("the server chose a subprotocol that is not UTF-8")
            }
            None if self.subprotocol_required => {
                let (attempt, offered) = (&self.attempt, self.offered.join(", "));
                let attempt = format!("{attempt}: the server chose no subprotocol of: {offered}");
                Err(Error::NoSubprotocol {
                    attempt: attempt.into(),
                })
            }
            None => Ok(None),
        }
    }

    fn fail<T>(&self, reason: impl Into<Cow<'static, str>>) -> Result<T> {
        Err(Error::Handshake {
            attempt: self.attempt.clone().into(),
            reason: reason.into(),
        })
    }
}
