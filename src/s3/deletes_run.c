/* SPDX-License-Identifier: Apache-2.0
 *
 * The commits of a removal of many objects: all closures of a window at once, and again those that rules or targets overtook.
 * A long head makes a long record of every key, so what a request may take of memory bounds the window. */
#include "s3/deletes.h"
#include "s3/emit.h"

#define ROWS_PER_KEY  20 /* the object's row read twice and removed, its extents' garbage */
#define ROWS_MAX      (KV_TXN_ROWS - 8)
#define BYTES_MAX     (KV_TXN_BYTES - (64u << 10))
#define BYTES_PER_KEY 512        /* written for a key beside its event: the rest is read */
#define WINDOW        (2u << 20) /* bytes of records: 1,000 usual ones */

/* Entries [from, to) in one closure. */
struct part {
    struct kv_commit commit;
    struct s3_req *r;
    struct delete_run *run;
    size_t from, to;
    struct arena rows; /* that the closure reads */
    bool again;
    enum s3_error error;
};

static void delete_entry(struct kv_txn *t, struct part *p, struct delete_entry *e)
{
    struct s3_req *r = p->r;
    struct object before; /* read again: an entry before this one may name the same key */
    struct object *old =
        store_txn_object_get(t, r->bucket, e->key, &p->rows, &before) == STORE_OK ? &before : NULL;
    if (old && !delete_condition_holds(&e->condition, old)) {
        e->error = S3E_PRECONDITION_FAILED;
        return;
    }
    if (old) {
        store_txn_object_delete(t, r->s3->store, r->bucket, e->key, old);
        p->run->garbage = true;
    } else if (p->run->existing_only) {
        return;
    }
    uint64_t seq = kv_txn_sequence(t);
    emit_txn_put(t, r, e->event, seq, seq);
}

/* May the entry's delete be written? A row that cannot be read ends the closure while it still may. */
static void check_entry(struct kv_txn *t, struct part *p, const struct delete_entry *e)
{
    struct object before;
    p->error = emit_txn_admit(t, p->r, e->event, &p->again);
    if (p->error != S3E_NONE || p->again)
        return;
    enum store_result res = store_txn_object_get(t, p->r->bucket, e->key, &p->rows, &before);
    p->error = res == STORE_MISSING ? S3E_NONE : s3_store_error(res);
}

static bool run_part(struct kv_txn *t, struct part *p)
{
    struct delete_run *run = p->run;
    p->again = false;
    p->error = emit_txn_check(t, p->r, &p->again);
    for (size_t i = p->from; i < p->to && p->error == S3E_NONE && !p->again; i++)
        if (run->entries[i].error == S3E_NONE)
            check_entry(t, p, &run->entries[i]);
    if (p->error != S3E_NONE || p->again)
        return false;
    for (size_t i = p->from; i < p->to; i++)
        if (run->entries[i].error == S3E_NONE)
            delete_entry(t, p, &run->entries[i]);
    return true;
}

static bool part_txn(struct kv_txn *t, void *ctx)
{
    struct part *p = ctx;
    arena_init(&p->rows);
    bool commit = run_part(t, p);
    arena_release(&p->rows);
    return commit;
}

static void run_begin(struct s3_req *r);

static void leave_window(struct s3_req *r, struct delete_run *run)
{
    r->arena = run->outer;
    arena_release(&run->window);
}

static void run_end(struct s3_req *r, struct delete_run *run, enum s3_error e)
{
    leave_window(r, run);
    run->done(r, e);
}

static void all_done(struct s3_req *r, struct delete_run *run)
{
    if (run->garbage)
        store_wake_janitor(r->s3->store);
    if (run->error != S3E_NONE || (!run->again && run->at == run->n)) {
        run_end(r, run, run->error);
        return;
    }
    leave_window(r, run);
    if (!run->again || s3_renew_bucket(r))
        run_begin(r);
}

