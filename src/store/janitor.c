/* SPDX-License-Identifier: Apache-2.0
 *
 * The janitor: removes what rows name as garbage, and nothing else. It never infers from absence. A file goes
 * first, its folder is synced, then the row that named it goes; a crash between repeats the removal of a file
 * that is gone. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "store/store_internal.h"
#include "store/upload.h"

#define PASS_EVERY_MS 5000
#define PASS_BUSY_MS  1000 /* while a reader holds garbage */
#define PASS_GAP_MS   50
#define PASS_STEP     512
#define ABANDONED_MS  (10 * 60 * 1000) /* between two looks for uploads that nobody goes on with */

void id_list_add(struct id_list *l, uint64_t id)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 16;
        l->v = x_realloc(l->v, l->cap * sizeof *l->v);
    }
    l->v[l->n++] = id;
}

/* --- dropping rows --- */

struct drop {
    char kind; /* of ids, or of garbage */
    const uint64_t *ids;
    const struct garbage *garbage;
    size_t n;
};

static bool drop_rows(struct kv_txn *t, void *ctx)
{
    const struct drop *d = ctx;
    struct row_key k;

    for (size_t i = 0; i < d->n; i++) {
        if (d->ids)
            kv_txn_del(t, KV_META, row_key_id(&k, d->kind, d->ids[i]));
        else
            kv_txn_del(t, KV_META, row_key_garbage(&k, d->kind, d->garbage[i].seq, d->garbage[i].id));
    }
    return true;
}

static bool drop(struct store *s, struct drop all)
{
    while (all.n) {
        struct drop step = all;
        step.n = all.n < STORE_CLOSURE ? all.n : STORE_CLOSURE;
        if (kv_commit_wait(s->kv, drop_rows, &step, KV_PLAIN | KV_NOSYNC) != KV_COMMITTED)
            return false;
        all.n -= step.n;
        if (all.ids)
            all.ids += step.n;
        else
            all.garbage += step.n;
    }
    return true;
}

bool janitor_drop_ids(struct store *s, char kind, const uint64_t *ids, size_t n)
{
    return drop(s, (struct drop){.kind = kind, .ids = ids, .n = n});
}

bool janitor_drop_garbage(struct store *s, char what, const struct garbage *v, size_t n)
{
    return drop(s, (struct drop){.kind = what, .garbage = v, .n = n});
}

/* --- files --- */

static void keep_busy(struct janitor *j, struct garbage g)
{
    if (j->n_busy == j->cap_busy) {
        j->cap_busy = j->cap_busy ? 2 * j->cap_busy : 16;
        j->busy = x_realloc(j->busy, j->cap_busy * sizeof *j->busy);
    }
    j->busy[j->n_busy++] = g;
}

/* Unlinks the n files of v; those that are gone move to the front of v: how many. */
static size_t unlink_files(struct store *s, struct garbage *v, size_t n)
{
    size_t gone = 0;

    for (size_t i = 0; i < n; i++) {
        struct err e = {0};
        crash_point(CRASH_JANITOR_BEFORE_UNLINK);
        enum blob_remove r = blob_remove(s->blobs, v[i].id, &e);
        if (r == BLOB_REMOVED) {
            crash_point(CRASH_JANITOR_UNLINKED);
            v[gone++] = v[i];
            continue;
        }
        if (r == BLOB_REMOVE_FAILED)
            log_warn("store", "garbage stays for now: %s", e.text);
        keep_busy(&s->janitor, v[i]);
    }
    return gone;
}

/* Removes the files of these garbage rows, then the rows, and the t rows of what was discarded. */
static bool remove_files(struct store *s, struct garbage *v, size_t n)
{
    struct janitor *j = &s->janitor;
    struct err e = {0};

    mutex_lock(&j->mutex);
    struct id_list discarded = j->discarded;
    j->discarded = (struct id_list){0};
    mutex_unlock(&j->mutex);

    size_t gone = unlink_files(s, v, n);
    bool ok = true;
    if (gone || discarded.n) {
        ok = blobs_sync_removed(s->blobs, &e);
        if (!ok) {
            log_error("store", "%s", e.text);
            store_blobs_failed(s);
        }
        ok = ok && janitor_drop_ids(s, 't', discarded.v, discarded.n) &&
             janitor_drop_garbage(s, GARBAGE_BLOB, v, gone);
    }
    free(discarded.v);
    return ok;
}

