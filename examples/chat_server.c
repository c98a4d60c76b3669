/* A chat: a member's messages go to all others who dialled the same path.
 *
 *     make build-c && target/c/chat_server [URL]
 */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "talkws.h"

/* How many milliseconds a member may take no message, before it has to go. */
enum { WRITE_TIMEOUT = 2000, MAX_MEMBERS = 500 };

static struct member {
    ws_conn ws;
    char room[100];
} members[MAX_MEMBERS];
static size_t member_count;
static pthread_mutex_t members_lock = PTHREAD_MUTEX_INITIALIZER;

static int enter(ws_conn ws, const char *room) {
    int is_in = 0;

    pthread_mutex_lock(&members_lock);
    if (member_count < MAX_MEMBERS && strlen(room) < sizeof members[0].room) {
        members[member_count].ws = ws;
        strcpy(members[member_count++].room, room);
        is_in = 1;
    }
    pthread_mutex_unlock(&members_lock);
    return is_in;
}

static void leave(ws_conn ws) {
    pthread_mutex_lock(&members_lock);
    for (size_t i = 0; i < member_count; i++)
        if (members[i].ws == ws)
            members[i] = members[--member_count];
    pthread_mutex_unlock(&members_lock);
}

static size_t find_others(ws_conn ws, const char *room, ws_conn *others) {
    size_t count = 0;

    pthread_mutex_lock(&members_lock);
    for (size_t i = 0; i < member_count; i++)
        if (members[i].ws != ws && strcmp(members[i].room, room) == 0)
            others[count++] = members[i].ws;
    pthread_mutex_unlock(&members_lock);
    return count;
}

/* Not under the lock, so that nobody waits for the slow but those who talk to them. The handle of
 * one who has left meanwhile is WS_BAD_HANDLE, which harms nobody. */
static void tell_others(ws_conn ws, const char *room, const ws_message *msg) {
    ws_conn others[MAX_MEMBERS];
    size_t count = find_others(ws, room, others);

    for (size_t i = 0; i < count; i++)
        if (ws_write(others[i], msg->type, msg->data, msg->len, NULL) == WS_TIMED_OUT)
            ws_abort(others[i], NULL);
}

static ws_status talk(ws_conn ws, const char *room, ws_message *msg, ws_error *err) {
    char welcome[200];
    int length = snprintf(welcome, sizeof welcome, "Welcome to %s", room);
    ws_status status = ws_write(ws, WS_TEXT, welcome, (size_t)length, err);

    while (status == WS_OK && (status = ws_read(ws, msg, WS_FOREVER, err)) == WS_OK)
        tell_others(ws, room, msg);
    return status;
}

static void *serve_member(void *handle) {
    ws_conn ws = *(ws_conn *)handle;
    ws_message room = WS_MESSAGE_INIT, msg = WS_MESSAGE_INIT;
    ws_error err;
    ws_status status = ws_request_path(ws, &room, &err);

    if (status == WS_OK && (status = ws_upgrade(ws, NULL, &err)) == WS_OK && enter(ws, room.data)) {
        status = talk(ws, room.data, &msg, &err);
        leave(ws);
    }
    if (status != WS_OK && status != WS_CLOSED)
        fprintf(stderr, "%s\n", err.message);
    ws_close(ws, WS_CLOSE_NORMAL, NULL, NULL);
    ws_message_free(&room);
    ws_message_free(&msg);
    free(handle);
    return NULL;
}

int main(int argc, char **argv) {
    ws_options *options = ws_options_new();
    ws_message url = WS_MESSAGE_INIT;
    ws_listener listener = 0;
    ws_conn *handle;
    ws_error err;
    pthread_t thread;
    ws_status status = ws_options_set_write_timeout(options, WRITE_TIMEOUT, &err);

    if (status == WS_OK)
        status = ws_listen(argc > 1 ? argv[1] : "ws://localhost:8080", options, &listener, &err);
    ws_options_free(options);
    if (status == WS_OK && (status = ws_listener_url(listener, &url, &err)) == WS_OK)
        printf("Listening on %s\n", url.data), fflush(stdout);
    ws_message_free(&url);
    while (status == WS_OK && (handle = malloc(sizeof *handle)) != NULL &&
           (status = ws_accept(listener, handle, WS_FOREVER, &err)) == WS_OK)
        if (pthread_create(&thread, NULL, serve_member, handle) == 0)
            pthread_detach(thread);
        else
            ws_refuse(*handle, 503, "Too many members.\n", NULL, NULL), free(handle);
    fprintf(stderr, "%s\n", status == WS_OK ? "no memory" : err.message);
    return ws_listener_close(listener, NULL), 1;
}
