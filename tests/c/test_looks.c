/* What can be seen of a connection, without waiting for anything: its state, its request, the
 * answer to it, its ends, its close. */

#include <pthread.h>
#include <sys/socket.h>

#include "check.h"
#include "peer.h"

static int32_t state(ws_conn ws) {
    int32_t state;

    CHECK_STATUS(WS_OK, ws_state(ws, &state, NULL));
    return state;
}

/* A raw client that asks for `target`, with more headers; not answered yet. */
static int asks(const char *target, const char *headers, ws_conn *ws) {
    char url[64];
    ws_listener listener = peer_listen(url);
    int fd = raw_connect(listener);

    raw_request_with(fd, target, headers);
    CHECK_STATUS(WS_OK, ws_accept(listener, ws, WS_FOREVER, NULL));
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    return fd;
}

static void is_text(ws_status status, const ws_message *text, const char *expected) {
    CHECK_STATUS(WS_OK, status);
    CHECK_NUMBER(WS_TEXT, text->type);
    CHECK_TEXT(expected, text->data);
    CHECK(text->len == strlen(expected));
}

static void is_not_there(ws_status status, const ws_message *text) {
    CHECK_STATUS(WS_NOT_FOUND, status);
    CHECK(text->len == 0 && text->type == 0);
    CHECK_TEXT("", text->data);
}

static void a_state_follows_the_connection(void) {
    ws_message msg = WS_MESSAGE_INIT;
    ws_conn ws, client, server;
    int32_t unchanged = 77;
    int fd = asks("/", "", &ws);

    CHECK_NUMBER(WS_STATE_REQUESTED, state(ws));
    CHECK_STATUS(WS_OK, ws_upgrade(ws, NULL, NULL));
    CHECK_NUMBER(101, raw_receive_status(fd));
    CHECK_NUMBER(WS_STATE_OPEN, state(ws));
    raw_send_frame(fd, FIN | CLOSE, "\x03\xE8", 2);
    CHECK_NUMBER(WS_STATE_OPEN, state(ws));
    CHECK_STATUS(WS_CLOSED, ws_read(ws, &msg, WS_FOREVER, NULL));
    CHECK_NUMBER(WS_STATE_CLOSED, state(ws));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_state(ws, NULL, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_state(ws + 1, &unchanged, NULL));
    CHECK_NUMBER(77, unchanged);
    CHECK_STATUS(WS_OK, ws_close(ws, WS_CLOSE_NORMAL, NULL, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_state(ws, &unchanged, NULL));
    close(fd);

    peer_pair(&client, &server);
    CHECK_NUMBER(WS_STATE_OPEN, state(client));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));
    CHECK_STATUS(WS_CONNECTION_LOST, ws_read(client, &msg, WS_FOREVER, NULL));
    CHECK_NUMBER(WS_STATE_CLOSED, state(client));
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    ws_message_free(&msg);
}

static void a_client_that_is_gone_leaves_a_closed_connection(void) {
    ws_message text = WS_MESSAGE_INIT;
    ws_conn ws;
    int32_t number;
    ws_counters counters;
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    int fd = asks("/", "", &ws);

    CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0);
    close(fd);
    CHECK_STATUS(WS_CONNECTION_LOST, ws_upgrade(ws, NULL, NULL));
    /* Each look says why there is nothing to see. */
    CHECK_NUMBER(WS_STATE_CLOSED, state(ws));
    CHECK_STATUS(WS_CONNECTION_LOST, ws_request_path(ws, &text, NULL));
    CHECK_STATUS(WS_CONNECTION_LOST, ws_peer_address(ws, &text, NULL));
    CHECK_STATUS(WS_CONNECTION_LOST, ws_subprotocol(ws, &text, NULL));
    CHECK_STATUS(WS_CONNECTION_LOST, ws_response_status(ws, &number, NULL));
    CHECK_STATUS(WS_CONNECTION_LOST, ws_close_info(ws, NULL, NULL, NULL, NULL));
    CHECK_STATUS(WS_CONNECTION_LOST, ws_count(ws, &counters, NULL));
    CHECK_STATUS(WS_CONNECTION_LOST, ws_fd(ws, &number, NULL));
    CHECK_STATUS(WS_OK, ws_pending(ws, &number, NULL));
    CHECK_NUMBER(WS_PENDING_READ, number);
    CHECK_STATUS(WS_CONNECTION_LOST, ws_close(ws, WS_CLOSE_NORMAL, NULL, NULL));
    ws_message_free(&text);
}

