/* ws_options: what may be chosen, and that options, like handles, are checked. */

#include <pthread.h>

#include "check.h"
#include "peer.h"

/* Every setter, with what it likes. */
static void every_setter_gives(ws_status expected, ws_options *options) {
    CHECK_STATUS(expected, ws_options_add_header(options, "X-A", "b", NULL));
    CHECK_STATUS(expected, ws_options_add_subprotocol(options, "chat", NULL));
    CHECK_STATUS(expected, ws_options_require_subprotocol(options, 1, NULL));
    CHECK_STATUS(expected, ws_options_set_origin(options, "http://a", NULL));
    CHECK_STATUS(expected, ws_options_allow_origin(options, "*", NULL));
    CHECK_STATUS(expected, ws_options_keep_refusal(options, 1, NULL));
    CHECK_STATUS(expected, ws_options_set_dial_timeout(options, 1, NULL));
    CHECK_STATUS(expected, ws_options_set_handshake_timeout(options, 1, NULL));
    CHECK_STATUS(expected, ws_options_set_write_timeout(options, 1, NULL));
    CHECK_STATUS(expected, ws_options_set_close_timeout(options, 1, NULL));
    CHECK_STATUS(expected, ws_options_set_max_message_size(options, 1, NULL));
    CHECK_STATUS(expected, ws_options_set_max_pending(options, 1, NULL));
    CHECK_STATUS(expected, ws_options_set_keepalive(options, 1, 1, NULL));
    CHECK_STATUS(expected, ws_options_set_deflate(options, 0, NULL));
    CHECK_STATUS(expected, ws_options_set_deflate_level(options, 1, 1, NULL));
    CHECK_STATUS(expected, ws_options_set_deflate_threshold(options, 1, NULL));
    CHECK_STATUS(expected, ws_options_set_deflate_context_takeover(options, 0, 0, NULL));
    CHECK_STATUS(expected, ws_options_set_deflate_window_bits(options, 8, 8, NULL));
    CHECK_STATUS(expected, ws_options_set_backlog(options, 1, NULL));
    CHECK_STATUS(expected, ws_options_set_socket_buffers(options, 1, 1, NULL));
    CHECK_STATUS(expected, ws_options_set_reuse_address(options, 0, NULL));
    CHECK_STATUS(expected, ws_options_set_reuse_port(options, 1, NULL));
}

