//! What a client chooses.

use std::path::Path;

use super::TlsVersion;
use super::pem::{Identity, Source};
use crate::error::{Error, Result};

/// How a client speaks TLS: given to [`DialOptions::tls`](crate::DialOptions::tls).
///
/// By default it trusts the certificate authorities of the system, shows no certificate, and
/// speaks TLS 1.2 or 1.3. Files are read when they are named. Without the feature `tls` of this
/// crate, what reads certificates is [`Error::Unsupported`].
///
/// ```no_run
/// use talkws::{ClientTls, DialOptions};
///
/// let tls = ClientTls::new().ca_file("our-ca.pem")?;
/// let ws = DialOptions::new().tls(tls).dial("wss://chat.internal/talk-to-server")?;
/// # Ok::<(), talkws::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct ClientTls {
    cas: Vec<Source>,
    system_cas: Option<bool>,
    revocations: Vec<Source>,
    identity: Option<Identity>,
    server_name: Option<String>,
    min_version: TlsVersion,
    pins: Vec<[u8; 32]>,
    accepts_any: bool,
    #[cfg(feature = "tls")]
    built: built::Built,
}

impl ClientTls {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts the certificate authorities in a PEM file, instead of those of the system; see
    /// [`system_cas`](Self::system_cas). May be called again for more.
    pub fn ca_file(self, path: impl AsRef<Path>) -> Result<Self> {
        let pem = Source::file(path).read("the CA certificates")?;
        self.ca_pem(pem)
    }

    /// Like [`ca_file`](Self::ca_file), from memory.
    pub fn ca_pem(mut self, pem: impl AsRef<[u8]>) -> Result<Self> {
        self.cas.push(check_cas(Source::bytes(pem))?);
        Ok(self.changed())
    }

    /// Whether the certificate authorities of the system are trusted. Default: yes, unless others
    /// were named. They are read once in the life of a process for all options that name no
    /// others.
    pub fn system_cas(mut self, trusted: bool) -> Self {
        self.system_cas = Some(trusted);
        self.changed()
    }

    /// Refuses servers whose certificate, or one of those above it, is revoked by a list in a PEM
    /// file (RFC 5280, 5). Certificates of authorities without a list pass; a list that is out of
    /// date fails. May be called again for more.
    pub fn crl_file(self, path: impl AsRef<Path>) -> Result<Self> {
        let pem = Source::file(path).read("the revocation lists")?;
        self.crl_pem(pem)
    }

    /// Like [`crl_file`](Self::crl_file), from memory.
    pub fn crl_pem(mut self, pem: impl AsRef<[u8]>) -> Result<Self> {
        self.revocations
            .push(check_revocations(Source::bytes(pem))?);
        Ok(self.changed())
    }

    /// Shows a certificate to a server that asks for one: PEM files with its chain, its own
    /// certificate first, and with its private key, not encrypted. Both may be one file.
    pub fn certificate_files(self, chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self> {
        let chain = Source::file(chain).read("the certificate chain")?;
        let key = Source::file(key).read("the private key")?;
        self.certificate_pem(chain, key)
    }

    /// Like [`certificate_files`](Self::certificate_files), from memory.
    pub fn certificate_pem(
        mut self,
        chain: impl AsRef<[u8]>,
        key: impl AsRef<[u8]>,
    ) -> Result<Self> {
        let (chain, key) = (Source::bytes(chain), Source::bytes(key));
        self.identity = Some(check_identity(Identity { chain, key })?);
        Ok(self.changed())
    }

    /// The name, or IP address, that the server's certificate must be valid for, and that is asked
    /// for (SNI; RFC 6066, 3). Default: the host of the URL.
    pub fn server_name(mut self, name: &str) -> Result<Self> {
        check_name(name)?;
        self.server_name = Some(name.to_owned());
        Ok(self)
    }

    /// The oldest version of TLS that is spoken. Default: [`TlsVersion::Tls12`].
    pub fn min_version(mut self, version: TlsVersion) -> Self {
        self.min_version = version;
        self.changed()
    }

    /// Accepts only a server whose own certificate has this key, besides all else that is
    /// checked: the SHA-256 of its SubjectPublicKeyInfo in base64, perhaps after `sha256//`, as
    /// curl has it. May be called again for others, one of which must be met.
    ///
    /// `openssl x509 -in cert.pem -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst
    /// -sha256 -binary | openssl base64` tells it; so does the error for a wrong one.
    pub fn pin(mut self, pin: &str) -> Result<Self> {
        let base64 = pin.strip_prefix("sha256//").unwrap_or(pin);
        let decoded = data_encoding::BASE64.decode(base64.as_bytes());
        let Some(hash) = decoded.ok().and_then(|hash| hash.try_into().ok()) else {
            let reason = format!("pin {pin:?}: it must be a SHA-256 in base64, of 44 characters");
            return Err(Error::InvalidArgument(reason.into()));
        };
        self.pins.push(hash);
        Ok(self.changed())
    }

    /// Accepts any certificate of the server, whoever made it and whatever its name and date: then
    /// anybody on the way can read and change everything. For tests; or with a
    /// [`pin`](Self::pin), which is still checked, for a server with a certificate of its own
    /// making. Default: no.
    pub fn danger_accept_any_certificate(mut self, accepted: bool) -> Self {
        self.accepts_any = accepted;
        self.changed()
    }

    /// What holds for another server too, to which a redirect leads: whom to trust, and not who this
    /// end is, nor by what name the first server is known.
    pub(crate) fn for_another_origin(&self) -> Self {
        let other = ClientTls {
            identity: None,
            server_name: None,
            ..self.clone()
        };
        match self.identity {
            Some(_) => other.changed(),
            None => other,
        }
    }

    /// What was built of other choices does not fit these.
    #[cfg_attr(not(feature = "tls"), allow(unused_mut))]
    fn changed(mut self) -> Self {
        #[cfg(feature = "tls")]
        {
            self.built = built::Built::anew();
        }
        self
    }
}

#[cfg(feature = "tls")]
pub(super) use checks::{check_cas, check_identity, check_revocations};

#[cfg(feature = "tls")]
use checks::check_name;

#[cfg(feature = "tls")]
mod checks {
    use rustls::pki_types::ServerName;

