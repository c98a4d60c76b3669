/* Compressed messages (permessage-deflate, RFC 7692): what is agreed upon, what goes, what comes.
 */

#include <pthread.h>

#include "check.h"
#include "peer.h"

enum { RSV1 = 0x40 };

/* "Hello", compressed by itself (RFC 7692, 7.2.3.1). */
static const char hello[] = {'\xF2', '\x48', '\xCD', '\xC9', '\xC9', '\x07', '\x00'};

/* A raw client that offers to compress, and the connection of the server. */
static int raw_client_that_offers(const char *offer, ws_conn *server, const ws_options *options) {
    char url[64], header[256];
    ws_listener listener = peer_listen_with(url, options);
    int fd = raw_connect(listener);

    snprintf(header, sizeof header, "Sec-WebSocket-Extensions: %s\r\n", offer);
    raw_request_with(fd, "/", header);
    CHECK_STATUS(WS_OK, ws_accept(listener, server, WS_FOREVER, NULL));
    CHECK_STATUS(WS_OK, ws_upgrade(*server, NULL, NULL));
    CHECK_NUMBER(101, raw_receive_status(fd));
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    return fd;
}

static void parameters_are(ws_conn ws, const char *expected) {
    ws_message parameters = WS_MESSAGE_INIT;

    CHECK_STATUS(WS_OK, ws_deflate_parameters(ws, &parameters, NULL));
    CHECK_TEXT(expected, parameters.data);
    ws_message_free(&parameters);
}

/* The first byte of the next frame, whose payload must have `least` to `most` bytes. */
static int frame_with(int fd, size_t least, size_t most) {
    char payload[125];
    size_t len;
    int first = raw_receive_frame(fd, payload, &len);

    CHECK(len >= least && len <= most);
    return first;
}

typedef struct {
    ws_conn ws;
    const char *data;
    size_t len;
} message_to_write;

static void *write_it(void *argument) {
    const message_to_write *message = argument;

    CHECK_STATUS(WS_OK, ws_write(message->ws, WS_TEXT, message->data, message->len, NULL));
    return NULL;
}

static void goes_through(ws_conn from, ws_conn to, size_t len) {
    ws_message msg = WS_MESSAGE_INIT;
    char *data = malloc(len + 1);
    message_to_write message = {from, data, len};
    pthread_t writer;

    CHECK(data != NULL);
    for (size_t i = 0; i < len; i++)
        data[i] = "{\"id\": 1234567, \"name\": \"somebody\"}, "[(i * i / 97 + i) % 36];
    CHECK(pthread_create(&writer, NULL, write_it, &message) == 0);
    CHECK_STATUS(WS_OK, ws_read(to, &msg, WS_FOREVER, NULL));
    CHECK(pthread_join(writer, NULL) == 0);
    CHECK(msg.len == len && memcmp(msg.data, data, len) == 0);
    ws_message_free(&msg);
    free(data);
}

static void messages_go_through_in_every_setting(void) {
    const size_t sizes[] = {0, 1, 255, 256, 10000, 1000000};

    for (int setting = 0; setting < 16; setting++) {
        ws_options *options = ws_options_new();
        ws_conn client, server;

        CHECK_STATUS(WS_OK,
                     ws_options_set_deflate_level(options, 1 + setting % 9, 9 - setting % 9, NULL));
        CHECK_STATUS(WS_OK, ws_options_set_deflate_context_takeover(options, setting & 1,
                                                                    setting & 2, NULL));
        CHECK_STATUS(WS_OK, ws_options_set_deflate_window_bits(options, 8 + setting % 8,
                                                               15 - setting % 8, NULL));
        CHECK_STATUS(WS_OK, ws_options_set_deflate_threshold(options, setting & 4 ? 0 : 256, NULL));
        peer_pair_with(&client, options, &server, options);
        ws_options_free(options);
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            goes_through(client, server, sizes[i]);
            goes_through(server, client, sizes[i]);
        }
        CHECK_STATUS(WS_OK, ws_abort(client, NULL));
        CHECK_STATUS(WS_OK, ws_abort(server, NULL));
    }
}