static void a_request_is_seen_as_it_came(void) {
    ws_message name = WS_MESSAGE_INIT, value = WS_MESSAGE_INIT;
    ws_conn ws;
    int fd = asks("/chat/a%20b?x=%C3%BC&y",
                  "X-Two: one\r\nX-TWO:   two  \r\nX-Empty:\r\nX-Bytes: \xFF\x80\r\n"
                  "Sec-WebSocket-Protocol: best, second\r\nSec-WebSocket-Protocol: third\r\n",
                  &ws);
    int seen = 0;

    for (int upgraded = 0; upgraded <= 1; upgraded++) {
        is_text(ws_request_path(ws, &value, NULL), &value, "/chat/a%20b");
        is_text(ws_request_query(ws, &value, NULL), &value, "x=%C3%BC&y");
        is_text(ws_request_header(ws, "x-two", &value, NULL), &value, "one");
        is_text(ws_request_header(ws, "X-Two", &value, NULL), &value, "one");
        is_text(ws_request_header(ws, "HOST", &value, NULL), &value, "127.0.0.1");
        is_text(ws_request_header(ws, "x-empty", &value, NULL), &value, "");
        CHECK_STATUS(WS_OK, ws_request_header(ws, "x-bytes", &value, NULL));
        CHECK_NUMBER(WS_BINARY, value.type);
        CHECK(value.len == 2 && memcmp(value.data, "\xFF\x80", 3) == 0);
        is_not_there(ws_request_header(ws, "x-none", &value, NULL), &value);
        is_not_there(ws_request_header(ws, "", &value, NULL), &value);
        is_not_there(ws_request_header(ws, "x two", &value, NULL), &value);
        is_text(ws_request_subprotocol(ws, 0, &value, NULL), &value, "best");
        is_text(ws_request_subprotocol(ws, 1, &value, NULL), &value, "second");
        is_text(ws_request_subprotocol(ws, 2, &value, NULL), &value, "third");
        is_not_there(ws_request_subprotocol(ws, 3, &value, NULL), &value);
        is_not_there(ws_request_subprotocol(ws, SIZE_MAX, &value, NULL), &value);
        is_text(ws_request_header_at(ws, 0, &name, &value, NULL), &name, "Host");
        CHECK_TEXT("127.0.0.1", value.data);
        is_text(ws_request_header_at(ws, 6, &name, &value, NULL), &name, "X-TWO");
        CHECK_TEXT("two", value.data);
        for (size_t i = 0; ws_request_header_at(ws, i, &name, &value, NULL) == WS_OK; i++)
            seen++;
        is_not_there(ws_request_header_at(ws, SIZE_MAX, &name, &value, NULL), &name);
        CHECK(value.len == 0 && value.type == 0);
        if (!upgraded)
            CHECK_STATUS(WS_OK, ws_upgrade(ws, NULL, NULL));
    }
    CHECK_NUMBER(2 * 11, seen);
    is_not_there(ws_subprotocol(ws, &value, NULL), &value);
    ws_message_free(&name);
    ws_message_free(&value);
    raw_end(ws, fd);
}

static void what_was_not_asked_for_is_not_there(void) {
    ws_message text = WS_MESSAGE_INIT;
    ws_conn ws;
    int fd = asks("/", "", &ws);

    is_text(ws_request_path(ws, &text, NULL), &text, "/");
    is_not_there(ws_request_query(ws, &text, NULL), &text);
    is_not_there(ws_request_subprotocol(ws, 0, &text, NULL), &text);
    is_not_there(ws_subprotocol(ws, &text, NULL), &text);
    CHECK_STATUS(WS_NOT_FOUND, ws_close_info(ws, NULL, NULL, &text, NULL));
    raw_end(ws, fd);
    /* An empty query is one. */
    fd = asks("/?", "", &ws);
    is_text(ws_request_query(ws, &text, NULL), &text, "");
    raw_end(ws, fd);
    ws_message_free(&text);
}

