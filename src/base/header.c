/* SPDX-License-Identifier: Apache-2.0
 *
 * Looking up headers and query parameters. */
#include "base/header.h"

#include "base/encode.h"

bool header_get(const struct headers *h, struct str name, struct str *value)
{
    for (size_t i = 0; i < h->n; i++)
        if (str_ieq(h->v[i].name, name)) {
            *value = h->v[i].value;
            return true;
        }
    return false;
}

struct str header_value(const struct headers *h, struct str name)
{
    struct str value = {NULL, 0};
    if (header_get(h, name, &value) && !value.p)
        value.p = ""; /* there, and empty */
    return value;
}

size_t header_count(const struct headers *h, struct str name)
{
    size_t n = 0;
    for (size_t i = 0; i < h->n; i++)
        n += str_ieq(h->v[i].name, name);
    return n;
}

bool query_parse(struct arena *a, struct str raw, size_t max, struct headers *out)
{
    struct str rest = raw, pair;
    size_t n = raw.n > 0;
    for (size_t i = 0; i < raw.n; i++)
        n += raw.p[i] == '&';
    *out = (struct headers){0};
    if (n > max) {
        /* Empty pieces do not count, but whoever sends that many is refused all the same. */
        return false;
    }
    out->v = ARENA_ARRAY(a, struct header, n);
    while (str_cut(&rest, '&', &pair)) {
        if (pair.n == 0)
            continue;
        ptrdiff_t eq = str_chr(pair, '=');
        struct str name = eq < 0 ? pair : str_head(pair, (size_t)eq);
        struct str value = eq < 0 ? STR("") : str_from(pair, (size_t)eq + 1);
        struct header *h = &out->v[out->n++];
        if (!pct_decode_arena(a, name, true, &h->name) || !pct_decode_arena(a, value, true, &h->value))
            return false;
    }
    return true;
}

bool query_get(const struct headers *q, struct str name, struct str *value)
{
    for (size_t i = 0; i < q->n; i++)
        if (str_eq(q->v[i].name, name)) {
            *value = q->v[i].value;
            return true;
        }
    return false;
}
