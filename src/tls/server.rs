//! What a server chooses.

use std::path::Path;

use super::TlsVersion;
use super::client::{check_cas, check_identity, check_revocations};
use super::pem::{Identity, Source};
use crate::error::Result;

/// Whether a server asks its clients for certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ClientAuth {
    /// No.
    #[default]
    None,
    /// Yes; who shows none is welcome too. One that is shown must be good.
    Optional,
    /// Yes, and who shows none is turned away.
    Required,
}

/// How a server speaks TLS: given to [`ListenOptions::tls`](crate::ListenOptions::tls).
///
/// Files are read when they are named, to find what is wrong with them; when the listener starts;
/// and when it is told to [reload](crate::Listener::reload_tls). Without the feature `tls` of this
/// crate, what reads certificates is [`Error::Unsupported`](crate::Error::Unsupported).
///
/// ```no_run
/// use talkws::{ListenOptions, ServerTls};
///
/// let tls = ServerTls::new().certificate_files("chain.pem", "key.pem")?;
/// let listener = ListenOptions::new().tls(tls).listen("wss://[::]:443/talk-to-server")?;
/// # Ok::<(), talkws::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct ServerTls {
    identities: Vec<Identity>,
    client_auth: ClientAuth,
    client_cas: Vec<Source>,
    revocations: Vec<Source>,
    min_version: TlsVersion,
}

impl ServerTls {
    /// No certificate yet, which a listener needs; the defaults besides.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a certificate: PEM files with its chain, its own first, and with its private key, not
    /// encrypted. Both may be one file. With several, a client gets the first that is valid for
    /// the name it asks for (SNI; RFC 6066, 3), or else the first of all.
    pub fn certificate_files(self, chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self> {
        self.identity(Source::file(chain), Source::file(key))
    }

    /// Like [`certificate_files`](Self::certificate_files), from memory.
    pub fn certificate_pem(self, chain: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Self> {
        self.identity(Source::bytes(chain), Source::bytes(key))
    }

    fn identity(mut self, chain: Source, key: Source) -> Result<Self> {
        self.identities
            .push(check_identity(Identity { chain, key })?);
        Ok(self)
    }

    /// Whether clients are asked for certificates, which those named with
    /// [`client_ca_file`](Self::client_ca_file) must have made. Default: [`ClientAuth::None`].
    pub fn client_auth(mut self, auth: ClientAuth) -> Self {
        self.client_auth = auth;
        self
    }

    /// Trusts the certificate authorities in a PEM file to make certificates of clients. May be
    /// called again for more.
    pub fn client_ca_file(mut self, path: impl AsRef<Path>) -> Result<Self> {
        self.client_cas.push(check_cas(Source::file(path))?);
        Ok(self)
    }

    /// Like [`client_ca_file`](Self::client_ca_file), from memory.
    pub fn client_ca_pem(mut self, pem: impl AsRef<[u8]>) -> Result<Self> {
        self.client_cas.push(check_cas(Source::bytes(pem))?);
        Ok(self)
    }

    /// Turns clients away whose certificate, or one of those above it, is revoked by a list in a
    /// PEM file (RFC 5280, 5). Certificates of authorities without a list pass; a list that is out
    /// of date fails. May be called again for more.
    pub fn crl_file(mut self, path: impl AsRef<Path>) -> Result<Self> {
        self.revocations
            .push(check_revocations(Source::file(path))?);
        Ok(self)
    }

    /// Like [`crl_file`](Self::crl_file), from memory.
    pub fn crl_pem(mut self, pem: impl AsRef<[u8]>) -> Result<Self> {
        self.revocations
            .push(check_revocations(Source::bytes(pem))?);
        Ok(self)
    }

    /// The oldest version of TLS that is spoken. Default: [`TlsVersion::Tls12`].
    pub fn min_version(mut self, version: TlsVersion) -> Self {
        self.min_version = version;
        self
    }
}

#[cfg(not(feature = "tls"))]
impl ServerTls {
    /// There is nothing that could be made of it.
    pub(crate) fn config(&self) -> Result<std::sync::Arc<std::convert::Infallible>> {
        Err(super::unsupported("listen"))
    }
}

#[cfg(feature = "tls")]
mod built {
    use std::sync::Arc;

    use rustls::ServerConfig;
    use rustls::crypto::ring::Ticketer;
    use rustls::pki_types::ServerName;
    use rustls::server::danger::ClientCertVerifier;
    use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
    use rustls::sign::CertifiedKey;

    use super::super::client::versions;
    use super::super::trust::{provider, revocations, roots, unverifiable};
    use super::{ClientAuth, ServerTls};
    use crate::error::{Error, Result};

    impl ServerTls {
        /// Reads all files anew.
        pub(crate) fn config(&self) -> Result<Arc<ServerConfig>> {
            let provider = provider();
            if self.identities.is_empty() {
                let reason = "TLS: a server needs a certificate and its key";
                return Err(Error::InvalidArgument(reason.into()));
            }
            let keys: Result<Vec<_>> = self
                .identities
                .iter()
                .map(|identity| identity.certified_key(&provider))
                .collect();
            let mut config = ServerConfig::builder_with_provider(provider.clone())
                .with_protocol_versions(&versions(self.min_version))
                .map_err(|error| Error::InvalidArgument(format!("TLS: {error}").into()))?
                .with_client_cert_verifier(self.client_verifier()?)
                .with_cert_resolver(Arc::new(ByName(keys?)));
            // WebSockets are upgraded from HTTP/1.1 (RFC 7301).
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            // A key of its own for each configuration: a session under others is not resumed.
            config.ticketer = Ticketer::new()
                .map_err(|error| Error::InvalidArgument(format!("TLS: {error}").into()))?;
            Ok(Arc::new(config))
        }

        fn client_verifier(&self) -> Result<Arc<dyn ClientCertVerifier>> {
            if self.client_auth == ClientAuth::None {
                return Ok(WebPkiClientVerifier::no_client_auth());
            }
            if self.client_cas.is_empty() {
                let reason =
                    "TLS: certificates of clients need a CA that has made them; give its file";
                return Err(Error::InvalidArgument(reason.into()));
            }
            let roots = roots(&self.client_cas, false)?;
            let mut verifier =
                WebPkiClientVerifier::builder_with_provider(roots.into(), provider())
                    .with_crls(revocations(&self.revocations)?)
                    .allow_unknown_revocation_status()
                    .enforce_revocation_expiration();
            if self.client_auth == ClientAuth::Optional {
                verifier = verifier.allow_unauthenticated();
            }
            verifier.build().map_err(unverifiable)
        }
    }

    /// The certificates of a server.
    #[derive(Debug)]
    struct ByName(Vec<Arc<CertifiedKey>>);

    impl ResolvesServerCert for ByName {
        fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
            let name = hello
                .server_name()
                .and_then(|name| ServerName::try_from(name).ok());
            let is_valid = |key: &&Arc<CertifiedKey>| {
                let certificate = key
                    .end_entity_cert()
                    .ok()
                    .and_then(|certificate| webpki::EndEntityCert::try_from(certificate).ok());
                match (&name, certificate) {
                    (Some(name), Some(certificate)) => {
                        certificate.verify_is_valid_for_subject_name(name).is_ok()
                    }
                    _ => false,
                }
            };
            self.0
                .iter()
                .find(is_valid)
                .or_else(|| self.0.first())
                .cloned()
        }
    }
}
