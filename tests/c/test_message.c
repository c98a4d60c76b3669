/* ws_read and ws_write: what arrives is what was sent. */

#include <pthread.h>
#include <sys/socket.h>

#include "check.h"
#include "peer.h"

static void end_pair(ws_conn client, ws_conn server) {
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));
}

/* Sends a message each way, and reads it into `msg`. */
static void send_both_ways(ws_conn a, ws_conn b, int32_t type, const void *data, size_t len,
                           ws_message *msg) {
    for (int i = 0; i < 2; i++) {
        CHECK_STATUS(WS_OK, ws_write(i == 0 ? a : b, type, data, len, NULL));
        CHECK_STATUS(WS_OK, ws_read(i == 0 ? b : a, msg, WS_FOREVER, NULL));
        CHECK_NUMBER(type, msg->type);
        CHECK(msg->len == len && msg->data != NULL && msg->data[len] == '\0');
        CHECK(len == 0 || memcmp(msg->data, data, len) == 0);
    }
}

static void what_arrives_is_what_was_sent(void) {
    ws_message msg = WS_MESSAGE_INIT;
    ws_conn client, server;

    peer_pair(&client, &server);
    send_both_ways(client, server, WS_TEXT, "Gr\xC3\xBC\xC3\x9F", 7, &msg);
    CHECK_TEXT("Gr\xC3\xBC\xC3\x9F", msg.data);
    send_both_ways(client, server, WS_TEXT, "a\0b", 3, &msg);
    send_both_ways(client, server, WS_BINARY, "\0\xFF\x80\0", 4, &msg);
    send_both_ways(client, server, WS_TEXT, "", 0, &msg);
    CHECK_TEXT("", msg.data);
    send_both_ways(client, server, WS_BINARY, NULL, 0, &msg);
    send_both_ways(client, server, WS_TEXT, NULL, 0, &msg);
    ws_message_free(&msg);
    end_pair(client, server);
}

struct big {
    ws_conn ws;
    char *data;
    size_t len;
};

static void *write_big(void *argument) {
    struct big *big = argument;

    CHECK_STATUS(WS_OK, ws_write(big->ws, WS_BINARY, big->data, big->len, NULL));
    return NULL;
}

static void a_message_as_large_as_the_limit_arrives(void) {
    ws_message msg = WS_MESSAGE_INIT;
    ws_conn client, server;
    struct big big = {.len = 16 << 20};

    big.data = malloc(big.len);
    CHECK(big.data != NULL);
    for (size_t i = 0; i < big.len; i++)
        big.data[i] = (char)(i * 7 + i / 4099);
    peer_pair(&client, &server);
    for (int i = 0; i < 2; i++) {
        pthread_t thread;

        big.ws = i == 0 ? client : server;
        CHECK(pthread_create(&thread, NULL, write_big, &big) == 0);
        CHECK_STATUS(WS_OK, ws_read(i == 0 ? server : client, &msg, WS_FOREVER, NULL));
        CHECK(msg.len == big.len && memcmp(msg.data, big.data, big.len) == 0);
        CHECK(msg.data[msg.len] == '\0');
        CHECK(pthread_join(thread, NULL) == 0);
    }
    ws_message_free(&msg);
    free(big.data);
    end_pair(client, server);
}

static void a_message_buffer_is_used_again(void) {
    ws_message msg = WS_MESSAGE_INIT;
    ws_conn client, server;
    char payload[5000];
    const char *memory;

    memset(payload, 'x', sizeof payload);
    peer_pair(&client, &server);
    send_both_ways(client, server, WS_TEXT, payload, sizeof payload, &msg);
    memory = msg.data;
    for (size_t len = 0; len <= sizeof payload; len += 500) {
        send_both_ways(client, server, WS_TEXT, payload, len, &msg);
        CHECK(msg.data == memory);
    }
    /* A read that fails keeps it too. */
    CHECK_STATUS(WS_TIMED_OUT, ws_read(server, &msg, 0, NULL));
    CHECK(msg.data == memory && msg.len == 0 && memory[0] == '\0');
    send_both_ways(client, server, WS_TEXT, payload, 100, &msg);
    CHECK(msg.data == memory);
    /* What a program does to what it sees harms nothing. */
    msg.data += 17;
    msg.len = SIZE_MAX;
    msg.type = -1;
    send_both_ways(client, server, WS_TEXT, payload, 100, &msg);
    CHECK(msg.data == memory);
    msg.data = NULL;
    ws_message_free(&msg);
    CHECK(msg.data == NULL && msg.len == 0);
    ws_message_free(&msg);
    ws_message_free(NULL);
    send_both_ways(client, server, WS_TEXT, "again", 5, &msg);
    ws_message_free(&msg);
    end_pair(client, server);
}

