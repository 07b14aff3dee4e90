/* SPDX-License-Identifier: Apache-2.0
 *
 * Who made the policy of a form: the base64 text itself is what was signed. */
#include "auth/auth_impl.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/hash.h"

static enum auth_result verify_v4(struct auth *a, const struct auth_form *f)
{
    struct sigv4_credential c;
    int64_t seconds;
    if (!str_eq(f->algorithm, SIGV4_ALGORITHM) || !sigv4_credential(f->credential, &c) ||
        !clock_parse_amz(f->date, &seconds) || !str_eq(c.service, STR("s3")) ||
        !str_eq(c.day, str_head(f->date, SIGV4_DAY_LEN)))
        return AUTH_MALFORMED_FORM;
    enum auth_result result = auth_check_region(a, c.region);
    if (result != AUTH_OK)
        return result;
    if (!str_eq(c.access_key, a->access))
        return AUTH_UNKNOWN_KEY;
    if (f->token.n) /* the root credential has none */
        return AUTH_BAD_TOKEN;
    uint8_t key[SIGV4_KEY_LEN], ours[SHA256_LEN], theirs[SHA256_LEN];
    bool kept = sigv4_stock_get(&a->stock, c.day, c.region, key);
    if (!kept)
        auth_signing_key(a->secret, c.day, c.region, c.service, key);
    hash_hmac_sha256(str_n(key, sizeof key), f->policy, ours);
    if (!sigv4_digest(f->signature, theirs) || !hash_equal(ours, theirs, sizeof ours))
        return AUTH_BAD_SIGNATURE;
    if (!kept)
        sigv4_stock_add(&a->stock, c.day, c.region, key);
    return AUTH_OK;
}

static enum auth_result verify_v2(struct auth *a, const struct auth_form *f)
{
    if (!str_eq(f->v2_access_key, a->access))
        return AUTH_UNKNOWN_KEY;
    if (f->token.n)
        return AUTH_BAD_TOKEN;
    return sigv2_right(a->secret, f->policy, f->v2_signature) ? AUTH_OK : AUTH_BAD_SIGNATURE;
}

enum auth_result auth_verify_form(struct auth *a, const struct auth_form *f, struct auth_identity *id)
{
    bool v4 = f->algorithm.p || f->credential.p || f->date.p || f->signature.p;
    bool v2 = f->v2_access_key.p || f->v2_signature.p;
    *id = (struct auth_identity){.anonymous = true, .access_key = STR("")};
    if (v4 && v2)
        return AUTH_TWO_MECHANISMS;
    if (!v4 && !v2)
        return AUTH_OK;
    if (v4 ? !f->signature.p || !f->credential.p || !f->date.p || !f->algorithm.p
           : !f->v2_access_key.p || !f->v2_signature.p)
        return AUTH_MALFORMED_FORM;
    enum auth_result result = v4 ? verify_v4(a, f) : verify_v2(a, f);
    if (result == AUTH_OK)
        *id = (struct auth_identity){.access_key = a->access};
    return result;
}
