//! libtalkws

mod client;
mod close;
mod connection;
mod deadline;
mod error;
mod head;
mod message;
mod options;
#[doc(hidden)]
pub mod protocol;
mod server;
mod transport;
#[doc(hidden)]
pub mod url;

pub use client::dial;
pub use close::{CloseCode, CloseInfo, ClosedBy, MAX_CLOSE_REASON};
pub use connection::Connection;
pub use deadline::Deadline;
pub use error::{Error, Refusal, Result, Violation};
pub use head::{RequestHead, ResponseHead};
pub use message::{Message, MessageKind};
pub use options::{
    DialOptions, ListenOptions, MAX_HEAD_SIZE, MAX_HEADERS, OriginRule, UpgradeOptions,
};
pub use server::{Listener, Request, listen};
