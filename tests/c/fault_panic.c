/* A panic in the engine is a status, ends the connection it happened on, and nothing else. */

#include <pthread.h>

#include "check.h"
#include "peer.h"
#include "testing.h"

static void check_panicked(ws_status status, const ws_error *err) {
    CHECK_STATUS(WS_INTERNAL, status);
    CHECK_NUMBER(WS_INTERNAL, err->status);
    CHECK(strstr(err->message, "injected") != NULL);
}

/* The connection is dead, to both ends, and its handle as good as any. */
static void check_dead(ws_conn ws, ws_conn peer) {
    ws_message msg = WS_MESSAGE_INIT;
    int32_t state;

    CHECK_STATUS(WS_ABORTED, ws_read(ws, &msg, WS_FOREVER, NULL));
    CHECK_STATUS(WS_ABORTED, ws_write(ws, WS_TEXT, "x", 1, NULL));
    CHECK_STATUS(WS_OK, ws_state(ws, &state, NULL));
    CHECK_NUMBER(WS_STATE_CLOSED, state);
    CHECK_STATUS(WS_CONNECTION_LOST, ws_read(peer, &msg, WS_FOREVER, NULL));
    CHECK_STATUS(WS_ABORTED, ws_close(ws, WS_CLOSE_NORMAL, NULL, NULL));
    CHECK_STATUS(WS_CONNECTION_LOST, ws_close(peer, WS_CLOSE_NORMAL, NULL, NULL));
    ws_message_free(&msg);
}

static void a_panic_while_reading_ends_the_connection(void) {
    ws_conn client, server;
    ws_message msg = WS_MESSAGE_INIT;
    ws_error err;

    peer_pair(&client, &server);
    ws_test_panic_at(PANIC_RECEIVE);
    check_panicked(ws_read(client, &msg, WS_FOREVER, &err), &err);
    CHECK(msg.len == 0);
    ws_message_free(&msg);
    check_dead(client, server);
}

static void a_panic_while_reading_in_parts_ends_the_connection(void) {
    ws_conn client, server;
    char buf[16];
    ws_part part;
    ws_error err;

    peer_pair(&client, &server);
    ws_test_panic_at(PANIC_RECEIVE);
    check_panicked(ws_read_some(client, buf, sizeof buf, &part, WS_FOREVER, &err), &err);
    check_dead(client, server);
}

static void a_panic_while_writing_ends_the_connection(void) {
    ws_conn client, server;
    ws_error err;

    peer_pair(&client, &server);
    ws_test_panic_at(PANIC_SEND);
    check_panicked(ws_write(server, WS_BINARY, "abc", 3, &err), &err);
    check_dead(server, client);
}

static void a_panic_while_closing_ends_the_handle_all_the_same(void) {
    ws_conn client, server;
    ws_message msg = WS_MESSAGE_INIT;
    ws_error err;

    peer_pair(&client, &server);
    ws_test_panic_at(PANIC_SEND);
    check_panicked(ws_close(client, WS_CLOSE_NORMAL, NULL, &err), &err);
    CHECK_STATUS(WS_BAD_HANDLE, ws_close(client, WS_CLOSE_NORMAL, NULL, NULL));
    CHECK_STATUS(WS_CONNECTION_LOST, ws_read(server, &msg, WS_FOREVER, NULL));
    ws_message_free(&msg);
    CHECK_STATUS(WS_CONNECTION_LOST, ws_close(server, WS_CLOSE_NORMAL, NULL, NULL));
}

static void a_panic_while_dialling_gives_no_handle(void) {
    char url[64];
    ws_listener listener = peer_listen(url);
    ws_conn ws = 42;
    ws_error err;

    ws_test_panic_at(PANIC_CONNECT);
    check_panicked(ws_dial(url, NULL, &ws, &err), &err);
    CHECK(ws == 42);
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
}

static void a_listener_outlives_a_panic_while_accepting(void) {
    char url[64];
    ws_listener listener = peer_listen(url);
    peer_dial *dial = peer_dial_start(url);
    ws_conn client, server = 42;
    ws_error err;

    ws_test_panic_at(PANIC_ACCEPT);
    check_panicked(ws_accept(listener, &server, WS_FOREVER, &err), &err);
    CHECK(server == 42);
    CHECK_STATUS(WS_OK, ws_accept(listener, &server, WS_FOREVER, NULL));
    CHECK_STATUS(WS_OK, ws_upgrade(server, NULL, NULL));
    CHECK_STATUS(WS_OK, peer_dial_end(dial, &client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
}

struct reader {
    pthread_t thread;
    ws_conn ws;
    ws_status status;
};

static void *read_one(void *argument) {
    struct reader *reader = argument;
    ws_message msg = WS_MESSAGE_INIT;

    reader->status = ws_read(reader->ws, &msg, WS_FOREVER, NULL);
    ws_message_free(&msg);
    return NULL;
}

static void a_panic_in_one_thread_ends_the_wait_of_another(void) {
    struct reader reader;
    ws_error err;
    int fd = raw_client(&reader.ws);

    CHECK(pthread_create(&reader.thread, NULL, read_one, &reader) == 0);
    raw_ping(fd);
    ws_test_panic_at(PANIC_SEND);
    check_panicked(ws_write(reader.ws, WS_TEXT, "x", 1, &err), &err);
    CHECK(pthread_join(reader.thread, NULL) == 0);
    CHECK_STATUS(WS_ABORTED, reader.status);
    CHECK_STATUS(WS_ABORTED, ws_close(reader.ws, WS_CLOSE_NORMAL, NULL, NULL));
    close(fd);
}

int main(void) {
    const check_case cases[] = {
        TEST(a_panic_while_reading_ends_the_connection),
        TEST(a_panic_while_reading_in_parts_ends_the_connection),
        TEST(a_panic_while_writing_ends_the_connection),
        TEST(a_panic_while_closing_ends_the_handle_all_the_same),
        TEST(a_panic_while_dialling_gives_no_handle),
        TEST(a_listener_outlives_a_panic_while_accepting),
        TEST(a_panic_in_one_thread_ends_the_wait_of_another),
    };

    return RUN(cases);
}
