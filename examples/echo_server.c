/* Sends every message back, with a thread for each connection.
 *
 *     make build-c && target/c/echo_server [PORT]
 */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "talkws.h"

static void *echo(void *argument) {
    ws_conn ws = *(ws_conn *)argument;
    ws_message msg = WS_MESSAGE_INIT;
    ws_status status;
    ws_error err;

    free(argument);
    do {
        status = ws_read(ws, &msg, WS_FOREVER, &err);
        if (status == WS_OK)
            status = ws_write(ws, msg.type, msg.data, msg.len, &err);
    } while (status == WS_OK);
    /* What a peer did wrong was told to the peer; here it is worth a line only when asked for. */
    if (status != WS_CLOSED && getenv("ECHO_VERBOSE") != NULL)
        fprintf(stderr, "%s\n", err.message);
    ws_message_free(&msg);
    ws_close(ws, WS_CLOSE_NORMAL, NULL, NULL);
    return NULL;
}

/* Gives a client a thread of its own; says no when there is none. */
static void start_echo(ws_conn ws) {
    pthread_t thread;
    ws_conn *argument = malloc(sizeof *argument);

    if (argument != NULL)
        *argument = ws;
    if (argument == NULL || pthread_create(&thread, NULL, echo, argument) != 0) {
        fprintf(stderr, "no thread for another client\n");
        free(argument);
        ws_refuse(ws, 503, "Too many clients.\n", NULL, NULL);
        return;
    }
    pthread_detach(thread);
}

/* Says where clients can dial: the URL that was asked for, with the port that it got. */
static ws_status announce(ws_listener listener, ws_error *err) {
    ws_message url = WS_MESSAGE_INIT;

    ws_status status = ws_listener_url(listener, &url, err);
    if (status == WS_OK) {
        printf("Listening on %s\n", url.data);
        fflush(stdout);
    }
    ws_message_free(&url);
    return status;
}

int main(int argc, char **argv) {
    char url[64];
    ws_listener listener;
    ws_conn ws;
    ws_status status;
    ws_error err;

    snprintf(url, sizeof url, "ws://127.0.0.1:%s", argc > 1 ? argv[1] : "9001");
    if (ws_listen(url, NULL, &listener, &err) != WS_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    status = announce(listener, &err);
    while (status == WS_OK && (status = ws_accept(listener, &ws, WS_FOREVER, &err)) == WS_OK)
        start_echo(ws);
    fprintf(stderr, "%s\n", err.message);
    ws_listener_close(listener, NULL);
    return 1;
}
