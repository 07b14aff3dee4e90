/* SPDX-License-Identifier: Apache-2.0
 *
 * Digests over OpenSSL and ISA-L. Looking an algorithm up costs OpenSSL 3 more than hashing a small body, and
 * so does a fresh context: algorithms are fetched once per process, contexts kept in a small stock per
 * thread. */
#include "base/hash.h"

#include <endian.h>
#include <errno.h>
#include <isa-l.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/err.h"

#define STOCK_MAX  16
#define HMAC_BLOCK 64

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t stock_key;
#define KINDS 3
static EVP_MD *algorithms[KINDS];
static const char *const names[KINDS] = {[HASH_MD5] = "MD5", [HASH_SHA256] = "SHA256", [HASH_SHA1] = "SHA1"};

struct stock {
    EVP_MD_CTX *v[KINDS][STOCK_MAX];
    unsigned n[KINDS];
};

static void stock_free(void *arg)
{
    struct stock *s = arg;
    for (int k = 0; k < KINDS; k++)
        while (s->n[k])
            EVP_MD_CTX_free(s->v[k][--s->n[k]]);
    free(s);
}

static void fetch(void)
{
    for (int k = 0; k < KINDS; k++) {
        algorithms[k] = EVP_MD_fetch(NULL, names[k], NULL);
        if (!algorithms[k])
            BUG("OpenSSL has no %s (is a FIPS provider configured?)", names[k]);
    }
    BUG_ON(pthread_key_create(&stock_key, stock_free) != 0);
}

static struct stock *stock(void)
{
    static _Thread_local struct stock *mine;
    if (!mine) {
        pthread_once(&once, fetch);
        mine = x_calloc(1, sizeof(*mine));
        BUG_ON(pthread_setspecific(stock_key, mine) != 0);
    }
    return mine;
}

static enum hash_kind kind_of(EVP_MD_CTX *ctx)
{
    const EVP_MD *md = EVP_MD_CTX_get0_md(ctx);
    for (int k = 0; k < KINDS; k++)
        if (md == algorithms[k])
            return (enum hash_kind)k;
    BUG("a digest that was not begun");
}

void hash_begin(struct hash *h, enum hash_kind kind)
{
    struct stock *s = stock();
    EVP_MD_CTX *ctx = s->n[kind] ? s->v[kind][--s->n[kind]] : EVP_MD_CTX_new();
    /* algorithms[kind] again and not NULL: OpenSSL then keeps the state's memory and only starts it anew. */
    BUG_ON(!ctx || EVP_DigestInit_ex2(ctx, algorithms[kind], NULL) != 1);
    h->ctx = ctx;
}

void hash_add(struct hash *h, const void *p, size_t n)
{
    if (n)
        BUG_ON(EVP_DigestUpdate(h->ctx, p, n) != 1);
}

void hash_end(struct hash *h, uint8_t *out)
{
    BUG_ON(!h->ctx || EVP_DigestFinal_ex(h->ctx, out, NULL) != 1);
    hash_release(h);
}

void hash_release(struct hash *h)
{
    EVP_MD_CTX *ctx = h->ctx;
    if (!ctx)
        return;
    h->ctx = NULL;
    struct stock *s = stock();
    enum hash_kind kind = kind_of(ctx);
    if (s->n[kind] < STOCK_MAX)
        s->v[kind][s->n[kind]++] = ctx;
    else
        EVP_MD_CTX_free(ctx);
}

void hash_md5(struct str data, uint8_t out[MD5_LEN])
{
    struct hash h;
    hash_begin(&h, HASH_MD5);
    hash_add(&h, data.p, data.n);
    hash_end(&h, out);
}

void hash_sha256(struct str data, uint8_t out[SHA256_LEN])
{
    struct hash h;
    hash_begin(&h, HASH_SHA256);
    hash_add(&h, data.p, data.n);
    hash_end(&h, out);
}

