/* Says hello to a WebSocket server and prints its answer.
 *
 *     make build-c && target/c/hello_client [URL]
 */

#include <stdio.h>
#include <string.h>

#include "talkws.h"

static ws_status talk(ws_conn ws, ws_error *err) {
    const char *hello = "Hello from client!";
    ws_message msg = WS_MESSAGE_INIT;

    ws_status status = ws_write(ws, WS_TEXT, hello, strlen(hello), err);
    if (status == WS_OK)
        status = ws_read(ws, &msg, WS_FOREVER, err);
    if (status == WS_OK)
        printf("Received: %s\n", msg.data);
    ws_message_free(&msg);
    return status;
}

int main(int argc, char **argv) {
    const char *url = argc > 1 ? argv[1] : "ws://localhost:8080/talk-to-server";
    ws_conn ws;
    ws_error err;

    if (ws_dial(url, NULL, &ws, &err) != WS_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    if (talk(ws, &err) != WS_OK) {
        fprintf(stderr, "%s\n", err.message);
        ws_abort(ws, NULL);
        return 1;
    }
    if (ws_close(ws, WS_CLOSE_NORMAL, "bye", &err) != WS_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    return 0;
}
