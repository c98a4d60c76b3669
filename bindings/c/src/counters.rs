//! `ws_counters`: what a connection has done so far.

use crate::arguments;
use crate::connection::ws_conn;
use crate::error::ws_error;
use crate::guard;
use crate::handles::handles;
use crate::status::ws_status;

/// What a connection has done so far. Yours, on your stack; its layout is frozen.
#[repr(C)]
#[allow(non_camel_case_types)]
pub struct ws_counters {
    /// Messages that were read to their end.
    pub messages_received: u64,
    /// Messages that were accepted for sending.
    pub messages_sent: u64,
    /// Bytes of payload that were read.
    pub bytes_received: u64,
    /// Bytes of payload that were accepted for sending.
    pub bytes_sent: u64,
    /// Pings that came; the library answers them.
    pub pings_received: u64,
    /// Pings that were sent, those of keepalive included.
    pub pings_sent: u64,
    /// Pongs that came, asked for or not.
    pub pongs_received: u64,
    /// How long the newest answer to a Ping took, in microseconds, at least 1; 0 before the first.
    pub round_trip_us: u64,
    /// Messages that were accepted for sending and dropped, to make room for newer ones
    /// (`WS_BACKLOG_DROP_OLDEST`).
    pub messages_dropped: u64,
    /// Room for what future versions count; 0.
    pub private_room: [u64; 7],
}

/// Tells what a connection has done so far. Before the upgrade that is nothing.
///
/// @param ws        a connection.
/// @param counters  where to put the counts.
/// @param err       where to tell a failure, or NULL.
/// @return          `WS_OK`, `WS_INVALID_ARGUMENT`, `WS_BAD_HANDLE`, `WS_INTERNAL`; for one that
///                  could not be upgraded or was refused, why.
///
/// Threads: any. Waits for nothing; others may be counting meanwhile. Since 0.1.0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ws_count(
    ws: ws_conn,
    counters: *mut ws_counters,
    err: *mut ws_error,
) -> ws_status {
    let body = || {
        let out = arguments::output(counters, "count: counters is NULL")?;
        let conn = handles().connection(ws)?;
        let counted = conn.look(
            |_| engine::Counters::default(),
            engine::Connection::counters,
        )?;
        let round_trip = counted.round_trip.map_or(0, |took| took.as_micros().max(1));
        let counters = ws_counters {
            messages_received: counted.messages_received,
            messages_sent: counted.messages_sent,
            bytes_received: counted.bytes_received,
            bytes_sent: counted.bytes_sent,
            pings_received: counted.pings_received,
            pings_sent: counted.pings_sent,
            pongs_received: counted.pongs_received,
            round_trip_us: u64::try_from(round_trip).unwrap_or(u64::MAX),
            messages_dropped: counted.messages_dropped,
            private_room: [0; 7],
        };
        // SAFETY: not NULL, and the caller's to be written.
        unsafe { out.write(counters) };
        Ok(())
    };
    // SAFETY: `err` is NULL or the caller's.
    unsafe { guard::call(err, body) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_frozen() {
        assert_eq!(size_of::<ws_counters>(), 128);
        assert_eq!(std::mem::offset_of!(ws_counters, round_trip_us), 56);
    }
}
