/* Sends each line of its input, and prints what the others say, at the same time.
 *
 *     make build-c && target/c/chat_client [URL]
 */

#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "talkws.h"

struct reader {
    ws_conn ws;
    ws_status status;
    ws_error err;
};

/* Reading waits for nobody but the others; writing goes on meanwhile. */
static void *print_messages(void *argument) {
    struct reader *reader = argument;
    ws_message msg = WS_MESSAGE_INIT;

    while ((reader->status = ws_read(reader->ws, &msg, WS_FOREVER, &reader->err)) == WS_OK) {
        printf("%s\n", msg.data);
        fflush(stdout);
    }
    ws_message_free(&msg);
    return NULL;
}

static ws_status send_lines(ws_conn ws, ws_error *err) {
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    ws_status status = WS_OK;

    while (status == WS_OK && (length = getline(&line, &size, stdin)) > 0) {
        if (line[length - 1] == '\n')
            length--;
        status = ws_write(ws, WS_TEXT, line, (size_t)length, err);
    }
    free(line);
    return status;
}

int main(int argc, char **argv) {
    struct reader reader;
    pthread_t thread;
    ws_error err;
    ws_status sent, closed;

    if (ws_dial(argc > 1 ? argv[1] : "ws://localhost:8080/lobby", NULL, &reader.ws, &err) !=
        WS_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    if (pthread_create(&thread, NULL, print_messages, &reader) != 0) {
        perror("thread");
        ws_abort(reader.ws, NULL);
        return 1;
    }
    sent = send_lines(reader.ws, &err);
    /* Ends the reader, too. */
    closed = ws_close(reader.ws, WS_CLOSE_NORMAL, "bye", sent == WS_OK ? &err : NULL);
    pthread_join(thread, NULL);
    if (sent != WS_OK || closed != WS_OK || reader.status != WS_CLOSED) {
        fprintf(stderr, "%s\n",
                sent != WS_OK || closed != WS_OK ? err.message : reader.err.message);
        return 1;
    }
    return 0;
}
