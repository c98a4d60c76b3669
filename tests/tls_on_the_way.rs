//! TLS on the way to a server: proxies that are reached by it, tunnels through which it goes, and
//! redirects.
#![cfg(feature = "tls")]

#[path = "support/http_peer.rs"]
mod http_peer;
mod support;

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use http_peer::Head;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use support::bounded;
use support::certificates::{Authority, Identity};
use talkws::{ClientAuth, ClientTls, Connection, DialOptions, Error, ListenOptions, ServerTls};

type Session<S> = StreamOwned<ServerConnection, S>;

/// A TLS session of a server over any stream.
fn session<S: Read + Write>(stream: S, identity: &Identity) -> Session<S> {
    let chain = CertificateDer::pem_slice_iter(identity.chain.as_bytes());
    let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), stream)
}

/// Reads a head, and no byte more.
fn read_head(stream: impl Read) -> Head {
    Head::read(&mut BufReader::with_capacity(1, stream))
}

/// A proxy of one client that is reached by TLS. It opens the tunnel, and is the server itself then.
fn proxy(
    identity: Identity,
    serve: impl FnOnce(Session<TcpStream>) + Send + 'static,
) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let playing = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut session = session(stream, &identity);
        let asked = read_head(&mut session);
        assert_eq!(asked.line, "CONNECT target.invalid:443 HTTP/1.1");
        assert_eq!(
            asked.header("Proxy-Authorization"),
            Some("Basic dXNlcjpwdw==")
        );
        session.write_all(b"HTTP/1.1 200 Yes\r\n\r\n").unwrap();
        serve(session);
    });
    (address, playing)
}

/// Is the server behind the tunnel, and says hello.
fn serve(mut stream: impl Read + Write) {
    let asked = read_head(&mut stream);
    assert_eq!(asked.header("Proxy-Authorization"), None);
    stream.write_all(&asked.upgrade(&[])).unwrap();
    stream.write_all(b"\x81\x05hello").unwrap();
    stream.flush().unwrap();
    // Until the client has gone.
    let _ = stream.read(&mut [0; 64]);
}

fn trusting(authority: &Authority) -> ClientTls {
    ClientTls::new().ca_pem(authority.pem()).unwrap()
}

fn says_hello(ws: &Connection) {
    assert_eq!(ws.read().unwrap().as_text(), Some("hello"));
}

fn through(address: SocketAddr) -> DialOptions {
    let url = format!("https://user:pw@{address}");
    DialOptions::new().proxy(&url).unwrap()
}

#[test]
fn a_proxy_may_be_reached_by_tls() {
    bounded(|| {
        let authority = Authority::new();
        let (address, playing) = proxy(authority.issue(&["127.0.0.1"]), serve);
        let options = through(address).proxy_tls(trusting(&authority));
        says_hello(&options.dial("ws://target.invalid:443/").unwrap());
        playing.join().unwrap();
    });
}

#[test]
fn a_server_may_speak_tls_inside_that_of_the_proxy() {
    bounded(|| {
        let (proxys, servers) = (Authority::new(), Authority::new());
        let inner = servers.issue(&["target.invalid"]);
        let (address, playing) = proxy(proxys.issue(&["127.0.0.1"]), move |outer| {
            serve(session(outer, &inner));
        });
        let options = through(address)
            .proxy_tls(trusting(&proxys))
            .tls(trusting(&servers));
        says_hello(&options.dial("wss://target.invalid/").unwrap());
        playing.join().unwrap();
    });
}

#[test]
fn trust_in_the_server_is_no_trust_in_the_proxy() {
    bounded(|| {
        let authority = Authority::new();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let options = through(listener.local_addr().unwrap()).tls(trusting(&authority));
        let identity = authority.issue(&["127.0.0.1"]);
        let playing = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            session(stream, &identity).read(&mut [0]).unwrap_err();
        });
        let error = options.dial("ws://target.invalid:443/").unwrap_err();
        assert!(matches!(error, Error::Tls { .. }), "{error:?}");
        assert!(
            error.to_string().contains("through proxy https://"),
            "{error}"
        );
        playing.join().unwrap();
    });
}