static void both_ends_see_the_same_request_and_answer(void) {
    char base[64], url[128], address[80];
    ws_message one = WS_MESSAGE_INIT, other = WS_MESSAGE_INIT;
    ws_options *listen = ws_options_new(), *dial = ws_options_new(), *upgrade = ws_options_new();
    ws_listener listener;
    ws_conn client, server;
    peer_dial *dialling;
    int32_t status = 77;

    CHECK_STATUS(WS_OK, ws_options_add_subprotocol(listen, "chat", NULL));
    CHECK_STATUS(WS_OK, ws_options_add_subprotocol(dial, "other", NULL));
    CHECK_STATUS(WS_OK, ws_options_add_subprotocol(dial, "chat", NULL));
    CHECK_STATUS(WS_OK, ws_options_add_header(upgrade, "Set-Cookie", "a=b", NULL));
    listener = peer_listen_with(base, listen);
    snprintf(url, sizeof url, "%s/a/b?c", base);
    dialling = peer_dial_start_with(url, dial);
    CHECK_STATUS(WS_OK, ws_accept(listener, &server, WS_FOREVER, NULL));
    is_text(ws_listener_url(listener, &one, NULL), &one, base);
    CHECK_STATUS(WS_OK, ws_upgrade(server, upgrade, NULL));
    CHECK_STATUS(WS_OK, peer_dial_end(dialling, &client, NULL));
    is_text(ws_request_path(client, &one, NULL), &one, "/a/b");
    is_text(ws_request_query(client, &one, NULL), &one, "c");
    is_text(ws_request_subprotocol(client, 1, &one, NULL), &one, "chat");
    CHECK_STATUS(WS_OK, ws_request_header(client, "Sec-WebSocket-Key", &one, NULL));
    is_text(ws_request_header(server, "Sec-WebSocket-Key", &other, NULL), &other, one.data);
    is_text(ws_subprotocol(client, &one, NULL), &one, "chat");
    is_text(ws_subprotocol(server, &one, NULL), &one, "chat");
    CHECK_STATUS(WS_OK, ws_peer_address(client, &one, NULL));
    is_text(ws_local_address(server, &other, NULL), &other, one.data);
    snprintf(address, sizeof address, "ws://%s", one.data);
    CHECK_TEXT(base, address);
    CHECK_STATUS(WS_OK, ws_local_address(client, &one, NULL));
    is_text(ws_peer_address(server, &other, NULL), &other, one.data);

    CHECK_STATUS(WS_OK, ws_response_status(client, &status, NULL));
    CHECK_NUMBER(101, status);
    is_text(ws_response_header(client, "set-cookie", &one, NULL), &one, "a=b");
    is_text(ws_response_body(client, &one, NULL), &one, "");
    is_not_there(ws_response_header(client, "x-none", &one, NULL), &one);
    is_not_there(ws_response_header_at(client, SIZE_MAX, &one, &other, NULL), &one);
    CHECK_STATUS(WS_OK, ws_response_header_at(client, 0, &one, &other, NULL));
    CHECK_STATUS(WS_INVALID_STATE, ws_response_status(server, &status, NULL));
    CHECK_STATUS(WS_INVALID_STATE, ws_response_header(server, "a", &one, NULL));
    CHECK_STATUS(WS_INVALID_STATE, ws_response_header_at(server, 0, &one, &other, NULL));
    CHECK_STATUS(WS_INVALID_STATE, ws_response_body(server, &one, NULL));
    CHECK_NUMBER(101, status);
    ws_message_free(&one);
    ws_message_free(&other);
    ws_options_free(listen);
    ws_options_free(dial);
    ws_options_free(upgrade);
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
}

static void a_listener_of_any_family_says_where_to_dial(void) {
    ws_message url = WS_MESSAGE_INIT, address = WS_MESSAGE_INIT;
    ws_listener listener;
    ws_conn client, server;
    peer_dial *dialling;
    uint16_t port;
    char expected[64];

    /* Not every machine has IPv6. */
    if (ws_listen("ws://[::1]:0/path", NULL, &listener, NULL) != WS_OK)
        return;
    CHECK_STATUS(WS_OK, ws_port(listener, &port, NULL));
    snprintf(expected, sizeof expected, "ws://[::1]:%u/path", port);
    is_text(ws_listener_url(listener, &url, NULL), &url, expected);
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_listener_url(listener, NULL, NULL));
    dialling = peer_dial_start(expected);
    CHECK_STATUS(WS_OK, ws_accept(listener, &server, WS_FOREVER, NULL));
    CHECK_STATUS(WS_OK, ws_upgrade(server, NULL, NULL));
    CHECK_STATUS(WS_OK, peer_dial_end(dialling, &client, NULL));
    snprintf(expected, sizeof expected, "[::1]:%u", port);
    is_text(ws_peer_address(client, &address, NULL), &address, expected);
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_listener_url(listener, &url, NULL));
    CHECK_TEXT("", url.data);
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));
    ws_message_free(&url);
    ws_message_free(&address);
}

