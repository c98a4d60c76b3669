/* ws_ping, ws_count and keepalive: signs of life, and what is counted. */

#include <sched.h>

#include "check.h"
#include "peer.h"

static ws_counters counted(ws_conn ws) {
    ws_counters counters;

    memset(&counters, 0x55, sizeof counters);
    CHECK_STATUS(WS_OK, ws_count(ws, &counters, NULL));
    for (size_t i = 0; i < sizeof counters.private_room / sizeof *counters.private_room; i++)
        CHECK(counters.private_room[i] == 0);
    return counters;
}

static void a_ping_is_sent_as_it_was_given(void) {
    char longest[125];
    ws_conn ws;
    int fd = raw_client(&ws);

    memset(longest, 'x', sizeof longest);
    CHECK_STATUS(WS_OK, ws_ping(ws, "payload", 7, WS_FOREVER, NULL));
    raw_frame_is(fd, FIN | PING, "payload", 7);
    CHECK_STATUS(WS_OK, ws_ping(ws, NULL, 0, 0, NULL));
    raw_frame_is(fd, FIN | PING, "", 0);
    CHECK_STATUS(WS_OK, ws_ping(ws, longest, sizeof longest, INT64_MAX, NULL));
    raw_frame_is(fd, FIN | PING, longest, sizeof longest);
    CHECK_NUMBER(3, (intmax_t)counted(ws).pings_sent);
    raw_end(ws, fd);
}

