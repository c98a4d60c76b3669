/* A program as one outside this tree would be, in C and in C++ alike: a client says something to a
 * server, hears it again, and both close. Built against an installed library by tests/c/install.
 */

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <talkws.h>

enum { PATIENCE_MS = 30000 };

static const char HELLO[] = "Hello from outside!";

/* Answers one client with what it says. */
static ws_status echo(ws_listener listener, ws_error *err) {
    ws_message msg = WS_MESSAGE_INIT;
    ws_conn ws;
    ws_status status = ws_accept(listener, &ws, PATIENCE_MS, err);

    if (status != WS_OK)
        return status;
    status = ws_read(ws, &msg, PATIENCE_MS, err);
    if (status == WS_OK)
        status = ws_write(ws, msg.type, msg.data, msg.len, err);
    if (status == WS_OK && ws_read(ws, &msg, PATIENCE_MS, err) != WS_CLOSED)
        status = WS_INVALID_STATE;
    ws_message_free(&msg);
    ws_close(ws, WS_CLOSE_NORMAL, NULL, NULL);
    return status;
}

static void *serve(void *argument) {
    ws_error err;
    ws_status status = echo(*(ws_listener *)argument, &err);

    if (status != WS_OK)
        fprintf(stderr, "server: %s: %s\n", ws_strerror(status), err.message);
    return status == WS_OK ? argument : NULL;
}

static ws_status talk(const char *url, ws_error *err) {
    ws_message msg = WS_MESSAGE_INIT;
    ws_conn ws;
    ws_status status = ws_dial(url, NULL, &ws, err);

    if (status != WS_OK)
        return status;
    status = ws_write(ws, WS_TEXT, HELLO, strlen(HELLO), err);
    if (status == WS_OK)
        status = ws_read(ws, &msg, PATIENCE_MS, err);
    if (status == WS_OK)
        printf("%s\n", msg.data);
    ws_message_free(&msg);
    if (status != WS_OK)
        ws_abort(ws, NULL);
    return status == WS_OK ? ws_close(ws, WS_CLOSE_NORMAL, "bye", err) : status;
}

int main(void) {
    char url[64];
    ws_listener listener;
    uint16_t port;
    ws_error err;
    pthread_t server;
    void *served;
    ws_status status;

    if (ws_listen("ws://127.0.0.1:0", NULL, &listener, &err) != WS_OK ||
        ws_port(listener, &port, &err) != WS_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    if (pthread_create(&server, NULL, serve, &listener) != 0)
        return 1;
    snprintf(url, sizeof url, "ws://127.0.0.1:%u", (unsigned)port);
    status = talk(url, &err);
    if (status != WS_OK)
        fprintf(stderr, "client: %s: %s\n", ws_strerror(status), err.message);
    pthread_join(server, &served);
    ws_listener_close(listener, NULL);
    printf("libtalkws %s\n", ws_version());
    return status == WS_OK && served != NULL ? 0 : 1;
}
