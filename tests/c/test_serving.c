/* ws_serve, ws_shutdown, and what handlers may do. */

#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "check.h"
#include "peer.h"

/* What the handlers have seen. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int opened, closed, requests;
    ws_conn last;
    int32_t end;
} seen = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static int user;

static void tell(int *count, ws_conn ws, int32_t end) {
    pthread_mutex_lock(&seen.lock);
    ++*count;
    seen.last = ws;
    seen.end = end;
    pthread_cond_broadcast(&seen.changed);
    pthread_mutex_unlock(&seen.lock);
}

static void wait_for(const int *count, int wanted) {
    pthread_mutex_lock(&seen.lock);
    while (*count < wanted)
        pthread_cond_wait(&seen.changed, &seen.lock);
    pthread_mutex_unlock(&seen.lock);
}

static void on_request(void *its_user, ws_conn ws) {
    ws_message path = WS_MESSAGE_INIT;

    CHECK(its_user == &user);
    CHECK_STATUS(WS_OK, ws_request_path(ws, &path, NULL));
    if (strcmp(path.data, "/page") == 0)
        CHECK_STATUS(WS_OK, ws_refuse(ws, 200, "a page\n", NULL, NULL));
    else if (strcmp(path.data, "/no") == 0)
        CHECK_STATUS(WS_OK, ws_close(ws, WS_CLOSE_NORMAL, NULL, NULL));
    else if (strcmp(path.data, "/yes") == 0)
        CHECK_STATUS(WS_OK, ws_upgrade(ws, NULL, NULL));
    ws_message_free(&path);
    tell(&seen.requests, ws, 0);
}

static void on_open(void *its_user, ws_conn ws, void **state) {
    int *count = calloc(1, sizeof *count);

    CHECK(its_user == &user && *state == NULL && count != NULL);
    *state = count;
    tell(&seen.opened, ws, 0);
}

static void on_message(void *its_user, ws_conn ws, void *state, int32_t type, const char *data,
                       size_t len) {
    ws_message msg = WS_MESSAGE_INIT;
    int *count = state;

    CHECK(its_user == &user && data[len] == 0);
    ++*count;
    if (strcmp(data, "close") == 0)
        CHECK_STATUS(WS_OK, ws_close(ws, WS_CLOSE_NORMAL, "as you said", NULL));
    else if (strcmp(data, "read") == 0)
        CHECK_STATUS(WS_INVALID_STATE, ws_read(ws, &msg, WS_FOREVER, NULL));
    else if (strcmp(data, "count") == 0) {
        char text[16];
        int length = snprintf(text, sizeof text, "%d", *count);

        CHECK_STATUS(WS_OK, ws_write(ws, WS_TEXT, text, (size_t)length, NULL));
    } else
        CHECK_STATUS(WS_OK, ws_write(ws, type, data, len, NULL));
}

static void on_close(void *its_user, ws_conn ws, void *state, const ws_error *end) {
    CHECK(its_user == &user && state != NULL);
    free(state);
    tell(&seen.closed, ws, end->status);
}

static const ws_handlers all = {
    sizeof all, &user, on_request, on_open, on_message, on_close,
};

typedef struct {
    ws_listener listener;
    const ws_handlers *handlers;
    int threads;
    ws_serve_report report;
    pthread_t thread;
    char url[64];
} server;

static void *serve(void *argument) {
    server *it = argument;

    CHECK_STATUS(WS_OK, ws_serve(it->listener, it->handlers, it->threads, &it->report, NULL));
    return NULL;
}

static void start(server *it, int threads, const ws_handlers *handlers) {
    ws_options *options = ws_options_new();

    CHECK_STATUS(WS_OK, ws_options_allow_plain_requests(options, 1, NULL));
    it->listener = peer_listen_with(it->url, options);
    ws_options_free(options);
    it->threads = threads;
    it->handlers = handlers;
    seen.opened = seen.closed = seen.requests = 0;
    CHECK(pthread_create(&it->thread, NULL, serve, it) == 0);
}

static void end(server *it) {
    /* Unless the thread has not begun to serve yet. */
    while (ws_shutdown(it->listener, WS_CLOSE_GOING_AWAY, NULL, 1000, NULL) == WS_INVALID_STATE)
        sched_yield();
    CHECK(pthread_join(it->thread, NULL) == 0);
    CHECK_STATUS(WS_OK, ws_listener_close(it->listener, NULL));
}