static void part_done(void *ctx, enum kv_outcome outcome)
{
    struct part *p = ctx;
    struct s3_req *r = p->r;
    struct http_req *h = r->http;
    struct delete_run *run = p->run;
    if (outcome == KV_FAILED)
        run->error = S3E_SLOW_DOWN_WRITE;
    else if (outcome == KV_ABORTED && p->again)
        run->again = true;
    else if (outcome == KV_ABORTED)
        run->error = p->error;
    else if (!run->again)
        run->at = p->to;
    if (--run->parts_open == 0)
        all_done(r, run); /* the arena that p lies in may be gone by the end of it */
    http_release(h);
}

/* One closure for as many entries as fit. */
static struct part *make_part(struct s3_req *r, struct delete_run *run, size_t from)
{
    struct part *p = ARENA_NEW(r->arena, struct part);
    size_t rows = 0, bytes = 0, written = 0, i = from;
    for (; i < run->end; i++) {
        const struct event_out *ev = run->entries[i].event;
        size_t row = ROWS_PER_KEY + emit_rows(ev), byte = emit_bytes(ev) + 2 * EMIT_OBJECT_ROW;
        if (i > from && (rows + row > ROWS_MAX || bytes + byte > BYTES_MAX))
            break;
        rows += row;
        bytes += byte;
        written += emit_bytes(ev) + BYTES_PER_KEY;
    }
    p->r = r;
    p->run = run;
    p->from = from;
    p->to = i;
    p->commit = (struct kv_commit){
        .fn = part_txn, .done = part_done, .ctx = p, .loop = r->http->loop, .bytes = written};
    return p;
}

/* The next window, with its records. False when one of them is more than a closure takes. */
static bool match_window(struct s3_req *r, struct delete_run *run)
{
    size_t records = 0, i = run->at;
    for (; i < run->n && records < WINDOW; i++) {
        struct delete_entry *e = &run->entries[i];
        e->event = e->error == S3E_NONE ? emit_match(r, EVENT_REMOVED_DELETE, e->key) : NULL;
        if (e->event)
            emit_record(r, e->event, NULL, run->content_length);
        records += e->event ? e->event->ob.record.n + e->event->heard.record.n : 0;
        if (!emit_fits(e->event))
            return false;
    }
    run->end = i;
    return true;
}

static void run_commit(struct s3_req *r)
{
    struct delete_run *run = r->commit_state;
    run->again = false;
    run->outer = r->arena;
    r->arena = &run->window;
    if (!match_window(r, run)) {
        run_end(r, run, S3E_METADATA_TOO_LARGE);
        return;
    }
    size_t n = 0;
    struct part **parts = ARENA_ARRAY(r->arena, struct part *, run->n);
    for (size_t at = run->at; at < run->end; at = parts[n - 1]->to)
        parts[n++] = make_part(r, run, at);
    if (!n) {
        run_end(r, run, S3E_NONE);
        return;
    }
    run->parts_open = n;
    for (size_t i = 0; i < n; i++) {
        http_hold(r->http);
        kv_commit(store_kv(r->s3->store), &parts[i]->commit);
    }
}

static void run_warm(struct s3_req *r)
{
    struct delete_run *run = r->commit_state;
    for (size_t i = run->at; i < run->n; i++)
        if (run->entries[i].error == S3E_NONE)
            s3_warm(r, run->entries[i].key);
}

static void run_begin(struct s3_req *r)
{
    struct delete_run *run = r->commit_state;
    for (size_t i = run->at; i < run->n; i++)
        if (run->entries[i].error == S3E_NONE && s3_is_cold(r, run->entries[i].key)) {
            s3_work(r, run_warm, run_commit);
            return;
        }
    run_commit(r);
}

void deletes_run(struct s3_req *r, struct delete_run *run)
{
    run->at = 0;
    run->error = S3E_NONE;
    run->garbage = false;
    arena_init(&run->window);
    r->commit_state = run;
    run_begin(r);
}
