/* A system without memory is a status: nothing crashes, nothing is lost, and it goes on later. */

#include "check.h"
#include "peer.h"
#include "testing.h"

enum { SMALL = 64 * 1024, LARGE = 1 << 20 };

static void memory_is_back(void) {
    ws_test_fail_allocations(-1, 0);
}

static void no_memory_from(size_t smallest) {
    ws_test_fail_allocations(0, smallest);
}

static char *pattern(size_t len) {
    char *data = malloc(len);

    CHECK(data != NULL);
    for (size_t i = 0; i < len; i++)
        data[i] = (char)(i % 251);
    return data;
}

/* Sends a large message bit by bit until there is no memory for more of it. */
static void a_message_without_memory_is_read_when_there_is(void) {
    char *data = pattern(LARGE);
    ws_message msg = WS_MESSAGE_INIT;
    ws_status status = WS_TIMED_OUT;
    ws_conn ws;
    size_t sent = 0;
    int fd = raw_client(&ws);

    raw_send_header(fd, FIN | BINARY, LARGE);
    no_memory_from(SMALL);
    while (status == WS_TIMED_OUT) {
        CHECK(sent < LARGE);
        raw_send(fd, data + sent, 4096);
        sent += 4096;
        status = ws_read(ws, &msg, 0, NULL);
    }
    CHECK_STATUS(WS_NO_MEMORY, status);
    CHECK_STATUS(WS_NO_MEMORY, ws_read(ws, &msg, 0, NULL));
    CHECK(msg.len == 0);
    memory_is_back();
    while (sent < LARGE) {
        raw_send(fd, data + sent, 4096);
        sent += 4096;
        status = ws_read(ws, &msg, sent < LARGE ? 0 : WS_FOREVER, NULL);
    }
    CHECK_STATUS(WS_OK, status);
    CHECK(msg.len == LARGE && memcmp(msg.data, data, LARGE) == 0);
    ws_message_free(&msg);
    free(data);
    CHECK_STATUS(WS_OK, ws_abort(ws, NULL));
    close(fd);
}

static void a_stream_needs_no_large_memory(void) {
    char *data = pattern(LARGE), *got = malloc(LARGE);
    ws_conn ws;
    ws_part part = {0};
    size_t sent = 0, received = 0;
    int fd = raw_client(&ws);

    CHECK(got != NULL);
    raw_send_header(fd, FIN | BINARY, LARGE);
    no_memory_from(SMALL);
    while (!part.is_last) {
        if (sent < LARGE) {
            raw_send(fd, data + sent, 4096);
            sent += 4096;
        }
        CHECK_STATUS(WS_OK, ws_read_some(ws, got + received, LARGE - received + (received == LARGE),
                                         &part, WS_FOREVER, NULL));
        received += part.len;
    }
    memory_is_back();
    CHECK(received == LARGE && memcmp(got, data, LARGE) == 0);
    free(got);
    free(data);
    CHECK_STATUS(WS_OK, ws_abort(ws, NULL));
    close(fd);
}

static void a_large_message_is_written_without_memory(void) {
    char *data = pattern(LARGE);
    ws_message msg = WS_MESSAGE_INIT;
    ws_conn client, server;

    /* Both ends share the allocator: read once, so that the memory for it is there. */
    peer_pair(&client, &server);
    for (int turn = 0; turn < 2; turn++) {
        if (turn == 1)
            no_memory_from(SMALL);
        for (size_t sent = 0; sent < LARGE; sent += 4 * SMALL) {
            int is_last = sent + 4 * SMALL == LARGE;

            CHECK_STATUS(WS_OK, ws_write_part(client, WS_BINARY | WS_NO_COMPRESS, data + sent,
                                              4 * SMALL, is_last, NULL));
            CHECK_STATUS(is_last ? WS_OK : WS_TIMED_OUT,
                         ws_read(server, &msg, is_last ? WS_FOREVER : 0, NULL));
        }
        CHECK(msg.len == LARGE && memcmp(msg.data, data, LARGE) == 0);
    }
    CHECK(ws_test_fail_allocations(-1, 0) > 0);
    ws_message_free(&msg);
    free(data);
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));
}

/* What a call may come to when there is no memory: what it would come to anyway, or WS_NO_MEMORY.
 */
static ws_status survive(ws_status usual, ws_status status, const char *call) {
    if (status != usual && status != WS_NO_MEMORY)
        check_status(usual, status, call, __FILE__, __LINE__);
    return status;
}
#define SURVIVE(usual, call) survive(usual, call, #call)

static void use_a_connection(ws_conn ws, int fd) {
    ws_options *options = ws_options_new();
    ws_message msg = WS_MESSAGE_INIT;

    if (options != NULL) {
        SURVIVE(WS_OK, ws_options_add_header(options, "X-Header", "value", NULL));
        SURVIVE(WS_OK, ws_options_add_subprotocol(options, "chat", NULL));
    }
    ws_options_free(options);
    SURVIVE(WS_OK, ws_write(ws, WS_TEXT | WS_MORE, "hello", 5, NULL));
    SURVIVE(WS_OK, ws_write(ws, WS_TEXT, "hello", 5, NULL));
    SURVIVE(WS_OK, ws_ping(ws, "ping", 4, WS_FOREVER, NULL));
    raw_send_frame(fd, FIN | TEXT, "hello", 5);
    SURVIVE(WS_OK, ws_read(ws, &msg, WS_FOREVER, NULL));
    SURVIVE(WS_OK, ws_request_path(ws, &msg, NULL));
    SURVIVE(WS_OK, ws_request_header(ws, "Host", &msg, NULL));
    SURVIVE(WS_OK, ws_peer_address(ws, &msg, NULL));
    ws_message_free(&msg);
}

