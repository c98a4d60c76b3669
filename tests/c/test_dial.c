/* ws_dial: what it needs, and every way in which it fails. */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "check.h"
#include "peer.h"

/* Dials in vain: the handle must stay as it was. */
static ws_error fails(ws_status expected, const char *url) {
    ws_conn ws = 7;
    ws_error err;

    memset(&err, 0x55, sizeof err);
    CHECK_STATUS(expected, ws_dial(url, NULL, &ws, &err));
    CHECK(ws == 7);
    CHECK_NUMBER(expected, err.status);
    CHECK(memchr(err.message, '\0', sizeof err.message) != NULL && err.message[0] != '\0');
    CHECK_STATUS(expected, ws_dial(url, NULL, &ws, NULL));
    return err;
}

static ws_error answered(ws_status expected, const char *answer) {
    char url[64];
    raw_server *server = raw_server_start(answer, url);
    ws_conn ws = 7;
    ws_error err;

    CHECK_STATUS(expected, ws_dial(url, NULL, &ws, &err));
    CHECK(ws == 7);
    CHECK_NUMBER(expected, err.status);
    raw_server_end(server);
    return err;
}

static void what_no_dial_could_use_is_an_invalid_argument(void) {
    ws_conn ws = 7;
    int not_options;

    fails(WS_INVALID_ARGUMENT, NULL);
    fails(WS_INVALID_ARGUMENT, "ws://\xFF/");
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_dial("ws://127.0.0.1:1/", NULL, NULL, NULL));
    CHECK_STATUS(WS_INVALID_ARGUMENT, ws_dial(NULL, NULL, NULL, NULL));
    CHECK_STATUS(WS_BAD_HANDLE,
                 ws_dial("ws://127.0.0.1:1/", (ws_options *)(void *)&not_options, &ws, NULL));
    CHECK(ws == 7);
}

static void a_url_that_is_none_is_named(void) {
    fails(WS_INVALID_URL, "");
    fails(WS_INVALID_URL, "http://127.0.0.1/");
    fails(WS_INVALID_URL, "ws://");
    CHECK(strstr(fails(WS_INVALID_URL, "ws://a b/").message, "a b") != NULL);
}

static void a_host_that_is_not_there_is_named(void) {
    CHECK(strstr(fails(WS_RESOLVE, "ws://no-such-host.invalid/").message, "no-such-host.invalid"));
}

static void a_port_that_nobody_listens_on_is_refused_by_the_system(void) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char url[64];

    /* Bound, so that it is nobody else's, and not listening. */
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, size) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
    snprintf(url, sizeof url, "ws://127.0.0.1:%u/", ntohs(address.sin_port));
    CHECK(strstr(fails(WS_IO, url).message, "127.0.0.1") != NULL);
    close(fd);
}

static void a_refusal_tells_the_http_status(void) {
    ws_error err =
        answered(WS_REFUSED, "HTTP/1.1 418 I'm a teapot\r\nContent-Length: 5\r\n\r\nshort");

    CHECK_NUMBER(418, err.http_status);
    CHECK_NUMBER(0, err.close_code);
    CHECK(strstr(err.message, "418 I'm a teapot") != NULL);
}

static void an_answer_that_is_no_http_breaks_the_handshake(void) {
    CHECK_NUMBER(0, answered(WS_HANDSHAKE, "SSH-2.0-OpenSSH_9.2\r\n\r\n").http_status);
    answered(WS_HANDSHAKE, "HTTP/1.1 101 Switching Protocols\r\n\r\n");
}

static void a_server_that_goes_away_is_a_lost_connection(void) {
    answered(WS_CONNECTION_LOST, "");
    answered(WS_CONNECTION_LOST, "HTTP/1.1 101 Swi");
}

static void the_url_may_be_freed_after_the_call(void) {
    char url[64];
    ws_listener listener = peer_listen(url);
    peer_dial *dial = peer_dial_start(url);
    ws_conn client, server;

    memset(url, 'x', sizeof url);
    CHECK_STATUS(WS_OK, ws_accept(listener, &server, WS_FOREVER, NULL));
    CHECK_STATUS(WS_OK, ws_upgrade(server, NULL, NULL));
    CHECK_STATUS(WS_OK, peer_dial_end(dial, &client, NULL));
    CHECK(client != 0 && server != 0 && client != server);
    CHECK_STATUS(WS_OK, ws_abort(client, NULL));
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
}

int main(void) {
    const check_case cases[] = {
        TEST(what_no_dial_could_use_is_an_invalid_argument),
        TEST(a_url_that_is_none_is_named),
        TEST(a_host_that_is_not_there_is_named),
        TEST(a_port_that_nobody_listens_on_is_refused_by_the_system),
        TEST(a_refusal_tells_the_http_status),
        TEST(an_answer_that_is_no_http_breaks_the_handshake),
        TEST(a_server_that_goes_away_is_a_lost_connection),
        TEST(the_url_may_be_freed_after_the_call),
    };
    return RUN(cases);
}
