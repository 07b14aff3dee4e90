/* SPDX-License-Identifier: Apache-2.0
 *
 * Verifying a request's head: which way of authentication it uses, whether its claims hold, and how its body is
 * protected. Each step is a function that answers AUTH_OK or the reason why not. */
#include "auth/auth.h"

#include <openssl/crypto.h>
#include <stdlib.h>

#include "auth/auth_impl.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/err.h"
#include "base/hash.h"

#define CANON_MAX (1u << 20) /* heads are far smaller: the edge bounds them */
#define QUERY_MAX 1024

/* What both forms come down to. */
struct claim {
    struct sigv4_credential credential;
    struct str signed_headers, signature, token;
    char date[SIGV4_HEX_LEN / 4]; /* 20130524T000000Z */
    int64_t seconds;
    bool presigned;
};

struct auth *auth_new(const struct auth_config *c)
{
    struct auth *a = x_calloc(1, sizeof(*a));
    a->access_key = str_dupz(c->access_key);
    a->secret_key = str_dupz(c->secret_key);
    a->region = str_dupz(c->region);
    a->access = str_n(a->access_key, c->access_key.n);
    a->secret = str_n(a->secret_key, c->secret_key.n);
    a->place = str_n(a->region, c->region.n);
    sigv4_stock_init(&a->stock);
    return a;
}

void auth_free(struct auth *a)
{
    if (!a)
        return;
    OPENSSL_cleanse(a->secret_key, a->secret.n);
    free(a->access_key);
    free(a->secret_key);
    free(a->region);
    sigv4_stock_release(&a->stock);
    free(a);
}

/* --- the body's protection --------------------------------------------------------------------------- */

/* The streaming forms also say how long the decoded body is. */
static enum auth_result streaming(const struct auth_request *r, enum auth_payload_mode mode,
                                  struct auth_payload *p)
{
    p->mode = mode;
    if (mode != PAYLOAD_STREAMING_SIGNED)
        p->trailer_names = header_value(r->headers, STR("x-amz-trailer"));
    struct str length = header_value(r->headers, STR("x-amz-decoded-content-length"));
    return str_to_u64(str_trim(length), &p->decoded_length) ? AUTH_OK : AUTH_NO_DECODED_LENGTH;
}

static enum auth_result payload_of(const struct auth_request *r, struct str value, struct auth_payload *p)
{
    if (str_eq(value, STR("UNSIGNED-PAYLOAD"))) {
        p->mode = PAYLOAD_UNSIGNED;
        return AUTH_OK;
    }
    if (str_eq(value, STR("STREAMING-AWS4-HMAC-SHA256-PAYLOAD")))
        return streaming(r, PAYLOAD_STREAMING_SIGNED, p);
    if (str_eq(value, STR("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER")))
        return streaming(r, PAYLOAD_STREAMING_SIGNED_TRAILER, p);
    if (str_eq(value, STR("STREAMING-UNSIGNED-PAYLOAD-TRAILER")))
        return streaming(r, PAYLOAD_STREAMING_UNSIGNED_TRAILER, p);
    if (str_starts(value, STR("STREAMING-")))
        return AUTH_NOT_IMPLEMENTED;
    p->mode = PAYLOAD_SIGNED;
    return hex_decode(value, p->sha256, sizeof(p->sha256)) ? AUTH_OK : AUTH_BAD_CONTENT_SHA256;
}

/* --- steps of both forms ----------------------------------------------------------------------------- */

enum auth_result auth_check_region(const struct auth *a, struct str region)
{
    if (a->place.n == 0 || str_eq(region, a->place))
        return AUTH_OK;
    /* "US" is an old name of us-east-1. */
    if (str_eq(region, STR("US")) && str_eq(a->place, STR("us-east-1")))
        return AUTH_OK;
    return AUTH_WRONG_REGION;
}

static enum auth_result check_key(const struct auth *a, const struct claim *c)
{
    if (!str_eq(c->credential.access_key, a->access))
        return AUTH_UNKNOWN_KEY;
    /* The root credential has no session tokens, so whatever comes is not one of its own. */
    return c->token.n ? AUTH_BAD_TOKEN : AUTH_OK;
}

/* Headers that say what is to be done. What CloudFront adds on its way says nothing. */
static bool must_be_signed(struct str name)
{
    return (str_istarts(name, STR("x-amz-")) && !str_ieq(name, STR("x-amz-cf-id"))) ||
           str_istarts(name, STR("x-minio-"));
}

