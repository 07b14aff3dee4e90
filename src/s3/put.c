/* SPDX-License-Identifier: Apache-2.0
 *
 * PutObject: a body becomes an object, its events and its garbage in one commit. */
#include "s3/put.h"
#include "base/clock.h"
#include "base/crash.h"
#include "s3/body.h"
#include "s3/emit.h"
#include "s3/meta.h"
#include "s3/ops.h"

#define OVERHEAD 1024 /* row, keys and counters of a commit, roughly */

struct put {
    struct body body;
    struct put_commit commit;
};

/* --- the commit, shared with the other operations that make an object ------------------------------------------------------------------------------ */

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
    if (c->error == S3E_NONE && c->txn_check)
        c->error = c->txn_check(t, r, old, &c->redo_wanted);
    else if (c->error == S3E_NONE)
        c->error = c->check ? c->check(r, old, &c->redo_wanted) : condition_write(r, old);
    if (c->error == S3E_NONE && !c->redo_wanted)
        c->error = emit_txn_admit(t, r, c->event, &c->again);
    if (c->error != S3E_NONE || c->again || c->redo_wanted)
        return false;
    uint64_t seq = kv_txn_sequence(t);
    c->object->seq = seq;
    store_txn_object_put(t, r->s3->store, r->bucket, r->key, c->object, c->stage, old);
    if (c->txn_write)
        c->txn_write(t, r);
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

/* --- PutObject ------------------------------------------------------------------------------------------------------- */

static void put_done(struct s3_req *r, bool ok)
{
    struct put *p = r->op_state;
    if (ok) {
        struct buf h;
        char etag[ETAG_MAX];
        p->body.stage = NULL;
        buf_init(&h, 1024);
        buf_printf(&h, "ETag: \"%.*s\"\r\n", (int)object_etag(p->commit.object, etag), etag);
        checksum_header(&h, p->commit.object);
        crash_point(CRASH_BEFORE_REPLY);
        s3_reply(r, 200, buf_view(&h), str_n(NULL, 0));
        buf_release(&h);
        crash_point(CRASH_AFTER_REPLY);
    }
    body_finish(r, &p->body);
}

/* The body is whole and right: the object's row is known, but for its place in the order. */
static void put_ready(struct s3_req *r)
{
    struct put *p = r->op_state;
    struct upload *u = &p->body.upload;
    struct object *o = p->commit.object;
    o->size = u->size;
    o->mtime_ns = clock_real_ns();
    memcpy(o->md5, u->md5_value, MD5_LEN);
    upload_keep_checksum(u, o);
    p->commit.stage = p->body.stage;
    p->commit.done = put_done;
    put_commit(r, &p->commit);
}

void op_put_object(struct s3_req *r)
{
    if (!s3_need_bucket(r))
        return;
    struct put *p = ARENA_NEW(r->arena, struct put);
    r->op_state = p;
    p->commit.object = ARENA_NEW(r->arena, struct object);
    p->commit.event_name = EVENT_CREATED_PUT;
    p->commit.content_length = -1;
    enum s3_error e = body_init(r, &p->body);
    if (e == S3E_NONE)
        e = meta_from_request(r, p->commit.object);
    if (e != S3E_NONE) {
        s3_fail(r, e);
        body_finish(r, &p->body);
        return;
    }
    body_read(r, &p->body, put_ready);
}
