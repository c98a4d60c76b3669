//! A stream that is being opened: heads go to and fro on it, all before one deadline.

use std::borrow::Cow;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::sync::Arc;

use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::protocol::Role;
use crate::tls;
use crate::transport::{Halt, Transport};

/// A connected transport in the middle of an opening handshake.
pub(super) struct Stream<'a> {
    pub transport: Box<dyn Transport>,
    /// What is being done, for errors: `dial ws://...`.
    pub attempt: &'a str,
    pub deadline: Deadline,
}

impl Stream<'_> {
    /// Sends all of `bytes`; `doing` is what that is, for errors.
    pub fn send(&self, bytes: &[u8], doing: &str) -> Result<()> {
        self.try_send(bytes)
            .map_err(|halt| self.halted(halt, doing))
    }

    /// Sends all of `bytes`.
    pub fn try_send(&self, mut bytes: &[u8]) -> Result<(), Halt> {
        while !bytes.is_empty() {
            let sent = self.transport.send(&[IoSlice::new(bytes)], self.deadline)?;
            bytes = &bytes[sent..];
        }
        Ok(())
    }

    /// Appends what arrives to `received`; false at the end of the stream.
    pub fn receive_more(&self, received: &mut Vec<u8>) -> Result<bool, Halt> {
        self.receive_some(received, usize::MAX)
    }

    /// Appends what arrives to `received`, at most `limit` bytes; false at the end of the stream.
    pub fn receive_some(&self, received: &mut Vec<u8>, limit: usize) -> Result<bool, Halt> {
        let mut chunk = [MaybeUninit::uninit(); 4096];
        let room = limit.min(chunk.len());
        let length = self.transport.receive(&mut chunk[..room], self.deadline)?;
        // SAFETY: the transport has initialised that many bytes at the start of the chunk.
        let bytes = unsafe { std::slice::from_raw_parts(chunk.as_ptr().cast::<u8>(), length) };
        received
            .try_reserve(length)
            .map_err(|_| Halt::Failed(std::io::ErrorKind::OutOfMemory.into()))?;
        received.extend_from_slice(bytes);
        Ok(length > 0)
    }

    /// The stream ended, or failed, before the handshake was through.
    pub fn lost(&self, reason: Cow<'_, str>, source: Option<Arc<std::io::Error>>) -> Error {
        let reason = format!("{}: {reason}", self.attempt).into();
        Error::ConnectionLost { reason, source }
    }

    /// The error for a halt while doing something.
    pub fn halted(&self, halt: Halt, doing: &str) -> Error {
        Self::stopped(halt, self.attempt, doing)
    }

    /// The error for a halt while doing something, as a part of `attempt`.
    pub fn stopped(halt: Halt, attempt: &str, doing: &str) -> Error {
        let trying = || format!("{attempt}: {doing}").into();
        match halt {
            Halt::TimedOut => Error::TimedOut { attempt: trying() },
            Halt::Interrupted => Error::Interrupted { attempt: trying() },
            Halt::Failed(source) => match tls::failure(&source, Role::Client) {
                Some(reason) => Error::Tls {
                    attempt: attempt.to_owned().into(),
                    reason: reason.into(),
                },
                None => Error::ConnectionLost {
                    reason: trying(),
                    source: Some(Arc::new(source)),
                },
            },
        }
    }
}
