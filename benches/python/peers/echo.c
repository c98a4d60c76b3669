/* The server against which the clients are measured: sends every message back, and does no more.
 *
 *     echo ws|raw threads|epoll
 *
 * `raw` is TCP without frames: a client says the length of its messages first, in four bytes.
 * `threads` has a blocking thread for each connection, which is the fastest for one of them;
 * `epoll` has one thread for all. Prints `Listening on PORT`; answers a line `cpu` with the
 * processor time that it has spent, and ends when its input does.
 *
 * It takes what the clients of the benchmark send, and nothing else: one message in flight, whole
 * in one frame; a Close is answered.
 */

#include "peer.h"

#include <pthread.h>
#include <stdbool.h>
#include <strings.h>
#include <sys/epoll.h>

#include "accept_key.h"

struct buffer {
    struct buffer *next;
    /* A message, and the zero that ends a request. */
    unsigned char bytes[HEADER_MASKED + LARGEST + 1];
};

struct connection {
    int fd;
    bool is_blocking, is_open, is_closing, is_sending;
    struct buffer *buffer;
    /* What has come of the message; of `buffer`, where the answer goes on, and its end. */
    size_t have, sent, end;
    /* Raw TCP: the length of each message. */
    size_t fixed;
};

enum outcome { WAITS_TO_RECEIVE, WAITS_TO_SEND, GONE };

static bool is_raw;
/* Of connections without a thread: taken for the time of a message, the warmest first. */
static struct buffer *idle_buffers;

static void take_buffer(struct connection *it) {
    if (it->buffer != NULL)
        return;
    it->buffer = idle_buffers;
    if (it->buffer != NULL)
        idle_buffers = it->buffer->next;
    else if ((it->buffer = malloc(sizeof *it->buffer)) == NULL)
        abort();
}

static void give_buffer(struct connection *it) {
    if (it->is_blocking || it->buffer == NULL)
        return;
    it->buffer->next = idle_buffers;
    idle_buffers = it->buffer;
    it->buffer = NULL;
}

static bool complain(const char *what) {
    fprintf(stderr, "echo: %s\n", what);
    return false;
}

/* Each of these looks at what has come, and once it is whole turns it into the answer. False says
 * that the client is none of ours. */

