/* What the options of ws_listen and ws_upgrade do, seen by clients of every kind. */

#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#ifdef __linux__
#include <linux/tcp.h>
#endif

#include "check.h"
#include "peer.h"

/* Upgrades every client of a listener, until that is closed. */
struct acceptor {
    pthread_t thread;
    ws_listener listener;
    char url[64];
    int upgraded;
};

static void *accept_all(void *argument) {
    struct acceptor *acceptor = argument;
    ws_status status;
    ws_conn ws;

    while ((status = ws_accept(acceptor->listener, &ws, WS_FOREVER, NULL)) == WS_OK) {
        CHECK_STATUS(WS_OK, ws_upgrade(ws, NULL, NULL));
        CHECK_STATUS(WS_OK, ws_abort(ws, NULL));
        acceptor->upgraded++;
    }
    CHECK(status == WS_ABORTED || status == WS_BAD_HANDLE);
    return NULL;
}

static void start(struct acceptor *acceptor, const ws_options *options) {
    acceptor->upgraded = 0;
    acceptor->listener = peer_listen_with(acceptor->url, options);
    CHECK(pthread_create(&acceptor->thread, NULL, accept_all, acceptor) == 0);
}

/* How many clients were upgraded. */
static int stop(struct acceptor *acceptor) {
    CHECK_STATUS(WS_OK, ws_listener_close(acceptor->listener, NULL));
    CHECK(pthread_join(acceptor->thread, NULL) == 0);
    return acceptor->upgraded;
}

/* The HTTP status of the answer to a request with these headers. */
static int answer(const ws_options *options, const char *headers) {
    struct acceptor acceptor;
    int fd, status;

    start(&acceptor, options);
    fd = raw_connect(acceptor.listener);
    raw_request_with(fd, "/", headers);
    status = raw_receive_status(fd);
    CHECK_NUMBER(status == 101, stop(&acceptor));
    close(fd);
    return status;
}

static void browsers_connect_from_allowed_origins_only(void) {
    ws_options *options = ws_options_new();

    CHECK_NUMBER(101, answer(NULL, ""));
    CHECK_NUMBER(101, answer(NULL, "Origin: http://127.0.0.1\r\n"));
    CHECK_NUMBER(403, answer(NULL, "Origin: https://evil.example\r\n"));
    CHECK_STATUS(WS_OK, ws_options_allow_origin(options, "https://one.example", NULL));
    CHECK_STATUS(WS_OK, ws_options_allow_origin(options, "https://two.example", NULL));
    CHECK_NUMBER(101, answer(options, ""));
    CHECK_NUMBER(101, answer(options, "Origin: https://one.example\r\n"));
    CHECK_NUMBER(101, answer(options, "Origin: https://two.example\r\n"));
    CHECK_NUMBER(403, answer(options, "Origin: https://evil.example\r\n"));
    CHECK_NUMBER(403, answer(options, "Origin: http://one.example\r\n"));
    CHECK_STATUS(WS_OK, ws_options_allow_origin(options, "*", NULL));
    CHECK_NUMBER(101, answer(options, "Origin: https://evil.example\r\n"));
    ws_options_free(options);
}

static void a_listener_chooses_the_first_subprotocol_it_speaks(void) {
    ws_options *speaks = ws_options_new(), *offers = ws_options_new();
    ws_message name = WS_MESSAGE_INIT;
    ws_conn client, server;

    CHECK_STATUS(WS_OK, ws_options_add_subprotocol(speaks, "a", NULL));
    CHECK_STATUS(WS_OK, ws_options_add_subprotocol(speaks, "b", NULL));
    CHECK_STATUS(WS_OK, ws_options_add_subprotocol(offers, "c", NULL));
    CHECK_STATUS(WS_OK, ws_options_add_subprotocol(offers, "b", NULL));
    CHECK_STATUS(WS_OK, ws_options_add_subprotocol(offers, "a", NULL));
    peer_pair_with(&client, offers, &server, speaks);
    CHECK_STATUS(WS_OK, ws_subprotocol(client, &name, NULL));
    CHECK_TEXT("a", name.data);
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));
    CHECK_NUMBER(101, answer(speaks, ""));
    CHECK_STATUS(WS_OK, ws_options_require_subprotocol(speaks, 1, NULL));
    CHECK_NUMBER(400, answer(speaks, ""));
    CHECK_NUMBER(400, answer(speaks, "Sec-WebSocket-Protocol: c\r\n"));
    CHECK_NUMBER(101, answer(speaks, "Sec-WebSocket-Protocol: c, b\r\n"));
    ws_message_free(&name);
    ws_options_free(speaks);
    ws_options_free(offers);
}

