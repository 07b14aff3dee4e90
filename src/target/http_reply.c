/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading an HTTP/1.1 reply: lines, and bytes that are counted. */
#include "target/http_reply.h"

#include "target/http.h"

#define CHUNK_DIGITS 15 /* 60 bits: no sum overflows */

void http_reply_init(struct http_reply *r)
{
    memset(r, 0, sizeof(*r));
    buf_init(&r->location, HTTP_REPLY_LINE);
    buf_init(&r->line, HTTP_REPLY_LINE);
}

void http_reply_release(struct http_reply *r)
{
    buf_release(&r->location);
    buf_release(&r->line);
}

void http_reply_reset(struct http_reply *r)
{
    struct buf location = r->location, line = r->line;
    buf_reset(&location);
    buf_reset(&line);
    *r = (struct http_reply){.location = location, .line = line};
}

/* --- the head ----------------------------------------------------------------------------------------------------- */

/* "HTTP/1.1 200 OK": also without the reason, and by a server of 1.0, which closes unless it says otherwise. */
static bool take_status(struct http_reply *r, struct str line)
{
    if (line.n < 12 || !str_istarts(line, STR("HTTP/1.")) || line.p[8] != ' ' ||
        (line.n > 12 && line.p[12] != ' '))
        return false;
    uint64_t status;
    if (!str_to_u64(str_n(line.p + 9, 3), &status) || status < 100 || status == 101 || line.p[7] < '0' ||
        line.p[7] > '9')
        return false;
    r->status = (unsigned)status;
    r->old = line.p[7] == '0';
    r->keeps = r->chunked = r->sized = false;
    r->retry_after_ms = 0;
    buf_reset(&r->location);
    r->at = REPLY_FIELD;
    return true;
}

static bool has_word(struct str list, struct str word)
{
    struct str piece;
    while (str_cut(&list, ',', &piece))
        if (str_ieq(str_trim(piece), word))
            return true;
    return false;
}

/* Which coding comes last is what the end of the body depends on. */
static struct str last_word(struct str list)
{
    struct str piece = list;
    while (str_cut(&list, ',', &piece))
        continue;
    return str_trim(piece);
}

static bool take_length(struct http_reply *r, struct str value)
{
    uint64_t n;
    if (!str_to_u64(value, &n) || n > INT64_MAX || (r->sized && n != r->left))
        return false;
    r->sized = true;
    r->left = n;
    return true;
}

static bool take_field(struct http_reply *r, struct str line, int64_t now_s)
{
    ptrdiff_t colon = str_chr(line, ':');
    if (colon < 0)
        return true;
    struct str name = str_head(line, (size_t)colon), value = str_trim(str_from(line, (size_t)colon + 1));
    if (str_ieq(name, STR("content-length")))
        return take_length(r, value);
    if (str_ieq(name, STR("transfer-encoding"))) {
        r->chunked = str_ieq(last_word(value), STR("chunked"));
        r->last |= !r->chunked || r->old; /* what else it is coded by ends with the connection */
    } else if (str_ieq(name,
                       STR("connection"))) { /* there may be several, and "close" is the stronger word */
        r->keeps |= has_word(value, STR("keep-alive"));
        r->last |= has_word(value, STR("close"));
    } else if (str_ieq(name, STR("location"))) {
        buf_reset(&r->location);
        buf_str(&r->location, value);
    } else if (str_ieq(name, STR("retry-after"))) {
        r->retry_after_ms = http_retry_after(value, now_s);
    }
    return true;
}

/* Behind the head: which form the body has (RFC 9112 6.3). */
static void head_ends(struct http_reply *r)
{
    if (r->status < 200) { /* the head of the reply itself is still to come */
        r->at = REPLY_STATUS;
        return;
    }
    r->last |= r->old && !r->keeps;
    /* Whether an error is the answer to this request, or a late word about another one, nobody can tell: so nothing that
     * comes after it on this connection is taken for an answer. */
    r->last |= r->status >= 400;
    bool bare = r->status == 204 || r->status == 304; /* no body, but who announces one may send it */
    r->last |= bare && (r->chunked || (r->sized && r->left > 0));
    if (bare)
        r->at = REPLY_DONE;
    else if (r->chunked)
        r->at = REPLY_SIZE;
    else if (r->sized)
        r->at = r->left > 0 ? REPLY_LENGTH : REPLY_DONE;
    else
        r->at = REPLY_ENDLESS;
    r->last |= r->at == REPLY_ENDLESS || (r->chunked && r->sized);
}

