//! Certificates, keys and revocation lists in PEM (RFC 7468), from files or from memory.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Where PEM comes from.
#[derive(Clone)]
pub(super) enum Source {
    /// Read again each time.
    File(PathBuf),
    Bytes(Vec<u8>),
}

impl Source {
    pub fn bytes(pem: impl AsRef<[u8]>) -> Self {
        Source::Bytes(pem.as_ref().to_vec())
    }

    pub fn file(path: impl AsRef<Path>) -> Self {
        Source::File(path.as_ref().to_owned())
    }

    /// What stands there now; `what` is what it should be, for errors.
    pub fn read(&self, what: &str) -> Result<Vec<u8>> {
        match self {
            Source::Bytes(pem) => Ok(pem.clone()),
            Source::File(path) => std::fs::read(path)
                .map_err(|error| Error::io(format!("read {what} in {path:?}"), error)),
        }
    }

    #[cfg(feature = "tls")]
    fn invalid(&self, what: &str, reason: impl fmt::Display) -> Error {
        let reason = match self {
            Source::File(path) => format!("{what} in {path:?}: {reason}"),
            Source::Bytes(_) => format!("{what}: {reason}"),
        };
        Error::InvalidArgument(reason.into())
    }
}

/// Shows no bytes, which may be those of a key.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(path) => path.fmt(f),
            Source::Bytes(pem) => write!(f, "{} bytes", pem.len()),
        }
    }
}

/// A chain of certificates, its own first, and the private key that belongs to it.
#[derive(Debug, Clone)]
#[cfg_attr(not(feature = "tls"), allow(dead_code))]
pub(super) struct Identity {
    pub chain: Source,
    pub key: Source,
}

#[cfg(feature = "tls")]
mod parsed {
    use std::sync::Arc;

    use rustls::crypto::CryptoProvider;
    use rustls::pki_types::pem::{Error as PemError, PemObject};
    use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
    use rustls::sign::CertifiedKey;

    use super::{Identity, Source};
    use crate::error::Result;

    impl Source {
        /// All certificates, at least one.
        pub fn certificates(&self, what: &str) -> Result<Vec<CertificateDer<'static>>> {
            self.items(what, "BEGIN CERTIFICATE")
        }

        /// All revocation lists, at least one.
        pub fn revocations(
            &self,
            what: &str,
        ) -> Result<Vec<CertificateRevocationListDer<'static>>> {
            self.items(what, "BEGIN X509 CRL")
        }

        fn items<T: PemObject>(&self, what: &str, begin: &str) -> Result<Vec<T>> {
            let pem = self.read(what)?;
            let items: Result<Vec<T>, PemError> = T::pem_slice_iter(&pem).collect();
            let items = items.map_err(|error| self.invalid(what, error))?;
            if items.is_empty() {
                let reason = format!("there is none in it; PEM has a line \"-----{begin}-----\"");
                return Err(self.invalid(what, reason));
            }
            Ok(items)
        }

        fn key(&self, what: &str) -> Result<PrivateKeyDer<'static>> {
            let pem = self.read(what)?;
            PrivateKeyDer::from_pem_slice(&pem).map_err(|error| match error {
                PemError::NoItemsFound if contains(&pem, b"ENCRYPTED PRIVATE KEY") => {
                    let reason =
                        "it is encrypted; give it decrypted (openssl pkey -in ... -out ...)";
                    self.invalid(what, reason)
                }
                PemError::NoItemsFound => {
                    let reason =
                        "there is none in it; PEM has a line \"-----BEGIN PRIVATE KEY-----\"";
                    self.invalid(what, reason)
                }
                error => self.invalid(what, error),
            })
        }
    }

    impl Identity {
        /// Reads both, and checks that they belong together.
        pub fn certified_key(&self, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>> {
            let chain = self.chain.certificates("the certificate chain")?;
            let what = "the private key";
            let key = self.key.key(what)?;
            let certified = CertifiedKey::from_der(chain, key, provider);
            certified.map(Arc::new).map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => {
                    let reason = "it does not belong to the first certificate of the chain";
                    self.key.invalid(what, reason)
                }
                error => self.key.invalid(what, error),
            })
        }
    }

    fn contains(bytes: &[u8], what: &[u8]) -> bool {
        bytes.windows(what.len()).any(|window| window == what)
    }
}
