//! permessage-deflate (RFC 7692): what two ends agree upon, and messages deflated and inflated.
//!
//! A window belongs to a connection only while it needs one: where the context is kept from
//! message to message, from the first compressed one on; elsewhere for the length of a message.
//! In between a few for the whole process lie ready.

#[cfg(not(feature = "deflate"))]
mod absent;
#[cfg(feature = "deflate")]
mod deflater;
#[cfg(feature = "deflate")]
mod inflater;
mod parameters;
#[cfg(feature = "deflate")]
mod pool;

#[cfg(not(feature = "deflate"))]
pub use absent::{Deflater, Inflater, Shape};
#[cfg(feature = "deflate")]
pub use deflater::{Deflater, Shape};
#[cfg(feature = "deflate")]
pub use inflater::Inflater;
pub use parameters::{Agreement, DeflateParameters, answer, offer, verify};

/// What a compressed message ends with, and what is not sent of it (RFC 7692, 7.2.1): the empty
/// block of a flush.
#[cfg(feature = "deflate")]
const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];

/// There is no memory to deflate or inflate with.
#[derive(Debug, PartialEq, Eq)]
pub struct NoMemory;

/// What was received is no DEFLATE data.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken;