/* Every call that takes options. */
static void every_call_gives_bad_handle(ws_conn ws, const ws_options *options) {
    ws_listener listener = 7;
    ws_conn dialled = 7;
    ws_error err;

    CHECK_STATUS(WS_BAD_HANDLE, ws_dial("ws://127.0.0.1:1/", options, &dialled, &err));
    CHECK_NUMBER(WS_BAD_HANDLE, err.status);
    CHECK(strstr(err.message, "options") != NULL);
    CHECK_STATUS(WS_BAD_HANDLE, ws_listen("ws://127.0.0.1:0", options, &listener, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_upgrade(ws, options, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_refuse(ws, 403, NULL, options, NULL));
    CHECK(listener == 7 && dialled == 7);
}

static void what_is_no_options_is_told_so(void) {
    char url[64];
    ws_listener listener = peer_listen(url);
    int fd = raw_connect(listener), not_options;
    ws_options *options = ws_options_new();
    ws_conn ws;

    raw_request(fd);
    CHECK_STATUS(WS_OK, ws_accept(listener, &ws, WS_FOREVER, NULL));
    CHECK(options != NULL);
    every_setter_gives(WS_OK, options);
    every_setter_gives(WS_INVALID_ARGUMENT, NULL);
    every_setter_gives(WS_BAD_HANDLE, (ws_options *)(void *)&not_options);
    every_setter_gives(WS_BAD_HANDLE, (ws_options *)((uintptr_t)options + 1));
    every_setter_gives(WS_BAD_HANDLE, (ws_options *)(uintptr_t)ws);
    every_call_gives_bad_handle(ws, (ws_options *)(void *)&not_options);
    every_call_gives_bad_handle(ws, (ws_options *)UINTPTR_MAX);
    ws_options_free((ws_options *)(void *)&not_options);
    ws_options_free(NULL);
    ws_options_free(options);
    every_setter_gives(WS_BAD_HANDLE, options);
    every_call_gives_bad_handle(ws, options);
    ws_options_free(options);
    /* The client still waits for its answer. */
    CHECK_STATUS(WS_OK, ws_upgrade(ws, NULL, NULL));
    CHECK_NUMBER(101, raw_receive_status(fd));
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    raw_end(ws, fd);
}

static void options_that_were_freed_never_come_back(void) {
    enum { COUNT = 300 };
    static ws_options *seen[COUNT];

    for (int i = 0; i < COUNT; i++) {
        seen[i] = ws_options_new();
        CHECK(seen[i] != NULL);
        /* Freeing again what was freed harms nobody who got options since. */
        for (int j = 0; j < i; j++) {
            CHECK(seen[j] != seen[i]);
            ws_options_free(seen[j]);
        }
        CHECK_STATUS(WS_OK, ws_options_set_reuse_port(seen[i], 1, NULL));
        ws_options_free(seen[i]);
    }
}

#define REFUSES(call)                                                                              \
    do {                                                                                           \
        ws_error err;                                                                              \
        CHECK_STATUS(WS_INVALID_ARGUMENT, call);                                                   \
        CHECK_NUMBER(WS_INVALID_ARGUMENT, err.status);                                             \
        CHECK(err.message[0] != '\0');                                                             \
    } while (0)

static void what_cannot_be_chosen_is_refused_at_once(void) {
    const char *const names[] = {NULL,
                                 "",
                                 "a b",
                                 "a:",
                                 "\xFF",
                                 "Upgrade",
                                 "connection",
                                 "Sec-WebSocket-Key",
                                 "sec-websocket-anything",
                                 "X\r\n"};
    const char *const values[] = {NULL, "a\r\nb", "a\n", "\x01"};
    const char *const tokens[] = {NULL, "", "a b", "a,b", "\xC3\xBC", "\xFF", "taken"};
    const char *const origins[] = {NULL, "a\r\nb", "\xFF"};
    ws_options *o = ws_options_new();

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        REFUSES(ws_options_add_header(o, names[i], "value", &err));
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        REFUSES(ws_options_add_header(o, "X-Name", values[i], &err));
    CHECK_STATUS(WS_OK, ws_options_add_subprotocol(o, "taken", NULL));
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++)
        REFUSES(ws_options_add_subprotocol(o, tokens[i], &err));
    for (size_t i = 0; i < sizeof origins / sizeof origins[0]; i++) {
        REFUSES(ws_options_set_origin(o, origins[i], &err));
        REFUSES(ws_options_allow_origin(o, origins[i], &err));
    }
    REFUSES(ws_options_set_dial_timeout(o, -2, &err));
    REFUSES(ws_options_set_dial_timeout(o, INT64_MIN, &err));
    REFUSES(ws_options_set_write_timeout(o, -2, &err));
    REFUSES(ws_options_set_write_timeout(o, INT64_MIN, &err));
    REFUSES(ws_options_set_handshake_timeout(o, 0, &err));
    REFUSES(ws_options_set_handshake_timeout(o, WS_FOREVER, &err));
    REFUSES(ws_options_set_handshake_timeout(o, INT64_MIN, &err));
    REFUSES(ws_options_set_close_timeout(o, WS_FOREVER, &err));
    REFUSES(ws_options_set_close_timeout(o, INT64_MIN, &err));
    REFUSES(ws_options_set_max_pending(o, 0, &err));
    REFUSES(ws_options_set_keepalive(o, WS_FOREVER, 1, &err));
    REFUSES(ws_options_set_keepalive(o, 1, 0, &err));
    REFUSES(ws_options_set_keepalive(o, 1, -1, &err));
    REFUSES(ws_options_set_keepalive(o, INT64_MIN, INT64_MIN, &err));
    for (int32_t level = -1; level <= 10; level += 11) {
        REFUSES(ws_options_set_deflate_level(o, level, 8, &err));
        REFUSES(ws_options_set_deflate_level(o, 6, level, &err));
    }
    REFUSES(ws_options_set_deflate_level(o, 0, 8, &err));
    REFUSES(ws_options_set_deflate_level(o, 6, 0, &err));
    REFUSES(ws_options_set_deflate_level(o, INT32_MIN, INT32_MAX, &err));
    REFUSES(ws_options_set_deflate_window_bits(o, 7, 15, &err));
    REFUSES(ws_options_set_deflate_window_bits(o, 16, 15, &err));
    REFUSES(ws_options_set_deflate_window_bits(o, 15, 7, &err));
    REFUSES(ws_options_set_deflate_window_bits(o, 15, 16, &err));
    REFUSES(ws_options_set_deflate_window_bits(o, -15, 256 + 15, &err));
    REFUSES(ws_options_set_backlog(o, 0, &err));
    REFUSES(ws_options_set_backlog(o, -1, &err));
    REFUSES(ws_options_set_backlog(o, 65536, &err));
    REFUSES(ws_options_set_backlog(o, INT32_MIN, &err));
    REFUSES(ws_options_set_socket_buffers(o, SIZE_MAX, 0, &err));
    REFUSES(ws_options_set_socket_buffers(o, 0, SIZE_MAX, &err));
    ws_options_free(o);
}

/* A message goes through a connection that was made with these options at both ends. */
static void serve(const ws_options *options) {
    ws_message msg = WS_MESSAGE_INIT;
    ws_conn client, server;

    peer_pair_with(&client, options, &server, options);
    CHECK_STATUS(WS_OK, ws_write(client, WS_TEXT, "through", 7, NULL));
    CHECK_STATUS(WS_OK, ws_read(server, &msg, WS_FOREVER, NULL));
    CHECK_TEXT("through", msg.data);
    ws_message_free(&msg);
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));
}