static void both_ends_tell_what_was_agreed_upon(void) {
    ws_options *options = ws_options_new();
    ws_message text = WS_MESSAGE_INIT;
    ws_conn client, server;

    peer_pair(&client, &server);
    parameters_are(client, "permessage-deflate");
    parameters_are(server, "permessage-deflate");
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_deflate_parameters(client, NULL, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_deflate_parameters(0, &text, NULL));
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));

    CHECK_STATUS(WS_OK, ws_options_set_deflate_context_takeover(options, 0, 1, NULL));
    CHECK_STATUS(WS_OK, ws_options_set_deflate_window_bits(options, 12, 10, NULL));
    peer_pair_with(&client, options, &server, NULL);
    parameters_are(client, "permessage-deflate; client_no_context_takeover; "
                           "server_max_window_bits=10; client_max_window_bits=12");
    parameters_are(server, "permessage-deflate; client_no_context_takeover; "
                           "server_max_window_bits=10; client_max_window_bits=12");
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));

    /* Who turns it off need not say how, and what was said comes back with it. */
    CHECK_STATUS(WS_OK, ws_options_set_deflate(options, 0, NULL));
    CHECK_STATUS(WS_OK, ws_options_set_deflate_threshold(options, 1, NULL));
    peer_pair_with(&client, options, &server, NULL);
    CHECK_STATUS(WS_NOT_FOUND, ws_deflate_parameters(client, &text, NULL));
    CHECK_STATUS(WS_NOT_FOUND, ws_deflate_parameters(server, &text, NULL));
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));
    CHECK_STATUS(WS_OK, ws_options_set_deflate(options, 1, NULL));
    peer_pair_with(&client, NULL, &server, options);
    parameters_are(client, "permessage-deflate; server_no_context_takeover; "
                           "server_max_window_bits=12; client_max_window_bits=10");
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));
    ws_options_free(options);
    ws_message_free(&text);
}

static void a_message_goes_compressed_unless_it_is_small_or_the_caller_says_no(void) {
    ws_options *options = ws_options_new();
    char data[100];
    ws_conn ws;
    int fd;

    memset(data, 'x', sizeof data);
    CHECK_STATUS(WS_OK, ws_options_set_deflate_threshold(options, 50, NULL));
    fd = raw_client_that_offers("permessage-deflate", &ws, options);
    ws_options_free(options);
    CHECK_STATUS(WS_OK, ws_write(ws, WS_TEXT, data, 100, NULL));
    CHECK_NUMBER(FIN | RSV1 | TEXT, frame_with(fd, 1, 20));
    CHECK_STATUS(WS_OK, ws_write(ws, WS_TEXT, data, 49, NULL));
    CHECK_NUMBER(FIN | TEXT, frame_with(fd, 49, 49));
    CHECK_STATUS(WS_OK, ws_write(ws, WS_TEXT | WS_NO_COMPRESS, data, 100, NULL));
    CHECK_NUMBER(FIN | TEXT, frame_with(fd, 100, 100));
    CHECK_STATUS(WS_OK, ws_write(ws, WS_BINARY | WS_MORE, data, 100, NULL));
    CHECK_STATUS(WS_OK, ws_write(ws, WS_BINARY | WS_NO_COMPRESS | WS_DONTWAIT, data, 100, NULL));
    CHECK_NUMBER(FIN | RSV1 | BINARY, frame_with(fd, 1, 20));
    CHECK_NUMBER(FIN | BINARY, frame_with(fd, 100, 100));
    /* The first part decides. */
    CHECK_STATUS(WS_OK, ws_write_part(ws, WS_TEXT, data, 100, 0, NULL));
    CHECK_STATUS(WS_OK, ws_write_part(ws, WS_TEXT | WS_NO_COMPRESS, data, 100, 1, NULL));
    CHECK_NUMBER(RSV1 | TEXT, frame_with(fd, 1, 20));
    CHECK_NUMBER(FIN, frame_with(fd, 1, 20));
    CHECK_STATUS(WS_OK, ws_write_part(ws, WS_TEXT | WS_NO_COMPRESS, data, 100, 0, NULL));
    CHECK_STATUS(WS_OK, ws_write_part(ws, WS_TEXT, data, 100, 1, NULL));
    CHECK_NUMBER(TEXT, frame_with(fd, 100, 100));
    CHECK_NUMBER(FIN, frame_with(fd, 100, 100));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_write(ws, WS_TEXT | 0x800, data, 100, NULL));
    raw_end(ws, fd);
}

