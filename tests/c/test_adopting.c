/* Descriptors of the program's own, and proxies in front of a listener. */

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>

#include "check.h"
#include "peer.h"

static int is_open(int fd) {
    return fcntl(fd, F_GETFD) >= 0;
}

static void ends(ws_conn client, ws_conn server) {
    ws_message msg = WS_MESSAGE_INIT;

    CHECK_STATUS(WS_OK, ws_write(client, WS_TEXT, "hello", 5, NULL));
    CHECK_STATUS(WS_OK, ws_read(server, &msg, WS_FOREVER, NULL));
    CHECK_TEXT("hello", msg.data);
    ws_message_free(&msg);
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));
}

typedef struct {
    int fd;
    ws_conn ws;
} adopted;

static void *dial_on(void *argument) {
    adopted *dial = argument;

    CHECK_STATUS(WS_OK, ws_dial_fd(dial->fd, "ws://example.org/room", NULL, &dial->ws, NULL));
    return NULL;
}

static void a_connected_socket_is_dialled_on(void) {
    char url[64];
    ws_listener listener = peer_listen(url);
    adopted dial = {raw_connect(listener), 0};
    int fd = dial.fd;
    ws_conn server;
    ws_message host = WS_MESSAGE_INIT;
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, dial_on, &dial) == 0);
    CHECK_STATUS(WS_OK, ws_accept(listener, &server, WS_FOREVER, NULL));
    CHECK_STATUS(WS_OK, ws_request_header(server, "Host", &host, NULL));
    CHECK_TEXT("example.org", host.data);
    ws_message_free(&host);
    CHECK_STATUS(WS_OK, ws_upgrade(server, NULL, NULL));
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(!is_open(fd));
    ends(dial.ws, server);
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
}