static void *close_it(void *argument) {
    CHECK_STATUS(WS_OK, ws_close(*(ws_conn *)argument, 3001, "enough", NULL));
    return NULL;
}

static void a_close_tells_who_began_and_why(void) {
    ws_message msg = WS_MESSAGE_INIT, reason = WS_MESSAGE_INIT;
    int32_t code = 77, closed_by = 77;
    ws_conn ws, client, server;
    pthread_t closer;
    int fd = raw_client(&ws);

    CHECK_STATUS(WS_NOT_FOUND, ws_close_info(ws, &code, &closed_by, &reason, NULL));
    CHECK(code == 77 && closed_by == 77 && reason.len == 0);
    raw_send_frame(fd, FIN | CLOSE, "", 0);
    CHECK_STATUS(WS_CLOSED, ws_read(ws, &msg, WS_FOREVER, NULL));
    CHECK_STATUS(WS_OK, ws_close_info(ws, &code, &closed_by, &reason, NULL));
    CHECK_NUMBER(WS_CLOSE_NO_STATUS, code);
    CHECK_NUMBER(WS_CLOSED_BY_PEER, closed_by);
    CHECK_TEXT("", reason.data);
    CHECK_STATUS(WS_OK, ws_close_info(ws, NULL, NULL, NULL, NULL));
    raw_end(ws, fd);

    peer_pair(&client, &server);
    CHECK(pthread_create(&closer, NULL, close_it, &client) == 0);
    CHECK_STATUS(WS_CLOSED, ws_read(server, &msg, WS_FOREVER, NULL));
    CHECK(pthread_join(closer, NULL) == 0);
    CHECK_STATUS(WS_OK, ws_close_info(server, &code, NULL, NULL, NULL));
    CHECK_STATUS(WS_OK, ws_close_info(server, NULL, &closed_by, NULL, NULL));
    is_text(ws_close_info(server, NULL, NULL, &reason, NULL), &reason, "enough");
    CHECK_NUMBER(3001, code);
    CHECK_NUMBER(WS_CLOSED_BY_PEER, closed_by);
    CHECK_STATUS(WS_OK, ws_close(server, WS_CLOSE_NORMAL, NULL, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_close_info(server, &code, NULL, NULL, NULL));

    /* What was lost was not closed. */
    fd = raw_client(&ws);
    close(fd);
    CHECK_STATUS(WS_CONNECTION_LOST, ws_read(ws, &msg, WS_FOREVER, NULL));
    CHECK_STATUS(WS_NOT_FOUND, ws_close_info(ws, &code, NULL, NULL, NULL));
    CHECK_STATUS(WS_OK, ws_abort(ws, NULL));
    ws_message_free(&msg);
    ws_message_free(&reason);
}

static void looks_that_cannot_be_taken_harm_nothing(void) {
    ws_message text = WS_MESSAGE_INIT;
    ws_conn client, server;

    peer_pair(&client, &server);
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_request_path(client, NULL, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_request_query(client, NULL, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_request_header(client, "Host", NULL, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_request_header(client, NULL, &text, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_request_header(client, "\xFF", &text, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_request_header_at(client, 0, NULL, &text, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_request_header_at(client, 0, &text, NULL, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_request_subprotocol(client, 0, NULL, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_response_status(client, NULL, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_response_header(client, "Host", NULL, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_response_header(client, NULL, &text, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_response_header_at(client, 0, NULL, &text, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_response_header_at(client, 0, &text, NULL, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_response_body(client, NULL, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_subprotocol(client, NULL, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_peer_address(client, NULL, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_local_address(client, NULL, NULL));
    CHECK_STATUS(WS_OK, ws_write(client, WS_TEXT, "unharmed", 8, NULL));
    CHECK_STATUS(WS_OK, ws_read(server, &text, WS_FOREVER, NULL));
    CHECK_TEXT("unharmed", text.data);
    ws_message_free(&text);
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));
}

int main(void) {
    const check_case cases[] = {
        TEST(a_state_follows_the_connection),
        TEST(a_client_that_is_gone_leaves_a_closed_connection),
        TEST(a_request_is_seen_as_it_came),
        TEST(what_was_not_asked_for_is_not_there),
        TEST(both_ends_see_the_same_request_and_answer),
        TEST(a_listener_of_any_family_says_where_to_dial),
        TEST(a_close_tells_who_began_and_why),
        TEST(looks_that_cannot_be_taken_harm_nothing),
    };
    return RUN(cases);
}
