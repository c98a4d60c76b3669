/* Says hello once a second for as long as it may, and dials again when the connection is lost:
 * after a pause that doubles, with jitter, so that not all clients of a restarted server come at
 * once.
 *
 *     make build-c && target/c/reconnect_client [URL [HELLOS [ATTEMPTS [PAUSE_MS]]]]
 */

#define _POSIX_C_SOURCE 200809L

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "talkws.h"

enum { MAX_WAIT_MS = 60 * 60 * 1000 }; /* a server that asks for more is not heard */

struct plan {
    const char *url;
    long hellos;   /* how many are still to be answered */
    long attempts; /* how often to dial in vain before giving up */
    long pause_ms; /* the first pause, and the time between two hellos */
    ws_options *options;
    ws_message msg;
};

/* From half of the pause to all of it; the pause doubles with each failure, up to 64 times. */
static long backoff(long pause_ms, long failures) {
    long longest = pause_ms << (failures < 6 ? failures : 6);

    return longest / 2 + (long)((double)longest / 2 * rand() / RAND_MAX);
}

static ws_status talk(struct plan *plan, ws_conn ws, ws_error *err) {
    for (;;) {
        ws_status status = ws_write(ws, WS_TEXT, "Hello from client!", 18, err);

        if (status == WS_OK)
            status = ws_read(ws, &plan->msg, WS_FOREVER, err);
        if (status != WS_OK)
            return status;
        printf("Received: %s\n", plan->msg.data), fflush(stdout);
        if (--plan->hellos == 0)
            return WS_OK;
        poll(NULL, 0, (int)plan->pause_ms);
    }
}

/* A wrong URL stays wrong, and so does most of what a server refuses. */
static int is_worth_another_try(ws_status status, int32_t http_status) {
    if (status == WS_REFUSED)
        return http_status == 408 || http_status == 429 || http_status >= 500;
    return status != WS_INVALID_ARGUMENT && status != WS_INVALID_URL && status != WS_UNSUPPORTED;
}

/* Dials. What a server says when it refuses is kept, and may ask its client to wait. */
static ws_status dial(struct plan *plan, ws_conn *ws, long *retry_after_ms, ws_error *err) {
    ws_status status = ws_dial(plan->url, plan->options, ws, err);
    int32_t state;

    if (status != WS_OK || (status = ws_state(*ws, &state, err)) != WS_OK)
        return status;
    if (state != WS_STATE_CLOSED)
        return WS_OK;
    if (ws_response_header(*ws, "Retry-After", &plan->msg, NULL) == WS_OK)
        *retry_after_ms = 1000L * atoi(plan->msg.data);
    if (*retry_after_ms < 0 || *retry_after_ms > MAX_WAIT_MS)
        *retry_after_ms = -1;
    /* The read tells how it was refused. */
    status = ws_read(*ws, &plan->msg, 0, err);
    ws_close(*ws, WS_CLOSE_NORMAL, NULL, NULL);
    return status;
}

static ws_status stay_connected(struct plan *plan, ws_error *err) {
    long failures = 0;

    for (;;) {
        long retry_after_ms = -1;
        ws_conn ws;
        ws_status status = dial(plan, &ws, &retry_after_ms, err);

        if (status == WS_OK) {
            printf("Connected\n");
            failures = 0;
            if (talk(plan, ws, err) == WS_OK)
                return ws_close(ws, WS_CLOSE_NORMAL, "bye", err);
            printf("Lost: %s\n", err->message);
            ws_abort(ws, NULL);
        } else {
            if (!is_worth_another_try(status, err->http_status) || ++failures == plan->attempts)
                return status;
            printf("Not connected: %s\n", err->message);
        }
        fflush(stdout);
        poll(NULL, 0,
             (int)(retry_after_ms >= 0 ? retry_after_ms : backoff(plan->pause_ms, failures)));
    }
}

int main(int argc, char **argv) {
    struct plan plan = {.url = argc > 1 ? argv[1] : "ws://localhost:8080/talk-to-server",
                        .hellos = argc > 2 ? atol(argv[2]) : 10,
                        .attempts = argc > 3 ? atol(argv[3]) : 8,
                        .pause_ms = argc > 4 ? atol(argv[4]) : 1000,
                        .options = ws_options_new(),
                        .msg = WS_MESSAGE_INIT};
    ws_error err;
    ws_status status = ws_options_keep_refusal(plan.options, 1, &err);

    srand((unsigned)time(NULL) ^ (unsigned)getpid());
    if (status == WS_OK)
        status = stay_connected(&plan, &err);
    ws_options_free(plan.options);
    ws_message_free(&plan.msg);
    return status == WS_OK ? 0 : (fprintf(stderr, "%s\n", err.message), 1);
}