static enum auth_result check_names(const struct auth_request *r, const struct claim *c,
                                    const struct sigv4_names *names)
{
    if (!sigv4_names_has(names, STR("host")))
        return AUTH_UNSIGNED_HEADERS;
    /* Whoever holds a signed request must not add meaning to it that its maker did not sign. */
    for (size_t i = 0; i < r->headers->n; i++) {
        struct str name = r->headers->v[i].name;
        /* Hash and date are signed by their values. */
        bool by_value =
            !c->presigned && (str_ieq(name, STR("x-amz-content-sha256")) || str_ieq(name, STR("x-amz-date")));
        if (must_be_signed(name) && !by_value && !sigv4_names_has(names, name))
            return AUTH_UNSIGNED_HEADERS;
    }
    return AUTH_OK;
}

/* Computes the signature; true when it is the one that was sent. *hex: in lower case. */
static bool signature_right(struct auth *a, const struct claim *c, struct str canonical,
                            uint8_t key[SIGV4_KEY_LEN], char hex[SIGV4_HEX_LEN])
{
    uint8_t ours[SHA256_LEN], theirs[SHA256_LEN];
    struct str day = c->credential.day, region = c->credential.region;
    bool kept = sigv4_stock_get(&a->stock, day, region, key);
    if (!kept)
        auth_signing_key(a->secret, day, region, c->credential.service, key);
    struct buf text;
    buf_init(&text, CANON_MAX);
    sigv4_string_to_sign(&text, str_n(c->date, sizeof(c->date)), c->credential.scope, canonical);
    hash_hmac_sha256(str_n(key, SIGV4_KEY_LEN), buf_view(&text), ours);
    buf_release(&text);
    if (!sigv4_digest(c->signature, theirs) || !hash_equal(ours, theirs, sizeof(ours)))
        return false;
    hex_lower(ours, sizeof(ours), hex);
    if (!kept)
        sigv4_stock_add(&a->stock, day, region, key);
    return true;
}

/* AWS sorts the values of a repeated name; MinIO's clients, and its server, leave them in the order of the query. */
static enum auth_result check_as_sent(struct auth *a, const struct auth_request *r, const struct claim *c,
                                      const struct sigv4_names *names, struct str payload_hash,
                                      struct arena *scratch, struct str sorted, struct auth_payload *p)
{
    struct auth_request as_sent = *r;
    struct buf canonical;
    as_sent.query_as_sent = true;
    buf_init(&canonical, CANON_MAX);
    bool right = sigv4_canon_request(&canonical, &as_sent, names, payload_hash, scratch) == AUTH_OK &&
                 !str_eq(buf_view(&canonical), sorted) &&
                 signature_right(a, c, buf_view(&canonical), p->signing_key, p->seed);
    buf_release(&canonical);
    return right ? AUTH_OK : AUTH_BAD_SIGNATURE;
}

static enum auth_result check_signature(struct auth *a, const struct auth_request *r, const struct claim *c,
                                        struct str payload_hash, struct arena *scratch,
                                        struct auth_payload *p)
{
    struct sigv4_names names;
    if (!sigv4_names(c->signed_headers, scratch, &names))
        return c->presigned ? AUTH_MALFORMED_QUERY : AUTH_MALFORMED_HEADER;
    enum auth_result result = check_names(r, c, &names);
    if (result != AUTH_OK)
        return result;
    struct buf canonical;
    buf_init(&canonical, CANON_MAX);
    (void)buf_reserve(&canonical, 1024);
    result = sigv4_canon_request(&canonical, r, &names, payload_hash, scratch);
    if (result == AUTH_OK && !signature_right(a, c, buf_view(&canonical), p->signing_key, p->seed))
        result = check_as_sent(a, r, c, &names, payload_hash, scratch, buf_view(&canonical), p);
    buf_release(&canonical);
    memcpy(p->date, c->date, sizeof(p->date));
    p->scope = c->credential.scope;
    return result;
}

/* The checks that need no canonical form, in the order in which clients expect their errors. */
static enum auth_result check_claim(const struct auth *a, const struct auth_request *r, const struct claim *c)
{
    enum auth_result malformed = c->presigned ? AUTH_MALFORMED_QUERY : AUTH_MALFORMED_HEADER;
    if (!str_eq(c->credential.service, STR("s3")))
        return malformed;
    if (!str_eq(c->credential.day, str_n(c->date, SIGV4_DAY_LEN)))
        return malformed;
    enum auth_result result = r->region_free ? AUTH_OK : auth_check_region(a, c->credential.region);
    return result != AUTH_OK ? result : check_key(a, c);
}

static int64_t now_s(const struct auth_request *r)
{
    return r->now_ns / 1000000000;
}

/* --- Authorization header ---------------------------------------------------------------------------- */