static void what_comes_is_read_whole_and_in_parts(void) {
    ws_message msg = WS_MESSAGE_INIT;
    ws_part part;
    char buf[3];
    ws_conn ws;
    int fd = raw_client_that_offers("permessage-deflate", &ws, NULL);

    raw_send_frame(fd, FIN | RSV1 | TEXT, hello, sizeof hello);
    CHECK_STATUS(WS_OK, ws_read(ws, &msg, WS_FOREVER, NULL));
    CHECK_TEXT("Hello", msg.data);
    ws_message_free(&msg);
    raw_send_frame(fd, FIN | RSV1 | BINARY, hello, sizeof hello);
    CHECK_STATUS(WS_OK, ws_read_some(ws, buf, sizeof buf, &part, WS_FOREVER, NULL));
    CHECK(part.len == 3 && part.type == WS_BINARY && !part.is_last && memcmp(buf, "Hel", 3) == 0);
    CHECK_STATUS(WS_OK, ws_read_some(ws, buf, sizeof buf, &part, WS_FOREVER, NULL));
    CHECK(part.len == 2 && part.is_last && memcmp(buf, "lo", 2) == 0);
    raw_end(ws, fd);
}

/* What a frame makes of a connection with a limit of four bytes. */
static void ends_with(ws_status expected, const char *offer, int first, const char *payload,
                      size_t len) {
    ws_options *options = ws_options_new();
    ws_message msg = WS_MESSAGE_INIT;
    ws_error err;
    ws_conn ws;
    int fd;

    CHECK_STATUS(WS_OK, ws_options_set_max_message_size(options, 4, NULL));
    CHECK_STATUS(WS_OK, ws_options_set_close_timeout(options, 0, NULL));
    fd = raw_client_that_offers(offer, &ws, options);
    ws_options_free(options);
    raw_send_frame(fd, first, payload, len);
    CHECK_STATUS(expected, ws_read(ws, &msg, WS_FOREVER, &err));
    CHECK_NUMBER(expected, err.status);
    ws_message_free(&msg);
    raw_end(ws, fd);
}

static void what_breaks_the_rules_ends_the_connection(void) {
    const char *offer = "permessage-deflate", *none = "x-none";

    ends_with(WS_TOO_BIG, offer, FIN | RSV1 | TEXT, hello, sizeof hello);
    ends_with(WS_PROTOCOL, offer, FIN | RSV1 | TEXT, "\x07", 1);
    ends_with(WS_PROTOCOL, offer, FIN | RSV1 | PING, "", 0);
    ends_with(WS_PROTOCOL, none, FIN | RSV1 | TEXT, hello, sizeof hello);
}

int main(void) {
    const check_case cases[] = {
        TEST(messages_go_through_in_every_setting),
        TEST(both_ends_tell_what_was_agreed_upon),
        TEST(a_message_goes_compressed_unless_it_is_small_or_the_caller_says_no),
        TEST(what_comes_is_read_whole_and_in_parts),
        TEST(what_breaks_the_rules_ends_the_connection),
    };
    return RUN(cases);
}
