/* Handles: whatever number a program passes, whenever, it gets a status. */

#include <pthread.h>
#include <stdatomic.h>

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

/* Numbers that were handles, are, or will be: what the abusers below try. */
enum { NUMBERS = 16, OPENERS = 2, ABUSERS = 8 };
static _Atomic uint64_t numbers[NUMBERS];
static atomic_int openers_left;
static atomic_int ended_by_abusers;

static uint32_t next_random(uint32_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static void *open_and_close(void *argument) {
    const char *wanted = getenv("TALKWS_TEST_ROUNDS");
    int rounds = wanted != NULL ? atoi(wanted) : 100;
    uint32_t random = (uint32_t)(uintptr_t)argument * 2654435761u + 1;

    for (int i = 0; i < rounds; i++) {
        ws_listener listener;
        ws_conn client, server;
        ws_status status;

        CHECK_STATUS(WS_OK, ws_listen("ws://127.0.0.1:0", NULL, &listener, NULL));
        atomic_store(&numbers[next_random(&random) % NUMBERS], listener);
        peer_pair(&client, &server);
        atomic_store(&numbers[next_random(&random) % NUMBERS], client);
        atomic_store(&numbers[next_random(&random) % NUMBERS], server);
        /* An abuser may have been faster. */
        status = ws_abort(client, NULL);
        CHECK(status == WS_OK || status == WS_BAD_HANDLE);
        status = ws_close(server, WS_CLOSE_NORMAL, NULL, NULL);
        CHECK(status == WS_OK || status == WS_BAD_HANDLE || status == WS_CONNECTION_LOST ||
              status == WS_ABORTED);
        status = ws_listener_close(listener, NULL);
        CHECK(status == WS_OK || status == WS_BAD_HANDLE);
    }
    atomic_fetch_sub(&openers_left, 1);
    return NULL;
}

/* One call, chosen at random, on a number that may be anything. */
static ws_status abuse(uint32_t choice, uint64_t number, ws_message *msg) {
    ws_status status;
    ws_error err;
    ws_conn ws;
    uint16_t port;

    switch (choice % 9) {
    case 0:
        return ws_read(number, msg, 0, &err);
    case 1:
        return ws_write(number, WS_TEXT, "abuse", 5, &err);
    case 2:
        return ws_upgrade(number, NULL, &err);
    case 3:
        return ws_refuse(number, 403, NULL, NULL, &err);
    case 4:
        return ws_port(number, &port, &err);
    case 5:
        status = ws_accept(number, &ws, 0, &err);
        if (status == WS_OK)
            CHECK_STATUS(WS_OK, ws_abort(ws, NULL));
        return status;
    case 6:
        status = ws_abort(number, &err);
        break;
    case 7:
        status = ws_listener_close(number, &err);
        break;
    default:
        status = ws_close(number, WS_CLOSE_NORMAL, NULL, &err);
    }
    if (status == WS_OK)
        atomic_fetch_add(&ended_by_abusers, 1);
    return status;
}

static void *abuse_handles(void *argument) {
    uint32_t random = (uint32_t)(uintptr_t)argument * 2246822519u + 3;
    ws_message msg = WS_MESSAGE_INIT;

    while (atomic_load(&openers_left) > 0) {
        uint64_t number = atomic_load(&numbers[next_random(&random) % NUMBERS]);
        ws_status status;

        if (next_random(&random) % 4 == 0)
            number ^= UINT64_C(1) << next_random(&random) % 64;
        status = abuse(next_random(&random), number, &msg);
        CHECK(status == WS_OK || status == WS_BAD_HANDLE || status == WS_TIMED_OUT ||
              status == WS_CLOSED || status == WS_CONNECTION_LOST || status == WS_ABORTED ||
              status == WS_INVALID_STATE);
        CHECK(msg.data == NULL || msg.data[msg.len] == '\0');
    }
    ws_message_free(&msg);
    return NULL;
}

static void abuse_from_many_threads_gets_a_status(void) {
    pthread_t openers[OPENERS], abusers[ABUSERS];

    atomic_store(&openers_left, OPENERS);
    for (uintptr_t i = 0; i < OPENERS; i++)
        CHECK(pthread_create(&openers[i], NULL, open_and_close, (void *)i) == 0);
    for (uintptr_t i = 0; i < ABUSERS; i++)
        CHECK(pthread_create(&abusers[i], NULL, abuse_handles, (void *)i) == 0);
    for (int i = 0; i < ABUSERS; i++)
        CHECK(pthread_join(abusers[i], NULL) == 0);
    for (int i = 0; i < OPENERS; i++)
        CHECK(pthread_join(openers[i], NULL) == 0);
    /* They did meet. */
    CHECK(atomic_load(&ended_by_abusers) > 0);
}

int main(void) {
    const check_case cases[] = {
        TEST(invented_numbers_are_no_handles),          TEST(numbers_near_a_handle_are_no_handles),
        TEST(a_handle_of_the_other_kind_is_left_alone), TEST(a_number_never_comes_back),
        TEST(abuse_from_many_threads_gets_a_status),
    };
    return RUN(cases);
}
