/* ws_set_log: who gets what the library says of its own accord. */

#include <pthread.h>
#include <stdatomic.h>

#include "check.h"
#include "peer.h"

/* What a callback has got. */
struct log {
    atomic_int lines;
    atomic_int most_talkative;
    atomic_int connections;
};

static void keep(int32_t level, const char *target, const char *message, void *user) {
    struct log *log = user;
    size_t len = strlen(message);

    CHECK(level >= WS_LOG_ERROR && level <= WS_LOG_TRACE);
    CHECK(target[0] != '\0');
    CHECK(len > 0 && message[len - 1] != '\n');
    atomic_fetch_add(&log->lines, 1);
    if (level > atomic_load(&log->most_talkative))
        atomic_store(&log->most_talkative, level);
    if (strstr(message, "127.0.0.1") != NULL)
        atomic_fetch_add(&log->connections, 1);
}

/* Something to talk about, at every level that there is. */
static void make_news(void) {
    ws_conn client, server;
    char url[64];
    ws_listener listener = peer_listen(url);
    int fd = raw_connect(listener);

    raw_send(fd, "rubbish\r\n\r\n", 11);
    CHECK_STATUS(WS_TIMED_OUT, ws_accept(listener, &server, 10, NULL));
    close(fd);
    peer_pair(&client, &server);
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
}

static void what_no_log_could_be_is_an_invalid_argument(void) {
    struct log log = {0};
    ws_error err;

    CHECK_STATUS(WS_OK, ws_set_log(WS_LOG_TRACE, keep, &log, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_set_log(-1, NULL, NULL, &err));
    CHECK_NUMBER(WS_INVALID_ARGUMENT, err.status);
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_set_log(WS_LOG_TRACE + 1, NULL, NULL, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_set_log(INT32_MAX, keep, NULL, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_set_log(INT32_MIN, keep, NULL, NULL));
    /* The old one stays. */
    make_news();
    CHECK(atomic_load(&log.lines) > 0);
    CHECK_STATUS(WS_OK, ws_set_log(WS_LOG_OFF, NULL, NULL, NULL));
}

static void news_come_up_to_the_level_that_is_wanted(void) {
    int before = 0;

    for (int32_t level = WS_LOG_OFF; level <= WS_LOG_TRACE; level++) {
        struct log log = {0};

        CHECK_STATUS(WS_OK, ws_set_log(level, keep, &log, NULL));
        make_news();
        CHECK_STATUS(WS_OK, ws_set_log(WS_LOG_OFF, NULL, NULL, NULL));
        CHECK(atomic_load(&log.most_talkative) <= level);
        /* Never less than at the level before. */
        CHECK(atomic_load(&log.lines) >= before);
        before = atomic_load(&log.lines);
        if (level == WS_LOG_OFF)
            CHECK_NUMBER(0, before);
        if (level >= WS_LOG_DEBUG)
            CHECK(atomic_load(&log.connections) > 0);
    }
    CHECK(before > 0);
}

static void a_callback_that_was_replaced_gets_nothing(void) {
    struct log old = {0}, young = {0};
    int lines;

    CHECK_STATUS(WS_OK, ws_set_log(WS_LOG_TRACE, keep, &old, NULL));
    make_news();
    CHECK_STATUS(WS_OK, ws_set_log(WS_LOG_TRACE, keep, &young, NULL));
    lines = atomic_load(&old.lines);
    CHECK(lines > 0 && atomic_load(&young.lines) == 0);
    make_news();
    CHECK(atomic_load(&old.lines) == lines && atomic_load(&young.lines) > 0);
    /* No callback, whatever the level, is silence. */
    CHECK_STATUS(WS_OK, ws_set_log(WS_LOG_TRACE, NULL, &young, NULL));
    lines = atomic_load(&young.lines);
    make_news();
    CHECK_NUMBER(lines, atomic_load(&young.lines));
}

/* Uses the library from inside; that is not logged, or it would never end. */
static void use(int32_t level, const char *target, const char *message, void *user) {
    struct log *log = user;
    ws_listener listener;

    (void)level;
    (void)target;
    (void)message;
    atomic_fetch_add(&log->lines, 1);
    CHECK_STATUS(WS_INVALID_STATE, ws_set_log(WS_LOG_OFF, NULL, NULL, NULL));
    CHECK_STATUS(WS_OK, ws_listen("ws://127.0.0.1:0", NULL, &listener, NULL));
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
}

static void a_callback_may_use_the_library(void) {
    struct log log = {0};
    int lines;

    CHECK_STATUS(WS_OK, ws_set_log(WS_LOG_TRACE, use, &log, NULL));
    make_news();
    lines = atomic_load(&log.lines);
    CHECK(lines > 0);
    CHECK_STATUS(WS_OK, ws_set_log(WS_LOG_OFF, NULL, NULL, NULL));
    make_news();
    CHECK_NUMBER(lines, atomic_load(&log.lines));
}

/* A callback that is inside, and stays there until it is let go. */
struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int is_inside, may_leave, has_left;
};

static void stay(int32_t level, const char *target, const char *message, void *user) {
    struct gate *gate = user;

    (void)level;
    (void)target;
    (void)message;
    pthread_mutex_lock(&gate->mutex);
    gate->is_inside = 1;
    pthread_cond_broadcast(&gate->changed);
    while (!gate->may_leave)
        pthread_cond_wait(&gate->changed, &gate->mutex);
    gate->has_left = 1;
    pthread_mutex_unlock(&gate->mutex);
}

static void *make_news_elsewhere(void *argument) {
    make_news();
    return argument;
}

static void *let_go(void *argument) {
    struct gate *gate = argument;

    pthread_mutex_lock(&gate->mutex);
    gate->may_leave = 1;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->mutex);
    return NULL;
}

