/* SPDX-License-Identifier: Apache-2.0
 *
 * PutObject: a body becomes an object, its events and its garbage in one commit. Small bodies are decoded and hashed on the
 * I/O thread and ride in the batch; larger ones flow through two buffers to a worker, which hashes them and writes the file. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "s3/emit.h"
#include "s3/meta.h"
#include "s3/ops.h"
#include "s3/put.h"
#include "s3/upload.h"

#define PUT_MAX  (5ull << 30)
#define PIECE    (512u << 10) /* one of the two buffers of a large body */
#define OVERHEAD 1024         /* row, keys and counters of a commit, roughly */

struct put {
    struct upload upload;
    struct put_commit commit;
    char *fill, *busy; /* large bodies: being filled by the socket; being worked on */
    size_t filled, working, fill_cap, busy_cap;
    bool large, ended, cut, job, paused, finished;
};

static struct put *put_of(struct s3_req *r)
{
    return r->op_state;
}

/* --- the commit, shared with CopyObject ------------------------------------------------------------------------------ */

static bool put_txn(struct kv_txn *t, void *ctx)
{
    struct s3_req *r = ctx;
    struct put_commit *c = r->commit_state;
    c->again = c->redo_wanted = false;
    c->error = emit_txn_check(t, r, &c->again);
    if (c->error != S3E_NONE || c->again)
        return false;
    struct object before, *old;
    c->error = emit_txn_old(t, r, r->key, &before, &old);
    if (c->error == S3E_NONE)
        c->error = c->check ? c->check(r, old, &c->redo_wanted) : condition_write(r, old);
    if (c->error == S3E_NONE && !c->redo_wanted)
        c->error = emit_txn_admit(t, r, c->event, &c->again);
    if (c->error != S3E_NONE || c->again || c->redo_wanted)
        return false;
    uint64_t seq = kv_txn_sequence(t);
    c->object->seq = seq;
    store_txn_object_put(t, r->s3->store, r->bucket, r->key, c->object, c->stage, old);
    emit_txn_put(t, r, c->event, seq, seq);
    c->replaced = old != NULL;
    return true;
}

static void put_committed(void *ctx, enum kv_outcome outcome)
{
    struct s3_req *r = ctx;
    struct put_commit *c = r->commit_state;
    if (outcome == KV_FAILED)
        c->error = S3E_SLOW_DOWN_WRITE;
    if (outcome == KV_ABORTED && c->redo_wanted) {
        c->redo(r);
        return;
    }
    if (outcome == KV_ABORTED && c->again) {
        /* Rules or targets changed since they were matched: match again. */
        if (s3_renew_bucket(r))
            put_commit(r, c);
        else
            c->done(r, false);
        return;
    }
    if (outcome == KV_COMMITTED) {
        if (c->stage)
            stage_committed(c->stage);
        c->stage = NULL;
        if (c->replaced)
            store_wake_janitor(r->s3->store);
    } else {
        s3_fail(r, c->error);
    }
    c->done(r, outcome == KV_COMMITTED);
}

static void put_match(struct s3_req *r)
{
    struct put_commit *c = r->commit_state;
    c->event = emit_match(r, c->event_name, r->key);
    if (c->event)
        emit_record(r, c->event, c->object, c->content_length);
    if (!emit_fits(c->event)) {
        s3_fail(r, S3E_METADATA_TOO_LARGE);
        c->done(r, false);
        return;
    }
    size_t inline_bytes = c->stage && stage_is_inline(c->stage) ? c->object->size : 0;
    s3_commit(r, put_txn, put_committed, OVERHEAD + inline_bytes + emit_bytes(c->event), 0);
}

static void put_warm(struct s3_req *r)
{
    s3_warm(r, r->key);
}

void put_commit(struct s3_req *r, struct put_commit *c)
{
    r->commit_state = c;
    if (s3_is_cold(r, r->key))
        s3_work(r, put_warm, put_match);
    else
        put_match(r);
}

/* --- the end -------------------------------------------------------------------------------------------------------- */

