/* What the options of ws_dial do, seen by the server or in what the connection does. */

#include <ctype.h>
#include <pthread.h>
#include <sys/socket.h>

#include "check.h"
#include "peer.h"

static void end_pair(ws_conn client, ws_conn server) {
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));
}

static void headers_and_offers_are_in_the_request(void) {
    ws_options *options = ws_options_new();
    char url[64], request[4096];
    int listening = raw_listen(url), fd;
    peer_dial *dial;
    ws_conn ws;

    CHECK_STATUS(WS_OK, ws_options_add_header(options, "X-Twice", "one", NULL));
    CHECK_STATUS(WS_OK, ws_options_add_header(options, "X-Twice", "t\xC3\xBCwo", NULL));
    CHECK_STATUS(WS_OK, ws_options_add_header(options, "Host", "other.example", NULL));
    CHECK_STATUS(WS_OK, ws_options_add_subprotocol(options, "best", NULL));
    CHECK_STATUS(WS_OK, ws_options_add_subprotocol(options, "second", NULL));
    CHECK_STATUS(WS_OK, ws_options_set_origin(options, "https://first.example", NULL));
    CHECK_STATUS(WS_OK, ws_options_set_origin(options, "https://example.org", NULL));
    /* What concerns listeners does not count here. */
    CHECK_STATUS(WS_OK, ws_options_allow_origin(options, "https://unseen.example", NULL));
    dial = peer_dial_start_with(url, options);
    fd = accept(listening, NULL, NULL);
    CHECK(fd >= 0);
    raw_receive_head(fd, request);
    close(fd);
    CHECK_STATUS(WS_CONNECTION_LOST, peer_dial_end(dial, &ws, NULL));
    close(listening);
    ws_options_free(options);
    CHECK(strncmp(request, "GET / HTTP/1.1\r\n", 16) == 0);
    /* Names may be written in any case. */
    for (char *at = request; *at != '\0'; at++)
        *at = (char)tolower((unsigned char)*at);
    CHECK(strstr(request, "\r\nhost: other.example\r\n") != NULL);
    CHECK(strstr(request, "127.0.0.1") == NULL);
    CHECK(strstr(request, "\r\nx-twice: one\r\n") != NULL);
    CHECK(strstr(request, "\r\nx-twice: t\xC3\xBCwo\r\n") != NULL);
    CHECK(strstr(request, "\r\norigin: https://example.org\r\n") != NULL);
    CHECK(strstr(request, "first.example") == NULL && strstr(request, "unseen") == NULL);
    CHECK(strstr(request, "\r\nsec-websocket-protocol: best, second\r\n") != NULL ||
          strstr(request, "\r\nsec-websocket-protocol: best,second\r\n") != NULL);
}

static void a_required_subprotocol_must_be_chosen(void) {
    ws_options *options = ws_options_new();
    char url[64];
    ws_listener listener = peer_listen(url);
    ws_conn client = 7, server;
    ws_error err;

    CHECK_STATUS(WS_OK, ws_options_add_subprotocol(options, "chat", NULL));
    for (int required = 0; required <= 1; required++) {
        peer_dial *dial;

        CHECK_STATUS(WS_OK, ws_options_require_subprotocol(options, required, NULL));
        dial = peer_dial_start_with(url, options);
        CHECK_STATUS(WS_OK, ws_accept(listener, &server, WS_FOREVER, NULL));
        CHECK_STATUS(WS_OK, ws_upgrade(server, NULL, NULL));
        CHECK_STATUS(required ? WS_NO_SUBPROTOCOL : WS_OK, peer_dial_end(dial, &client, &err));
        if (!required)
            CHECK_STATUS(WS_OK, ws_abort(client, NULL));
        CHECK_STATUS(WS_OK, ws_abort(server, NULL));
    }
    CHECK_NUMBER(WS_NO_SUBPROTOCOL, err.status);
    ws_options_free(options);
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
}

