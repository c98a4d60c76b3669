/* fork(2): a child begins anew, and its parent notices nothing. */

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "check.h"
#include "peer.h"

/* Runs `child` in a child process, which must come to its end.
 *
 * It ends itself by a signal, without the search for leaks that a checker makes at an exit: what it
 * has of its parent it neither can use nor may free. */
static void in_a_child(void (*child)(uint64_t, uint64_t), uint64_t one, uint64_t other) {
    int status = -1;
    pid_t pid;

    fflush(stdout);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        /* A child that hangs must not hang us. */
        alarm(60);
        child(one, other);
        raise(SIGKILL);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void exchange(ws_conn from, ws_conn to, const char *text) {
    ws_message msg = WS_MESSAGE_INIT;

    CHECK_STATUS(WS_OK, ws_write(from, WS_TEXT, text, strlen(text), NULL));
    CHECK_STATUS(WS_OK, ws_read(to, &msg, WS_FOREVER, NULL));
    CHECK_TEXT(text, msg.data);
    ws_message_free(&msg);
}

static void end_pair(ws_conn client, ws_conn server) {
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));
}

static void knows_no_connection(uint64_t client, uint64_t server) {
    const ws_conn handles[] = {client, server};

    for (int i = 0; i < 2; i++) {
        ws_message msg = WS_MESSAGE_INIT;
        ws_counters counters;
        ws_part part;
        char buf[8];
        int32_t number;
        ws_conn ws = handles[i];

        CHECK_STATUS(WS_BAD_HANDLE, ws_read(ws, &msg, WS_FOREVER, NULL));
        CHECK_STATUS(WS_BAD_HANDLE, ws_read_some(ws, buf, 8, &part, WS_FOREVER, NULL));
        CHECK_STATUS(WS_BAD_HANDLE, ws_write(ws, WS_TEXT, "child", 5, NULL));
        CHECK_STATUS(WS_BAD_HANDLE, ws_write_part(ws, WS_TEXT, "child", 5, 1, NULL));
        CHECK_STATUS(WS_BAD_HANDLE, ws_flush(ws, WS_FOREVER, NULL));
        CHECK_STATUS(WS_BAD_HANDLE, ws_ping(ws, NULL, 0, WS_FOREVER, NULL));
        CHECK_STATUS(WS_BAD_HANDLE, ws_upgrade(ws, NULL, NULL));
        CHECK_STATUS(WS_BAD_HANDLE, ws_refuse(ws, 403, NULL, NULL, NULL));
        CHECK_STATUS(WS_BAD_HANDLE, ws_state(ws, &number, NULL));
        CHECK_STATUS(WS_BAD_HANDLE, ws_fd(ws, &number, NULL));
        CHECK_STATUS(WS_BAD_HANDLE, ws_pending(ws, &number, NULL));
        CHECK_STATUS(WS_BAD_HANDLE, ws_count(ws, &counters, NULL));
        CHECK_STATUS(WS_BAD_HANDLE, ws_request_path(ws, &msg, NULL));
        CHECK_STATUS(WS_BAD_HANDLE, ws_close_info(ws, NULL, NULL, NULL, NULL));
        CHECK_STATUS(WS_BAD_HANDLE, ws_close(ws, WS_CLOSE_NORMAL, NULL, NULL));
        CHECK_STATUS(WS_BAD_HANDLE, ws_abort(ws, NULL));
        ws_message_free(&msg);
    }
}

static void a_child_knows_no_connection_of_its_parent(void) {
    ws_conn client, server;

    peer_pair(&client, &server);
    exchange(client, server, "before");
    in_a_child(knows_no_connection, client, server);
    exchange(client, server, "after");
    exchange(server, client, "the child has gone");
    end_pair(client, server);
}

