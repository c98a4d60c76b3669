/* A chat: what a member says goes to all others who dialled the same path.
 *
 *     make build-c && target/c/chat_server [URL]
 */

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "talkws.h"

/* A member who takes nothing of what is said for so many milliseconds has to go. */
enum { MAX_MEMBERS = 100, WRITE_TIMEOUT = 2000 };

static struct member {
    ws_conn ws; /* 0: the place is free. */
    ws_message room;
} members[MAX_MEMBERS];
static pthread_mutex_t members_lock = PTHREAD_MUTEX_INITIALIZER;

static struct member *enter(ws_conn ws) {
    struct member *self = members;

    pthread_mutex_lock(&members_lock);
    while (self < members + MAX_MEMBERS && self->ws != 0)
        self++;
    if (self == members + MAX_MEMBERS || ws_request_path(ws, &self->room, NULL) != WS_OK)
        self = NULL;
    else
        self->ws = ws;
    pthread_mutex_unlock(&members_lock);
    return self;
}

static void leave(struct member *self) {
    pthread_mutex_lock(&members_lock);
    self->ws = 0;
    ws_message_free(&self->room);
    pthread_mutex_unlock(&members_lock);
}

/* Writes without the lock, so that nobody waits for a slow member but those who talk to it. The
 * handle of one who has left meanwhile is WS_BAD_HANDLE, which does no harm. */
static void tell_others(const struct member *self, const ws_message *msg) {
    ws_conn others[MAX_MEMBERS];
    size_t count = 0;

    pthread_mutex_lock(&members_lock);
    for (const struct member *other = members; other < members + MAX_MEMBERS; other++) {
        if (other->ws != 0 && other != self && strcmp(other->room.data, self->room.data) == 0)
            others[count++] = other->ws;
    }
    pthread_mutex_unlock(&members_lock);
    for (size_t i = 0; i < count; i++) {
        if (ws_write(others[i], msg->type, msg->data, msg->len, NULL) == WS_TIMED_OUT)
            ws_abort(others[i], NULL);
    }
}

/* The first write upgrades. */
static void *serve_member(void *argument) {
    struct member *self = argument;
    ws_conn ws = self->ws;
    ws_message msg = WS_MESSAGE_INIT;
    ws_error err;

    ws_status status = ws_write_part(ws, WS_TEXT, "Welcome to ", strlen("Welcome to "), 0, &err);
    if (status == WS_OK)
        status = ws_write_part(ws, WS_TEXT, self->room.data, self->room.len, 1, &err);
    while (status == WS_OK && (status = ws_read(ws, &msg, WS_FOREVER, &err)) == WS_OK)
        tell_others(self, &msg);
    if (status != WS_CLOSED)
        fprintf(stderr, "%s\n", err.message);
    leave(self);
    ws_close(ws, WS_CLOSE_NORMAL, NULL, NULL);
    ws_message_free(&msg);
    return NULL;
}

static void start_member(ws_conn ws) {
    struct member *self = enter(ws);
    pthread_t thread;

    if (self == NULL) {
        ws_refuse(ws, 503, "Too many members.\n", NULL, NULL);
    } else if (pthread_create(&thread, NULL, serve_member, self) != 0) {
        leave(self);
        ws_abort(ws, NULL);
    } else {
        pthread_detach(thread);
    }
}

int main(int argc, char **argv) {
    const char *url = argc > 1 ? argv[1] : "ws://localhost:8080";
    ws_options *options = ws_options_new();
    ws_message where = WS_MESSAGE_INIT;
    ws_listener listener = 0;
    ws_conn ws;
    ws_error err;

    ws_status status = ws_options_set_write_timeout(options, WRITE_TIMEOUT, &err);
    if (status == WS_OK)
        status = ws_listen(url, options, &listener, &err);
    if (status == WS_OK)
        status = ws_listener_url(listener, &where, &err);
    if (status == WS_OK) {
        printf("Listening on %s\n", where.data);
        fflush(stdout);
    }
    while (status == WS_OK && (status = ws_accept(listener, &ws, WS_FOREVER, &err)) == WS_OK)
        start_member(ws);
    fprintf(stderr, "%s\n", err.message);
    ws_message_free(&where);
    ws_options_free(options);
    ws_listener_close(listener, NULL);
    return 1;
}
