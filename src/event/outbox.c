/* SPDX-License-Identifier: Apache-2.0
 *
 * Queueing, inside the closure of the change itself. */
#include "base/log.h"
#include "event/delivery_impl.h"

/* What a value has beside its four texts: version, flags, attempts, lengths. */
#define ROW_OVERHEAD 48

static bool at_limit(struct kv_txn *t, const struct sender *s)
{
    int64_t rows[KV_COUNTERS];
    struct row_key k = outbox_counter_key(s->number);
    kv_txn_counters(t, row_key_str(&k), rows);
    return rows[0] >= s->conf->queue_limit;
}

/* On the committer's thread, inside a closure that will be given up. */
static void tell_refused(const struct sender *s)
{
    log_warn(
        s->label,
        "a write is refused with 503 SlowDown: the queue holds %lld events, which is its queue_limit, and "
        "queue_full is reject. Raise queue_limit, or see why the target takes no events",
        (long long)s->conf->queue_limit);
}

bool outbox_txn_admits(struct kv_txn *t, struct delivery *d, const struct target_set *targets)
{
    for (uint32_t i = 0; i < targets->n; i++) {
        const struct sender *s = delivery_sender(d, targets->number[i]);
        if (s && s->conf->queue_limit > 0 && s->conf->queue_full == QUEUE_FULL_REJECT && at_limit(t, s)) {
            tell_refused(s);
            return false;
        }
    }
    return true;
}

/* On the committer's thread, once the batch without the event is durable. */
static void tell_dropped(void *arg)
{
    struct sender *s = arg;
    uint64_t n = atomic_fetch_add(&s->dropped, 1) + 1;
    /* Where writes are refused, only events of reads are dropped. */
    bool reject = s->conf->queue_full == QUEUE_FULL_REJECT;
    log_warn(
        s->label,
        "an event%s was dropped: the queue holds %lld, which is its queue_limit (%llu dropped so far). Raise "
        "queue_limit%s",
        reject ? " of a read" : "", (long long)s->conf->queue_limit, (unsigned long long)n,
        reject ? "" : ", or set queue_full=reject to refuse the writes instead");
}

void outbox_txn_put(struct kv_txn *t, struct delivery *d, struct outbox_event *ev, uint64_t row_seq,
                    uint64_t record_seq)
{
    struct outbox_row row = {.stale = ev->stale,
                             .name = event_name_text(ev->name),
                             .bucket = ev->bucket,
                             .key = ev->key,
                             .record = ev->record};
    struct buf value;
    event_record_stamp((char *)(uintptr_t)ev->record.p, ev->seq_at, record_seq);
    buf_init(&value, row.name.n + row.bucket.n + row.key.n + row.record.n + ROW_OVERHEAD);
    outbox_row_encode(&row, &value);
    BUG_ON(value.failed);
    for (uint32_t i = 0; i < ev->targets->n; i++) {
        struct sender *s = delivery_sender(d, ev->targets->number[i]);
        if (!s)
            continue;
        if (s->conf->queue_limit > 0 && (ev->read || s->conf->queue_full == QUEUE_FULL_DROP) &&
            at_limit(t, s)) {
            kv_txn_on_commit(t, tell_dropped, s);
            continue;
        }
        struct row_key k = outbox_key(s->number, row_seq), count = outbox_counter_key(s->number);
        kv_txn_put(t, KV_QUEUE, row_key_str(&k), buf_view(&value));
        kv_txn_add(t, row_key_str(&count), (int64_t[KV_COUNTERS]){1, (int64_t)value.len});
        kv_txn_on_commit(t, sender_wake, s);
    }
    buf_release(&value);
}
