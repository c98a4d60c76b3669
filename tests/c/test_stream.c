/* ws_read_some: messages that are read part by part. */

#include <pthread.h>
#include <sys/socket.h>

#include "check.h"
#include "peer.h"

/* Reads the rest of a message through a buffer of `size` bytes, and compares it. */
static void rest_is(ws_conn ws, size_t size, int32_t type, const char *expected, size_t len) {
    char *buf = malloc(size);
    size_t got = 0;
    ws_part part;

    CHECK(buf != NULL);
    do {
        memset(&part, 0x55, sizeof part);
        CHECK_STATUS(WS_OK, ws_read_some(ws, buf, size, &part, WS_FOREVER, NULL));
        CHECK_NUMBER(type, part.type);
        CHECK(part.is_last == 0 || part.is_last == 1);
        /* At least a byte, but for the end. */
        CHECK(part.len <= size && (part.len > 0 || part.is_last));
        CHECK(part.len <= len - got && memcmp(expected + got, buf, part.len) == 0);
        got += part.len;
    } while (!part.is_last);
    CHECK(got == len);
    free(buf);
}

static void what_nothing_can_be_read_into_harms_nothing(void) {
    char buf[16] = "untouched";
    ws_part part = {.len = 77, .type = 77, .is_last = 77};
    ws_error err;
    ws_conn ws;
    int fd = raw_client(&ws);

    raw_send_frame(fd, FIN | TEXT, "kept", 4);
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_read_some(ws, NULL, 16, &part, WS_FOREVER, &err));
    CHECK_NUMBER(WS_INVALID_ARGUMENT, err.status);
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_read_some(ws, NULL, 0, &part, WS_FOREVER, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_read_some(ws, buf, 0, &part, WS_FOREVER, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_read_some(ws, buf, SIZE_MAX, &part, WS_FOREVER, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_read_some(ws, buf, 16, NULL, WS_FOREVER, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_read_some(ws, buf, 16, &part, -2, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_read_some(ws, buf, 16, &part, INT64_MIN, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_read_some(ws + 1, buf, 16, &part, WS_FOREVER, NULL));
    CHECK(part.len == 77 && part.type == 77 && part.is_last == 77);
    CHECK_TEXT("untouched", buf);
    CHECK_STATUS(WS_OK, ws_read_some(ws, buf, 16, &part, INT64_MAX, NULL));
    CHECK(part.len == 4 && part.type == WS_TEXT && part.is_last == 1);
    /* No NUL is put after it. */
    CHECK_TEXT("keptuched", buf);
    raw_end(ws, fd);
}

static void a_buffer_of_any_size_gets_the_whole_message(void) {
    const char text[] = "a text of which each part is checked";
    const size_t sizes[] = {1, 2, 7, sizeof text - 2, sizeof text - 1, sizeof text, 65536};
    ws_conn client, server;

    peer_pair(&client, &server);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        CHECK_STATUS(WS_OK, ws_write(client, WS_TEXT, text, sizeof text - 1, NULL));
        CHECK_STATUS(WS_OK, ws_write(client, WS_BINARY, NULL, 0, NULL));
        CHECK_STATUS(WS_OK, ws_write(server, WS_BINARY, text, sizeof text - 1, NULL));
        rest_is(server, sizes[i], WS_TEXT, text, sizeof text - 1);
        /* An empty message has one part, its end. */
        rest_is(server, sizes[i], WS_BINARY, "", 0);
        rest_is(client, sizes[i], WS_BINARY, text, sizeof text - 1);
    }
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));
}

static void fragments_are_one_message_with_pings_between(void) {
    char pong[125];
    size_t len;
    ws_conn ws;
    int fd = raw_client(&ws);

    for (size_t size = 1; size <= 32; size *= 2) {
        raw_send_frame(fd, TEXT, "one, ", 5);
        raw_send_frame(fd, FIN | PING, "still there?", 12);
        raw_send_frame(fd, 0, "", 0);
        raw_send_frame(fd, 0, "two, ", 5);
        raw_send_frame(fd, FIN | PING, "", 0);
        raw_send_frame(fd, FIN, "three", 5);
        raw_send_frame(fd, FIN | BINARY, "next", 4);
        rest_is(ws, size, WS_TEXT, "one, two, three", 15);
        rest_is(ws, size, WS_BINARY, "next", 4);
        CHECK_NUMBER(FIN | PONG, raw_receive_frame(fd, pong, &len));
        CHECK(len == 12 && memcmp(pong, "still there?", 12) == 0);
        CHECK_NUMBER(FIN | PONG, raw_receive_frame(fd, pong, &len));
        CHECK(len == 0);
    }
    raw_end(ws, fd);
}

static void what_is_there_is_given_without_waiting_for_more(void) {
    char buf[64];
    ws_part part;
    ws_conn ws;
    int fd = raw_client(&ws);

    CHECK_STATUS(WS_TIMED_OUT, ws_read_some(ws, buf, sizeof buf, &part, 0, NULL));
    CHECK_STATUS(WS_TIMED_OUT, ws_read_some(ws, buf, sizeof buf, &part, 1, NULL));
    /* Half of a frame: it is given, and waiting goes on after it. */
    raw_send_header(fd, FIN | TEXT, 8);
    CHECK_STATUS(WS_TIMED_OUT, ws_read_some(ws, buf, sizeof buf, &part, 0, NULL));
    raw_send(fd, "half", 4);
    CHECK_STATUS(WS_OK, ws_read_some(ws, buf, sizeof buf, &part, WS_FOREVER, NULL));
    CHECK(part.len == 4 && !part.is_last && memcmp(buf, "half", 4) == 0);
    CHECK_STATUS(WS_TIMED_OUT, ws_read_some(ws, buf, sizeof buf, &part, 0, NULL));
    CHECK_STATUS(WS_TIMED_OUT, ws_read_some(ws, buf, sizeof buf, &part, 1, NULL));
    raw_send(fd, "way", 3);
    CHECK_STATUS(WS_OK, ws_read_some(ws, buf, sizeof buf, &part, WS_FOREVER, NULL));
    CHECK(part.len == 3 && !part.is_last && memcmp(buf, "way", 3) == 0);
    raw_send(fd, "!", 1);
    CHECK_STATUS(WS_OK, ws_read_some(ws, buf, sizeof buf, &part, WS_FOREVER, NULL));
    CHECK(part.len == 1 && part.is_last && buf[0] == '!');
    CHECK_STATUS(WS_TIMED_OUT, ws_read_some(ws, buf, sizeof buf, &part, 0, NULL));
    raw_end(ws, fd);
}

static void a_character_may_be_cut_anywhere(void) {
    ws_conn ws;
    int fd = raw_client(&ws);

    /* By frames, and by a buffer of one byte. */
    raw_send_frame(fd, TEXT, "\xF0\x9F", 2);
    raw_send_frame(fd, 0, "\x98", 1);
    raw_send_frame(fd, FIN, "\x80\xC3\xBC", 3);
    rest_is(ws, 1, WS_TEXT, "\xF0\x9F\x98\x80\xC3\xBC", 6);
    raw_send_frame(fd, FIN | TEXT, "\xE2\x82\xAC", 3);
    rest_is(ws, 2, WS_TEXT, "\xE2\x82\xAC", 3);
    raw_end(ws, fd);
}

static void a_message_is_read_in_one_way_or_the_other(void) {
    ws_message msg = WS_MESSAGE_INIT;
    char buf[4];
    ws_part part;
    ws_error err;
    ws_conn ws;
    int fd = raw_client(&ws);

    raw_send_frame(fd, FIN | TEXT, "in parts", 8);
    raw_send_frame(fd, FIN | TEXT, "whole", 5);
    CHECK_STATUS(WS_OK, ws_read_some(ws, buf, sizeof buf, &part, WS_FOREVER, NULL));
    CHECK(part.len == 4 && !part.is_last && memcmp(buf, "in p", 4) == 0);
    for (int i = 0; i < 2; i++) {
        CHECK_STATUS(WS_INVALID_STATE, ws_read(ws, &msg, WS_FOREVER, &err));
        CHECK_NUMBER(WS_INVALID_STATE, err.status);
        CHECK(msg.len == 0 && msg.type == 0);
    }
    rest_is(ws, sizeof buf, WS_TEXT, "arts", 4);
    CHECK_STATUS(WS_OK, ws_read(ws, &msg, WS_FOREVER, NULL));
    CHECK_TEXT("whole", msg.data);
    /* What a read that timed out has kept is not lost for the parts. */
    raw_send_frame(fd, TEXT, "begun, ", 7);
    CHECK_STATUS(WS_TIMED_OUT, ws_read(ws, &msg, 1, NULL));
    raw_send_frame(fd, FIN, "ended", 5);
    rest_is(ws, sizeof buf, WS_TEXT, "begun, ended", 12);
    ws_message_free(&msg);
    raw_end(ws, fd);
}

/* Parts of a message, and then the frame that breaks a rule. */
static void breaks_off(ws_status expected, int code, const ws_options *options, int first,
                       const char *payload, size_t len) {
    char buf[64];
    unsigned char close_payload[125];
    ws_message msg = WS_MESSAGE_INIT;
    ws_part part;
    ws_error err;
    ws_conn ws;
    int fd = raw_client_with(&ws, options);

    raw_send_frame(fd, TEXT, "good", 4);
    CHECK_STATUS(WS_OK, ws_read_some(ws, buf, sizeof buf, &part, WS_FOREVER, NULL));
    CHECK(part.len == 4 && !part.is_last);
    raw_send_frame(fd, first, payload, len);
    CHECK(shutdown(fd, SHUT_WR) == 0);
    for (int i = 0; i < 2; i++) {
        ws_status status;

        /* The good beginning of a bad frame may be given before it is judged. */
        do
            status = ws_read_some(ws, buf, sizeof buf, &part, WS_FOREVER, &err);
        while (status == WS_OK && !part.is_last);
        CHECK_STATUS(expected, status);
        CHECK_NUMBER(code, err.close_code);
        CHECK_STATUS(expected, ws_read(ws, &msg, WS_FOREVER, &err));
    }
    CHECK_NUMBER(FIN | CLOSE, raw_receive_frame(fd, close_payload, &len));
    CHECK_NUMBER(code, close_payload[0] << 8 | close_payload[1]);
    CHECK_STATUS(expected, ws_close(ws, WS_CLOSE_NORMAL, NULL, NULL));
    ws_message_free(&msg);
    close(fd);
}

static void a_violation_in_the_middle_ends_the_message(void) {
    ws_options *options = ws_options_new();

    breaks_off(WS_PROTOCOL, WS_CLOSE_PROTOCOL_ERROR, NULL, FIN | TEXT, "new", 3);
    breaks_off(WS_INVALID_UTF8, WS_CLOSE_INVALID_DATA, NULL, FIN, "\xFF", 1);
    /* The message ends inside a character. */
    breaks_off(WS_INVALID_UTF8, WS_CLOSE_INVALID_DATA, NULL, FIN, "\xE2\x82", 2);
    CHECK_STATUS(WS_OK, ws_options_set_max_message_size(options, 8, NULL));
    breaks_off(WS_TOO_BIG, WS_CLOSE_MESSAGE_TOO_BIG, options, FIN, "12345", 5);
    ws_options_free(options);
}

static void a_peer_that_goes_away_in_the_middle_is_a_lost_connection(void) {
    char buf[64];
    ws_part part = {.len = 77};
    ws_conn ws;
    int fd = raw_client(&ws);

    raw_send_header(fd, FIN | BINARY, 1000);
    raw_send(fd, "half", 4);
    close(fd);
    CHECK_STATUS(WS_OK, ws_read_some(ws, buf, sizeof buf, &part, WS_FOREVER, NULL));
    CHECK(part.len == 4 && !part.is_last);
    for (int i = 0; i < 2; i++)
        CHECK_STATUS(WS_CONNECTION_LOST, ws_read_some(ws, buf, sizeof buf, &part, i, NULL));
    CHECK_STATUS(WS_CONNECTION_LOST, ws_close(ws, WS_CLOSE_NORMAL, NULL, NULL));
}

static void a_close_between_messages_is_the_end(void) {
    char buf[64];
    ws_part part;
    ws_error err;
    ws_conn ws;
    int fd = raw_client(&ws);

    raw_send_frame(fd, FIN | TEXT, "last", 4);
    raw_send_frame(fd, FIN | CLOSE, "\x0B\xB8", 2);
    rest_is(ws, 64, WS_TEXT, "last", 4);
    CHECK_STATUS(WS_CLOSED, ws_read_some(ws, buf, sizeof buf, &part, WS_FOREVER, &err));
    CHECK_NUMBER(3000, err.close_code);
    CHECK_STATUS(WS_OK, ws_close(ws, WS_CLOSE_NORMAL, NULL, NULL));
    close(fd);
}

enum { ABOVE_THE_DEFAULT = 20 << 20 };

static void *write_above_the_default(void *argument) {
    static char piece[1 << 20];

    for (size_t at = 0; at < ABOVE_THE_DEFAULT; at += sizeof piece) {
        memset(piece, (int)(at >> 20), sizeof piece);
        CHECK_STATUS(WS_OK, ws_write_part(*(ws_conn *)argument, WS_BINARY, piece, sizeof piece,
                                          at + sizeof piece == ABOVE_THE_DEFAULT, NULL));
    }
    return NULL;
}

static void a_message_without_a_limit_passes_through_a_small_buffer(void) {
    ws_options *options = ws_options_new();
    size_t got = 0;
    static char buf[40000];
    ws_conn client, server;
    pthread_t thread;
    ws_part part;

    CHECK_STATUS(WS_OK, ws_options_set_max_message_size(options, SIZE_MAX, NULL));
    peer_pair_with(&client, NULL, &server, options);
    ws_options_free(options);
    CHECK(pthread_create(&thread, NULL, write_above_the_default, &client) == 0);
    do {
        CHECK_STATUS(WS_OK, ws_read_some(server, buf, sizeof buf, &part, WS_FOREVER, NULL));
        for (size_t i = 0; i < part.len; i++)
            CHECK(buf[i] == (char)((got + i) >> 20));
        got += part.len;
    } while (!part.is_last);
    CHECK_NUMBER(ABOVE_THE_DEFAULT, (intmax_t)got);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));
}

int main(void) {
    const check_case cases[] = {
        TEST(what_nothing_can_be_read_into_harms_nothing),
        TEST(a_buffer_of_any_size_gets_the_whole_message),
        TEST(fragments_are_one_message_with_pings_between),
        TEST(what_is_there_is_given_without_waiting_for_more),
        TEST(a_character_may_be_cut_anywhere),
        TEST(a_message_is_read_in_one_way_or_the_other),
        TEST(a_violation_in_the_middle_ends_the_message),
        TEST(a_peer_that_goes_away_in_the_middle_is_a_lost_connection),
        TEST(a_close_between_messages_is_the_end),
        TEST(a_message_without_a_limit_passes_through_a_small_buffer),
    };
    return RUN(cases);
}
