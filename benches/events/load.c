/* The client with which the event servers are measured: on each of many connections it sends so
 * many messages at once, and as many again as soon as all answers are there.
 *
 *     load ws|raw PORT CONNECTIONS SIZE DEPTH SECONDS PID
 *
 * Prints `MESSAGES SECONDS PROCESSOR-SECONDS`: round trips of messages, and the time of the
 * processor that the server, which is process PID, spent on them; or `failed WHY`. The first
 * answers on each connection are compared with what was sent. */

#include "../python/peers/peer.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <sys/epoll.h>

enum { PATIENCE_MS = 30000, READY = 512 };

struct connection {
    int fd;
    bool is_compared;
    size_t sent, received;
};

static struct connection *connections;
static unsigned char *request, *answer, *received;
static size_t request_length, answer_length;

static _Noreturn void fail(const char *why) {
    printf("failed %s\n", why);
    exit(1);
}

/* What a process has used of the processor, in seconds. */
static double used(int pid) {
    char path[64], text[1024];
    unsigned long user, system;

    sprintf(path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    size_t length = file == NULL ? 0 : fread(text, 1, sizeof text - 1, file);

    if (file != NULL)
        fclose(file);
    text[length] = 0;
    /* The name of the program, in brackets, may have spaces. */
    const char *rest = strrchr(text, ')');

    if (rest == NULL ||
        sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        fail("the server is gone");
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static void make_messages(bool is_raw, size_t size, size_t depth) {
    static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    size_t header = is_raw ? 0 : header_length(size), masked = is_raw ? 0 : header + 4;

    request_length = (masked + size) * depth;
    answer_length = (header + size) * depth;
    request = malloc(request_length);
    answer = malloc(answer_length);
    received = malloc(answer_length);
    if (request == NULL || answer == NULL || received == NULL)
        fail("no memory");
    for (size_t i = 0; i < depth; i++) {
        unsigned char *to = answer + i * (header + size), *from = request + i * (masked + size);

        for (size_t at = 0; at < size; at++)
            to[header + at] = (unsigned char)((i + at * 7) % 251);
        memcpy(from + masked, to + header, size);
        if (!is_raw) {
            write_header(to, OPCODE_BINARY, size, 0);
            write_header(from, OPCODE_BINARY, size, MASKED);
            memcpy(from + header, mask, 4);
            apply_mask(from + masked, size, mask);
        }
    }
}

static void shake_hands(int fd, bool is_raw, uint16_t port) {
    static const char text[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                               "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    char response[1024];
    size_t have = 0;

    (void)port;
    if (is_raw)
        return;
    if (send(fd, text, sizeof text - 1, MSG_NOSIGNAL) != sizeof text - 1)
        fail("the server does not take the request");
    do {
        ssize_t n = recv(fd, response + have, sizeof response - 1 - have, 0);

        if (n <= 0)
            fail("no answer to the handshake");
        have += (size_t)n;
        response[have] = 0;
    } while (strstr(response, "\r\n\r\n") == NULL);
    if (strncmp(response, "HTTP/1.1 101", 12) != 0)
        fail("the answer is not 101");
}

static void start(struct connection *it) {
    it->sent = it->received = 0;
}

/* Goes on as far as that needs no waiting; whether all answers are there. */
static bool advance(struct connection *it) {
    while (it->sent < request_length) {
        ssize_t n = send(it->fd, request + it->sent, request_length - it->sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EAGAIN)
            break;
        if (n <= 0)
            fail("the server is gone");
        it->sent += (size_t)n;
        if (it->sent == request_length)
            return false;
    }
    while (it->received < answer_length) {
        ssize_t n = recv(it->fd, received, answer_length - it->received, MSG_DONTWAIT);

        if (n < 0 && errno == EAGAIN)
            return false;
        if (n <= 0)
            fail("the server is gone");
        if (!it->is_compared && memcmp(received, answer + it->received, (size_t)n) != 0)
            fail("the answer is not what was sent");
        it->received += (size_t)n;
    }
    it->is_compared = true;
    return true;
}

int main(int argc, char **argv) {
    if (argc != 8)
        fail("usage: load ws|raw PORT CONNECTIONS SIZE DEPTH SECONDS PID");
    bool is_raw = strcmp(argv[1], "raw") == 0;
    uint16_t port = (uint16_t)atoi(argv[2]);
    size_t count = (size_t)atol(argv[3]), size = (size_t)atol(argv[4]),
           depth = (size_t)atol(argv[5]);
    double seconds = atof(argv[6]);
    int pid = atoi(argv[7]), epoll = epoll_create1(0);
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    make_messages(is_raw, size, depth);
    connections = calloc(count, sizeof *connections);
    if (connections == NULL || epoll < 0)
        fail("no memory");
    for (size_t i = 0; i < count; i++) {
        struct connection *it = &connections[i];
        struct sockaddr_in address = loopback(port);
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = it};

        it->fd = socket(AF_INET, SOCK_STREAM, 0);
        if (it->fd < 0 || connect(it->fd, (struct sockaddr *)&address, sizeof address) != 0)
            fail("cannot connect");
        no_delay(it->fd);
        shake_hands(it->fd, is_raw, port);
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, it->fd, &event) != 0)
            fail("cannot watch a connection");
        start(it);
    }
    struct epoll_event ready[READY];
    uint64_t messages = 0;
    double begun = 0, before = 0, end = now() + seconds / 4;

    for (;;) {
        int n = epoll_wait(epoll, ready, READY, PATIENCE_MS);

        if (n <= 0)
            fail("the server does not answer");
        for (int i = 0; i < n; i++) {
            struct connection *it = ready[i].data.ptr;

            while (advance(it)) {
                messages += depth;
                start(it);
            }
        }
        if (now() < end)
            continue;
        if (begun != 0)
            break;
        /* Warm by now. */
        messages = 0;
        before = used(pid);
        begun = now();
        end = begun + seconds;
    }
    double took = now() - begun;

    printf("%" PRIu64 " %.6f %.6f\n", messages, took, used(pid) - before);
    return 0;
}
