//! The C face of libtalkws: what `include/talkws.h` declares.
//!
//! Nothing here knows the protocol. Each function checks what C gave it, finds the handle, calls
//! the engine under a panic guard, and hands the outcome back. The documentation of every public
//! item is the header's text, so it speaks to C programmers; `tests/header.rs` makes the header.

#![allow(
    clippy::missing_safety_doc,
    reason = "what C must promise is the header's chapter on ownership, the same for all functions"
)]

#[cfg(not(panic = "unwind"))]
compile_error!("talkws-c turns panics into WS_INTERNAL, for which they must unwind");

pub mod arguments;
pub mod backlog;
pub mod broadcast;
pub mod client;
pub mod closing;
pub mod connection;
pub mod counters;
pub mod error;
pub mod events;
mod guard;
mod handles;
pub mod log;
pub mod look;
mod memory;
pub mod message;
pub mod options;
pub mod reading;
pub mod server;
pub mod serving;
pub mod session;
pub mod status;
#[cfg(feature = "testing")]
mod testing;
pub mod topics;
pub mod version;
pub mod writing;
