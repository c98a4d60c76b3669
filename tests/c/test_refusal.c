/* Refusals: what ws_refuse says, and what a dial that keeps it can see. */

#include <sys/socket.h>

#include "check.h"
#include "peer.h"

static ws_options *keeping(void) {
    ws_options *options = ws_options_new();

    CHECK(options != NULL);
    CHECK_STATUS(WS_OK, ws_options_keep_refusal(options, 1, NULL));
    return options;
}

/* Dials a server that answers like this. */
static ws_conn kept(const char *answer) {
    ws_options *options = keeping();
    char url[64];
    raw_server *server = raw_server_start(answer, url);
    ws_conn ws;

    CHECK_STATUS(WS_OK, ws_dial(url, options, &ws, NULL));
    ws_options_free(options);
    raw_server_end(server);
    return ws;
}

static void has_header(ws_conn ws, const char *name, const char *expected) {
    ws_message value = WS_MESSAGE_INIT;

    CHECK_STATUS(WS_OK, ws_response_header(ws, name, &value, NULL));
    CHECK_TEXT(expected, value.data);
    ws_message_free(&value);
}

static void a_refusal_is_told_with_headers_and_body(void) {
    char url[64];
    ws_listener listener = peer_listen(url);
    ws_options *options = keeping(), *answer = ws_options_new();
    peer_dial *dial = peer_dial_start_with(url, options);
    ws_message body = WS_MESSAGE_INIT;
    ws_conn ws, client;
    int32_t status;

    CHECK_STATUS(WS_OK, ws_options_add_header(answer, "Retry-After", "120", NULL));
    CHECK_STATUS(WS_OK, ws_options_add_header(answer, "Content-Type", "application/json", NULL));
    CHECK_STATUS(WS_OK, ws_accept(listener, &ws, WS_FOREVER, NULL));
    CHECK_STATUS(WS_OK, ws_refuse(ws, 429, "{\"why\": \"\xC3\xBC\"}", answer, NULL));
    CHECK_STATUS(WS_OK, peer_dial_end(dial, &client, NULL));
    CHECK_STATUS(WS_OK, ws_response_status(client, &status, NULL));
    CHECK_NUMBER(429, status);
    has_header(client, "retry-after", "120");
    has_header(client, "content-type", "application/json");
    CHECK_STATUS(WS_OK, ws_response_body(client, &body, NULL));
    CHECK_NUMBER(WS_TEXT, body.type);
    CHECK_TEXT("{\"why\": \"\xC3\xBC\"}", body.data);
    ws_message_free(&body);
    ws_options_free(options);
    ws_options_free(answer);
    CHECK_STATUS(WS_OK, ws_close(client, WS_CLOSE_NORMAL, NULL, NULL));
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
}