static void what_cannot_be_adopted_stays_its_owners(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), not_open = fcntl(fd, F_DUPFD, 900);
    ws_conn ws;
    ws_listener listener;

    CHECK(not_open >= 900 && close(not_open) == 0);
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_dial_fd(not_open, "ws://h/", NULL, &ws, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_dial_fd(-1, "ws://h/", NULL, &ws, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_dial_fd(fd, "ws://h/", NULL, NULL, NULL));
    CHECK_STATUS(WS_INVALID_URL, ws_dial_fd(fd, "http://h/", NULL, &ws, NULL));
    CHECK_STATUS(WS_CONNECTION_LOST, ws_dial_fd(fd, "ws://h/", NULL, &ws, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_listen_fd(not_open, NULL, &listener, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_listen_fd(-7, NULL, &listener, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_listen_fd(fd, NULL, NULL, NULL));
    CHECK(ws_listen_fd(fd, NULL, &listener, NULL) != WS_OK);
    CHECK(is_open(fd) && close(fd) == 0);
}

static void a_listening_socket_is_listened_on(void) {
    char url[64];
    int fd = raw_listen(url);
    ws_listener listener;
    peer_dial *dial;
    ws_conn client, server;

    CHECK_STATUS(WS_OK, ws_listen_fd(fd, NULL, &listener, NULL));
    CHECK(!is_open(fd));
    dial = peer_dial_start(url);
    CHECK_STATUS(WS_OK, ws_accept(listener, &server, WS_FOREVER, NULL));
    CHECK_STATUS(WS_OK, ws_upgrade(server, NULL, NULL));
    CHECK_STATUS(WS_OK, peer_dial_end(dial, &client, NULL));
    ends(client, server);
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
}

static void a_connected_socket_is_the_only_client(void) {
    ws_listener listener;
    adopted dial;
    pthread_t thread;
    ws_conn server, none;
    int ends_of[2];

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends_of) == 0);
    CHECK_STATUS(WS_OK, ws_listen_fd(ends_of[0], NULL, &listener, NULL));
    CHECK(!is_open(ends_of[0]));
    dial.fd = ends_of[1];
    CHECK(pthread_create(&thread, NULL, dial_on, &dial) == 0);
    CHECK_STATUS(WS_OK, ws_accept(listener, &server, WS_FOREVER, NULL));
    CHECK_STATUS(WS_ABORTED, ws_accept(listener, &none, WS_FOREVER, NULL));
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    CHECK_STATUS(WS_OK, ws_upgrade(server, NULL, NULL));
    CHECK(pthread_join(thread, NULL) == 0);
    ends(dial.ws, server);
}

static void systemd_has_opened_nothing_for_this_process(void) {
    ws_listener listener;
    ws_error err;

    CHECK_STATUS(WS_IO, ws_listen_systemd(NULL, NULL, &listener, &err));
    CHECK(strstr(err.message, "LISTEN_PID") != NULL);
    CHECK_STATUS(WS_IO, ws_listen_systemd("web", NULL, &listener, &err));
    CHECK(strstr(err.message, "web") != NULL);
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_listen_systemd("\xFF", NULL, &listener, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_listen_systemd(NULL, NULL, NULL, NULL));
}

/* Whom a server takes for its client that believes the loopback, when it receives these bytes and a
 * request with this header. */
static void peer_is(const char *expected, int32_t tells, const char *first, const char *header) {
    ws_options *options = ws_options_new();
    char url[64];
    ws_listener listener;
    ws_conn ws;
    ws_message address = WS_MESSAGE_INIT;
    int fd;

    CHECK_STATUS(WS_OK, ws_options_trust_proxy(options, "10.0.0.0/8", tells, NULL));
    CHECK_STATUS(WS_OK, ws_options_trust_proxy(options, "127.0.0.1", tells, NULL));
    listener = peer_listen_with(url, options);
    fd = raw_connect(listener);
    raw_send(fd, first, strlen(first));
    raw_request_with(fd, "/", header);
    CHECK_STATUS(WS_OK, ws_accept(listener, &ws, WS_FOREVER, NULL));
    for (int upgraded = 0; upgraded < 2; upgraded++) {
        CHECK_STATUS(WS_OK, ws_peer_address(ws, &address, NULL));
        CHECK_TEXT(expected, address.data);
        CHECK_STATUS(WS_OK, ws_direct_peer_address(ws, &address, NULL));
        CHECK(strncmp(address.data, "127.0.0.1:", 10) == 0);
        if (!upgraded)
            CHECK_STATUS(WS_OK, ws_upgrade(ws, NULL, NULL));
    }
    ws_message_free(&address);
    raw_end(ws, fd);
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    ws_options_free(options);
}

static void a_proxy_that_is_believed_names_the_client(void) {
    const char *both = "X-Forwarded-For: 6.6.6.6, 192.0.2.1, 10.0.0.1\r\n"
                       "Forwarded: for=192.0.2.2:7;proto=https\r\n";

    peer_is("192.0.2.1:0", WS_X_FORWARDED_FOR, "", both);
    peer_is("192.0.2.2:7", WS_FORWARDED, "", both);
    peer_is("192.0.2.3:8", WS_PROXY_PROTOCOL, "PROXY TCP4 192.0.2.3 127.0.0.1 8 80\r\n", both);
}

static void a_proxy_that_cannot_be_believed_is_refused(void) {
    ws_options *options = ws_options_new();

    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_options_trust_proxy(options, "nginx", 1, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_options_trust_proxy(options, NULL, 1, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_options_trust_proxy(options, "::1", 0, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_options_trust_proxy(options, "::1", 4, NULL));
    CHECK_STATUS(WS_OK, ws_options_trust_proxy(options, "unix", WS_FORWARDED, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT,
                 ws_options_trust_proxy(options, "::1", WS_PROXY_PROTOCOL, NULL));
    ws_options_free(options);
}

int main(void) {
    const check_case cases[] = {
        TEST(a_connected_socket_is_dialled_on),
        TEST(what_cannot_be_adopted_stays_its_owners),
        TEST(a_listening_socket_is_listened_on),
        TEST(a_connected_socket_is_the_only_client),
        TEST(systemd_has_opened_nothing_for_this_process),
        TEST(a_proxy_that_is_believed_names_the_client),
        TEST(a_proxy_that_cannot_be_believed_is_refused),
    };
    return RUN(cases);
}
