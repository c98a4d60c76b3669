//! wss: whom a client trusts, which certificate a server shows, and what the two agree upon.
#![cfg(feature = "tls")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use rcgen::date_time_ymd;
use support::bounded;
use support::certificates::{Authority, Identity};
use talkws::{
    ClientAuth, ClientTls, CloseCode, Connection, DialOptions, Error, ListenOptions, Listener,
    Message, Result, ServerTls, TlsInfo, TlsVersion, UpgradeOptions,
};

fn server_tls(identity: &Identity) -> ServerTls {
    ServerTls::new()
        .certificate_pem(&identity.chain, &identity.key)
        .unwrap()
}

fn listen(tls: ServerTls) -> Listener {
    ListenOptions::new()
        .tls(tls)
        .listen("wss://127.0.0.1:0")
        .unwrap()
}

/// Serves whoever comes, until the listener is closed: sends back each message, and gives what was
/// agreed upon with each client.
fn serve(listener: &Listener) -> thread::JoinHandle<Vec<TlsInfo>> {
    let listener = listener.clone();
    thread::spawn(move || {
        let mut agreed = Vec::new();
        while let Ok(request) = listener.accept() {
            agreed.push(request.tls().unwrap());
            let ws = request.upgrade(UpgradeOptions::new()).unwrap();
            while let Ok(message) = ws.read() {
                ws.write(&message).unwrap();
            }
        }
        agreed
    })
}

fn trusting(ca: &Authority) -> ClientTls {
    ClientTls::new().ca_pem(ca.pem()).unwrap()
}

fn dial(tls: &ClientTls, url: &str) -> Result<Connection> {
    DialOptions::new().tls(tls.clone()).dial(url)
}

/// Has a word echoed, and closes.
fn exchange(ws: &Connection) {
    ws.write_text("hello over TLS").unwrap();
    assert_eq!(ws.read().unwrap(), Message::text("hello over TLS"));
    ws.close(CloseCode::Normal, "").unwrap();
}

/// Why a client with this TLS does not get through to a server with that.
fn reason(client: ClientTls, server: ServerTls) -> String {
    let listener = listen(server);
    let serving = serve(&listener);
    let error = dial(&client, listener.url()).unwrap_err();
    listener.close();
    serving.join().unwrap();
    assert_eq!(error.status(), -22, "{error:?}");
    let text = error.to_string();
    assert!(text.starts_with("dial wss://127.0.0.1:"), "{text}");
    text
}

#[test]
fn messages_of_all_sizes_go_both_ways() {
    bounded(|| {
        let ca = Authority::new();
        let listener = listen(server_tls(&ca.issue(&["127.0.0.1"])));
        assert!(listener.url().starts_with("wss://127.0.0.1:"));
        let serving = serve(&listener);
        let ws = dial(&trusting(&ca), listener.url()).unwrap();
        for size in [
            0,
            1,
            125,
            4096,
            16_383,
            16_384,
            16_385,
            70_000,
            1 << 20,
            5 << 20,
        ] {
            let data: Vec<u8> = (0..size).map(|index: u32| (index / 7) as u8).collect();
            let echo = ws.clone();
            let sent = data.clone();
            let writer = thread::spawn(move || echo.write_binary(&sent).unwrap());
            assert!(ws.read().unwrap().as_bytes() == data, "{size}");
            writer.join().unwrap();
        }
        let agreed = ws.tls().unwrap();
        assert_eq!(agreed.version, TlsVersion::Tls13);
        assert!(agreed.cipher.starts_with("TLS13_"), "{}", agreed.cipher);
        assert_eq!(agreed.peer_certificates.len(), 1);
        ws.close(CloseCode::Normal, "").unwrap();
        listener.close();
        assert!(serving.join().unwrap()[0].peer_certificates.is_empty());
    });
}