static void an_upgrade_has_its_own_headers_and_subprotocol(void) {
    ws_options *one = ws_options_new(), *offers = ws_options_new(), *two = ws_options_new();
    ws_message text = WS_MESSAGE_INIT;
    char url[64];
    ws_listener listener = peer_listen(url);
    ws_conn client, server;
    peer_dial *dial;

    CHECK_STATUS(WS_OK, ws_options_add_subprotocol(offers, "first", NULL));
    CHECK_STATUS(WS_OK, ws_options_add_subprotocol(offers, "second", NULL));
    dial = peer_dial_start_with(url, offers);
    CHECK_STATUS(WS_OK, ws_accept(listener, &server, WS_FOREVER, NULL));
    /* What cannot be chosen leaves the client waiting. */
    CHECK_STATUS(WS_OK, ws_options_add_subprotocol(two, "second", NULL));
    CHECK_STATUS(WS_OK, ws_options_add_subprotocol(two, "third", NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_upgrade(server, two, NULL));
    CHECK_STATUS(WS_OK, ws_options_add_subprotocol(one, "third", NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_upgrade(server, one, NULL));
    ws_options_free(one);
    one = ws_options_new();
    CHECK_STATUS(WS_OK, ws_options_add_subprotocol(one, "second", NULL));
    CHECK_STATUS(WS_OK, ws_options_add_header(one, "X-Server", "here", NULL));
    CHECK_STATUS(WS_OK, ws_upgrade(server, one, NULL));
    CHECK_STATUS(WS_OK, peer_dial_end(dial, &client, NULL));
    CHECK_STATUS(WS_OK, ws_subprotocol(client, &text, NULL));
    CHECK_TEXT("second", text.data);
    CHECK_STATUS(WS_OK, ws_subprotocol(server, &text, NULL));
    CHECK_TEXT("second", text.data);
    CHECK_STATUS(WS_OK, ws_response_header(client, "X-Server", &text, NULL));
    CHECK_TEXT("here", text.data);
    ws_message_free(&text);
    ws_options_free(one);
    ws_options_free(two);
    ws_options_free(offers);
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
}

static void a_client_may_take_no_longer_for_its_request(void) {
    ws_options *options = ws_options_new();
    struct acceptor acceptor;
    int slow;

    CHECK_STATUS(WS_OK, ws_options_set_handshake_timeout(options, 20, NULL));
    start(&acceptor, options);
    ws_options_free(options);
    slow = raw_connect(acceptor.listener);
    raw_send(slow, "GET / HT", 8);
    CHECK_NUMBER(408, raw_receive_status(slow));
    close(slow);
    CHECK_NUMBER(0, stop(&acceptor));
}

static void too_many_that_are_pending_push_the_oldest_out(void) {
    ws_options *options = ws_options_new();
    struct acceptor acceptor;
    int oldest, others[2];

    CHECK_STATUS(WS_OK, ws_options_set_max_pending(options, 2, NULL));
    start(&acceptor, options);
    ws_options_free(options);
    oldest = raw_connect(acceptor.listener);
    raw_send(oldest, "GET / HT", 8);
    for (int i = 0; i < 2; i++) {
        others[i] = raw_connect(acceptor.listener);
        raw_send(others[i], "G", 1);
    }
    while (!raw_at_end(oldest))
        ;
    for (int i = 0; i < 2; i++) {
        const char rest[] = "ET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
                            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

        raw_send(others[i], rest, sizeof rest - 1);
        CHECK_NUMBER(101, raw_receive_status(others[i]));
        close(others[i]);
    }
    close(oldest);
    CHECK_NUMBER(2, stop(&acceptor));
}

static int is_set(ws_listener listener, int option) {
    int value = 0;
    socklen_t size = sizeof value;

    CHECK(getsockopt(peer_descriptor(listener), SOL_SOCKET, option, &value, &size) == 0);
    return value != 0;
}

static void an_address_is_used_again_unless_told_otherwise(void) {
    ws_options *options = ws_options_new();
    char url[64];
    ws_listener listener = peer_listen(url);

    CHECK(is_set(listener, SO_REUSEADDR) && !is_set(listener, SO_REUSEPORT));
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    CHECK_STATUS(WS_OK, ws_options_set_reuse_address(options, 0, NULL));
    listener = peer_listen_with(url, options);
    CHECK(!is_set(listener, SO_REUSEADDR));
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    ws_options_free(options);
}

static void a_port_is_shared_when_all_want_it(void) {
    ws_options *options = ws_options_new();
    char url[64];
    ws_listener one, other = 7;

    CHECK_STATUS(WS_OK, ws_options_set_reuse_port(options, 1, NULL));
    one = peer_listen_with(url, options);
    CHECK_STATUS(WS_IO, ws_listen(url, NULL, &other, NULL));
    CHECK(other == 7);
    CHECK_STATUS(WS_OK, ws_listen(url, options, &other, NULL));
    CHECK_STATUS(WS_OK, ws_listener_close(one, NULL));
    CHECK_STATUS(WS_OK, ws_listener_close(other, NULL));
    ws_options_free(options);
}

static void the_system_holds_as_many_as_the_backlog(void) {
#ifdef __linux__
    ws_options *options = ws_options_new();
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    char url[64];
    ws_listener listener;

    CHECK_STATUS(WS_OK, ws_options_set_backlog(options, 3, NULL));
    listener = peer_listen_with(url, options);
    ws_options_free(options);
    /* Of a socket that listens, this is its backlog. */
    CHECK(getsockopt(peer_descriptor(listener), IPPROTO_TCP, TCP_INFO, &info, &size) == 0);
    CHECK_NUMBER(3, info.tcpi_sacked);
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
#endif
}

static void a_listeners_limits_are_its_connections(void) {
    ws_options *options = ws_options_new();
    ws_message msg = WS_MESSAGE_INIT;
    unsigned char close_payload[125];
    size_t len;
    ws_conn ws;
    int fd;

    CHECK_STATUS(WS_OK, ws_options_set_max_message_size(options, 3, NULL));
    CHECK_STATUS(WS_OK, ws_options_set_close_timeout(options, 0, NULL));
    fd = raw_client_with(&ws, options);
    ws_options_free(options);
    raw_send_frame(fd, FIN | TEXT, "fit", 3);
    raw_send_frame(fd, FIN | TEXT, "over", 4);
    CHECK_STATUS(WS_OK, ws_read(ws, &msg, WS_FOREVER, NULL));
    CHECK_STATUS(WS_TOO_BIG, ws_read(ws, &msg, WS_FOREVER, NULL));
    CHECK_NUMBER(FIN | CLOSE, raw_receive_frame(fd, close_payload, &len));
    CHECK_NUMBER(WS_CLOSE_MESSAGE_TOO_BIG, close_payload[0] << 8 | close_payload[1]);
    ws_message_free(&msg);
    raw_end(ws, fd);
}

int main(void) {
    const check_case cases[] = {
        TEST(browsers_connect_from_allowed_origins_only),
        TEST(a_listener_chooses_the_first_subprotocol_it_speaks),
        TEST(an_upgrade_has_its_own_headers_and_subprotocol),
        TEST(a_client_may_take_no_longer_for_its_request),
        TEST(too_many_that_are_pending_push_the_oldest_out),
        TEST(an_address_is_used_again_unless_told_otherwise),
        TEST(a_port_is_shared_when_all_want_it),
        TEST(the_system_holds_as_many_as_the_backlog),
        TEST(a_listeners_limits_are_its_connections),
    };
    return RUN(cases);
}