static void what_cannot_be_sent_harms_nothing(void) {
    ws_message msg = WS_MESSAGE_INIT;
    ws_conn client, server;
    ws_error err;
    const int32_t types[] = {0,
                             3,
                             -1,
                             8,
                             WS_TEXT | 0x800,
                             WS_MORE,
                             WS_DONTWAIT,
                             WS_TEXT | WS_BINARY | WS_MORE,
                             INT32_MAX,
                             INT32_MIN};

    peer_pair(&client, &server);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        CHECK_STATUS(WS_INVALID_ARGUMENT, ws_write(client, types[i], "x", 1, &err));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_write(client, WS_TEXT, NULL, 1, &err));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_write(client, WS_BINARY, "x", SIZE_MAX, &err));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_write(client, WS_TEXT, "\xFF", 1, &err));
    CHECK(strstr(err.message, "UTF-8") != NULL);
    /* A character that is cut off. */
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_write(client, WS_TEXT, "\xE2\x82", 2, NULL));
    send_both_ways(client, server, WS_BINARY, "\xE2\x82", 2, &msg);
    ws_message_free(&msg);
    end_pair(client, server);
}

static void what_cannot_be_read_into_harms_nothing(void) {
    ws_message msg = WS_MESSAGE_INIT;
    ws_conn client, server;

    peer_pair(&client, &server);
    CHECK_STATUS(WS_OK, ws_write(client, WS_TEXT, "kept", 4, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_read(server, NULL, WS_FOREVER, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_read(server, &msg, -2, NULL));
    CHECK_TEXT("", msg.data);
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_read(server, &msg, INT64_MIN, NULL));
    CHECK_STATUS(WS_OK, ws_read(server, &msg, INT64_MAX, NULL));
    CHECK_TEXT("kept", msg.data);
    CHECK_STATUS(WS_BAD_HANDLE, ws_read(0, &msg, 0, NULL));
    CHECK(msg.len == 0 && msg.type == 0);
    CHECK_TEXT("", msg.data);
    ws_message_free(&msg);
    end_pair(client, server);
}

static void a_timeout_keeps_the_partial_message(void) {
    ws_message msg = WS_MESSAGE_INIT;
    ws_conn ws;
    int fd = raw_client(&ws);
    const char frame[] = "\x81\x8B\0\0\0\0half a text";

    CHECK_STATUS(WS_TIMED_OUT, ws_read(ws, &msg, 0, NULL));
    for (size_t i = 0; i + 1 < sizeof frame - 1; i++) {
        raw_send(fd, frame + i, 1);
        CHECK_STATUS(WS_TIMED_OUT, ws_read(ws, &msg, i % 2, NULL));
        CHECK(msg.len == 0 && msg.type == 0);
        CHECK_TEXT("", msg.data);
    }
    raw_send(fd, frame + sizeof frame - 2, 1);
    CHECK_STATUS(WS_OK, ws_read(ws, &msg, WS_FOREVER, NULL));
    CHECK_TEXT("half a text", msg.data);
    /* Fragments, with time running out between them. */
    raw_send_frame(fd, TEXT, "one, ", 5);
    CHECK_STATUS(WS_TIMED_OUT, ws_read(ws, &msg, 1, NULL));
    raw_send_frame(fd, FIN, "two", 3);
    CHECK_STATUS(WS_OK, ws_read(ws, &msg, WS_FOREVER, NULL));
    CHECK_TEXT("one, two", msg.data);
    ws_message_free(&msg);
    CHECK_STATUS(WS_OK, ws_abort(ws, NULL));
    close(fd);
}

/* The peer breaks a rule: the read fails, the peer is told, and every later call says the same. */
static void is_violation(ws_status expected, int code, int first, const char *payload, size_t len) {
    ws_message msg = WS_MESSAGE_INIT;
    unsigned char close_payload[125];
    ws_error err;
    ws_conn ws;
    int fd = raw_client(&ws);

    raw_send_frame(fd, first, payload, len);
    /* The end of the stream, so that failing need not wait for it. */
    CHECK(shutdown(fd, SHUT_WR) == 0);
    for (int i = 0; i < 2; i++) {
        CHECK_STATUS(expected, ws_read(ws, &msg, WS_FOREVER, &err));
        CHECK_NUMBER(code, err.close_code);
        CHECK_TEXT("", msg.data);
    }
    CHECK_NUMBER(FIN | CLOSE, raw_receive_frame(fd, close_payload, &len));
    CHECK(len >= 2);
    CHECK_NUMBER(code, close_payload[0] << 8 | close_payload[1]);
    CHECK_STATUS(expected, ws_write(ws, WS_TEXT, "x", 1, &err));
    CHECK_STATUS(expected, ws_close(ws, WS_CLOSE_NORMAL, NULL, &err));
    CHECK_NUMBER(code, err.close_code);
    ws_message_free(&msg);
    close(fd);
}

static void a_violation_is_told_to_both_sides(void) {
    is_violation(WS_PROTOCOL, WS_CLOSE_PROTOCOL_ERROR, FIN | 0x40 | TEXT, "x", 1);
    is_violation(WS_PROTOCOL, WS_CLOSE_PROTOCOL_ERROR, FIN, "x", 1);
    is_violation(WS_INVALID_UTF8, WS_CLOSE_INVALID_DATA, FIN | TEXT, "\xFF", 1);
}

static void a_message_over_the_limit_is_refused_before_it_comes(void) {
    ws_message msg = WS_MESSAGE_INIT;
    ws_error err;
    ws_conn ws;
    int fd = raw_client(&ws);

    raw_send_header(fd, FIN | BINARY, UINT64_C(1) << 62);
    CHECK(shutdown(fd, SHUT_WR) == 0);
    CHECK_STATUS(WS_TOO_BIG, ws_read(ws, &msg, WS_FOREVER, &err));
    CHECK_NUMBER(WS_CLOSE_MESSAGE_TOO_BIG, err.close_code);
    ws_message_free(&msg);
    CHECK_STATUS(WS_TOO_BIG, ws_close(ws, WS_CLOSE_NORMAL, NULL, NULL));
    close(fd);
}

enum { WRITERS = 4, MESSAGES = 100 };

struct writer {
    ws_conn ws;
    int number;
};

static void *write_many(void *argument) {
    struct writer *writer = argument;
    char payload[3000];

    memset(payload, 'a' + writer->number, sizeof payload);
    for (int i = 0; i < MESSAGES; i++) {
        /* Sizes differ, so that a message that was cut would show. */
        size_t len = 100 + (size_t)(i * 29 + writer->number * 701) % 2900;

        memcpy(payload, &i, sizeof i);
        CHECK_STATUS(WS_OK, ws_write(writer->ws, WS_BINARY, payload, len, NULL));
    }
    return NULL;
}

static void messages_of_many_writers_arrive_whole_and_in_order(void) {
    ws_message msg = WS_MESSAGE_INIT;
    pthread_t threads[WRITERS];
    struct writer writers[WRITERS];
    int next[WRITERS] = {0};
    ws_conn client, server;

    peer_pair(&client, &server);
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.ws = client, .number = i};
        CHECK(pthread_create(&threads[i], NULL, write_many, &writers[i]) == 0);
    }
    for (int count = 0; count < WRITERS * MESSAGES; count++) {
        int i, writer;

        CHECK_STATUS(WS_OK, ws_read(server, &msg, WS_FOREVER, NULL));
        CHECK(msg.len >= 100);
        memcpy(&i, msg.data, sizeof i);
        writer = msg.data[sizeof i] - 'a';
        CHECK(writer >= 0 && writer < WRITERS);
        CHECK_NUMBER(next[writer]++, i);
        CHECK(msg.len == 100 + (size_t)(i * 29 + writer * 701) % 2900);
        for (size_t at = sizeof i; at < msg.len; at++)
            CHECK(msg.data[at] == 'a' + writer);
    }
    for (int i = 0; i < WRITERS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    ws_message_free(&msg);
    end_pair(client, server);
}

int main(void) {
    const check_case cases[] = {
        TEST(what_arrives_is_what_was_sent),
        TEST(a_message_as_large_as_the_limit_arrives),
        TEST(a_message_buffer_is_used_again),
        TEST(what_cannot_be_sent_harms_nothing),
        TEST(what_cannot_be_read_into_harms_nothing),
        TEST(a_timeout_keeps_the_partial_message),
        TEST(a_violation_is_told_to_both_sides),
        TEST(a_message_over_the_limit_is_refused_before_it_comes),
        TEST(messages_of_many_writers_arrive_whole_and_in_order),
    };
    return RUN(cases);
}