static ws_conn dial(const server *it, const char *path) {
    char url[96];
    ws_conn ws;

    snprintf(url, sizeof url, "%s%s", it->url, path);
    CHECK_STATUS(WS_OK, ws_dial(url, NULL, &ws, NULL));
    return ws;
}

static void answer(ws_conn ws, const char *text, const char *expected) {
    ws_message msg = WS_MESSAGE_INIT;

    CHECK_STATUS(WS_OK, ws_write(ws, WS_TEXT, text, strlen(text), NULL));
    CHECK_STATUS(WS_OK, ws_read(ws, &msg, WS_FOREVER, NULL));
    CHECK_TEXT(expected, msg.data);
    ws_message_free(&msg);
}

static void handlers_are_told_what_happens(void) {
    server it;
    ws_conn ws, theirs;
    ws_message msg = WS_MESSAGE_INIT;

    start(&it, 2, &all);
    ws = dial(&it, "/");
    wait_for(&seen.opened, 1);
    theirs = seen.last;
    answer(ws, "hello", "hello");
    answer(ws, "count", "2");
    CHECK_STATUS(WS_OK, ws_write(ws, WS_TEXT, "read", 4, NULL));
    /* Any thread writes. */
    CHECK_STATUS(WS_OK, ws_write(theirs, WS_BINARY, "\0\1", 2, NULL));
    CHECK_STATUS(WS_OK, ws_read(ws, &msg, WS_FOREVER, NULL));
    CHECK(msg.type == WS_BINARY && msg.len == 2);
    CHECK_STATUS(WS_INVALID_STATE, ws_read(theirs, &msg, WS_FOREVER, NULL));
    CHECK_STATUS(WS_OK, ws_close(ws, 4000, "bye", NULL));
    wait_for(&seen.closed, 1);
    CHECK(seen.end == WS_CLOSED && seen.last == theirs);
    end(&it);
    CHECK_STATUS(WS_BAD_HANDLE, ws_ping(theirs, NULL, 0, 0, NULL));
    ws_message_free(&msg);
}

static void requests_are_answered(void) {
    server it;
    ws_conn ws;
    ws_error err;
    char url[96], page[512] = "";
    int fd;

    start(&it, 1, &all);
    ws = dial(&it, "/yes");
    answer(ws, "hello", "hello");
    CHECK_STATUS(WS_OK, ws_close(ws, WS_CLOSE_NORMAL, NULL, NULL));
    snprintf(url, sizeof url, "%s/no", it.url);
    CHECK_STATUS(WS_REFUSED, ws_dial(url, NULL, &ws, &err));
    CHECK_NUMBER(503, err.http_status);
    fd = raw_connect(it.listener);
    raw_send(fd, "GET /page HTTP/1.1\r\nHost: h\r\n\r\n", 31);
    for (size_t length = 0;;) {
        ssize_t n = recv(fd, page + length, sizeof page - 1 - length, 0);

        if (n <= 0)
            break;
        length += (size_t)n;
        page[length] = 0;
    }
    CHECK(strncmp(page, "HTTP/1.1 200 ", 13) == 0 && strstr(page, "\r\n\r\na page\n") != NULL);
    close(fd);
    /* What is no upgrade cannot be upgraded, and is told so. */
    fd = raw_connect(it.listener);
    raw_send(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 27);
    CHECK(recv(fd, page, 13, MSG_WAITALL) == 13 && strncmp(page, "HTTP/1.1 426 ", 13) == 0);
    close(fd);
    end(&it);
}

