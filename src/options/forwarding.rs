//! Which proxies a server believes, and how they say who their client is.

use std::net::SocketAddr;

use super::ListenOptions;
use crate::error::{Error, Result};
use crate::network::Network;

/// How a proxy in front of a server says who its client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Forwarding {
    /// The header `Forwarded` (RFC 7239).
    Forwarded,
    /// The header `X-Forwarded-For`, and `X-Forwarded-Host` beside it.
    XForwardedFor,
    /// The PROXY protocol of HAProxy, version 1 or 2, before all else.
    ProxyProtocol,
}

/// The proxies that are believed.
#[derive(Debug, Clone, Default)]
pub(crate) struct TrustedProxies {
    networks: Vec<Network>,
    /// Whoever comes through a Unix socket.
    unix: bool,
    tells: Option<Forwarding>,
}

impl TrustedProxies {
    /// Whether an end of a connection is one of them; one without an IP address is at a Unix socket.
    pub fn contain(&self, peer: Option<SocketAddr>) -> bool {
        match peer {
            Some(peer) => self.networks.iter().any(|one| one.contains(peer.ip())),
            None => self.unix,
        }
    }

    /// How this peer says who its client is, if it is believed.
    pub fn telling(&self, peer: Option<SocketAddr>) -> Option<Forwarding> {
        self.tells.filter(|_| self.contain(peer))
    }
}

impl ListenOptions {
    /// Believes proxies, such as nginx or HAProxy, who their client is. `network` is where they are:
    /// an address, a network (`10.0.0.0/8`), or `unix` for whoever comes through a Unix socket. May be
    /// called again for more; all of them tell it in the same way. Default: nobody is believed.
    ///
    /// [`peer_addr`](crate::Request::peer_addr) is the client's address then, and
    /// [`direct_peer_addr`](crate::Request::direct_peer_addr) the proxy's. A list in a header is gone
    /// through from its end, past the addresses of proxies that are believed themselves, since what
    /// stands before may be made up. Where the header does not say a port it is 0, and who is
    /// `unknown`, or hidden, has no address. For [`OriginRule::SameHost`](crate::OriginRule::SameHost)
    /// the host counts that the proxy says it was asked for.
    ///
    /// Choose what the proxy sets: it may let other headers pass as the client has sent them.
    /// With [`Forwarding::ProxyProtocol`] each of its connections must begin so. What others send is
    /// not looked at.
    pub fn trust_proxy(mut self, network: &str, tells: Forwarding) -> Result<Self> {
        if network == "unix" {
            self.trusted.unix = true;
        } else if let Ok(network) = network.parse() {
            self.trusted.networks.push(network);
        } else {
            let reason = format!(
                "trusted proxy {network:?}: write an address, a network such as 10.0.0.0/8, or unix"
            );
            return Err(Error::InvalidArgument(reason.into()));
        }
        if self.trusted.tells.is_some_and(|before| before != tells) {
            let reason = "trusted proxies: all of them must tell their client in the same way";
            return Err(Error::InvalidArgument(reason.into()));
        }
        self.trusted.tells = Some(tells);
        Ok(self)
    }
}
