/* One call, of every function there is, on a number that may be a handle or not; and the statuses
 * that it may give. test_abuse.c makes them. */

#ifndef ABUSE_H
#define ABUSE_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "check.h"
#include "peer.h"

enum { NUMBERS = 16 };

/* Numbers that all threads see: handles when they were put here, until somebody ends them. */
static _Atomic uint64_t numbers[NUMBERS];

/* Short waits, so that it ends; and options that whoever likes may free, and others use. */
static ws_options *quick;
static _Atomic(ws_options *) shared_options;

struct abuser {
    pthread_t thread;
    uint32_t random;
    /* The client that visited a listener last. */
    int visitor;
    ws_message msg, other;
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

/* Options for a call, of which nobody knows whether they live. */
static const ws_options *pick_options(struct abuser *abuser) {
    return pick(abuser, 4) == 0 ? atomic_load(&shared_options) : quick;
}

/* Also those whose message nobody will end, since its thread is gone, keep nobody for ever. */
static ws_options *short_waits(void) {
    ws_options *options = ws_options_new();

    CHECK_STATUS(WS_OK, ws_options_set_write_timeout(options, 1, NULL));
    CHECK_STATUS(WS_OK, ws_options_set_close_timeout(options, 1, NULL));
    return options;
}

static ws_status change_options(struct abuser *abuser, uint64_t number) {
    ws_options *options = atomic_load(&shared_options);

    (void)number;
    switch (pick(abuser, 3)) {
    case 0:
        ws_options_free(atomic_exchange(&shared_options, short_waits()));
        return WS_OK;
    case 1:
        ws_options_free(options);
        return WS_OK;
    default:
        return ws_options_set_close_timeout(options, 1, &abuser->err);
    }
}

static ws_status listen_anew(struct abuser *abuser, uint64_t number) {
    ws_listener listener;
    ws_status status = ws_listen("ws://127.0.0.1:0", pick_options(abuser), &listener, &abuser->err);

    (void)number;
    if (status == WS_OK)
        share(abuser, listener);
    return status;
}

static ws_status dial(struct abuser *abuser, uint64_t number) {
    ws_message url = WS_MESSAGE_INIT;
    ws_status status = ws_listener_url(number, &url, &abuser->err);
    ws_conn ws;

    if (status == WS_OK)
        status = ws_dial(url.data, quick, &ws, &abuser->err);
    if (status == WS_OK)
        share(abuser, ws);
    ws_message_free(&url);
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
    return ws_upgrade(number, pick_options(abuser), &abuser->err);
}

static ws_status refuse(struct abuser *abuser, uint64_t number) {
    return ws_refuse(number, 403, "abuse", pick_options(abuser), &abuser->err);
}

static ws_status read_message(struct abuser *abuser, uint64_t number) {
    return ws_read(number, &abuser->msg, pick(abuser, 2), &abuser->err);
}

static ws_status read_some(struct abuser *abuser, uint64_t number) {
    char buf[64];
    ws_part part;
    ws_status status =
        ws_read_some(number, buf, 1 + pick(abuser, 64), &part, pick(abuser, 2), &abuser->err);

    CHECK(status != WS_OK || (part.len <= sizeof buf && (part.len > 0 || part.is_last)));
    return status;
}

static int32_t pick_type(struct abuser *abuser) {
    const int32_t flags[] = {0, WS_MORE, WS_DONTWAIT, WS_MORE | WS_DONTWAIT};

    return flags[pick(abuser, 4)] | (pick(abuser, 2) ? WS_TEXT : WS_BINARY);
}

static ws_status write_message(struct abuser *abuser, uint64_t number) {
    return ws_write(number, pick_type(abuser), "abuse", pick(abuser, 6), &abuser->err);
}

static ws_status write_part(struct abuser *abuser, uint64_t number) {
    int32_t is_last = pick(abuser, 4) > 0;

    return ws_write_part(number, pick_type(abuser), "abuse", pick(abuser, 6), is_last,
                         &abuser->err);
}

static ws_status flush(struct abuser *abuser, uint64_t number) {
    return ws_flush(number, pick(abuser, 2), &abuser->err);
}

static ws_status ping(struct abuser *abuser, uint64_t number) {
    return ws_ping(number, "abuse", pick(abuser, 6), pick(abuser, 2), &abuser->err);
}

/* Looks at a number of a connection, or at what is counted. */
static ws_status look_at_number(struct abuser *abuser, uint64_t number) {
    ws_counters counters;
    int32_t value;

    switch (pick(abuser, 4)) {
    case 0:
        return ws_state(number, &value, &abuser->err);
    case 1:
        return ws_fd(number, &value, &abuser->err);
    case 2:
        return ws_pending(number, &value, &abuser->err);
    default:
        return ws_count(number, &counters, &abuser->err);
    }
}

static ws_status look_at_request(struct abuser *abuser, uint64_t number) {
    ws_message *text = &abuser->msg;
    ws_error *err = &abuser->err;

    switch (pick(abuser, 5)) {
    case 0:
        return ws_request_path(number, text, err);
    case 1:
        return ws_request_query(number, text, err);
    case 2:
        return ws_request_header(number, "host", text, err);
    case 3:
        return ws_request_header_at(number, pick(abuser, 9), text, &abuser->other, err);
    default:
        return ws_request_subprotocol(number, 0, text, err);
    }
}

static ws_status look_at_response(struct abuser *abuser, uint64_t number) {
    ws_message *text = &abuser->msg;
    ws_error *err = &abuser->err;
    int32_t value;

    switch (pick(abuser, 4)) {
    case 0:
        return ws_response_status(number, &value, err);
    case 1:
        return ws_response_header(number, "upgrade", text, err);
    case 2:
        return ws_response_header_at(number, pick(abuser, 5), text, &abuser->other, err);
    default:
        return ws_response_body(number, text, err);
    }
}

static ws_status look_at_ends(struct abuser *abuser, uint64_t number) {
    ws_message *text = &abuser->msg;
    ws_error *err = &abuser->err;
    int32_t code, closed_by;

    switch (pick(abuser, 5)) {
    case 0:
        return ws_subprotocol(number, text, err);
    case 3:
        return ws_deflate_parameters(number, text, err);
    case 1:
        return ws_peer_address(number, text, err);
    case 2:
        return ws_local_address(number, text, err);
    default:
        return ws_close_info(number, &code, &closed_by, text, err);
    }
}

static ws_status close_connection(struct abuser *abuser, uint64_t number) {
    return ws_close(number, WS_CLOSE_NORMAL, "abuse", &abuser->err);
}

static ws_status abort_connection(struct abuser *abuser, uint64_t number) {
    return ws_abort(number, &abuser->err);
}

/* A set of statuses. */
#define ONLY(status) (UINT32_C(1) << -(status))
#define BAD ONLY(WS_BAD_HANDLE)
#define WORKED (ONLY(WS_OK) | BAD)
/* How a connection may have ended, at this end's or at the peer's wish. */
#define ENDED (ONLY(WS_CLOSED) | ONLY(WS_CONNECTION_LOST) | ONLY(WS_ABORTED))
#define STATE ONLY(WS_INVALID_STATE)
#define TIME ONLY(WS_TIMED_OUT)
#define NONE ONLY(WS_NOT_FOUND)

static const struct {
    const char *name;
    ws_status (*call)(struct abuser *abuser, uint64_t number);
    uint32_t allowed;
    /* Out of all shares; calls that end a handle are rare, or none would live. */
    uint32_t share;
} calls[] = {
    {"ws_options", change_options, WORKED | ONLY(WS_INVALID_ARGUMENT), 20},
    {"ws_listen", listen_anew, WORKED, 4},
    {"ws_dial", dial, WORKED | TIME | ONLY(WS_IO) | ONLY(WS_REFUSED) | ONLY(WS_CONNECTION_LOST), 4},
    {"ws_accept", accept_client, WORKED | TIME | ONLY(WS_ABORTED), 50},
    {"ws_port", see_port, WORKED, 20},
    {"ws_port, and a client", visit, WORKED, 50},
    {"ws_listener_close", close_listener, WORKED, 5},
    {"ws_upgrade", upgrade, WORKED | ONLY(WS_CONNECTION_LOST) | ONLY(WS_ABORTED) | STATE, 20},
    {"ws_refuse", refuse, WORKED | ONLY(WS_CONNECTION_LOST) | ONLY(WS_ABORTED) | STATE, 5},
    {"ws_read", read_message, WORKED | ENDED | TIME | STATE, 100},
    {"ws_read_some", read_some, WORKED | ENDED | TIME, 100},
    {"ws_write", write_message, WORKED | ENDED | TIME | STATE, 50},
    {"ws_write_part", write_part, WORKED | ENDED | TIME | STATE, 50},
    {"ws_flush", flush, WORKED | ENDED | TIME, 20},
    {"ws_ping", ping, WORKED | ENDED | TIME, 20},
    {"ws_state and its like", look_at_number, WORKED | ENDED, 50},
    {"ws_request", look_at_request, WORKED | ENDED | NONE, 50},
    {"ws_response", look_at_response, WORKED | ENDED | NONE | STATE, 50},
    {"ws_subprotocol and its like", look_at_ends, WORKED | ENDED | NONE, 50},
    {"ws_close", close_connection, WORKED | ONLY(WS_CONNECTION_LOST) | ONLY(WS_ABORTED), 5},
    {"ws_abort", abort_connection, WORKED, 5},
};

enum { CALLS = sizeof calls / sizeof calls[0] };

#endif