static void what_cannot_be_a_ping_harms_nothing(void) {
    char too_long[126] = {0};
    ws_error err;
    ws_conn ws;
    int fd = raw_client(&ws);

    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_ping(ws, too_long, sizeof too_long, 0, &err));
    CHECK_NUMBER(WS_INVALID_ARGUMENT, err.status);
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_ping(ws, too_long, SIZE_MAX, 0, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_ping(ws, NULL, 1, 0, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_ping(ws, "x", 1, -2, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_ping(ws, "x", 1, INT64_MIN, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_ping(ws + 1, "x", 1, 0, NULL));
    CHECK_NUMBER(0, (intmax_t)counted(ws).pings_sent);
    CHECK_STATUS(WS_OK, ws_ping(ws, "good", 4, 0, NULL));
    raw_frame_is(fd, FIN | PING, "good", 4);
    raw_end(ws, fd);
}

static void an_answer_is_counted_and_timed(void) {
    ws_message msg = WS_MESSAGE_INIT;
    ws_counters counters;
    ws_conn ws;
    int fd = raw_client(&ws);

    CHECK_STATUS(WS_OK, ws_ping(ws, "there?", 6, 0, NULL));
    CHECK(counted(ws).round_trip_us == 0 && counted(ws).pongs_received == 0);
    raw_send_frame(fd, FIN | PONG, "there?", 6);
    raw_send_frame(fd, FIN | TEXT, "x", 1);
    CHECK_STATUS(WS_OK, ws_read(ws, &msg, WS_FOREVER, NULL));
    counters = counted(ws);
    CHECK_NUMBER(1, (intmax_t)counters.pongs_received);
    CHECK(counters.round_trip_us >= 1);
    /* One that nobody asked for is counted, and times nothing. */
    raw_send_frame(fd, FIN | PONG, "unasked", 7);
    raw_send_frame(fd, FIN | TEXT, "x", 1);
    CHECK_STATUS(WS_OK, ws_read(ws, &msg, WS_FOREVER, NULL));
    CHECK_NUMBER(2, (intmax_t)counted(ws).pongs_received);
    CHECK(counted(ws).round_trip_us == counters.round_trip_us);
    ws_message_free(&msg);
    raw_end(ws, fd);
}

static void all_that_passes_is_counted_at_both_ends(void) {
    ws_message msg = WS_MESSAGE_INIT;
    ws_counters client_counts, server_counts;
    ws_conn client, server;
    char buf[4];
    ws_part part;

    peer_pair(&client, &server);
    client_counts = counted(client);
    CHECK(client_counts.messages_sent == 0 && client_counts.messages_received == 0);
    CHECK(client_counts.bytes_sent == 0 && client_counts.bytes_received == 0);
    CHECK_STATUS(WS_OK, ws_write(client, WS_TEXT, "12345", 5, NULL));
    CHECK_STATUS(WS_OK, ws_write(client, WS_BINARY | WS_MORE, NULL, 0, NULL));
    CHECK_STATUS(WS_OK, ws_write_part(client, WS_TEXT, "12", 2, 0, NULL));
    CHECK_NUMBER(2, (intmax_t)counted(client).messages_sent);
    CHECK_NUMBER(7, (intmax_t)counted(client).bytes_sent);
    CHECK_STATUS(WS_OK, ws_write_part(client, WS_TEXT, "345", 3, 1, NULL));
    CHECK_STATUS(WS_OK, ws_ping(client, "ping", 4, WS_FOREVER, NULL));
    CHECK_STATUS(WS_OK, ws_write(client, WS_TEXT, NULL, 0, NULL));
    CHECK_STATUS(WS_OK, ws_read(server, &msg, WS_FOREVER, NULL));
    CHECK_STATUS(WS_OK, ws_read(server, &msg, WS_FOREVER, NULL));
    CHECK_STATUS(WS_OK, ws_read_some(server, buf, 1, &part, WS_FOREVER, NULL));
    CHECK_NUMBER(2, (intmax_t)counted(server).messages_received);
    CHECK_NUMBER(6, (intmax_t)counted(server).bytes_received);
    do
        CHECK_STATUS(WS_OK, ws_read_some(server, buf, sizeof buf, &part, WS_FOREVER, NULL));
    while (!part.is_last);
    /* After the Ping, and after its Pong. */
    CHECK_STATUS(WS_OK, ws_read(server, &msg, WS_FOREVER, NULL));
    CHECK_STATUS(WS_OK, ws_write(server, WS_TEXT, "1", 1, NULL));
    CHECK_STATUS(WS_OK, ws_read(client, &msg, WS_FOREVER, NULL));
    client_counts = counted(client);
    server_counts = counted(server);
    CHECK(client_counts.messages_sent == 4 && server_counts.messages_received == 4);
    CHECK(client_counts.bytes_sent == 10 && server_counts.bytes_received == 10);
    CHECK(client_counts.pings_sent == 1 && server_counts.pings_received == 1);
    CHECK(client_counts.pongs_received == 1 && server_counts.pongs_received == 0);
    CHECK(client_counts.messages_received == 1 && server_counts.messages_sent == 1);
    CHECK(client_counts.bytes_received == 1 && server_counts.bytes_sent == 1);
    /* What fails counts for nothing. */
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_write(client, WS_TEXT, "\xFF", 1, NULL));
    CHECK_NUMBER(4, (intmax_t)counted(client).messages_sent);
    CHECK_NUMBER(10, (intmax_t)counted(client).bytes_sent);
    ws_message_free(&msg);
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));
}

