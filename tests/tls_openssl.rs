//! OpenSSL at the other end: s_server with good and bad certificates, s_client with TLS 1.2 and
//! 1.3. Needs `openssl`, and says so without it.
#![cfg(feature = "tls")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;

use rcgen::date_time_ymd;
use support::bounded;
use support::certificates::{Authority, Identity};
use talkws::{
    ClientTls, CloseCode, Connection, DialOptions, Error, ListenOptions, ServerTls, TlsVersion,
    UpgradeOptions,
};

fn openssl() -> Option<Command> {
    let found = Command::new("openssl").arg("version").output();
    if found.is_err() {
        println!("SKIP: openssl is not there (Debian, Ubuntu: apt install openssl)");
        return None;
    }
    Some(Command::new("openssl"))
}

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("talkws-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Starts `openssl s_server -www`, which answers every request with 200 and a page; gives its URL.
fn s_server(folder: &Folder, identity: &Identity, more: &[&str]) -> Option<(Running, String)> {
    // Each of a chain but the first goes into a file of its own kind.
    let certificate = folder.write("server.pem", &identity.chain);
    let key = folder.write("server.key", &identity.key);
    let mut child = openssl()?
        .args(["s_server", "-www", "-accept", "127.0.0.1:0", "-cert_chain"])
        .arg(&certificate)
        .arg("-cert")
        .arg(&certificate)
        .arg("-key")
        .arg(&key)
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let port = lines
        .find_map(|line| Some(line.unwrap().strip_prefix("ACCEPT ")?.to_owned()))
        .unwrap();
    thread::spawn(move || lines.for_each(drop));
    let port = port.rsplit(':').next().unwrap();
    Some((Running(child), format!("wss://127.0.0.1:{port}/")))
}

fn dial(tls: ClientTls, url: &str) -> Result<Connection, Error> {
    DialOptions::new().tls(tls).dial(url)
}

#[test]
fn the_certificates_of_s_server_are_judged() {
    bounded(|| {
        let folder = Folder::new("s-server");
        let ca = Authority::new();
        let below = ca.intermediate(5);
        let trusting = || ClientTls::new().ca_pem(ca.pem()).unwrap();
        let good = below.issue(&["127.0.0.1"]);
        let expired = ca.issue_with(&["127.0.0.1"], |params| {
            params.not_before = date_time_ymd(2023, 1, 1);
            params.not_after = date_time_ymd(2024, 1, 1);
        });
        let wrong_host = ca.issue(&["example.org"]);
        let revoking = trusting().crl_pem(ca.revoke(below.serial())).unwrap();
        let alone = Authority::self_signed(&["127.0.0.1"]);
        let trusting_it = ClientTls::new().ca_pem(&alone.chain).unwrap();
        for (identity, tls, says) in [
            (&alone, trusting(), "nobody who is trusted"),
            (&expired, trusting(), "expired on 2024-01-01"),
            (
                &wrong_host,
                trusting(),
                "not valid for \"127.0.0.1\", but for example.org",
            ),
            (
                &good,
                ClientTls::new().ca_pem(Authority::new().pem()).unwrap(),
                "nobody who is trusted",
            ),
            (&good, revoking, "is revoked"),
        ] {
            let Some((_server, url)) = s_server(&folder, identity, &[]) else {
                return;
            };
            match dial(tls, &url).unwrap_err() {
                Error::Tls { reason, .. } => assert!(reason.contains(says), "{reason}"),
                error => panic!("{says}: {error}"),
            }
        }
        // A page is no upgrade, but the session was made. One may trust a certificate itself.
        let (server, url) = s_server(&folder, &alone, &[]).unwrap();
        assert_eq!(
            dial(trusting_it, &url).unwrap_err().http_status(),
            Some(200)
        );
        drop(server);
        // With each version: the page comes, which is no upgrade.
        for version in ["-tls1_2", "-tls1_3"] {
            let (_server, url) = s_server(&folder, &good, &[version]).unwrap();
            match dial(trusting(), &url).unwrap_err() {
                Error::Refused(refusal) => assert_eq!(refusal.status(), 200),
                error => panic!("{version}: {error}"),
            }
        }
        let (_server, url) = s_server(&folder, &good, &["-tls1_2"]).unwrap();
        let error = dial(trusting().min_version(TlsVersion::Tls13), &url).unwrap_err();
        assert!(error.to_string().contains("no TLS version"), "{error}");
    });
}

#[test]
fn s_client_is_served_with_each_version() {
    bounded(|| {
        let folder = Folder::new("s-client");
        let ca = Authority::new();
        let ca_file = folder.write("ca.pem", &ca.pem());
        let identity = ca.intermediate(5).issue(&["server.example"]);
        let tls = ServerTls::new()
            .certificate_pem(&identity.chain, &identity.key)
            .unwrap();
        let listener = ListenOptions::new()
            .tls(tls)
            .listen("wss://127.0.0.1:0")
            .unwrap();
        for (flag, version) in [
            ("-tls1_2", TlsVersion::Tls12),
            ("-tls1_3", TlsVersion::Tls13),
        ] {
            let Some(mut command) = openssl() else {
                return;
            };
            let mut client = command
                .args(["s_client", "-quiet", "-verify_return_error", flag])
                .args(["-alpn", "http/1.1", "-servername", "server.example"])
                .args(["-verify_hostname", "server.example", "-CAfile"])
                .arg(&ca_file)
                .arg("-connect")
                .arg(listener.local_addr().to_string())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .map(Running)
                .unwrap();
            let mut stdin = client.0.stdin.take().unwrap();
            let mut stdout = client.0.stdout.take().unwrap();
            stdin.write_all(support::raw_peer::REQUEST).unwrap();
            let request = listener.accept().unwrap();
            assert_eq!(request.tls().unwrap().version, version);
            let ws = request.upgrade(UpgradeOptions::new()).unwrap();
            // "hi", masked with zeros.
            stdin
                .write_all(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i'])
                .unwrap();
            assert_eq!(ws.read().unwrap().as_text(), Some("hi"));
            ws.write_text("hello, OpenSSL").unwrap();
            // Close 1000, masked with zeros.
            stdin
                .write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8])
                .unwrap();
            match ws.read().unwrap_err() {
                Error::Closed(info) => assert_eq!(info.code, CloseCode::Normal),
                error => panic!("{error}"),
            }
            let mut received = Vec::new();
            stdout.read_to_end(&mut received).unwrap();
            let frames = b"\x81\x0Ehello, OpenSSL\x88\x02\x03\xE8";
            assert!(received.ends_with(frames), "{received:?}");
        }
    });
}