/* --- lines -------------------------------------------------------------------------------------------------------- */

static bool take_size(struct http_reply *r, struct str line)
{
    size_t n = 0;
    r->left = 0;
    for (; n < line.n; n++) {
        char c = (char)(line.p[n] | 0x20);
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                                                : 16;
        if (digit > 15)
            break;
        r->left = r->left << 4 | digit;
    }
    if (n == 0 || n > CHUNK_DIGITS || (n < line.n && !memchr("; \t", line.p[n], 3)))
        return false;
    r->at = r->left > 0 ? REPLY_CHUNK : REPLY_TRAILER;
    return true;
}

static bool take_line(struct http_reply *r, struct str line, int64_t now_s)
{
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    switch (r->at) {
    case REPLY_STATUS:
        return take_status(r, line);
    case REPLY_FIELD:
        if (line.n > 0)
            return take_field(r, line, now_s);
        head_ends(r);
        return true;
    case REPLY_SIZE:
        return take_size(r, line);
    case REPLY_CHUNK_END:
        r->at = REPLY_SIZE;
        return line.n == 0;
    default:
        if (line.n == 0)
            r->at = REPLY_DONE;
        return true;
    }
}

/* False: what came is no reply. */
static bool feed_line(struct http_reply *r, struct str *in, int64_t now_s)
{
    const char *end = memchr(in->p, '\n', in->n);
    size_t n = end ? (size_t)(end - in->p) + 1 : in->n;
    struct str piece = str_head(*in, n);
    *in = str_from(*in, n);
    bool of_body = r->at == REPLY_SIZE || r->at == REPLY_CHUNK_END;
    *(of_body ? &r->body_bytes : &r->head_bytes) += n;
    if (r->head_bytes > HTTP_REPLY_HEAD)
        return false;
    if (end && r->line.len == 0 && n <= HTTP_REPLY_LINE)
        return take_line(r, str_head(piece, n - 1), now_s);
    buf_str(&r->line, piece);
    if (r->line.failed)
        return false;
    if (!end) /* no HTTP at all shows in its first bytes */
        return r->at != REPLY_STATUS || r->line.len < 5 || str_istarts(buf_view(&r->line), STR("HTTP/"));
    bool ok = take_line(r, str_head(buf_view(&r->line), r->line.len - 1), now_s);
    buf_reset(&r->line);
    return ok;
}

/* --- bytes -------------------------------------------------------------------------------------------------------- */

static void feed_bytes(struct http_reply *r, struct str *in)
{
    size_t n = r->at == REPLY_ENDLESS || in->n < r->left ? in->n : (size_t)r->left;
    *in = str_from(*in, n);
    r->body_bytes += n;
    if (r->at != REPLY_ENDLESS)
        r->left -= n;
    if (r->body_bytes > HTTP_REPLY_BODY) { /* it may never end */
        r->last = true;
        r->at = REPLY_DONE;
    } else if (r->at == REPLY_LENGTH && r->left == 0) {
        r->at = REPLY_DONE;
    } else if (r->at == REPLY_CHUNK && r->left == 0) {
        r->at = REPLY_CHUNK_END;
    }
}

enum http_fed http_reply_feed(struct http_reply *r, struct str *in, int64_t now_s)
{
    r->any |= in->n > 0;
    while (r->at != REPLY_DONE && in->n > 0) {
        if (r->at == REPLY_LENGTH || r->at == REPLY_ENDLESS || r->at == REPLY_CHUNK)
            feed_bytes(r, in);
        else if (!feed_line(r, in, now_s))
            return HTTP_FED_BROKEN;
    }
    return r->at == REPLY_DONE ? HTTP_FED_DONE : HTTP_FED_MORE;
}

bool http_reply_ended(const struct http_reply *r)
{
    return r->at == REPLY_ENDLESS || r->at == REPLY_DONE;
}