#[test]
fn errors_name_what_is_wrong_with_a_certificate() {
    bounded(|| {
        let ca = Authority::new();
        let good = || server_tls(&ca.issue(&["127.0.0.1"]));
        let with = |change: fn(&mut rcgen::CertificateParams)| {
            server_tls(&ca.issue_with(&["127.0.0.1"], change))
        };
        let text = reason(trusting(&Authority::new()), good());
        assert!(text.contains("made by nobody who is trusted"), "{text}");
        let expired = with(|params| params.not_after = date_time_ymd(2024, 2, 29));
        let text = reason(trusting(&ca), expired);
        assert!(
            text.contains("expired on 2024-02-29 00:00:00 UTC"),
            "{text}"
        );
        let early = with(|params| params.not_before = date_time_ymd(2100, 3, 1));
        let text = reason(trusting(&ca), early);
        assert!(text.contains("not valid before 2100-03-01"), "{text}");
        let other = server_tls(&ca.issue(&["example.org", "www.example.org"]));
        let text = reason(trusting(&ca), other);
        let says = "not valid for \"127.0.0.1\", but for example.org, www.example.org;";
        assert!(text.contains(says), "{text}");
        let own = with(|params| {
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        });
        let text = reason(trusting(&ca), own);
        assert!(text.contains("CA:TRUE"), "{text}");
    });
}

#[test]
fn what_is_revoked_is_refused_also_above_the_server() {
    bounded(|| {
        let ca = Authority::new();
        let below = ca.intermediate(5);
        let identity = below.issue(&["127.0.0.1"]);
        let revoking_it = trusting(&ca)
            .crl_pem(below.revoke(identity.serial))
            .unwrap();
        let text = reason(revoking_it, server_tls(&identity));
        assert!(text.contains("is revoked"), "{text}");
        let revoking_above = trusting(&ca).crl_pem(ca.revoke(below.serial())).unwrap();
        let text = reason(revoking_above, server_tls(&identity));
        assert!(text.contains("is revoked"), "{text}");

        let listener = listen(server_tls(&identity));
        let serving = serve(&listener);
        let revoking_another = trusting(&ca).crl_pem(ca.revoke(6)).unwrap();
        exchange(&dial(&revoking_another, listener.url()).unwrap());
        listener.close();
        serving.join().unwrap();
    });
}

#[test]
fn a_name_other_than_the_host_may_be_asked_for() {
    bounded(|| {
        let ca = Authority::new();
        let identities = [ca.issue(&["one.example"]), ca.issue(&["*.two.example"])];
        let tls = server_tls(&identities[0])
            .certificate_pem(&identities[1].chain, &identities[1].key)
            .unwrap();
        let listener = listen(tls);
        let serving = serve(&listener);
        for (name, shown) in [("one.example", 0), ("b.two.example", 1)] {
            let tls = trusting(&ca).server_name(name).unwrap();
            let ws = dial(&tls, listener.url()).unwrap();
            let chain = ws.tls().unwrap().peer_certificates;
            let der = pem_of(&identities[shown].chain);
            assert_eq!(chain, [der], "{name}");
            exchange(&ws);
        }
        // Whoever asks for another name gets the first.
        let tls = trusting(&ca).server_name("three.example").unwrap();
        let text = dial(&tls, listener.url()).unwrap_err().to_string();
        assert!(text.contains("but for one.example"), "{text}");
        listener.close();
        serving.join().unwrap();
    });
}

fn pem_of(chain: &str) -> Vec<u8> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    CertificateDer::from_pem_slice(chain.as_bytes())
        .unwrap()
        .to_vec()
}

#[test]
fn a_pin_holds_also_for_a_certificate_that_nobody_vouches_for() {
    bounded(|| {
        let ca = Authority::new();
        let identity = ca.issue(&["127.0.0.1"]);
        let zeros = "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let any = || ClientTls::new().danger_accept_any_certificate(true);
        let text = reason(any().pin(zeros).unwrap(), server_tls(&identity));
        let seen = text.split("it is ").nth(1).unwrap();
        assert!(seen.starts_with("sha256//"), "{text}");
        let text = reason(trusting(&ca).pin(zeros).unwrap(), server_tls(&identity));
        assert!(text.contains(seen), "{text}");

        let listener = listen(server_tls(&identity));
        let serving = serve(&listener);
        for tls in [any(), any().pin(zeros).unwrap().pin(seen).unwrap()] {
            exchange(&dial(&tls, listener.url()).unwrap());
        }
        exchange(&dial(&trusting(&ca).pin(seen).unwrap(), listener.url()).unwrap());
        listener.close();
        serving.join().unwrap();
        assert!(ClientTls::new().pin("sha256//abc").is_err());
    });
}

