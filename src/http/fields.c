/* SPDX-License-Identifier: Apache-2.0
 *
 * The meaning of a request head, where RFC 9112 leaves the server to refuse: one loop over the fields collects what
 * frames the message, then each rule is looked at once. */
#include "http/fields.h"

#include "http/chars.h"

struct seen {
    unsigned hosts, lengths, codings;
    struct str host, length, coding;
    bool close, keep_alive, expect, bad_expect, other_coding;
};

/* Members of a comma-separated list, trimmed; empty members are skipped (RFC 9110 5.6.1). */
static bool next_member(struct str *rest, struct str *member)
{
    while (str_cut(rest, ',', member)) {
        *member = str_trim(*member);
        if (member->n > 0)
            return true;
    }
    return false;
}

static void see_connection(struct seen *s, struct str v)
{
    struct str m;
    while (next_member(&v, &m)) {
        s->close |= str_ieq(m, STR("close"));
        s->keep_alive |= str_ieq(m, STR("keep-alive"));
    }
}

static void see_coding(struct seen *s, struct str v)
{
    struct str m;
    s->codings++; /* an empty field counts too: it is refused as one that is not chunked */
    for (unsigned members = 0; next_member(&v, &m); members++) {
        s->codings += members > 0;
        s->other_coding |= !str_ieq(m, STR("chunked"));
        s->coding = m;
    }
}

static void see_expect(struct seen *s, struct str v)
{
    if (str_ieq(v, STR("100-continue")))
        s->expect = true;
    else
        s->bad_expect = true;
}

static void see(struct seen *s, const struct header *h)
{
    switch (h->name.n) { /* most fields are none of these: the length tells without comparing */
    case 4:
        if (str_ieq(h->name, STR("host"))) {
            s->hosts++;
            s->host = h->value;
        }
        break;
    case 6:
        if (str_ieq(h->name, STR("expect")))
            see_expect(s, h->value);
        break;
    case 10:
        if (str_ieq(h->name, STR("connection")))
            see_connection(s, h->value);
        break;
    case 14:
        if (str_ieq(h->name, STR("content-length"))) {
            s->lengths++;
            s->length = h->value;
        }
        break;
    case 17:
        if (str_ieq(h->name, STR("transfer-encoding")))
            see_coding(s, h->value);
        break;
    default:
        break;
    }
}

static bool bad(enum http_problem *why, enum http_problem p)
{
    *why = p;
    return false;
}

/* uri-host [ ":" port ]; empty is allowed (RFC 9112 3.2). No userinfo: '@' is not in the class. */
static bool host_valid(struct str h)
{
    size_t i = 0, colons = 0;
    bool literal = h.n > 0 && h.p[0] == '[';
    if (literal) {
        ptrdiff_t end = str_chr(h, ']');
        if (end < 0)
            return false;
        for (i = 1; i < (size_t)end; i++)
            if (!http_is(h.p[i], CH_HOST) || h.p[i] == '[')
                return false;
        i = (size_t)end + 1;
        if (i < h.n && h.p[i] != ':')
            return false;
    }
    for (; i < h.n; i++) {
        if (!http_is(h.p[i], CH_HOST) || h.p[i] == '[' || h.p[i] == ']')
            return false;
        if (colons > 0 && (h.p[i] < '0' || h.p[i] > '9'))
            return false;
        colons += h.p[i] == ':';
    }
    return true;
}

/* The Host field is to be ignored then (RFC 9112 3.2.2). It says the same from here on, so that nobody can look at the
 * other one: a signature is made over that field, and the bucket may be in the host. */
static void set_host(struct http_req *r, struct str host)
{
    r->host = host;
    for (size_t i = 0; i < r->headers.n; i++)
        if (str_ieq(r->headers.v[i].name, STR("host")))
            r->headers.v[i].value = host;
}

/* "http://host:port/path?query" becomes "/path?query"; its host wins over the Host field. */
static bool reduce_absolute(struct http_req *r)
{
    struct str t = r->target;
    size_t scheme = str_istarts(t, STR("http://")) ? 7 : str_istarts(t, STR("https://")) ? 8 : 0;
    if (scheme == 0)
        return false;
    struct str rest = str_from(t, scheme);
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
        n++;
    if (n == 0 || !host_valid(str_head(rest, n)))
        return false;
    set_host(r, str_head(rest, n));
    rest = str_from(rest, n);
    if (rest.n > 0 && rest.p[0] == '/')
        r->target = rest;
    else
        r->target = rest.n == 0 ? STR("/") : arena_printf(&r->arena, "/%.*s", STR_FMT(rest));
    return true;
}

static bool check_target(struct http_req *r)
{
    bool star = str_eq_c(r->target, "*") && str_eq_c(r->method, "OPTIONS");
    if (r->target.n == 0 || (r->target.p[0] != '/' && !star && !reduce_absolute(r)))
        return false;
    ptrdiff_t q = str_chr(r->target, '?');
    r->path = q < 0 ? r->target : str_head(r->target, (size_t)q);
    r->query = q < 0 ? str_n(r->target.p + r->target.n, 0) : str_from(r->target, (size_t)q + 1);
    return true;
}

static bool check_length(struct http_req *r, const struct seen *s, unsigned minor, enum http_problem *why)
{
    uint64_t n = 0;
    if (s->codings > 0) {
        if (s->lengths > 0 || minor == 0)
            return bad(why, HTTP_BAD_REQUEST);
        if (!str_ieq(s->coding, STR("chunked")))
            return bad(why, HTTP_BAD_REQUEST); /* the last coding must be chunked, or the length is unknown */
        if (s->codings > 1 && s->other_coding)
            return bad(why, HTTP_TRANSFER_CODING);
        if (s->codings > 1)
            return bad(why, HTTP_BAD_REQUEST); /* chunked twice */
        r->chunked = true;
        r->content_length = -1;
        return true;
    }
    if (s->lengths > 1)
        return bad(why, HTTP_BAD_REQUEST); /* equal ones too: a proxy before us may have seen only one */
    if (s->lengths == 1 && (!str_to_u64(s->length, &n) || n > INT64_MAX))
        return bad(why, HTTP_BAD_REQUEST);
    r->content_length = (int64_t)n;
    return true;
}

static void collect(const struct http_req *r, struct seen *s)
{
    for (size_t i = 0; i < r->headers.n; i++)
        see(s, &r->headers.v[i]);
}

bool http_fields_check(struct http_req *r, unsigned minor, enum http_problem *why)
{
    struct seen s = {0};
    collect(r, &s);
    r->http10 = minor == 0;
    if (s.hosts > 1 || (s.hosts == 0 && minor > 0) || !host_valid(s.host))
        return bad(why, HTTP_BAD_REQUEST);
    r->host = s.host;
    if (!check_target(r))
        return bad(why, HTTP_BAD_REQUEST);
    if (!check_length(r, &s, minor, why))
        return false;
    if (s.bad_expect && minor > 0)
        return bad(why, HTTP_EXPECTATION);
    r->expect_continue = s.expect && minor > 0;
    r->keep_alive = !s.close && (minor > 0 || s.keep_alive);
    return true;
}

enum http_problem http_fields_refusal(const struct http_req *r)
{
    struct seen s = {0};
    enum http_problem why = HTTP_BAD_REQUEST;
    struct http_req probe = {0};
    collect(r, &s);
    if (!check_length(&probe, &s, 1, &why))
        return why;
    return HTTP_BAD_REQUEST;
}
