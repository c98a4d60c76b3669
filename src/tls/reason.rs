//! What went wrong in a TLS handshake, and what to do about it.

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

use super::date::date;
use crate::protocol::Role;

/// Says what is wrong to the user at this end, whose role is `role`.
pub(crate) fn reason(error: &Error, role: Role) -> String {
    let peer = match role {
        Role::Client => "server",
        Role::Server => "client",
    };
    match error {
        Error::InvalidCertificate(wrong) => certificate(wrong, peer),
        Error::AlertReceived(alert) => received(*alert, role, peer),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => format!(
            "the {peer} does not speak TLS here; for a server without it the URL begins with ws://"
        ),
        Error::NoCertificatesPresented => "the client showed no certificate".to_owned(),
        Error::PeerIncompatible(PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon) => {
            "the server accepts no signature that our certificate's key can make".to_owned()
        }
        Error::PeerIncompatible(what) => {
            format!("the two ends have no TLS version or cipher in common ({what:?})")
        }
        Error::PeerMisbehaved(what) => format!("the {peer} breaks the rules of TLS ({what:?})"),
        error => error.to_string(),
    }
}

#[allow(deprecated, reason = "older names of the same are still given")]
fn certificate(wrong: &CertificateError, peer: &str) -> String {
    let its = format!("the {peer}'s certificate");
    match wrong {
        CertificateError::Expired => format!("{its} has expired"),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("{its} expired on {}", date(not_after.as_secs()))
        }
        CertificateError::NotValidYet => format!("{its} is not valid yet"),
        CertificateError::NotValidYetContext { not_before, .. } => format!(
            "{its} is not valid before {}; is this machine's clock right?",
            date(not_before.as_secs())
        ),
        CertificateError::UnknownIssuer => format!(
            "{its} was made by nobody who is trusted; if that is right, give the CA's certificate \
             (a CA file)"
        ),
        CertificateError::NotValidForName => format!("{its} is for another name"),
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => {
            let names: Vec<&str> = presented.iter().map(|name| plain_name(name)).collect();
            let names = if names.is_empty() {
                "no name at all".to_owned()
            } else {
                names.join(", ")
            };
            format!(
                "{its} is not valid for {:?}, but for {names}; dial that, or set the server name",
                expected.to_str()
            )
        }
        CertificateError::Revoked => format!("{its}, or one above it, is revoked"),
        CertificateError::ExpiredRevocationList => {
            "the revocation list is out of date; get the new one".to_owned()
        }
        CertificateError::ExpiredRevocationListContext { next_update, .. } => format!(
            "the revocation list was to be renewed by {}; get the new one",
            date(next_update.as_secs())
        ),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            format!("{its} was not made for a {peer} (its extended key usage says so)")
        }
        CertificateError::BadSignature => {
            format!("{its} has a wrong signature; was it made by another CA of the same name?")
        }
        CertificateError::Other(other) => match other.0.downcast_ref::<webpki::Error>() {
            Some(webpki::Error::CaUsedAsEndEntity) => format!(
                "{its} is that of a CA (self-signed with CA:TRUE), which none may show as its own; \
                 make one with CA:FALSE, or pin its key and accept any certificate"
            ),
            _ => other.to_string(),
        },
        other => format!("{its} is not good: {other}"),
    }
}

/// `DnsName("example.org")` as the name that it holds.
fn plain_name(name: &str) -> &str {
    let inside = name.split_once('(').map_or(name, |(_, rest)| rest);
    inside.trim_end_matches(')').trim_matches('"')
}

fn received(alert: AlertDescription, role: Role, peer: &str) -> String {
    let hint = match (alert, role) {
        (AlertDescription::CertificateRequired, Role::Client) => {
            "it wants a client certificate, and got none"
        }
        (
            AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA,
            _,
        ) => "it does not accept our certificate",
        (AlertDescription::HandshakeFailure, Role::Client) => {
            "there is no cipher in common, or it wants a client certificate"
        }
        (AlertDescription::ProtocolVersion, _) => "there is no TLS version in common",
        (AlertDescription::UnrecognisedName, _) => "it has no certificate for the server name",
        (AlertDescription::NoApplicationProtocol, _) => "it does not speak HTTP/1.1 (ALPN)",
        _ => return format!("the {peer} ended the handshake with the alert {alert:?}"),
    };
    format!("the {peer} ended the handshake with the alert {alert:?}: {hint}")
}
