//! `ws_topics`: who wants to hear of what.

use std::ffi::c_char;

use engine::Topics;

use crate::arguments;
use crate::broadcast::{ws_prepared, ws_report};
use crate::connection::{with, ws_conn};
use crate::error::{Failure, ws_error};
use crate::guard;
use crate::handles::handles;
use crate::memory;
use crate::status::ws_status;

/// Connections by what they want to hear of: a chat's rooms, a stock's prices. Made by `ws_topics_new`,
/// ended by `ws_topics_free`. A connection that has ended leaves by itself. 0 is never one.
#[allow(non_camel_case_types)]
pub type ws_topics = u64;

/// The name of a topic.
///
/// # Safety
///
/// As for [`arguments::text`].
unsafe fn name<'a>(topic: *const c_char) -> Result<&'a str, Failure> {
    // SAFETY: promised by the caller of this function.
    unsafe { arguments::text(topic, "topics: topic is NULL", "topics: topic is not UTF-8") }
}

/// Makes a set of topics.
///
/// @param topics  where to put it.
/// @param err     where to tell a failure, or NULL.
/// @return        `WS_OK`, `WS_INVALID_ARGUMENT`, `WS_NO_MEMORY`, `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_topics_new(topics: *mut ws_topics, err: *mut ws_error) -> ws_status {
    let body = || {
        let out = arguments::output(topics, "topics: topics is NULL")?;
        memory::check()?;
        let number = handles().add_topics(Topics::new())?;
        // SAFETY: not NULL, and the caller's to be written.
        unsafe { out.write(number) };
        Ok(())
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

/// Ends a set of topics; the connections go on.
///
/// @param topics  topics, or 0, for which nothing is done.
/// @param err     where to tell a failure, or NULL.
/// @return        `WS_OK`, `WS_BAD_HANDLE`, `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_topics_free(topics: ws_topics, err: *mut ws_error) -> ws_status {
    let body = || match topics {
        0 => Ok(()),
        topics => handles().take_topics(topics).map(drop),
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

/// Lets a connection hear of a topic. One that does already, or that has ended, is left alone.
///
/// @param topics  topics.
/// @param topic   its name, UTF-8.
/// @param ws      a connection. One that was accepted and not answered yet is upgraded first.
/// @param err     where to tell a failure, or NULL.
/// @return        `WS_OK`, `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`, `WS_NO_MEMORY`, `WS_INTERNAL`; and
///                what `ws_upgrade` returns, where it upgrades.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_subscribe(
    topics: ws_topics,
    topic: *const c_char,
    ws: ws_conn,
    err: *mut ws_error,
) -> ws_status {
    let body = || {
        // SAFETY: the caller lends the text to this call.
        let topic = unsafe { name(topic)? };
        let topics = handles().topics(topics)?;
        with(ws, |connection| {
            topics.subscribe(topic, connection);
            Ok(())
        })
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

/// Lets a connection hear of a topic no more.
///
/// @param topics  topics.
/// @param topic   its name, UTF-8; NULL for all topics.
/// @param ws      a connection.
/// @param err     where to tell a failure, or NULL.
/// @return        `WS_OK`, also when it did not hear of it; `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`,
///                `WS_INTERNAL`.
///
/// Threads: any. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_unsubscribe(
    topics: ws_topics,
    topic: *const c_char,
    ws: ws_conn,
    err: *mut ws_error,
) -> ws_status {
    let body = || {
        let topics = handles().topics(topics)?;
        let conn = handles().connection(ws)?;
        let Some(connection) = conn.if_open() else {
            return Ok(());
        };
        if topic.is_null() {
            topics.unsubscribe_all(connection);
        } else {
            // SAFETY: the caller lends the text to this call.
            topics.unsubscribe(unsafe { name(topic)? }, connection);
        }
        Ok(())
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

/// Writes a message to all who want to hear of a topic, and waits for none of them: see
/// `ws_broadcast`.
///
/// @param topics    topics.
/// @param topic     its name, UTF-8.
/// @param prepared  the message.
/// @param report    where to put what became of it, or NULL.
/// @param err       where to tell a failure, or NULL.
/// @return          `WS_OK`, also when nobody wants to hear of it; `WS_INVALID_ARGUMENT`,
///                  `WS_BAD_HANDLE`, `WS_NO_MEMORY`, `WS_INTERNAL`.
///
/// Threads: any. Messages of one thread reach each connection in their order. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_publish(
    topics: ws_topics,
    topic: *const c_char,
    prepared: ws_prepared,
    report: *mut ws_report,
    err: *mut ws_error,
) -> ws_status {
    let body = || {
        // SAFETY: the caller lends the text to this call.
        let topic = unsafe { name(topic)? };
        let topics = handles().topics(topics)?;
        let prepared = handles().prepared(prepared)?;
        memory::check()?;
        let told = topics.publish(topic, &prepared);
        if !report.is_null() {
            // SAFETY: not NULL, and the caller's to be written.
            unsafe { report.write(ws_report::of(told)) };
        }
        Ok(())
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}