static void a_kept_refusal_can_be_looked_at_and_closed(void) {
    ws_conn ws = kept("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nX-A: b\r\n\r\nno");
    ws_message text = WS_MESSAGE_INIT, name = WS_MESSAGE_INIT;
    ws_counters counters;
    char buf[8];
    ws_part part;
    int32_t number;
    ws_error err;

    CHECK_STATUS(WS_OK, ws_state(ws, &number, NULL));
    CHECK_NUMBER(WS_STATE_CLOSED, number);
    CHECK_STATUS(WS_OK, ws_response_header_at(ws, 1, &name, &text, NULL));
    CHECK_TEXT("X-A", name.data);
    CHECK_TEXT("b", text.data);
    CHECK_STATUS(WS_NOT_FOUND, ws_response_header_at(ws, 2, &name, &text, NULL));
    CHECK_STATUS(WS_OK, ws_response_body(ws, &text, NULL));
    CHECK_TEXT("no", text.data);

    CHECK_STATUS(WS_REFUSED, ws_read(ws, &text, WS_FOREVER, &err));
    CHECK_NUMBER(404, err.http_status);
    CHECK_STATUS(WS_REFUSED, ws_read_some(ws, buf, sizeof buf, &part, WS_FOREVER, &err));
    CHECK_STATUS(WS_REFUSED, ws_write(ws, WS_TEXT, "x", 1, &err));
    CHECK_NUMBER(404, err.http_status);
    CHECK_STATUS(WS_REFUSED, ws_write_part(ws, WS_TEXT, "x", 1, 1, NULL));
    CHECK_STATUS(WS_REFUSED, ws_flush(ws, WS_FOREVER, NULL));
    CHECK_STATUS(WS_REFUSED, ws_ping(ws, NULL, 0, WS_FOREVER, NULL));
    CHECK_STATUS(WS_REFUSED, ws_upgrade(ws, NULL, NULL));
    CHECK_STATUS(WS_REFUSED, ws_refuse(ws, 403, NULL, NULL, NULL));
    CHECK_STATUS(WS_REFUSED, ws_request_path(ws, &text, NULL));
    CHECK_STATUS(WS_REFUSED, ws_subprotocol(ws, &text, NULL));
    CHECK_STATUS(WS_REFUSED, ws_peer_address(ws, &text, NULL));
    CHECK_STATUS(WS_REFUSED, ws_close_info(ws, &number, NULL, NULL, NULL));
    CHECK_STATUS(WS_REFUSED, ws_fd(ws, &number, NULL));
    CHECK_STATUS(WS_REFUSED, ws_count(ws, &counters, NULL));
    CHECK_STATUS(WS_OK, ws_pending(ws, &number, NULL));
    CHECK_NUMBER(WS_PENDING_READ, number);

    CHECK_STATUS(WS_OK, ws_close(ws, WS_CLOSE_NORMAL, NULL, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_response_body(ws, &text, NULL));
    ws_message_free(&text);
    ws_message_free(&name);
    ws = kept("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
    CHECK_STATUS(WS_OK, ws_abort(ws, NULL));
}

static void a_body_ends_where_it_must(void) {
    enum { KEPT = 64 << 10, SENT = 100000 };
    const char head[] = "HTTP/1.1 403 Forbidden\r\nContent-Length: 100000\r\n\r\n";
    char *answer = malloc(sizeof head + SENT);
    ws_message body = WS_MESSAGE_INIT;
    ws_conn ws = kept("HTTP/1.1 403 Forbidden\r\n\r\n\xFF to the end");

    /* Without a length it goes on to the end of the connection. */
    CHECK_STATUS(WS_OK, ws_response_body(ws, &body, NULL));
    CHECK_NUMBER(WS_BINARY, body.type);
    CHECK_TEXT("\xFF to the end", body.data);
    CHECK_STATUS(WS_OK, ws_abort(ws, NULL));
    /* What follows it is none of it. */
    ws = kept("HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nbodymore");
    CHECK_STATUS(WS_OK, ws_response_body(ws, &body, NULL));
    CHECK_TEXT("body", body.data);
    CHECK_STATUS(WS_OK, ws_abort(ws, NULL));
    ws = kept("HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\ncut off");
    CHECK_STATUS(WS_OK, ws_response_body(ws, &body, NULL));
    CHECK_TEXT("cut off", body.data);
    CHECK_STATUS(WS_OK, ws_abort(ws, NULL));
    CHECK(answer != NULL);
    memcpy(answer, head, sizeof head);
    memset(answer + sizeof head - 1, 'x', SENT);
    answer[sizeof head - 1 + SENT] = '\0';
    ws = kept(answer);
    CHECK_STATUS(WS_OK, ws_response_body(ws, &body, NULL));
    CHECK_NUMBER(KEPT, (intmax_t)body.len);
    CHECK_STATUS(WS_OK, ws_abort(ws, NULL));
    free(answer);
    ws_message_free(&body);
}

static void a_body_that_does_not_come_does_not_hold_up_the_dial(void) {
    ws_options *options = keeping();
    ws_message body = WS_MESSAGE_INIT;
    char url[64], request[4096];
    int listening = raw_listen(url), fd;
    peer_dial *dial;
    ws_conn ws;

    CHECK_STATUS(WS_OK, ws_options_set_dial_timeout(options, 500, NULL));
    dial = peer_dial_start_with(url, options);
    fd = accept(listening, NULL, NULL);
    CHECK(fd >= 0);
    raw_receive_head(fd, request);
    raw_send(fd, "HTTP/1.1 401 No\r\nContent-Length: 9\r\n\r\nbegi", 42);
    CHECK_STATUS(WS_OK, peer_dial_end(dial, &ws, NULL));
    CHECK_STATUS(WS_OK, ws_response_body(ws, &body, NULL));
    CHECK_TEXT("begi", body.data);
    CHECK_STATUS(WS_OK, ws_close(ws, WS_CLOSE_NORMAL, NULL, NULL));
    ws_message_free(&body);
    ws_options_free(options);
    close(fd);
    close(listening);
}

static void only_refusals_are_kept(void) {
    ws_options *options = keeping();
    char url[64];
    ws_conn ws = 7, client, server;
    raw_server *raw = raw_server_start("HTTP/1.1 101 Switching Protocols\r\n\r\n", url);
    int32_t status;

    CHECK_STATUS(WS_HANDSHAKE, ws_dial(url, options, &ws, NULL));
    raw_server_end(raw);
    raw = raw_server_start("", url);
    CHECK_STATUS(WS_CONNECTION_LOST, ws_dial(url, options, &ws, NULL));
    raw_server_end(raw);
    CHECK_STATUS(WS_INVALID_URL, ws_dial("ws:///", options, &ws, NULL));
    CHECK(ws == 7);
    peer_pair_with(&client, options, &server, options);
    CHECK_STATUS(WS_OK, ws_response_status(client, &status, NULL));
    CHECK_NUMBER(101, status);
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));
    /* And turned off again, a refusal is an error. */
    CHECK_STATUS(WS_OK, ws_options_keep_refusal(options, 0, NULL));
    raw = raw_server_start("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", url);
    CHECK_STATUS(WS_REFUSED, ws_dial(url, options, &ws, NULL));
    raw_server_end(raw);
    CHECK(ws == 7);
    ws_options_free(options);
}

int main(void) {
    const check_case cases[] = {
        TEST(a_refusal_is_told_with_headers_and_body),
        TEST(a_kept_refusal_can_be_looked_at_and_closed),
        TEST(a_body_ends_where_it_must),
        TEST(a_body_that_does_not_come_does_not_hold_up_the_dial),
        TEST(only_refusals_are_kept),
    };
    return RUN(cases);
}
