//! Faults on demand, and connections without a network, for the tests of what builds on this
//! crate. Only there with the feature `testing`; without it, [`reach`] is nothing.

/// Where a fault can be injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Point {
    /// Before bytes are received, with the reader's lock held.
    Receive = 1,
    /// Before bytes are sent, with the writer's lock held.
    Send,
    /// Before a client connects.
    Connect,
    /// Before a listener waits, with its lock held.
    Accept,
}

#[cfg(not(feature = "testing"))]
#[inline(always)]
pub(crate) fn reach(_: Point) {}

#[cfg(feature = "testing")]
pub use injected::*;

#[cfg(feature = "testing")]
mod injected {
    use std::io::IoSlice;
    use std::mem::MaybeUninit;
    use std::net::{Shutdown, SocketAddr};
    use std::os::fd::RawFd;
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::Point;
    use crate::connection::{Connection, Opening};
    use crate::deadline::Deadline;
    use crate::head::RequestHead;
    use crate::options::ConnectionLimits;
    use crate::protocol::Role;
    use crate::transport::{Halt, Readiness, Transport};

    static ARMED: AtomicU8 = AtomicU8::new(0);

    /// Panics the next time that `point` is reached, once; `None` disarms.
    pub fn arm(point: Option<Point>) {
        ARMED.store(point.map_or(0, |point| point as u8), Ordering::SeqCst);
    }

    pub(crate) fn reach(point: Point) {
        let order = Ordering::SeqCst;
        if ARMED.compare_exchange(point as u8, 0, order, order).is_ok() {
            panic!("injected at {point:?}");
        }
    }

    /// A server's connection to a client that takes everything, and has always sent another
    /// message of `size` bytes, at most 125.
    pub fn endless_connection(size: usize) -> Connection {
        let size = size.min(125);
        let mut frame = vec![0x82, 0x80 | size as u8, 0, 0, 0, 0];
        frame.resize(frame.len() + size, b'x');
        let opening = Opening {
            named: None,
            request: RequestHead::new(b"GET / HTTP/1.1\r\nHost: nowhere\r\n\r\n"),
            response: None,
            subprotocol: None,
            deflate: None,
        };
        let transport = Box::new(Endless { frame });
        let limits = ConnectionLimits::default();
        Connection::new(transport, Role::Server, limits, opening, &[])
            .expect("keepalive is off, and nothing else can fail")
    }

    #[derive(Debug)]
    struct Endless {
        frame: Vec<u8>,
    }

    // SAFETY: `receive` writes as many bytes as it says to the start of the buffer.
    unsafe impl Transport for Endless {
        fn receive(&self, buffer: &mut [MaybeUninit<u8>], _: Deadline) -> Result<usize, Halt> {
            // One at a time, as one that answers each message would.
            for (room, byte) in buffer.iter_mut().zip(&self.frame) {
                room.write(*byte);
            }
            Ok(buffer.len().min(self.frame.len()))
        }

        fn send(&self, pieces: &[IoSlice<'_>], _: Deadline) -> Result<usize, Halt> {
            Ok(pieces.iter().map(|piece| piece.len()).sum())
        }

        fn wait(&self, wanted: Readiness, _: Deadline) -> Result<Readiness, Halt> {
            Ok(wanted)
        }

        fn has_unread(&self) -> bool {
            true
        }

        fn as_raw_fd(&self) -> RawFd {
            -1
        }

        fn shutdown(&self, _: Shutdown) {}

        fn peer_addr(&self) -> Option<SocketAddr> {
            None
        }

        fn local_addr(&self) -> Option<SocketAddr> {
            None
        }
    }
}