static void discard_done(struct s3_req *r)
{
    (void)r; /* the stage is gone; what was to be said has been said */
}

static void discard_job(struct s3_req *r)
{
    struct put *p = put_of(r);
    stage_discard(p->commit.stage);
    p->commit.stage = NULL;
}

/* Over, for whatever reason: gives back what is still held. Discarding a file blocks, so a worker does it. */
static void put_finish(struct s3_req *r)
{
    struct put *p = put_of(r);
    if (p->finished)
        return;
    p->finished = true;
    upload_release(&p->upload);
    free(p->fill);
    free(p->busy);
    p->fill = p->busy = NULL;
    if (p->commit.stage && p->large)
        s3_work(r, discard_job, discard_done);
    else if (p->commit.stage)
        discard_job(r);
}

static void put_fail(struct s3_req *r, enum s3_error e)
{
    struct put *p = put_of(r);
    if (p->upload.why.text[0])
        log_error("s3", "PutObject %.*s/%.*s: %s", STR_FMT(r->bucket_name), STR_FMT(r->key),
                  p->upload.why.text);
    s3_fail(r, e);
}

static void put_done(struct s3_req *r, bool ok)
{
    struct put *p = put_of(r);
    if (ok) {
        struct buf h;
        char etag[ETAG_MAX];
        buf_init(&h, 1024);
        buf_printf(&h, "ETag: \"%.*s\"\r\n", (int)object_etag(p->commit.object, etag), etag);
        checksum_header(&h, p->commit.object);
        crash_point(CRASH_BEFORE_REPLY);
        s3_reply(r, 200, buf_view(&h), str_n(NULL, 0));
        buf_release(&h);
        crash_point(CRASH_AFTER_REPLY);
    }
    put_finish(r);
}

/* The body is whole and right: the object's row is known, but for its place in the order. */
static void put_ready(struct s3_req *r)
{
    struct put *p = put_of(r);
    struct upload *u = &p->upload;
    struct object *o = p->commit.object;
    o->size = u->size;
    o->mtime_ns = clock_real_ns();
    memcpy(o->md5, u->md5_value, MD5_LEN);
    upload_keep_checksum(u, o);
    p->commit.done = put_done;
    put_commit(r, &p->commit);
}

/* --- small bodies ---------------------------------------------------------------------------------------------------- */

static bool small_data(struct http_req *h, const char *data, size_t n)
{
    struct s3_req *r = h->app;
    struct put *p = put_of(r);
    if (!p->finished && upload_feed(&p->upload, data, n) != S3E_NONE) {
        put_fail(r, p->upload.error);
        put_finish(r);
    }
    return true;
}

static void small_end(struct http_req *h)
{
    struct s3_req *r = h->app;
    struct put *p = put_of(r);
    if (p->finished)
        return;
    enum s3_error e = upload_end(&p->upload);
    if (e == S3E_NONE)
        e = s3_store_error(stage_finish(p->commit.stage, &p->upload.why));
    if (e == S3E_NONE) {
        put_ready(r);
        return;
    }
    put_fail(r, e);
    put_finish(r);
}

static void small_cut(struct http_req *h)
{
    put_finish(h->app);
}

static const struct http_sink small_sink = {small_data, small_end, small_cut};

/* --- large bodies ---------------------------------------------------------------------------------------------------- */

static void large_next(struct s3_req *r);

/* On a worker: the next bytes, and the end when there are no more. */
static void large_job(struct s3_req *r)
{
    struct put *p = put_of(r);
    struct upload *u = &p->upload;
    if (!p->commit.stage && u->error == S3E_NONE) {
        enum store_result res;
        p->commit.stage = u->stage = stage_begin(r->s3->store, (int64_t)u->size, &res, &u->why);
        if (!u->stage)
            u->error = s3_store_error(res);
    }
    if (p->working)
        upload_feed(u, p->busy, p->working);
    else if (!p->cut && upload_end(u) == S3E_NONE)
        u->error = s3_store_error(stage_finish(u->stage, &u->why));
}

