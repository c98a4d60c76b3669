//! Why and by whom a connection was closed (RFC 6455, section 7).

use std::fmt;

pub use tungstenite::protocol::frame::coding::CloseCode;

/// The longest reason that fits beside the code in a Close frame (RFC 6455, 5.5).
pub const MAX_CLOSE_REASON: usize = 123;

/// Which side sent the first Close frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClosedBy {
    /// This end.
    Local,
    /// The other end.
    Peer,
}

/// How a connection was closed: the code and reason that the *other* end sent, and who began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseInfo {
    /// The code in the peer's Close frame; [`CloseCode::Status`] (1005) when it carried none.
    pub code: CloseCode,
    /// The reason in the peer's Close frame, often empty; at most 123 bytes.
    pub reason: String,
    /// Which end sent its Close frame first.
    pub by: ClosedBy,
}

impl CloseInfo {
    /// Whether the code says that all is well: 1000, 1001, or none at all.
    pub fn is_normal(&self) -> bool {
        matches!(
            self.code,
            CloseCode::Normal | CloseCode::Away | CloseCode::Status
        )
    }
}

impl fmt::Display for CloseInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match self.by {
            ClosedBy::Local => "this end",
            ClosedBy::Peer => "the peer",
        };
        write!(f, "closed by {by}, code {}", self.code)?;
        if !self.reason.is_empty() {
            write!(f, ", reason {:?}", self.reason)?;
        }
        Ok(())
    }
}

/// Whether an endpoint may put `code` into a Close frame (RFC 6455, 7.4, and the IANA registry).
pub(crate) fn is_sendable(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_never_travel_are_not_sendable() {
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
            assert!(!is_sendable(code), "{code}");
        }
        for code in [1000, 1003, 1007, 1014, 3000, 4999] {
            assert!(is_sendable(code), "{code}");
        }
    }
}