static bool answer_request(struct connection *it) {
    unsigned char *bytes = it->buffer->bytes;
    char *key, accept[29];

    if (is_raw) {
        uint32_t length;

        if (it->have < sizeof length)
            return true;
        memcpy(&length, bytes, sizeof length);
        it->fixed = length;
        it->sent = 0;
        it->end = 1;
    } else {
        bytes[it->have] = 0;
        if (strstr((char *)bytes, "\r\n\r\n") == NULL)
            return it->have < 4096 || complain("the request is too long");
        if ((key = strcasestr((char *)bytes, "Sec-WebSocket-Key:")) == NULL)
            return complain("no Sec-WebSocket-Key");
        key += strlen("Sec-WebSocket-Key:");
        key += strspn(key, " ");
        if (strcspn(key, " \r") != 24)
            return complain("the Sec-WebSocket-Key has not 24 characters");
        accept_key(key, accept);
        it->sent = 0;
        it->end = (size_t)sprintf((char *)bytes,
                                  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                  "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                                  accept);
    }
    it->is_open = it->is_sending = true;
    return true;
}

static bool answer_raw(struct connection *it) {
    if (it->have > it->fixed)
        return complain("more than one message in flight");
    if (it->have == it->fixed) {
        it->sent = 0;
        it->end = it->fixed;
        it->is_sending = true;
    }
    return true;
}

static bool answer_frame(struct connection *it) {
    unsigned char *bytes = it->buffer->bytes, opcode = bytes[0] & 0x0f;
    size_t payload = bytes[1] & 0x7f, header = payload < 126 ? 2 : payload == 126 ? 4 : 10;

    if (it->have < header + 4)
        return true;
    if (header > 2) {
        payload = 0;
        for (size_t i = 2; i < header; i++)
            payload = payload << 8 | bytes[i];
    }
    if (!(bytes[0] & FIN) || !(bytes[1] & MASKED) || payload > LARGEST)
        return complain("not a whole, masked message of at most 1 MiB");
    if (opcode != OPCODE_TEXT && opcode != OPCODE_BINARY && opcode != OPCODE_CLOSE)
        return complain("neither text, binary nor Close");
    if (it->have > header + 4 + payload)
        return complain("more than one message in flight");
    if (it->have < header + 4 + payload)
        return true;
    it->is_closing = opcode == OPCODE_CLOSE;
    apply_mask(bytes + header + 4, payload, bytes + header);
    /* The answer has the same header without the mask, which moves up into the mask's place. */
    write_header(bytes + 4, opcode, payload, 0);
    it->sent = 4;
    it->end = header + 4 + payload;
    it->is_sending = true;
    return true;
}

/* Goes on until there is something to wait for; a blocking connection waits here. */
static enum outcome advance(struct connection *it) {
    for (;;) {
        ssize_t n;

        take_buffer(it);
        if (it->is_sending)
            n = send(it->fd, it->buffer->bytes + it->sent, it->end - it->sent, MSG_NOSIGNAL);
        else
            n = recv(it->fd, it->buffer->bytes + it->have, sizeof it->buffer->bytes - 1 - it->have,
                     0);
        if (n < 0 && errno == EAGAIN)
            return it->is_sending ? WAITS_TO_SEND : WAITS_TO_RECEIVE;
        if (n <= 0)
            return GONE;
        if (!it->is_sending) {
            it->have += (size_t)n;
            if (!(!it->is_open ? answer_request(it) : is_raw ? answer_raw(it) : answer_frame(it)))
                return GONE;
            continue;
        }
        it->sent += (size_t)n;
        if (it->sent < it->end)
            continue;
        if (it->is_closing)
            return GONE;
        it->is_sending = false;
        it->have = 0;
        give_buffer(it);
        if (!it->is_blocking)
            return WAITS_TO_RECEIVE;
    }
}

static void end(struct connection *it) {
    close(it->fd);
    if (it->is_blocking)
        free(it->buffer);
    else
        give_buffer(it);
    free(it);
}

static void *serve_one(void *connection) {
    while (advance(connection) != GONE)
        ;
    end(connection);
    return NULL;
}

static struct connection *accept_one(int listener, bool is_blocking) {
    int fd = accept4(listener, NULL, NULL, is_blocking ? 0 : SOCK_NONBLOCK);
    struct connection *it = fd < 0 ? NULL : calloc(1, sizeof *it);

    if (it == NULL) {
        perror("echo: accept");
        exit(1);
    }
    no_delay(fd);
    it->fd = fd;
    it->is_blocking = is_blocking;
    return it;
}

static void serve_with_threads(int listener) {
    for (;;) {
        pthread_t thread;

        if (pthread_create(&thread, NULL, serve_one, accept_one(listener, true)) != 0)
            abort();
        pthread_detach(thread);
    }
}

static void watch(int epoll, int operation, int fd, unsigned events, void *what) {
    struct epoll_event event = {.events = events, .data.ptr = what};

    if (epoll_ctl(epoll, operation, fd, &event) != 0) {
        perror("echo: epoll_ctl");
        exit(1);
    }
}

static void serve_with_epoll(int listener) {
    int epoll = epoll_create1(0);
    struct epoll_event events[64];

    watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
    for (;;) {
        int count = epoll_wait(epoll, events, 64, -1);

        for (int i = 0; i < count; i++) {
            struct connection *it = events[i].data.ptr;

            if (it == NULL) {
                it = accept_one(listener, false);
                watch(epoll, EPOLL_CTL_ADD, it->fd, EPOLLIN, it);
                continue;
            }
            bool was_stuck = events[i].events & EPOLLOUT;
            enum outcome outcome = advance(it);

            if (outcome == GONE)
                end(it);
            else if ((outcome == WAITS_TO_SEND) != was_stuck)
                watch(epoll, EPOLL_CTL_MOD, it->fd, was_stuck ? EPOLLIN : EPOLLOUT, it);
        }
    }
}

static void *answer_questions(void *unused) {
    char line[64];

    (void)unused;
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (strcmp(line, "cpu\n") == 0)
            printf("cpu %.9f\n", processor_time());
        else
            printf("failed unknown command\n");
        fflush(stdout);
    }
    exit(0);
}

int main(int argc, char **argv) {
    struct sockaddr_in address = loopback(0);
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    pthread_t thread;

    if (argc != 3) {
        fprintf(stderr, "usage: echo ws|raw threads|epoll\n");
        return 2;
    }
    is_raw = strcmp(argv[1], "raw") == 0;
    if (bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 1024) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) != 0) {
        perror("echo: listen");
        return 1;
    }
    printf("Listening on %d\n", ntohs(address.sin_port));
    fflush(stdout);
    if (pthread_create(&thread, NULL, answer_questions, NULL) != 0)
        abort();
    if (strcmp(argv[2], "threads") == 0)
        serve_with_threads(listener);
    serve_with_epoll(listener);
}
