#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>

#include "check.h"
#include "peer.h"

const char *check_test = "no test";

ws_listener peer_listen(char *url) {
    return peer_listen_with(url, NULL);
}

ws_listener peer_listen_with(char *url, const ws_options *options) {
    ws_listener listener;
    uint16_t port;

    CHECK_STATUS(WS_OK, ws_listen("ws://127.0.0.1:0", options, &listener, NULL));
    CHECK_STATUS(WS_OK, ws_port(listener, &port, NULL));
    snprintf(url, 64, "ws://127.0.0.1:%u", port);
    return listener;
}

int peer_descriptor(ws_listener listener) {
    uint16_t port;

    CHECK_STATUS(WS_OK, ws_port(listener, &port, NULL));
    for (int fd = 0; fd < 1024; fd++) {
        struct sockaddr_in address;
        socklen_t size = sizeof address, int_size = sizeof(int);
        int accepts = 0;

        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &int_size) == 0 && accepts &&
            getsockname(fd, (struct sockaddr *)&address, &size) == 0 &&
            address.sin_port == htons(port))
            return fd;
    }
    CHECK(!"a listener listens");
    return -1;
}

struct peer_dial {
    pthread_t thread;
    char url[64];
    const ws_options *options;
    ws_conn ws;
    ws_error err;
    ws_status status;
};

static void *dial(void *argument) {
    peer_dial *dial = argument;

    dial->status = ws_dial(dial->url, dial->options, &dial->ws, &dial->err);
    return NULL;
}

peer_dial *peer_dial_start(const char *url) {
    return peer_dial_start_with(url, NULL);
}

peer_dial *peer_dial_start_with(const char *url, const ws_options *options) {
    peer_dial *started = calloc(1, sizeof *started);

    CHECK(started != NULL);
    snprintf(started->url, sizeof started->url, "%s", url);
    started->options = options;
    CHECK(pthread_create(&started->thread, NULL, dial, started) == 0);
    return started;
}

ws_status peer_dial_end(peer_dial *dial, ws_conn *ws, ws_error *err) {
    ws_status status;

    CHECK(pthread_join(dial->thread, NULL) == 0);
    status = dial->status;
    if (status == WS_OK)
        *ws = dial->ws;
    else if (err != NULL)
        *err = dial->err;
    free(dial);
    return status;
}

void peer_pair(ws_conn *client, ws_conn *server) {
    peer_pair_with(client, NULL, server, NULL);
}

void peer_pair_with(ws_conn *client, const ws_options *dial, ws_conn *server,
                    const ws_options *listen) {
    char url[64];
    ws_listener listener;
    peer_dial *dialling;
    uint16_t port;

    /* Who comes to an earlier listener of this port asks for another path, and gets 404. */
    CHECK_STATUS(WS_OK, ws_listen("ws://127.0.0.1:0/pair", listen, &listener, NULL));
    CHECK_STATUS(WS_OK, ws_port(listener, &port, NULL));
    snprintf(url, sizeof url, "ws://127.0.0.1:%u/pair", port);
    dialling = peer_dial_start_with(url, dial);
    CHECK_STATUS(WS_OK, ws_accept(listener, server, WS_FOREVER, NULL));
    CHECK_STATUS(WS_OK, ws_upgrade(*server, NULL, NULL));
    CHECK_STATUS(WS_OK, peer_dial_end(dialling, client, NULL));
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
}

int raw_connect(ws_listener listener) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    uint16_t port;

    CHECK_STATUS(WS_OK, ws_port(listener, &port, NULL));
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(fd >= 0);
    CHECK(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    /* What is sent is there at once, however little it is. */
    CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)) == 0);
    return fd;
}

void raw_request_with(int fd, const char *target, const char *headers) {
    char request[2048];
    int len = snprintf(request, sizeof request,
                       "GET %s HTTP/1.1\r\n"
                       "Host: 127.0.0.1\r\n"
                       "Connection: Upgrade\r\n"
                       "Upgrade: websocket\r\n"
                       "Sec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n",
                       target, headers);

    CHECK(len > 0 && (size_t)len < sizeof request);
    raw_send(fd, request, (size_t)len);
}

void raw_request(int fd) {
    raw_request_with(fd, "/", "");
}

int raw_client(ws_conn *server) {
    return raw_client_with(server, NULL);
}

