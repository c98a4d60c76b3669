/* Backlogs, prepared messages, broadcasts and topics: writing to peers that are slow, and to many.
 */

#include "check.h"
#include "peer.h"

enum { LIMIT = 64 * 1024, SIZE = 100 };

static ws_conn slow_peer(int *fd, int32_t policy) {
    ws_options *options = ws_options_new();
    ws_conn ws;

    CHECK_STATUS(WS_OK, ws_options_set_write_backlog(options, LIMIT, policy, NULL));
    CHECK_STATUS(WS_OK, ws_options_set_socket_buffers(options, 0, 4096, NULL));
    CHECK_STATUS(WS_OK, ws_options_set_close_timeout(options, 100, NULL));
    *fd = raw_client_with(&ws, options);
    ws_options_free(options);
    return ws;
}

static ws_status write_numbered(ws_conn ws, int number, ws_error *err) {
    char data[SIZE];

    memset(data, '.', sizeof data);
    memcpy(data, &number, sizeof number);
    return ws_write(ws, WS_BINARY, data, sizeof data, err);
}

/* Waits for a frame of write_numbered. */
static int receive_numbered(int fd) {
    char data[125];
    size_t len;
    int number;

    CHECK_NUMBER(FIN | BINARY, raw_receive_frame(fd, data, &len));
    CHECK_NUMBER(SIZE, len);
    memcpy(&number, data, sizeof number);
    return number;
}

static void a_full_backlog_refuses_and_what_it_accepted_arrives(void) {
    ws_error err;
    size_t waiting;
    int fd, accepted = 0;
    ws_conn ws = slow_peer(&fd, WS_BACKLOG_REFUSE);
    ws_status status;

    CHECK_STATUS(WS_OK, ws_backlog(ws, &waiting, NULL));
    CHECK_NUMBER(0, waiting);
    while ((status = write_numbered(ws, accepted, &err)) == WS_OK)
        accepted++;
    CHECK_NUMBER(WS_WOULD_BLOCK, status);
    CHECK_NUMBER(WS_WOULD_BLOCK, err.status);
    CHECK_STATUS(WS_OK, ws_backlog(ws, &waiting, NULL));
    CHECK(waiting > LIMIT - 2 * SIZE && waiting <= LIMIT);
    for (int i = 0; i < accepted; i++)
        CHECK_NUMBER(i, receive_numbered(fd));
    CHECK_STATUS(WS_OK, write_numbered(ws, accepted, NULL));
    CHECK_NUMBER(accepted, receive_numbered(fd));
    raw_end(ws, fd);
}

static void the_oldest_make_room_and_are_counted(void) {
    ws_counters counters;
    int fd, number, received = 0;
    ws_conn ws = slow_peer(&fd, WS_BACKLOG_WAIT);
    const int written = 50000;

    CHECK_STATUS(WS_OK, ws_set_write_backlog(ws, LIMIT, WS_BACKLOG_DROP_OLDEST, NULL));
    for (int i = 0; i < written; i++)
        CHECK_STATUS(WS_OK, write_numbered(ws, i, NULL));
    for (int last = -1; last < written - 1; last = number, received++) {
        number = receive_numbered(fd);
        CHECK(number > last);
    }
    CHECK_STATUS(WS_OK, ws_count(ws, &counters, NULL));
    CHECK(counters.messages_dropped > 0);
    CHECK_NUMBER(written, counters.messages_dropped + (uint64_t)received);
    raw_end(ws, fd);
}

static void one_who_is_too_slow_is_closed_with_1013(void) {
    ws_error err;
    char data[125];
    size_t len;
    int fd, first, accepted = 0;
    ws_conn ws = slow_peer(&fd, WS_BACKLOG_CLOSE);
    ws_status status;

    while ((status = write_numbered(ws, accepted, &err)) == WS_OK)
        accepted++;
    CHECK_NUMBER(WS_CLOSED, status);
    CHECK_NUMBER(WS_CLOSE_TRY_AGAIN_LATER, err.close_code);
    while ((first = raw_receive_frame(fd, data, &len)) == (FIN | BINARY))
        CHECK(accepted-- > 0);
    CHECK_NUMBER(FIN | CLOSE, first);
    CHECK(memcmp(data, "\x03\xF5", 2) == 0);
    CHECK(accepted > 0);
    raw_end(ws, fd);
}

static void a_prepared_message_reaches_many_and_waits_for_none(void) {
    ws_prepared text, binary;
    ws_report report;
    int fds[3], accepted = 0;
    ws_conn conns[4];

    for (int i = 0; i < 3; i++)
        conns[i] = slow_peer(&fds[i], WS_BACKLOG_WAIT);
    conns[3] = 12345;
    CHECK_STATUS(WS_OK, ws_prepare(WS_TEXT, "hello", 5, &text, NULL));
    CHECK_STATUS(WS_OK, ws_prepare(WS_BINARY, NULL, 0, &binary, NULL));
    CHECK_STATUS(WS_OK, ws_broadcast(conns, 4, text, &report, NULL));
    CHECK_NUMBER(3, report.accepted);
    CHECK_NUMBER(0, report.refused);
    CHECK_NUMBER(1, report.closed);
    CHECK_STATUS(WS_OK, ws_write_prepared(conns[0], binary, WS_MORE, NULL));
    CHECK_STATUS(WS_OK, ws_write_prepared(conns[0], text, 0, NULL));
    CHECK_STATUS(WS_OK, ws_broadcast(NULL, 0, text, NULL, NULL));
    for (int i = 0; i < 3; i++)
        raw_frame_is(fds[i], FIN | TEXT, "hello", 5);
    raw_frame_is(fds[0], FIN | BINARY, "", 0);
    raw_frame_is(fds[0], FIN | TEXT, "hello", 5);
    /* One does not read, and is refused in the end; the others get each message. */
    do {
        CHECK_STATUS(WS_OK, ws_broadcast(conns, 3, text, &report, NULL));
        raw_frame_is(fds[1], FIN | TEXT, "hello", 5);
        raw_frame_is(fds[2], FIN | TEXT, "hello", 5);
        accepted += report.refused == 0;
    } while (report.refused == 0);
    CHECK_NUMBER(2, report.accepted);
    /* What was accepted is sent, whatever becomes of the handle. */
    CHECK_STATUS(WS_OK, ws_prepared_free(text, NULL));
    while (accepted-- > 0)
        raw_frame_is(fds[0], FIN | TEXT, "hello", 5);
    CHECK_STATUS(WS_OK, ws_prepared_free(binary, NULL));
    for (int i = 0; i < 3; i++)
        raw_end(conns[i], fds[i]);
}

