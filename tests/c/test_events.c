/* ws_fd and ws_pending: connections in an event loop. */

#include <poll.h>
#include <sys/socket.h>

#include "check.h"
#include "peer.h"

static int32_t descriptor(ws_conn ws) {
    int32_t fd = -1;

    CHECK_STATUS(WS_OK, ws_fd(ws, &fd, NULL));
    CHECK(fd >= 0);
    return fd;
}

static int32_t pending(ws_conn ws) {
    int32_t pending;

    CHECK_STATUS(WS_OK, ws_pending(ws, &pending, NULL));
    return pending;
}

static int is_readable(int32_t fd) {
    struct pollfd entry = {.fd = fd, .events = POLLIN};

    CHECK(poll(&entry, 1, 0) >= 0);
    return entry.revents != 0;
}

/* Waits for either end of a connection: reads what comes, and hands over what waits. */
static ws_status turn(ws_conn ws, ws_message *msg) {
    struct pollfd entry = {.fd = descriptor(ws), .events = POLLIN};
    int32_t waiting = pending(ws);

    if (waiting & WS_PENDING_WRITE)
        entry.events |= POLLOUT;
    CHECK(poll(&entry, 1, waiting & WS_PENDING_READ ? 0 : -1) >= 0);
    if (entry.revents & POLLOUT) {
        ws_status status = ws_flush(ws, 0, NULL);

        CHECK(status == WS_OK || status == WS_TIMED_OUT);
    }
    return ws_read(ws, msg, 0, NULL);
}

