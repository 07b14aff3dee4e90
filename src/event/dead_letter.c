/* SPDX-License-Identifier: Apache-2.0
 *
 * Dead letters: found, and taken out. */
#include "event/dead_letter.h"

#include "base/log.h"
#include "event/delivery_impl.h"

bool dead_filter_matches(const struct dead_filter *f, const struct outbox_row *row)
{
    return (f->bucket.n == 0 || str_eq(f->bucket, row->bucket)) && str_starts(row->key, f->prefix) &&
           (f->reason.n == 0 || str_find(row->reason, f->reason) >= 0) && row->dead_ns >= f->since_ns &&
           (f->until_ns == 0 || row->dead_ns < f->until_ns);
}

bool dead_letters_scan(struct kv *kv, uint32_t target, uint64_t after,
                       bool (*each)(void *ctx, const struct dead_letter *l), void *ctx, struct err *e)
{
    if (after == UINT64_MAX) /* nothing is */
        return true;
    struct row_key first = dead_letter_key(target, after + 1), end = dead_letter_key(target + 1, 0);
    struct kv_scan *scan = kv_scan_open(kv, KV_QUEUE, row_key_str(&first), row_key_str(&end));
    struct str key, value;
    bool more = true;
    while (more && kv_scan_next(scan, &key, &value)) {
        struct dead_letter l;
        if (outbox_key_seq(key, &l.seq) && outbox_row_decode(value, &l.row))
            more = each(ctx, &l);
        else
            log_error("event", "the row of a dead letter is damaged (target number %u)", target);
    }
    bool ok = !kv_scan_failed(scan, e);
    kv_scan_close(scan);
    return ok;
}

enum kv_result dead_letter_txn_get(struct kv_txn *t, uint32_t target, uint64_t seq, struct arena *a,
                                   struct outbox_row *row, size_t *size)
{
    struct row_key k = dead_letter_key(target, seq);
    struct kv_value v = {0};
    enum kv_result r = kv_txn_get(t, KV_QUEUE, row_key_str(&k), &v);
    if (r != KV_FOUND)
        return r;
    *size = v.data.n;
    bool ok = outbox_row_decode(arena_dup(a, v.data), row);
    kv_value_release(&v);
    return ok ? KV_FOUND : KV_DAMAGED;
}

/* On the committer's thread: there is room for one more. */
static void one_less(void *arg)
{
    struct sender *s = arg;
    atomic_fetch_sub(&s->dead, 1);
}

void dead_letter_txn_drop(struct kv_txn *t, struct delivery *d, uint32_t target, uint64_t seq, size_t size)
{
    struct row_key k = dead_letter_key(target, seq), count = dead_letter_counter_key(target);
    struct sender *s = delivery_sender(d, target);
    kv_txn_del(t, KV_QUEUE, row_key_str(&k));
    kv_txn_add(t, row_key_str(&count), (int64_t[KV_COUNTERS]){-1, -(int64_t)size});
    if (s)
        kv_txn_on_commit(t, one_less, s);
}
