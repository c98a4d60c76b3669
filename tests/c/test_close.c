/* ws_close and ws_abort: how connections end, also under those who wait on them. */

#include <pthread.h>
#include <stdatomic.h>

#include "check.h"
#include "peer.h"

/* Reads until the connection ends; what it ended with. */
struct reader {
    pthread_t thread;
    ws_conn ws;
    ws_status status;
    ws_error err;
};

static void *read_to_end(void *argument) {
    struct reader *reader = argument;
    ws_message msg = WS_MESSAGE_INIT;

    do
        reader->status = ws_read(reader->ws, &msg, WS_FOREVER, &reader->err);
    while (reader->status == WS_OK);
    ws_message_free(&msg);
    return NULL;
}

static void start_reader(struct reader *reader, ws_conn ws) {
    reader->ws = ws;
    CHECK(pthread_create(&reader->thread, NULL, read_to_end, reader) == 0);
}

static void end_reader(struct reader *reader, ws_status expected) {
    CHECK(pthread_join(reader->thread, NULL) == 0);
    CHECK_STATUS(expected, reader->status);
}

static void the_peer_is_told_code_and_reason(void) {
    char longest[124] = {0};
    struct {
        int32_t code;
        const char *reason;
    } closes[] = {{WS_CLOSE_NORMAL, "bye"},
                  {4999, NULL},
                  {WS_CLOSE_GOING_AWAY, ""},
                  {WS_CLOSE_BAD_GATEWAY, longest},
                  {WS_CLOSE_NO_STATUS, NULL}};

    memset(longest, 'x', sizeof longest - 1);
    for (size_t i = 0; i < sizeof closes / sizeof closes[0]; i++) {
        struct reader reader;
        ws_conn client, server;
        ws_error err;

        peer_pair(&client, &server);
        start_reader(&reader, server);
        CHECK_STATUS(WS_OK, ws_close(client, closes[i].code, closes[i].reason, NULL));
        end_reader(&reader, WS_CLOSED);
        CHECK_NUMBER(closes[i].code, reader.err.close_code);
        if (closes[i].reason != NULL)
            CHECK(strstr(reader.err.message, closes[i].reason) != NULL);
        /* After the end every call says so, and closing is fine. */
        CHECK_STATUS(WS_CLOSED, ws_write(server, WS_TEXT, "late", 4, &err));
        CHECK_NUMBER(closes[i].code, err.close_code);
        CHECK_STATUS(WS_OK, ws_close(server, WS_CLOSE_NORMAL, NULL, NULL));
        CHECK_STATUS(WS_BAD_HANDLE, ws_close(server, WS_CLOSE_NORMAL, NULL, NULL));
        CHECK_STATUS(WS_BAD_HANDLE, ws_close(client, WS_CLOSE_NORMAL, NULL, NULL));
    }
}

static void a_close_that_cannot_be_said_ends_the_handle_too(void) {
    char long_reason[125] = {0};
    const struct {
        int32_t code;
        const char *reason;
    } closes[] = {{WS_CLOSE_ABNORMAL, NULL},
                  {0, NULL},
                  {-1, NULL},
                  {1004, NULL},
                  {5000, NULL},
                  {WS_CLOSE_NORMAL + 65536, NULL},
                  {WS_CLOSE_NO_STATUS, "a reason needs a code"},
                  {WS_CLOSE_NORMAL, long_reason},
                  {WS_CLOSE_NORMAL, "\xFF"}};

    memset(long_reason, 'x', sizeof long_reason - 1);
    for (size_t i = 0; i < sizeof closes / sizeof closes[0]; i++) {
        ws_message msg = WS_MESSAGE_INIT;
        ws_conn client, server;
        ws_error err;

        peer_pair(&client, &server);
        CHECK_STATUS(WS_INVALID_ARGUMENT, ws_close(client, closes[i].code, closes[i].reason, &err));
        CHECK_NUMBER(WS_INVALID_ARGUMENT, err.status);
        CHECK_STATUS(WS_BAD_HANDLE, ws_close(client, WS_CLOSE_NORMAL, NULL, NULL));
        CHECK_STATUS(WS_CONNECTION_LOST, ws_read(server, &msg, WS_FOREVER, &err));
        CHECK_NUMBER(WS_CLOSE_ABNORMAL, err.close_code);
        CHECK_STATUS(WS_CONNECTION_LOST, ws_close(server, WS_CLOSE_NORMAL, NULL, NULL));
        ws_message_free(&msg);
    }
}

