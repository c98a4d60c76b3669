/* Sends a file of any size as one message, in bounded memory.
 *
 *     make build-c && target/c/send_file FILE [URL]
 */

#include <stdio.h>
#include <string.h>

#include "talkws.h"

/* How many milliseconds the receiver may take for each part, and for its receipt. */
enum { TIMEOUT = 30000 };

static ws_status dial(const char *url, ws_conn *ws, ws_error *err) {
    ws_options *options = ws_options_new();

    ws_status status = ws_options_set_write_timeout(options, TIMEOUT, err);
    if (status == WS_OK)
        status = ws_dial(url, options, ws, err);
    ws_options_free(options);
    return status;
}

/* Each part is what was read; the last one is empty. */
static ws_status send_parts(ws_conn ws, FILE *file, unsigned long long *size, ws_error *err) {
    static char buffer[64 * 1024];
    ws_status status;
    size_t len;

    *size = 0;
    do {
        len = fread(buffer, 1, sizeof buffer, file);
        if (ferror(file)) {
            snprintf(err->message, sizeof err->message, "the file cannot be read");
            return WS_IO;
        }
        status = ws_write_part(ws, WS_BINARY, buffer, len, len == 0, err);
        *size += len;
    } while (status == WS_OK && len > 0);
    return status;
}

/* That all was sent does not mean that it has come: the receiver says how much has. */
static ws_status read_receipt(ws_conn ws, unsigned long long size, ws_error *err) {
    ws_message msg = WS_MESSAGE_INIT;
    char receipt[40];

    snprintf(receipt, sizeof receipt, "Received %llu bytes", size);
    ws_status status = ws_read(ws, &msg, TIMEOUT, err);
    if (status == WS_OK && strcmp(msg.data, receipt) != 0) {
        snprintf(err->message, sizeof err->message, "sent %llu bytes, but the receiver says: %s",
                 size, msg.data);
        status = WS_IO;
    }
    ws_message_free(&msg);
    return status;
}

static ws_status send_file(ws_conn ws, FILE *file, unsigned long long *size, ws_error *err) {
    ws_status status = send_parts(ws, file, size, err);
    if (status == WS_OK)
        status = read_receipt(ws, *size, err);
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
        fprintf(stderr, "usage: send_file FILE [URL]\n");
        return 2;
    }
    FILE *file = fopen(argv[1], "rb");
    if (file == NULL) {
        perror(argv[1]);
        return 1;
    }
    ws_status status = dial(url, &ws, &err);
    if (status == WS_OK)
        status = send_file(ws, file, &size, &err);
    if (status == WS_OK)
        printf("Sent %llu bytes\n", size);
    else
        fprintf(stderr, "%s\n", err.message);
    fclose(file);
    return status == WS_OK ? 0 : 1;
}
