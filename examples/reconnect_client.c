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
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "talkws.h"

struct plan {
    const char *url;
    long hellos;   /* how many are still to be answered */
    long attempts; /* how often to try in vain before giving up */
    long failures; /* since the last answer */
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
        plan->failures = 0;
        if (--plan->hellos == 0)
            return WS_OK;
        poll(NULL, 0, (int)plan->pause_ms);
    }
}

/* A wrong URL stays wrong, and so does most of what a server refuses. */
static int is_worth_another_try(ws_status status, int32_t http_status) {
    if (status == WS_REFUSED)
        return http_status == 408 || http_status == 429 || http_status >= 500;
    return status != WS_INVALID_ARGUMENT && status != WS_INVALID_URL && status != WS_UNSUPPORTED &&
           status != WS_HANDSHAKE;
}

/* Dials. What a server says when it refuses is kept, and may ask its client to wait. */
static ws_status dial(struct plan *plan, ws_conn *ws, long *wait_ms, ws_error *err) {
    ws_status status = ws_dial(plan->url, plan->options, ws, err);
    int32_t state;

    if (status != WS_OK || (status = ws_state(*ws, &state, err)) != WS_OK)
        return status;
    if (state != WS_STATE_CLOSED)
        return WS_OK;
    /* In seconds; a date, or more than some hours, is not heard. */
    if (ws_response_header(*ws, "Retry-After", &plan->msg, NULL) == WS_OK && plan->msg.len < 5 &&
        strspn(plan->msg.data, "0123456789") == plan->msg.len)
        *wait_ms = 1000 * atol(plan->msg.data);
    /* The read tells how it was refused. */
    status = ws_read(*ws, &plan->msg, 0, err);
    ws_close(*ws, WS_CLOSE_NORMAL, NULL, NULL);
    return status;
}

static ws_status stay_connected(struct plan *plan, ws_error *err) {
    for (;;) {
        long wait_ms = -1;
        ws_conn ws;
        ws_status status = dial(plan, &ws, &wait_ms, err);
        int is_connected = status == WS_OK;

        if (is_connected) {
            printf("Connected\n"), fflush(stdout);
            if ((status = talk(plan, ws, err)) == WS_OK)
                return ws_close(ws, WS_CLOSE_NORMAL, "bye", err);
            ws_abort(ws, NULL);
        }
        if (!is_worth_another_try(status, err->http_status) || ++plan->failures == plan->attempts)
            return status;
        printf("%s: %s\n", is_connected ? "Lost" : "Not connected", err->message), fflush(stdout);
        poll(NULL, 0, (int)(wait_ms >= 0 ? wait_ms : backoff(plan->pause_ms, plan->failures)));
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
    /* A server that dies without a word is noticed, too. */
    if (status == WS_OK)
        status = ws_options_set_keepalive(plan.options, 20000, 20000, &err);
    if (status == WS_OK)
        status = stay_connected(&plan, &err);
    ws_options_free(plan.options);
    ws_message_free(&plan.msg);
    return status == WS_OK ? 0 : (fprintf(stderr, "%s\n", err.message), 1);
}
