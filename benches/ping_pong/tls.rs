//! The same over TLS: rustls alone, as its users use it, and talkws over wss.

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
};
use talkws::{ClientTls, DialOptions, ListenOptions, MessageKind, ServerTls};

use super::{Peer, Talkws, tcp_pair};

/// A certificate for 127.0.0.1, which vouches for itself, and its key.
fn identity() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

pub struct RawTls {
    stream: StreamOwned<ClientConnection, TcpStream>,
    answer: Vec<u8>,
}

impl RawTls {
    pub fn start(size: usize) -> Self {
        let (chain, key) = identity();
        let certificate = CertificateDer::from_pem_slice(chain.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let client = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let server = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let client = ClientConnection::new(Arc::new(client), name).unwrap();
        let server = ServerConnection::new(Arc::new(server)).unwrap();
        let (at_client, at_server) = tcp_pair();
        let mut server = StreamOwned::new(server, at_server);
        thread::spawn(move || {
            let mut message = vec![0; size];
            while server
                .read_exact(&mut message)
                .and_then(|()| server.write_all(&message))
                .and_then(|()| server.flush())
                .is_ok()
            {}
        });
        RawTls {
            stream: StreamOwned::new(client, at_client),
            answer: vec![0; size],
        }
    }
}

impl Peer for RawTls {
    fn name(&self) -> &'static str {
        "raw rustls"
    }

    fn round_trip(&mut self, _: MessageKind, payload: &str) {
        self.stream.write_all(payload.as_bytes()).unwrap();
        self.stream.flush().unwrap();
        self.stream.read_exact(&mut self.answer).unwrap();
        black_box(&self.answer);
    }
}

/// An echo over wss.
pub fn talkws() -> Talkws {
    let (chain, key) = identity();
    let server = ServerTls::new().certificate_pem(&chain, key).unwrap();
    let listener = ListenOptions::new()
        .deflate(None)
        .tls(server)
        .listen("wss://127.0.0.1:0")
        .unwrap();
    let client = ClientTls::new().ca_pem(chain).unwrap();
    Talkws::echo("talkws, wss", &listener, &DialOptions::new().tls(client))
}