#[test]
fn a_client_shows_its_certificate_and_a_server_sees_it() {
    bounded(|| {
        let ca = Authority::new();
        let clients = Authority::new();
        let asking = |auth| {
            server_tls(&ca.issue(&["127.0.0.1"]))
                .client_auth(auth)
                .client_ca_pem(clients.pem())
                .unwrap()
        };
        let me = clients.issue(&["client.example"]);
        let showing = |me: &Identity| trusting(&ca).certificate_pem(&me.chain, &me.key).unwrap();

        let text = reason(trusting(&ca), asking(ClientAuth::Required));
        assert!(text.contains("wants a client certificate"), "{text}");
        let stranger = Authority::new().issue(&["client.example"]);
        let text = reason(showing(&stranger), asking(ClientAuth::Required));
        assert!(text.contains("does not accept our certificate"), "{text}");
        let revoking = asking(ClientAuth::Required)
            .crl_pem(clients.revoke(me.serial))
            .unwrap();
        let text = reason(showing(&me), revoking);
        assert!(text.contains("CertificateRevoked"), "{text}");

        let listener = listen(asking(ClientAuth::Optional));
        let serving = serve(&listener);
        exchange(&dial(&trusting(&ca), listener.url()).unwrap());
        exchange(&dial(&showing(&me), listener.url()).unwrap());
        listener.close();
        let agreed = serving.join().unwrap();
        assert!(agreed[0].peer_certificates.is_empty());
        assert_eq!(agreed[1].peer_certificates, [pem_of(&me.chain)]);
    });
}

#[test]
fn the_oldest_version_is_what_either_end_says() {
    bounded(|| {
        let ca = Authority::new();
        let tls = server_tls(&ca.issue(&["127.0.0.1"])).min_version(TlsVersion::Tls13);
        let listener = listen(tls);
        let serving = serve(&listener);
        let tls = trusting(&ca).min_version(TlsVersion::Tls13);
        let ws = dial(&tls, listener.url()).unwrap();
        assert_eq!(ws.tls().unwrap().version, TlsVersion::Tls13);
        exchange(&ws);
        listener.close();
        serving.join().unwrap();
    });
}

#[test]
fn a_second_dial_resumes_the_session() {
    bounded(|| {
        let ca = Authority::new();
        let listener = listen(server_tls(&ca.issue(&["127.0.0.1"])));
        let serving = serve(&listener);
        let tls = trusting(&ca);
        for is_resumed in [false, true] {
            let ws = dial(&tls, listener.url()).unwrap();
            assert_eq!(ws.tls().unwrap().is_resumed, is_resumed);
            exchange(&ws);
        }
        listener.close();
        serving.join().unwrap();
    });
}

