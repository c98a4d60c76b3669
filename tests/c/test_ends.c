/* Ending what other threads are in the middle of: reads, writes, accepts, dials. */

#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#ifdef __linux__
#include <linux/tcp.h>
#include <netinet/in.h>
#endif

#include "check.h"
#include "peer.h"

/* More than the system takes for a peer that does not read. */
enum { HUGE_SIZE = 64 << 20 };

/* A call in a thread of its own. */
struct call {
    pthread_t thread;
    ws_status (*make)(struct call *call);
    uint64_t handle;
    const char *data;
    ws_status status;
    ws_error err;
};

static void *make(void *argument) {
    struct call *call = argument;

    call->status = call->make(call);
    return NULL;
}

static void start(struct call *call, ws_status (*function)(struct call *), uint64_t handle) {
    call->make = function;
    call->handle = handle;
    CHECK(pthread_create(&call->thread, NULL, make, call) == 0);
}

static ws_status result(struct call *call) {
    CHECK(pthread_join(call->thread, NULL) == 0);
    return call->status;
}

static ws_status read_some(struct call *call) {
    ws_part part;
    char buf[64];

    return ws_read_some(call->handle, buf, sizeof buf, &part, WS_FOREVER, &call->err);
}

static ws_status read_whole(struct call *call) {
    ws_message msg = WS_MESSAGE_INIT;
    ws_status status = ws_read(call->handle, &msg, WS_FOREVER, &call->err);

    ws_message_free(&msg);
    return status;
}

static ws_status write_huge(struct call *call) {
    return ws_write(call->handle, WS_BINARY, call->data, HUGE_SIZE, &call->err);
}

static ws_status write_huge_part(struct call *call) {
    return ws_write_part(call->handle, WS_BINARY, call->data, HUGE_SIZE, 0, &call->err);
}

static ws_status flush(struct call *call) {
    return ws_flush(call->handle, WS_FOREVER, &call->err);
}

static ws_status accept_one(struct call *call) {
    ws_conn ws;

    return ws_accept(call->handle, &ws, WS_FOREVER, &call->err);
}

static void a_waiting_read_of_a_part_ends_with_its_connection(void) {
    for (int aborts = 0; aborts <= 1; aborts++) {
        struct call reading;
        ws_conn ws;
        int fd = raw_client(&ws);

        start(&reading, read_some, ws);
        /* The answer proves that the read is under way. */
        raw_ping(fd);
        if (aborts) {
            CHECK_STATUS(WS_OK, ws_abort(ws, NULL));
            CHECK_STATUS(WS_ABORTED, result(&reading));
        } else {
            /* Its goodbye is said before this end's. */
            raw_send_frame(fd, FIN | CLOSE, "\x0B\xB8", 2);
            CHECK_STATUS(WS_CLOSED, result(&reading));
            CHECK_NUMBER(3000, reading.err.close_code);
            CHECK_STATUS(WS_OK, ws_close(ws, WS_CLOSE_NORMAL, NULL, NULL));
        }
        close(fd);
    }
}

static void a_reader_in_the_middle_of_a_message_is_told(void) {
    struct call reading;
    ws_conn ws;
    int fd = raw_client(&ws);

    start(&reading, read_whole, ws);
    raw_send_frame(fd, TEXT, "half", 4);
    raw_ping(fd);
    CHECK_STATUS(WS_OK, ws_abort(ws, NULL));
    CHECK_STATUS(WS_ABORTED, result(&reading));
    close(fd);
}

/* A write of more than there is room for: what the peer gets of it proves that it is under way, and
 * it cannot end by itself. */
static void ends_while_writing(ws_status (*writes)(struct call *), int first) {
    char *data = calloc(1, HUGE_SIZE);
    ws_options *options = ws_options_new();

    CHECK(data != NULL);
    CHECK_STATUS(WS_OK, ws_options_set_close_timeout(options, 10, NULL));
    for (int aborts = 0; aborts <= 1; aborts++) {
        struct call writing = {.data = data};
        unsigned char header[10];
        ws_conn ws;
        int fd = raw_client_with(&ws, options);

        start(&writing, writes, ws);
        raw_receive(fd, header, sizeof header);
        CHECK_NUMBER(first, header[0]);
        if (aborts) {
            CHECK_STATUS(WS_OK, ws_abort(ws, NULL));
            CHECK_STATUS(WS_ABORTED, result(&writing));
        } else {
            /* A peer that does not read cannot be told. */
            CHECK_STATUS(WS_CONNECTION_LOST, ws_close(ws, WS_CLOSE_NORMAL, NULL, NULL));
            CHECK_STATUS(WS_CONNECTION_LOST, result(&writing));
        }
        close(fd);
    }
    ws_options_free(options);
    free(data);
}

static void a_waiting_write_ends_with_its_connection(void) {
    ends_while_writing(write_huge, FIN | BINARY);
    ends_while_writing(write_huge_part, BINARY);
}