static void knows_no_listener(uint64_t listener, uint64_t asked) {
    ws_message url = WS_MESSAGE_INIT;
    ws_conn ws;
    uint16_t port;

    CHECK_STATUS(WS_BAD_HANDLE, ws_accept(listener, &ws, WS_FOREVER, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_port(listener, &port, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_listener_url(listener, &url, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_listener_close(listener, NULL));
    /* A client that was accepted gets its answer from the parent. */
    CHECK_STATUS(WS_BAD_HANDLE, ws_upgrade(asked, NULL, NULL));
    CHECK_STATUS(WS_BAD_HANDLE, ws_abort(asked, NULL));
    ws_message_free(&url);
}

static void a_child_knows_no_listener_of_its_parent(void) {
    char url[64];
    ws_listener listener = peer_listen(url);
    int asking = raw_connect(listener), waiting;
    ws_conn ws;

    raw_request(asking);
    CHECK_STATUS(WS_OK, ws_accept(listener, &ws, WS_FOREVER, NULL));
    in_a_child(knows_no_listener, listener, ws);
    CHECK_STATUS(WS_OK, ws_upgrade(ws, NULL, NULL));
    CHECK_NUMBER(101, raw_receive_status(asking));
    raw_end(ws, asking);
    waiting = raw_connect(listener);
    raw_request(waiting);
    CHECK_STATUS(WS_OK, ws_accept(listener, &ws, WS_FOREVER, NULL));
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    raw_end(ws, waiting);
}

static void dials_and_serves(uint64_t client, uint64_t server) {
    ws_options *options = ws_options_new();
    ws_conn new_client, new_server;

    /* With a thread of the library's in the child, too. */
    CHECK_STATUS(WS_OK, ws_options_set_keepalive(options, 1000, 60000, NULL));
    peer_pair_with(&new_client, options, &new_server, options);
    ws_options_free(options);
    CHECK(new_client != client && new_client != server);
    CHECK(new_server != client && new_server != server);
    exchange(new_client, new_server, "in the child");
    exchange(new_server, new_client, "and back");
    CHECK_STATUS(WS_BAD_HANDLE, ws_abort(client, NULL));
    end_pair(new_client, new_server);
}

static void a_child_dials_and_serves_for_itself(void) {
    ws_options *options = ws_options_new();
    ws_conn client, server;

    /* Without, and then with a thread of the library's in the parent. */
    for (int64_t interval_ms = 0; interval_ms <= 1000; interval_ms += 1000) {
        CHECK_STATUS(WS_OK, ws_options_set_keepalive(options, interval_ms, 60000, NULL));
        peer_pair_with(&client, options, &server, options);
        for (int i = 0; i < 3; i++) {
            in_a_child(dials_and_serves, client, server);
            exchange(client, server, "still here");
        }
        end_pair(client, server);
    }
    ws_options_free(options);
}

static void keeps_alive(uint64_t unused, uint64_t same) {
    ws_options *options = ws_options_new();
    ws_message msg = WS_MESSAGE_INIT;
    ws_conn ws;
    int fd;

    (void)unused;
    (void)same;
    CHECK_STATUS(WS_OK, ws_options_set_keepalive(options, 10, 10, NULL));
    fd = raw_client_with(&ws, options);
    CHECK_STATUS(WS_CONNECTION_LOST, ws_read(ws, &msg, WS_FOREVER, NULL));
    CHECK_STATUS(WS_OK, ws_abort(ws, NULL));
    close(fd);
}

static void a_child_has_a_keepalive_of_its_own(void) {
    ws_options *options = ws_options_new();
    ws_conn client, server;

    CHECK_STATUS(WS_OK, ws_options_set_keepalive(options, 1000, 60000, NULL));
    peer_pair_with(&client, options, &server, options);
    ws_options_free(options);
    for (int i = 0; i < 3; i++)
        in_a_child(keeps_alive, 0, 0);
    exchange(client, server, "still here");
    end_pair(client, server);
}

static void has_a_child(uint64_t client, uint64_t server) {
    dials_and_serves(client, server);
    in_a_child(dials_and_serves, client, server);
}

static void a_grandchild_does_too(void) {
    ws_conn client, server;

    peer_pair(&client, &server);
    in_a_child(has_a_child, client, server);
    exchange(client, server, "still here");
    end_pair(client, server);
}

static void only_exits(uint64_t client, uint64_t server) {
    (void)client;
    (void)server;
}

static void the_exit_of_a_child_says_no_goodbye(void) {
    ws_conn ws;
    int fd = raw_client(&ws);
    struct pollfd entry = {.fd = fd, .events = POLLIN};

    in_a_child(only_exits, ws, 0);
    in_a_child(dials_and_serves, ws, 0);
    /* Neither a Close nor the end. */
    CHECK(poll(&entry, 1, 0) == 0);
    CHECK_STATUS(WS_OK, ws_write(ws, WS_TEXT, "after", 5, NULL));
    raw_frame_is(fd, FIN | TEXT, "after", 5);
    raw_end(ws, fd);
}

static void the_end_of_a_connection_is_seen_although_a_child_has_it(void) {
    int pipes[2];
    ws_conn ws;
    int fd = raw_client(&ws);
    int status;
    char byte;
    pid_t pid;

    CHECK(pipe(pipes) == 0);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        close(pipes[1]);
        /* Until the parent lets go. */
        if (read(pipes[0], &byte, 1) == 0)
            raise(SIGKILL);
        _exit(1);
    }
    close(pipes[0]);
    CHECK_STATUS(WS_OK, ws_abort(ws, NULL));
    CHECK(raw_at_end(fd));
    close(pipes[1]);
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
    close(fd);
}

int main(void) {
    const check_case cases[] = {
        TEST(a_child_knows_no_connection_of_its_parent),
        TEST(a_child_knows_no_listener_of_its_parent),
        TEST(a_child_dials_and_serves_for_itself),
        TEST(a_child_has_a_keepalive_of_its_own),
        TEST(a_grandchild_does_too),
        TEST(the_exit_of_a_child_says_no_goodbye),
        TEST(the_end_of_a_connection_is_seen_although_a_child_has_it),
    };
    return RUN(cases);
}
