/* Receives a file of any size as one message, in bounded memory.
 *
 *     make build-c && target/c/receive_file FILE [URL]
 */

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "talkws.h"

static ws_status wait_for_sender(ws_listener listener, ws_conn *ws, ws_error *err) {
    ws_message where = WS_MESSAGE_INIT;

    ws_status status = ws_listener_url(listener, &where, err);
    if (status == WS_OK) {
        printf("Listening on %s\n", where.data);
        fflush(stdout);
        status = ws_accept(listener, ws, WS_FOREVER, err);
    }
    ws_message_free(&where);
    return status;
}

/* The limit is for those who keep whole messages; here, memory does not grow with them. */
static ws_status accept_sender(const char *url, ws_conn *ws, ws_error *err) {
    ws_options *options = ws_options_new();
    ws_listener listener = 0;

    ws_status status = ws_options_set_max_message_size(options, SIZE_MAX, err);
    if (status == WS_OK)
        status = ws_listen(url, options, &listener, err);
    if (status == WS_OK)
        status = wait_for_sender(listener, ws, err);
    ws_listener_close(listener, NULL);
    ws_options_free(options);
    return status;
}

static ws_status receive_parts(ws_conn ws, FILE *file, unsigned long long *size, ws_error *err) {
    static char buffer[64 * 1024];
    ws_status status;
    ws_part part;

    *size = 0;
    do {
        status = ws_read_some(ws, buffer, sizeof buffer, &part, WS_FOREVER, err);
        if (status != WS_OK)
            return status;
        if (fwrite(buffer, 1, part.len, file) != part.len)
            break;
        *size += part.len;
    } while (!part.is_last);
    if (fflush(file) == 0 && !ferror(file))
        return WS_OK;
    snprintf(err->message, sizeof err->message, "the file cannot be written");
    return WS_IO;
}

/* The receipt tells the sender that the file is written. */
static ws_status receive_file(ws_conn ws, FILE *file, unsigned long long *size, ws_error *err) {
    char receipt[40];

    ws_status status = receive_parts(ws, file, size, err);
    if (status == WS_OK) {
        snprintf(receipt, sizeof receipt, "Received %llu bytes", *size);
        status = ws_write(ws, WS_TEXT, receipt, strlen(receipt), err);
    }
    if (status != WS_OK) {
        ws_abort(ws, NULL);
        return status;
    }
    return ws_close(ws, WS_CLOSE_NORMAL, NULL, err);
}

int main(int argc, char **argv) {
    const char *url = argc > 2 ? argv[2] : "ws://localhost:8080/files";
    unsigned long long size;
    ws_conn ws;
    ws_error err;

    if (argc < 2) {
        fprintf(stderr, "usage: receive_file FILE [URL]\n");
        return 2;
    }
    FILE *file = fopen(argv[1], "wb");
    if (file == NULL) {
        perror(argv[1]);
        return 1;
    }
    ws_status status = accept_sender(url, &ws, &err);
    if (status == WS_OK)
        status = receive_file(ws, file, &size, &err);
    if (status == WS_OK)
        printf("Received %llu bytes\n", size);
    else
        fprintf(stderr, "%s\n", err.message);
    fclose(file);
    if (status != WS_OK)
        remove(argv[1]);
    return status == WS_OK ? 0 : 1;
}
