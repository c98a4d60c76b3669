/* WS_MORE, WS_DONTWAIT and ws_flush: when what was written leaves. */

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>
#ifdef __linux__
#include <linux/tcp.h>
#include <netinet/in.h>
#endif

#include "check.h"
#include "peer.h"

static int32_t pending(ws_conn ws) {
    int32_t pending;

    CHECK_STATUS(WS_OK, ws_pending(ws, &pending, NULL));
    return pending;
}

/* Sends on loopback are there at once, so a socket that has nothing was sent nothing. */
static int has_nothing(int fd) {
    char byte;

    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
           (errno == EAGAIN || errno == EWOULDBLOCK);
}

/* How many segments with data a socket has received: one for each send that is small enough. Where
 * the system does not count them, it is always `otherwise`. */
static unsigned segments(int fd, unsigned otherwise) {
#ifdef __linux__
    struct tcp_info info = {0};
    socklen_t size = sizeof info;

    CHECK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0);
    if (size >= offsetof(struct tcp_info, tcpi_data_segs_in) + sizeof info.tcpi_data_segs_in)
        return info.tcpi_data_segs_in;
#endif
    (void)fd;
    return otherwise;
}

static void messages_with_more_to_follow_leave_together(void) {
    ws_conn ws;
    int fd = raw_client(&ws);
    unsigned before = segments(fd, 0);

    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(WS_OK, ws_write(ws, WS_TEXT | WS_MORE, "more", 4, NULL));
        CHECK(has_nothing(fd));
        CHECK_NUMBER(WS_PENDING_WRITE, pending(ws));
    }
    CHECK_STATUS(WS_OK, ws_write(ws, WS_TEXT, "last", 4, NULL));
    CHECK_NUMBER(0, pending(ws));
    for (int i = 0; i < 3; i++)
        raw_frame_is(fd, FIN | TEXT, "more", 4);
    raw_frame_is(fd, FIN | TEXT, "last", 4);
    CHECK_NUMBER(before + 1, segments(fd, before + 1));
    /* And without the flag each leaves alone. */
    for (int i = 0; i < 3; i++) {
        CHECK_STATUS(WS_OK, ws_write(ws, WS_TEXT, "one", 3, NULL));
        raw_frame_is(fd, FIN | TEXT, "one", 3);
    }
    CHECK_NUMBER(before + 4, segments(fd, before + 4));
    raw_end(ws, fd);
}

static void parts_with_more_to_follow_leave_together(void) {
    ws_conn ws;
    int fd = raw_client(&ws);
    unsigned before = segments(fd, 0);

    CHECK_STATUS(WS_OK, ws_write(ws, WS_BINARY | WS_MORE, "whole", 5, NULL));
    CHECK_STATUS(WS_OK, ws_write_part(ws, WS_TEXT | WS_MORE, "a", 1, 0, NULL));
    CHECK_STATUS(WS_OK, ws_write_part(ws, WS_TEXT | WS_MORE | WS_DONTWAIT, "b", 1, 0, NULL));
    CHECK(has_nothing(fd));
    CHECK_STATUS(WS_OK, ws_write_part(ws, WS_TEXT, "c", 1, 1, NULL));
    raw_frame_is(fd, FIN | BINARY, "whole", 5);
    raw_frame_is(fd, TEXT, "a", 1);
    raw_frame_is(fd, 0, "b", 1);
    raw_frame_is(fd, FIN, "c", 1);
    CHECK_NUMBER(before + 1, segments(fd, before + 1));
    raw_end(ws, fd);
}

static void a_flush_a_ping_and_a_read_that_waits_send_what_is_kept(void) {
    ws_message msg = WS_MESSAGE_INIT;
    ws_conn ws;
    int fd = raw_client(&ws);

    CHECK_STATUS(WS_OK, ws_write(ws, WS_TEXT | WS_MORE, "flushed", 7, NULL));
    CHECK_STATUS(WS_OK, ws_flush(ws, 0, NULL));
    CHECK_NUMBER(0, pending(ws));
    raw_frame_is(fd, FIN | TEXT, "flushed", 7);
    CHECK_STATUS(WS_OK, ws_write(ws, WS_TEXT | WS_MORE, "pinged", 6, NULL));
    CHECK_STATUS(WS_OK, ws_ping(ws, "!", 1, WS_FOREVER, NULL));
    raw_frame_is(fd, FIN | TEXT, "pinged", 6);
    raw_frame_is(fd, FIN | PING, "!", 1);
    CHECK_STATUS(WS_OK, ws_write(ws, WS_TEXT | WS_MORE, "read", 4, NULL));
    CHECK(has_nothing(fd));
    CHECK_STATUS(WS_TIMED_OUT, ws_read(ws, &msg, 1, NULL));
    raw_frame_is(fd, FIN | TEXT, "read", 4);
    ws_message_free(&msg);
    CHECK_STATUS(WS_OK, ws_write(ws, WS_TEXT | WS_MORE, "closed", 6, NULL));
    raw_send_frame(fd, FIN | CLOSE, "\x03\xE8", 2);
    CHECK_STATUS(WS_OK, ws_close(ws, WS_CLOSE_NORMAL, NULL, NULL));
    raw_frame_is(fd, FIN | TEXT, "closed", 6);
    raw_frame_is(fd, FIN | CLOSE, "\x03\xE8", 2);
    close(fd);
}

