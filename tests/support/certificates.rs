//! Certificates that the tests make for themselves.

use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, IsCa,
    KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber, date_time_ymd,
};

/// A certificate chain and its key, in PEM.
pub struct Identity {
    pub chain: String,
    pub key: String,
    pub serial: u64,
}

/// A certificate authority.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    serial: u64,
    above: String,
}

fn ca(name: &str, serial: u64) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from(serial));
    params
}

impl Authority {
    pub fn new() -> Self {
        // Two of one name would be taken for one.
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("root {} of a test", COUNT.fetch_add(1, Ordering::Relaxed));
        let key = KeyPair::generate().unwrap();
        Authority {
            issuer: CertifiedIssuer::self_signed(ca(&name, 1), key).unwrap(),
            serial: 1,
            above: String::new(),
        }
    }

    /// An authority below this one.
    pub fn intermediate(&self, serial: u64) -> Self {
        let key = KeyPair::generate().unwrap();
        let issuer =
            CertifiedIssuer::signed_by(ca("below the root", serial), key, &self.issuer).unwrap();
        Authority {
            above: issuer.pem(),
            issuer,
            serial,
        }
    }

    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// A certificate that no authority has made.
    pub fn self_signed(names: &[&str]) -> Identity {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().self_signed(&key);
        Identity {
            chain: certificate.unwrap().pem(),
            key: key.serialize_pem(),
            serial: 0,
        }
    }

    /// A good certificate for these names.
    pub fn issue(&self, names: &[&str]) -> Identity {
        self.issue_with(names, |_| {})
    }

    pub fn issue_with(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        let serial = 77;
        params.serial_number = Some(SerialNumber::from(serial));
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity {
            chain: certificate.pem() + &self.above,
            key: key.serialize_pem(),
            serial,
        }
    }

    /// A list that revokes the certificate with this number.
    pub fn revoke(&self, serial: u64) -> String {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}
