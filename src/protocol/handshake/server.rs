//! The server's opening handshake (RFC 6455, 4.2).

use std::net::SocketAddr;

use http::{StatusCode, Uri, header};
use tungstenite::error::{CapacityError, Error as TungsteniteError, ProtocolError};
use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::server::{Request as HttpRequest, Response, create_response};

use super::HeadScan;
use super::forwarded::origination;
use crate::error::{Error, Result};
use crate::head::RequestHead;
use crate::options::forwarding::TrustedProxies;
use crate::options::{
    DeflateOptions, Headers, ListenOptions, MAX_HEAD_SIZE, MAX_HEADERS, OriginRule, RefuseOptions,
    UpgradeOptions,
};
use crate::protocol::deflate::{self, Agreement};

/// What a server asks of every request.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The only path that is served; `None` for all.
    pub route: Option<String>,
    origins: OriginRule,
    subprotocols: Vec<String>,
    subprotocol_required: bool,
    plain_requests: bool,
    deflate: Option<DeflateOptions>,
    trusted: TrustedProxies,
}

/// A whole and well-formed request: to upgrade, unless the rules admit others.
#[derive(Debug)]
pub struct UpgradeRequest {
    /// As it came.
    pub head: RequestHead,
    /// The client's address, if it has one that is known.
    pub peer: Option<SocketAddr>,
    /// `None` when it does not ask for an upgrade.
    response: Option<Response>,
    /// What an upgrade chooses unless it says otherwise.
    subprotocol: Option<String>,
    /// What an upgrade accepts of the client's offers to compress.
    pub deflate: Option<Agreement>,
}

/// An answer other than the upgrade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalResponse {
    /// The HTTP status.
    pub status: u16,
    body: Vec<u8>,
    how_to_do_better: &'static [(&'static str, &'static str)],
    headers: Headers,
}

/// Headers that tell a client how to do better (RFC 9110, 15.5.22; RFC 6455, 4.4).
const HOW_TO_UPGRADE: &[(&str, &str)] =
    &[("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")];

