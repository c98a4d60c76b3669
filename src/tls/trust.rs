//! Whom to trust: certificate authorities, and what they have revoked.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::server::VerifierBuilderError;

use super::pem::Source;
use crate::error::{Error, Result};

/// The one set of algorithms of this library.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The authorities of these sources, and of the system if it is asked too.
pub(super) fn roots(sources: &[Source], with_system: bool) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for source in sources {
        let what = "the CA certificates";
        for certificate in source.certificates(what)? {
            roots.add(certificate).map_err(|error| {
                Error::InvalidArgument(format!("{what}: {error} ({source:?})").into())
            })?;
        }
    }
    if with_system {
        let system = rustls_native_certs::load_native_certs();
        for error in &system.errors {
            log::warn!(target: "talkws::client", "the system's CA certificates: {error}");
        }
        roots.add_parsable_certificates(system.certs);
    }
    Ok(roots)
}

/// The revocation lists of these sources.
pub(super) fn revocations(
    sources: &[Source],
) -> Result<Vec<CertificateRevocationListDer<'static>>> {
    let mut lists = Vec::new();
    for source in sources {
        lists.extend(source.revocations("the revocation lists")?);
    }
    Ok(lists)
}

/// What is wrong with what a verifier was made of.
pub(super) fn unverifiable(error: VerifierBuilderError) -> Error {
    let reason = match error {
        VerifierBuilderError::NoRootAnchors => {
            "TLS: there is no CA certificate to trust; install those of the system \
             (ca-certificates), or give a CA file"
                .to_owned()
        }
        error => format!("TLS: the revocation lists: {error}"),
    };
    Error::InvalidArgument(reason.into())
}
