//! TCP, and what else is a connected stream socket.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use socket2::Socket;

use super::poll::{entry, poll};
use super::{Halt, Readiness, Transport};
use crate::deadline::Deadline;

/// No `SIGPIPE` when the peer is gone. macOS has an option of the socket instead, see `new`.
#[cfg(not(target_vendor = "apple"))]
const SEND_FLAGS: i32 = libc::MSG_NOSIGNAL;
/// See above.
#[cfg(target_vendor = "apple")]
const SEND_FLAGS: i32 = 0;

/// A connected TCP socket, or one that was adopted, such as a Unix socket.
#[derive(Debug)]
pub struct Tcp {
    /// In blocking mode: a call that nobody gave a deadline is one system call. The others say
    /// `MSG_DONTWAIT`, and poll when they must.
    socket: Socket,
    /// Kept, since the system forgets it when the connection ends.
    peer: Option<SocketAddr>,
}

impl Tcp {
    /// Takes a connected socket over.
    pub fn new(socket: Socket) -> io::Result<Self> {
        let peer = socket.peer_addr().ok().and_then(|peer| peer.as_socket());
        Self::with_peer(socket, peer)
    }

    /// Takes over a socket that was accepted from `peer`.
    pub fn with_peer(socket: Socket, peer: Option<SocketAddr>) -> io::Result<Self> {
        socket.set_nonblocking(false)?;
        if socket.local_addr()?.as_socket().is_some() {
            socket.set_tcp_nodelay(true)?;
        }
        #[cfg(target_vendor = "apple")]
        socket.set_nosigpipe(true)?;
        Ok(Tcp { socket, peer })
    }

    /// Runs a system call that may wait: as it is without a deadline, else with `MSG_DONTWAIT`
    /// and a poll for `wanted` as often as it would block.
    fn wait_for<T>(
        &self,
        wanted: Readiness,
        deadline: Deadline,
        mut call: impl FnMut(i32) -> io::Result<T>,
    ) -> Result<T, Halt> {
        let flags = if deadline.is_unbounded() {
            0
        } else {
            libc::MSG_DONTWAIT
        };
        loop {
            match call(flags) {
                Ok(value) => return Ok(value),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    if deadline.is_interrupted() {
                        return Err(Halt::Interrupted);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if deadline.has_passed() && !deadline.is_interrupted() {
                        // The call itself has just told that there is nothing without waiting.
                        return Err(Halt::TimedOut);
                    }
                    self.wait(wanted, deadline)?;
                }
                Err(error) => return Err(Halt::Failed(error)),
            }
        }
    }
}

// SAFETY: `receive` returns what `recv(2)` returned, which is how many bytes the kernel wrote to
// the start of the buffer.
unsafe impl Transport for Tcp {
    fn receive(&self, buffer: &mut [MaybeUninit<u8>], deadline: Deadline) -> Result<usize, Halt> {
        self.wait_for(
            Readiness {
                receive: true,
                send: false,
            },
            deadline,
            |flags| self.socket.recv_with_flags(buffer, flags),
        )
    }

    fn send(&self, pieces: &[IoSlice<'_>], deadline: Deadline) -> Result<usize, Halt> {
        self.wait_for(
            Readiness {
                receive: false,
                send: true,
            },
            deadline,
            |flags| match pieces {
                [piece] => self.socket.send_with_flags(piece, flags | SEND_FLAGS),
                pieces => self
                    .socket
                    .send_vectored_with_flags(pieces, flags | SEND_FLAGS),
            },
        )
    }

    fn wait(&self, wanted: Readiness, deadline: Deadline) -> Result<Readiness, Halt> {
        let receive = if wanted.receive { libc::POLLIN } else { 0 };
        let send = if wanted.send { libc::POLLOUT } else { 0 };
        let mut entries = [entry(self.socket.as_raw_fd(), receive | send)];
        poll(&mut entries, deadline)?;
        // A failed stream is ready for both: the call that follows tells what failed.
        let failed = libc::POLLERR | libc::POLLHUP | libc::POLLNVAL;
        let is_ready = |events| entries[0].revents & (events | failed) != 0;
        Ok(Readiness {
            receive: is_ready(receive),
            send: is_ready(send),
        })
    }

    fn has_unread(&self) -> bool {
        let mut entries = [entry(self.socket.as_raw_fd(), libc::POLLIN)];
        poll(&mut entries, Duration::ZERO.into()).is_ok()
    }

    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    fn shutdown(&self, how: Shutdown) {
        // It fails when the peer was faster; the stream has ended then too.
        let _ = self.socket.shutdown(how);
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()?.as_socket()
    }
}
