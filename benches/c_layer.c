/* What a call costs in C over the same call in Rust, without a network: messages of 32 bytes, on a
 * connection whose other end takes everything and has always sent something.
 *
 *     make bench-c
 */

#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "testing.h"

enum { SIZE = 32, CALLS = 200000, ROUNDS = 41 };

static uint64_t now(void) {
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static uint64_t time_c(int is_read) {
    static const char payload[SIZE];
    ws_conn ws = ws_test_endless(SIZE);
    ws_message msg = WS_MESSAGE_INIT;
    ws_error err;
    uint64_t took = now();

    for (int i = 0; i < CALLS; i++) {
        ws_status status = is_read ? ws_read(ws, &msg, WS_FOREVER, &err)
                                   : ws_write(ws, WS_BINARY, payload, SIZE, &err);
        if (status != WS_OK) {
            fprintf(stderr, "%s\n", err.message);
            exit(1);
        }
    }
    took = now() - took;
    ws_message_free(&msg);
    ws_abort(ws, NULL);
    return took;
}

static int compare(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

static double median(uint64_t *rounds) {
    qsort(rounds, ROUNDS, sizeof *rounds, compare);
    return (double)rounds[ROUNDS / 2] / CALLS;
}

int main(void) {
    printf("%-8s %10s %10s %10s\n", "call", "Rust, ns", "C, ns", "more, ns");
    for (int is_read = 0; is_read <= 1; is_read++) {
        uint64_t rust[ROUNDS], c[ROUNDS];

        /* In turns, so that whatever else the machine does falls on both. */
        for (int i = 0; i < ROUNDS; i++) {
            rust[i] = ws_test_time_rust(is_read, SIZE, CALLS);
            c[i] = time_c(is_read);
        }
        double in_rust = median(rust), in_c = median(c);

        printf("%-8s %10.1f %10.1f %10.1f\n", is_read ? "read" : "write", in_rust, in_c,
               in_c - in_rust);
    }
    return 0;
}
