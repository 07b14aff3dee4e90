/* SPDX-License-Identifier: Apache-2.0
 *
 * The request head. First the raw lines are scanned as they arrive, with every check that must see the bytes as sent;
 * then llhttp takes the complete head apart; fields.c judges what the fields say together. */
#include <llhttp.h>

#include "http/chars.h"
#include "http/fields.h"
#include "http/parse.h"

#define METHOD_MAX \
    32 /* bytes; with the version and blanks well below the allowance of an open request line */

static bool bad(enum http_problem *why, enum http_problem p)
{
    *why = p;
    return false;
}

static size_t run_of(const char *p, size_t n, uint8_t class)
{
    size_t i = 0;
    while (i < n && http_is(p[i], class))
        i++;
    return i;
}

/* " HTTP/1.1" and nothing else may follow the target. */
static bool check_version(struct str v, enum http_problem *why)
{
    if (v.n != 8 || memcmp(v.p, "HTTP/", 5) != 0 || v.p[6] != '.')
        return bad(why, HTTP_BAD_REQUEST);
    if (v.p[5] < '0' || v.p[5] > '9' || v.p[7] < '0' || v.p[7] > '9')
        return bad(why, HTTP_BAD_REQUEST);
    if (v.p[5] != '1' || v.p[7] > '1')
        return bad(why, HTTP_VERSION);
    return true;
}

static bool check_request_line(struct http_scan *s, struct str line, const struct http_limits *lim,
                               enum http_problem *why)
{
    size_t m = run_of(line.p, line.n, CH_TOKEN);
    if (m == 0 || m == line.n || m > METHOD_MAX || line.p[m] != ' ')
        return bad(why, HTTP_BAD_REQUEST);
    struct str target = str_from(line, m + 1);
    ptrdiff_t blank = str_chr(target, ' ');
    size_t len = blank < 0 ? target.n : (size_t)blank;
    if (len > lim->max_target)
        return bad(why, HTTP_URI_TOO_LONG);
    if (blank <= 0 || run_of(target.p, len, CH_TARGET) != len)
        return bad(why, HTTP_BAD_REQUEST);
    s->target_len = len;
    return check_version(str_from(target, len + 1), why);
}

static bool check_field_line(struct str line)
{
    size_t name = run_of(line.p, line.n, CH_TOKEN);
    if (name == 0 || name == line.n || line.p[name] != ':')
        return false; /* a fold, a line without a name or colon, a blank before the colon */
    struct str value = str_from(line, name + 1);
    return run_of(value.p, value.n, CH_VALUE) == value.n;
}

/* One line without its CRLF. *end: it was the empty line that ends the head. */
static bool check_line(struct http_scan *s, struct str line, const struct http_limits *lim, bool *end,
                       enum http_problem *why)
{
    if (line.n == 0 && s->lines > 0) {
        *end = true;
        return true;
    }
    if (line.n == 0) {
        if (s->blank)
            return bad(why, HTTP_BAD_REQUEST);
        s->blank = true; /* RFC 9112 2.2: one empty line before a request is let pass */
        return true;
    }
    if (s->lines > lim->max_headers)
        return bad(why, HTTP_HEAD_TOO_LARGE);
    if (s->lines == 0 ? !check_request_line(s, line, lim, why)
                      : !check_field_line(line) && !bad(why, HTTP_BAD_REQUEST))
        return false;
    s->lines++;
    return true;
}

/* A line is still open at n: can it become one? */
static bool check_open_line(const struct http_scan *s, const char *p, size_t n, const struct http_limits *lim,
                            enum http_problem *why)
{
    if (s->lines == 0 && n > s->line && !http_is(p[s->line], CH_TOKEN) && p[s->line] != '\r')
        return bad(why, HTTP_BAD_REQUEST); /* TLS or noise: no need to wait for a line end that never comes */
    if (s->lines == 0 && n - s->line > lim->max_target + 64)
        return bad(why, HTTP_URI_TOO_LONG);
    if (s->lines > 0 && n > lim->max_head + s->target_len)
        return bad(why, HTTP_HEAD_TOO_LARGE);
    return true;
}

