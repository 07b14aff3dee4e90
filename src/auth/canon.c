/* SPDX-License-Identifier: Apache-2.0
 *
 * The canonical forms of SigV4 as S3 has them: the path is decoded and encoded once and never normalised. */
#include "auth/sigv4.h"

#include <stdlib.h>

#include "base/encode.h"
#include "base/hash.h"

/* What stays as it is in the canonical forms; in a path the slash does too. */
static const uint8_t plain[256] = {
    ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1, ['0' ... '9'] = 1, ['-'] = 1,
    ['_'] = 1,         ['.'] = 1,         ['~'] = 1,         ['/'] = 2,
};

/* Decodes and encodes in one pass. False on a broken escape. */
static bool recode(struct buf *out, struct str in, bool path)
{
    const uint8_t most = path ? 2 : 1;
    size_t i = 0;
    while (i < in.n) {
        size_t run = i;
        while (run < in.n && (uint8_t)(plain[(uint8_t)in.p[run]] - 1) < most)
            run++;
        buf_put(out, in.p + i, run - i);
        if (run == in.n)
            return true;
        uint8_t c = (uint8_t)in.p[run];
        i = run + 1;
        if (c == '%') {
            if (!hex_decode(str_n(in.p + i, in.n - i < 2 ? 0 : 2), &c, 1))
                return false;
            i += 2;
        } else if (c == '+' && !path) {
            c = ' ';
        }
        char escape[3] = {'%'};
        hex_upper(&c, 1, escape + 1);
        if ((uint8_t)(plain[c] - 1) < most)
            buf_char(out, (char)c);
        else
            buf_put(out, escape, sizeof(escape));
    }
    return true;
}

bool auth_canon_path(struct buf *out, struct str raw_path)
{
    if (raw_path.n == 0) {
        buf_char(out, '/');
        return true;
    }
    return recode(out, raw_path, true);
}

static int pair_cmp(const void *va, const void *vb)
{
    const struct header *a = va, *b = vb;
    int r = str_cmp(a->name, b->name);
    return r ? r : str_cmp(a->value, b->value);
}

/* Values of one name in the order of the query: they were all encoded into one buffer, one behind the other. */
static int pair_cmp_as_sent(const void *va, const void *vb)
{
    const struct header *a = va, *b = vb;
    int r = str_cmp(a->name, b->name);
    return r ? r : (a->name.p > b->name.p) - (a->name.p < b->name.p);
}

/* Few pairs that come nearly sorted are the rule; many may come from somebody who hopes for quadratic time. */
static void sort_pairs(struct header *v, size_t n, int (*cmp)(const void *, const void *))
{
    if (n > 32) {
        qsort(v, n, sizeof(*v), cmp);
        return;
    }
    for (size_t i = 1; i < n; i++) {
        struct header x = v[i];
        size_t at = i;
        for (; at > 0 && cmp(&x, &v[at - 1]) < 0; at--)
            v[at] = v[at - 1];
        v[at] = x;
    }
}

/* Encodes one side of a pair into tmp, which has room for it and so does not move. */
static bool encode_side(struct buf *tmp, struct str raw, struct str *out)
{
    size_t at = tmp->len;
    if (!recode(tmp, raw, false))
        return false;
    *out = str_n(tmp->p + at, tmp->len - at);
    return true;
}

static bool encode_pairs(struct buf *tmp, struct str raw, struct headers *q)
{
    struct str rest = raw, pair;
    while (str_cut(&rest, '&', &pair)) {
        if (pair.n == 0)
            continue;
        ptrdiff_t eq = str_chr(pair, '=');
        struct str name = eq < 0 ? pair : str_head(pair, (size_t)eq);
        struct str value = eq < 0 ? STR("") : str_from(pair, (size_t)eq + 1);
        struct header *h = &q->v[q->n];
        if (!encode_side(tmp, name, &h->name) || !encode_side(tmp, value, &h->value))
            return false;
        if (!str_eq(h->name, STR("X-Amz-Signature")))
            q->n++;
    }
    return true;
}

