//! `ws_options`: what a caller can choose.
//!
//! A program holds a pointer that is never followed: it is a number of an entry in a table, and no
//! number is given out twice, so that one that was freed, or made up, is an error and does no harm.

pub mod deflate;
pub mod handshake;
pub mod limits;
pub mod reach;
pub mod sockets;
pub mod tls;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::{
    ClientTls, DeflateOptions, DialOptions, Error, ListenOptions, RefuseOptions, ServerTls,
    UpgradeOptions,
};
use once_cell::sync::Lazy;

use crate::error::{Failure, ws_error};
use crate::guard;
use crate::memory;
use crate::status::ws_status;

/// Choices for a call, made apart from it and checked one by one. Make one with `ws_options_new`,
/// give it to as many calls as you like, and free it with `ws_options_free`, at once if you like: a
/// call keeps what it needs. Wherever one is taken, NULL means the defaults. A choice that does not
/// concern a call does not count for it.
#[allow(non_camel_case_types)]
pub struct ws_options {
    _private: (),
}

/// What was chosen, for whichever call.
#[derive(Debug, Clone, Default)]
pub(crate) struct Choices {
    pub dial: DialOptions,
    pub listen: ListenOptions,
    pub upgrade: UpgradeOptions,
    pub refuse: RefuseOptions,
    /// How to compress; it is in `dial` and `listen` as well, unless `is_plain`.
    pub deflate: DeflateOptions,
    pub is_plain: bool,
    /// How many subprotocols were named: an upgrade takes one.
    pub subprotocols: usize,
    pub keeps_refusal: bool,
    pub client_tls: ClientTls,
    pub server_tls: ServerTls,
    pub has_certificate: bool,
}

impl Choices {
    /// How to dial.
    pub fn dial(self) -> DialOptions {
        self.dial.tls(self.client_tls)
    }

    /// How to listen: with TLS when there is a certificate to show.
    pub fn listen(self) -> ListenOptions {
        if self.has_certificate {
            self.listen.tls(self.server_tls)
        } else {
            self.listen
        }
    }
}

type Entry = Arc<Mutex<Choices>>;

struct Table {
    entries: HashMap<usize, Entry>,
    last: usize,
}

/// From one number to the next. Odd, so that all come before the first one returns; large, so that
/// a number with a small mistake is none.
const NEXT: usize = 0x9E37_79B9_7F4A_7C15_u64 as usize | 1;

static TABLE: Lazy<Mutex<Table>> = Lazy::new(|| {
    let table = Table {
        entries: HashMap::new(),
        last: RandomState::new().hash_one(NEXT) as usize,
    };
    Mutex::new(table)
});

fn table() -> MutexGuard<'static, Table> {
    // Nothing that holds it can panic halfway.
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn entry(options: *const ws_options) -> Result<Entry, Failure> {
    table()
        .entries
        .get(&options.addr())
        .cloned()
        .ok_or(Failure::BadOptions)
}

/// What was chosen for a call; the defaults for NULL.
pub(crate) fn choices(options: *const ws_options) -> Result<Choices, Failure> {
    if options.is_null() {
        return Ok(Choices::default());
    }
    let entry = entry(options)?;
    let choices = entry.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(choices.clone())
}

/// Runs a setter. Choices that it does not like stay as they were.
///
/// # Safety
///
/// `err` is NULL, or points to room for a `ws_error` that nobody else uses meanwhile.
pub(crate) unsafe fn change(
    options: *mut ws_options,
    err: *mut ws_error,
    // One copy of what follows, not one for each setter.
    change: &mut dyn FnMut(Choices) -> Result<Choices, Failure>,
) -> ws_status {
    let body = || {
        if options.is_null() {
            return Err(Failure::argument("options: options is NULL"));
        }
        memory::check()?;
        let entry = entry(options)?;
        let mut choices = entry.lock().unwrap_or_else(PoisonError::into_inner);
        *choices = change(choices.clone())?;
        Ok(())
    };
    // SAFETY: promised by the caller of this function.
    unsafe { guard::call(err, body) }
}

/// Makes options that choose nothing yet.
///
/// @return  options that you free with `ws_options_free`, or NULL when there is no memory.
///
/// Threads: any; several may use the same options. Since 0.1.0.
#[unsafe(no_mangle)]
pub extern "C" fn ws_options_new() -> *mut ws_options {
    guard::or(ptr::null_mut(), || {
        memory::check().ok()?;
        let mut table = table();
        table.entries.try_reserve(1).ok()?;
        let mut number = table.last.wrapping_add(NEXT);
        while number == 0 || table.entries.contains_key(&number) {
            number = number.wrapping_add(NEXT);
        }
        table.last = number;
        table.entries.insert(number, Entry::default());
        Some(ptr::without_provenance_mut(number))
    })
}

/// Frees options. Freeing NULL, or what was freed already, is harmless.
///
/// @param options  options, or NULL.
///
/// Threads: any; a call that another thread has made with them goes on. Since 0.1.0.
#[unsafe(no_mangle)]
pub extern "C" fn ws_options_free(options: *mut ws_options) {
    guard::or((), || {
        // Dropped after the table is free again.
        let entry = table().entries.remove(&options.addr());
        entry.map(drop)
    });
}

/// Whether a flag that C gave is set.
fn flag(value: i32) -> bool {
    value != 0
}

/// A number that must lie in a range.
fn in_range(
    value: usize,
    range: std::ops::RangeInclusive<usize>,
    what: &str,
) -> Result<usize, Failure> {
    if range.contains(&value) {
        return Ok(value);
    }
    let (first, last) = range.into_inner();
    let reason = format!("options: {what} must be from {first} to {last}, not {value}");
    Err(Error::InvalidArgument(reason.into()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_that_is_no_options_is_told_so() {
        let options = ws_options_new();
        assert!(choices(options).is_ok() && choices(ptr::null()).is_ok());
        assert!(choices(options.wrapping_byte_add(8)).is_err());
        ws_options_free(options);
        assert!(choices(options).is_err());
        ws_options_free(options);
        ws_options_free(ptr::null_mut());
        ws_options_free(ptr::dangling_mut());
    }

    #[test]
    fn a_choice_that_fails_changes_nothing() {
        let options = ws_options_new();
        // SAFETY: NULL is allowed.
        let status = unsafe {
            change(options, ptr::null_mut(), &mut |choices| {
                drop(choices);
                Err(Failure::argument("not so"))
            })
        };
        assert_eq!(status, crate::status::WS_INVALID_ARGUMENT);
        assert!(!choices(options).unwrap().keeps_refusal);
        ws_options_free(options);
    }
}
