/* ws_write_part: messages that are written part by part. */

#include <pthread.h>

#include "check.h"
#include "peer.h"

static void each_part_is_a_frame(void) {
    ws_conn ws;
    int fd = raw_client(&ws);

    CHECK_STATUS(WS_OK, ws_write_part(ws, WS_TEXT, "one, ", 5, 0, NULL));
    CHECK_STATUS(WS_OK, ws_write_part(ws, WS_TEXT, NULL, 0, 0, NULL));
    CHECK_STATUS(WS_OK, ws_write_part(ws, WS_TEXT, "two", 3, 1, NULL));
    raw_frame_is(fd, TEXT, "one, ", 5);
    raw_frame_is(fd, 0, "", 0);
    raw_frame_is(fd, FIN, "two", 3);
    /* A message of one part is like any other, and so is an empty one. Any number means yes. */
    CHECK_STATUS(WS_OK, ws_write_part(ws, WS_BINARY, "\0\xFF", 2, INT32_MIN, NULL));
    CHECK_STATUS(WS_OK, ws_write_part(ws, WS_BINARY, NULL, 0, 2, NULL));
    CHECK_STATUS(WS_OK, ws_write(ws, WS_TEXT, "after", 5, NULL));
    raw_frame_is(fd, FIN | BINARY, "\0\xFF", 2);
    raw_frame_is(fd, FIN | BINARY, "", 0);
    raw_frame_is(fd, FIN | TEXT, "after", 5);
    raw_end(ws, fd);
}

static void what_cannot_be_a_part_harms_nothing(void) {
    const int32_t types[] = {0, 3, -1, 8, WS_TEXT | 0x800, WS_MORE, INT32_MAX, INT32_MIN};
    ws_error err;
    ws_conn ws;
    int fd = raw_client(&ws);

    for (int begun = 0; begun <= 1; begun++) {
        for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
            CHECK_STATUS(WS_INVALID_ARGUMENT, ws_write_part(ws, types[i], "x", 1, 1, &err));
        CHECK_NUMBER(WS_INVALID_ARGUMENT, err.status);
        CHECK_STATUS(WS_INVALID_ARGUMENT, ws_write_part(ws, WS_TEXT, NULL, 1, 1, NULL));
        CHECK_STATUS(WS_INVALID_ARGUMENT, ws_write_part(ws, WS_TEXT, "x", SIZE_MAX, 1, NULL));
        CHECK_STATUS(WS_INVALID_ARGUMENT, ws_write_part(ws, WS_TEXT, "\xFF", 1, 1, NULL));
        CHECK_STATUS(WS_INVALID_ARGUMENT, ws_write_part(ws, WS_TEXT, "\xFF", 1, 0, NULL));
        CHECK_STATUS(WS_BAD_HANDLE, ws_write_part(ws + 1, WS_TEXT, "x", 1, 1, NULL));
        CHECK_STATUS(WS_OK, ws_write_part(ws, WS_TEXT, "good", 4, begun, NULL));
        raw_frame_is(fd, begun ? FIN : TEXT, "good", 4);
    }
    raw_end(ws, fd);
}

static void a_part_of_another_type_is_refused(void) {
    ws_error err;
    ws_conn ws;
    int fd = raw_client(&ws);

    CHECK_STATUS(WS_OK, ws_write_part(ws, WS_BINARY, "a", 1, 0, NULL));
    CHECK_STATUS(WS_INVALID_STATE, ws_write_part(ws, WS_TEXT, "b", 1, 0, &err));
    CHECK_NUMBER(WS_INVALID_STATE, err.status);
    CHECK_STATUS(WS_INVALID_STATE, ws_write_part(ws, WS_TEXT, "b", 1, 1, NULL));
    /* A whole message by the thread that should end the other first would wait for itself. */
    CHECK_STATUS(WS_INVALID_STATE, ws_write(ws, WS_BINARY, "b", 1, &err));
    CHECK_STATUS(WS_INVALID_STATE, ws_write(ws, WS_TEXT | WS_DONTWAIT, "b", 1, NULL));
    CHECK_STATUS(WS_INVALID_STATE, ws_write(ws, WS_TEXT | WS_MORE, "b", 1, NULL));
    CHECK_STATUS(WS_OK, ws_write_part(ws, WS_BINARY, "c", 1, 1, NULL));
    CHECK_STATUS(WS_OK, ws_write(ws, WS_TEXT, "d", 1, NULL));
    raw_frame_is(fd, BINARY, "a", 1);
    raw_frame_is(fd, FIN, "c", 1);
    raw_frame_is(fd, FIN | TEXT, "d", 1);
    raw_end(ws, fd);
}