static bool retry_busy(struct store *s)
{
    struct janitor *j = &s->janitor;
    struct garbage *v = j->busy;
    size_t n = j->n_busy;

    j->busy = NULL;
    j->n_busy = j->cap_busy = 0;
    bool ok = remove_files(s, v, n);
    free(v);
    return ok;
}

size_t janitor_collect(struct store *s, char what, struct garbage after, struct garbage *out, size_t max)
{
    struct row_key first, end;
    struct str key, value;
    struct err e = {0};
    size_t n = 0;

    struct kv_scan *scan =
        kv_scan_open(s->kv, KV_META, row_key_garbage(&first, what, after.seq, after.id + 1),
                     row_key_garbage(&end, (char)(what + 1), 0, 0));
    while (n < max && kv_scan_next(scan, &key, &value)) {
        char kind;
        if (row_garbage(key, &kind, &out[n].seq, &out[n].id))
            n++;
    }
    if (n < max && kv_scan_failed(scan, &e))
        log_error("store", "looking for garbage: %s", e.text);
    kv_scan_close(scan);
    return n;
}

/* Garbage rows arise in order of their sequencer, so what lies before the cursor was seen: those rows are
 * gone or in the list of busy ones. That spares every pass the walk over the rows that were deleted. */
static bool remove_garbage(struct store *s)
{
    struct janitor *j = &s->janitor;
    struct garbage v[PASS_STEP];
    size_t n;

    do {
        n = janitor_collect(s, GARBAGE_BLOB, j->cursor, v, PASS_STEP);
        if (n)
            j->cursor = v[n - 1];
        if (n && !remove_files(s, v, n))
            return false;
    } while (n == PASS_STEP && !atomic_load(&j->stop));
    return true;
}

/* --- dead buckets --- */

struct dead_rows {
    uint64_t bucket;
    struct arena arena;
    struct {
        struct str key;
        struct object object;
    } v[STORE_CLOSURE];
    size_t n, weight;
};

static bool delete_dead(struct kv_txn *t, void *ctx)
{
    struct dead_rows *d = ctx;

    for (size_t i = 0; i < d->n; i++) {
        kv_txn_del(t, KV_META, d->v[i].key);
        store_txn_drop_body(t, &d->v[i].object);
    }
    return true;
}

static bool flush_dead(struct store *s, struct dead_rows *d)
{
    bool ok = d->n == 0 || kv_commit_wait(s->kv, delete_dead, d, KV_NOSYNC) == KV_COMMITTED;

    crash_point(CRASH_JANITOR_BUCKET);
    arena_release(&d->arena);
    d->n = d->weight = 0;
    return ok && !atomic_load(&s->janitor.stop);
}

static void add_dead(struct dead_rows *d, struct str key, struct str row)
{
    d->v[d->n].key = arena_dup(&d->arena, key);
    if (!object_decode(arena_dup(&d->arena, row), &d->arena, &d->v[d->n].object)) {
        log_error("store",
                  "a damaged row of a deleted bucket is removed; what it named stays: see belfry check");
        d->v[d->n].object = (struct object){0};
    }
    d->weight += 1 + (d->v[d->n].object.extents_row ? 1 : d->v[d->n].object.n_extents);
    d->n++;
}

/* Reads rows from *at on, as many as one closure takes, and moves *at behind them. Nobody else changes the rows of a dead
 * bucket. */
static bool load_dead(struct store *s, struct dead_rows *d, struct buf *at)
{
    struct row_key end;
    struct str key, value;
    struct err e = {0};

    struct kv_scan *scan = kv_scan_open(s->kv, KV_META, buf_view(at), row_key_id(&end, 'o', d->bucket + 1));
    while (d->weight + 1 + OBJECT_EXTENTS <= STORE_CLOSURE && kv_scan_next(scan, &key, &value))
        add_dead(d, key, value);
    bool ok = !kv_scan_failed(scan, &e);
    if (!ok)
        log_error("store", "emptying a deleted bucket: %s", e.text);
    kv_scan_close(scan);
    if (d->n) {
        buf_reset(at);
        buf_str(at, d->v[d->n - 1].key);
        buf_char(at, 0);
    }
    return ok;
}

