/* What the peers of the Python benchmark share: sockets, frame headers (RFC 6455, 5.2), and what a
 * process has spent. */

#ifndef TALKWS_BENCH_PEER_H
#define TALKWS_BENCH_PEER_H

#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    LARGEST = 1 << 20,
    /* The longest header with its mask, and without. */
    HEADER_MASKED = 14,
    HEADER = 10,
    OPCODE_TEXT = 1,
    OPCODE_BINARY = 2,
    OPCODE_CLOSE = 8,
    FIN = 0x80,
    MASKED = 0x80
};

static inline double seconds(struct timespec time) {
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static inline double now(void) {
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return seconds(time);
}

/* User and system time of this process so far. */
static inline double processor_time(void) {
    struct timespec time;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return seconds(time);
}

static inline void no_delay(int fd) {
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

static inline struct sockaddr_in loopback(uint16_t port) {
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* The length of a frame's header without mask. */
static inline size_t header_length(size_t payload) {
    return payload < 126 ? 2 : payload < 65536 ? 4 : 10;
}

/* Writes a header without mask, `header_length` bytes; `mask_bit` is MASKED or 0. */
static inline void write_header(unsigned char *at, unsigned opcode, size_t payload,
                                unsigned mask_bit) {
    size_t length = header_length(payload);

    at[0] = (unsigned char)(FIN | opcode);
    at[1] = (unsigned char)(mask_bit | (length == 2 ? payload : length == 4 ? 126 : 127));
    for (size_t i = length - 1; i >= 2; i--, payload >>= 8)
        at[i] = (unsigned char)payload;
}

static inline void apply_mask(unsigned char *data, size_t length, const unsigned char mask[4]) {
    unsigned char pattern[16];

    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = mask[i % 4];
    while (length >= sizeof pattern) {
        for (size_t i = 0; i < sizeof pattern; i++)
            data[i] ^= pattern[i];
        data += sizeof pattern;
        length -= sizeof pattern;
    }
    for (size_t i = 0; i < length; i++)
        data[i] ^= pattern[i];
}

#endif
