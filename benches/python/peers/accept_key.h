/* The answer to a client's Sec-WebSocket-Key (RFC 6455, 4.2.2): SHA-1 (RFC 3174) in base64. */

#ifndef TALKWS_BENCH_ACCEPT_KEY_H
#define TALKWS_BENCH_ACCEPT_KEY_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static inline uint32_t rotate(uint32_t word, int bits) {
    return word << bits | word >> (32 - bits);
}

static inline void sha1_block(uint32_t state[5], const unsigned char block[64]) {
    uint32_t w[80], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];

    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
               (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (int i = 16; i < 80; i++)
        w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    for (int i = 0; i < 80; i++) {
        uint32_t f = i < 20   ? ((b & c) | (~b & d)) + 0x5a827999
                     : i < 40 ? (b ^ c ^ d) + 0x6ed9eba1
                     : i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
                              : (b ^ c ^ d) + 0xca62c1d6;
        uint32_t next = rotate(a, 5) + f + e + w[i];

        e = d, d = c, c = rotate(b, 30), b = a, a = next;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e;
}

/* `key` is the 24 characters that a client sends; `accept` takes 28 and a zero. */
static inline void accept_key(const char *key, char accept[29]) {
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t state[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    /* 24 characters and the 36 of the GUID are 60: with the padding two blocks. */
    unsigned char blocks[128] = {0}, digest[21] = {0};

    memcpy(blocks, key, 24);
    memcpy(blocks + 24, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
    blocks[60] = 0x80;
    blocks[126] = 60 * 8 >> 8;
    blocks[127] = 60 * 8 & 0xff;
    sha1_block(state, blocks);
    sha1_block(state, blocks + 64);
    for (int i = 0; i < 20; i++)
        digest[i] = (unsigned char)(state[i / 4] >> (24 - 8 * (i % 4)));
    for (int i = 0; i < 7; i++) {
        uint32_t bits =
            (uint32_t)digest[3 * i] << 16 | (uint32_t)digest[3 * i + 1] << 8 | digest[3 * i + 2];

        for (int j = 0; j < 4; j++)
            accept[4 * i + j] = alphabet[bits >> (18 - 6 * j) & 63];
    }
    /* 20 bytes make 27 characters. */
    accept[27] = '=';
    accept[28] = 0;
}

#endif