int raw_client_with(ws_conn *server, const ws_options *options) {
    char url[64];
    ws_listener listener = peer_listen_with(url, options);
    int fd = raw_connect(listener);

    raw_request(fd);
    CHECK_STATUS(WS_OK, ws_accept(listener, server, WS_FOREVER, NULL));
    CHECK_STATUS(WS_OK, ws_upgrade(*server, NULL, NULL));
    CHECK_NUMBER(101, raw_receive_status(fd));
    CHECK_STATUS(WS_OK, ws_listener_close(listener, NULL));
    return fd;
}

void raw_end(ws_conn server, int fd) {
    CHECK_STATUS(WS_OK, ws_abort(server, NULL));
    close(fd);
}

void raw_send(int fd, const void *data, size_t len) {
    const char *rest = data;

    while (len > 0) {
        ssize_t sent = send(fd, rest, len, MSG_NOSIGNAL);

        CHECK(sent > 0);
        rest += sent;
        len -= (size_t)sent;
    }
}

void raw_receive(int fd, void *data, size_t len) {
    char *rest = data;

    while (len > 0) {
        ssize_t received = recv(fd, rest, len, 0);

        CHECK(received > 0);
        rest += received;
        len -= (size_t)received;
    }
}

void raw_receive_head(int fd, char *head) {
    size_t len = 0;

    do {
        CHECK(len < 4095);
        raw_receive(fd, head + len, 1);
        head[++len] = '\0';
    } while (len < 4 || strcmp(head + len - 4, "\r\n\r\n") != 0);
}

int raw_receive_status(int fd) {
    char head[4096];

    raw_receive_head(fd, head);
    CHECK(strncmp(head, "HTTP/1.1 ", 9) == 0);
    return atoi(head + 9);
}

int raw_at_end(int fd) {
    char byte;

    return recv(fd, &byte, 1, 0) <= 0;
}

void raw_send_header(int fd, int first, uint64_t len) {
    unsigned char header[14] = {0};
    size_t size = 2;

    header[0] = (unsigned char)first;
    if (len <= 125) {
        header[1] = (unsigned char)len;
    } else {
        int bytes = len <= 0xFFFF ? 2 : 8;

        header[1] = bytes == 2 ? 126 : 127;
        for (int i = bytes - 1; i >= 0; i--)
            header[size++] = (unsigned char)(len >> (8 * i));
    }
    header[1] |= 0x80;
    /* Four bytes of mask follow, all zero. */
    raw_send(fd, header, size + 4);
}

void raw_send_frame(int fd, int first, const void *payload, size_t len) {
    raw_send_header(fd, first, len);
    raw_send(fd, payload, len);
}

int raw_receive_frame(int fd, void *payload, size_t *len) {
    unsigned char header[2];

    raw_receive(fd, header, 2);
    CHECK(header[1] <= 125);
    *len = header[1];
    raw_receive(fd, payload, *len);
    return header[0];
}

void raw_frame_is(int fd, int first, const char *expected, size_t len) {
    char payload[125];
    size_t got;

    CHECK_NUMBER(first, raw_receive_frame(fd, payload, &got));
    CHECK(got == len && memcmp(payload, expected, len) == 0);
}

void raw_ping(int fd) {
    raw_send_frame(fd, FIN | PING, "there?", 6);
    raw_frame_is(fd, FIN | PONG, "there?", 6);
}

struct raw_server {
    pthread_t thread;
    int fd;
    const char *answer;
};

int raw_listen(char *url) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    CHECK(fd >= 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(fd, (struct sockaddr *)&address, size) == 0);
    CHECK(listen(fd, 8) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
    snprintf(url, 64, "ws://127.0.0.1:%u/", ntohs(address.sin_port));
    return fd;
}

static void *serve(void *argument) {
    raw_server *server = argument;
    char request[4096];
    int fd = accept(server->fd, NULL, NULL);

    CHECK(fd >= 0);
    raw_receive_head(fd, request);
    raw_send(fd, server->answer, strlen(server->answer));
    close(fd);
    return NULL;
}

raw_server *raw_server_start(const char *answer, char *url) {
    raw_server *server = calloc(1, sizeof *server);

    CHECK(server != NULL);
    server->answer = answer;
    server->fd = raw_listen(url);
    CHECK(pthread_create(&server->thread, NULL, serve, server) == 0);
    return server;
}

void raw_server_end(raw_server *server) {
    CHECK(pthread_join(server->thread, NULL) == 0);
    close(server->fd);
    free(server);
}