static void a_dial_waits_no_longer_than_it_may(void) {
    ws_options *options = ws_options_new();
    char url[64];
    int listening = raw_listen(url);
    ws_conn ws = 7;
    ws_error err;

    /* The system accepts; nobody answers. */
    for (int64_t timeout_ms = 0; timeout_ms <= 20; timeout_ms += 10) {
        CHECK_STATUS(WS_OK, ws_options_set_dial_timeout(options, timeout_ms, NULL));
        CHECK_STATUS(WS_TIMED_OUT, ws_dial(url, options, &ws, &err));
        CHECK_NUMBER(WS_TIMED_OUT, err.status);
        CHECK(ws == 7);
    }
    ws_options_free(options);
    close(listening);
}

static void a_larger_message_than_wanted_is_too_big(void) {
    ws_options *options = ws_options_new();
    ws_message msg = WS_MESSAGE_INIT;
    ws_conn client, server;

    CHECK_STATUS(WS_OK, ws_options_set_max_message_size(options, 5, NULL));
    CHECK_STATUS(WS_OK, ws_options_set_close_timeout(options, 0, NULL));
    peer_pair_with(&client, options, &server, NULL);
    ws_options_free(options);
    CHECK_STATUS(WS_OK, ws_write(server, WS_TEXT, "fits.", 5, NULL));
    CHECK_STATUS(WS_OK, ws_read(client, &msg, WS_FOREVER, NULL));
    CHECK_TEXT("fits.", msg.data);
    CHECK_STATUS(WS_OK, ws_write(server, WS_TEXT, "larger", 6, NULL));
    CHECK_STATUS(WS_TOO_BIG, ws_read(client, &msg, WS_FOREVER, NULL));
    CHECK_STATUS(WS_CLOSED, ws_read(server, &msg, WS_FOREVER, NULL));
    ws_message_free(&msg);
    end_pair(client, server);
}

static void a_write_waits_no_longer_than_it_may(void) {
    enum { LENGTH = 1 << 20 };
    char *message = calloc(1, LENGTH);
    ws_options *options = ws_options_new();
    ws_message msg = WS_MESSAGE_INIT;
    ws_conn client, server;
    ws_status status;
    int accepted = 0;

    CHECK(message != NULL);
    CHECK_STATUS(WS_OK, ws_options_set_write_timeout(options, 5, NULL));
    /* Much smaller than a message, so that full is full. */
    CHECK_STATUS(WS_OK, ws_options_set_socket_buffers(options, 20000, 20000, NULL));
    peer_pair_with(&client, options, &server, options);
    ws_options_free(options);
    for (int i = 0; i < 2; i++) {
        ws_conn writer = i == 0 ? client : server, reader = i == 0 ? server : client;

        /* Compressed, it would be nearly nothing. */
        int32_t type = WS_BINARY | WS_NO_COMPRESS;

        while ((status = ws_write(writer, type, message, LENGTH, NULL)) == WS_OK)
            CHECK(++accepted < 1000);
        CHECK_STATUS(WS_TIMED_OUT, status);
        CHECK_STATUS(WS_TIMED_OUT, ws_write_part(writer, WS_TEXT, "part", 4, 1, NULL));
        /* Nothing is damaged. */
        for (; accepted > 0; accepted--) {
            do {
                status = ws_flush(writer, 0, NULL);
                CHECK(status == WS_OK || status == WS_TIMED_OUT);
                status = ws_read(reader, &msg, 1, NULL);
            } while (status == WS_TIMED_OUT);
            CHECK_STATUS(WS_OK, status);
            CHECK(msg.len == LENGTH);
        }
    }
    CHECK_STATUS(WS_OK, ws_write(client, WS_TEXT, "next", 4, NULL));
    CHECK_STATUS(WS_OK, ws_read(server, &msg, WS_FOREVER, NULL));
    CHECK_TEXT("next", msg.data);
    ws_message_free(&msg);
    free(message);
    end_pair(client, server);
}

