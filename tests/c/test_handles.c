/* Handles: whatever number a program passes, whenever, it gets a status. */

#include "check.h"
#include "peer.h"

/* Every call that writes or reads, on `number`, which is no connection's handle. */
static void is_no_connection(uint64_t number) {
    ws_message msg = WS_MESSAGE_INIT;
    ws_part part = {.type = 77};
    char buf[9] = "as befor";
    ws_error err;

    CHECK_STATUS(WS_BAD_HANDLE, ws_read(number, &msg, WS_FOREVER, &err));
    CHECK_NUMBER(WS_BAD_HANDLE, err.status);
    CHECK_STATUS(WS_BAD_HANDLE, ws_read_some(number, buf, 8, &part, WS_FOREVER, &err));
    CHECK_STATUS(WS_BAD_HANDLE, ws_write(number, WS_TEXT, "x", 1, &err));
    CHECK_STATUS(WS_BAD_HANDLE, ws_write_part(number, WS_TEXT, "x", 1, 1, &err));
    CHECK_STATUS(WS_BAD_HANDLE, ws_flush(number, WS_FOREVER, &err));
    CHECK_STATUS(WS_BAD_HANDLE, ws_ping(number, NULL, 0, WS_FOREVER, &err));
    CHECK_STATUS(WS_BAD_HANDLE, ws_upgrade(number, NULL, &err));
    CHECK_STATUS(WS_BAD_HANDLE, ws_refuse(number, 403, NULL, NULL, &err));
    CHECK_STATUS(WS_BAD_HANDLE, ws_close(number, WS_CLOSE_NORMAL, NULL, &err));
    CHECK_STATUS(WS_BAD_HANDLE, ws_abort(number, &err));
    CHECK(part.type == 77 && strcmp(buf, "as befor") == 0);
    ws_message_free(&msg);
}

/* Every look at it. */
static void shows_no_connection(uint64_t number) {
    ws_message text = WS_MESSAGE_INIT, other = WS_MESSAGE_INIT;
    ws_counters counters = {.messages_sent = 77};
    int32_t value = 77, second = 77;
    ws_error err;

    CHECK_STATUS(WS_BAD_HANDLE, ws_state(number, &value, &err));
    CHECK_STATUS(WS_BAD_HANDLE, ws_fd(number, &value, &err));
    CHECK_STATUS(WS_BAD_HANDLE, ws_pending(number, &value, &err));
    CHECK_STATUS(WS_BAD_HANDLE, ws_count(number, &counters, &err));
    CHECK_STATUS(WS_BAD_HANDLE, ws_request_path(number, &text, &err));
    CHECK_STATUS(WS_BAD_HANDLE, ws_request_query(number, &text, &err));
    CHECK_STATUS(WS_BAD_HANDLE, ws_request_header(number, "Host", &text, &err));
    CHECK_STATUS(WS_BAD_HANDLE, ws_request_header_at(number, 0, &text, &other, &err));
    CHECK_STATUS(WS_BAD_HANDLE, ws_request_subprotocol(number, 0, &text, &err));
    CHECK_STATUS(WS_BAD_HANDLE, ws_response_status(number, &value, &err));
    CHECK_STATUS(WS_BAD_HANDLE, ws_response_header(number, "Host", &text, &err));
    CHECK_STATUS(WS_BAD_HANDLE, ws_response_header_at(number, 0, &text, &other, &err));
    CHECK_STATUS(WS_BAD_HANDLE, ws_response_body(number, &text, &err));
    CHECK_STATUS(WS_BAD_HANDLE, ws_subprotocol(number, &text, &err));
    CHECK_STATUS(WS_BAD_HANDLE, ws_peer_address(number, &text, &err));
    CHECK_STATUS(WS_BAD_HANDLE, ws_local_address(number, &text, &err));
    CHECK_STATUS(WS_BAD_HANDLE, ws_close_info(number, &value, &second, &text, &err));
    CHECK(value == 77 && second == 77 && counters.messages_sent == 77);
    CHECK(text.len == 0 && other.len == 0);
    ws_message_free(&text);
    ws_message_free(&other);
}

static void is_no_listener(uint64_t number) {
    ws_message url = WS_MESSAGE_INIT;
    uint16_t port = 7;
    ws_conn ws = 7;
    ws_error err;

    CHECK_STATUS(WS_BAD_HANDLE, ws_port(number, &port, &err));
    CHECK_STATUS(WS_BAD_HANDLE, ws_listener_url(number, &url, &err));
    CHECK_STATUS(WS_BAD_HANDLE, ws_accept(number, &ws, WS_FOREVER, &err));
    CHECK_STATUS(WS_BAD_HANDLE, ws_listener_close(number, &err));
    CHECK(ws == 7 && port == 7);
    ws_message_free(&url);
}

static void is_no_handle(uint64_t number) {
    is_no_connection(number);
    shows_no_connection(number);
    is_no_listener(number);
}

static void invented_numbers_are_no_handles(void) {
    const uint64_t numbers[] = {0, 1, 2, 0x7FFFFFFF, UINT64_MAX, INT64_MAX, (uint64_t)INT64_MIN};

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        is_no_handle(numbers[i]);
    for (int bit = 0; bit < 64; bit++)
        is_no_handle(UINT64_C(1) << bit);
}

static void numbers_near_a_handle_are_no_handles(void) {
    char url[64];
    ws_listener listener = peer_listen(url);
    uint16_t port;

    for (int bit = 0; bit < 64; bit++)
        is_no_handle(listener ^ UINT64_C(1) << bit);
    CHECK_STATUS(WS_OK, ws_port(listener, &port, NULL));
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    is_no_handle(listener);
}

static void a_handle_of_the_other_kind_is_left_alone(void) {
    char url[64];
    ws_listener listener = peer_listen(url);
    ws_message msg = WS_MESSAGE_INIT;
    ws_conn client, server;
    uint16_t port;

    peer_pair(&client, &server);
    is_no_listener(client);
    is_no_connection(listener);
    shows_no_connection(listener);
    CHECK_STATUS(WS_OK, ws_write(client, WS_TEXT, "unharmed", 8, NULL));
    CHECK_STATUS(WS_OK, ws_read(server, &msg, WS_FOREVER, NULL));
    CHECK_TEXT("unharmed", msg.data);
    CHECK_STATUS(WS_OK, ws_port(listener, &port, NULL));
    ws_message_free(&msg);
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
}

static void a_number_never_comes_back(void) {
    enum { COUNT = 300 };
    static ws_listener seen[COUNT];

    for (int i = 0; i < COUNT; i++) {
        CHECK_STATUS(WS_OK, ws_listen("ws://127.0.0.1:0", NULL, &seen[i], NULL));
        CHECK_STATUS(WS_OK, ws_listener_close(seen[i], NULL));
        for (int j = 0; j < i; j++)
            CHECK(seen[j] != seen[i]);
    }
    for (int i = 0; i < COUNT; i += 50)
        is_no_handle(seen[i]);
}

int main(void) {
    const check_case cases[] = {
        TEST(invented_numbers_are_no_handles),
        TEST(numbers_near_a_handle_are_no_handles),
        TEST(a_handle_of_the_other_kind_is_left_alone),
        TEST(a_number_never_comes_back),
    };
    return RUN(cases);
}
