/* The server against which the clients are measured: sends every message back, and does no more.
 *
 *     echo ws|raw
 *
 * `raw` is TCP without frames: a client says the length of its messages first, in four bytes. A
 * blocking thread for each connection is the fastest for one of them, and uses all processors for
 * many. Prints `Listening on PORT`; answers a line `cpu` with the processor time that it has spent,
 * and ends when its input does.
 *
 * It takes what the clients of the benchmark send, and nothing else: one message in flight, whole
 * in one frame; a Close is answered.
 */

#include "peer.h"

#include <pthread.h>
#include <stdbool.h>
#include <strings.h>

#include "accept_key.h"

struct connection {
    int fd;
    bool is_open, is_closing;
    /* Raw TCP: the length of each message. */
    size_t fixed;
    /* What has come of a message; where the answer begins and ends once it is there. */
    size_t have, start, end;
    /* A message, and the zero that ends a request. */
    unsigned char bytes[HEADER_MASKED + LARGEST + 1];
};

static bool is_raw;

static bool complain(const char *what) {
    fprintf(stderr, "echo: %s\n", what);
    return false;
}

/* Each of these looks at what has come, and once it is whole turns it into the answer. False says
 * that the client is none of ours. */

static bool answer_request(struct connection *it) {
    unsigned char *bytes = it->bytes;
    char *key, accept[29];

    if (is_raw) {
        uint32_t length;

        if (it->have < sizeof length)
            return true;
        memcpy(&length, bytes, sizeof length);
        it->fixed = length;
        it->start = 0;
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
        it->start = 0;
        it->end = (size_t)sprintf((char *)bytes,
                                  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                  "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                                  accept);
    }
    it->is_open = true;
    return true;
}

static bool answer_raw(struct connection *it) {
    if (it->have > it->fixed)
        return complain("more than one message in flight");
    if (it->have == it->fixed) {
        it->start = 0;
        it->end = it->fixed;
    }
    return true;
}

static bool answer_frame(struct connection *it) {
    unsigned char *bytes = it->bytes, opcode = bytes[0] & 0x0f;
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
    it->start = 4;
    it->end = header + 4 + payload;
    return true;
}

/* Receives one message, or the request, and sends the answer. */
static bool exchange(struct connection *it) {
    it->have = it->end = 0;
    while (it->end == 0) {
        ssize_t n = recv(it->fd, it->bytes + it->have, sizeof it->bytes - 1 - it->have, 0);

        if (n <= 0)
            return false;
        it->have += (size_t)n;
        if (!(!it->is_open ? answer_request(it) : is_raw ? answer_raw(it) : answer_frame(it)))
            return false;
    }
    while (it->start < it->end) {
        ssize_t n = send(it->fd, it->bytes + it->start, it->end - it->start, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        it->start += (size_t)n;
    }
    return !it->is_closing;
}

static void *serve_one(void *connection) {
    struct connection *it = connection;

    while (exchange(it))
        ;
    close(it->fd);
    free(it);
    return NULL;
}

static void serve(int listener) {
    for (;;) {
        pthread_t thread;
        int fd = accept(listener, NULL, NULL);
        struct connection *it = fd < 0 ? NULL : calloc(1, sizeof *it);

        if (it == NULL) {
            perror("echo: accept");
            exit(1);
        }
        no_delay(fd);
        it->fd = fd;
        if (pthread_create(&thread, NULL, serve_one, it) != 0)
            abort();
        pthread_detach(thread);
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

    if (argc != 2) {
        fprintf(stderr, "usage: echo ws|raw\n");
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
    serve(listener);
}
