//! TLS: what a client and a server choose, and what they agreed upon.
//!
//! What is chosen is plain data, and stands here whether or not TLS is built in (the feature
//! `tls`); only using it differs.

mod client;
mod date;
mod pem;
#[cfg(feature = "tls")]
mod pins;
#[cfg(feature = "tls")]
mod reason;
mod server;
#[cfg(feature = "tls")]
mod trust;

use std::io;

use crate::protocol::Role;

pub use client::ClientTls;
pub use server::{ClientAuth, ServerTls};

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

/// What the two ends of a TLS session agreed upon, and what the other end showed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TlsInfo {
    /// The version.
    pub version: TlsVersion,
    /// The cipher suite, by its name in the registry of IANA, such as `TLS13_AES_128_GCM_SHA256`.
    pub cipher: &'static str,
    /// Whether an earlier session was resumed.
    pub is_resumed: bool,
    /// The other end's certificates in DER, its own first; none from a client that showed none.
    pub peer_certificates: Vec<Vec<u8>>,
}

/// What went wrong, when that is what a transport said: a rule of TLS, a certificate, an alert.
/// `role` is that of this end.
#[cfg(feature = "tls")]
pub(crate) fn failure(error: &io::Error, role: Role) -> Option<String> {
    let failure = crate::transport::tls::TlsFailure::of(error)?;
    Some(reason::reason(failure, role))
}

/// In a build without TLS nothing of it goes wrong.
#[cfg(not(feature = "tls"))]
pub(crate) fn failure(_: &io::Error, _: Role) -> Option<String> {
    None
}

/// The error of everything that needs TLS in a build that has none.
#[cfg(not(feature = "tls"))]
pub(crate) fn unsupported(attempt: impl std::fmt::Display) -> crate::error::Error {
    let reason = format!("{attempt}: it needs TLS, which this build does not have");
    crate::error::Error::Unsupported(reason.into())
}
