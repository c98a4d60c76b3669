//! Sockets that systemd, or another service manager, has opened (`sd_listen_fds(3)`).

use std::collections::BTreeSet;
use std::env;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::process;
use std::sync::{Mutex, PoisonError};

use super::Listener;
use crate::error::{Error, Result};
use crate::options::ListenOptions;

/// `SD_LISTEN_FDS_START`.
const FIRST: RawFd = 3;

/// Which of them were taken: each has one owner.
static TAKEN: Mutex<BTreeSet<RawFd>> = Mutex::new(BTreeSet::new());

impl ListenOptions {
    /// Listens on the sockets that systemd has opened for this process by a socket unit: on those of
    /// a name (`FileDescriptorName=`, which is that of the unit unless given), or on all. Each can be
    /// taken once. All paths are served, as with [`listen_on`](Self::listen_on); with `Accept=yes` the
    /// socket is a client, as there.
    ///
    /// [`Error::Io`] when there are none: see `sd_listen_fds(3)` for the variables of the environment
    /// that name them, which stay as they are.
    pub fn listen_systemd(&self, name: Option<&str>) -> Result<Listener> {
        let sockets = take(name).map_err(|error| {
            let which = name.map_or_else(String::new, |name| format!(" of the name {name:?}"));
            Error::io(format!("listen on the sockets of systemd{which}"), error)
        })?;
        self.listen_on(sockets)
    }
}

fn take(name: Option<&str>) -> io::Result<Vec<OwnedFd>> {
    let none = |reason: &str| io::Error::new(io::ErrorKind::NotFound, reason.to_owned());
    let number = |variable: &str| env::var(variable).ok()?.parse::<u32>().ok();
    // A child of the process that they are for may have inherited the variables.
    if number("LISTEN_PID") != Some(process::id()) {
        return Err(none(
            "it has opened none for this process (LISTEN_PID); start the program by a socket unit",
        ));
    }
    let count = number("LISTEN_FDS").and_then(|count| RawFd::try_from(count).ok());
    let last = count
        .and_then(|count| FIRST.checked_add(count))
        .unwrap_or(FIRST);
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut sockets = Vec::new();
    for descriptor in FIRST..last {
        let its_name = names.next().unwrap_or_default();
        if name.is_some_and(|name| name != its_name) || taken.contains(&descriptor) {
            continue;
        }
        sockets.push(own(descriptor)?);
        taken.insert(descriptor);
    }
    if sockets.is_empty() {
        return Err(none("there is none, or they were taken before"));
    }
    Ok(sockets)
}

/// Takes a descriptor over, which the programs that this one starts shall not have.
fn own(descriptor: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: it asks about a number, and harms nothing if that is no open descriptor.
    if unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, and was opened for us before this program began; nobody has taken it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
