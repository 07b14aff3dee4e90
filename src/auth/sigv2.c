/* SPDX-License-Identifier: Apache-2.0
 *
 * Signature Version 2, which old clients and test suites use: HMAC-SHA1 over a few headers, the x-amz- headers, the path as
 * it was sent, and the sub-resources of a list. */
#include <stdlib.h>

#include "auth/auth_impl.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/hash.h"

#define TEXT_MAX  (1u << 20) /* heads are far smaller: the edge bounds them */
#define QUERY_MAX 1024

/* Names of the query that are signed, in order. */
static const char *const signed_names[] = {
    "acl",
    "cors",
    "delete",
    "encryption",
    "legal-hold",
    "lifecycle",
    "location",
    "logging",
    "notification",
    "partNumber",
    "policy",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "retention",
    "select",
    "select-type",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
};
#define SIGNED_N (sizeof signed_names / sizeof signed_names[0])

bool auth_v2_signs(struct str name)
{
    for (size_t i = 0; i < SIGNED_N; i++)
        if (str_eq_c(name, signed_names[i]))
            return true;
    return false;
}

/* --- the text that is signed ----------------------------------------------------------------------------- */

static int name_cmp(const void *va, const void *vb)
{
    const struct header *const *a = va, *const *b = vb;
    int order =
        strncasecmp((*a)->name.p, (*b)->name.p, (*a)->name.n < (*b)->name.n ? (*a)->name.n : (*b)->name.n);
    if (order)
        return order;
    if ((*a)->name.n != (*b)->name.n)
        return (*a)->name.n < (*b)->name.n ? -1 : 1;
    return *a < *b ? -1 : *a > *b; /* in order of arrival */
}

static void lower_name(struct buf *out, struct str name)
{
    for (size_t i = 0; i < name.n; i++)
        buf_char(out, name.p[i] >= 'A' && name.p[i] <= 'Z' ? (char)(name.p[i] + 32) : name.p[i]);
}

/* name:value lines of the x-amz- headers, sorted; repeated ones as one, their values joined by ','. */
static void amz_headers(struct buf *out, const struct headers *h, struct arena *scratch)
{
    const struct header **v = ARENA_ARRAY(scratch, const struct header *, h->n);
    size_t n = 0;
    for (size_t i = 0; i < h->n; i++)
        if (str_istarts(h->v[i].name, STR("x-amz-")))
            v[n++] = &h->v[i];
    if (n)
        qsort(v, n, sizeof *v, name_cmp);
    for (size_t i = 0; i < n; i++) {
        bool again = i && str_ieq(v[i]->name, v[i - 1]->name);
        if (i)
            buf_char(out, again ? ',' : '\n');
        if (!again) {
            lower_name(out, v[i]->name);
            buf_char(out, ':');
        }
        buf_str(out, str_trim(v[i]->value));
    }
    if (n)
        buf_char(out, '\n');
}

/* The path as sent, with the bucket that the host names in front; then the signed names of the query, values decoded. */
static bool resource(struct buf *out, const struct auth_request *r, struct arena *scratch)
{
    struct headers q = {0};
    struct str value;
    if (r->query.n && !query_parse(scratch, r->query, QUERY_MAX, &q))
        return false;
    if (r->host_bucket.n) {
        buf_char(out, '/');
        buf_str(out, r->host_bucket);
    }
    buf_str(out, r->path.n ? r->path : STR("/"));
    char before = '?';
    for (size_t i = 0; i < SIGNED_N && q.n; i++) {
        struct str name = str_c(signed_names[i]);
        if (!query_get(&q, name, &value))
            continue;
        if (!auth_query_once(&q, name, &value))
            return false; /* only one of them would be signed */
        buf_char(out, before);
        buf_puts(out, signed_names[i]);
        if (value.n) {
            buf_char(out, '=');
            buf_str(out, value);
        }
        before = '&';
    }
    return true;
}

bool sigv2_string_to_sign(struct buf *out, const struct auth_request *r, struct str date,
                          struct arena *scratch)
{
    const struct str lines[] = {r->method, header_value(r->headers, STR("content-md5")),
                                header_value(r->headers, STR("content-type")), date};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        buf_str(out, lines[i]);
        buf_char(out, '\n');
    }
    amz_headers(out, r->headers, scratch);
    return resource(out, r, scratch) && !out->failed;
}

bool sigv2_right(struct str secret, struct str text, struct str signature)
{
    uint8_t ours[SHA1_LEN], theirs[SHA1_LEN];
    size_t n;
    hash_hmac_sha1(secret, text, ours);
    return base64_decode(signature, theirs, sizeof theirs, &n) && n == sizeof theirs &&
           hash_equal(ours, theirs, sizeof ours);
}

/* --- verifying ---------------------------------------------------------------------------------------- */