static void what_cannot_be_counted_harms_nothing(void) {
    char url[64];
    ws_listener listener = peer_listen(url);
    int fd = raw_connect(listener);
    ws_counters counters = {.messages_sent = 77};
    ws_conn ws;

    raw_request(fd);
    CHECK_STATUS(WS_OK, ws_accept(listener, &ws, WS_FOREVER, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_count(ws, NULL, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_count(ws + 1, &counters, NULL));
    CHECK_NUMBER(77, (intmax_t)counters.messages_sent);
    /* Before the upgrade there is nothing to count. */
    CHECK_NUMBER(0, (intmax_t)counted(ws).messages_sent);
    CHECK_STATUS(WS_OK, ws_ping(ws, "first", 5, WS_FOREVER, NULL));
    CHECK_NUMBER(101, raw_receive_status(fd));
    raw_frame_is(fd, FIN | PING, "first", 5);
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    raw_end(ws, fd);
}

static ws_options *keepalive(int64_t interval_ms, int64_t timeout_ms) {
    ws_options *options = ws_options_new();

    CHECK_STATUS(WS_OK, ws_options_set_keepalive(options, interval_ms, timeout_ms, NULL));
    return options;
}

static void a_silent_peer_gets_pings(void) {
    ws_options *options = keepalive(400, INT64_MAX);
    ws_message msg = WS_MESSAGE_INIT;
    char payload[125];
    size_t len;
    ws_conn ws;
    int fd = raw_client_with(&ws, options);

    ws_options_free(options);
    for (int i = 0; i < 2; i++) {
        /* Nobody reads, and no call is under way. */
        CHECK_NUMBER(FIN | PING, raw_receive_frame(fd, payload, &len));
        raw_send_frame(fd, FIN | PONG, payload, len);
        raw_send_frame(fd, FIN | TEXT, "x", 1);
        CHECK_STATUS(WS_OK, ws_read(ws, &msg, WS_FOREVER, NULL));
    }
    /* It is counted by the thread that sent it, which may be slower than the answer. */
    while (counted(ws).pings_sent < 2)
        sched_yield();
    CHECK_NUMBER(2, (intmax_t)counted(ws).pongs_received);
    CHECK(counted(ws).round_trip_us >= 1);
    ws_message_free(&msg);
    raw_end(ws, fd);
}

static void a_dead_peer_is_a_lost_connection(void) {
    ws_options *options = keepalive(10, 10);
    ws_message msg = WS_MESSAGE_INIT;
    ws_error err;
    ws_conn ws;
    int fd = raw_client_with(&ws, options);

    CHECK_STATUS(WS_CONNECTION_LOST, ws_read(ws, &msg, WS_FOREVER, &err));
    CHECK_NUMBER(WS_CLOSE_ABNORMAL, err.close_code);
    CHECK_STATUS(WS_CONNECTION_LOST, ws_write(ws, WS_TEXT, "x", 1, NULL));
    CHECK_STATUS(WS_CONNECTION_LOST, ws_close(ws, WS_CLOSE_NORMAL, NULL, NULL));
    while (!raw_at_end(fd))
        ;
    close(fd);
    ws_options_free(options);
    ws_message_free(&msg);
}

static void peers_that_read_keep_each_other_alive(void) {
    ws_options *options = keepalive(200, 60000);
    ws_message msg = WS_MESSAGE_INIT;
    ws_conn client, server;

    peer_pair_with(&client, options, &server, options);
    /* A Ping is a sign of life too, so that one end may do for both. */
    while (counted(client).pings_sent + counted(server).pings_sent < 3) {
        CHECK_STATUS(WS_TIMED_OUT, ws_read(client, &msg, 1, NULL));
        CHECK_STATUS(WS_TIMED_OUT, ws_read(server, &msg, 1, NULL));
    }
    CHECK_STATUS(WS_OK, ws_write(client, WS_TEXT, "alive", 5, NULL));
    CHECK_STATUS(WS_OK, ws_read(server, &msg, WS_FOREVER, NULL));
    CHECK_TEXT("alive", msg.data);
    ws_options_free(options);
    ws_message_free(&msg);
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));
}

int main(void) {
    const check_case cases[] = {
        TEST(a_ping_is_sent_as_it_was_given),       TEST(what_cannot_be_a_ping_harms_nothing),
        TEST(an_answer_is_counted_and_timed),       TEST(all_that_passes_is_counted_at_both_ends),
        TEST(what_cannot_be_counted_harms_nothing), TEST(a_silent_peer_gets_pings),
        TEST(a_dead_peer_is_a_lost_connection),     TEST(peers_that_read_keep_each_other_alive),
    };
    return RUN(cases);
}
