//! What C passes: texts, timeouts, pointers to fill.

use std::ffi::{CStr, c_char};
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

use engine::Deadline;

use crate::error::Failure;

/// A timeout that never passes.
pub const WS_FOREVER: i64 = -1;

/// A NUL-terminated text.
///
/// # Safety
///
/// `text` is NULL, or points to a NUL-terminated string that lives and does not change for `'a`.
pub(crate) unsafe fn text<'a>(
    text: *const c_char,
    is_null: &'static str,
    is_no_utf8: &'static str,
) -> Result<&'a str, Failure> {
    // SAFETY: the caller of this function promises it.
    let text = unsafe { c_string(text, is_null)? };
    text.to_str().map_err(|_| Failure::argument(is_no_utf8))
}

/// NUL-terminated bytes.
///
/// # Safety
///
/// As for [`text`].
pub(crate) unsafe fn c_string<'a>(
    text: *const c_char,
    is_null: &'static str,
) -> Result<&'a CStr, Failure> {
    if text.is_null() {
        return Err(Failure::argument(is_null));
    }
    // SAFETY: the caller of this function promises it.
    Ok(unsafe { CStr::from_ptr(text) })
}

/// A NUL-terminated text that may be NULL, for an empty one.
///
/// # Safety
///
/// As for [`text`].
pub(crate) unsafe fn optional_text<'a>(
    optional: *const c_char,
    is_no_utf8: &'static str,
) -> Result<&'a str, Failure> {
    if optional.is_null() {
        return Ok("");
    }
    // SAFETY: the caller of this function promises it.
    unsafe { text(optional, "", is_no_utf8) }
}

/// Bytes by pointer and length.
///
/// # Safety
///
/// `data` is NULL, or points to `len` bytes that live and do not change for `'a`.
pub(crate) unsafe fn bytes<'a>(data: *const u8, len: usize) -> Result<&'a [u8], Failure> {
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(Failure::argument("data is NULL, but len is not 0"));
    }
    if isize::try_from(len).is_err() {
        return Err(Failure::argument("len is larger than any memory"));
    }
    // SAFETY: not NULL, of a possible length, and the rest is promised by the caller.
    Ok(unsafe { std::slice::from_raw_parts(data, len) })
}

/// Numbers by pointer and count.
///
/// # Safety
///
/// `numbers` is NULL, or points to `count` numbers that live and do not change for `'a`.
pub(crate) unsafe fn numbers<'a>(numbers: *const u64, count: usize) -> Result<&'a [u64], Failure> {
    if count == 0 {
        return Ok(&[]);
    }
    if numbers.is_null() {
        return Err(Failure::argument("conns is NULL, but count is not 0"));
    }
    if count > isize::MAX as usize / size_of::<u64>() {
        return Err(Failure::argument("count is larger than any memory"));
    }
    // SAFETY: not NULL, of a possible length, and the rest is promised by the caller.
    Ok(unsafe { std::slice::from_raw_parts(numbers, count) })
}

/// A timeout in milliseconds, from now.
pub(crate) fn deadline(timeout_ms: i64) -> Result<Deadline, Failure> {
    milliseconds(timeout_ms).map(Deadline::from)
}

/// A timeout in milliseconds; `None` for ever.
pub(crate) fn milliseconds(timeout_ms: i64) -> Result<Option<Duration>, Failure> {
    match u64::try_from(timeout_ms) {
        Ok(milliseconds) => Ok(Some(Duration::from_millis(milliseconds))),
        Err(_) if timeout_ms == WS_FOREVER => Ok(None),
        Err(_) => Err(Failure::argument(
            "timeout_ms is negative, and not WS_FOREVER (-1)",
        )),
    }
}

/// A duplicate of a descriptor, which stays the caller's until the call has succeeded: see
/// [`close_descriptor`].
pub(crate) fn descriptor(fd: i32) -> Result<OwnedFd, Failure> {
    if fd < 0 {
        return Err(Failure::argument("fd is negative"));
    }
    // SAFETY: not -1, and nothing but a call of the system is made with it, which says so when the
    // number means nothing.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    let duplicate = borrowed.try_clone_to_owned();
    duplicate.map_err(|_| Failure::argument("fd is no open descriptor, or there are none left"))
}

/// Closes the descriptor that the library has taken over.
///
/// # Safety
///
/// It is open, and nobody else's.
pub(crate) unsafe fn close_descriptor(fd: i32) {
    // SAFETY: promised by the caller of this function.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
}

/// Where a result goes; it must be known before anything is tried.
pub(crate) fn output<T>(out: *mut T, is_null: &'static str) -> Result<*mut T, Failure> {
    if out.is_null() {
        return Err(Failure::argument(is_null));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_negative_timeout_has_a_meaning() {
        assert_eq!(deadline(WS_FOREVER).unwrap().instant(), None);
        assert!(deadline(0).unwrap().has_passed());
        assert!(!deadline(i64::MAX).unwrap().has_passed());
        assert!(deadline(-2).is_err() && deadline(i64::MIN).is_err());
    }

    #[test]
    fn no_bytes_need_no_pointer() {
        let null = std::ptr::null();
        // SAFETY: NULL is allowed.
        unsafe {
            assert_eq!(bytes(null, 0).unwrap(), b"");
            assert!(bytes(null, 1).is_err());
            assert!(bytes(std::ptr::dangling(), usize::MAX).is_err());
        }
    }
}