#[test]
fn certificates_are_renewed_while_the_listener_listens() {
    bounded(|| {
        let directory = std::env::temp_dir().join(format!("talkws-tls-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let (chain, key) = (directory.join("chain.pem"), directory.join("key.pem"));
        let (old, new) = (Authority::new(), Authority::new());
        let install = |ca: &Authority| {
            let identity = ca.issue(&["127.0.0.1"]);
            std::fs::write(&chain, identity.chain).unwrap();
            std::fs::write(&key, identity.key).unwrap();
        };
        install(&old);
        let tls = ServerTls::new().certificate_files(&chain, &key).unwrap();
        let listener = listen(tls);
        let serving = serve(&listener);
        exchange(&dial(&trusting(&old), listener.url()).unwrap());
        install(&new);
        exchange(&dial(&trusting(&old), listener.url()).unwrap());
        listener.reload_tls().unwrap();
        exchange(&dial(&trusting(&new), listener.url()).unwrap());
        // What cannot be used changes nothing.
        std::fs::write(&key, old.issue(&["127.0.0.1"]).key).unwrap();
        let error = listener.reload_tls().unwrap_err();
        let says = "it does not belong to the first certificate of the chain";
        assert!(error.to_string().contains(says), "{error}");
        exchange(&dial(&trusting(&new), listener.url()).unwrap());
        listener
            .replace_tls(server_tls(&old.issue(&["127.0.0.1"])))
            .unwrap();
        exchange(&dial(&trusting(&old), listener.url()).unwrap());
        listener.close();
        serving.join().unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
    });
}

#[test]
fn a_slow_handshake_holds_up_nobody() {
    bounded(|| {
        let ca = Authority::new();
        let listener = listen(server_tls(&ca.issue(&["127.0.0.1"])));
        let serving = serve(&listener);
        let silent = TcpStream::connect(listener.local_addr()).unwrap();
        let mut halting = TcpStream::connect(listener.local_addr()).unwrap();
        // The beginning of a record that never goes on.
        halting.write_all(&[22, 3, 1, 2, 0, 1]).unwrap();
        exchange(&dial(&trusting(&ca), listener.url()).unwrap());
        drop((silent, halting));
        listener.close();
        serving.join().unwrap();
    });
}

#[test]
fn a_handshake_that_takes_too_long_is_dropped() {
    bounded(|| {
        let ca = Authority::new();
        let listener = ListenOptions::new()
            .tls(server_tls(&ca.issue(&["127.0.0.1"])))
            .handshake_timeout(Duration::from_millis(50))
            .listen("wss://127.0.0.1:0")
            .unwrap();
        let serving = serve(&listener);
        for greeting in [&[][..], &[22, 3, 1, 2, 0, 1]] {
            let mut slow = TcpStream::connect(listener.local_addr()).unwrap();
            slow.write_all(greeting).unwrap();
            let mut rest = Vec::new();
            // The end, or a reset: over, in any case.
            let _ = slow.read_to_end(&mut rest);
            assert_eq!(rest, b"");
        }
        listener.close();
        serving.join().unwrap();
    });
}

#[test]
fn who_forgets_tls_is_told_so() {
    bounded(|| {
        let ca = Authority::new();
        let listener = listen(server_tls(&ca.issue(&["127.0.0.1"])));
        let serving = serve(&listener);
        let plain = listener.url().replace("wss:", "ws:");
        match talkws::dial(&plain).unwrap_err() {
            Error::Refused(refusal) => {
                assert_eq!(refusal.status(), 400);
                let body = String::from_utf8_lossy(refusal.body());
                assert!(body.contains("use wss://"), "{body}");
            }
            error => panic!("{error}"),
        }
        listener.close();
        serving.join().unwrap();

        let listener = talkws::listen("ws://127.0.0.1:0").unwrap();
        let url = listener.url().replace("ws:", "wss:");
        let accepting = thread::spawn(move || listener.accept_within(Duration::from_secs(1)));
        let error = dial(&trusting(&ca), &url).unwrap_err().to_string();
        assert!(error.contains("does not speak TLS here"), "{error}");
        let _ = accepting.join();
    });
}

#[test]
fn a_url_and_a_certificate_belong_together() {
    let error = talkws::listen("wss://127.0.0.1:0").unwrap_err();
    assert!(error.to_string().contains("needs a certificate"), "{error}");
    let ca = Authority::new();
    let options = ListenOptions::new().tls(server_tls(&ca.issue(&["127.0.0.1"])));
    let error = options.listen("ws://127.0.0.1:0").unwrap_err();
    assert!(error.to_string().contains("must be wss"), "{error}");
}

#[test]
fn a_connection_without_tls_has_none() {
    let (client, server) = support::pair();
    assert!(client.tls().is_none() && server.tls().is_none());
    let listener = talkws::listen("ws://127.0.0.1:0").unwrap();
    assert_eq!(listener.reload_tls().unwrap_err().status(), -18);
}

#[test]
fn what_is_wrong_with_a_pem_is_said() {
    let says = |result: Result<ClientTls>, says: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    };
    let ca = Authority::new();
    let (one, other) = (ca.issue(&["a.example"]), ca.issue(&["b.example"]));
    says(
        ClientTls::new().ca_pem("no PEM"),
        "-----BEGIN CERTIFICATE-----",
    );
    says(ClientTls::new().ca_file("/no/such/file"), "/no/such/file");
    says(
        ClientTls::new().crl_pem(&one.chain),
        "-----BEGIN X509 CRL-----",
    );
    let tls = || ClientTls::new();
    says(
        tls().certificate_pem(&one.chain, &one.chain),
        "BEGIN PRIVATE KEY",
    );
    says(
        tls().certificate_pem(&one.chain, &other.key),
        "does not belong",
    );
    let encrypted = one.key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    says(
        tls().certificate_pem(&one.chain, encrypted),
        "it is encrypted",
    );
    says(tls().server_name("not a name"), "must be a DNS name");
    // No key is ever shown.
    let shown = format!("{:?}", tls().certificate_pem(&one.chain, &one.key).unwrap());
    assert!(!shown.contains("PRIVATE"), "{shown}");
}
