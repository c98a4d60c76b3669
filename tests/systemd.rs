//! Sockets that systemd opens. Its part is played by the shell, which sets the variables and runs
//! the same test again, as the service.

mod support;

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::thread;

use support::bounded;
use talkws::{Error, ListenOptions};

const PLAY_SYSTEMD: &str = "exec 3<&0 4<&0; LISTEN_PID=${PID:-$$} exec \"$@\"";

/// Whether this process is the service.
fn is_service() -> bool {
    std::env::var_os("TALKWS_TEST_SERVICE").is_some()
}

/// Runs a test of this program as a service with two sockets, and gives what it prints.
fn service(test: &str, socket: impl Into<OwnedFd>, variables: &[(&str, &str)]) -> (bool, String) {
    let output = Command::new("sh")
        .args(["-c", PLAY_SYSTEMD, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", test])
        .env("TALKWS_TEST_SERVICE", "1")
        .envs(variables.iter().copied())
        .stdin(Stdio::from(socket.into()))
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    (output.status.success() && text.contains("1 passed"), text)
}

fn serve_one_client() {
    let options = ListenOptions::new();
    let absent = options.listen_systemd(Some("absent")).unwrap_err();
    assert!(absent.to_string().contains("\"absent\""), "{absent}");
    let listener = options.listen_systemd(Some("web")).unwrap();
    let again = options.listen_systemd(Some("web")).unwrap_err();
    assert!(again.to_string().contains("taken before"), "{again}");
    let ws = listener
        .accept()
        .unwrap()
        .upgrade(Default::default())
        .unwrap();
    ws.write_text("hello").unwrap();
    // The other one is left for who asks for all.
    options.listen_systemd(None).unwrap();
    assert!(options.listen_systemd(None).is_err());
}

#[test]
fn a_socket_of_systemd_is_listened_on() {
    if is_service() {
        return serve_one_client();
    }
    bounded(|| {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/", socket.local_addr().unwrap());
        // It listens before the service runs, so that the client need not wait for that.
        let client = thread::spawn(move || talkws::dial(&url).and_then(|ws| ws.read()));
        let variables = [("LISTEN_FDS", "2"), ("LISTEN_FDNAMES", "other:web")];
        let (is_well, text) = service("a_socket_of_systemd_is_listened_on", socket, &variables);
        assert!(is_well, "{text}");
        assert_eq!(client.join().unwrap().unwrap().as_text(), Some("hello"));
    });
}

#[test]
fn a_connection_of_systemd_is_a_client() {
    let test = "a_connection_of_systemd_is_a_client";
    if is_service() {
        // As with `Accept=yes`: the name that systemd gives it.
        let listener = ListenOptions::new().listen_systemd(Some("connection"));
        let listener = listener.unwrap();
        let ws = listener.accept().unwrap().upgrade(Default::default());
        ws.unwrap().write_text("hello").unwrap();
        assert!(matches!(listener.accept(), Err(Error::Aborted { .. })));
        return;
    }
    bounded(|| {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/", socket.local_addr().unwrap());
        let client = thread::spawn(move || talkws::dial(&url).and_then(|ws| ws.read()));
        let (connection, _) = socket.accept().unwrap();
        let variables = [("LISTEN_FDS", "1"), ("LISTEN_FDNAMES", "connection")];
        let (is_well, text) = service(test, connection, &variables);
        assert!(is_well, "{text}");
        assert_eq!(client.join().unwrap().unwrap().as_text(), Some("hello"));
    });
}

#[test]
fn what_is_not_for_this_process_is_left_alone() {
    if is_service() {
        let error = ListenOptions::new().listen_systemd(None).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error:?}");
        return;
    }
    bounded(|| {
        for variables in [
            &[("LISTEN_FDS", "2"), ("PID", "1")][..],
            &[("LISTEN_FDS", "0")],
            &[("LISTEN_FDS", "many")],
            &[],
            // Nothing is open there.
            &[("LISTEN_FDS", "2147483647"), ("LISTEN_FDNAMES", "x")],
        ] {
            let socket = TcpListener::bind("127.0.0.1:0").unwrap();
            let (is_well, text) = service(
                "what_is_not_for_this_process_is_left_alone",
                socket,
                variables,
            );
            assert!(is_well, "{variables:?}: {text}");
        }
        let here = ListenOptions::new().listen_systemd(None).unwrap_err();
        assert!(here.to_string().contains("LISTEN_PID"), "{here}");
    });
}
