/* SPDX-License-Identifier: Apache-2.0
 *
 * Signing keys: four HMACs from secret, day, region and service; and a small stock of them, since all requests of a
 * day and region share one. */
#include "auth/sigv4.h"

#include <openssl/crypto.h>

#include "base/hash.h"

void auth_signing_key(struct str secret, struct str day, struct str region, struct str service,
                      uint8_t out[32])
{
    struct buf first;
    buf_init(&first, secret.n + 4);
    buf_str(&first, STR("AWS4"));
    buf_str(&first, secret);
    hash_hmac_sha256(buf_view(&first), day, out);
    OPENSSL_cleanse(first.p, first.len);
    buf_release(&first);
    const struct str steps[] = {region, service, STR("aws4_request")};
    for (size_t i = 0; i < 3; i++) {
        uint8_t next[SIGV4_KEY_LEN];
        hash_hmac_sha256(str_n(out, SIGV4_KEY_LEN), steps[i], next);
        memcpy(out, next, sizeof(next));
    }
}

void sigv4_stock_init(struct sigv4_stock *s)
{
    memset(s, 0, sizeof(*s));
    mutex_init(&s->mutex, RANK_AUTH);
}

void sigv4_stock_release(struct sigv4_stock *s)
{
    mutex_release(&s->mutex);
    OPENSSL_cleanse(s, sizeof(*s));
}

static bool is_key(const struct sigv4_stock_key *k, struct str day, struct str region)
{
    return k->used && str_eq(str_n(k->day, sizeof(k->day)), day) &&
           str_eq(str_n(k->region, k->region_len), region);
}

bool sigv4_stock_get(struct sigv4_stock *s, struct str day, struct str region, uint8_t key[SIGV4_KEY_LEN])
{
    bool found = false;
    mutex_lock(&s->mutex);
    for (size_t i = 0; i < SIGV4_STOCK && !found; i++)
        if (is_key(&s->v[i], day, region)) {
            memcpy(key, s->v[i].key, SIGV4_KEY_LEN);
            found = true;
        }
    mutex_unlock(&s->mutex);
    return found;
}

void sigv4_stock_add(struct sigv4_stock *s, struct str day, struct str region,
                     const uint8_t key[SIGV4_KEY_LEN])
{
    if (region.n > SIGV4_REGION_MAX || day.n != SIGV4_DAY_LEN)
        return;
    mutex_lock(&s->mutex);
    bool known = false; /* another thread was quicker */
    for (size_t i = 0; i < SIGV4_STOCK; i++)
        known = known || is_key(&s->v[i], day, region);
    if (!known) {
        struct sigv4_stock_key *k = &s->v[s->next++ % SIGV4_STOCK];
        memcpy(k->day, day.p, SIGV4_DAY_LEN);
        if (region.n)
            memcpy(k->region, region.p, region.n);
        k->region_len = region.n;
        memcpy(k->key, key, SIGV4_KEY_LEN);
        k->used = true;
    }
    mutex_unlock(&s->mutex);
}
