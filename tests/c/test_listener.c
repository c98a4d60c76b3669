/* ws_listen, ws_port, ws_accept, ws_upgrade, ws_refuse, ws_listener_close. */

#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "check.h"
#include "peer.h"

static void what_no_listener_could_use_is_an_invalid_argument(void) {
    ws_listener listener = 7;
    int not_options;
    const ws_options *options = (ws_options *)(void *)&not_options;

    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_listen(NULL, NULL, &listener, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_listen("ws://127.0.0.1:0", NULL, NULL, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_listen("ws://\xFF:0", NULL, &listener, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_listen("ws://127.0.0.1:0", options, &listener, NULL));
    CHECK_STATUS(WS_INVALID_URL, ws_listen("127.0.0.1", NULL, &listener, NULL));
    CHECK_STATUS(WS_INVALID_URL, ws_listen("ws://127.0.0.1:0/?a=b", NULL, &listener, NULL));
    CHECK_STATUS(WS_INVALID_URL, ws_listen("wss://127.0.0.1:0", NULL, &listener, NULL));
    CHECK_STATUS(WS_RESOLVE, ws_listen("ws://no-such-host.invalid:0", NULL, &listener, NULL));
    CHECK(listener == 7);
}

static void a_port_belongs_to_one_listener(void) {
    char url[64];
    ws_listener listener = peer_listen(url), second = 7;
    ws_error err;
    uint16_t port;

    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_port(listener, NULL, NULL));
    CHECK_STATUS(WS_OK, ws_port(listener, &port, NULL));
    CHECK(port != 0);
    CHECK_STATUS(WS_IO, ws_listen(url, NULL, &second, &err));
    CHECK(second == 7 && strstr(err.message, "listen") != NULL);
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    CHECK_STATUS(WS_OK, ws_listen(url, NULL, &second, &err));
    CHECK_STATUS(WS_OK, ws_listener_close(second, NULL));
    port = 7;
    CHECK_STATUS(WS_BAD_HANDLE, ws_port(listener, &port, NULL));
    CHECK_NUMBER(7, port);
}

static void accepting_nobody_times_out(void) {
    char url[64];
    ws_listener listener = peer_listen(url);
    ws_conn ws = 7;

    CHECK_STATUS(WS_TIMED_OUT, ws_accept(listener, &ws, 0, NULL));
    CHECK_STATUS(WS_TIMED_OUT, ws_accept(listener, &ws, 1, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_accept(listener, &ws, -2, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_accept(listener, &ws, INT64_MIN, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_accept(listener, NULL, 0, NULL));
    CHECK(ws == 7);
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
}

static void a_system_that_cannot_wait_is_said_so(void) {
    char url[64];
    ws_listener listener = peer_listen(url);
    struct rlimit before, none = {0};
    struct pollfd nothing = {-1, 0, 0};
    ws_conn ws;
    ws_error err;

    /* poll(2) waits for no more descriptors than the process may have; under valgrind it does,
     * which keeps the limit to itself. */
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    none.rlim_max = before.rlim_max;
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    if (poll(&nothing, 1, 0) < 0) {
        CHECK_STATUS(WS_IO, ws_accept(listener, &ws, WS_FOREVER, &err));
        CHECK(strstr(err.message, url) != NULL);
    }
    CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK_STATUS(WS_TIMED_OUT, ws_accept(listener, &ws, 0, NULL));
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
}

static void a_timeout_keeps_half_a_request(void) {
    char url[64];
    ws_listener listener = peer_listen(url);
    int fd = raw_connect(listener);
    ws_conn ws;

    raw_send(fd, "GET / HT", 8);
    CHECK_STATUS(WS_TIMED_OUT, ws_accept(listener, &ws, 1, NULL));
    raw_send(fd, "TP/1.1\r\nX-Filler: ", 18);
    CHECK_STATUS(WS_TIMED_OUT, ws_accept(listener, &ws, 0, NULL));
    raw_send(fd,
             "x\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
             "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
             127);
    CHECK_STATUS(WS_OK, ws_accept(listener, &ws, INT64_MAX, NULL));
    CHECK_STATUS(WS_OK, ws_upgrade(ws, NULL, NULL));
    CHECK_NUMBER(101, raw_receive_status(fd));
    CHECK_STATUS(WS_OK, ws_abort(ws, NULL));
    close(fd);
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
}

/* A client that has asked, with its socket, and its connection, not answered yet. */
static int asked(ws_listener listener, ws_conn *ws) {
    int fd = raw_connect(listener);

    raw_request(fd);
    CHECK_STATUS(WS_OK, ws_accept(listener, ws, WS_FOREVER, NULL));
    return fd;
}

static void the_first_read_upgrades(void) {
    char url[64];
    ws_listener listener = peer_listen(url);
    ws_message msg = WS_MESSAGE_INIT;
    ws_conn ws;
    int fd = asked(listener, &ws);

    /* What the client sends with its request is not lost. */
    raw_send_frame(fd, FIN | TEXT, "early", 5);
    CHECK_STATUS(WS_OK, ws_read(ws, &msg, WS_FOREVER, NULL));
    CHECK_TEXT("early", msg.data);
    CHECK_NUMBER(101, raw_receive_status(fd));
    ws_message_free(&msg);
    CHECK_STATUS(WS_INVALID_STATE, ws_upgrade(ws, NULL, NULL));
    CHECK_STATUS(WS_INVALID_STATE, ws_refuse(ws, 403, NULL, NULL, NULL));
    CHECK_STATUS(WS_OK, ws_write(ws, WS_TEXT, "unharmed", 8, NULL));
    CHECK_STATUS(WS_OK, ws_abort(ws, NULL));
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    close(fd);
}

static void the_first_write_upgrades(void) {
    char url[64], payload[125];
    ws_listener listener = peer_listen(url);
    ws_conn ws;
    int fd = asked(listener, &ws);
    size_t len;

    CHECK_STATUS(WS_OK, ws_write(ws, WS_TEXT, "hello", 5, NULL));
    CHECK_NUMBER(101, raw_receive_status(fd));
    CHECK_NUMBER(FIN | TEXT, raw_receive_frame(fd, payload, &len));
    CHECK(len == 5 && memcmp(payload, "hello", 5) == 0);
    CHECK_STATUS(WS_OK, ws_abort(ws, NULL));
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    close(fd);
}

static void a_refusal_says_why_and_ends_the_handle(void) {
    char url[64];
    ws_listener listener = peer_listen(url);
    peer_dial *dial = peer_dial_start(url);
    int not_options;
    ws_conn ws, client;
    ws_error err;

    CHECK_STATUS(WS_OK, ws_accept(listener, &ws, WS_FOREVER, NULL));
    /* What cannot be said leaves the client waiting. */
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_refuse(ws, 101, NULL, NULL, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_refuse(ws, 600, NULL, NULL, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_refuse(ws, -1, NULL, NULL, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_refuse(ws, 403 + 65536, NULL, NULL, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_refuse(ws, 403, "\xFF", NULL, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_refuse(ws, 403, NULL, (ws_options *)(void *)&not_options, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_upgrade(ws, (ws_options *)(void *)&not_options, NULL));
    CHECK_STATUS(WS_OK, ws_refuse(ws, 403, "Not you.\n", NULL, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_refuse(ws, 403, NULL, NULL, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_close(ws, WS_CLOSE_NORMAL, NULL, NULL));
    CHECK_STATUS(WS_REFUSED, peer_dial_end(dial, &client, &err));
    CHECK_NUMBER(403, err.http_status);
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
}

static void closing_or_aborting_an_unanswered_client_refuses_it(void) {
    char url[64];
    ws_listener listener = peer_listen(url);

    for (int abort = 0; abort <= 1; abort++) {
        ws_conn ws;
        int fd = asked(listener, &ws);

        CHECK_STATUS(WS_OK,
                     abort ? ws_abort(ws, NULL) : ws_close(ws, WS_CLOSE_NORMAL, "bye", NULL));
        CHECK_NUMBER(503, raw_receive_status(fd));
        CHECK_STATUS(WS_BAD_HANDLE, ws_upgrade(ws, NULL, NULL));
        close(fd);
    }
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
}

static void a_connection_that_was_dialled_cannot_be_answered(void) {
    ws_conn client, server;

    peer_pair(&client, &server);
    CHECK_STATUS(WS_INVALID_STATE, ws_upgrade(client, NULL, NULL));
    CHECK_STATUS(WS_INVALID_STATE, ws_refuse(client, 403, NULL, NULL, NULL));
    CHECK_STATUS(WS_INVALID_STATE, ws_upgrade(server, NULL, NULL));
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));
}

static void an_unanswered_client_outlives_the_listener(void) {
    char url[64];
    ws_listener listener = peer_listen(url);
    ws_conn ws;
    int fd = asked(listener, &ws);

    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    CHECK_STATUS(WS_OK, ws_upgrade(ws, NULL, NULL));
    CHECK_NUMBER(101, raw_receive_status(fd));
    CHECK_STATUS(WS_OK, ws_abort(ws, NULL));
    close(fd);
}

/* An answer to a bad request proves that somebody waits in ws_accept. */
static void prove_accepting(ws_listener listener) {
    int fd = raw_connect(listener);

    raw_send(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", 28);
    CHECK_NUMBER(426, raw_receive_status(fd));
    close(fd);
}

static void *accept_one(void *argument) {
    ws_conn ws = 7;

    CHECK_STATUS(WS_ABORTED, ws_accept(*(ws_listener *)argument, &ws, WS_FOREVER, NULL));
    CHECK(ws == 7);
    return NULL;
}

static void closing_a_listener_ends_a_waiting_accept(void) {
    char url[64];
    ws_listener listener = peer_listen(url);
    pthread_t thread;
    ws_conn ws;

    CHECK(pthread_create(&thread, NULL, accept_one, &listener) == 0);
    prove_accepting(listener);
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK_STATUS(WS_BAD_HANDLE, ws_accept(listener, &ws, 0, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_listener_close(listener, NULL));
}

static void a_client_that_has_gone_is_a_lost_connection(void) {
    char url[64];
    ws_listener listener = peer_listen(url);
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    ws_message msg = WS_MESSAGE_INIT;
    ws_conn ws;
    int fd = asked(listener, &ws);

    CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0);
    close(fd);
    CHECK_STATUS(WS_CONNECTION_LOST, ws_read(ws, &msg, WS_FOREVER, NULL));
    CHECK_STATUS(WS_CONNECTION_LOST, ws_write(ws, WS_TEXT, "x", 1, NULL));
    CHECK_STATUS(WS_CONNECTION_LOST, ws_close(ws, WS_CLOSE_NORMAL, NULL, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_close(ws, WS_CLOSE_NORMAL, NULL, NULL));
    ws_message_free(&msg);
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
}

int main(void) {
    const check_case cases[] = {
        TEST(what_no_listener_could_use_is_an_invalid_argument),
        TEST(a_port_belongs_to_one_listener),
        TEST(accepting_nobody_times_out),
        TEST(a_system_that_cannot_wait_is_said_so),
        TEST(a_timeout_keeps_half_a_request),
        TEST(the_first_read_upgrades),
        TEST(the_first_write_upgrades),
        TEST(a_refusal_says_why_and_ends_the_handle),
        TEST(closing_or_aborting_an_unanswered_client_refuses_it),
        TEST(a_connection_that_was_dialled_cannot_be_answered),
        TEST(an_unanswered_client_outlives_the_listener),
        TEST(closing_a_listener_ends_a_waiting_accept),
        TEST(a_client_that_has_gone_is_a_lost_connection),
    };
    return RUN(cases);
}
