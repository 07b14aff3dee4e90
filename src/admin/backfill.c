/* SPDX-License-Identifier: Apache-2.0
 *
 * Backfill: queueing an event for every object there is, so that a new index or database can be filled. One call takes a page of
 * a listing and says where the next one goes on. Each object is read again in the closure that queues its event: so it
 * tells what is true at that place of the order, and never overtakes or brings back anything. */
#include "base/json.h"
#include "base/log.h"

#include "admin/truth.h"

#define PAGE_MAX      1000
#define CLOSURE_KEYS  40           /* each is 1 row read and OUTBOX_ROWS(1) */
#define CLOSURE_BYTES (400u << 10) /* of records; with the rows that they are made of it fits KV_TXN_BYTES */

struct filling {
    struct admin_req *r;
    struct asked_target target;
    struct truth_source source;
    struct str bucket;
    const struct list_entry *keys; /* what is left of the page */
    size_t n;
    struct arena arena; /* of one closure */
    /* what became of it */
    size_t done, queued; /* keys of it; objects that were still there */
    enum admin_error error;
};

/* The rows of as many of the keys as fit into one closure. */
static size_t make_rows(struct kv_txn *t, struct filling *f, const struct bucket *b, struct outbox_row *rows)
{
    size_t n = 0, bytes = 0;
    while (f->done < f->n && f->done < CLOSURE_KEYS && bytes < CLOSURE_BYTES) {
        struct object o;
        struct str key = f->keys[f->done++].key;
        enum store_result res = store_txn_object_get(t, b, key, &f->arena, &o);
        if (res != STORE_OK) /* gone since; a damaged row is in the log */
            continue;
        rows[n] = truth_row(&f->source, &f->arena, f->bucket, key, &o, o.seq);
        bytes += 2 * rows[n++].record.n + key.n;
    }
    return n;
}

static bool fill_txn(struct kv_txn *t, void *ctx)
{
    struct filling *f = ctx;
    struct outbox_row rows[CLOSURE_KEYS];
    struct bucket b;
    f->done = f->queued = 0;
    f->error = ADMIN_NONE;
    if (store_txn_bucket_find(t, f->bucket, &b) != STORE_OK) {
        f->error = ADMIN_NO_BUCKET;
        return false;
    }
    size_t n = make_rows(t, f, &b, rows);
    struct delivery *d = f->r->admin->o.s3->delivery;
    enum requeue may = outbox_txn_may_requeue(t, d, f->target.number, n);
    if (may != REQUEUE_OK) {
        f->error = may == REQUEUE_OFF ? ADMIN_TARGET_OFF : ADMIN_QUEUE_FULL;
        return false;
    }
    for (f->queued = 0; f->queued < n; f->queued++)
        outbox_txn_requeue(t, d, f->target.number, &rows[f->queued]);
    return true;
}

/* Without a sync, which is the page's: after a power cut within it who runs it goes on before it. */
static bool fill_some(struct filling *f)
{
    arena_init(&f->arena);
    enum kv_outcome o = kv_commit_wait(store_kv(f->r->admin->o.s3->store), fill_txn, f, KV_NOSYNC);
    arena_release(&f->arena);
    if (o == KV_FAILED)
        f->error = ADMIN_STORE;
    return o == KV_COMMITTED;
}

static bool nothing_txn(struct kv_txn *t, void *ctx)
{
    const struct filling *f = ctx;
    struct row_key k = outbox_counter_key(f->target.number);
    kv_txn_add(t, row_key_str(&k), (int64_t[KV_COUNTERS]){0, 0});
    return true;
}

/* What was queued is durable before it is told of: a closure of its own, because the last one of a page may have nothing to
 * write, or find the queue full. */
static void sync_queued(struct filling *f)
{
    if (kv_commit_wait(store_kv(f->r->admin->o.s3->store), nothing_txn, f, 0) != KV_COMMITTED)
        f->error = ADMIN_STORE;
}

static bool open_filling(struct admin_req *r, struct filling *f, uint64_t *max)
{
    *f = (struct filling){.r = r};
    f->source =
        (struct truth_source){r->admin->o.s3, r->id.access_key, str_c(r->http->peer_ip), "belfry backfill"};
    f->bucket = admin_query(r, "bucket");
    if (!admin_target(r, &f->target) || !admin_number(r, "limit", PAGE_MAX, max))
        return false;
    if (f->target.enabled)
        return true;
    admin_set_error(r, ADMIN_TARGET_OFF, NULL);
    return false;
}

/* The page's keys, in closures; *next: the last key that is done, in the arena of the request. */
static size_t fill_page(struct filling *f, const struct list_page *page, struct str *next)
{
    size_t at = 0, queued = 0;
    while (at < page->n && f->error == ADMIN_NONE) {
        f->keys = page->entries + at;
        f->n = page->n - at;
        if (!fill_some(f))
            break;
        at += f->done;
        queued += f->queued;
        *next = page->entries[at - 1].key;
    }
    if (queued > 0)
        sync_queued(f);
    return queued;
}

static void put_reply(struct filling *f, const struct list_page *page, size_t queued, struct str next,
                      uint64_t objects)
{
    struct buf *b = &f->r->out;
    bool whole = f->error == ADMIN_NONE;
    buf_printf(b, "{\"queued\":%zu,\"objects\":%llu", queued, (unsigned long long)objects);
    if (!whole)
        buf_puts(b, ",\"stopped\":\"the target's queue has reached its queue_limit\"");
    if (!whole || page->truncated) {
        buf_puts(b, ",\"next\":");
        json_quote(b, next);
    }
    buf_puts(b, "}\n");
}

void call_backfill(struct admin_req *r)
{
    struct filling f;
    struct list_page page;
    struct err e;
    uint64_t max, objects = 0, bytes = 0;
    struct store *store = r->admin->o.s3->store;
    if (!open_filling(r, &f, &max))
        return;
    struct bucket *b = store_bucket(store, f.bucket);
    if (!b) {
        admin_set_error(r, ADMIN_NO_BUCKET, NULL);
        return;
    }
    struct list_query q = {
        .prefix = admin_query(r, "prefix"), .after = admin_query(r, "after"), .max = (size_t)max};
    enum store_result res = store_list(store, b, &q, &r->http->arena, &page, &e);
    store_bucket_usage(store, b, &objects, &bytes);
    bucket_unref(b);
    if (res != STORE_OK) {
        log_error("event", "backfill of %.*s: %s", STR_FMT(f.bucket), e.text);
        admin_set_error(r, ADMIN_INTERNAL, NULL);
        return;
    }
    struct str next = q.after;
    size_t queued = fill_page(&f, &page, &next);
    /* A full queue is no failure: what was queued counts, and it goes on later. */
    if (f.error != ADMIN_NONE && f.error != ADMIN_QUEUE_FULL) {
        admin_set_error(r, f.error, NULL);
        return;
    }
    if (q.after.n == 0)
        log_info("event", "backfill of %.*s/%.*s for %.*s begins, as %.*s asked from %s", STR_FMT(f.bucket),
                 STR_FMT(q.prefix), STR_FMT(f.target.text), STR_FMT(r->id.access_key), r->http->peer_ip);
    put_reply(&f, &page, queued, next, objects);
}