#[test]
fn a_certificate_of_the_client_is_for_the_first_origin() {
    bounded(|| {
        let authority = Authority::new();
        let server = |auth: Option<ClientAuth>| {
            let identity = authority.issue(&["localhost"]);
            let mut tls = ServerTls::new()
                .certificate_pem(&identity.chain, &identity.key)
                .unwrap();
            if let Some(auth) = auth {
                tls = tls
                    .client_auth(auth)
                    .client_ca_pem(authority.pem())
                    .unwrap();
            }
            ListenOptions::new()
                .tls(tls)
                .listen("wss://localhost:0")
                .unwrap()
        };
        let (first, second) = (
            server(Some(ClientAuth::Required)),
            server(Some(ClientAuth::Optional)),
        );
        let mine = authority.issue(&["me"]);
        let tls = trusting(&authority)
            .certificate_pem(&mine.chain, &mine.key)
            .unwrap();
        let (url, next) = (first.url().to_owned(), second.url().to_owned());
        let client = thread::spawn(move || DialOptions::new().tls(tls).dial(&url));
        let asked = first.accept().unwrap();
        assert_eq!(asked.tls().unwrap().peer_certificates.len(), 1);
        let location = talkws::RefuseOptions::new()
            .header("Location", next)
            .unwrap();
        asked.refuse_with(307, "", location).unwrap();
        let driver = first.clone();
        let driver = thread::spawn(move || driver.accept().map(drop));
        let asked = second.accept().unwrap();
        assert!(asked.tls().unwrap().peer_certificates.is_empty());
        asked.upgrade(talkws::UpgradeOptions::new()).unwrap();
        client.join().unwrap().unwrap();
        first.close();
        assert!(driver.join().unwrap().is_err());
    });
}

#[test]
fn the_proxy_protocol_comes_before_tls() {
    bounded(|| {
        let authority = Authority::new();
        let identity = authority.issue(&["localhost"]);
        let tls = ServerTls::new()
            .certificate_pem(&identity.chain, &identity.key)
            .unwrap();
        let listener = ListenOptions::new()
            .tls(tls)
            .trust_proxy("127.0.0.1", talkws::Forwarding::ProxyProtocol)
            .unwrap()
            .listen("wss://127.0.0.1:0")
            .unwrap();
        let mut stream = TcpStream::connect(listener.local_addr()).unwrap();
        let header = b"PROXY TCP4 192.0.2.1 127.0.0.1 4660 443\r\n";
        stream.write_all(header).unwrap();
        let options = DialOptions::new().tls(trusting(&authority));
        let client = thread::spawn(move || {
            options.dial_on(stream, "wss://localhost/", talkws::Deadline::NEVER)
        });
        let request = listener.accept().unwrap();
        assert_eq!(request.peer_addr(), Some("192.0.2.1:4660".parse().unwrap()));
        request.upgrade(talkws::UpgradeOptions::new()).unwrap();
        client.join().unwrap().unwrap();
    });
}

#[test]
fn a_unix_socket_may_speak_tls() {
    bounded(|| {
        let authority = Authority::new();
        let identity = authority.issue(&["localhost"]);
        let tls = ServerTls::new()
            .certificate_pem(&identity.chain, &identity.key)
            .unwrap();
        let path = std::env::temp_dir().join(format!("talkws-tls-{}", std::process::id()));
        let url = format!("wss+unix:{}:/chat", path.display());
        let listener = ListenOptions::new().tls(tls).listen(&url).unwrap();
        assert_eq!(listener.url(), url);
        let options = DialOptions::new().tls(trusting(&authority));
        let client = thread::spawn(move || options.dial(&url));
        let request = listener.accept().unwrap();
        request.upgrade(talkws::UpgradeOptions::new()).unwrap();
        client.join().unwrap().unwrap();
    });
}
