/* What a library that was built with the feature `testing` has besides talkws.h: faults on demand,
 * and connections without a network. See bindings/c/src/testing.rs. */

#ifndef TESTING_H
#define TESTING_H

#include <stddef.h>
#include <stdint.h>

#include "talkws.h"

/* After `after` more allocations the system has no memory for `smallest` bytes or more; negative:
 * it has again. Gives how many were refused since the last call. */
int64_t ws_test_fail_allocations(int64_t after, size_t smallest);

enum { PANIC_NEVER, PANIC_RECEIVE, PANIC_SEND, PANIC_CONNECT, PANIC_ACCEPT };
/* The engine panics the next time that it comes to that point. */
void ws_test_panic_at(int32_t point);

/* A connection that takes all that is written, and always has another message to read. */
ws_conn ws_test_endless(size_t message_size);
/* How many nanoseconds as many calls take a Rust program on such a connection. */
uint64_t ws_test_time_rust(int32_t is_read, size_t message_size, uint64_t count);

#endif
