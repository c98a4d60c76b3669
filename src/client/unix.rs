//! A connection to a Unix socket.

use std::path::Path;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::options::SocketOptions;

/// Connects to the socket at `path`, which is abstract when it begins with NUL. Waits while more
/// clients than the listener's backlog holds are before us.
pub(super) fn connect(
    path: &Path,
    attempt: &str,
    options: &SocketOptions,
    deadline: Deadline,
) -> Result<Socket> {
    let attempt = || format!("{attempt}: connecting to the socket {}", shown(path));
    let cannot = |error| Error::io(attempt(), error);
    let address = SockAddr::unix(path).map_err(cannot)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(cannot)?;
    options.set_buffers(&socket).map_err(cannot)?;
    loop {
        // Without waiting, connect(2) fails at once when the backlog is full, and poll(2) tells nothing
        // of it; so it waits, for as long as a send may. No time at all would mean for ever.
        let slice = deadline.slice().map(|slice| slice.max(SHORTEST_WAIT));
        socket.set_write_timeout(slice).map_err(cannot)?;
        match socket.connect(&address) {
            Ok(()) => break,
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN | libc::EINTR) => {}
                _ => return Err(cannot(error)),
            },
        }
        if deadline.is_interrupted() {
            let attempt = attempt().into();
            return Err(Error::Interrupted { attempt });
        }
        if deadline.has_passed() {
            let attempt = attempt().into();
            return Err(Error::TimedOut { attempt });
        }
    }
    socket.set_write_timeout(None).map_err(cannot)?;
    Ok(socket)
}

const SHORTEST_WAIT: Duration = Duration::from_millis(1);

/// As it stands in a URL.
fn shown(path: &Path) -> String {
    let path = path.to_string_lossy();
    match path.strip_prefix('\0') {
        Some(name) => format!("@{name}"),
        None => path.into_owned(),
    }
}
