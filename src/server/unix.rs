//! The listening socket of a `ws+unix` URL, and its file.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::error::{Error, Result};
use crate::options::ListenOptions;

/// Listens on the Unix socket at `path`, which is abstract, and has no file, when it begins with
/// NUL. `url` is for errors.
pub(super) fn bind(
    path: &Path,
    url: &str,
    options: &ListenOptions,
) -> Result<(Socket, Option<SocketFile>)> {
    bind_at(path, options).map_err(|error| Error::io(format!("listen on {url}"), error))
}

fn bind_at(path: &Path, options: &ListenOptions) -> io::Result<(Socket, Option<SocketFile>)> {
    let address = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    options.sockets.set_buffers(&socket)?;
    socket.set_nonblocking(true)?;
    let is_abstract = path.as_os_str().as_bytes().first() == Some(&0);
    if !is_abstract && let Some(mode) = options.unix_mode {
        narrow(&socket, mode)?;
    }
    match socket.bind(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale(path, &address) => {
            fs::remove_file(path)?;
            socket.bind(&address)?;
        }
        bound => bound?,
    }
    let file = if is_abstract {
        None
    } else {
        let file = SocketFile::new(path)?;
        if let Some(mode) = options.unix_mode {
            // The umask may have taken some. Nobody can connect before the socket listens.
            fs::set_permissions(path, Permissions::from_mode(mode))?;
        }
        Some(file)
    };
    socket.listen(options.backlog.into())?;
    Ok((socket, file))
}

/// Has the file made with no more than these permissions: on Linux it takes those of the socket.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn narrow(socket: &Socket, mode: u32) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    // SAFETY: the descriptor is open, since the socket owns it.
    match unsafe { libc::fchmod(socket.as_raw_fd(), mode) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Elsewhere it is enough that nobody can connect before the socket listens.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn narrow(_: &Socket, _: u32) -> io::Result<()> {
    Ok(())
}

/// Whether a server that is gone has left this file: a socket on which nobody listens.
fn is_stale(path: &Path, address: &SockAddr) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    let refuses = || {
        let knock = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        knock.set_nonblocking(true)?;
        knock.connect(address)
    };
    let nobody_listens = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    is_socket && refuses().is_err_and(nobody_listens)
}

/// The file of a listening socket. Removed when it is dropped, by the process that made it, unless
/// another has taken its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
    maker: u32,
}

impl SocketFile {
    fn new(path: &Path) -> io::Result<Self> {
        Ok(SocketFile {
            // The program may go elsewhere meanwhile.
            path: std::path::absolute(path)?,
            identity: identity(path)?,
            maker: process::id(),
        })
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let file = fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = || identity(&self.path).is_ok_and(|found| found == self.identity);
        if process::id() == self.maker && is_ours() {
            // Whoever took it away was faster.
            let _ = fs::remove_file(&self.path);
        }
    }
}