impl RefusalResponse {
    /// A refusal with a text to read.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        RefusalResponse {
            status,
            body: body.into(),
            // A 426 must say to what (RFC 9110, 15.5.22).
            how_to_do_better: if status == 426 { HOW_TO_UPGRADE } else { &[] },
            headers: Headers::new(),
        }
    }

    /// The answer to who does not ask for an upgrade.
    pub fn not_an_upgrade() -> Self {
        let body = "This is a WebSocket; ask for an upgrade (RFC 6455, 4.1).\n";
        RefusalResponse::new(426, body)
    }

    /// With the headers that the program adds.
    pub(crate) fn with_options(self, options: RefuseOptions) -> Self {
        RefusalResponse {
            headers: options.headers,
            ..self
        }
    }

    fn with_advice(self, how_to_do_better: &'static [(&'static str, &'static str)]) -> Self {
        RefusalResponse {
            how_to_do_better,
            ..self
        }
    }

    /// The bytes of the response.
    pub fn to_bytes(&self) -> Vec<u8> {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut bytes = format!("HTTP/1.1 {} ", status.as_str()).into_bytes();
        bytes.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
        bytes.extend_from_slice(b"\r\n");
        let upgrades = self.how_to_do_better.iter().any(|(n, _)| *n == "Upgrade");
        // `Upgrade` is a matter of this one connection, and must be named here (RFC 9110, 7.8).
        let connection = if upgrades { "close, Upgrade" } else { "close" };
        add_header(&mut bytes, "Connection", connection.as_bytes());
        for (name, value) in self.how_to_do_better {
            add_header(&mut bytes, name, value.as_bytes());
        }
        for (name, value) in &self.headers {
            add_header(&mut bytes, name.as_str(), value.as_bytes());
        }
        // Two answers never have a body, nor say how long it is (RFC 9110, 6.4.1 and 8.6).
        let body = match status {
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => None,
            _ => Some(self.body.as_slice()),
        };
        if let Some(body) = body {
            let has_type = self.headers.iter().any(|(n, _)| n == header::CONTENT_TYPE);
            if !body.is_empty() && !has_type {
                add_header(&mut bytes, "Content-Type", b"text/plain; charset=utf-8");
            }
            let length = body.len().to_string();
            add_header(&mut bytes, "Content-Length", length.as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(body.unwrap_or_default());
        bytes
    }
}

fn add_header(head: &mut Vec<u8>, name: &str, value: &[u8]) {
    head.extend_from_slice(name.as_bytes());
    head.extend_from_slice(b": ");
    head.extend_from_slice(value);
    head.extend_from_slice(b"\r\n");
}

/// What the bytes received so far amount to.
#[derive(Debug)]
pub enum Progress {
    /// Not a whole head yet.
    Incomplete,
    /// A request, and how many bytes its head has; what follows belongs to the connection.
    Complete(usize, Box<UpgradeRequest>),
    /// Nothing that can be upgraded.
    Refuse(RefusalResponse),
}

impl Rules {
    /// The rules of `options`, for one path or for all.
    pub fn new(route: Option<String>, options: &ListenOptions) -> Self {
        Rules {
            route,
            origins: options.origins.clone(),
            subprotocols: options.subprotocols.clone(),
            subprotocol_required: options.subprotocol_required,
            plain_requests: options.plain_requests,
            deflate: options.limits.deflate,
            trusted: options.trusted.clone(),
        }
    }

    /// Looks at all that `peer` has sent so far, which is a client or a proxy.
    pub fn read(&self, scan: &mut HeadScan, received: &[u8], peer: Option<SocketAddr>) -> Progress {
        if !scan.is_worth_parsing(received) {
            return Progress::Incomplete;
        }
        let too_large = || {
            Progress::Refuse(RefusalResponse::new(
                431,
                "The head is over 16 KiB or 100 headers.\n",
            ))
        };
        // What lies beyond the limit is not looked at: whether it has come must not matter.
        match HttpRequest::try_parse(&received[..received.len().min(MAX_HEAD_SIZE)]) {
            Ok(None) if received.len() > MAX_HEAD_SIZE => too_large(),
            Ok(None) => Progress::Incomplete,
            Ok(Some((size, request))) => {
                if request.headers().len() > MAX_HEADERS {
                    return too_large();
                }
                match self.check(request, RequestHead::new(&received[..size]), peer) {
                    Ok(request) => Progress::Complete(size, Box::new(request)),
                    Err(refusal) => Progress::Refuse(refusal),
                }
            }
            Err(TungsteniteError::Capacity(CapacityError::TooManyHeaders)) => too_large(),
            Err(TungsteniteError::Protocol(ProtocolError::WrongHttpMethod)) => {
                // The answer to HEAD has no body (RFC 9110, 9.3.2).
                let body = if received.trim_ascii_start().starts_with(b"HEAD ") {
                    ""
                } else {
                    "A WebSocket is opened with GET (RFC 6455, 4.1).\n"
                };
                let refusal = RefusalResponse::new(405, body);
                Progress::Refuse(refusal.with_advice(&[("Allow", "GET")]))
            }
            Err(TungsteniteError::Protocol(ProtocolError::WrongHttpVersion)) => {
                Progress::Refuse(RefusalResponse::not_an_upgrade())
            }
            Err(error) => Progress::Refuse(bad_request(&format!("not an HTTP request ({error})"))),
        }
    }

    fn check(
        &self,
        mut request: HttpRequest,
        head: RequestHead,
        peer: Option<SocketAddr>,
    ) -> Result<UpgradeRequest, RefusalResponse> {
        if head.count("host") != 1 {
            return Err(bad_request("there must be one Host header"));
        }
        let Ok(from) = origination(&head, peer, &self.trusted) else {
            return Err(bad_request("Forwarded cannot be read (RFC 7239, 4)"));
        };
        if let Some(route) = &self.route
            && head.path() != route
        {
            return Err(RefusalResponse::new(
                404,
                "There is no WebSocket at this path.\n",
            ));
        }
        if !head.has_token("upgrade", "websocket") || !head.has_token("connection", "upgrade") {
            if self.plain_requests {
                return Ok(UpgradeRequest {
                    head,
                    response: None,
                    subprotocol: None,
                    deflate: None,
                    peer: from.peer,
                });
            }
            return Err(RefusalResponse::not_an_upgrade());
        }
        if head.count("sec-websocket-version") > 1 || head.count("sec-websocket-key") > 1 {
            return Err(bad_request(
                "Sec-WebSocket-Version or Sec-WebSocket-Key came twice",
            ));
        }
        if head.header("sec-websocket-version") != Some("13") {
            let body = "This server speaks version 13 of the protocol (RFC 6455).\n";
            return Err(RefusalResponse::new(426, body));
        }
        // Bytes of a body would be taken for frames.
        let has_body = head.headers().any(|(name, value)| {
            name.eq_ignore_ascii_case("transfer-encoding")
                || (name.eq_ignore_ascii_case("content-length") && value != b"0")
        });
        if has_body {
            return Err(bad_request("a request to upgrade has no body"));
        }
        self.check_origin(&head, from.host.as_deref())?;
        let subprotocol = self.choose_subprotocol(&head)?;
        let offers = head.values("sec-websocket-extensions");
        let deflate = self.deflate.as_ref();
        let deflate = deflate.and_then(|options| deflate::answer(options, offers));
        // tungstenite looks at the first line of each of these alone, and wants one token in the
        // second; both are lists (RFC 9110, 7.6.1 and 7.8), and were checked above.
        let headers = request.headers_mut();
        headers.insert(
            header::CONNECTION,
            header::HeaderValue::from_static("Upgrade"),
        );
        headers.insert(
            header::UPGRADE,
            header::HeaderValue::from_static("websocket"),
        );
        match create_response(&request) {
            Ok(response) => Ok(UpgradeRequest {
                head,
                peer: from.peer,
                response: Some(response),
                subprotocol,
                deflate,
            }),
            Err(error) => Err(bad_request(&error.to_string())),
        }
    }

    /// `forwarded_host` is what a proxy was asked for that may have asked us for something else.
    fn check_origin(
        &self,
        head: &RequestHead,
        forwarded_host: Option<&str>,
    ) -> Result<(), RefusalResponse> {
        let forbidden = || RefusalResponse::new(403, "Pages of this origin may not connect.\n");
        if head.count("origin") == 0 {
            return Ok(());
        }
        if head.count("origin") > 1 {
            return Err(forbidden());
        }
        let Some(origin) = head.header("origin") else {
            return Err(forbidden());
        };
        let is_allowed = match &self.origins {
            OriginRule::Any => true,
            OriginRule::Only(origins) => origins.iter().any(|o| o.eq_ignore_ascii_case(origin)),
            OriginRule::SameHost => {
                let host = forwarded_host.or(head.header("host")).unwrap_or_default();
                let uri = origin.parse::<Uri>();
                let authority = uri.as_ref().ok().and_then(Uri::authority);
                authority.is_some_and(|authority| authority.as_str().eq_ignore_ascii_case(host))
            }
        };
        if is_allowed { Ok(()) } else { Err(forbidden()) }
    }

    fn choose_subprotocol(&self, head: &RequestHead) -> Result<Option<String>, RefusalResponse> {
        if head
            .subprotocols()
            .any(|name| !crate::options::is_token(name))
        {
            return Err(bad_request(
                "Sec-WebSocket-Protocol holds something that is no token",
            ));
        }
        let chosen = self
            .subprotocols
            .iter()
            .find(|ours| head.subprotocols().any(|n| n == **ours));
        if chosen.is_none() && self.subprotocol_required {
            let ours = self.subprotocols.join(", ");
            return Err(bad_request(&format!(
                "this server speaks only the subprotocols: {ours}"
            )));
        }
        Ok(chosen.cloned())
    }
}

fn bad_request(reason: &str) -> RefusalResponse {
    RefusalResponse::new(400, format!("Bad request: {reason}.\n"))
}

impl UpgradeRequest {
    /// Whether it asks for an upgrade.
    pub fn is_upgrade(&self) -> bool {
        self.response.is_some()
    }

    /// The bytes of the 101 response, and the subprotocol they name.
    pub fn accept(&self, options: &UpgradeOptions) -> Result<(Vec<u8>, Option<String>)> {
        let Some(response) = &self.response else {
            let reason = "upgrade: the client did not ask for one; answer it with refuse";
            return Err(Error::InvalidState(reason.into()));
        };
        if let Some(chosen) = &options.subprotocol
            && !self.head.subprotocols().any(|offered| offered == chosen)
        {
            let reason = format!("upgrade: the client did not offer subprotocol {chosen:?}");
            return Err(Error::InvalidArgument(reason.into()));
        }
        let subprotocol = options
            .subprotocol
            .clone()
            .or_else(|| self.subprotocol.clone());
        let mut bytes = b"HTTP/1.1 101 Switching Protocols\r\n".to_vec();
        let mut add = |name: &str, value: &[u8]| add_header(&mut bytes, name, value);
        for (name, value) in response.headers() {
            // Some clients compare these names to the letter.
            let name = match name.as_str() {
                "connection" => "Connection",
                "upgrade" => "Upgrade",
                "sec-websocket-accept" => "Sec-WebSocket-Accept",
                other => other,
            };
            add(name, value.as_bytes());
        }
        if let Some(name) = &subprotocol {
            add("Sec-WebSocket-Protocol", name.as_bytes());
        }
        if let Some(agreement) = &self.deflate {
            add("Sec-WebSocket-Extensions", agreement.header.as_bytes());
        }
        for (name, value) in &options.headers {
            add(name.as_str(), value.as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        if bytes.len() > MAX_HEAD_SIZE {
            let size = bytes.len();
            let reason = format!(
                "upgrade: the response has {size} bytes, and clients take no head over 16 KiB; \
                 send less in headers"
            );
            return Err(Error::InvalidArgument(reason.into()));
        }
        Ok((bytes, subprotocol))
    }
}
