//! Unix sockets, by URL, in both roles.

mod support;

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use support::bounded;
use talkws::{CloseCode, DialOptions, Error, ListenOptions, Listener, UpgradeOptions};

/// A directory of the test's own, gone with it.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("talkws-unix-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Directory(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("app.sock")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn url(socket: &Path, target: &str) -> String {
    format!("ws+unix://{}{target}", socket.display())
}

fn mode(socket: &Path) -> u32 {
    fs::symlink_metadata(socket).unwrap().permissions().mode() & 0o777
}

/// Dials, says hello, and closes; gives the target and the host that were asked for.
fn greet(listener: &Listener, url: &str) -> (String, String) {
    let url = url.to_owned();
    let client = thread::spawn(move || {
        let ws = talkws::dial(&url)?;
        assert_eq!((ws.peer_addr(), ws.local_addr()), (None, None));
        ws.write_text("hello")?;
        ws.close(CloseCode::Normal, "")
    });
    let request = listener.accept().unwrap();
    let target = request.head().target().to_owned();
    let host = request.header("host").unwrap().to_owned();
    let ws = request.upgrade(UpgradeOptions::new()).unwrap();
    assert_eq!(ws.read().unwrap().as_text(), Some("hello"));
    assert!(matches!(ws.read(), Err(Error::Closed(_))));
    client.join().unwrap().unwrap();
    (target, host)
}

#[test]
fn a_unix_socket_is_listened_on_and_dialled() {
    bounded(|| {
        let directory = Directory::new();
        let url = url(&directory.socket(), ":/chat");
        let listener = talkws::listen(&url).unwrap();
        assert_eq!(listener.url(), url);
        assert_eq!(listener.local_addr().port(), 0);
        let asked = greet(&listener, &format!("{url}?x=1"));
        assert_eq!(asked, ("/chat?x=1".to_owned(), "localhost".to_owned()));
    });
}

#[test]
fn the_path_after_the_socket_is_the_one_that_is_served() {
    bounded(|| {
        let directory = Directory::new();
        let listener = talkws::listen(&url(&directory.socket(), ":/chat")).unwrap();
        let other = url(&directory.socket(), ":/other");
        let dialling = thread::spawn(move || talkws::dial(&other).unwrap_err());
        let accepting = {
            let listener = listener.clone();
            thread::spawn(move || listener.accept())
        };
        assert_eq!(dialling.join().unwrap().http_status(), Some(404));
        listener.close();
        assert!(accepting.join().unwrap().is_err());
    });
}

#[test]
#[cfg(any(target_os = "linux", target_os = "android"))]
fn an_abstract_socket_has_no_file() {
    bounded(|| {
        let url = format!("ws+unix:@talkws-test-{}:/", std::process::id());
        let listener = talkws::listen(&url).unwrap();
        greet(&listener, &url);
        let error = talkws::listen(&url).unwrap_err();
        assert!(error.to_string().contains("in use"), "{error}");
        listener.close();
        let error = talkws::dial(&url).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error:?}");
        assert!(
            error.to_string().contains("socket @talkws-test-"),
            "{error}"
        );
    });
}

#[test]
fn the_file_has_the_permissions_that_were_asked_for() {
    let directory = Directory::new();
    for wanted in [0o600, 0o660, 0o777] {
        let options = ListenOptions::new().unix_mode(wanted);
        let listener = options.listen(&url(&directory.socket(), ":/")).unwrap();
        assert_eq!(mode(&directory.socket()), wanted);
        listener.close();
    }
}

#[test]
fn the_file_goes_with_its_listener() {
    let directory = Directory::new();
    let path = directory.socket();
    let listener = talkws::listen(&url(&path, "")).unwrap();
    assert!(fs::symlink_metadata(&path).unwrap().file_type().is_socket());
    listener.close();
    assert!(!path.exists());
    let listener = talkws::listen(&url(&path, "")).unwrap();
    drop(listener);
    assert!(!path.exists());
}

#[test]
fn a_file_that_took_its_place_stays() {
    let directory = Directory::new();
    let path = directory.socket();
    let first = talkws::listen(&url(&path, "")).unwrap();
    fs::remove_file(&path).unwrap();
    let second = talkws::listen(&url(&path, "")).unwrap();
    first.close();
    assert!(path.exists());
    second.close();
    assert!(!path.exists());
}

#[test]
fn a_child_of_fork_leaves_the_file() {
    let directory = Directory::new();
    let path = directory.socket();
    let listener = talkws::listen(&url(&path, "")).unwrap();
    // SAFETY: the child only drops the listener, which waits for nobody, and ends.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        drop(listener);
        // SAFETY: it ends the process, and runs nothing else of it.
        unsafe { libc::_exit(0) };
    }
    let mut status = -1;
    // SAFETY: the status is ours to be written.
    let waited = unsafe { libc::waitpid(child, &mut status, 0) };
    assert_eq!((waited, status), (child, 0));
    assert!(path.exists());
    listener.close();
    assert!(!path.exists());
}

#[test]
fn a_socket_on_which_nobody_listens_is_replaced() {
    bounded(|| {
        let directory = Directory::new();
        let path = directory.socket();
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let listener = talkws::listen(&url(&path, "")).unwrap();
        greet(&listener, &url(&path, ""));
    });
}

#[test]
fn what_is_in_use_or_no_socket_is_left_alone() {
    let directory = Directory::new();
    let path = directory.socket();
    let _listening = UnixListener::bind(&path).unwrap();
    let error = talkws::listen(&url(&path, "")).unwrap_err();
    assert!(error.to_string().contains("in use"), "{error}");
    assert!(UnixStream::connect(&path).is_ok());
    fs::remove_file(&path).unwrap();
    fs::write(&path, "precious").unwrap();
    assert!(talkws::listen(&url(&path, "")).is_err());
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}

#[test]
fn a_socket_that_is_not_there_is_named() {
    let directory = Directory::new();
    let error = talkws::dial(&url(&directory.socket(), ":/")).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    let text = error.to_string();
    let path = directory.socket().display().to_string();
    assert!(
        text.contains(&format!("connecting to the socket {path}: ")),
        "{text}"
    );
    let long = format!("ws+unix:///{}:/", "x".repeat(200));
    assert!(matches!(talkws::dial(&long), Err(Error::Io { .. })));
    assert!(matches!(talkws::listen(&long), Err(Error::Io { .. })));
}

#[test]
#[cfg(any(target_os = "linux", target_os = "android"))]
fn a_full_backlog_is_waited_for_until_the_deadline() {
    bounded(|| {
        let directory = Directory::new();
        let path = directory.socket();
        let options = ListenOptions::new().backlog(1);
        let listener = options.listen(&url(&path, ":/")).unwrap();
        let mut waiting = Vec::new();
        loop {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            match socket.connect(&SockAddr::unix(&path).unwrap()) {
                Ok(()) => waiting.push(socket),
                Err(_) => break,
            }
        }
        let hurried = DialOptions::new().timeout(Duration::from_millis(20));
        let error = hurried.dial(&url(&path, ":/")).unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
        assert!(
            error.to_string().contains("connecting to the socket"),
            "{error}"
        );
        // Once somebody accepts there is room.
        greet(&listener, &url(&path, ":/"));
    });
}
