/* Sends every message back to who sent it: a few threads for any number of clients.
 *
 *     make build-c && target/c/echo_events [PORT [THREADS]]      port 0 takes a free one
 */

#include <stdio.h>
#include <stdlib.h>

#include "talkws.h"

static void send_back(void *user, ws_conn ws, void *state, int32_t type, const char *data,
                      size_t len) {
    (void)user, (void)state;
    /* It fails when the connection has ended, of which on_close would be told. */
    ws_write(ws, type, data, len, NULL);
}

int main(int argc, char **argv) {
    ws_handlers handlers = {.size = sizeof handlers, .on_message = send_back};
    ws_message url = WS_MESSAGE_INIT;
    ws_listener listener;
    ws_error err;
    char where[64];

    snprintf(where, sizeof where, "ws://localhost:%s/", argc > 1 ? argv[1] : "8080");
    if (ws_listen(where, NULL, &listener, &err) != WS_OK ||
        ws_listener_url(listener, &url, &err) != WS_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    printf("Listening on %s\n", url.data);
    fflush(stdout);
    ws_message_free(&url);
    if (ws_serve(listener, &handlers, argc > 2 ? atoi(argv[2]) : 1, NULL, &err) != WS_OK)
        fprintf(stderr, "%s\n", err.message);
    return 1;
}
