/* Unix sockets by URL. */

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "check.h"
#include "peer.h"

/* A path that is free; it has room for 64 bytes. */
static void free_path(char *path) {
    static int count;

    snprintf(path, 64, "/tmp/talkws-c-%ld-%d.sock", (long)getpid(), count++);
    unlink(path);
}

static void greet(ws_listener listener, const char *url) {
    peer_dial *dial = peer_dial_start(url);
    ws_conn client, server;
    ws_message msg = WS_MESSAGE_INIT;

    CHECK_STATUS(WS_OK, ws_accept(listener, &server, WS_FOREVER, NULL));
    CHECK_STATUS(WS_OK, ws_request_header(server, "Host", &msg, NULL));
    CHECK_TEXT("localhost", msg.data);
    CHECK_STATUS(WS_NOT_FOUND, ws_peer_address(server, &msg, NULL));
    CHECK_STATUS(WS_OK, ws_upgrade(server, NULL, NULL));
    CHECK_STATUS(WS_OK, peer_dial_end(dial, &client, NULL));
    CHECK_STATUS(WS_OK, ws_write(client, WS_TEXT, "hello", 5, NULL));
    CHECK_STATUS(WS_OK, ws_read(server, &msg, WS_FOREVER, NULL));
    CHECK_TEXT("hello", msg.data);
    ws_message_free(&msg);
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));
}

static void a_unix_socket_is_listened_on_and_dialled(void) {
    char path[64], url[128];
    struct stat file;
    ws_listener listener;
    uint16_t port = 7;

    CHECK_NUMBER(1, ws_has(WS_FEATURE_UNIX_SOCKETS));
    free_path(path);
    snprintf(url, sizeof url, "ws+unix://%s:/chat", path);
    CHECK_STATUS(WS_OK, ws_listen(url, NULL, &listener, NULL));
    CHECK_STATUS(WS_OK, ws_port(listener, &port, NULL));
    CHECK_NUMBER(0, port);
    greet(listener, url);
    CHECK(stat(path, &file) == 0 && S_ISSOCK(file.st_mode));
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    CHECK(stat(path, &file) != 0);
}

static void its_permissions_are_an_option(void) {
    ws_options *options = ws_options_new();
    char path[64], url[128];
    struct stat file;
    ws_listener listener;

    free_path(path);
    snprintf(url, sizeof url, "ws+unix:%s", path);
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_options_set_unix_mode(options, 01000, NULL));
    CHECK_STATUS(WS_OK, ws_options_set_unix_mode(options, 0640, NULL));
    CHECK_STATUS(WS_OK, ws_listen(url, options, &listener, NULL));
    CHECK(stat(path, &file) == 0);
    CHECK_NUMBER(0640, file.st_mode & 0777);
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    ws_options_free(options);
}

static void a_child_of_fork_leaves_the_file(void) {
    char path[64], url[128];
    struct stat file;
    ws_listener listener;
    pid_t child;
    int status;

    free_path(path);
    snprintf(url, sizeof url, "ws+unix:%s", path);
    CHECK_STATUS(WS_OK, ws_listen(url, NULL, &listener, NULL));
    fflush(stdout);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK_STATUS(WS_BAD_HANDLE, ws_listener_close(listener, NULL));
        /* By a signal, so that no checker looks for leaks of what is its parent's. */
        raise(SIGKILL);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK(stat(path, &file) == 0);
    greet(listener, url);
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    CHECK(stat(path, &file) != 0);
}

static void a_socket_that_is_not_there_is_named(void) {
    char path[64], url[128];
    ws_conn ws;
    ws_error err;

    free_path(path);
    snprintf(url, sizeof url, "ws+unix:%s:/", path);
    CHECK_STATUS(WS_IO, ws_dial(url, NULL, &ws, &err));
    CHECK(strstr(err.message, path) != NULL);
    CHECK_STATUS(WS_INVALID_URL, ws_dial("ws+unix:", NULL, &ws, &err));
}

int main(void) {
    const check_case cases[] = {
        TEST(a_unix_socket_is_listened_on_and_dialled),
        TEST(its_permissions_are_an_option),
        TEST(a_child_of_fork_leaves_the_file),
        TEST(a_socket_that_is_not_there_is_named),
    };
    return RUN(cases);
}
