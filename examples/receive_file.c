/* Receives one file of any size in bounded memory, and says how large it was.
 *
 *     make build-c && target/c/receive_file FILE [URL]
 */

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>

#include "talkws.h"

enum { BUFFER = 64 * 1024 };

/* Says in `err` what went wrong, in the file too. */
static ws_status receive_parts(FILE *file, ws_conn ws, uint64_t *size, ws_error *err) {
    static char buffer[BUFFER];
    ws_part part = {0};

    while (!part.is_last) {
        ws_status status = ws_read_some(ws, buffer, sizeof buffer, &part, WS_FOREVER, err);

        if (status != WS_OK)
            return status;
        if (fwrite(buffer, 1, part.len, file) != part.len || (part.is_last && fflush(file) != 0)) {
            snprintf(err->message, sizeof err->message, "the file cannot be written");
            return WS_IO;
        }
        *size += part.len;
    }
    return WS_OK;
}

static ws_status receive_file(FILE *file, ws_conn ws, ws_error *err) {
    ws_message msg = WS_MESSAGE_INIT;
    char thanks[64];
    uint64_t size = 0;
    ws_status status = receive_parts(file, ws, &size, err);

    if (status != WS_OK)
        return status;
    printf("Received %" PRIu64 " bytes\n", size);
    int length = snprintf(thanks, sizeof thanks, "%" PRIu64 " bytes, thank you", size);
    status = ws_write(ws, WS_TEXT, thanks, (size_t)length, err);
    if (status == WS_OK)
        status = ws_read(ws, &msg, WS_FOREVER, err);
    if (status == WS_OK)
        snprintf(err->message, sizeof err->message, "the sender went on after its file");
    ws_message_free(&msg);
    return status == WS_CLOSED ? WS_OK : status == WS_OK ? WS_PROTOCOL : status;
}

/* Listens for the one sender. Memory does not grow with the message, so any size will do. */
static ws_status serve(FILE *file, const char *url, ws_error *err) {
    ws_options *options = ws_options_new();
    ws_message name = WS_MESSAGE_INIT;
    ws_listener listener = 0;
    ws_conn ws = 0;
    ws_status status = ws_options_set_max_message_size(options, SIZE_MAX, err);

    if (status == WS_OK)
        status = ws_listen(url, options, &listener, err);
    ws_options_free(options);
    if (status == WS_OK)
        status = ws_listener_url(listener, &name, err);
    if (status == WS_OK) {
        printf("Listening on %s\n", name.data);
        fflush(stdout);
        status = ws_accept(listener, &ws, WS_FOREVER, err);
    }
    if (status == WS_OK)
        status = receive_file(file, ws, err);
    /* What never was is no handle, and closing it harms nobody. */
    ws_close(ws, WS_CLOSE_NORMAL, NULL, NULL);
    ws_listener_close(listener, NULL);
    ws_message_free(&name);
    return status;
}

int main(int argc, char **argv) {
    const char *url = argc > 2 ? argv[2] : "ws://localhost:8080/files";
    FILE *file;
    ws_error err;
    ws_status status;

    if (argc < 2) {
        fprintf(stderr, "usage: receive_file FILE [URL]\n");
        return 2;
    }
    file = fopen(argv[1], "wb");
    if (file == NULL) {
        perror(argv[1]);
        return 1;
    }
    status = serve(file, url, &err);
    if (fclose(file) != 0 && status == WS_OK) {
        perror(argv[1]);
        return 1;
    }
    if (status != WS_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    return 0;
}
