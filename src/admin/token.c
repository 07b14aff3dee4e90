/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens for metrics. */
#include "admin/token.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/encode.h"
#include "base/hash.h"

#define SHA512_LEN 64

/* Base64url without padding (RFC 7515 2), by way of the standard alphabet. */
static bool decode(struct str in, void *out, size_t cap, size_t *n)
{
    char text[TOKEN_MAX + 4];
    size_t len = in.n;
    if (len > TOKEN_MAX || len % 4 == 1)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = in.p[i];
        if (c == '+' || c == '/' || c == '=')
            return false;
        text[i] = c == '-' ? '+' : c == '_' ? '/' : c;
    }
    while (len % 4)
        text[len++] = '=';
    return base64_decode(str_n(text, len), out, cap, n);
}

static bool signed_with(struct str text, struct str signature, struct str secret)
{
    uint8_t ours[EVP_MAX_MD_SIZE], theirs[SHA512_LEN];
    unsigned len;
    size_t n;
    if (!decode(signature, theirs, sizeof theirs, &n) || n != SHA512_LEN)
        return false;
    /* An empty key is one, too: a pointer must be there. */
    if (!HMAC(EVP_sha512(), secret.n ? secret.p : "", (int)secret.n, (const uint8_t *)text.p, text.n, ours,
              &len))
        return false;
    return len == SHA512_LEN && hash_equal(ours, theirs, SHA512_LEN);
}

/* NULL: no object. */
static json_t *part(struct str text)
{
    char raw[TOKEN_MAX];
    size_t n;
    if (!decode(text, raw, sizeof raw, &n))
        return NULL;
    json_t *j = json_loadb(raw, n, JSON_REJECT_DUPLICATES, NULL);
    if (j && !json_is_object(j)) {
        json_decref(j);
        j = NULL;
    }
    return j;
}

static bool is_text(const json_t *object, const char *key, struct str want)
{
    const json_t *v = json_object_get(object, key);
    return json_is_string(v) && str_eq(str_n(json_string_value(v), json_string_length(v)), want);
}

/* The algorithm is ours to choose, not the token's: any other name is refused. "crit" asks for what we do not know. */
static bool header_ok(struct str text)
{
    json_t *j = part(text);
    bool ok = j && is_text(j, "alg", STR("HS512")) && !json_object_get(j, "crit");
    json_decref(j);
    return ok;
}

static bool claims_ok(struct str text, struct str access_key, int64_t now_s)
{
    json_t *j = part(text);
    const json_t *exp = json_object_get(j, "exp"), *nbf = json_object_get(j, "nbf");
    bool ok = j && json_is_number(exp) && json_number_value(exp) > (double)now_s &&
              (!nbf || (json_is_number(nbf) && json_number_value(nbf) <= (double)now_s)) &&
              is_text(j, "iss", STR("prometheus")) && is_text(j, "sub", access_key);
    json_decref(j);
    return ok;
}

bool token_ok(struct str token, struct str access_key, struct str secret, int64_t now_s)
{
    struct str rest = token, header, claims;
    if (token.n > TOKEN_MAX || !str_cut(&rest, '.', &header) || !str_cut(&rest, '.', &claims) || !rest.p)
        return false;
    struct str text = str_head(token, header.n + 1 + claims.n);
    return header_ok(header) && signed_with(text, rest, secret) && claims_ok(claims, access_key, now_s);
}
