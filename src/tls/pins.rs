//! Checking a server's certificate: its chain and name, unless that was switched off, and its
//! key, if it was pinned.

use std::fmt;
use std::sync::Arc;

use data_encoding::BASE64;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};

/// The SHA-256 of a public key, as its certificate has it (SubjectPublicKeyInfo).
pub(super) type Pin = [u8; 32];

/// The certificate's key is none of those that were pinned.
#[derive(Debug)]
pub(super) struct NotPinned {
    /// The pin of the key that was seen.
    pub seen: Pin,
}

impl fmt::Display for NotPinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the server's key is not one that was pinned; it is sha256//{}",
            BASE64.encode(&self.seen)
        )
    }
}

impl std::error::Error for NotPinned {}

#[derive(Debug)]
pub(super) struct Verifier {
    /// None accepts any certificate.
    pub chain: Option<Arc<WebPkiServerVerifier>>,
    /// One of them, if there are any.
    pub pins: Vec<Pin>,
    pub provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn check_pin(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        if self.pins.is_empty() {
            return Ok(());
        }
        let certificate = webpki::EndEntityCert::try_from(certificate)
            .map_err(|_| CertificateError::BadEncoding)?;
        let key = certificate.subject_public_key_info();
        let sha256 = rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256
            .tls13()
            .ok_or_else(|| Error::General("no SHA-256".into()))?
            .common
            .hash_provider;
        let seen: Pin = sha256
            .hash(key.as_ref())
            .as_ref()
            .try_into()
            .map_err(|_| Error::General("SHA-256 has 32 bytes".into()))?;
        if self.pins.contains(&seen) {
            return Ok(());
        }
        let not_pinned = OtherError(Arc::new(NotPinned { seen }));
        Err(CertificateError::Other(not_pinned).into())
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(chain) = &self.chain {
            chain.verify_server_cert(end_entity, intermediates, name, ocsp, now)?;
        }
        // Only the server's own certificate: others that it sends need not be part of the chain
        // that was checked.
        self.check_pin(end_entity)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
