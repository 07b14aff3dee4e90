/* SPDX-License-Identifier: Apache-2.0
 *
 * Hex, base64 and percent encodings. */
#include "base/encode.h"

static const char digits_lower[] = "0123456789abcdef";
static const char digits_upper[] = "0123456789ABCDEF";

static void hex_with(const char *digits, const void *in, size_t n, char *out)
{
    const uint8_t *p = in;
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
}

void hex_lower(const void *in, size_t n, char *out)
{
    hex_with(digits_lower, in, n, out);
}

void hex_upper(const void *in, size_t n, char *out)
{
    hex_with(digits_upper, in, n, out);
}

void hex_u64(uint64_t v, char out[16])
{
    for (int i = 15; i >= 0; i--, v >>= 4)
        out[i] = digits_upper[v & 15];
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_decode(struct str in, void *out, size_t n)
{
    uint8_t *p = out;
    if (in.n != n * 2)
        return false;
    for (size_t i = 0; i < n; i++) {
        int hi = hex_value(in.p[2 * i]), lo = hex_value(in.p[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return false;
        p[i] = (uint8_t)(hi << 4 | lo);
    }
    return true;
}

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct buf *out, struct str in)
{
    size_t n = (in.n + 2) / 3 * 4;
    char *p = buf_reserve(out, n);
    if (!p)
        return;
    out->len += n;
    const uint8_t *s = (const uint8_t *)in.p;
    for (; in.n >= 3; in.n -= 3, s += 3) {
        *p++ = base64_digits[s[0] >> 2];
        *p++ = base64_digits[(s[0] & 3) << 4 | s[1] >> 4];
        *p++ = base64_digits[(s[1] & 15) << 2 | s[2] >> 6];
        *p++ = base64_digits[s[2] & 63];
    }
    if (in.n == 0)
        return;
    unsigned second = in.n == 2 ? s[1] : 0;
    *p++ = base64_digits[s[0] >> 2];
    *p++ = base64_digits[(s[0] & 3u) << 4 | second >> 4];
    *p++ = in.n == 2 ? base64_digits[(second & 15) << 2] : '=';
    *p++ = '=';
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool base64_decode(struct str in, void *out, size_t cap, size_t *n)
{
    uint8_t *p = out;
    size_t pad = 0, done = 0;
    if (in.n % 4)
        return false;
    while (pad < 2 && pad < in.n && in.p[in.n - 1 - pad] == '=')
        pad++;
    size_t size = in.n / 4 * 3 - pad;
    if (size > cap)
        return false;
    uint32_t bits = 0;
    for (size_t i = 0; i < in.n - pad; i++) {
        int v = base64_value(in.p[i]);
        if (v < 0)
            return false;
        bits = bits << 6 | (uint32_t)v;
        /* every digit after the first of four completes a byte */
        if (i % 4)
            p[done++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    /* RFC 4648 3.5: the bits behind the last byte are zero, or two texts would mean the same. */
    if (pad && (bits & ((1u << (2 * pad)) - 1)))
        return false;
    *n = done;
    return true;
}

static bool pct_plain(unsigned char c, enum pct_set set)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
        return true;
    return c == '-' || c == '_' || c == '.' || c == '~' || (c == '/' && set == PCT_PATH);
}

void pct_encode(struct buf *out, struct str in, enum pct_set set)
{
    size_t i = 0;
    while (i < in.n) {
        size_t run = i;
        while (run < in.n && pct_plain((unsigned char)in.p[run], set))
            run++;
        buf_put(out, in.p + i, run - i);
        i = run;
        if (i == in.n)
            break;
        unsigned char c = (unsigned char)in.p[i++];
        if (c == ' ' && set == PCT_FORM) {
            buf_char(out, '+');
            continue;
        }
        char escape[3] = {'%', digits_upper[c >> 4], digits_upper[c & 15]};
        buf_put(out, escape, sizeof(escape));
    }
}

/* Decodes into out, which has room for in.n bytes. */
static bool pct_decode_raw(struct str in, bool plus, char *out, size_t *n)
{
    size_t done = 0;
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];
        if (c == '%') {
            int hi = in.n - i > 2 ? hex_value(in.p[i + 1]) : -1;
            int lo = hi >= 0 ? hex_value(in.p[i + 2]) : -1;
            if (lo < 0)
                return false;
            c = (char)(hi << 4 | lo);
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        out[done++] = c;
    }
    *n = done;
    return true;
}

bool pct_decode(struct buf *out, struct str in, bool plus)
{
    size_t n;
    char *p = buf_reserve(out, in.n);
    if (!p || !pct_decode_raw(in, plus, p, &n))
        return false;
    out->len += n;
    return true;
}

bool pct_decode_arena(struct arena *a, struct str in, bool plus, struct str *out)
{
    if (str_chr(in, '%') < 0 && !(plus && str_chr(in, '+') >= 0)) {
        *out = arena_dup(a, in);
        return true;
    }
    char *p = arena_alloc(a, in.n);
    out->p = p;
    return pct_decode_raw(in, plus, p, &out->n);
}
