/* SPDX-License-Identifier: Apache-2.0
 *
 * What a closure may do: reads and writes over the indexed batch, counters, the sequencer. Its limits are
 * promises of our own code, so passing one is a BUG. */
#include "base/clock.h"
#include "base/log.h"
#include "kv/commit.h"

static void count(struct kv_txn *t, size_t rows, size_t bytes)
{
    t->rows += rows;
    t->bytes += bytes;
    t->batch->rows += rows;
    t->batch->bytes += bytes;
    if (t->rows > (t->plain ? KV_PLAIN_ROWS : KV_TXN_ROWS))
        BUG("a closure touches more than %d rows", t->plain ? KV_PLAIN_ROWS : KV_TXN_ROWS);
    if (t->bytes > KV_TXN_BYTES)
        BUG("a closure touches more than %u bytes", KV_TXN_BYTES);
}

enum kv_result kv_txn_get(struct kv_txn *t, enum kv_space space, struct str key, struct kv_value *out)
{
    if (t->plain)
        BUG("a plain write reads");
    const struct kv_op *op = batch_find(t->batch, space, key);
    if (op) {
        count(t, 1, key.n + op->value.n);
        if (op->kind == KV_OP_DEL)
            return KV_MISSING;
        *out = (struct kv_value){.data = op->value};
        return KV_FOUND;
    }
    struct err e = {0};
    enum kv_result r = t->kv->backend->get(t->kv->self, space, key, 0, out, &e);
    if (r == KV_DAMAGED)
        log_error("kv", "a row cannot be read: %s", e.text);
    count(t, 1, key.n + (r == KV_FOUND ? out->data.n : 0));
    return r;
}

/* A counter row that is put or deleted as a row: what was added before in this batch is part of the past. */
static void forget_counter(struct kv_txn *t, enum kv_space space, struct str key)
{
    struct kv_counter *c = space == KV_META ? batch_counter(t->batch, key) : NULL;
    if (c)
        c->live = false;
}

static void set(struct kv_txn *t, enum kv_op_kind kind, enum kv_space space, struct str key, struct str value)
{
    t->wrote = true;
    forget_counter(t, space, key);
    if (t->plain)
        batch_append(t->batch, kind, space, key, value);
    else
        batch_set(t->batch, kind, space, key, value);
}

void kv_txn_put(struct kv_txn *t, enum kv_space space, struct str key, struct str value)
{
    bool body = space == KV_DATA && !t->body;
    count(t, 1, body ? key.n : key.n + value.n);
    if (body) {
        t->body = true;
        t->batch->bytes += value.n;
    }
    set(t, KV_OP_PUT, space, key, value);
}

void kv_txn_del(struct kv_txn *t, enum kv_space space, struct str key)
{
    count(t, 1, key.n);
    set(t, KV_OP_DEL, space, key, (struct str){0});
}

void kv_txn_del_range(struct kv_txn *t, enum kv_space space, struct str first, struct str end)
{
    if (!t->plain)
        BUG("a range delete in a closure that is no plain write");
    if (str_cmp(first, end) >= 0)
        return;
    count(t, 1, first.n + end.n);
    t->wrote = true;
    struct kv_batch *b = t->batch;
    for (size_t i = 0; space == KV_META && i < b->n_counters; i++)
        if (str_cmp(first, b->counters[i].key) <= 0 && str_cmp(b->counters[i].key, end) < 0)
            b->counters[i].live = false;
    batch_append(b, KV_OP_DEL_RANGE, space, first, end);
}

/* --- counters
 * ----------------------------------------------------------------------------------------------------- */

bool counter_decode(struct str v, int64_t out[KV_COUNTERS])
{
    for (int i = 0; i < KV_COUNTERS; i++) {
        uint64_t n;
        if (!take_be64(&v, &n))
            return false;
        out[i] = (int64_t)n;
    }
    return v.n == 0;
}

static void counter_encode(const int64_t v[KV_COUNTERS], char out[KV_COUNTERS * 8])
{
    for (int i = 0; i < KV_COUNTERS; i++)
        for (int k = 0; k < 8; k++)
            out[i * 8 + k] = (char)((uint64_t)v[i] >> (56 - 8 * k));
}