static void the_ends_of_every_range_serve(void) {
    ws_options *least = ws_options_new(), *most = ws_options_new();

    CHECK_STATUS(WS_OK, ws_options_set_write_timeout(least, 0, NULL));
    CHECK_STATUS(WS_OK, ws_options_set_close_timeout(least, 0, NULL));
    CHECK_STATUS(WS_OK, ws_options_set_max_message_size(least, 7, NULL));
    CHECK_STATUS(WS_OK, ws_options_set_max_pending(least, 1, NULL));
    CHECK_STATUS(WS_OK, ws_options_set_keepalive(least, 0, 0, NULL));
    CHECK_STATUS(WS_OK, ws_options_set_deflate_level(least, 1, 1, NULL));
    CHECK_STATUS(WS_OK, ws_options_set_deflate_threshold(least, 0, NULL));
    CHECK_STATUS(WS_OK, ws_options_set_deflate_window_bits(least, 8, 8, NULL));
    CHECK_STATUS(WS_OK, ws_options_set_backlog(least, 1, NULL));
    CHECK_STATUS(WS_OK, ws_options_set_socket_buffers(least, 1, 1, NULL));
    serve(least);
    CHECK_STATUS(WS_OK, ws_options_set_dial_timeout(most, INT64_MAX, NULL));
    CHECK_STATUS(WS_OK, ws_options_set_handshake_timeout(most, INT64_MAX, NULL));
    CHECK_STATUS(WS_OK, ws_options_set_write_timeout(most, INT64_MAX, NULL));
    CHECK_STATUS(WS_OK, ws_options_set_close_timeout(most, INT64_MAX, NULL));
    CHECK_STATUS(WS_OK, ws_options_set_max_message_size(most, SIZE_MAX, NULL));
    CHECK_STATUS(WS_OK, ws_options_set_max_pending(most, SIZE_MAX, NULL));
    CHECK_STATUS(WS_OK, ws_options_set_keepalive(most, INT64_MAX, INT64_MAX, NULL));
    CHECK_STATUS(WS_OK, ws_options_set_deflate_level(most, 9, 9, NULL));
    CHECK_STATUS(WS_OK, ws_options_set_deflate_threshold(most, SIZE_MAX, NULL));
    CHECK_STATUS(WS_OK, ws_options_set_deflate_window_bits(most, 15, 15, NULL));
    CHECK_STATUS(WS_OK, ws_options_set_backlog(most, 65535, NULL));
    serve(most);
    CHECK_STATUS(WS_OK, ws_options_set_dial_timeout(most, WS_FOREVER, NULL));
    CHECK_STATUS(WS_OK, ws_options_set_write_timeout(most, WS_FOREVER, NULL));
    serve(most);
    ws_options_free(least);
    ws_options_free(most);
}

static void a_choice_that_was_refused_leaves_the_others(void) {
    ws_options *options = ws_options_new();
    ws_message value = WS_MESSAGE_INIT;
    ws_conn client, server;

    CHECK_STATUS(WS_OK, ws_options_add_header(options, "X-Kept", "kept", NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_options_add_header(options, "X-Bad", "\n", NULL));
    peer_pair_with(&client, options, &server, NULL);
    ws_options_free(options);
    CHECK_STATUS(WS_OK, ws_request_header(server, "X-Kept", &value, NULL));
    CHECK_TEXT("kept", value.data);
    CHECK_STATUS(WS_NOT_FOUND, ws_request_header(server, "X-Bad", &value, NULL));
    ws_message_free(&value);
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));
}

static void *change_often(void *argument) {
    for (int i = 0; i < 200; i++)
        CHECK_STATUS(WS_OK, ws_options_set_socket_buffers(argument, 0, (size_t)i, NULL));
    return NULL;
}

static void options_may_be_changed_and_used_by_many_threads(void) {
    ws_options *options = ws_options_new();
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, change_often, options) == 0);
    for (int i = 0; i < 20; i++)
        serve(options);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    ws_options_free(options);
}

int main(void) {
    const check_case cases[] = {
        TEST(what_is_no_options_is_told_so),
        TEST(options_that_were_freed_never_come_back),
        TEST(what_cannot_be_chosen_is_refused_at_once),
        TEST(the_ends_of_every_range_serve),
        TEST(a_choice_that_was_refused_leaves_the_others),
        TEST(options_may_be_changed_and_used_by_many_threads),
    };
    return RUN(cases);
}
