/* Handles under abuse: eight threads call every function with numbers that are, were or never were
 * handles, of both kinds, while they open and close them for each other. Every call must give a
 * status that its documentation lists. TALKWS_TEST_SEED changes what is tried. */

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "check.h"
#include "peer.h"

enum { ABUSERS = 8, NUMBERS = 16, CALLS_PER_ROUND = 1250, CALLS_PER_PAIR = 400 };

/* Numbers that all threads see: handles when they were put here, until somebody ends them. */
static _Atomic uint64_t numbers[NUMBERS];

static int rounds;
static uint32_t seed;

struct abuser {
    pthread_t thread;
    uint32_t random;
    /* The client that visited a listener last. */
    int visitor;
    ws_message msg;
    ws_error err;
};

/* xorshift32: the same numbers from the same seed, everywhere. */
static uint32_t pick(struct abuser *abuser, uint32_t count) {
    abuser->random ^= abuser->random << 13;
    abuser->random ^= abuser->random >> 17;
    abuser->random ^= abuser->random << 5;
    return abuser->random % count;
}

/* Ends whatever a number stands for. */
static void end(uint64_t number) {
    ws_status status = ws_abort(number, NULL);

    CHECK(status == WS_OK || status == WS_BAD_HANDLE);
    if (status == WS_BAD_HANDLE)
        ws_listener_close(number, NULL);
}

/* Lets all threads have a handle, instead of another one. */
static void share(struct abuser *abuser, uint64_t handle) {
    end(atomic_exchange(&numbers[pick(abuser, NUMBERS)], handle));
}

static ws_status listen_anew(struct abuser *abuser, uint64_t number) {
    ws_listener listener;
    ws_status status = ws_listen("ws://127.0.0.1:0", NULL, &listener, &abuser->err);

    (void)number;
    if (status == WS_OK)
        share(abuser, listener);
    return status;
}

static ws_status accept_client(struct abuser *abuser, uint64_t number) {
    ws_conn ws;
    ws_status status = ws_accept(number, &ws, pick(abuser, 2), &abuser->err);

    if (status == WS_OK)
        share(abuser, ws);
    return status;
}

static ws_status see_port(struct abuser *abuser, uint64_t number) {
    uint16_t port;

    return ws_port(number, &port, &abuser->err);
}

/* Sends a listener a client, which says all it has to say at once. */
static ws_status visit(struct abuser *abuser, uint64_t number) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    uint16_t port;
    ws_status status = ws_port(number, &port, &abuser->err);

    if (status != WS_OK)
        return status;
    if (abuser->visitor >= 0)
        close(abuser->visitor);
    abuser->visitor = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(abuser->visitor >= 0);
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    /* By now somebody may have closed the listener. */
    if (connect(abuser->visitor, (struct sockaddr *)&address, sizeof address) == 0) {
        /* A Text and a Close, masked with zeros. */
        static const char said[] = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
                                   "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
                                   "\x81\x85\0\0\0\0hello\x88\x80\0\0\0\0";

        send(abuser->visitor, said, sizeof said - 1, MSG_NOSIGNAL);
    }
    return WS_OK;
}

static ws_status close_listener(struct abuser *abuser, uint64_t number) {
    return ws_listener_close(number, &abuser->err);
}

static ws_status upgrade(struct abuser *abuser, uint64_t number) {
    return ws_upgrade(number, NULL, &abuser->err);
}

static ws_status refuse(struct abuser *abuser, uint64_t number) {
    return ws_refuse(number, 403, "abuse", NULL, &abuser->err);
}

static ws_status read_message(struct abuser *abuser, uint64_t number) {
    ws_status status = ws_read(number, &abuser->msg, pick(abuser, 2), &abuser->err);

    CHECK(abuser->msg.data != NULL && abuser->msg.data[abuser->msg.len] == '\0');
    return status;
}

static ws_status write_message(struct abuser *abuser, uint64_t number) {
    return ws_write(number, WS_TEXT, "abuse", pick(abuser, 6), &abuser->err);
}

static ws_status close_connection(struct abuser *abuser, uint64_t number) {
    return ws_close(number, WS_CLOSE_NORMAL, "abuse", &abuser->err);
}

static ws_status abort_connection(struct abuser *abuser, uint64_t number) {
    return ws_abort(number, &abuser->err);
}

/* A set of statuses. */
#define ONLY(status) (UINT32_C(1) << -(status))
#define ENDED (ONLY(WS_CLOSED) | ONLY(WS_CONNECTION_LOST) | ONLY(WS_ABORTED) | ONLY(WS_BAD_HANDLE))
#define WORKED (ONLY(WS_OK) | ONLY(WS_BAD_HANDLE))