    use super::super::trust::{provider, revocations, roots};
    use super::{Error, Identity, Result, Source};

    pub fn check_cas(source: Source) -> Result<Source> {
        roots(std::slice::from_ref(&source), false)?;
        Ok(source)
    }

    pub fn check_revocations(source: Source) -> Result<Source> {
        revocations(std::slice::from_ref(&source))?;
        Ok(source)
    }

    pub fn check_identity(identity: Identity) -> Result<Identity> {
        identity.certified_key(&provider())?;
        Ok(identity)
    }

    pub fn check_name(name: &str) -> Result<()> {
        if ServerName::try_from(name).is_ok() {
            return Ok(());
        }
        let reason = format!("server name {name:?}: it must be a DNS name or an IP address");
        Err(Error::InvalidArgument(reason.into()))
    }
}

#[cfg(not(feature = "tls"))]
pub(super) use refusals::*;

#[cfg(not(feature = "tls"))]
mod refusals {
    use super::super::unsupported;
    use super::{Identity, Result, Source};

    pub fn check_cas(_: Source) -> Result<Source> {
        Err(unsupported("CA certificates"))
    }

    pub fn check_revocations(_: Source) -> Result<Source> {
        Err(unsupported("revocation lists"))
    }

    pub fn check_identity(_: Identity) -> Result<Identity> {
        Err(unsupported("a certificate"))
    }

    pub fn check_name(_: &str) -> Result<()> {
        Err(unsupported("a server name"))
    }
}

#[cfg(feature = "tls")]
mod built {
    use std::fmt;
    use std::sync::{Arc, OnceLock};

    use rustls::client::WebPkiServerVerifier;
    use rustls::pki_types::ServerName;
    use rustls::sign::SingleCertAndKey;
    use rustls::{ClientConfig, ProtocolVersion, SupportedProtocolVersion};

    use super::super::pins::Verifier;
    use super::super::trust::{provider, revocations, roots, unverifiable};
    use super::{ClientTls, TlsVersion};
    use crate::error::{Error, Result};

    /// What rustls makes of the choices: once, since reading the system's authorities takes
    /// long, and since sessions are resumed by those that share it.
    #[derive(Clone)]
    pub(super) struct Built(Arc<OnceLock<Arc<ClientConfig>>>);

    impl Built {
        pub fn anew() -> Self {
            Built(Arc::default())
        }
    }

    /// That of all defaults is shared by the whole process.
    impl Default for Built {
        fn default() -> Self {
            static SHARED: OnceLock<Built> = OnceLock::new();
            SHARED.get_or_init(Built::anew).clone()
        }
    }

    impl fmt::Debug for Built {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_tuple("Built")
                .field(&self.0.get().is_some())
                .finish()
        }
    }

    pub(in super::super) fn versions(oldest: TlsVersion) -> Vec<&'static SupportedProtocolVersion> {
        let is_allowed = |version: &&SupportedProtocolVersion| {
            oldest == TlsVersion::Tls12 || version.version == ProtocolVersion::TLSv1_3
        };
        let all = rustls::ALL_VERSIONS.iter().copied();
        all.filter(is_allowed).collect()
    }

    impl ClientTls {
        /// The name that the certificate of `host` must be valid for.
        pub(crate) fn name_for(&self, host: &str) -> Result<ServerName<'static>> {
            let name = self.server_name.as_deref().unwrap_or(host);
            ServerName::try_from(name.to_owned()).map_err(|_| {
                let reason = format!(
                    "TLS: {name:?} is not a name that a certificate can be valid for; set the \
                     server name"
                );
                Error::InvalidArgument(reason.into())
            })
        }

        pub(crate) fn config(&self) -> Result<Arc<ClientConfig>> {
            if let Some(config) = self.built.0.get() {
                return Ok(config.clone());
            }
            let config = self.build()?;
            // Two threads that built it at once share that of the first.
            Ok(self.built.0.get_or_init(|| config).clone())
        }

        fn build(&self) -> Result<Arc<ClientConfig>> {
            let provider = provider();
            let chain = if self.accepts_any {
                None
            } else {
                let with_system = self.system_cas.unwrap_or(self.cas.is_empty());
                let roots = roots(&self.cas, with_system)?;
                let verifier =
                    WebPkiServerVerifier::builder_with_provider(roots.into(), provider.clone())
                        .with_crls(revocations(&self.revocations)?)
                        .allow_unknown_revocation_status()
                        .enforce_revocation_expiration()
                        .build();
                Some(verifier.map_err(unverifiable)?)
            };
            let verifier = Verifier {
                chain,
                pins: self.pins.clone(),
                provider: provider.clone(),
            };
            let builder = ClientConfig::builder_with_provider(provider.clone())
                .with_protocol_versions(&versions(self.min_version))
                .map_err(|error| Error::InvalidArgument(format!("TLS: {error}").into()))?
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier));
            let mut config = match &self.identity {
                None => builder.with_no_client_auth(),
                Some(identity) => {
                    let key = identity.certified_key(&provider)?;
                    builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
                }
            };
            // WebSockets are upgraded from HTTP/1.1 (RFC 7301).
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            Ok(Arc::new(config))
        }
    }
}

#[cfg(feature = "tls")]
pub(super) use built::versions;
