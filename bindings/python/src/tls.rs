//! How to speak TLS, and what was agreed upon.

use std::path::PathBuf;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use talkws::{ClientAuth, ClientTls, ServerTls, TlsInfo, TlsVersion};

use crate::arguments;
use crate::error::to_python;

/// The argument ``minimum_version``.
fn version(name: &str) -> PyResult<TlsVersion> {
    match name {
        "TLSv1.2" => Ok(TlsVersion::Tls12),
        "TLSv1.3" => Ok(TlsVersion::Tls13),
        _ => Err(PyValueError::new_err(format!(
            "minimum_version={name:?}: expected 'TLSv1.2' or 'TLSv1.3'"
        ))),
    }
}

/// How a client speaks TLS: what :func:`talkws.connect` takes as ``ssl``.
///
/// By default the certificate authorities of the system are trusted, no certificate is shown, and
/// TLS 1.2 or 1.3 is spoken. Files are in PEM, and are read now. Connections that are made with
/// the same object resume each other's sessions.
///
/// Args:
///     ca_file: Certificate authorities to trust, instead of those of the system.
///     ca_data: The same, as ``bytes``.
///     system_cas: Whether those of the system are trusted; unless given, when no others are.
///     crl_file: Revocation lists. Certificates of authorities without a list pass; a list that is
///         out of date fails.
///     certificate: The files of a certificate chain and of its private key, not encrypted, to
///         show to a server that asks.
///     minimum_version: ``"TLSv1.2"`` or ``"TLSv1.3"``.
///     pins: Keys, one of which the server's own certificate must have: each the SHA-256 of the
///         SubjectPublicKeyInfo in base64. The error for a wrong one tells the right one.
///     danger_accept_any_certificate: Accept whatever the server shows: then anybody on the way
///         can read and change everything. Pins are checked all the same.
#[pyclass(module = "talkws", frozen, name = "ClientTLS")]
pub struct ClientTLS(pub ClientTls);

#[pymethods]
impl ClientTLS {
    #[new]
    #[pyo3(signature = (
        *,
        ca_file = None,
        ca_data = None,
        system_cas = None,
        crl_file = None,
        certificate = None,
        minimum_version = "TLSv1.2",
        pins = None,
        danger_accept_any_certificate = false,
    ))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        ca_file: Option<PathBuf>,
        ca_data: Option<&[u8]>,
        system_cas: Option<bool>,
        crl_file: Option<PathBuf>,
        certificate: Option<(PathBuf, PathBuf)>,
        minimum_version: &str,
        pins: Option<&Bound<'_, PyAny>>,
        danger_accept_any_certificate: bool,
    ) -> PyResult<Self> {
        let raised = |error| to_python(py, &error);
        let oldest = version(minimum_version)?;
        // What is not chosen is not touched: the defaults share the authorities of the system.
        let mut tls = ClientTls::new();
        if oldest != TlsVersion::default() {
            tls = tls.min_version(oldest);
        }
        if danger_accept_any_certificate {
            tls = tls.danger_accept_any_certificate(true);
        }
        if let Some(trusted) = system_cas {
            tls = tls.system_cas(trusted);
        }
        if let Some(path) = ca_file {
            tls = tls.ca_file(path).map_err(raised)?;
        }
        if let Some(pem) = ca_data {
            tls = tls.ca_pem(pem).map_err(raised)?;
        }
        if let Some(path) = crl_file {
            tls = tls.crl_file(path).map_err(raised)?;
        }
        if let Some((chain, key)) = certificate {
            tls = tls.certificate_files(chain, key).map_err(raised)?;
        }
        for pin in arguments::strings("pins", pins)? {
            tls = tls.pin(&pin).map_err(raised)?;
        }
        Ok(ClientTLS(tls))
    }
}

/// How a server speaks TLS: what :func:`talkws.serve` and :func:`talkws.listen` take as ``ssl``.
///
/// Files are in PEM. They are read now, when the server starts, and when it reloads.
///
/// Args:
///     certificates: The files of a certificate chain and of its private key, not encrypted; or a
///         sequence of such pairs. A client gets the first that is valid for the name it asks for,
///         or else the first of all.
///     client_auth: Whether clients are asked for certificates: ``"none"``, ``"optional"`` or
///         ``"required"``.
///     client_ca_file: Who must have made them.
///     crl_file: Revocation lists for them.
///     minimum_version: ``"TLSv1.2"`` or ``"TLSv1.3"``.
#[pyclass(module = "talkws", frozen, name = "ServerTLS")]
pub struct ServerTLS(pub ServerTls);

/// The argument ``certificates``.
#[derive(FromPyObject)]
enum Certificates {
    #[pyo3(transparent)]
    One((PathBuf, PathBuf)),
    #[pyo3(transparent)]
    Several(Vec<(PathBuf, PathBuf)>),
}

#[pymethods]
impl ServerTLS {
    #[new]
    #[pyo3(signature = (
        certificates,
        *,
        client_auth = "none",
        client_ca_file = None,
        crl_file = None,
        minimum_version = "TLSv1.2",
    ))]
    fn new(
        py: Python<'_>,
        certificates: Certificates,
        client_auth: &str,
        client_ca_file: Option<PathBuf>,
        crl_file: Option<PathBuf>,
        minimum_version: &str,
    ) -> PyResult<Self> {
        let raised = |error| to_python(py, &error);
        let auth = match client_auth {
            "none" => ClientAuth::None,
            "optional" => ClientAuth::Optional,
            "required" => ClientAuth::Required,
            _ => {
                return Err(PyValueError::new_err(format!(
                    "client_auth={client_auth:?}: expected 'none', 'optional' or 'required'"
                )));
            }
        };
        let mut tls = ServerTls::new()
            .min_version(version(minimum_version)?)
            .client_auth(auth);
        let certificates = match certificates {
            Certificates::One(one) => vec![one],
            Certificates::Several(several) => several,
        };
        for (chain, key) in certificates {
            tls = tls.certificate_files(chain, key).map_err(raised)?;
        }
        if let Some(path) = client_ca_file {
            tls = tls.client_ca_file(path).map_err(raised)?;
        }
        if let Some(path) = crl_file {
            tls = tls.crl_file(path).map_err(raised)?;
        }
        Ok(ServerTLS(tls))
    }
}

/// A :class:`talkws.TLSInfo`, or ``None``.
pub fn info<'py>(py: Python<'py>, info: Option<TlsInfo>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Some(info) = info else {
        return Ok(None);
    };
    let version = match info.version {
        TlsVersion::Tls12 => "TLSv1.2",
        _ => "TLSv1.3",
    };
    let certificates: Vec<_> = info
        .peer_certificates
        .iter()
        .map(|certificate| PyBytes::new(py, certificate))
        .collect();
    let certificates = PyTuple::new(py, certificates)?;
    let class = py.import("talkws.tls")?.getattr("TLSInfo")?;
    let made = class.call1((version, info.cipher, info.is_resumed, certificates))?;
    Ok(Some(made))
}
