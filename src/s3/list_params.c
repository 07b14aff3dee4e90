/* SPDX-License-Identifier: Apache-2.0
 *
 * The query of a listing. */
#include "s3/list_params.h"

#include "base/encode.h"
#include "s3/route.h"

static bool get(const struct headers *query, const char *name, struct str *out)
{
    return query_get(query, str_c(name), out);
}

static bool max_keys(const struct headers *query, size_t *out)
{
    struct str v;
    uint64_t n;
    *out = KEYS_MAX;
    if (!get(query, "max-keys", &v) || !v.n)
        return true;
    if (!str_to_u64(v, &n) || n > INT32_MAX)
        return false;
    *out = n < KEYS_MAX ? (size_t)n : KEYS_MAX;
    return true;
}

static bool decode_token(struct arena *a, struct list_params *l)
{
    char *raw = arena_alloc(a, l->token.n + 1);
    size_t n;
    if (!base64_decode(l->token, raw, l->token.n + 1, &n) || (l->token.n && !n))
        return false;
    l->q.after = str_n(raw, n);
    return true;
}

/* A version behind which nothing of its key is left, or none: the page begins with the next key. */
static const char *version_params(const struct headers *query, struct list_params *l)
{
    l->owner = true;
    get(query, "key-marker", &l->marker);
    get(query, "version-id-marker", &l->version_marker);
    l->q.after = l->marker;
    if (l->version_marker.n && !l->marker.n)
        return "A version-id marker cannot be specified without a key marker.";
    if (l->version_marker.n && !str_eq(l->version_marker, STR("null")) &&
        !version_id_valid(l->version_marker))
        return "Invalid version id specified";
    return NULL;
}

const char *list_params(struct arena *a, const struct headers *query, struct list_params *l)
{
    struct str v;
    get(query, "prefix", &l->q.prefix);
    get(query, "delimiter", &l->q.delimiter);
    if (get(query, "encoding-type", &v) && v.n) {
        if (!str_ieq(v, STR("url")))
            return "Invalid Encoding Method specified in Request";
        l->url = true;
    }
    if (!max_keys(query, &l->q.max))
        return "Argument maxKeys must be an integer between 0 and 2147483647";
    l->metadata = l->kind != LIST_V1 && get(query, "metadata", &v) && str_eq(v, STR("true"));
    if (l->metadata && l->q.max > KEYS_MAX_META)
        l->q.max = KEYS_MAX_META;
    if (l->kind == LIST_VERSIONS)
        return version_params(query, l);
    l->owner = l->kind == LIST_V1 || (get(query, "fetch-owner", &v) && str_eq(v, STR("true")));
    if (l->kind == LIST_V1) {
        get(query, "marker", &l->marker);
        l->q.after = l->marker;
        return NULL;
    }
    get(query, "start-after", &l->start_after);
    l->q.after = l->start_after;
    l->has_token = get(query, "continuation-token", &l->token);
    if (l->has_token && l->token.n && !decode_token(a, l))
        return "The continuation token provided is incorrect";
    return NULL;
}
