//! Waiting for file descriptors: `poll(2)` with a deadline.

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

use super::Halt;
use crate::deadline::Deadline;

/// A descriptor and what to wait for on it, as `poll(2)` takes it.
pub use libc::pollfd;

/// An entry for [`poll`].
pub fn entry(fd: RawFd, events: libc::c_short) -> pollfd {
    pollfd {
        fd,
        events,
        revents: 0,
    }
}

/// Waits until a descriptor of `entries` is ready, and gives how many are. At least one.
pub fn poll(entries: &mut [pollfd], deadline: Deadline) -> Result<usize, Halt> {
    loop {
        match poll_once(entries, deadline.slice()) {
            Ok(0) => {}
            Ok(ready) => return Ok(ready),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Halt::Failed(error)),
        }
        if deadline.is_interrupted() {
            return Err(Halt::Interrupted);
        }
        if deadline.has_passed() {
            return Err(Halt::TimedOut);
        }
    }
}

fn poll_once(entries: &mut [pollfd], timeout: Option<Duration>) -> io::Result<usize> {
    // Rounded up, so that the last wait does not end before the deadline and spin.
    let milliseconds = match timeout {
        None => -1,
        Some(timeout) => timeout
            .as_nanos()
            .div_ceil(1_000_000)
            .try_into()
            .unwrap_or(libc::c_int::MAX),
    };
    // SAFETY: the pointer and the count describe one live, exclusively borrowed slice.
    let ready = unsafe {
        libc::poll(
            entries.as_mut_ptr(),
            entries.len() as libc::nfds_t,
            milliseconds,
        )
    };
    if ready < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(ready as usize)
    }
}
