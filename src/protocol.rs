//! The protocol of RFC 6455: bytes in, events out. No sockets, no threads, no clock.
//!
//! [`handshake`] opens a connection, [`decoder`] and [`encoder`] are its two directions. What the
//! extension permessage-deflate ([`deflate`]) adds has three places: its offer and answer in the
//! handshake, a reserved bit in [`decoder`] and [`encoder`], the payload between frame and message.

pub mod decoder;
pub mod deflate;
pub mod encoder;
pub mod handshake;
pub mod mask;
pub mod proxy_protocol;
pub mod utf8;

/// Which side of the connection this end is: a client masks its frames, a server does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The end that dialled.
    Client,
    /// The end that accepted.
    Server,
}