static void a_character_may_be_divided_between_parts(void) {
    ws_conn ws;
    int fd = raw_client(&ws);

    CHECK_STATUS(WS_OK, ws_write_part(ws, WS_TEXT, "\xF0\x9F", 2, 0, NULL));
    /* What does not go on with it is refused, and something else may be written instead. */
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_write_part(ws, WS_TEXT, "x", 1, 0, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_write_part(ws, WS_TEXT, NULL, 0, 1, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_write_part(ws, WS_TEXT, "\x98", 1, 1, NULL));
    CHECK_STATUS(WS_OK, ws_write_part(ws, WS_TEXT, "\x98", 1, 0, NULL));
    CHECK_STATUS(WS_OK, ws_write_part(ws, WS_TEXT, "\x80!", 2, 1, NULL));
    raw_frame_is(fd, TEXT, "\xF0\x9F", 2);
    raw_frame_is(fd, 0, "\x98", 1);
    raw_frame_is(fd, FIN, "\x80!", 2);
    raw_end(ws, fd);
}

static void pings_and_pongs_go_between_parts(void) {
    ws_part part;
    ws_conn ws;
    char buf[8];
    int fd = raw_client(&ws);

    CHECK_STATUS(WS_OK, ws_write_part(ws, WS_TEXT, "one", 3, 0, NULL));
    CHECK_STATUS(WS_OK, ws_ping(ws, "mine", 4, WS_FOREVER, NULL));
    raw_send_frame(fd, FIN | PING, "yours", 5);
    raw_send_frame(fd, FIN | TEXT, "x", 1);
    CHECK_STATUS(WS_OK, ws_read_some(ws, buf, sizeof buf, &part, WS_FOREVER, NULL));
    CHECK_STATUS(WS_OK, ws_write_part(ws, WS_TEXT, "two", 3, 1, NULL));
    raw_frame_is(fd, TEXT, "one", 3);
    raw_frame_is(fd, FIN | PING, "mine", 4);
    raw_frame_is(fd, FIN | PONG, "yours", 5);
    raw_frame_is(fd, FIN, "two", 3);
    raw_end(ws, fd);
}

struct other {
    pthread_t thread;
    ws_conn ws;
    ws_status status;
};

static void *write_whole(void *argument) {
    struct other *other = argument;

    other->status = ws_write(other->ws, WS_TEXT, "whole", 5, NULL);
    return NULL;
}

static void messages_of_other_threads_wait_for_the_last_part(void) {
    struct other other;
    int fd = raw_client(&other.ws);

    CHECK_STATUS(WS_OK, ws_write_part(other.ws, WS_TEXT, "one, ", 5, 0, NULL));
    CHECK(pthread_create(&other.thread, NULL, write_whole, &other) == 0);
    for (int i = 0; i < 100; i++)
        CHECK_STATUS(WS_OK, ws_write_part(other.ws, WS_TEXT, "on, ", 4, 0, NULL));
    CHECK_STATUS(WS_OK, ws_write_part(other.ws, WS_TEXT, "two", 3, 1, NULL));
    CHECK(pthread_join(other.thread, NULL) == 0);
    CHECK_STATUS(WS_OK, other.status);
    raw_frame_is(fd, TEXT, "one, ", 5);
    for (int i = 0; i < 100; i++)
        raw_frame_is(fd, 0, "on, ", 4);
    raw_frame_is(fd, FIN, "two", 3);
    raw_frame_is(fd, FIN | TEXT, "whole", 5);
    raw_end(other.ws, fd);
}

static void *write_without_waiting(void *argument) {
    struct other *other = argument;

    other->status = ws_write(other->ws, WS_TEXT | WS_DONTWAIT, "no", 2, NULL);
    return NULL;
}

static void who_does_not_wait_is_told_that_a_message_is_under_way(void) {
    struct other other;
    int fd = raw_client(&other.ws);

    CHECK_STATUS(WS_OK, ws_write_part(other.ws, WS_TEXT, "one, ", 5, 0, NULL));
    CHECK(pthread_create(&other.thread, NULL, write_without_waiting, &other) == 0);
    CHECK(pthread_join(other.thread, NULL) == 0);
    CHECK_STATUS(WS_TIMED_OUT, other.status);
    CHECK_STATUS(WS_OK, ws_write_part(other.ws, WS_TEXT, "two", 3, 1, NULL));
    raw_frame_is(fd, TEXT, "one, ", 5);
    raw_frame_is(fd, FIN, "two", 3);
    /* Nothing of the other message was sent, nor will be. */
    CHECK_STATUS(WS_OK, ws_ping(other.ws, "end", 3, WS_FOREVER, NULL));
    raw_frame_is(fd, FIN | PING, "end", 3);
    raw_end(other.ws, fd);
}

static void closing_in_the_middle_says_goodbye(void) {
    struct other other;
    int fd = raw_client(&other.ws);

    CHECK_STATUS(WS_OK, ws_write_part(other.ws, WS_TEXT, "never ended", 11, 0, NULL));
    raw_send_frame(fd, FIN | CLOSE, "\x03\xE8", 2);
    CHECK_STATUS(WS_OK, ws_close(other.ws, WS_CLOSE_NORMAL, NULL, NULL));
    raw_frame_is(fd, TEXT, "never ended", 11);
    raw_frame_is(fd, FIN | CLOSE, "\x03\xE8", 2);
    close(fd);
}

static void the_first_part_upgrades(void) {
    char url[64];
    ws_listener listener = peer_listen(url);
    int fd = raw_connect(listener);
    ws_conn ws;

    raw_request(fd);
    CHECK_STATUS(WS_OK, ws_accept(listener, &ws, WS_FOREVER, NULL));
    CHECK_STATUS(WS_OK, ws_write_part(ws, WS_TEXT, "part", 4, 0, NULL));
    CHECK_NUMBER(101, raw_receive_status(fd));
    raw_frame_is(fd, TEXT, "part", 4);
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    raw_end(ws, fd);
}

static void an_ended_connection_takes_no_part(void) {
    ws_error err;
    ws_message msg = WS_MESSAGE_INIT;
    ws_conn ws;
    int fd = raw_client(&ws);

    raw_send_frame(fd, FIN | CLOSE, "\x0B\xB8", 2);
    CHECK_STATUS(WS_CLOSED, ws_read(ws, &msg, WS_FOREVER, NULL));
    ws_message_free(&msg);
    CHECK_STATUS(WS_CLOSED, ws_write_part(ws, WS_TEXT, "x", 1, 0, &err));
    CHECK_NUMBER(3000, err.close_code);
    CHECK_STATUS(WS_CLOSED, ws_write_part(ws, WS_TEXT | WS_MORE, "x", 1, 1, NULL));
    CHECK_STATUS(WS_CLOSED, ws_flush(ws, 0, NULL));
    CHECK_STATUS(WS_CLOSED, ws_ping(ws, NULL, 0, 0, NULL));
    CHECK_STATUS(WS_OK, ws_close(ws, WS_CLOSE_NORMAL, NULL, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_write_part(ws, WS_TEXT, "x", 1, 0, NULL));
    close(fd);
}

int main(void) {
    const check_case cases[] = {
        TEST(each_part_is_a_frame),
        TEST(what_cannot_be_a_part_harms_nothing),
        TEST(a_part_of_another_type_is_refused),
        TEST(a_character_may_be_divided_between_parts),
        TEST(pings_and_pongs_go_between_parts),
        TEST(messages_of_other_threads_wait_for_the_last_part),
        TEST(who_does_not_wait_is_told_that_a_message_is_under_way),
        TEST(closing_in_the_middle_says_goodbye),
        TEST(the_first_part_upgrades),
        TEST(an_ended_connection_takes_no_part),
    };
    return RUN(cases);
}