static void topics_reach_those_who_want_to_hear(void) {
    ws_topics topics;
    ws_prepared news;
    ws_report report;
    int fds[2];
    ws_conn conns[2];

    for (int i = 0; i < 2; i++)
        fds[i] = raw_client(&conns[i]);
    CHECK_STATUS(WS_OK, ws_topics_new(&topics, NULL));
    CHECK_STATUS(WS_OK, ws_prepare(WS_TEXT, "news", 4, &news, NULL));
    CHECK_STATUS(WS_OK, ws_subscribe(topics, "a", conns[0], NULL));
    CHECK_STATUS(WS_OK, ws_subscribe(topics, "a", conns[0], NULL));
    CHECK_STATUS(WS_OK, ws_subscribe(topics, "a", conns[1], NULL));
    CHECK_STATUS(WS_OK, ws_subscribe(topics, "b", conns[1], NULL));
    CHECK_STATUS(WS_OK, ws_publish(topics, "a", news, &report, NULL));
    CHECK_NUMBER(2, report.accepted);
    raw_frame_is(fds[0], FIN | TEXT, "news", 4);
    raw_frame_is(fds[1], FIN | TEXT, "news", 4);
    CHECK_STATUS(WS_OK, ws_unsubscribe(topics, "a", conns[0], NULL));
    CHECK_STATUS(WS_OK, ws_publish(topics, "a", news, &report, NULL));
    CHECK_NUMBER(1, report.accepted);
    CHECK_STATUS(WS_OK, ws_unsubscribe(topics, NULL, conns[1], NULL));
    CHECK_STATUS(WS_OK, ws_publish(topics, "b", news, &report, NULL));
    CHECK_NUMBER(0, report.accepted);
    /* One that ends leaves by itself. */
    CHECK_STATUS(WS_OK, ws_subscribe(topics, "b", conns[0], NULL));
    raw_end(conns[0], fds[0]);
    CHECK_STATUS(WS_OK, ws_publish(topics, "b", news, &report, NULL));
    CHECK_NUMBER(0, report.accepted);
    CHECK_STATUS(WS_OK, ws_topics_free(topics, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_publish(topics, "a", news, NULL, NULL));
    CHECK_STATUS(WS_OK, ws_prepared_free(news, NULL));
    raw_end(conns[1], fds[1]);
}

static void what_is_wrong_is_told_and_harms_nothing(void) {
    ws_options *options = ws_options_new();
    ws_topics topics;
    ws_prepared prepared;
    ws_conn ws;
    int fd = raw_client(&ws);

    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_options_set_write_backlog(options, 1, 4, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_options_set_write_backlog(options, 1, -1, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_set_write_backlog(ws, 1, 4, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_backlog(ws, NULL, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_prepare(WS_TEXT, "\xFF", 1, &prepared, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_prepare(WS_TEXT | WS_MORE, "x", 1, &prepared, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_prepare(WS_TEXT, "x", 1, NULL, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_topics_new(NULL, NULL));
    CHECK_STATUS(WS_OK, ws_prepare(WS_TEXT, "x", 1, &prepared, NULL));
    CHECK_STATUS(WS_OK, ws_topics_new(&topics, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_write_prepared(ws, prepared, WS_TEXT, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_broadcast(NULL, 1, prepared, NULL, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_broadcast(&ws, SIZE_MAX, prepared, NULL, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_subscribe(topics, NULL, ws, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_subscribe(topics, "\xFF", ws, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_subscribe(prepared, "x", ws, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_subscribe(topics, "x", topics, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_broadcast(&ws, 1, topics, NULL, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_write_prepared(ws, ws, 0, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_prepared_free(topics, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_topics_free(prepared, NULL));
    CHECK_STATUS(WS_OK, ws_prepared_free(prepared, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_prepared_free(prepared, NULL));
    CHECK_STATUS(WS_OK, ws_prepared_free(0, NULL));
    CHECK_STATUS(WS_OK, ws_topics_free(topics, NULL));
    CHECK_STATUS(WS_OK, ws_topics_free(0, NULL));
    CHECK_STATUS(WS_OK, ws_write(ws, WS_TEXT, "fine", 4, NULL));
    raw_frame_is(fd, FIN | TEXT, "fine", 4);
    CHECK_NUMBER(1, ws_has(WS_FEATURE_BROADCAST));
    ws_options_free(options);
    raw_end(ws, fd);
}

int main(void) {
    const check_case cases[] = {
        TEST(a_full_backlog_refuses_and_what_it_accepted_arrives),
        TEST(the_oldest_make_room_and_are_counted),
        TEST(one_who_is_too_slow_is_closed_with_1013),
        TEST(a_prepared_message_reaches_many_and_waits_for_none),
        TEST(topics_reach_those_who_want_to_hear),
        TEST(what_is_wrong_is_told_and_harms_nothing),
    };
    return RUN(cases);
}