static void closing_ends_a_waiting_read(void) {
    struct reader reader, closer_view;
    unsigned char payload[125];
    size_t len;
    ws_conn ws, client, server;
    int fd = raw_client(&ws);

    start_reader(&reader, ws);
    /* The answer proves that the read is under way. */
    raw_ping(fd);
    raw_send_frame(fd, FIN | CLOSE, "\x03\xE8", 2);
    end_reader(&reader, WS_CLOSED);
    CHECK_NUMBER(FIN | CLOSE, raw_receive_frame(fd, payload, &len));
    CHECK_STATUS(WS_OK, ws_close(ws, WS_CLOSE_NORMAL, NULL, NULL));
    close(fd);

    /* And when it is this end that closes, under its own reader. */
    peer_pair(&client, &server);
    start_reader(&closer_view, server);
    start_reader(&reader, client);
    CHECK_STATUS(WS_OK, ws_close(client, 3000, "enough", NULL));
    end_reader(&closer_view, WS_CLOSED);
    CHECK_NUMBER(3000, closer_view.err.close_code);
    CHECK(pthread_join(reader.thread, NULL) == 0);
    /* A reader that came late found the handle gone. */
    CHECK(reader.status == WS_CLOSED || reader.status == WS_BAD_HANDLE);
    CHECK_STATUS(WS_OK, ws_close(server, WS_CLOSE_NORMAL, NULL, NULL));
}

struct closer {
    pthread_t thread;
    ws_conn ws;
    ws_status status;
};

static void *close_it(void *argument) {
    struct closer *closer = argument;

    closer->status = ws_close(closer->ws, 3001, NULL, NULL);
    return NULL;
}

static void closing_under_a_proven_reader_ends_both(void) {
    struct reader reader;
    struct closer closer;
    unsigned char payload[125];
    size_t len;
    int fd = raw_client(&closer.ws);

    start_reader(&reader, closer.ws);
    raw_ping(fd);
    CHECK(pthread_create(&closer.thread, NULL, close_it, &closer) == 0);
    CHECK_NUMBER(FIN | CLOSE, raw_receive_frame(fd, payload, &len));
    CHECK(len == 2 && (payload[0] << 8 | payload[1]) == 3001);
    raw_send_frame(fd, FIN | CLOSE, payload, len);
    end_reader(&reader, WS_CLOSED);
    CHECK(pthread_join(closer.thread, NULL) == 0);
    CHECK_STATUS(WS_OK, closer.status);
    CHECK(raw_at_end(fd));
    close(fd);
}

static void aborting_ends_a_waiting_read(void) {
    struct reader reader;
    ws_conn ws;
    int fd = raw_client(&ws);

    start_reader(&reader, ws);
    raw_ping(fd);
    CHECK_STATUS(WS_OK, ws_abort(ws, NULL));
    end_reader(&reader, WS_ABORTED);
    CHECK_NUMBER(WS_CLOSE_ABNORMAL, reader.err.close_code);
    CHECK(raw_at_end(fd));
    CHECK_STATUS(WS_BAD_HANDLE, ws_abort(ws, NULL));
    close(fd);
}

static void a_close_that_cannot_be_said_ends_a_waiting_read(void) {
    struct reader reader;
    ws_conn ws;
    int fd = raw_client(&ws);

    start_reader(&reader, ws);
    raw_ping(fd);
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_close(ws, WS_CLOSE_ABNORMAL, NULL, NULL));
    end_reader(&reader, WS_ABORTED);
    CHECK(raw_at_end(fd));
    close(fd);
}

