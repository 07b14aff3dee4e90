/* SPDX-License-Identifier: Apache-2.0
 *
 * The aws-chunked decoder: a state machine over bytes, with one line of memory. */
#include "auth/chunked.h"

#include <stdlib.h>

#include "auth/sigv4.h"
#include "base/encode.h"
#include "base/err.h"
#include "base/hash.h"

#define LINE_BYTES      4096        /* a chunk's line; all trailers together */
#define CHUNK_MAX       (16u << 20) /* a signed chunk */
#define TRAILERS_MAX    16
#define BLANK_LINES_MAX 2 /* before the trailers' signature */

enum state { CHUNK_LINE, CHUNK_DATA, CHUNK_CR, CHUNK_LF, TRAILER, END, FAILED };

struct chunked {
    const struct auth_payload *payload;
    enum state state;
    enum chunked_result failure; /* state FAILED */
    bool is_signed, has_trailer; /* of the form */
    bool last;                   /* in or after the chunk of length 0 */
    bool trailer_signed;         /* the trailers' signature was read and is right */
    unsigned blank_lines;        /* before it */
    uint64_t chunk_left, decoded;
    struct hash hash;             /* of this chunk's data, later of the trailers; signed forms only */
    uint8_t claimed[SHA256_LEN];  /* the signature in this chunk's line */
    char previous[SIGV4_HEX_LEN]; /* the signature before it */
    size_t line_start, line_len;  /* bytes before line_start are trailers already read */
    struct header trailer[TRAILERS_MAX];
    struct headers trailers;
    char line[LINE_BYTES];
};

struct chunked *chunked_new(const struct auth_payload *p)
{
    struct chunked *c = x_calloc(1, sizeof(*c));
    c->payload = p;
    c->is_signed = p->mode != PAYLOAD_STREAMING_UNSIGNED_TRAILER;
    c->has_trailer = p->mode != PAYLOAD_STREAMING_SIGNED;
    memcpy(c->previous, p->seed, sizeof(c->previous));
    c->trailers.v = c->trailer;
    return c;
}

void chunked_free(struct chunked *c)
{
    if (!c)
        return;
    hash_release(&c->hash);
    free(c);
}

const struct headers *chunked_trailers(const struct chunked *c)
{
    return &c->trailers;
}

static bool fail(struct chunked *c, enum chunked_result why)
{
    c->state = FAILED;
    c->failure = why;
    return false;
}

/* Collects a line up to its LF, which is dropped with a CR before it. False: not complete yet, or too long. */
static bool take_line(struct chunked *c, struct str *in, enum chunked_result too_long, struct str *out,
                      bool *cr)
{
    ptrdiff_t lf = str_chr(*in, '\n');
    size_t n = lf < 0 ? in->n : (size_t)lf;
    if (n > LINE_BYTES - c->line_start - c->line_len)
        return fail(c, too_long);
    if (n)
        memcpy(c->line + c->line_start + c->line_len, in->p, n);
    c->line_len += n;
    *in = str_from(*in, lf < 0 ? n : n + 1);
    if (lf < 0)
        return false;
    *out = str_n(c->line + c->line_start, c->line_len);
    c->line_len = 0;
    *cr = out->n && out->p[out->n - 1] == '\r';
    if (*cr)
        out->n--;
    return true;
}

/* 1 to 16 hex digits, nothing else. */
static bool hex_size(struct str s, uint64_t *out)
{
    char digits[16];
    uint8_t bytes[8];
    if (s.n == 0 || s.n > sizeof(digits))
        return false;
    memset(digits, '0', sizeof(digits));
    memcpy(digits + sizeof(digits) - s.n, s.p, s.n);
    if (!hex_decode(str_n(digits, sizeof(digits)), bytes, sizeof(bytes)))
        return false;
    struct str view = str_n(bytes, sizeof(bytes));
    return take_be64(&view, out);
}