/* x-amz-date, else Date; either in the basic ISO form, Date also as an HTTP date. */
static bool header_date(const struct auth_request *r, struct claim *c)
{
    struct str date = header_value(r->headers, STR("x-amz-date"));
    bool amz = date.p != NULL;
    if (!amz)
        date = header_value(r->headers, STR("date"));
    date = str_trim(date);
    if (clock_parse_amz(date, &c->seconds)) {
        memcpy(c->date, date.p, sizeof(c->date));
        return true;
    }
    /* Far-off years do not fit into nanoseconds. */
    if (amz || !clock_parse_http(date, &c->seconds) || c->seconds < 0 || c->seconds > INT64_MAX / 1000000000)
        return false;
    clock_amz(c->seconds * 1000000000, c->date);
    return true;
}

static enum auth_result verify_header(struct auth *a, const struct auth_request *r, struct str authorization,
                                      struct arena *scratch, struct auth_identity *id, struct auth_payload *p)
{
    struct sigv4_header header;
    struct claim c = {0};
    if (!sigv4_header(authorization, &header) || header_count(r->headers, STR("authorization")) != 1)
        return AUTH_MALFORMED_HEADER;
    c.credential = header.credential;
    c.signed_headers = header.signed_headers;
    c.signature = header.signature;
    c.token = header_value(r->headers, STR("x-amz-security-token"));
    if (!header_date(r, &c))
        return AUTH_NO_DATE;
    int64_t skew = c.seconds - now_s(r);
    if (skew > SIGV4_SKEW_S || skew < -SIGV4_SKEW_S)
        return AUTH_SKEWED;
    struct str hash = header_value(r->headers, STR("x-amz-content-sha256"));
    if (!hash.p)
        hash = STR(SIGV4_EMPTY_SHA);
    enum auth_result result = check_claim(a, r, &c);
    if (result == AUTH_OK)
        result = payload_of(r, hash, p);
    if (result == AUTH_OK)
        result = check_signature(a, r, &c, hash, scratch, p);
    if (result == AUTH_OK)
        *id = (struct auth_identity){.access_key = a->access};
    return result;
}

/* --- query ------------------------------------------------------------------------------------------- */

static enum auth_result check_expiry(struct str expires, const struct claim *c, int64_t now)
{
    struct str digits = str_starts(expires, STR("-")) ? str_from(expires, 1) : expires;
    int64_t n;
    if (digits.n == 0)
        return AUTH_MALFORMED_QUERY;
    for (size_t i = 0; i < digits.n; i++)
        if (digits.p[i] < '0' || digits.p[i] > '9')
            return AUTH_MALFORMED_QUERY;
    if (!str_to_i64(expires, &n) || n < 0 || n > SIGV4_EXPIRES_MAX)
        return AUTH_ACCESS_DENIED;
    if (c->seconds > now + SIGV4_SKEW_S)
        return AUTH_NOT_YET_VALID;
    return now >= c->seconds + n ? AUTH_EXPIRED : AUTH_OK;
}

bool auth_query_once(const struct headers *q, struct str name, struct str *value)
{
    size_t n = 0;
    for (size_t i = 0; i < q->n; i++)
        n += str_eq(q->v[i].name, name);
    return n == 1 && query_get(q, name, value);
}

static enum auth_result read_query(const struct headers *q, struct claim *c, struct str *expires)
{
    struct str algorithm, credential, date;
    c->presigned = true;
    if (!query_get(q, STR("X-Amz-Algorithm"), &algorithm) || !str_eq(algorithm, SIGV4_ALGORITHM) ||
        !query_get(q, STR("X-Amz-Credential"), &credential) ||
        !sigv4_credential(credential, &c->credential) || !query_get(q, STR("X-Amz-Date"), &date) ||
        !clock_parse_amz(date, &c->seconds) || !query_get(q, STR("X-Amz-Expires"), expires) ||
        !query_get(q, STR("X-Amz-SignedHeaders"), &c->signed_headers) ||
        !auth_query_once(q, STR("X-Amz-Signature"), &c->signature) || c->signature.n == 0)
        return AUTH_MALFORMED_QUERY;
    memcpy(c->date, date.p, sizeof(c->date));
    (void)query_get(q, STR("X-Amz-Security-Token"), &c->token);
    return AUTH_OK;
}

