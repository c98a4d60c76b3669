/* Sends back every message of a conformance suite's server, case by case: the client side of the
 * Autobahn test suite.
 *
 *     make build-c && target/c/echo_client ws://127.0.0.1:9001 AGENT
 */

#include <stdio.h>
#include <stdlib.h>

#include "talkws.h"

enum { URL_SIZE = 1024, MAX_MESSAGE = 64 << 20 };

/* Dials, and reads the one message that the suite has to say there, or its goodbye. */
static ws_status ask(const char *url, ws_message *answer, ws_error *err) {
    ws_conn ws;
    ws_status status = ws_dial(url, NULL, &ws, err);

    if (status != WS_OK)
        return status;
    status = ws_read(ws, answer, WS_FOREVER, err);
    ws_close(ws, WS_CLOSE_NORMAL, NULL, NULL);
    return status == WS_CLOSED ? WS_OK : status;
}

/* How a case ends is for the suite to judge. */
static void echo(ws_conn ws, ws_message *msg) {
    while (ws_read(ws, msg, WS_FOREVER, NULL) == WS_OK &&
           ws_write(ws, msg->type, msg->data, msg->len, NULL) == WS_OK)
        ;
    ws_abort(ws, NULL);
}

static ws_status run_cases(const char *base, const char *agent, const ws_options *options,
                           ws_message *msg, ws_error *err) {
    char url[URL_SIZE];
    long count;
    ws_status status;

    snprintf(url, sizeof url, "%s/getCaseCount", base);
    status = ask(url, msg, err);
    if (status != WS_OK)
        return status;
    count = strtol(msg->data, NULL, 10);
    for (long i = 1; i <= count; i++) {
        ws_conn ws;

        snprintf(url, sizeof url, "%s/runCase?case=%ld&agent=%s", base, i, agent);
        status = ws_dial(url, options, &ws, err);
        if (status != WS_OK)
            return status;
        echo(ws, msg);
    }
    snprintf(url, sizeof url, "%s/updateReports?agent=%s", base, agent);
    return ask(url, msg, err);
}

int main(int argc, char **argv) {
    ws_message msg = WS_MESSAGE_INIT;
    ws_options *options = ws_options_new();
    ws_error err;
    ws_status status;

    if (argc != 3) {
        fprintf(stderr, "usage: echo_client BASE_URL AGENT\n");
        return 2;
    }
    status = ws_options_set_max_message_size(options, MAX_MESSAGE, &err);
    if (status == WS_OK)
        status = run_cases(argv[1], argv[2], options, &msg, &err);
    ws_options_free(options);
    ws_message_free(&msg);
    if (status != WS_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    return 0;
}
