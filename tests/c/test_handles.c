/* Handles: whatever number a program passes, whenever, it gets a status. */

#include "check.h"
#include "peer.h"

/* Every call on `number`, which is no connection's and no listener's handle. */
static void is_no_handle(uint64_t number) {
    ws_message msg = WS_MESSAGE_INIT;
    ws_conn ws = 7;
    uint16_t port = 7;
    ws_error err;

    CHECK_STATUS(WS_BAD_HANDLE, ws_read(number, &msg, WS_FOREVER, &err));
    CHECK_NUMBER(WS_BAD_HANDLE, err.status);
    CHECK_STATUS(WS_BAD_HANDLE, ws_write(number, WS_TEXT, "x", 1, &err));
    CHECK_STATUS(WS_BAD_HANDLE, ws_upgrade(number, NULL, &err));
    CHECK_STATUS(WS_BAD_HANDLE, ws_refuse(number, 403, NULL, NULL, &err));
    CHECK_STATUS(WS_BAD_HANDLE, ws_close(number, WS_CLOSE_NORMAL, NULL, &err));
    CHECK_STATUS(WS_BAD_HANDLE, ws_abort(number, &err));
    CHECK_STATUS(WS_BAD_HANDLE, ws_port(number, &port, &err));
    CHECK_STATUS(WS_BAD_HANDLE, ws_accept(number, &ws, WS_FOREVER, &err));
    CHECK_STATUS(WS_BAD_HANDLE, ws_listener_close(number, &err));
    CHECK(ws == 7 && port == 7);
    ws_message_free(&msg);
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
    ws_conn client, server, ws;
    uint16_t port;

    peer_pair(&client, &server);
    CHECK_STATUS(WS_BAD_HANDLE, ws_accept(client, &ws, 0, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_port(client, &port, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_listener_close(client, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_read(listener, &msg, 0, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_write(listener, WS_TEXT, "x", 1, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_upgrade(listener, NULL, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_refuse(listener, 403, NULL, NULL, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_close(listener, WS_CLOSE_NORMAL, NULL, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_abort(listener, NULL));
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