/* RFC 2104 over OpenSSL's digests: its own HMAC spends more time on setting up than on these four blocks. */
static void hmac(enum hash_kind kind, size_t len, struct str key, struct str data, uint8_t *out)
{
    uint8_t block[HMAC_BLOCK] = {0}, inner[SHA256_LEN];
    struct hash h;
    if (key.n > HMAC_BLOCK) {
        hash_begin(&h, kind);
        hash_add(&h, key.p, key.n);
        hash_end(&h, block);
    } else if (key.n) {
        memcpy(block, key.p, key.n);
    }
    for (size_t i = 0; i < HMAC_BLOCK; i++)
        block[i] ^= 0x36;
    hash_begin(&h, kind);
    hash_add(&h, block, HMAC_BLOCK);
    hash_add(&h, data.p, data.n);
    hash_end(&h, inner);
    for (size_t i = 0; i < HMAC_BLOCK; i++)
        block[i] ^= 0x36 ^ 0x5c;
    hash_begin(&h, kind);
    hash_add(&h, block, HMAC_BLOCK);
    hash_add(&h, inner, len);
    hash_end(&h, out);
    OPENSSL_cleanse(block, sizeof(block));
}

void hash_hmac_sha256(struct str key, struct str data, uint8_t out[SHA256_LEN])
{
    hmac(HASH_SHA256, SHA256_LEN, key, data, out);
}

void hash_hmac_sha1(struct str key, struct str data, uint8_t out[SHA1_LEN])
{
    hmac(HASH_SHA1, SHA1_LEN, key, data, out);
}

uint32_t hash_crc32(uint32_t crc, const void *p, size_t n)
{
    return crc32_gzip_refl(crc, p, n); /* inverts before and after by itself */
}

uint32_t hash_crc32c(uint32_t crc, const void *p, size_t n)
{
    unsigned char *at = (unsigned char *)(uintptr_t)p; /* the library's prototype lacks the const */
    crc = ~crc;
    while (n) {
        int piece = n < (1u << 30) ? (int)n : 1 << 30;
        crc = crc32_iscsi(at, piece, crc);
        at += piece;
        n -= (size_t)piece;
    }
    return ~crc;
}

/* Eight bytes at a time by eight tables ("slicing by 8"): fast enough that a body's MD5 takes several times as long. */
static uint64_t crc64_table[8][256];
static pthread_once_t crc64_once = PTHREAD_ONCE_INIT;

static void crc64_fill(void)
{
    for (unsigned i = 0; i < 256; i++) {
        uint64_t v = i;
        for (int bit = 0; bit < 8; bit++)
            v = v & 1 ? v >> 1 ^ HASH_CRC64NVME_POLY : v >> 1;
        crc64_table[0][i] = v;
    }
    for (int t = 1; t < 8; t++)
        for (unsigned i = 0; i < 256; i++) {
            uint64_t before = crc64_table[t - 1][i];
            crc64_table[t][i] = before >> 8 ^ crc64_table[0][before & 0xff];
        }
}

uint64_t hash_crc64nvme(uint64_t crc, const void *p, size_t n)
{
    pthread_once(&crc64_once, crc64_fill);
    const uint8_t *at = p;
    crc = ~crc;
    for (; n >= 8; n -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        crc ^= le64toh(word);
        uint64_t next = 0;
        for (int t = 0; t < 8; t++)
            next ^= crc64_table[7 - t][crc >> (8 * t) & 0xff];
        crc = next;
    }
    for (; n; n--)
        crc = crc >> 8 ^ crc64_table[0][(crc ^ *at++) & 0xff];
    return ~crc;
}

bool hash_equal(const void *a, const void *b, size_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}

void hash_random(void *out, size_t n)
{
    char *p = out;
    while (n) {
        ssize_t got = getrandom(p, n, 0);
        BUG_ON(got < 0 && errno != EINTR);
        if (got > 0) {
            p += got;
            n -= (size_t)got;
        }
    }
}
