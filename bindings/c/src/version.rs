//! The version of the library.

use std::ffi::{CStr, c_char};

const VERSION: &CStr = {
    let bytes = concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes();
    match CStr::from_bytes_with_nul(bytes) {
        Ok(version) => version,
        Err(_) => panic!("a version has no NUL inside"),
    }
};

/// The version of the library that the program runs with, such as "0.1.0".
///
/// @return  a text that is never NULL and lives as long as the library. Do not free it.
///
/// Threads: any, at any time. Since 0.1.0.
#[unsafe(no_mangle)]
pub extern "C" fn ws_version() -> *const c_char {
    VERSION.as_ptr()
}
