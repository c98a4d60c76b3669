//! Faults on demand, and connections without a network: only in builds for the tests, with the
//! feature `testing`. `tests/c/testing.h` declares these.

use std::hint::black_box;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Instant;

use engine::testing::{Point, endless_connection};
use engine::{Deadline, Message, MessageKind};

use crate::connection::{Conn, ws_conn};
use crate::handles::handles;

/// How many allocations still succeed; negative when all do.
static LEFT: AtomicI64 = AtomicI64::new(-1);
/// Smaller ones always do.
static SMALLEST: AtomicUsize = AtomicUsize::new(0);
/// How many were refused.
static REFUSED: AtomicI64 = AtomicI64::new(0);

pub(crate) fn refuses_memory(size: usize) -> bool {
    if LEFT.load(Ordering::Relaxed) < 0 || size < SMALLEST.load(Ordering::Relaxed) {
        return false;
    }
    let count_down = |left: i64| (left > 0).then(|| left - 1);
    let is_refused = LEFT
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, count_down)
        .is_err();
    if is_refused {
        REFUSED.fetch_add(1, Ordering::Relaxed);
    }
    is_refused
}

/// From the allocation after the next `after` on, the system has no memory for `smallest` bytes or
/// more; it always has when `after` is negative. Gives how many were refused since the last call.
#[unsafe(no_mangle)]
pub extern "C" fn ws_test_fail_allocations(after: i64, smallest: usize) -> i64 {
    SMALLEST.store(smallest, Ordering::Relaxed);
    LEFT.store(after, Ordering::Relaxed);
    REFUSED.swap(0, Ordering::Relaxed)
}

/// Makes the engine panic the next time that it comes to a point: 1 to receive, 2 to send, 3 to
/// connect, 4 to accept; 0 disarms.
#[unsafe(no_mangle)]
pub extern "C" fn ws_test_panic_at(point: i32) {
    engine::testing::arm(match point {
        1 => Some(Point::Receive),
        2 => Some(Point::Send),
        3 => Some(Point::Connect),
        4 => Some(Point::Accept),
        _ => None,
    });
}

/// A connection without a network: it takes all that is written, and there is always another
/// message of 32 bytes to read. Zero when there is no handle.
#[unsafe(no_mangle)]
pub extern "C" fn ws_test_endless(message_size: usize) -> ws_conn {
    let connection = endless_connection(message_size);
    handles()
        .add_connection(Conn::dialled(connection))
        .unwrap_or(0)
}

/// How many nanoseconds it takes a Rust program to write (`is_read` 0) or read that many messages
/// of that size on such a connection.
#[unsafe(no_mangle)]
pub extern "C" fn ws_test_time_rust(is_read: i32, message_size: usize, count: u64) -> u64 {
    let connection = endless_connection(message_size);
    let payload = vec![b'x'; message_size];
    let mut message = Message::default();
    let start = Instant::now();
    for _ in 0..count {
        let done = if is_read != 0 {
            connection.read_into(&mut message, Deadline::NEVER)
        } else {
            connection.write_data(MessageKind::Binary, black_box(&payload), Deadline::NEVER)
        };
        if black_box(done).is_err() {
            return u64::MAX;
        }
    }
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