static void large_job_done(struct s3_req *r)
{
    struct put *p = put_of(r);
    bool was_end = p->working == 0;
    p->job = false;
    p->working = 0;
    if (p->upload.error != S3E_NONE)
        put_fail(r, p->upload.error);
    if (p->cut || p->upload.error != S3E_NONE) {
        put_finish(r);
        return;
    }
    if (was_end) {
        put_ready(r);
        return;
    }
    large_next(r);
    if (p->paused && p->filled < PIECE) {
        p->paused = false;
        http_resume(r->http);
    }
}

/* Starts the next job when none is running and there is enough to do. */
static void large_next(struct s3_req *r)
{
    struct put *p = put_of(r);
    if (p->job || (p->filled < PIECE && !p->ended))
        return;
    char *swap = p->busy;
    size_t swap_cap = p->busy_cap;
    p->busy = p->fill;
    p->busy_cap = p->fill_cap;
    p->fill = swap;
    p->fill_cap = swap_cap;
    p->working = p->filled;
    p->filled = 0;
    p->job = true;
    s3_work(r, large_job, large_job_done);
}

/* The last bytes before a pause may go beyond PIECE by one read of the socket. */
static bool large_data(struct http_req *h, const char *data, size_t n)
{
    struct s3_req *r = h->app;
    struct put *p = put_of(r);
    if (p->finished)
        return true;
    if (p->filled + n > p->fill_cap)
        p->fill = x_realloc(p->fill, p->fill_cap = p->filled + n);
    memcpy(p->fill + p->filled, data, n);
    p->filled += n;
    large_next(r);
    p->paused = p->filled >= PIECE;
    return !p->paused;
}

static void large_end(struct http_req *h)
{
    struct s3_req *r = h->app;
    struct put *p = put_of(r);
    p->ended = true;
    if (!p->finished)
        large_next(r);
}

static void large_cut(struct http_req *h)
{
    struct s3_req *r = h->app;
    struct put *p = put_of(r);
    p->cut = true;
    if (!p->job)
        put_finish(r);
}

static const struct http_sink large_sink = {large_data, large_end, large_cut};

/* --- the beginning --------------------------------------------------------------------------------------------------- */

static void put_go(struct s3_req *r)
{
    struct put *p = put_of(r);
    if (p->large) {
        p->fill = x_malloc(p->fill_cap = PIECE);
        p->busy = x_malloc(p->busy_cap = PIECE);
        http_read_body(r->http, &large_sink);
        return;
    }
    enum store_result res;
    p->commit.stage = p->upload.stage =
        stage_begin(r->s3->store, (int64_t)p->upload.size, &res, &p->upload.why);
    if (!p->commit.stage) {
        put_fail(r, s3_store_error(res));
        put_finish(r);
        return;
    }
    http_read_body(r->http, &small_sink);
}

static enum s3_error put_prepare(struct s3_req *r, struct put *p)
{
    enum s3_error e = upload_init(&p->upload, r, true);
    if (e == S3E_NONE && p->upload.size > PUT_MAX)
        e = S3E_ENTITY_TOO_LARGE;
    if (e == S3E_NONE)
        e = meta_from_request(r, p->commit.object);
    if (e == S3E_NONE)
        e = s3_store_error(store_admit(r->s3->store, p->upload.size));
    return e;
}

void op_put_object(struct s3_req *r)
{
    if (!s3_need_bucket(r))
        return;
    struct put *p = ARENA_NEW(r->arena, struct put);
    r->op_state = p;
    r->upload = &p->upload;
    p->commit.object = ARENA_NEW(r->arena, struct object);
    p->commit.event_name = EVENT_CREATED_PUT;
    p->commit.content_length = -1;
    enum s3_error e = put_prepare(r, p);
    if (e != S3E_NONE) {
        s3_fail(r, e);
        put_finish(r);
        return;
    }
    p->large = p->upload.size > store_inline_max(r->s3->store);
    if (p->large)
        s3_take_budget(r, &r->s3->uploads, 2 * PIECE, put_go);
    else
        s3_take_budget(r, &r->s3->bodies, p->upload.size, put_go);
}