enum http_result http_head_scan(struct http_scan *s, const char *p, size_t n, const struct http_limits *lim,
                                size_t *len, enum http_problem *why)
{
    bool end = false;
    while (!end) {
        const char *lf = s->seen < n ? memchr(p + s->seen, '\n', n - s->seen) : NULL;
        if (!lf) {
            s->seen = n;
            return check_open_line(s, p, n, lim, why) ? HTTP_MORE : HTTP_BAD;
        }
        size_t at = (size_t)(lf - p);
        if (at == s->line || p[at - 1] != '\r') {
            *why = HTTP_BAD_REQUEST; /* a bare LF: some readers end a line there, some do not */
            return HTTP_BAD;
        }
        if (!check_line(s, str_n(p + s->line, at - 1 - s->line), lim, &end, why))
            return HTTP_BAD;
        s->line = s->seen = at + 1;
        if (s->lines > 0 && s->line > lim->max_head + s->target_len) {
            *why = HTTP_HEAD_TOO_LARGE;
            return HTTP_BAD;
        }
    }
    *len = s->line;
    return HTTP_OK;
}

/* What llhttp calls back with. The head is fed in one piece, so each span is one call. */
struct walk {
    llhttp_t parser;
    struct http_req *r;
    size_t cap;
    bool complete, overflow;
};

static int on_url(llhttp_t *l, const char *p, size_t n)
{
    struct walk *w = l->data;
    w->r->target = str_n(p, n);
    return 0;
}

static int on_field(llhttp_t *l, const char *p, size_t n)
{
    struct walk *w = l->data;
    struct headers *h = &w->r->headers;
    if (h->n == w->cap) {
        w->overflow = true;
        return -1;
    }
    h->v[h->n++] = (struct header){str_n(p, n), str_n(p + n, 0)};
    return 0;
}

static int on_value(llhttp_t *l, const char *p, size_t n)
{
    struct walk *w = l->data;
    struct headers *h = &w->r->headers;
    if (h->n > 0)
        h->v[h->n - 1].value = str_trim(str_n(p, n));
    return 0;
}

static int on_complete(llhttp_t *l)
{
    struct walk *w = l->data;
    w->complete = true;
    return HPE_PAUSED; /* the body's framing is ours */
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_complete,
};

/* The method before llhttp sees it, so that an unknown one is told from a malformed head. */
static bool take_method(const char *p, size_t len, const struct http_scan *s, struct http_req *r)
{
    static const char *const known[] = {"GET", "PUT", "HEAD", "POST", "DELETE", "OPTIONS"};
    size_t skip = s->blank ? 2 : 0;
    r->method = str_n(p + skip, run_of(p + skip, len - skip, CH_TOKEN));
    r->is_head = str_eq_c(r->method, "HEAD");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (str_eq_c(r->method, known[i]))
            return true;
    return false;
}

bool http_head_parse(const char *p, size_t len, const struct http_scan *s, struct http_req *r,
                     enum http_problem *why)
{
    if (!take_method(p, len, s, r))
        return bad(why, HTTP_METHOD);
    struct walk w = {.r = r, .cap = s->lines - 1};
    r->headers = (struct headers){w.cap ? arena_alloc(&r->arena, w.cap * sizeof(struct header)) : NULL, 0};
    llhttp_init(&w.parser, HTTP_REQUEST, &settings);
    w.parser.data = &w;
    llhttp_errno_t e = llhttp_execute(&w.parser, p, len);
    if (e != HPE_PAUSED || !w.complete || w.overflow || r->headers.n != w.cap)
        return bad(why, http_fields_refusal(r));
    return http_fields_check(r, w.parser.http_minor, why);
}