/* The one extension that the signed form has; the unsigned form has none. */
static bool read_signature(struct chunked *c, struct str extension)
{
    const struct str name = STR("chunk-signature=");
    if (!str_starts(extension, name))
        return fail(c, CHUNKED_INCOMPLETE);
    if (!sigv4_digest(str_from(extension, name.n), c->claimed))
        return fail(c, CHUNKED_BAD_SIGNATURE);
    hash_begin(&c->hash, HASH_SHA256);
    return true;
}

/* Checks what was hashed, a chunk or the trailers, against the signature that came with it: each signature covers the one
 * before it. `middle`: lines between that one and the digest. */
static bool check_signature(struct chunked *c, struct str what, struct str middle)
{
    uint8_t digest[SHA256_LEN], ours[SHA256_LEN];
    char hex[SIGV4_HEX_LEN];
    struct buf text;
    buf_init(&text, LINE_BYTES);
    hash_end(&c->hash, digest);
    hex_lower(digest, sizeof(digest), hex);
    buf_str(&text, what);
    buf_put(&text, c->payload->date, sizeof(c->payload->date));
    buf_char(&text, '\n');
    buf_str(&text, c->payload->scope);
    buf_char(&text, '\n');
    buf_put(&text, c->previous, sizeof(c->previous));
    buf_str(&text, middle);
    buf_put(&text, hex, sizeof(hex));
    hash_hmac_sha256(str_n(c->payload->signing_key, SIGV4_KEY_LEN), buf_view(&text), ours);
    bool good = !text.failed && hash_equal(ours, c->claimed, sizeof(ours));
    buf_release(&text);
    if (!good)
        return fail(c, CHUNKED_BAD_SIGNATURE);
    hex_lower(ours, sizeof(ours), c->previous);
    return true;
}

static bool end_of_data(struct chunked *c)
{
    if (c->is_signed &&
        !check_signature(c, STR("AWS4-HMAC-SHA256-PAYLOAD\n"), STR("\n" SIGV4_EMPTY_SHA "\n")))
        return false;
    if (!c->last || !c->has_trailer) {
        c->state = CHUNK_CR;
        return true;
    }
    c->state = TRAILER;
    if (c->is_signed)
        hash_begin(&c->hash, HASH_SHA256);
    return true;
}

static bool chunk_line(struct chunked *c, struct str *in)
{
    struct str line, size;
    bool cr;
    if (!take_line(c, in, CHUNKED_INCOMPLETE, &line, &cr))
        return c->state != FAILED;
    if (!cr)
        return fail(c, CHUNKED_INCOMPLETE);
    if (c->is_signed) {
        struct str rest = line;
        (void)str_cut(&rest, ';', &size);
        if (!read_signature(c, rest))
            return false;
    } else {
        size = line;
    }
    if (!hex_size(size, &c->chunk_left))
        return fail(c, CHUNKED_INCOMPLETE);
    if (c->is_signed && c->chunk_left > CHUNK_MAX)
        return fail(c, CHUNKED_TOO_LARGE);
    if (c->chunk_left > c->payload->decoded_length - c->decoded)
        return fail(c, CHUNKED_INCOMPLETE);
    c->last = c->chunk_left == 0;
    if (c->last && c->decoded != c->payload->decoded_length)
        return fail(c, CHUNKED_INCOMPLETE);
    c->state = CHUNK_DATA;
    return c->last ? end_of_data(c) : true;
}

static bool chunk_data(struct chunked *c, struct str *in, void (*out)(void *ctx, struct str data), void *ctx)
{
    size_t n = in->n < c->chunk_left ? in->n : (size_t)c->chunk_left;
    struct str data = str_head(*in, n);
    *in = str_from(*in, n);
    c->chunk_left -= n;
    c->decoded += n;
    if (c->is_signed)
        hash_add(&c->hash, data.p, data.n);
    out(ctx, data);
    return c->chunk_left ? true : end_of_data(c);
}

static bool expect_byte(struct chunked *c, struct str *in, char byte, enum state next)
{
    if (in->p[0] != byte)
        return fail(c, CHUNKED_INCOMPLETE);
    *in = str_from(*in, 1);
    c->state = next;
    return true;
}