static void open_connections(ws_listener listener, const char *refusing) {
    ws_conn ws;
    int fd = raw_connect(listener);
    ws_status status;

    raw_request(fd);
    if (SURVIVE(WS_OK, ws_accept(listener, &ws, WS_FOREVER, NULL)) == WS_OK) {
        SURVIVE(WS_OK, ws_upgrade(ws, NULL, NULL));
        ws_abort(ws, NULL);
    }
    close(fd);
    status = ws_dial(refusing, NULL, &ws, NULL);
    /* Its socket may end where the memory does. */
    if (status != WS_CONNECTION_LOST)
        survive(WS_REFUSED, status, "ws_dial");
}

static void every_call_survives_the_end_of_memory_wherever_it_comes(void) {
    char url[64], refusing[64];
    ws_listener listener = peer_listen(url);
    int64_t refused = 0;

    for (int64_t after = 0; after < 100; after++) {
        raw_server *server = raw_server_start("HTTP/1.1 404 No\r\n\r\nNo.\n", refusing);
        ws_conn ws;
        int fd = raw_client(&ws);

        ws_test_fail_allocations(after, 1);
        use_a_connection(ws, fd);
        open_connections(listener, refusing);
        refused += ws_test_fail_allocations(-1, 0);
        CHECK_STATUS(WS_OK, ws_abort(ws, NULL));
        close(fd);
        raw_server_end(server);
        while (ws_accept(listener, &ws, 0, NULL) == WS_OK)
            ws_abort(ws, NULL);
    }
    CHECK(refused > 100);
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
}

/* What cannot be compressed goes as it is; what cannot be inflated waits. */
static void compressed_messages_survive_the_end_of_memory_wherever_it_comes(void) {
    enum { COUNT = 20, LENGTH = 5000 };
    ws_conn client[COUNT], server[COUNT];
    char *text = malloc(LENGTH);
    int refused = 0;

    CHECK(text != NULL);
    memset(text, 'x', LENGTH);
    /* They stay open, so that none has the windows of another. */
    for (int after = 0; after < COUNT; after++) {
        ws_message msg = WS_MESSAGE_INIT;

        peer_pair(&client[after], &server[after]);
        for (int turn = 0; turn < 2; turn++) {
            ws_status written, got = WS_NO_MEMORY;

            if (turn == 0)
                ws_test_fail_allocations(after, 1);
            written = SURVIVE(WS_OK, ws_write(client[after], WS_TEXT, text, LENGTH, NULL));
            if (written == WS_OK)
                got = SURVIVE(WS_OK, ws_read(server[after], &msg, WS_FOREVER, NULL));
            if (turn == 0)
                refused += ws_test_fail_allocations(-1, 0) > 0;
            if (written == WS_OK && got != WS_OK)
                CHECK_STATUS(WS_OK, ws_read(server[after], &msg, WS_FOREVER, NULL));
            CHECK(turn == 0 || written == WS_OK);
            CHECK(written != WS_OK || (msg.len == LENGTH && memcmp(msg.data, text, LENGTH) == 0));
        }
        ws_message_free(&msg);
    }
    CHECK(refused > 2);
    for (int i = 0; i < COUNT; i++) {
        CHECK_STATUS(WS_OK, ws_abort(client[i], NULL));
        CHECK_STATUS(WS_OK, ws_abort(server[i], NULL));
    }
    free(text);
}

/* What is small comes out of the reserve, until that is kept for the calls that are under way. */
static void the_end_of_the_reserve_is_a_status(void) {
    enum { MANY = 64 };
    ws_options *options[MANY];
    ws_conn client, server;
    int count = 0;

    peer_pair(&client, &server);
    no_memory_from(1);
    while (count < MANY && (options[count] = ws_options_new()) != NULL)
        count++;
    CHECK(count > 0 && count < MANY);
    CHECK_STATUS(WS_NO_MEMORY, ws_options_add_header(options[0], "X-Header", "value", NULL));
    CHECK_STATUS(WS_NO_MEMORY, ws_write(client, WS_TEXT, "x", 1, NULL));
    CHECK_STATUS(WS_NO_MEMORY, ws_dial("ws://127.0.0.1:1/", NULL, &client, NULL));
    while (count > 0)
        ws_options_free(options[--count]);
    CHECK_STATUS(WS_OK, ws_write(client, WS_TEXT, "x", 1, NULL));
    memory_is_back();
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));
}

int main(void) {
    const check_case cases[] = {
        TEST(a_message_without_memory_is_read_when_there_is),
        TEST(a_stream_needs_no_large_memory),
        TEST(a_large_message_is_written_without_memory),
        TEST(every_call_survives_the_end_of_memory_wherever_it_comes),
        TEST(compressed_messages_survive_the_end_of_memory_wherever_it_comes),
        TEST(the_end_of_the_reserve_is_a_status),
    };

    return RUN(cases);
}
