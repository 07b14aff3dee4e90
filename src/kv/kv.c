/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading rows: straight to the implementation, from any thread, past the committer. */
#include "kv/kv.h"

#include <stdatomic.h>

#include "kv/commit.h"

enum kv_result kv_get(struct kv *kv, enum kv_space space, struct str key, unsigned flags,
                      struct kv_value *out, struct err *e)
{
    enum kv_result r = kv->backend->get(kv->self, space, key, flags, out, e);
    if (r == KV_DAMAGED)
        atomic_fetch_add(&kv->damaged, 1);
    return r;
}

void kv_value_release(struct kv_value *v)
{
    if (v->unpin)
        v->unpin(v->pin);
    *v = (struct kv_value){0};
}

bool kv_counters(struct kv *kv, struct str key, int64_t out[KV_COUNTERS], struct err *e)
{
    memset(out, 0, sizeof(int64_t) * KV_COUNTERS);
    struct kv_value v = {0};
    enum kv_result r = kv_get(kv, KV_META, key, 0, &v, e);
    if (r == KV_MISSING)
        return true;
    if (r != KV_FOUND)
        return false;
    bool ok = counter_decode(v.data, out) ||
              err_set(e, "a counter row has %zu bytes instead of %d", v.data.n, KV_COUNTERS * 8);
    kv_value_release(&v);
    return ok;
}

struct kv_scan *kv_scan_open(struct kv *kv, enum kv_space space, struct str first, struct str end)
{
    struct kv_scan *s = kv->backend->scan_open(kv->self, space, first, end);
    s->kv = kv;
    return s;
}

bool kv_scan_next(struct kv_scan *s, struct str *key, struct str *value)
{
    return s->backend->scan_next(s, key, value);
}

void kv_scan_seek(struct kv_scan *s, struct str key)
{
    s->backend->scan_seek(s, key);
}

bool kv_scan_failed(struct kv_scan *s, struct err *e)
{
    bool failed = s->backend->scan_failed(s, e);
    if (failed)
        atomic_fetch_add(&s->kv->damaged, 1);
    return failed;
}

void kv_scan_close(struct kv_scan *s)
{
    if (s)
        s->backend->scan_close(s);
}

bool kv_reclaim(struct kv *kv, struct err *e)
{
    return !kv->backend->reclaim || kv->backend->reclaim(kv->self, e);
}

void kv_compact(struct kv *kv, enum kv_space space, struct str first, struct str end)
{
    if (!kv_failed(kv, NULL))
        kv->backend->compact(kv->self, space, first, end);
}

bool kv_verify(struct kv *kv, void (*bad)(void *ctx, const char *what), void *ctx)
{
    return kv->backend->verify(kv->self, bad, ctx);
}