/* A scan for each closure: one over all of a large bucket would keep what is deleted meanwhile on the disk. */
static bool delete_objects(struct store *s, struct dead_rows *d)
{
    struct row_key first;
    struct buf at;
    bool ok, more;

    buf_init(&at, sizeof first.p + 1);
    buf_str(&at, row_key_id(&first, 'o', d->bucket));
    do {
        ok = load_dead(s, d, &at);
        more = d->n > 0;
        ok = flush_dead(s, d) && ok;
    } while (ok && more);
    buf_release(&at);
    return ok;
}

static bool empty_bucket(struct store *s, struct garbage g)
{
    struct dead_rows *d = x_calloc(1, sizeof *d);

    d->bucket = g.id;
    bool ok = delete_objects(s, d) && janitor_empty_uploads(s, g.id) && janitor_drop_ids(s, 'n', &g.id, 1) &&
              janitor_drop_garbage(s, GARBAGE_BUCKET, &g, 1);
    free(d);
    return ok;
}

static bool empty_buckets(struct store *s)
{
    struct garbage g = {0};

    while (!atomic_load(&s->janitor.stop) && janitor_collect(s, GARBAGE_BUCKET, g, &g, 1))
        if (!empty_bucket(s, g))
            return false;
    return true;
}

/* --- the thread --- */

struct look {
    struct observed *observed;
    int64_t elapsed_ns;
};

static bool put_observed(struct kv_txn *t, void *ctx)
{
    struct look *l = ctx;
    struct buf row;

    observed_add(l->observed, kv_txn_sequence(t), l->elapsed_ns);
    buf_init(&row, sizeof(struct observed) + 1);
    observed_encode(l->observed, &row);
    kv_txn_put(t, KV_META, ROW_KEY_OBSERVED, buf_view(&row));
    buf_release(&row);
    return true;
}

static void load_observed(struct store *s)
{
    struct err e = {0};
    struct kv_value v;
    enum kv_result r = kv_get(s->kv, KV_META, ROW_KEY_OBSERVED, 0, &v, &e);

    if (r == KV_DAMAGED)
        log_error("store", "how long the store has run is not known any more: %s", e.text);
    if (r != KV_FOUND)
        return;
    if (!observed_decode(v.data, &s->janitor.observed))
        s->janitor.observed = (struct observed){0};
    kv_value_release(&v);
}

/* What ran since the last look has passed, whatever the wall clock says. */
static bool observe(struct store *s, int64_t now_ms)
{
    struct janitor *j = &s->janitor;

    if (!j->observed_ms)
        load_observed(s);
    struct look l = {&j->observed, j->observed_ms ? (now_ms - j->observed_ms) * 1000000 : 0};
    j->observed_ms = now_ms;
    return kv_commit_wait(s->kv, put_observed, &l, KV_PLAIN | KV_NOSYNC) == KV_COMMITTED;
}

static bool look_for_abandoned(struct store *s)
{
    int64_t now = clock_mono_ms();

    if (now < s->janitor.look_for_abandoned_ms)
        return true;
    s->janitor.look_for_abandoned_ms = now + ABANDONED_MS;
    if (!observe(s, now))
        return false;
    uint64_t before = observed_before(&s->janitor.observed);
    return before == 0 || janitor_abort_abandoned(s, before);
}

/* A closed kv's rows must stay as they are: after a failed write nothing is removed any more. */
static void pass(struct store *s)
{
    if (!kv_failed(s->kv, NULL) && !blobs_failed(s->blobs, NULL) && retry_busy(s) && look_for_abandoned(s) &&
        janitor_finish_uploads(s) && empty_buckets(s) && janitor_work_off_extents(s))
        remove_garbage(s);
    space_reclaim(s);
}

