//! `ws_error`: everything there is to say about a call that failed.

use std::ffi::c_char;
use std::fmt::{self, Write};

use engine::{CloseCode, Error};

use crate::handles::Kind;
use crate::status::{WS_BAD_HANDLE, WS_INTERNAL, WS_NOT_FOUND, ws_status};

/// What went wrong, in words and numbers. Yours, on your stack; its layout is frozen.
///
/// Every call that can fail takes a pointer to one as its last argument, which may be NULL. It is
/// written when the call fails, and left alone when it succeeds.
#[repr(C)]
#[allow(non_camel_case_types)]
pub struct ws_error {
    /// What the call returned.
    pub status: i32,
    /// With `WS_REFUSED` the server's HTTP status, such as 404, and with `WS_PROXY` that of a proxy
    /// that speaks HTTP; else 0.
    pub http_status: i32,
    /// The close code that belongs to the end of a connection: the peer's with `WS_CLOSED`, this
    /// end's with `WS_PROTOCOL`, `WS_INVALID_UTF8` and `WS_TOO_BIG`, `WS_CLOSE_ABNORMAL` with
    /// `WS_CONNECTION_LOST` and `WS_ABORTED`; else 0.
    pub close_code: i32,
    /// What was tried, on what, and why it failed: UTF-8 in one line, always NUL-terminated.
    pub message: [c_char; 244],
}

/// Why a call failed.
#[derive(Debug)]
pub(crate) enum Failure {
    Engine(Error),
    BadHandle {
        wanted: Kind,
        number: u64,
    },
    /// A pointer that is no options, or not any more.
    BadOptions,
    /// What is not there.
    NotFound(&'static str),
    /// What a panic said.
    Internal(String),
}

impl Failure {
    pub fn argument(reason: &'static str) -> Self {
        Failure::Engine(Error::InvalidArgument(reason.into()))
    }

    pub fn no_memory(what: &'static str) -> Self {
        Failure::Engine(Error::NoMemory(what))
    }

    pub fn status(&self) -> ws_status {
        match self {
            Failure::Engine(error) => error.status(),
            Failure::BadHandle { .. } | Failure::BadOptions => WS_BAD_HANDLE,
            Failure::NotFound(_) => WS_NOT_FOUND,
            Failure::Internal(_) => WS_INTERNAL,
        }
    }

    /// Tells the caller, who may not want to know.
    ///
    /// # Safety
    ///
    /// `err` is NULL, or points to room for a `ws_error` that nobody else uses meanwhile.
    pub unsafe fn tell(&self, err: *mut ws_error) {
        if !err.is_null() {
            // SAFETY: the caller of this function promises it.
            unsafe { err.write(ws_error::new(self)) };
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Engine(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Engine(error) => error.fmt(f),
            Failure::BadHandle { wanted, number } => {
                let reason = match Kind::of(*number) {
                    Some(kind) if kind == *wanted => "it was closed, or never opened",
                    Some(Kind::Connection) => "it is of the kind of a connection",
                    Some(Kind::Listener) => "it is of the kind of a listener",
                    Some(Kind::Prepared) => "it is of the kind of a prepared message",
                    Some(Kind::Topics) => "it is of the kind of a set of topics",
                    None => "it never was one",
                };
                write!(f, "{number:#x} is no handle of a {wanted}: {reason}")
            }
            Failure::BadOptions => f.write_str(
                "options: the pointer is none that ws_options_new gave, or was freed already",
            ),
            Failure::NotFound(what) => f.write_str(what),
            Failure::Internal(what) => write!(f, "bug of libtalkws, please report it: {what}"),
        }
    }
}

impl ws_error {
    /// The end of a connection.
    pub fn of(end: &Error) -> Self {
        ws_error::new(&Failure::Engine(end.clone()))
    }

    fn new(failure: &Failure) -> Self {
        let (http_status, close_code) = match failure {
            Failure::Engine(error) => (error.http_status(), error.close_code()),
            _ => (None, None),
        };
        let mut text = Text::default();
        // It takes whatever comes, and says so when that was too long.
        let _ = write!(text, "{failure}");
        ws_error {
            status: failure.status(),
            http_status: http_status.map_or(0, i32::from),
            close_code: close_code.map_or(0, |code: CloseCode| u16::from(code).into()),
            message: text.bytes,
        }
    }
}

/// A text of limited length, NUL-terminated, cut between two characters.
struct Text {
    bytes: [c_char; 244],
    length: usize,
    is_full: bool,
}

impl Default for Text {
    fn default() -> Self {
        Text {
            bytes: [0; 244],
            length: 0,
            is_full: false,
        }
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.is_full {
            return Ok(());
        }
        let room = self.bytes.len() - 1 - self.length;
        let mut taken = text.len().min(room);
        while !text.is_char_boundary(taken) {
            taken -= 1;
        }
        for byte in &text.as_bytes()[..taken] {
            // A NUL would end the text here.
            let byte = if *byte == 0 { b'?' } else { *byte };
            self.bytes[self.length] = byte as c_char;
            self.length += 1;
        }
        self.is_full = taken < text.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;

    fn message(what: String) -> String {
        let error = ws_error::new(&Failure::Engine(Error::InvalidArgument(what.into())));
        let bytes: Vec<u8> = error.message.iter().map(|&byte| byte as u8).collect();
        let text = CStr::from_bytes_until_nul(&bytes).expect("NUL-terminated");
        text.to_str().expect("UTF-8").to_owned()
    }

    #[test]
    fn the_layout_is_frozen() {
        assert_eq!(size_of::<ws_error>(), 256);
        assert_eq!(std::mem::offset_of!(ws_error, message), 12);
    }

    #[test]
    fn a_long_message_is_cut_between_two_characters() {
        assert_eq!(message("x".repeat(243)), "x".repeat(243));
        assert_eq!(message("x".repeat(1000)), "x".repeat(243));
        assert_eq!(
            message(format!("{}\u{e9}", "x".repeat(241))).len(),
            243,
            "fits to the byte"
        );
        assert_eq!(
            message(format!("{}\u{1f600}", "x".repeat(242))),
            "x".repeat(242)
        );
    }

    #[test]
    fn nothing_follows_the_cut() {
        let mut text = Text::default();
        let _ = text.write_str(&"\u{1f600}".repeat(61));
        let _ = text.write_str("x");
        assert_eq!(text.length, 240);
    }

    #[test]
    fn a_message_has_no_nul_inside() {
        assert_eq!(message("a\0b".to_owned()), "a?b");
    }
}