static const struct {
    const char *name;
    ws_status (*call)(struct abuser *abuser, uint64_t number);
    uint32_t allowed;
    /* Out of a thousand calls; those that end a handle are rare, or none would live. */
    uint32_t share;
} calls[] = {
    {"ws_listen", listen_anew, ONLY(WS_OK), 2},
    {"ws_accept", accept_client, WORKED | ONLY(WS_TIMED_OUT) | ONLY(WS_ABORTED), 50},
    {"ws_port", see_port, WORKED, 50},
    {"ws_port, and a client", visit, WORKED, 50},
    {"ws_listener_close", close_listener, WORKED, 5},
    {"ws_upgrade", upgrade, ENDED | ONLY(WS_OK) | ONLY(WS_INVALID_STATE), 20},
    {"ws_refuse", refuse, ENDED | ONLY(WS_OK) | ONLY(WS_INVALID_STATE), 5},
    {"ws_read", read_message, ENDED | ONLY(WS_OK) | ONLY(WS_TIMED_OUT), 100},
    {"ws_write", write_message, ENDED | ONLY(WS_OK), 100},
    {"ws_close", close_connection, ENDED | ONLY(WS_OK), 5},
    {"ws_abort", abort_connection, WORKED, 5},
};

enum { CALLS = sizeof calls / sizeof calls[0] };

/* How often each function met a handle of its kind, and how often it worked. */
static atomic_uint met[CALLS], worked[CALLS];

static size_t pick_call(struct abuser *abuser) {
    uint32_t all = 0, at;
    size_t i = 0;

    for (size_t call = 0; call < CALLS; call++)
        all += calls[call].share;
    for (at = pick(abuser, all); at >= calls[i].share; i++)
        at -= calls[i].share;
    return i;
}

static uint64_t pick_number(struct abuser *abuser) {
    uint64_t number = atomic_load(&numbers[pick(abuser, NUMBERS)]);

    switch (pick(abuser, 16)) {
    case 0:
        return number ^ UINT64_C(1) << pick(abuser, 64);
    case 1:
        return (uint64_t)pick(abuser, UINT32_MAX) << 32 | pick(abuser, UINT32_MAX);
    case 2:
        return 0;
    default:
        return number;
    }
}

static void *abuse(void *argument) {
    struct abuser *abuser = argument;

    for (int left = rounds * CALLS_PER_ROUND; left > 0; left--) {
        size_t i = pick_call(abuser);
        ws_status status;

        if (left % CALLS_PER_PAIR == 0) {
            ws_conn client, server;

            peer_pair(&client, &server);
            share(abuser, client);
            share(abuser, server);
        }
        status = calls[i].call(abuser, pick_number(abuser));
        if (status > WS_OK || status < WS_INTERNAL || !(calls[i].allowed & ONLY(status))) {
            printf("FAIL %s: %s gave %d (%s): %s\n", check_test, calls[i].name, status,
                   ws_strerror(status), abuser->err.message);
            check_fail();
        }
        if (status != WS_BAD_HANDLE)
            atomic_fetch_add(&met[i], 1);
        if (status == WS_OK)
            atomic_fetch_add(&worked[i], 1);
    }
    ws_message_free(&abuser->msg);
    if (abuser->visitor >= 0)
        close(abuser->visitor);
    return NULL;
}

static int open_descriptors(void) {
    DIR *directory = opendir("/dev/fd");
    int count = 0;

    CHECK(directory != NULL);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

static void every_call_gives_a_status_of_its_own(void) {
    static struct abuser abusers[ABUSERS];
    char name[80];
    ws_conn client, server;
    int before;

    snprintf(name, sizeof name, "%s (seed %" PRIu32 ")", check_test, seed);
    check_test = name;
    /* What the library keeps for good, it has from here on. */
    peer_pair(&client, &server);
    end(client);
    end(server);
    before = open_descriptors();
    for (uint32_t i = 0; i < ABUSERS; i++) {
        abusers[i].visitor = -1;
        abusers[i].random = (seed + i) * UINT32_C(2654435761) | 1;
        CHECK(pthread_create(&abusers[i].thread, NULL, abuse, &abusers[i]) == 0);
    }
    for (int i = 0; i < ABUSERS; i++)
        CHECK(pthread_join(abusers[i].thread, NULL) == 0);
    for (int i = 0; i < NUMBERS; i++)
        end(atomic_load(&numbers[i]));
    CHECK_NUMBER(before, open_descriptors());
    /* The calls and the handles did meet. */
    for (size_t i = 0; i < CALLS; i++)
        if (atomic_load(&worked[i]) == 0) {
            printf("FAIL %s: %s met %u handles and never worked\n", check_test, calls[i].name,
                   atomic_load(&met[i]));
            check_fail();
        }
}

int main(void) {
    const char *wanted_rounds = getenv("TALKWS_TEST_ROUNDS");
    const char *wanted_seed = getenv("TALKWS_TEST_SEED");
    const check_case cases[] = {TEST(every_call_gives_a_status_of_its_own)};

    rounds = wanted_rounds != NULL ? atoi(wanted_rounds) : 100;
    seed = wanted_seed != NULL ? (uint32_t)strtoul(wanted_seed, NULL, 0) : 1;
    return RUN(cases);
}