/* The value as of now: what the batch wrote, else what is stored. */
static bool counter_read(struct kv_txn *t, struct str key, int64_t out[KV_COUNTERS], struct err *e)
{
    memset(out, 0, sizeof(int64_t) * KV_COUNTERS);
    const struct kv_op *op =
        t->plain ? batch_search(t->batch, KV_META, key) : batch_find(t->batch, KV_META, key);
    struct kv_value v = {0};
    if (op) {
        if (op->kind != KV_OP_PUT)
            return true;
        v.data = op->value;
    } else {
        enum kv_result r = t->kv->backend->get(t->kv->self, KV_META, key, 0, &v, e);
        if (r == KV_MISSING)
            return true;
        if (r != KV_FOUND)
            return false;
    }
    bool ok = counter_decode(v.data, out) ||
              err_set(e, "a counter row has %zu bytes instead of %d", v.data.n, KV_COUNTERS * 8);
    kv_value_release(&v);
    return ok;
}

/* The counter in the batch, read when it is not there yet. Without its true value the batch cannot be
 * written: the store fails rather than count wrong for ever. */
static struct kv_counter *counter_live(struct kv_txn *t, struct str key)
{
    struct kv_counter *c = batch_counter(t->batch, key);
    if (!c)
        c = batch_counter_new(t->batch, key);
    if (!c->live && !counter_read(t, key, c->value, &t->batch->why))
        t->batch->broken = true;
    c->live = true;
    return c;
}

void kv_txn_add(struct kv_txn *t, struct str key, const int64_t delta[KV_COUNTERS])
{
    count(t, 1, key.n + KV_COUNTERS * 8);
    t->wrote = true;
    struct kv_counter *c = counter_live(t, key);
    for (int i = 0; i < KV_COUNTERS; i++)
        c->value[i] += delta[i];
}

void kv_txn_counters(struct kv_txn *t, struct str key, int64_t out[KV_COUNTERS])
{
    if (t->plain)
        BUG("a plain write reads");
    count(t, 1, key.n + KV_COUNTERS * 8);
    const struct kv_counter *c = batch_counter(t->batch, key);
    if (c && c->live)
        memcpy(out, c->value, sizeof(c->value));
    else if (!counter_read(t, key, out, &t->batch->why))
        t->batch->broken = true;
}

/* --- sequencer and hooks
 * ------------------------------------------------------------------------------------------ */

uint64_t kv_txn_sequence(struct kv_txn *t)
{
    struct kv *kv = t->kv;
    int64_t now = clock_real_ns();
    uint64_t next = kv->last_sequence + 1;
    if (now > 0 && (uint64_t)now > next)
        next = (uint64_t)now;
    kv->last_sequence = t->batch->sequence = next;
    return next;
}

void kv_txn_on_commit(struct kv_txn *t, void (*fn)(void *arg), void *arg)
{
    t->wrote = true;
    batch_hook(t->batch, fn, arg);
}

void txn_finish_batch(struct kv *kv, bool plain)
{
    struct kv_batch *b = &kv->batch;
    void (*put)(struct kv_batch *, enum kv_op_kind, enum kv_space, struct str, struct str) =
        plain ? batch_append : batch_set;
    for (size_t i = 0; i < b->n_counters; i++) {
        if (!b->counters[i].live)
            continue;
        char v[KV_COUNTERS * 8];
        counter_encode(b->counters[i].value, v);
        put(b, KV_OP_PUT, KV_META, b->counters[i].key, str_n(v, sizeof(v)));
    }
#ifndef BELFRY_MUTATE_NO_HIGH_WATER
    if (b->sequence != 0) {
        char v[8];
        for (int k = 0; k < 8; k++)
            v[k] = (char)(b->sequence >> (56 - 8 * k));
        put(b, KV_OP_PUT, KV_META, KV_HIGH_WATER, str_n(v, sizeof(v)));
    }
#endif
}
