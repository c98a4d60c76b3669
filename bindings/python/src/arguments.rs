//! What Python hands over: timeouts, headers, limits.

use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;
use talkws::{Deadline, DeflateOptions, DialOptions, Forwarding, ListenOptions};

/// Longer than any program runs, and no trouble for the clock when it is added to now.
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);

/// A timeout as `Connection.recv` takes it: seconds from now, `None` for ever; no time is left
/// when it is zero or negative.
pub fn deadline(timeout: Option<f64>) -> PyResult<Deadline> {
    Ok(match timeout {
        None => Deadline::NEVER,
        Some(seconds) => Deadline::after(duration("timeout", seconds)?),
    })
}

/// A timeout that is kept: seconds, `None` for ever.
pub fn timeout(name: &str, seconds: Option<f64>) -> PyResult<Duration> {
    seconds.map_or(Ok(FOREVER), |seconds| {
        Ok(duration(name, seconds)?.min(FOREVER))
    })
}

fn duration(name: &str, seconds: f64) -> PyResult<Duration> {
    if seconds.is_nan() {
        return Err(PyValueError::new_err(format!("{name}: not a number")));
    }
    Ok(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX))
}

/// The largest message to receive; `None` for no limit.
pub fn max_size(bytes: Option<usize>) -> usize {
    bytes.unwrap_or(usize::MAX)
}

/// A list of strings. A single string is a sequence of strings too, but never what is meant.
pub fn strings(name: &str, values: Option<&Bound<'_, PyAny>>) -> PyResult<Vec<String>> {
    let Some(values) = values else {
        return Ok(Vec::new());
    };
    if values.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err(format!(
            "{name}: expected a sequence of str, not one str"
        )));
    }
    values.try_iter()?.map(|value| value?.extract()).collect()
}

/// Headers: a `Headers`, a mapping, or pairs of name and value.
pub fn headers(values: Option<&Bound<'_, PyAny>>) -> PyResult<Vec<(String, Vec<u8>)>> {
    let Some(values) = values else {
        return Ok(Vec::new());
    };
    let pairs = if values.hasattr("raw_items")? {
        values.call_method0("raw_items")?
    } else if values.hasattr("items")? {
        values.call_method0("items")?
    } else {
        values.clone()
    };
    let pair = |pair: PyResult<Bound<'_, PyAny>>| {
        let (name, value): (String, Bound<'_, PyString>) = pair?.extract()?;
        Ok((name, latin_1(&value)?))
    };
    pairs.try_iter()?.map(pair).collect()
}

/// The bytes of a header's value, of which ISO-8859-1 can express every one.
pub fn latin_1(value: &Bound<'_, PyString>) -> PyResult<Vec<u8>> {
    value.call_method1("encode", ("iso-8859-1",))?.extract()
}

/// What is to be done about a silent peer: both in seconds, `None` for no Pings, or for never
/// giving it up.
pub fn keepalive(
    interval: Option<f64>,
    timeout: Option<f64>,
) -> PyResult<Option<(Duration, Duration)>> {
    let Some(interval) = interval else {
        return Ok(None);
    };
    let interval = duration("ping_interval", interval)?;
    if interval.is_zero() {
        let text = "ping_interval: expected seconds, more than none; None sends no Pings";
        return Err(PyValueError::new_err(text));
    }
    Ok(Some((interval, self::timeout("ping_timeout", timeout)?)))
}

/// How to compress: the fields of `Deflate` in `talkws.extensions.permessage_deflate`.
pub type Deflate = (u8, u8, usize, bool, bool, u8, u8);

/// Options of either kind.
pub trait Compressing: Sized {
    fn deflate(self, options: Option<DeflateOptions>) -> talkws::Result<Self>;
}

macro_rules! compressing {
    ($options:ident) => {
        impl Compressing for $options {
            #[cfg(feature = "deflate")]
            fn deflate(self, options: Option<DeflateOptions>) -> talkws::Result<Self> {
                Ok($options::deflate(self, options))
            }

            /// What everybody asks for unless they say otherwise is no error.
            #[cfg(not(feature = "deflate"))]
            fn deflate(self, _options: Option<DeflateOptions>) -> talkws::Result<Self> {
                Ok(self)
            }
        }
    };
}

compressing!(DialOptions);
compressing!(ListenOptions);

/// Options that compress so, or not.
pub fn compressing<T: Compressing>(options: T, deflate: Option<Deflate>) -> talkws::Result<T> {
    let Some((level, memory_level, threshold, own_alone, peer_alone, own_bits, peer_bits)) =
        deflate
    else {
        return options.deflate(None);
    };
    let deflate = DeflateOptions::new()
        .level(level)?
        .memory_level(memory_level)?
        .threshold(threshold)
        .own_no_context_takeover(own_alone)
        .peer_no_context_takeover(peer_alone)
        .own_max_window_bits(own_bits)?
        .peer_max_window_bits(peer_bits)?;
    options.deflate(Some(deflate))
}

/// How proxies say who their client is; needed if any are trusted, and only then.
pub fn forwarding(name: Option<&str>, nobody_is_trusted: bool) -> PyResult<Option<Forwarding>> {
    let forwarding = match name {
        None => None,
        Some("Forwarded") => Some(Forwarding::Forwarded),
        Some("X-Forwarded-For") => Some(Forwarding::XForwardedFor),
        Some("PROXY") => Some(Forwarding::ProxyProtocol),
        Some(name) => {
            let text =
                format!("forwarding={name:?}: expected 'Forwarded', 'X-Forwarded-For' or 'PROXY'");
            return Err(PyValueError::new_err(text));
        }
    };
    if forwarding.is_none() != nobody_is_trusted {
        let text = "trusted_proxies and forwarding: one makes no sense without the other";
        return Err(PyValueError::new_err(text));
    }
    Ok(forwarding)
}

/// The permissions of a file.
pub fn unix_mode(mode: u32) -> PyResult<u32> {
    if mode > 0o777 {
        let text = format!("unix_mode={mode:#o}: expected permissions, such as 0o660");
        return Err(PyValueError::new_err(text));
    }
    Ok(mode)
}

/// A duplicate of a descriptor of Python's, which stays Python's.
pub fn descriptor(number: RawFd) -> PyResult<OwnedFd> {
    if number < 0 {
        return Err(PyValueError::new_err("sock: it is closed"));
    }
    // SAFETY: not -1, and nothing but a call of the system is made with it, which says so when the
    // number means nothing.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    Ok(borrowed.try_clone_to_owned()?)
}