static void what_no_loop_could_use_is_an_invalid_argument(void) {
    int32_t unchanged = 77;
    ws_conn ws;
    int fd = raw_client(&ws);

    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_fd(ws, NULL, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_pending(ws, NULL, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_fd(ws + 1, &unchanged, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_pending(ws + 1, &unchanged, NULL));
    raw_end(ws, fd);
    CHECK_STATUS(WS_BAD_HANDLE, ws_fd(ws, &unchanged, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_pending(ws, &unchanged, NULL));
    CHECK_NUMBER(77, unchanged);
}

static void the_descriptor_stays_the_same(void) {
    char url[64];
    ws_listener listener = peer_listen(url);
    int fd = raw_connect(listener);
    int32_t before;
    ws_conn ws;

    raw_request(fd);
    CHECK_STATUS(WS_OK, ws_accept(listener, &ws, WS_FOREVER, NULL));
    before = descriptor(ws);
    CHECK_NUMBER(0, pending(ws));
    CHECK_STATUS(WS_OK, ws_upgrade(ws, NULL, NULL));
    CHECK_NUMBER(before, descriptor(ws));
    CHECK_STATUS(WS_OK, ws_write(ws, WS_TEXT, "x", 1, NULL));
    CHECK_NUMBER(before, descriptor(ws));
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    raw_end(ws, fd);
}

static void what_was_received_with_another_message_is_pending(void) {
    ws_message msg = WS_MESSAGE_INIT;
    ws_conn ws;
    int fd = raw_client(&ws);
    const char both[] = "\x81\x83\0\0\0\0one\x81\x83\0\0\0\0two";

    CHECK_NUMBER(0, pending(ws));
    CHECK(!is_readable(descriptor(ws)));
    raw_send(fd, both, sizeof both - 1);
    CHECK_STATUS(WS_OK, ws_read(ws, &msg, WS_FOREVER, NULL));
    CHECK_TEXT("one", msg.data);
    /* The second came along: the descriptor has no news, and the connection does. */
    CHECK(!is_readable(descriptor(ws)));
    CHECK_NUMBER(WS_PENDING_READ, pending(ws));
    CHECK_STATUS(WS_OK, ws_read(ws, &msg, 0, NULL));
    CHECK_TEXT("two", msg.data);
    CHECK_STATUS(WS_TIMED_OUT, ws_read(ws, &msg, 0, NULL));
    CHECK_NUMBER(0, pending(ws));
    ws_message_free(&msg);
    raw_end(ws, fd);
}

static void what_was_sent_with_the_request_is_pending_after_the_upgrade(void) {
    char url[64];
    ws_listener listener = peer_listen(url);
    int fd = raw_connect(listener);
    const char early[] =
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        "\x81\x85\0\0\0\0early";
    ws_message msg = WS_MESSAGE_INIT;
    ws_conn ws;

    raw_send(fd, early, sizeof early - 1);
    CHECK_STATUS(WS_OK, ws_accept(listener, &ws, WS_FOREVER, NULL));
    CHECK_STATUS(WS_OK, ws_upgrade(ws, NULL, NULL));
    /* Or the socket has it still. */
    CHECK(pending(ws) == WS_PENDING_READ || is_readable(descriptor(ws)));
    CHECK_STATUS(WS_OK, turn(ws, &msg));
    CHECK_TEXT("early", msg.data);
    ws_message_free(&msg);
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    raw_end(ws, fd);
}

static void part_of_a_message_is_pending_until_it_was_read(void) {
    ws_part part;
    ws_conn ws;
    char buf[2];
    int fd = raw_client(&ws);

    raw_send_frame(fd, FIN | TEXT, "abc", 3);
    CHECK_STATUS(WS_OK, ws_read_some(ws, buf, sizeof buf, &part, WS_FOREVER, NULL));
    CHECK(!part.is_last);
    CHECK_NUMBER(WS_PENDING_READ, pending(ws));
    CHECK_STATUS(WS_OK, ws_read_some(ws, buf, sizeof buf, &part, 0, NULL));
    CHECK(part.is_last && part.len == 1);
    CHECK_NUMBER(0, pending(ws));
    raw_end(ws, fd);
}

static void an_end_wakes_the_loop(void) {
    ws_message msg = WS_MESSAGE_INIT;
    ws_conn ws;
    int fd = raw_client(&ws);

    raw_send_frame(fd, FIN | CLOSE, "\x0B\xB8", 2);
    CHECK_STATUS(WS_CLOSED, turn(ws, &msg));
    /* And it goes on being news, although the descriptor may have none. */
    CHECK(pending(ws) & WS_PENDING_READ);
    CHECK_STATUS(WS_CLOSED, turn(ws, &msg));
    CHECK_STATUS(WS_OK, ws_close(ws, WS_CLOSE_NORMAL, NULL, NULL));
    close(fd);
    fd = raw_client(&ws);
    close(fd);
    CHECK_STATUS(WS_CONNECTION_LOST, turn(ws, &msg));
    CHECK_STATUS(WS_CONNECTION_LOST, turn(ws, &msg));
    CHECK_STATUS(WS_OK, ws_abort(ws, NULL));
    ws_message_free(&msg);
}

static void one_thread_serves_both_ends(void) {
    enum { LENGTH = 1 << 20, MESSAGES = 20 };
    char *message = malloc(LENGTH);
    ws_message msg = WS_MESSAGE_INIT;
    ws_conn ends[2];
    int sent[2] = {0}, received[2] = {0};

    CHECK(message != NULL);
    memset(message, 'x', LENGTH);
    peer_pair(&ends[0], &ends[1]);
    /* Each end writes more than fits, and reads nothing until it has. */
    while (received[0] < MESSAGES || received[1] < MESSAGES) {
        for (int i = 0; i < 2; i++) {
            ws_status status;

            while (sent[i] < MESSAGES) {
                message[0] = (char)sent[i];
                status = ws_write(ends[i], WS_BINARY | WS_DONTWAIT, message, LENGTH, NULL);
                if (status == WS_TIMED_OUT)
                    break;
                CHECK_STATUS(WS_OK, status);
                sent[i]++;
            }
            if (received[i] == MESSAGES && !(pending(ends[i]) & WS_PENDING_WRITE))
                continue;
            status = ws_flush(ends[i], 0, NULL);
            CHECK(status == WS_OK || status == WS_TIMED_OUT);
            status = ws_read(ends[i], &msg, 0, NULL);
            if (status == WS_TIMED_OUT)
                continue;
            CHECK_STATUS(WS_OK, status);
            CHECK(msg.len == LENGTH && msg.data[0] == (char)received[i]);
            received[i]++;
        }
    }
    CHECK(sent[0] == MESSAGES && sent[1] == MESSAGES);
    ws_message_free(&msg);
    free(message);
    CHECK_STATUS(WS_OK, ws_abort(ends[0], NULL));
    CHECK_STATUS(WS_OK, ws_abort(ends[1], NULL));
}

static void a_loop_that_waits_for_room_gets_it(void) {
    enum { LENGTH = 1 << 20 };
    char *message = calloc(1, LENGTH);
    ws_message msg = WS_MESSAGE_INIT;
    ws_conn client, server;
    int accepted = 0;

    CHECK(message != NULL);
    peer_pair(&client, &server);
    while (!(pending(client) & WS_PENDING_WRITE)) {
        /* Compressed, it would be nearly nothing. */
        int32_t type = WS_BINARY | WS_DONTWAIT | WS_NO_COMPRESS;

        CHECK_STATUS(WS_OK, ws_write(client, type, message, LENGTH, NULL));
        CHECK(++accepted < 1000);
    }
    for (int received = 0; received < accepted;) {
        ws_status status = ws_read(server, &msg, 0, NULL);

        if (status == WS_OK)
            received++;
        else if (pending(client) & WS_PENDING_WRITE) {
            /* The server has taken all there is, so there is room. */
            struct pollfd entry = {.fd = descriptor(client), .events = POLLOUT};

            CHECK_STATUS(WS_TIMED_OUT, status);
            CHECK(poll(&entry, 1, -1) == 1);
            CHECK_NUMBER(POLLOUT, entry.revents);
            status = ws_flush(client, 0, NULL);
            CHECK(status == WS_OK || status == WS_TIMED_OUT);
        }
    }
    CHECK_NUMBER(0, pending(client));
    ws_message_free(&msg);
    free(message);
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));
}

int main(void) {
    const check_case cases[] = {
        TEST(what_no_loop_could_use_is_an_invalid_argument),
        TEST(the_descriptor_stays_the_same),
        TEST(what_was_received_with_another_message_is_pending),
        TEST(what_was_sent_with_the_request_is_pending_after_the_upgrade),
        TEST(part_of_a_message_is_pending_until_it_was_read),
        TEST(an_end_wakes_the_loop),
        TEST(one_thread_serves_both_ends),
        TEST(a_loop_that_waits_for_room_gets_it),
    };
    return RUN(cases);
}