static void *janitor_run(void *arg)
{
    struct store *s = arg;
    struct janitor *j = &s->janitor;

    mutex_lock(&j->mutex);
    while (!atomic_load(&j->stop)) {
        int64_t next = clock_mono_ms() + (j->n_busy ? PASS_BUSY_MS : PASS_EVERY_MS);
        while (!j->kicked && !atomic_load(&j->stop) && cond_wait_until(&j->wake, &j->mutex, next))
            ;
        j->kicked = false;
        j->passes_begun++;
        mutex_unlock(&j->mutex);
        pass(s);
        mutex_lock(&j->mutex);
        j->passes_done = j->passes_begun;
        cond_broadcast(&j->done);
        int64_t gap = clock_mono_ms() + PASS_GAP_MS;
        while (!atomic_load(&j->stop) && cond_wait_until(&j->wake, &j->mutex, gap))
            ;
    }
    mutex_unlock(&j->mutex);
    return NULL;
}

void janitor_start(struct store *s)
{
    struct janitor *j = &s->janitor;

    mutex_init(&j->mutex, RANK_STORE);
    cond_init(&j->wake);
    cond_init(&j->done);
    j->kicked = true;
    j->running = true;
    j->thread = thread_start("janitor", janitor_run, s);
}

void janitor_stop(struct store *s)
{
    struct janitor *j = &s->janitor;

    if (!j->running)
        return;
    mutex_lock(&j->mutex);
    atomic_store(&j->stop, true);
    cond_signal(&j->wake);
    mutex_unlock(&j->mutex);
    thread_join(j->thread);
    if (!kv_failed(s->kv, NULL))
        remove_files(s, NULL, 0);
    free(j->busy);
    free(j->discarded.v);
    cond_release(&j->done);
    cond_release(&j->wake);
    mutex_release(&j->mutex);
    j->running = false;
}

static void kick(struct janitor *j)
{
    if (!j->kicked) {
        j->kicked = true;
        cond_signal(&j->wake);
    }
}

void store_wake_janitor(struct store *s)
{
    mutex_lock(&s->janitor.mutex);
    kick(&s->janitor);
    mutex_unlock(&s->janitor.mutex);
}

void janitor_discarded(struct store *s, uint64_t blob)
{
    mutex_lock(&s->janitor.mutex);
    id_list_add(&s->janitor.discarded, blob);
    mutex_unlock(&s->janitor.mutex);
}

bool janitor_wait(struct store *s, int64_t deadline_ms)
{
    struct janitor *j = &s->janitor;
    bool ok = true;

    mutex_lock(&j->mutex);
    kick(j);
    uint64_t target = j->passes_begun + 1;
    while (ok && j->passes_done < target)
        ok = cond_wait_until(&j->done, &j->mutex, deadline_ms);
    mutex_unlock(&j->mutex);
    return ok;
}

bool janitor_sweep(struct store *s, struct err *e)
{
    struct row_key first, end;
    struct id_list dead = {0};
    struct err why = {0};
    struct str key, value;
    uint64_t id;

    struct kv_scan *scan =
        kv_scan_open(s->kv, KV_META, row_key_id(&first, 't', 0), row_key_id(&end, 't', UINT64_MAX));
    while (kv_scan_next(scan, &key, &value))
        if (row_id(key, 1, &id))
            id_list_add(&dead, id);
    bool ok = !kv_scan_failed(scan, e);
    kv_scan_close(scan);
    /* One that does not go keeps its row and is tried again at the next start: no reason to serve nothing. */
    size_t gone = 0;
    for (size_t i = 0; ok && i < dead.n; i++) {
        if (blob_remove(s->blobs, dead.v[i], &why) == BLOB_REMOVED)
            dead.v[gone++] = dead.v[i];
        else
            log_warn("store", "what is left of an upload stays for now: %s", why.text);
    }
    dead.n = gone;
    ok = ok && blobs_sync_removed(s->blobs, e);
    crash_point(CRASH_JANITOR_SWEPT);
    /* Of files or of extents rows: both are ids of one kind. */
    if (ok && (!janitor_drop_ids(s, 'e', dead.v, dead.n) || !janitor_drop_ids(s, 't', dead.v, dead.n))) {
        ok = false;
        if (!kv_failed(s->kv, e))
            err_set(e, "cannot remove the rows of unfinished files");
    }
    free(dead.v);
    return ok;
}
