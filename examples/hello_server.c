/* Answers every client's hello.
 *
 *     make build-c && target/c/hello_server [URL]
 */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "talkws.h"

/* Talks with one client until it closes. */
static ws_status answer(ws_conn ws, ws_error *err) {
    const char *hello = "Hello from server!";
    ws_message msg = WS_MESSAGE_INIT;
    ws_status status;

    while ((status = ws_read(ws, &msg, WS_FOREVER, err)) == WS_OK) {
        printf("Message: %s\n", msg.data);
        fflush(stdout);
        status = ws_write(ws, WS_TEXT, hello, strlen(hello), err);
        if (status != WS_OK)
            break;
    }
    ws_message_free(&msg);
    return status;
}

static void *serve_client(void *argument) {
    ws_conn ws = *(ws_conn *)argument;
    ws_error err;

    free(argument);
    if (answer(ws, &err) != WS_CLOSED)
        fprintf(stderr, "%s\n", err.message);
    ws_close(ws, WS_CLOSE_NORMAL, NULL, NULL);
    return NULL;
}

/* Gives a client a thread of its own; says no when there is none. */
static void start_serving(ws_conn ws) {
    pthread_t thread;
    ws_conn *argument = malloc(sizeof *argument);

    if (argument != NULL)
        *argument = ws;
    if (argument == NULL || pthread_create(&thread, NULL, serve_client, argument) != 0) {
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
    const char *url = argc > 1 ? argv[1] : "ws://localhost:8080/talk-to-server";
    ws_listener listener;
    ws_conn ws;
    ws_status status;
    ws_error err;

    if (ws_listen(url, NULL, &listener, &err) != WS_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    status = announce(listener, &err);
    while (status == WS_OK && (status = ws_accept(listener, &ws, WS_FOREVER, &err)) == WS_OK)
        start_serving(ws);
    fprintf(stderr, "%s\n", err.message);
    ws_listener_close(listener, NULL);
    return 1;
}