static bool right(struct auth *a, const struct auth_request *r, struct str date, struct str signature,
                  struct arena *scratch)
{
    struct buf text;
    buf_init(&text, TEXT_MAX);
    bool good =
        sigv2_string_to_sign(&text, r, date, scratch) && sigv2_right(a->secret, buf_view(&text), signature);
    buf_release(&text);
    return good;
}

static enum auth_result check(struct auth *a, const struct auth_request *r, struct str date,
                              struct str access_key, struct str signature, struct arena *scratch)
{
    if (!str_eq(access_key, a->access))
        return AUTH_UNKNOWN_KEY;
    if (right(a, r, date, signature, scratch))
        return AUTH_OK;
    /* "/bucket" and "/bucket/" are one resource: boto3 sends the first and signs the second. */
    struct auth_request slash = *r;
    slash.path = arena_printf(scratch, "%.*s/", STR_FMT(r->path));
    bool is_bucket = r->path.n > 1 && str_chr(str_from(r->path, 1), '/') < 0 && !r->host_bucket.n;
    return is_bucket && right(a, &slash, date, signature, scratch) ? AUTH_OK : AUTH_BAD_SIGNATURE;
}

/* An HTTP date, also with +0000 for GMT as mail programs write it; or the basic ISO form. */
static bool parse_date(struct str date, int64_t *seconds)
{
    char gmt[40];
    const struct str zone = STR("+0000");
    if (str_ends(date, zone) && date.n < sizeof gmt) {
        size_t n = date.n - zone.n;
        memcpy(gmt, date.p, n);
        memcpy(gmt + n, "GMT", 3);
        return clock_parse_http(str_n(gmt, n + 3), seconds);
    }
    return clock_parse_amz(date, seconds) || clock_parse_http(date, seconds);
}

enum auth_result sigv2_header(struct auth *a, const struct auth_request *r, struct str authorization,
                              struct arena *scratch, struct auth_identity *id, struct auth_payload *p)
{
    struct str claim = str_trim(str_from(authorization, 3)); /* behind "AWS" */
    const char *colon = claim.n ? memrchr(claim.p, ':', claim.n) : NULL;
    size_t at = colon ? (size_t)(colon - claim.p) : 0;
    if (at == 0 || header_count(r->headers, STR("authorization")) != 1)
        return AUTH_MALFORMED_V2;
    struct str amz = header_value(r->headers, STR("x-amz-date"));
    struct str date = amz.p ? amz : header_value(r->headers, STR("date"));
    int64_t seconds;
    if (!parse_date(str_trim(date), &seconds) || seconds < 0)
        return AUTH_NO_DATE;
    int64_t skew = seconds - r->now_ns / 1000000000;
    if (skew > SIGV4_SKEW_S || skew < -SIGV4_SKEW_S)
        return AUTH_SKEWED;
    enum auth_result result =
        check(a, r, amz.p ? STR("") : date, str_head(claim, at), str_from(claim, at + 1), scratch);
    if (result == AUTH_OK && header_count(r->headers, STR("x-amz-security-token")))
        result = AUTH_BAD_TOKEN; /* the root credential has none */
    if (result == AUTH_OK)
        result = auth_plain_payload(r, p);
    if (result == AUTH_OK)
        *id = (struct auth_identity){.access_key = a->access};
    return result;
}

/* Whoever holds a presigned URL must not add meaning to it. x-amz- headers are signed; ours are not. */
static bool has_unsigned_header(const struct auth_request *r)
{
    for (size_t i = 0; i < r->headers->n; i++)
        if (str_istarts(r->headers->v[i].name, STR("x-minio-")))
            return true;
    return false;
}

enum auth_result sigv2_query(struct auth *a, const struct auth_request *r, struct arena *scratch,
                             struct auth_identity *id, struct auth_payload *p)
{
    struct headers q;
    struct str access_key, expires, signature, token;
    uint64_t seconds;
    if (!query_parse(scratch, r->query, QUERY_MAX, &q) ||
        !auth_query_once(&q, STR("AWSAccessKeyId"), &access_key) ||
        !auth_query_once(&q, STR("Expires"), &expires) ||
        !auth_query_once(&q, STR("Signature"), &signature) || !str_to_u64(expires, &seconds))
        return AUTH_V2_QUERY;
    if (has_unsigned_header(r))
        return AUTH_UNSIGNED_HEADERS;
    enum auth_result result = check(a, r, expires, access_key, signature, scratch);
    if (result == AUTH_OK && (header_count(r->headers, STR("x-amz-security-token")) ||
                              query_get(&q, STR("x-amz-security-token"), &token)))
        result = AUTH_BAD_TOKEN;
    if (result == AUTH_OK && (uint64_t)(r->now_ns / 1000000000) >= seconds)
        result = AUTH_EXPIRED;
    if (result == AUTH_OK)
        result = auth_plain_payload(r, p);
    if (result == AUTH_OK)
        *id = (struct auth_identity){.access_key = a->access, .presigned_v2 = true};
    return result;
}
