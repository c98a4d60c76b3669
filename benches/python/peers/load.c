/* The client with which the servers are measured, and TCP itself: sends a message on each
 * connection, and the next one as soon as the answer is there.
 *
 *     load ws|raw epoll|turns
 *
 * `epoll` lets each of many connections go on by itself; `turns` sends on all of them, then
 * receives on all, as the blocking clients in Python do. One connection blocks either way.
 *
 * Takes commands, a line each, and answers each with a line:
 *
 *     open PORT CONNECTIONS text|binary SIZE    ok
 *     run SECONDS                               done ROUND-TRIPS SECONDS PROCESSOR-SECONDS
 *     close                                     ok
 *
 * or with `failed WHY`. The first answer on each connection in each run is compared with what was
 * sent, and the header of every one.
 */

#include "peer.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/epoll.h>

enum { MOST = 1024, PATIENCE = 30 };

struct connection {
    int fd;
    bool is_sending, is_stuck, is_compared;
    size_t sent, received;
};

static struct connection connections[MOST];
static size_t count;
static int epoll = -1;
static bool is_raw, takes_turns, is_blocking;
/* What is sent, masked, and what must come back; both with header. */
static unsigned char request[HEADER_MASKED + LARGEST], answer[HEADER + LARGEST];
static unsigned char received[HEADER + LARGEST];
static size_t request_length, answer_length, answer_header;
static const char *failure;

static bool fail(const char *why) {
    failure = why;
    return false;
}

static void make_message(bool is_text, size_t size) {
    static const char words[] = "The quick brown fox jumps over the lazy dog, and again. ";
    static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    unsigned opcode = is_text ? OPCODE_TEXT : OPCODE_BINARY;
    size_t header = is_raw ? 0 : header_length(size);
    unsigned char *payload = request + (is_raw ? 0 : header + 4);

    answer_header = header;
    for (size_t i = 0; i < size; i++)
        answer[header + i] =
            (unsigned char)(is_text ? words[i % (sizeof words - 1)] : (int)(i * 7 % 251));
    memcpy(payload, answer + header, size);
    if (!is_raw) {
        write_header(answer, opcode, size, 0);
        write_header(request, opcode, size, MASKED);
        memcpy(request + header, mask, 4);
        apply_mask(payload, size, mask);
    }
    request_length = (size_t)(payload - request) + size;
    answer_length = header + size;
}