static enum auth_result verify_query(struct auth *a, const struct auth_request *r, struct arena *scratch,
                                     struct auth_identity *id, struct auth_payload *p)
{
    struct headers q;
    struct claim c = {0};
    struct str expires, hash;
    if (!query_parse(scratch, r->query, QUERY_MAX, &q))
        return AUTH_MALFORMED_QUERY;
    enum auth_result result = read_query(&q, &c, &expires);
    if (result == AUTH_OK)
        result = check_claim(a, r, &c);
    if (result == AUTH_OK)
        result = check_expiry(expires, &c, now_s(r));
    if (result != AUTH_OK)
        return result;
    if (!query_get(&q, STR("X-Amz-Content-Sha256"), &hash) &&
        !header_get(r->headers, STR("x-amz-content-sha256"), &hash))
        hash = STR("UNSIGNED-PAYLOAD");
    result = payload_of(r, hash, p);
    if (result == AUTH_OK)
        result = check_signature(a, r, &c, hash, scratch, p);
    if (result == AUTH_OK)
        *id = (struct auth_identity){.access_key = a->access};
    return result;
}

/* --- which form -------------------------------------------------------------------------------------- */

enum form { FORM_NONE, FORM_V4, FORM_V2, FORM_OTHER, FORM_TWO };

/* By raw names: whoever escapes the letters of X-Amz-Credential signs nothing. */
static enum form query_form(struct str query)
{
    struct str pair;
    bool v4 = false, v2 = false;
    if (str_find(query, STR("mz-")) < 0 && str_find(query, STR("MZ-")) < 0 &&
        str_find(query, STR("AWSAccessKeyId")) < 0)
        return FORM_NONE;
    while (str_cut(&query, '&', &pair)) {
        struct str name = pair;
        ptrdiff_t eq = str_chr(pair, '=');
        if (eq >= 0)
            name = str_head(pair, (size_t)eq);
        if (str_ieq(name, STR("X-Amz-Credential")) || str_ieq(name, STR("X-Amz-Signature")))
            v4 = true;
        if (str_eq(name, STR("AWSAccessKeyId")))
            v2 = true;
    }
    if (v4 && v2)
        return FORM_TWO;
    return v4 ? FORM_V4 : v2 ? FORM_V2 : FORM_NONE;
}

static enum form header_form(struct str authorization)
{
    if (authorization.n == 0)
        return FORM_NONE;
    if (str_starts(authorization, STR("AWS ")))
        return FORM_V2;
    return str_starts(authorization, SIGV4_ALGORITHM) ? FORM_V4 : FORM_OTHER;
}

static struct str authorization_of(const struct auth_request *r)
{
    return str_trim(header_value(r->headers, STR("authorization")));
}

bool auth_is_claimed(const struct auth_request *r)
{
    return authorization_of(r).n || query_form(r->query) != FORM_NONE;
}

enum auth_result auth_plain_payload(const struct auth_request *r, struct auth_payload *p)
{
    struct str hash = header_value(r->headers, STR("x-amz-content-sha256"));
    if (!hash.p)
        return AUTH_OK;
    enum auth_result result = payload_of(r, hash, p);
    /* Signed chunks without a signature to begin with cannot be checked. */
    if (p->mode == PAYLOAD_STREAMING_SIGNED || p->mode == PAYLOAD_STREAMING_SIGNED_TRAILER)
        result = AUTH_ACCESS_DENIED;
    return result;
}

enum auth_result auth_verify(struct auth *a, const struct auth_request *r, struct arena *scratch,
                             struct auth_identity *id, struct auth_payload *payload)
{
    *id = (struct auth_identity){.anonymous = true, .access_key = STR("")};
    *payload = (struct auth_payload){.mode = PAYLOAD_UNSIGNED};
    struct str authorization = authorization_of(r);
    enum form header = header_form(authorization), query = query_form(r->query);
    if (query == FORM_TWO || (header != FORM_NONE && query != FORM_NONE))
        return AUTH_TWO_MECHANISMS;
    switch (header != FORM_NONE ? header : query) {
    case FORM_V4:
        return header == FORM_V4 ? verify_header(a, r, authorization, scratch, id, payload)
                                 : verify_query(a, r, scratch, id, payload);
    case FORM_V2:
        return header == FORM_V2 ? sigv2_header(a, r, authorization, scratch, id, payload)
                                 : sigv2_query(a, r, scratch, id, payload);
    case FORM_NONE:
        /* What the body may be is no business of somebody unknown. */
        return auth_plain_payload(r, payload) == AUTH_OK ? AUTH_OK : AUTH_ACCESS_DENIED;
    default:
        return AUTH_UNSUPPORTED;
    }
}

struct str auth_root(const struct auth *a)
{
    return a->access;
}

struct str auth_secret(const struct auth *a, const struct auth_identity *id)
{
    return id->anonymous ? STR("") : a->secret;
}

bool allowed(const struct auth_identity *id, struct str action, struct str resource,
             const struct headers *conditions)
{
    (void)action;
    (void)resource;
    (void)conditions;
    return !id->anonymous;
}
