// Sec-WebSocket-Accept: SHA-1 and base64, so that the bench needs no library.
#include "load.h"

#include <string.h>

static uint32_t rotate(uint32_t value, int bits) {
    return (value << bits) | (value >> (32 - bits));
}

static uint32_t big_endian(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
}

static void sha1_block(uint32_t state[5], const uint8_t *block) {
    uint32_t word[80];
    for (int i = 0; i < 16; i++) {
        word[i] = big_endian(block + 4 * i);
    }
    for (int i = 16; i < 80; i++) {
        word[i] = rotate(word[i - 3] ^ word[i - 8] ^ word[i - 14] ^ word[i - 16], 1);
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    for (int i = 0; i < 80; i++) {
        uint32_t mix, constant;
        if (i < 20) {
            mix = (b & c) | (~b & d);
            constant = 0x5A827999;
        } else if (i < 40) {
            mix = b ^ c ^ d;
            constant = 0x6ED9EBA1;
        } else if (i < 60) {
            mix = (b & c) | (b & d) | (c & d);
            constant = 0x8F1BBCDC;
        } else {
            mix = b ^ c ^ d;
            constant = 0xCA62C1D6;
        }
        uint32_t next = rotate(a, 5) + mix + e + constant + word[i];
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
    state[4] += e;
}

// `length` is at most 119: two blocks hold every key with its GUID.
static void sha1(const char *data, size_t length, uint8_t digest[20]) {
    uint32_t state[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    uint8_t blocks[128] = {0};
    size_t padded = ((length + 8) / 64 + 1) * 64;
    uint64_t bits = length * 8;
    memcpy(blocks, data, length);
    blocks[length] = 0x80;
    for (int i = 0; i < 8; i++) {
        blocks[padded - 1 - i] = bits >> (8 * i);
    }
    for (size_t at = 0; at < padded; at += 64) {
        sha1_block(state, blocks + at);
    }
    for (int i = 0; i < 20; i++) {
        digest[i] = state[i / 4] >> (24 - 8 * (i % 4));
    }
}

// 20 bytes give 28 characters, the last of them padding.
static void base64(const uint8_t digest[20], char out[ACCEPT_SIZE]) {
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t bytes[21] = {0};
    memcpy(bytes, digest, 20);
    for (int i = 0; i < 7; i++) {
        uint32_t three = bytes[3 * i] << 16 | bytes[3 * i + 1] << 8 | bytes[3 * i + 2];
        for (int j = 0; j < 4; j++) {
            out[4 * i + j] = letters[three >> (18 - 6 * j) & 63];
        }
    }
    out[27] = '=';
    out[28] = 0;
}

void accept_value(const char *key, size_t length, char out[ACCEPT_SIZE]) {
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char joined[119];
    uint8_t digest[20];
    if (length > sizeof joined - sizeof guid) {
        length = sizeof joined - sizeof guid;
    }
    memcpy(joined, key, length);
    memcpy(joined + length, guid, sizeof guid - 1);
    sha1(joined, length + sizeof guid - 1, digest);
    base64(digest, out);
}