static bool canon_query(struct buf *out, struct str raw_query, struct arena *scratch,
                        int (*cmp)(const void *, const void *))
{
    if (raw_query.n == 0)
        return true;
    size_t pairs = 1;
    for (size_t i = 0; i < raw_query.n; i++)
        pairs += raw_query.p[i] == '&';
    struct headers q = {.v = ARENA_ARRAY(scratch, struct header, pairs)};
    struct buf tmp;
    buf_init(&tmp, raw_query.n * 3);
    bool good = buf_reserve(&tmp, raw_query.n * 3) && encode_pairs(&tmp, raw_query, &q);
    if (good) {
        sort_pairs(q.v, q.n, cmp);
        for (size_t i = 0; i < q.n; i++) {
            if (i)
                buf_char(out, '&');
            buf_str(out, q.v[i].name);
            buf_char(out, '=');
            buf_str(out, q.v[i].value);
        }
    }
    buf_release(&tmp);
    return good;
}

bool auth_canon_query(struct buf *out, struct str raw_query, struct arena *scratch)
{
    return canon_query(out, raw_query, scratch, pair_cmp);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Trimmed, inner runs of blanks as one. */
static void put_value(struct buf *out, struct str v)
{
    v = str_trim(v);
    for (size_t i = 0; i < v.n;) {
        size_t end = i;
        while (end < v.n && !is_blank(v.p[end]))
            end++;
        buf_put(out, v.p + i, end - i);
        if (end == v.n)
            return;
        buf_char(out, ' ');
        while (is_blank(v.p[end])) /* ends: the last byte is no blank */
            end++;
        i = end;
    }
}

/* Headers that proxies and HTTP stacks take away: signed and not there is no error by itself. */
static bool may_be_absent(struct str name, struct str *value)
{
    *value = str_eq(name, STR("expect")) ? STR("100-continue") : STR("");
    return value->n || str_eq(name, STR("content-length")) || str_eq(name, STR("transfer-encoding")) ||
           str_eq(name, STR("user-agent"));
}

enum auth_result sigv4_canon_headers(struct buf *out, const struct headers *h,
                                     const struct sigv4_names *names)
{
    for (size_t i = 0; i < names->n; i++) {
        bool found = false;
        buf_str(out, names->v[i]);
        buf_char(out, ':');
        for (size_t k = 0; k < h->n; k++) {
            if (!str_ieq(h->v[k].name, names->v[i]))
                continue;
            if (found)
                buf_char(out, ',');
            put_value(out, h->v[k].value);
            found = true;
        }
        struct str value;
        if (!found && !may_be_absent(names->v[i], &value))
            return AUTH_UNSIGNED_HEADERS;
        if (!found)
            buf_str(out, value);
        buf_char(out, '\n');
    }
    return AUTH_OK;
}

enum auth_result sigv4_canon_request(struct buf *out, const struct auth_request *r,
                                     const struct sigv4_names *names, struct str payload_hash,
                                     struct arena *a)
{
    buf_str(out, r->method);
    buf_char(out, '\n');
    bool good = auth_canon_path(out, r->path);
    buf_char(out, '\n');
    good = good && canon_query(out, r->query, a, r->query_as_sent ? pair_cmp_as_sent : pair_cmp);
    buf_char(out, '\n');
    if (!good) /* a broken escape: nobody can have signed that */
        return AUTH_BAD_SIGNATURE;
    enum auth_result result = sigv4_canon_headers(out, r->headers, names);
    for (size_t i = 0; i < names->n; i++) {
        buf_char(out, i ? ';' : '\n');
        buf_str(out, names->v[i]);
    }
    buf_char(out, '\n');
    buf_str(out, payload_hash);
    return out->failed ? AUTH_BAD_SIGNATURE : result;
}

void sigv4_string_to_sign(struct buf *out, struct str date, struct str scope, struct str canonical)
{
    uint8_t digest[SHA256_LEN];
    char hex[SIGV4_HEX_LEN];
    hash_sha256(canonical, digest);
    hex_lower(digest, sizeof(digest), hex);
    buf_str(out, SIGV4_ALGORITHM);
    buf_char(out, '\n');
    buf_str(out, date);
    buf_char(out, '\n');
    buf_str(out, scope);
    buf_char(out, '\n');
    buf_put(out, hex, sizeof(hex));
}