/* Raw TCP: says how long messages are. WebSocket: asks for one. */
static bool shake_hands(int fd, uint16_t port, size_t size) {
    char text[1024];
    size_t have = 0;

    if (is_raw) {
        uint32_t length = (uint32_t)size;

        if (send(fd, &length, sizeof length, MSG_NOSIGNAL) != sizeof length ||
            recv(fd, text, 1, 0) != 1)
            return fail("the server is gone");
        return true;
    }
    int length = sprintf(text,
                         "GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
                         "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                         port);
    if (send(fd, text, (size_t)length, MSG_NOSIGNAL) != length)
        return fail("the server is gone");
    do {
        ssize_t n = recv(fd, text + have, sizeof text - 1 - have, 0);

        if (n <= 0)
            return fail("no answer to the handshake");
        have += (size_t)n;
        text[have] = 0;
    } while (strstr(text, "\r\n\r\n") == NULL);
    return strncmp(text, "HTTP/1.1 101", 12) == 0 || fail("the answer is not 101");
}

static bool open_one(struct connection *it, uint16_t port, size_t size) {
    struct sockaddr_in address = loopback(port);
    struct timeval patience = {.tv_sec = PATIENCE};

    *it = (struct connection){.fd = socket(AF_INET, SOCK_STREAM, 0)};
    if (it->fd < 0 || connect(it->fd, (struct sockaddr *)&address, sizeof address) != 0)
        return fail("cannot connect");
    no_delay(it->fd);
    setsockopt(it->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(it->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (!shake_hands(it->fd, port, size))
        return false;
    if (is_blocking)
        return true;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = it};

    return (fcntl(it->fd, F_SETFL, O_NONBLOCK) == 0 &&
            epoll_ctl(epoll, EPOLL_CTL_ADD, it->fd, &event) == 0) ||
           fail("cannot watch a connection");
}

static void close_all(void) {
    /* A Close of no payload, masked with zeros; nobody waits for the answer. */
    static const unsigned char goodbye[6] = {FIN | OPCODE_CLOSE, MASKED};

    for (size_t i = 0; i < count; i++) {
        if (!is_raw)
            (void)!send(connections[i].fd, goodbye, sizeof goodbye, MSG_NOSIGNAL);
        close(connections[i].fd);
    }
    count = 0;
    if (epoll >= 0)
        close(epoll);
    epoll = -1;
}

static bool open_all(const char *command) {
    unsigned port;
    size_t wanted, size;
    char kind[8];

    if (sscanf(command, "open %u %zu %7s %zu", &port, &wanted, kind, &size) != 4 || wanted < 1 ||
        wanted > MOST || size > LARGEST)
        return fail("open what?");
    make_message(strcmp(kind, "text") == 0, size);
    is_blocking = takes_turns || wanted == 1;
    epoll = epoll_create1(0);
    while (count < wanted)
        if (!open_one(&connections[count++], (uint16_t)port, size))
            return false;
    return true;
}

static bool is_right(struct connection *it, size_t length) {
    size_t compared = it->is_compared ? answer_header : answer_length;

    if (it->received < compared) {
        size_t rest = compared - it->received;

        return memcmp(received, answer + it->received, rest < length ? rest : length) == 0;
    }
    return true;
}

/* Goes on until there is something to wait for, or the answer is complete: then the round trip is
 * done, and true is in `is_done`. */
static bool advance(struct connection *it, bool *is_done) {
    while (it->is_sending) {
        ssize_t n = send(it->fd, request + it->sent, request_length - it->sent, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN)
            return !is_blocking || fail("the server does not receive");
        if (n <= 0)
            return fail("the server is gone");
        it->sent += (size_t)n;
        it->is_sending = it->sent < request_length;
        /* Many connections are attended to when they have something to say. */
        if (!it->is_sending && count > 1)
            return true;
    }
    while (it->received < answer_length) {
        ssize_t n = recv(it->fd, received, answer_length - it->received, 0);

        if (n < 0 && errno == EAGAIN)
            return !is_blocking || fail("the server does not answer");
        if (n <= 0)
            return fail("the server is gone");
        if (!is_right(it, (size_t)n))
            return fail("the answer is not what was sent");
        it->received += (size_t)n;
    }
    it->is_compared = *is_done = true;
    return true;
}

static void start(struct connection *it) {
    it->is_sending = true;
    it->sent = it->received = 0;
}

static bool attend(struct connection *it, bool *is_done) {
    if (!advance(it, is_done))
        return false;
    if (it->is_sending == it->is_stuck)
        return true;
    struct epoll_event event = {.events = it->is_sending ? EPOLLOUT : EPOLLIN, .data.ptr = it};

    it->is_stuck = it->is_sending;
    return epoll_ctl(epoll, EPOLL_CTL_MOD, it->fd, &event) == 0 || fail("cannot watch");
}

static bool run_in_turns(double until, size_t *done) {
    bool is_done = false;

    do {
        for (size_t i = 0; i < count; i++) {
            start(&connections[i]);
            if (!advance(&connections[i], &is_done))
                return false;
        }
        for (size_t i = 0; count > 1 && i < count; i++)
            if (!advance(&connections[i], &is_done))
                return false;
        *done += count;
    } while (now() < until);
    return true;
}

static bool run_with_epoll(double until, size_t *done) {
    struct epoll_event events[64];
    size_t under_way = count;
    bool is_done;

    for (size_t i = 0; i < count; i++) {
        start(&connections[i]);
        if (!attend(&connections[i], &is_done))
            return false;
    }
    while (under_way > 0) {
        int ready = epoll_wait(epoll, events, 64, PATIENCE * 1000);
        bool is_over = now() >= until;

        if (ready == 0)
            return fail("the server does not answer");
        for (int i = 0; i < ready; i++) {
            struct connection *it = events[i].data.ptr;

            is_done = false;
            if (!attend(it, &is_done))
                return false;
            if (!is_done)
                continue;
            ++*done;
            if (is_over) {
                under_way--;
                continue;
            }
            start(it);
            if (!attend(it, &is_done))
                return false;
        }
    }
    return true;
}

static bool run(const char *command) {
    double spent = processor_time(), started = now(), span;
    size_t done = 0;

    if (sscanf(command, "run %lf", &span) != 1 || count == 0)
        return fail("run what?");
    for (size_t i = 0; i < count; i++)
        connections[i].is_compared = false;
    if (!(is_blocking ? run_in_turns : run_with_epoll)(started + span, &done))
        return false;
    printf("done %zu %.9f %.9f\n", done, now() - started, processor_time() - spent);
    return true;
}

int main(int argc, char **argv) {
    char line[128];

    if (argc != 3) {
        fprintf(stderr, "usage: load ws|raw epoll|turns\n");
        return 2;
    }
    is_raw = strcmp(argv[1], "raw") == 0;
    takes_turns = strcmp(argv[2], "turns") == 0;
    while (fgets(line, sizeof line, stdin) != NULL) {
        bool is_well = true;

        if (strncmp(line, "run ", 4) == 0)
            is_well = run(line);
        else if (strncmp(line, "open ", 5) == 0)
            is_well = open_all(line);
        else
            close_all();
        if (!is_well)
            printf("failed %s\n", failure);
        else if (line[0] != 'r')
            printf("ok\n");
        fflush(stdout);
    }
    close_all();
    return 0;
}
