/* Says the lines of its input in a chat, and prints what others say, both at any time.
 *
 *     make build-c && target/c/chat_client [URL]
 */

#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "talkws.h"

static ws_conn ws;
/* The input has ended, so the end of the connection is as it should be. */
static atomic_bool is_leaving;

/* The main thread may be waiting for a line that never comes: only the end of the process ends
 * that wait. */
static void give_up(const ws_error *err) {
    fprintf(stderr, "%s\n", err->message);
    fflush(stdout);
    _Exit(1);
}

static void *print_messages(void *argument) {
    ws_message msg = WS_MESSAGE_INIT;
    ws_error err;

    (void)argument;
    while (ws_read(ws, &msg, WS_FOREVER, &err) == WS_OK) {
        if (msg.type == WS_TEXT)
            printf("%s\n", msg.data);
        else
            printf("<binary message of %zu bytes>\n", msg.len);
        fflush(stdout);
    }
    ws_message_free(&msg);
    if (!atomic_load(&is_leaving))
        give_up(&err);
    return NULL;
}

static int say_lines(void) {
    char *line = NULL;
    size_t size = 0;
    ssize_t len;
    ws_error err;

    while ((len = getline(&line, &size, stdin)) > 0) {
        if (line[len - 1] == '\n')
            len--;
        if (ws_write(ws, WS_TEXT, line, (size_t)len, &err) != WS_OK)
            give_up(&err);
    }
    free(line);
    return feof(stdin) ? 0 : -1;
}

int main(int argc, char **argv) {
    const char *url = argc > 1 ? argv[1] : "ws://localhost:8080/lobby";
    pthread_t printer;
    ws_error err;

    if (ws_dial(url, NULL, &ws, &err) != WS_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    if (pthread_create(&printer, NULL, print_messages, NULL) != 0) {
        fprintf(stderr, "no thread to print messages\n");
        ws_abort(ws, NULL);
        return 1;
    }
    int said = say_lines();
    if (said != 0)
        perror("stdin");
    atomic_store(&is_leaving, 1);
    ws_status status = ws_close(ws, WS_CLOSE_NORMAL, "bye", &err);
    if (status != WS_OK)
        fprintf(stderr, "%s\n", err.message);
    pthread_join(printer, NULL);
    return status == WS_OK && said == 0 ? 0 : 1;
}
