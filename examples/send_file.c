/* Sends a file of any size as one message, piece by piece, and prints what the receiver says.
 *
 *     make build-c && target/c/send_file FILE [URL]
 */

#include <stdio.h>

#include "talkws.h"

enum { PIECE = 64 * 1024 };

/* Says in `err` what went wrong, in the file too. */
static ws_status send_pieces(FILE *file, const char *path, ws_conn ws, ws_error *err) {
    static char piece[PIECE];
    size_t length;
    ws_status status;

    do {
        length = fread(piece, 1, sizeof piece, file);
        if (ferror(file)) {
            snprintf(err->message, sizeof err->message, "%s: cannot be read", path);
            return WS_IO;
        }
        /* Only the end of the file tells which piece is the last; so that one is empty. */
        status = ws_write_part(ws, WS_BINARY, piece, length, length == 0, err);
    } while (status == WS_OK && length > 0);
    return status;
}

static ws_status send_file(FILE *file, const char *path, const char *url, ws_error *err) {
    ws_message answer = WS_MESSAGE_INIT;
    ws_conn ws;
    ws_status status = ws_dial(url, NULL, &ws, err);

    if (status != WS_OK)
        return status;
    status = send_pieces(file, path, ws, err);
    if (status == WS_OK)
        status = ws_read(ws, &answer, WS_FOREVER, err);
    if (status == WS_OK)
        printf("Receiver: %s\n", answer.data);
    ws_message_free(&answer);
    if (status == WS_OK)
        return ws_close(ws, WS_CLOSE_NORMAL, "done", err);
    ws_abort(ws, NULL);
    return status;
}

int main(int argc, char **argv) {
    const char *url = argc > 2 ? argv[2] : "ws://localhost:8080/files";
    FILE *file;
    ws_error err;
    ws_status status;

    if (argc < 2) {
        fprintf(stderr, "usage: send_file FILE [URL]\n");
        return 2;
    }
    file = fopen(argv[1], "rb");
    if (file == NULL) {
        perror(argv[1]);
        return 1;
    }
    status = send_file(file, argv[1], url, &err);
    fclose(file);
    if (status != WS_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    return 0;
}