static void replacing_waits_for_the_callback_that_runs(void) {
    struct gate gate = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    pthread_t talker, opener;

    CHECK_STATUS(WS_OK, ws_set_log(WS_LOG_TRACE, stay, &gate, NULL));
    CHECK(pthread_create(&talker, NULL, make_news_elsewhere, NULL) == 0);
    pthread_mutex_lock(&gate.mutex);
    while (!gate.is_inside)
        pthread_cond_wait(&gate.changed, &gate.mutex);
    pthread_mutex_unlock(&gate.mutex);
    CHECK(pthread_create(&opener, NULL, let_go, &gate) == 0);
    CHECK_STATUS(WS_OK, ws_set_log(WS_LOG_OFF, NULL, NULL, NULL));
    /* No lock is needed here any more: it has left, and comes no more. */
    CHECK_NUMBER(1, gate.has_left);
    CHECK(pthread_join(opener, NULL) == 0);
    CHECK(pthread_join(talker, NULL) == 0);
}

enum { TALKERS = 3, REPLACEMENTS = 100 };
static atomic_int talkers_left;

static void *talk(void *argument) {
    for (int i = 0; i < 10; i++)
        make_news();
    atomic_fetch_sub(&talkers_left, 1);
    return argument;
}

static void it_may_be_replaced_while_many_threads_talk(void) {
    pthread_t talkers[TALKERS];

    atomic_store(&talkers_left, TALKERS);
    for (int i = 0; i < TALKERS; i++)
        CHECK(pthread_create(&talkers[i], NULL, talk, NULL) == 0);
    for (int i = 0; i < REPLACEMENTS || atomic_load(&talkers_left) > 0; i++) {
        struct log *log = calloc(1, sizeof *log);

        CHECK(log != NULL);
        CHECK_STATUS(WS_OK, ws_set_log(i % (WS_LOG_TRACE + 1), keep, log, NULL));
        CHECK_STATUS(WS_OK, ws_set_log(WS_LOG_TRACE, NULL, NULL, NULL));
        /* Whoever used it still would be caught here. */
        free(log);
    }
    for (int i = 0; i < TALKERS; i++)
        CHECK(pthread_join(talkers[i], NULL) == 0);
}

int main(void) {
    const check_case cases[] = {
        TEST(what_no_log_could_be_is_an_invalid_argument),
        TEST(news_come_up_to_the_level_that_is_wanted),
        TEST(a_callback_that_was_replaced_gets_nothing),
        TEST(a_callback_may_use_the_library),
        TEST(replacing_waits_for_the_callback_that_runs),
        TEST(it_may_be_replaced_while_many_threads_talk),
    };
    return RUN(cases);
}
