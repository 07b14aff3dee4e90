/* SPDX-License-Identifier: Apache-2.0
 *
 * The chunked transfer coding. Our own state machine and not llhttp's: the checks that llhttp leaves open here (a bare
 * LF, the size of extensions and trailers) need the raw bytes and the same states, and two readers of one framing
 * that could disagree are exactly what must not be. */
#include "http/chars.h"
#include "http/parse.h"

enum state {
    SIZE, /* hex digits */
    EXT,  /* after ';' */
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    LINE,  /* first byte of a trailer line, or of the empty line */
    NAME,  /* inside a trailer's name */
    VALUE, /* inside its value */
    VALUE_LF,
    END_LF,
    DONE,
};

enum quote { PLAIN, QUOTED, ESCAPED }; /* in an extension's value */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char l = (char)(c | 0x20);
    return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

static bool expect(struct http_chunk *c, char got, char want, enum state next)
{
    c->state = (uint8_t)next;
    return got == want;
}

static bool on_size(struct http_chunk *c, char ch)
{
    int d = hex_digit(ch);
    if (d >= 0) {
        if (c->digits == 15) /* 60 bits: no sum of sizes overflows */
            return false;
        c->digits++;
        c->left = c->left << 4 | (uint64_t)d;
        return true;
    }
    if (c->digits == 0)
        return false;
    c->state = ch == ';' ? EXT : SIZE_LF;
    return ch == ';' || ch == '\r';
}

/* A quoted value must be closed before the line ends: some readers look for the line's end only behind the quote. */
static bool on_ext(struct http_chunk *c, char ch)
{
    if (ch == '\r') {
        c->state = SIZE_LF;
        return c->quote == PLAIN;
    }
    switch (c->quote) {
    case PLAIN:
        c->quote = ch == '"' ? QUOTED : PLAIN;
        break;
    case QUOTED:
        c->quote = ch == '"' ? PLAIN : ch == '\\' ? ESCAPED : QUOTED;
        break;
    default:
        c->quote = QUOTED;
    }
    return http_is(ch, CH_VALUE) && ++c->extensions <= HTTP_CHUNK_EXT_MAX;
}

static bool on_trailer(struct http_chunk *c, char ch)
{
    if (++c->trailers > HTTP_CHUNK_TRAILER_MAX)
        return false;
    switch (c->state) {
    case LINE:
        c->state = ch == '\r' ? END_LF : NAME;
        return ch == '\r' || http_is(ch, CH_TOKEN);
    case NAME:
        if (ch == ':')
            c->state = VALUE;
        return ch == ':' || http_is(ch, CH_TOKEN);
    case VALUE:
        if (ch == '\r')
            c->state = VALUE_LF;
        return ch == '\r' || http_is(ch, CH_VALUE);
    case VALUE_LF:
        return expect(c, ch, '\n', LINE);
    default:
        return expect(c, ch, '\n', DONE);
    }
}

static bool on_byte(struct http_chunk *c, char ch)
{
    switch (c->state) {
    case SIZE:
        return on_size(c, ch);
    case EXT:
        return on_ext(c, ch);
    case SIZE_LF:
        c->digits = 0;
        return expect(c, ch, '\n', c->left ? DATA : LINE);
    case DATA_CR:
        return expect(c, ch, '\r', DATA_LF);
    case DATA_LF:
        return expect(c, ch, '\n', SIZE);
    default:
        return on_trailer(c, ch);
    }
}

ptrdiff_t http_chunk_feed(struct http_chunk *c, const char *p, size_t n, struct str *data)
{
    size_t i = 0;
    *data = str_n(p, 0);
    while (i < n && c->state != DONE) {
        if (c->state != DATA) {
            if (!on_byte(c, p[i++]))
                return -1;
            continue;
        }
        size_t take = n - i < c->left ? n - i : (size_t)c->left;
        *data = str_n(p + i, take);
        c->left -= take;
        if (c->left == 0)
            c->state = DATA_CR;
        i += take;
        break;
    }
    return (ptrdiff_t)i;
}

bool http_chunk_done(const struct http_chunk *c)
{
    return c->state == DONE;
}
