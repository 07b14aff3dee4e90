/* SPDX-License-Identifier: Apache-2.0
 *
 * The bounded growable buffer, and the integers of keys and values. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"

#define BUF_FIRST 256

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_release(struct buf *b)
{
    free(b->p);
    buf_init(b, b->max);
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->failed = false;
}

char *buf_reserve(struct buf *b, size_t n)
{
    if (b->failed || n > b->max - b->len) {
        b->failed = true;
        return NULL;
    }
    if (b->cap - b->len < n || !b->p) {
        size_t cap = b->cap ? b->cap : BUF_FIRST;
        while (cap < b->len + n)
            cap = cap > b->max / 2 ? b->len + n : cap * 2;
        b->p = x_realloc(b->p, cap);
        b->cap = cap;
    }
    return b->p + b->len;
}

void buf_put(struct buf *b, const void *p, size_t n)
{
    if (n == 0)
        return;
    char *at = buf_reserve(b, n);
    if (!at)
        return;
    memcpy(at, p, n);
    b->len += n;
}

void buf_str(struct buf *b, struct str s)
{
    buf_put(b, s.p, s.n);
}

void buf_puts(struct buf *b, const char *z)
{
    buf_put(b, z, strlen(z));
}

void buf_char(struct buf *b, char c)
{
    buf_put(b, &c, 1);
}

void buf_u64(struct buf *b, uint64_t v)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    buf_put(b, digits + at, sizeof(digits) - at);
}

void buf_i64(struct buf *b, int64_t v)
{
    if (v < 0)
        buf_char(b, '-');
    buf_u64(b, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    size_t room = b->failed ? 0 : b->cap - b->len;
    va_start(ap, fmt);
    int n = vsnprintf(room ? b->p + b->len : NULL, room, fmt, ap);
    va_end(ap);
    BUG_ON(n < 0);
    if ((size_t)n < room) {
        b->len += (size_t)n;
        if (b->len > b->max) {
            b->len -= (size_t)n;
            b->failed = true;
        }
        return;
    }
    /* vsnprintf wants a place for its NUL; so the text is made aside when it did not fit. */
    char *text = x_malloc((size_t)n + 1);
    va_start(ap, fmt);
    (void)vsnprintf(text, (size_t)n + 1, fmt, ap);
    va_end(ap);
    buf_put(b, text, (size_t)n);
    free(text);
}

void buf_consume(struct buf *b, size_t n)
{
    BUG_ON(n > b->len);
    b->len -= n;
    if (b->len && n)
        memmove(b->p, b->p + n, b->len);
}

void buf_be32(struct buf *b, uint32_t v)
{
    v = __builtin_bswap32(v);
    buf_put(b, &v, sizeof(v));
}

void buf_be64(struct buf *b, uint64_t v)
{
    v = __builtin_bswap64(v);
    buf_put(b, &v, sizeof(v));
}

void buf_varint(struct buf *b, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;
    while (v >= 0x80) {
        bytes[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    bytes[n++] = (uint8_t)v;
    buf_put(b, bytes, n);
}

void buf_lstr(struct buf *b, struct str s)
{
    buf_varint(b, s.n);
    buf_str(b, s);
}

bool take_bytes(struct str *in, size_t n, struct str *out)
{
    if (in->n < n)
        return false;
    *out = str_head(*in, n);
    *in = str_from(*in, n);
    return true;
}

bool take_be32(struct str *in, uint32_t *out)
{
    struct str s;
    if (!take_bytes(in, sizeof(*out), &s))
        return false;
    memcpy(out, s.p, sizeof(*out));
    *out = __builtin_bswap32(*out);
    return true;
}

bool take_be64(struct str *in, uint64_t *out)
{
    struct str s;
    if (!take_bytes(in, sizeof(*out), &s))
        return false;
    memcpy(out, s.p, sizeof(*out));
    *out = __builtin_bswap64(*out);
    return true;
}

bool take_varint(struct str *in, uint64_t *out)
{
    uint64_t v = 0;
    for (size_t i = 0; i < in->n && i < 10; i++) {
        uint8_t c = (uint8_t)in->p[i];
        if (i == 9 && c > 1)
            return false; /* more than 64 bits */
        v |= (uint64_t)(c & 0x7f) << (7 * i);
        if (c < 0x80) {
            *out = v;
            *in = str_from(*in, i + 1);
            return true;
        }
    }
    return false;
}

bool take_lstr(struct str *in, struct str *out)
{
    struct str s = *in;
    uint64_t n;
    if (!take_varint(&s, &n) || n > s.n || !take_bytes(&s, (size_t)n, out))
        return false;
    *in = s;
    return true;
}