static void a_waiting_flush_ends_with_its_connection(void) {
    char *data = calloc(1, HUGE_SIZE);
    struct call flushing = {0};
    ws_conn ws;
    int fd = raw_client(&ws);

    CHECK(data != NULL);
    CHECK_STATUS(WS_OK, ws_write(ws, WS_BINARY | WS_DONTWAIT, data, HUGE_SIZE, NULL));
    start(&flushing, flush, ws);
    /* More than the system holds: it comes because of the flush. */
    raw_receive(fd, data, HUGE_SIZE / 2);
    CHECK_STATUS(WS_OK, ws_abort(ws, NULL));
    CHECK_STATUS(WS_ABORTED, result(&flushing));
    close(fd);
    free(data);
}

static void all_who_wait_end_together(void) {
    enum { EACH = 3 };
    struct call calls[3 * EACH];
    char *data = calloc(1, HUGE_SIZE);
    unsigned char header[10];
    ws_conn ws;
    int fd = raw_client(&ws);

    CHECK(data != NULL);
    for (int i = 0; i < 3 * EACH; i++) {
        ws_status (*const functions[])(struct call *) = {read_some, write_huge, read_whole};

        calls[i].data = data;
        start(&calls[i], functions[i % 3], ws);
    }
    /* One writes; the others wait for it, or come too late. */
    raw_receive(fd, header, sizeof header);
    CHECK_STATUS(WS_OK, ws_abort(ws, NULL));
    for (int i = 0; i < 3 * EACH; i++) {
        ws_status status = result(&calls[i]);

        CHECK(status == WS_ABORTED || status == WS_BAD_HANDLE);
    }
    close(fd);
    free(data);
}

static void all_who_accept_end_together(void) {
    enum { MANY = 4 };
    struct call calls[MANY];
    char url[64];
    ws_listener listener = peer_listen(url);
    int fd = raw_connect(listener);

    for (int i = 0; i < MANY; i++)
        start(&calls[i], accept_one, listener);
    /* An answer to a bad request proves that somebody accepts. */
    raw_send(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 28);
    CHECK_NUMBER(426, raw_receive_status(fd));
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    for (int i = 0; i < MANY; i++) {
        ws_status status = result(&calls[i]);

        CHECK(status == WS_ABORTED || status == WS_BAD_HANDLE);
    }
    close(fd);
}

static void closing_one_handle_leaves_who_waits_on_others(void) {
    struct call reading;
    ws_conn ws, client, server;
    char url[64];
    ws_listener listener = peer_listen(url);
    int fd = raw_client(&ws);

    start(&reading, read_some, ws);
    raw_ping(fd);
    peer_pair(&client, &server);
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    raw_ping(fd);
    raw_send_frame(fd, FIN | TEXT, "x", 1);
    CHECK_STATUS(WS_OK, result(&reading));
    raw_end(ws, fd);
}

static void a_dial_that_nobody_accepts_ends_with_the_listener(void) {
#ifdef __linux__
    char url[64];
    ws_listener listener = peer_listen(url);
    int fd = peer_descriptor(listener);
    peer_dial *dial = peer_dial_start(url);
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    ws_status status;
    ws_conn ws;

    /* Of a socket that listens, this is how many wait to be accepted: the dial is connected. */
    do {
        sched_yield();
        CHECK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0);
    } while (info.tcpi_unacked == 0);
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    /* The dial may not have seen yet that it was connected. */
    status = peer_dial_end(dial, &ws, NULL);
    if (status != WS_IO)
        CHECK_STATUS(WS_CONNECTION_LOST, status);
#endif
}

static void a_dial_that_was_accepted_outlives_the_listener(void) {
    char url[64];
    ws_listener listener = peer_listen(url);
    peer_dial *dial = peer_dial_start(url);
    ws_conn client, server;

    CHECK_STATUS(WS_OK, ws_accept(listener, &server, WS_FOREVER, NULL));
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    CHECK_STATUS(WS_OK, ws_upgrade(server, NULL, NULL));
    CHECK_STATUS(WS_OK, peer_dial_end(dial, &client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));
}

static void a_dial_whose_client_was_not_answered_is_refused(void) {
    for (int aborts = 0; aborts <= 1; aborts++) {
        char url[64];
        ws_listener listener = peer_listen(url);
        peer_dial *dial = peer_dial_start(url);
        ws_conn client, server;
        ws_error err;

        CHECK_STATUS(WS_OK, ws_accept(listener, &server, WS_FOREVER, NULL));
        CHECK_STATUS(WS_OK, aborts ? ws_abort(server, NULL)
                                   : ws_close(server, WS_CLOSE_NORMAL, NULL, NULL));
        CHECK_STATUS(WS_REFUSED, peer_dial_end(dial, &client, &err));
        CHECK_NUMBER(503, err.http_status);
        CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    }
}

int main(void) {
    const check_case cases[] = {
        TEST(a_waiting_read_of_a_part_ends_with_its_connection),
        TEST(a_reader_in_the_middle_of_a_message_is_told),
        TEST(a_waiting_write_ends_with_its_connection),
        TEST(a_waiting_flush_ends_with_its_connection),
        TEST(all_who_wait_end_together),
        TEST(all_who_accept_end_together),
        TEST(closing_one_handle_leaves_who_waits_on_others),
        TEST(a_dial_that_nobody_accepts_ends_with_the_listener),
        TEST(a_dial_that_was_accepted_outlives_the_listener),
        TEST(a_dial_whose_client_was_not_answered_is_refused),
    };
    return RUN(cases);
}