struct flood {
    ws_conn ws;
    atomic_int written;
    ws_status status;
};

static void *write_to_end(void *argument) {
    static char payload[1 << 20];
    struct flood *flood = argument;

    while ((flood->status = ws_write(flood->ws, WS_BINARY, payload, sizeof payload, NULL)) == WS_OK)
        atomic_fetch_add(&flood->written, 1);
    return NULL;
}

static void aborting_ends_a_write_that_nobody_reads(void) {
    struct flood flood = {.written = 0};
    pthread_t thread;
    int fd = raw_client(&flood.ws), seen;

    CHECK(pthread_create(&thread, NULL, write_to_end, &flood) == 0);
    /* Sooner or later the system takes no more, and the number stands still. */
    do {
        seen = atomic_load(&flood.written);
        usleep(20000);
    } while (seen != atomic_load(&flood.written));
    CHECK_STATUS(WS_OK, ws_abort(flood.ws, NULL));
    CHECK(pthread_join(thread, NULL) == 0);
    /* A writer that was between two messages found the handle gone. */
    CHECK(flood.status == WS_ABORTED || flood.status == WS_BAD_HANDLE);
    close(fd);
}

static void of_many_closers_one_closes(void) {
    enum { CLOSERS = 8 };
    struct reader reader;
    struct closer closers[CLOSERS];
    ws_conn client, server;
    int closed = 0;

    peer_pair(&client, &server);
    start_reader(&reader, server);
    for (int i = 0; i < CLOSERS; i++) {
        closers[i].ws = client;
        CHECK(pthread_create(&closers[i].thread, NULL, close_it, &closers[i]) == 0);
    }
    for (int i = 0; i < CLOSERS; i++) {
        CHECK(pthread_join(closers[i].thread, NULL) == 0);
        CHECK(closers[i].status == WS_OK || closers[i].status == WS_BAD_HANDLE);
        closed += closers[i].status == WS_OK;
    }
    CHECK_NUMBER(1, closed);
    end_reader(&reader, WS_CLOSED);
    CHECK_STATUS(WS_OK, ws_close(server, WS_CLOSE_NORMAL, NULL, NULL));
}

static void a_peer_that_is_gone_is_a_lost_connection(void) {
    ws_message msg = WS_MESSAGE_INIT;
    ws_error err;
    ws_conn ws;
    int fd = raw_client(&ws);

    close(fd);
    CHECK_STATUS(WS_CONNECTION_LOST, ws_read(ws, &msg, WS_FOREVER, &err));
    CHECK_NUMBER(WS_CLOSE_ABNORMAL, err.close_code);
    CHECK_STATUS(WS_CONNECTION_LOST, ws_read(ws, &msg, 0, NULL));
    CHECK_STATUS(WS_CONNECTION_LOST, ws_close(ws, WS_CLOSE_NORMAL, NULL, &err));
    CHECK_NUMBER(WS_CONNECTION_LOST, err.status);
    CHECK_STATUS(WS_BAD_HANDLE, ws_read(ws, &msg, 0, NULL));
    ws_message_free(&msg);
}

int main(void) {
    const check_case cases[] = {
        TEST(the_peer_is_told_code_and_reason),
        TEST(a_close_that_cannot_be_said_ends_the_handle_too),
        TEST(closing_ends_a_waiting_read),
        TEST(closing_under_a_proven_reader_ends_both),
        TEST(aborting_ends_a_waiting_read),
        TEST(a_close_that_cannot_be_said_ends_a_waiting_read),
        TEST(aborting_ends_a_write_that_nobody_reads),
        TEST(of_many_closers_one_closes),
        TEST(a_peer_that_is_gone_is_a_lost_connection),
    };
    return RUN(cases);
}
