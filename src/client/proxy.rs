//! A stream to a server, through a proxy.

pub mod environment;
mod http_connect;
mod socks5;

use crate::deadline::Deadline;
use crate::error::{Error, Refusal, Result};
use crate::options::DialOptions;
use crate::options::proxy::{Proxy, ProxyKind};
use crate::transport::{Halt, Transport};
use crate::url::Url;

use super::connect::{connect, resolve};
use super::stream::Stream;
use super::tls::secure;
use super::transport;

/// Opens a stream to the server of `url` through `proxy`.
pub(super) fn tunnel(
    proxy: &Proxy,
    url: &Url,
    options: &DialOptions,
    deadline: Deadline,
) -> Result<Box<dyn Transport>> {
    let attempt = format!("dial {} through proxy {proxy}", url.text);
    log::debug!(target: "talkws::client", "{attempt}");
    let target = url.endpoint();
    let addresses = match proxy.kind {
        // Before the proxy is bothered.
        ProxyKind::Socks5 => resolve(&target, &attempt, deadline)?,
        _ => Vec::new(),
    };
    let socket = connect(&proxy.endpoint, &attempt, &options.sockets, deadline)?;
    let mut transport = transport(socket, &attempt)?;
    if proxy.kind == ProxyKind::Https {
        let (host, tls) = (&proxy.endpoint.host, &options.proxy_tls);
        let attempt = format!("{attempt}: TLS with the proxy");
        transport = secure(transport, host, tls, &attempt, deadline)?;
    }
    let exchange = Exchange(Stream {
        transport,
        attempt: &attempt,
        deadline,
    });
    let credentials = proxy.credentials.as_ref();
    match proxy.kind {
        ProxyKind::Http | ProxyKind::Https => {
            http_connect::open(&exchange, &target, credentials)?;
        }
        ProxyKind::Socks5 | ProxyKind::Socks5h => {
            let target = socks5::Target::new(&target, addresses.first());
            socks5::open(&exchange, &target, credentials)?;
        }
    }
    Ok(exchange.0.transport)
}

/// What is said to a proxy until the stream is the server's.
struct Exchange<'a>(Stream<'a>);

impl Exchange<'_> {
    fn send(&self, bytes: &[u8]) -> Result<()> {
        let sent = self.0.try_send(bytes);
        sent.map_err(|halt| self.halted(halt, "asking it"))
    }

    /// Receives exactly `length` more bytes, and not one of those that follow, which may be the
    /// server's.
    fn receive(&self, received: &mut Vec<u8>, length: usize) -> Result<()> {
        let wanted = received.len() + length;
        while received.len() < wanted {
            let missing = wanted - received.len();
            match self.0.receive_some(received, missing) {
                Ok(true) => {}
                Ok(false) => return Err(self.failed("it ended the connection without an answer")),
                Err(halt) => return Err(self.halted(halt, "waiting for its answer")),
            }
        }
        Ok(())
    }

    fn halted(&self, halt: Halt, doing: &str) -> Error {
        match halt {
            Halt::Failed(error) => self.failed(format!("{doing}: {error}")),
            halt => self.0.halted(halt, doing),
        }
    }

    /// The proxy does not do what it was asked.
    fn failed(&self, reason: impl Into<String>) -> Error {
        Error::Proxy {
            attempt: self.0.attempt.to_owned().into(),
            reason: reason.into().into(),
            refusal: None,
        }
    }

    /// An HTTP proxy has answered, but not yes.
    fn refused(&self, reason: String, refusal: Refusal) -> Error {
        Error::Proxy {
            attempt: self.0.attempt.to_owned().into(),
            reason: reason.into(),
            refusal: Some(refusal.into()),
        }
    }
}