/* --- trailers ---------------------------------------------------------------------------------------- */

static bool is_announced(const struct chunked *c, struct str name)
{
    struct str rest = c->payload->trailer_names, one;
    while (str_cut(&rest, ',', &one))
        if (name.n && str_ieq(str_trim(one), name))
            return true;
    return false;
}

static bool all_came(const struct chunked *c)
{
    struct str rest = c->payload->trailer_names, one, value;
    while (str_cut(&rest, ',', &one)) {
        one = str_trim(one);
        if (one.n && !header_get(&c->trailers, one, &value))
            return false;
    }
    return true;
}

/* The line behind the trailers of the signed form. */
static bool trailer_signature(struct chunked *c, struct str hex)
{
    if (!sigv4_digest(str_trim(hex), c->claimed))
        return fail(c, CHUNKED_BAD_SIGNATURE);
    c->trailer_signed = true;
    return check_signature(c, STR("AWS4-HMAC-SHA256-TRAILER\n"), STR("\n"));
}

/* An empty line ends the trailers. Before the signature, clients may have one that means nothing. */
static bool trailer_blank(struct chunked *c)
{
    if (c->is_signed && !c->trailer_signed)
        return ++c->blank_lines <= BLANK_LINES_MAX || fail(c, CHUNKED_BAD_TRAILER);
    if (!all_came(c))
        return fail(c, CHUNKED_BAD_TRAILER);
    c->state = END;
    return true;
}

static bool trailer_line(struct chunked *c, struct str *in)
{
    struct str line, value;
    bool cr;
    if (!take_line(c, in, CHUNKED_BAD_TRAILER, &line, &cr))
        return c->state != FAILED;
    if (line.n == 0)
        return trailer_blank(c);
    const struct str signature = STR("x-amz-trailer-signature:");
    if (c->is_signed && !c->trailer_signed && str_istarts(line, signature))
        return trailer_signature(c, str_from(line, signature.n));
    ptrdiff_t colon = str_chr(line, ':');
    struct str name = str_head(line, colon < 0 ? 0 : (size_t)colon);
    if (c->trailer_signed || !is_announced(c, name) || header_get(&c->trailers, name, &value) ||
        c->trailers.n == TRAILERS_MAX)
        return fail(c, CHUNKED_BAD_TRAILER);
    if (c->is_signed) { /* the lines are signed with LF alone behind each */
        hash_add(&c->hash, line.p, line.n);
        hash_add(&c->hash, "\n", 1);
    }
    for (size_t i = 0; i < name.n; i++) {
        char *at = c->line + c->line_start + i;
        if (*at >= 'A' && *at <= 'Z')
            *at = (char)(*at + 32);
    }
    c->trailer[c->trailers.n++] = (struct header){name, str_trim(str_from(line, name.n + 1))};
    c->line_start += line.n; /* the views stay where they are */
    return true;
}

/* --- the machine ------------------------------------------------------------------------------------- */

static bool step(struct chunked *c, struct str *in, void (*out)(void *ctx, struct str data), void *ctx)
{
    switch (c->state) {
    case CHUNK_LINE:
        return chunk_line(c, in);
    case CHUNK_DATA:
        return chunk_data(c, in, out, ctx);
    case CHUNK_CR:
        return expect_byte(c, in, '\r', CHUNK_LF);
    case CHUNK_LF:
        return expect_byte(c, in, '\n', c->last ? END : CHUNK_LINE);
    case TRAILER:
        return trailer_line(c, in);
    case END: /* bytes after the end */
        return fail(c, CHUNKED_INCOMPLETE);
    case FAILED:
        return false;
    }
    return false;
}

enum chunked_result chunked_feed(struct chunked *c, struct str in, void (*out)(void *ctx, struct str data),
                                 void *ctx)
{
    while (in.n && step(c, &in, out, ctx))
        ;
    if (c->state == FAILED)
        return c->failure;
    return c->state == END ? CHUNKED_DONE : CHUNKED_MORE;
}
