//! Choices of how messages are compressed.

use engine::DeflateOptions;

use super::{Choices, change, flag, ws_options};
use crate::error::{Failure, ws_error};
use crate::status::ws_status;

/// Changes how both kinds of connections compress.
///
/// # Safety
///
/// As for `change`.
unsafe fn change_deflate(
    options: *mut ws_options,
    err: *mut ws_error,
    choose: impl Fn(DeflateOptions) -> Result<DeflateOptions, Failure>,
) -> ws_status {
    // SAFETY: promised by the caller of this function.
    unsafe {
        change(options, err, &mut |mut choices| {
            choices.deflate = choose(choices.deflate)?;
            apply(choices)
        })
    }
}

#[cfg(feature = "deflate")]
fn apply(mut choices: Choices) -> Result<Choices, Failure> {
    let deflate = (!choices.is_plain).then_some(choices.deflate);
    choices.dial = choices.dial.deflate(deflate);
    choices.listen = choices.listen.deflate(deflate);
    Ok(choices)
}

#[cfg(not(feature = "deflate"))]
fn apply(choices: Choices) -> Result<Choices, Failure> {
    if choices.is_plain {
        return Ok(choices);
    }
    let reason = "options: this build cannot compress; see ws_has(WS_FEATURE_DEFLATE)";
    Err(engine::Error::Unsupported(reason.into()).into())
}

/// A number that only the engine knows the range of.
fn small(value: i32) -> Result<u8, Failure> {
    u8::try_from(value).map_err(|_| {
        let reason = format!("options: deflate: {value} is no level, and no number of bits");
        engine::Error::InvalidArgument(reason.into()).into()
    })
}

/// Whether messages are compressed (permessage-deflate, RFC 7692) on connections from `ws_dial` or
/// `ws_listen`, if the other end agrees. Default: 1, if `ws_has(WS_FEATURE_DEFLATE)`.
///
/// A connection whose messages refer to those before them needs memory, from the first one on that
/// is compressed: 46 KiB for those that come, and for those that go 371 KiB with the defaults, 161
/// KiB with a window of 12 bits and memory level 5. `ws_options_set_deflate_context_takeover` is a way
/// around that.
///
/// @param options  options.
/// @param enabled  0: it is neither offered nor accepted; anything else: it is.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_add_header`, and `WS_UNSUPPORTED`: this build cannot compress.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_set_deflate(
    options: *mut ws_options,
    enabled: i32,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: `err` is NULL or the caller's.
    unsafe {
        change(options, err, &mut |mut choices| {
            choices.is_plain = !flag(enabled);
            apply(choices)
        })
    }
}

/// How hard to compress, and with how much memory.
///
/// @param options       options.
/// @param level         from 1, fast, to 9, small. Default: 6.
/// @param memory_level  from 1, least memory, to 9. Default: 8.
/// @param err           where to tell a failure, or NULL.
/// @return              as `ws_options_set_deflate`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_set_deflate_level(
    options: *mut ws_options,
    level: i32,
    memory_level: i32,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: `err` is NULL or the caller's.
    unsafe {
        change_deflate(options, err, |deflate| {
            let deflate = deflate.level(small(level)?)?;
            Ok(deflate.memory_level(small(memory_level)?)?)
        })
    }
}

/// The smallest message that is compressed; of one that is written in parts it is the first part
/// that counts. Default: 256.
///
/// @param options  options.
/// @param bytes    the size of its payload; `SIZE_MAX` compresses nothing that goes, and takes what
///                 comes.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_set_deflate`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_set_deflate_threshold(
    options: *mut ws_options,
    bytes: usize,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: `err` is NULL or the caller's.
    unsafe { change_deflate(options, err, |deflate| Ok(deflate.threshold(bytes))) }
}

/// Whether messages refer to those before them (RFC 7692, 7.1.1): that makes them smaller, and a
/// connection that is idle needs the memory for it. Default: 1 and 1.
///
/// @param options  options.
/// @param own      for messages that this end sends. 0: each is compressed by itself.
/// @param peer     for messages that the other end sends. 0: it is asked not to; a server that does
///                 not agree makes `ws_dial` fail with `WS_HANDSHAKE`.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_set_deflate`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_set_deflate_context_takeover(
    options: *mut ws_options,
    own: i32,
    peer: i32,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: `err` is NULL or the caller's.
    unsafe {
        change_deflate(options, err, |deflate| {
            let deflate = deflate.own_no_context_takeover(!flag(own));
            Ok(deflate.peer_no_context_takeover(!flag(peer)))
        })
    }
}

/// How far back a message may refer: 2 to the power of a number of bits, in bytes (RFC 7692, 7.1.2).
/// Default: 15 and 15.
///
/// @param options  options.
/// @param own      for messages that this end sends: 8 to 15. The other end may want less. With 8
///                 nothing is compressed that goes: no compressor there is works with so small a
///                 window.
/// @param peer     for messages that the other end sends: 8 to 15. A server that does not agree makes
///                 `ws_dial` fail with `WS_HANDSHAKE`; a client is asked only if it says that it can
///                 be.
/// @param err      where to tell a failure, or NULL.
/// @return         as `ws_options_set_deflate`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_options_set_deflate_window_bits(
    options: *mut ws_options,
    own: i32,
    peer: i32,
    err: *mut ws_error,
) -> ws_status {
    // SAFETY: `err` is NULL or the caller's.
    unsafe {
        change_deflate(options, err, |deflate| {
            let deflate = deflate.own_max_window_bits(small(own)?)?;
            Ok(deflate.peer_max_window_bits(small(peer)?)?)
        })
    }
}
