/* SPDX-License-Identifier: Apache-2.0
 *
 * Four lanes of 64 bits, each with two accumulators and two multipliers. Any byte order of the machine. */
#include "target/highway.h"

#define LANES        4
#define FINAL_ROUNDS 10

struct highway {
    uint64_t acc0[LANES], acc1[LANES], mul0[LANES], mul1[LANES];
};

/* Digits of pi, as the paper has them. */
static const uint64_t start0[LANES] = {UINT64_C(0xdbe6d5d5fe4cce2f), UINT64_C(0xa4093822299f31d0),
                                       UINT64_C(0x13198a2e03707344), UINT64_C(0x243f6a8885a308d3)};
static const uint64_t start1[LANES] = {UINT64_C(0x3bd39e10cb0ef593), UINT64_C(0xc0acf169b5f18a8c),
                                       UINT64_C(0xbe5466cf34e90c6c), UINT64_C(0x452821e638d01377)};

static uint64_t load(const unsigned char *p)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < 8; i++)
        v |= (uint64_t)p[i] << 8 * i;
    return v;
}

static void store(uint64_t v, unsigned char *p)
{
    for (unsigned i = 0; i < 8; i++)
        p[i] = (unsigned char)(v >> 8 * i);
}

static uint64_t swap_halves(uint64_t v)
{
    return v << 32 | v >> 32;
}

static uint64_t times(uint64_t low_of, uint64_t high_of)
{
    return (low_of & UINT32_MAX) * (high_of >> 32);
}

/* Adds to a pair of lanes the 16 bytes of another pair, in an order that brings the well mixed ones of a product (its middle)
 * to where the ill mixed ones are. */
static void add_zipped(uint64_t *to, const uint64_t *from)
{
    static const unsigned char order[16] = {3, 12, 2, 5, 14, 1, 15, 0, 11, 4, 10, 13, 9, 6, 8, 7};
    for (unsigned lane = 0; lane < 2; lane++) {
        uint64_t v = 0;
        for (unsigned i = 0; i < 8; i++) {
            unsigned at = order[8 * lane + i];
            v |= (from[at / 8] >> 8 * (at % 8) & 0xff) << 8 * i;
        }
        to[lane] += v;
    }
}

static void mix(struct highway *h, const uint64_t in[LANES])
{
    for (unsigned i = 0; i < LANES; i++) {
        h->acc1[i] += h->mul0[i] + in[i];
        h->mul0[i] ^= times(h->acc1[i], h->acc0[i]);
        h->acc0[i] += h->mul1[i];
        h->mul1[i] ^= times(h->acc0[i], h->acc1[i]);
    }
    for (unsigned pair = 0; pair < LANES; pair += 2)
        add_zipped(h->acc0 + pair, h->acc1 + pair);
    for (unsigned pair = 0; pair < LANES; pair += 2)
        add_zipped(h->acc1 + pair, h->acc0 + pair);
}

static void mix_bytes(struct highway *h, const unsigned char bytes[32])
{
    uint64_t in[LANES];
    for (unsigned i = 0; i < LANES; i++)
        in[i] = load(bytes + 8 * i);
    mix(h, in);
}

static uint64_t rotate_each_half(uint64_t v, unsigned bits)
{
    uint32_t low = (uint32_t)v, high = (uint32_t)(v >> 32);
    low = low << bits | low >> (32 - bits);
    high = high << bits | high >> (32 - bits);
    return (uint64_t)high << 32 | low;
}

/* The last n bytes, 1 to 31: whole words of four at the front, the rest at the back or in the middle. */
static void mix_rest(struct highway *h, const unsigned char *p, unsigned n)
{
    unsigned char bytes[32] = {0};
    unsigned words = n & ~3u, rest = n & 3;
    for (unsigned i = 0; i < LANES; i++) {
        h->acc0[i] += (uint64_t)n << 32 | n;
        h->acc1[i] = rotate_each_half(h->acc1[i], n);
    }
    memcpy(bytes, p, words);
    if (n & 16) {
        memcpy(bytes + 28, p + n - 4, 4);
    } else if (rest) {
        bytes[16] = p[words];
        bytes[17] = p[words + rest / 2];
        bytes[18] = p[n - 1];
    }
    mix_bytes(h, bytes);
}

/* 256 bits of a pair of lanes to 128: modulo x^128 + x^2 + x over GF(2). */
static void reduce(const struct highway *h, unsigned pair, unsigned char *out)
{
    uint64_t a0 = h->acc0[pair] + h->mul0[pair], a1 = h->acc0[pair + 1] + h->mul0[pair + 1];
    uint64_t a2 = h->acc1[pair] + h->mul1[pair], a3 = h->acc1[pair + 1] + h->mul1[pair + 1];
    a3 &= UINT64_C(0x3fffffffffffffff);
    store(a0 ^ a2 << 1 ^ a2 << 2, out);
    store(a1 ^ (a3 << 1 | a2 >> 63) ^ (a3 << 2 | a2 >> 62), out + 8);
}

void highway_256(const unsigned char key[HIGHWAY_BYTES], struct str text, unsigned char out[HIGHWAY_BYTES])
{
    struct highway h;
    const unsigned char *p = (const unsigned char *)text.p;
    for (unsigned i = 0; i < LANES; i++) {
        uint64_t k = load(key + 8 * i);
        h.mul0[i] = start0[i];
        h.mul1[i] = start1[i];
        h.acc0[i] = start0[i] ^ k;
        h.acc1[i] = start1[i] ^ swap_halves(k);
    }
    size_t n = text.n;
    for (; n >= 32; n -= 32, p += 32)
        mix_bytes(&h, p);
    if (n > 0)
        mix_rest(&h, p, (unsigned)n);
    for (unsigned i = 0; i < FINAL_ROUNDS; i++)
        mix(&h, (const uint64_t[LANES]){swap_halves(h.acc0[2]), swap_halves(h.acc0[3]),
                                        swap_halves(h.acc0[0]), swap_halves(h.acc0[1])});
    reduce(&h, 0, out);
    reduce(&h, 2, out + 16);
}