static void a_handler_closes_without_waiting(void) {
    server it;
    ws_conn ws;
    ws_message msg = WS_MESSAGE_INIT;

    start(&it, 1, &all);
    ws = dial(&it, "/");
    CHECK_STATUS(WS_OK, ws_write(ws, WS_TEXT, "close", 5, NULL));
    CHECK_STATUS(WS_CLOSED, ws_read(ws, &msg, WS_FOREVER, NULL));
    wait_for(&seen.closed, 1);
    CHECK(seen.end == WS_CLOSED);
    CHECK_STATUS(WS_OK, ws_close(ws, WS_CLOSE_NORMAL, NULL, NULL));
    end(&it);
    ws_message_free(&msg);
}

static void a_shutdown_reports(void) {
    server it;
    ws_conn answering;
    int silent;

    start(&it, 2, &all);
    answering = dial(&it, "/");
    silent = raw_connect(it.listener);
    raw_request(silent);
    wait_for(&seen.opened, 2);
    CHECK_STATUS(WS_OK, ws_shutdown(it.listener, WS_CLOSE_GOING_AWAY, "maintenance", 300, NULL));
    {
        ws_message msg = WS_MESSAGE_INIT;
        ws_error err;

        CHECK_STATUS(WS_CLOSED, ws_read(answering, &msg, WS_FOREVER, &err));
        CHECK_NUMBER(WS_CLOSE_GOING_AWAY, err.close_code);
        ws_message_free(&msg);
    }
    CHECK(pthread_join(it.thread, NULL) == 0);
    CHECK(it.report.closed == 1 && it.report.unanswered == 1);
    CHECK_STATUS(WS_INVALID_STATE, ws_shutdown(it.listener, WS_CLOSE_GOING_AWAY, NULL, 0, NULL));
    CHECK_STATUS(WS_OK, ws_close(answering, WS_CLOSE_NORMAL, NULL, NULL));
    CHECK_STATUS(WS_OK, ws_listener_close(it.listener, NULL));
    close(silent);
}

static void without_handlers_all_are_upgraded_and_nothing_is_said(void) {
    const ws_handlers none = {.size = sizeof none};
    server it;
    ws_conn ws;

    start(&it, 1, &none);
    ws = dial(&it, "/");
    CHECK_STATUS(WS_OK, ws_write(ws, WS_TEXT, "hello", 5, NULL));
    CHECK_STATUS(WS_OK, ws_close(ws, WS_CLOSE_NORMAL, NULL, NULL));
    end(&it);
}

static void what_cannot_be_served_is_said(void) {
    char url[64];
    ws_listener listener = peer_listen(url);
    ws_handlers small = all;
    ws_conn ws;
    server it;

    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_serve(listener, NULL, 1, NULL, NULL));
    small.size = sizeof small - 1;
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_serve(listener, &small, 1, NULL, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_serve(listener, &all, 0, NULL, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_serve(listener, &all, -1, NULL, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_serve(listener, &all, 1025, NULL, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_serve(7, &all, 1, NULL, NULL));
    CHECK_STATUS(WS_INVALID_STATE, ws_shutdown(listener, WS_CLOSE_NORMAL, NULL, 0, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_shutdown(listener, 1005 + 1, NULL, 0, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_shutdown(listener, -1, NULL, 0, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_shutdown(listener, WS_CLOSE_NORMAL, "\xFF", 0, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_shutdown(listener, WS_CLOSE_NORMAL, NULL, -2, NULL));
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_shutdown(listener, WS_CLOSE_NORMAL, NULL, 0, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_options_allow_plain_requests(NULL, 1, NULL));
    start(&it, 1, &all);
    ws = dial(&it, "/");
    wait_for(&seen.opened, 1);
    CHECK_STATUS(WS_INVALID_STATE, ws_serve(it.listener, &all, 1, NULL, NULL));
    CHECK_STATUS(WS_INVALID_STATE, ws_accept(it.listener, &ws, 0, NULL));
    CHECK_STATUS(WS_OK, ws_close(ws, WS_CLOSE_NORMAL, NULL, NULL));
    end(&it);
}

int main(void) {
    const check_case cases[] = {
        TEST(handlers_are_told_what_happens),
        TEST(requests_are_answered),
        TEST(a_handler_closes_without_waiting),
        TEST(a_shutdown_reports),
        TEST(without_handlers_all_are_upgraded_and_nothing_is_said),
        TEST(what_cannot_be_served_is_said),
    };
    return RUN(cases);
}