static void a_close_waits_no_longer_than_it_may(void) {
    ws_options *options = ws_options_new();

    CHECK_STATUS(WS_OK, ws_options_set_close_timeout(options, 0, NULL));
    /* With the five seconds that are the default, the tests would not end. */
    for (int i = 0; i < 400; i++) {
        ws_message msg = WS_MESSAGE_INIT;
        int is_client = i % 2;
        ws_conn client, server, peer;
        ws_error err;

        peer_pair_with(&client, is_client ? options : NULL, &server, is_client ? NULL : options);
        peer = is_client ? server : client;
        CHECK_STATUS(WS_CONNECTION_LOST, ws_close(is_client ? client : server, 3000, NULL, NULL));
        /* Said is said. */
        CHECK_STATUS(WS_CLOSED, ws_read(peer, &msg, WS_FOREVER, &err));
        CHECK_NUMBER(3000, err.close_code);
        ws_message_free(&msg);
        CHECK_STATUS(WS_OK, ws_abort(peer, NULL));
    }
    ws_options_free(options);
}

static void socket_buffers_are_the_systems_or_chosen(void) {
    ws_options *options = ws_options_new();
    int32_t fd;
    int receive = 0, send = 0, receive_before = 0, send_before = 0;
    socklen_t size = sizeof receive;
    ws_conn client, server;

    peer_pair(&client, &server);
    CHECK_STATUS(WS_OK, ws_fd(client, &fd, NULL));
    CHECK(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_before, &size) == 0);
    CHECK(getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_before, &size) == 0);
    end_pair(client, server);
    CHECK_STATUS(WS_OK, ws_options_set_socket_buffers(options, 20000, 10000, NULL));
    peer_pair_with(&client, options, &server, options);
    ws_options_free(options);
    for (int end = 0; end < 2; end++) {
        CHECK_STATUS(WS_OK, ws_fd(end == 0 ? client : server, &fd, NULL));
        CHECK(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive, &size) == 0);
        CHECK(getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send, &size) == 0);
        /* Some systems double it. */
        CHECK(receive == 20000 || receive == 40000);
        CHECK(send == 10000 || send == 20000);
        CHECK(receive != receive_before && send != send_before);
    }
    end_pair(client, server);
}

static void options_may_be_freed_right_after_the_call(void) {
    ws_options *options = ws_options_new();
    ws_message msg = WS_MESSAGE_INIT;
    char url[64], name[] = "X-Name", value[] = "value";
    ws_listener listener;
    peer_dial *dial;
    ws_conn client, server;

    CHECK_STATUS(WS_OK, ws_options_set_max_message_size(options, 4, NULL));
    listener = peer_listen_with(url, options);
    ws_options_free(options);
    options = ws_options_new();
    CHECK_STATUS(WS_OK, ws_options_add_header(options, name, value, NULL));
    memset(name, 'x', sizeof name);
    memset(value, 'x', sizeof value);
    dial = peer_dial_start_with(url, options);
    CHECK_STATUS(WS_OK, ws_accept(listener, &server, WS_FOREVER, NULL));
    ws_options_free(options);
    CHECK_STATUS(WS_OK, ws_request_header(server, "X-Name", &msg, NULL));
    CHECK_TEXT("value", msg.data);
    CHECK_STATUS(WS_OK, ws_upgrade(server, NULL, NULL));
    CHECK_STATUS(WS_OK, peer_dial_end(dial, &client, NULL));
    CHECK_STATUS(WS_OK, ws_write(client, WS_TEXT, "large", 5, NULL));
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    CHECK_STATUS(WS_TOO_BIG, ws_read(server, &msg, WS_FOREVER, NULL));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    ws_message_free(&msg);
}

int main(void) {
    const check_case cases[] = {
        TEST(headers_and_offers_are_in_the_request),
        TEST(a_required_subprotocol_must_be_chosen),
        TEST(a_dial_waits_no_longer_than_it_may),
        TEST(a_larger_message_than_wanted_is_too_big),
        TEST(a_write_waits_no_longer_than_it_may),
        TEST(a_close_waits_no_longer_than_it_may),
        TEST(socket_buffers_are_the_systems_or_chosen),
        TEST(options_may_be_freed_right_after_the_call),
    };
    return RUN(cases);
}