static void sixty_four_kibibytes_do_not_wait(void) {
    static char message[1024];
    ws_conn ws;
    int fd = raw_client(&ws);

    for (int kept = 0; kept < 64; kept++) {
        CHECK(kept > 60 || has_nothing(fd));
        CHECK_STATUS(WS_OK, ws_write(ws, WS_BINARY | WS_MORE, message, sizeof message, NULL));
    }
    /* With its header the last of them is over the edge. */
    raw_receive(fd, message, sizeof message);
    raw_end(ws, fd);
}

/* Fills the connection until nothing more goes in: how many messages were accepted. */
static uint32_t fill(ws_conn ws, char *message, size_t len) {
    for (uint32_t count = 0; count < 1000; count++) {
        ws_status status;

        memcpy(message, &count, sizeof count);
        /* Compressed, it would be nearly nothing. */
        status = ws_write(ws, WS_BINARY | WS_DONTWAIT | WS_NO_COMPRESS, message, len, NULL);
        if (status == WS_TIMED_OUT)
            return count;
        CHECK_STATUS(WS_OK, status);
    }
    CHECK(!"full at last");
    return 0;
}

static void who_does_not_wait_loses_and_doubles_nothing(void) {
    enum { LENGTH = 1 << 20 };
    char *message = calloc(1, LENGTH);
    ws_options *small = ws_options_new();
    ws_message msg = WS_MESSAGE_INIT;
    ws_conn client, server;
    uint32_t accepted;
    ws_error err;

    CHECK(message != NULL);
    /* Much smaller than a message, so that full is full. */
    CHECK_STATUS(WS_OK, ws_options_set_socket_buffers(small, 20000, 20000, NULL));
    peer_pair_with(&client, small, &server, small);
    ws_options_free(small);
    accepted = fill(server, message, LENGTH);
    CHECK(accepted > 0);
    CHECK_STATUS(WS_TIMED_OUT, ws_write(server, WS_BINARY | WS_DONTWAIT, message, LENGTH, &err));
    CHECK_NUMBER(WS_TIMED_OUT, err.status);
    CHECK_STATUS(WS_TIMED_OUT, ws_write_part(server, WS_TEXT | WS_DONTWAIT, "x", 1, 1, NULL));
    CHECK_STATUS(WS_TIMED_OUT, ws_ping(server, "x", 1, 0, NULL));
    CHECK_STATUS(WS_TIMED_OUT, ws_ping(server, "x", 1, 1, NULL));
    /* The last message that was accepted is only half gone. */
    CHECK_NUMBER(WS_PENDING_WRITE, pending(server));
    CHECK_STATUS(WS_TIMED_OUT, ws_flush(server, 0, NULL));
    CHECK_STATUS(WS_TIMED_OUT, ws_flush(server, 1, NULL));
    for (uint32_t i = 0; i < accepted; i++) {
        ws_status status;
        uint32_t number;

        do {
            status = ws_flush(server, 0, NULL);
            CHECK(status == WS_OK || status == WS_TIMED_OUT);
            status = ws_read(client, &msg, 1, NULL);
        } while (status == WS_TIMED_OUT);
        CHECK_STATUS(WS_OK, status);
        CHECK_NUMBER(LENGTH, (intmax_t)msg.len);
        memcpy(&number, msg.data, sizeof number);
        CHECK_NUMBER(i, number);
    }
    CHECK_NUMBER(0, pending(server));
    CHECK_STATUS(WS_OK, ws_flush(server, 0, NULL));
    CHECK_STATUS(WS_OK, ws_write(server, WS_TEXT | WS_DONTWAIT, "room", 4, NULL));
    CHECK_STATUS(WS_OK, ws_read(client, &msg, WS_FOREVER, NULL));
    CHECK_TEXT("room", msg.data);
    ws_message_free(&msg);
    free(message);
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));
}

static void what_cannot_be_flushed_harms_nothing(void) {
    ws_error err;
    ws_conn ws;
    int fd = raw_client(&ws);

    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_flush(ws, -2, &err));
    CHECK_NUMBER(WS_INVALID_ARGUMENT, err.status);
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_flush(ws, INT64_MIN, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_flush(ws + 1, 0, NULL));
    CHECK_STATUS(WS_OK, ws_flush(ws, 0, NULL));
    CHECK_STATUS(WS_OK, ws_flush(ws, WS_FOREVER, NULL));
    CHECK_STATUS(WS_OK, ws_flush(ws, INT64_MAX, NULL));
    CHECK(has_nothing(fd));
    raw_end(ws, fd);
}

static void what_waits_is_lost_with_an_aborted_connection_only(void) {
    ws_conn ws;
    int fd = raw_client(&ws);

    CHECK_STATUS(WS_OK, ws_write(ws, WS_TEXT | WS_MORE, "lost", 4, NULL));
    CHECK_STATUS(WS_OK, ws_abort(ws, NULL));
    CHECK(raw_at_end(fd));
    close(fd);
}

int main(void) {
    const check_case cases[] = {
        TEST(messages_with_more_to_follow_leave_together),
        TEST(parts_with_more_to_follow_leave_together),
        TEST(a_flush_a_ping_and_a_read_that_waits_send_what_is_kept),
        TEST(sixty_four_kibibytes_do_not_wait),
        TEST(who_does_not_wait_loses_and_doubles_nothing),
        TEST(what_cannot_be_flushed_harms_nothing),
        TEST(what_waits_is_lost_with_an_aborted_connection_only),
    };
    return RUN(cases);
}
