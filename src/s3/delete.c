/* SPDX-License-Identifier: Apache-2.0
 *
 * DeleteObject: 204 whether or not there was one; ObjectRemoved:Delete for what was there, NoOP for what was not. */
#include "base/crash.h"
#include "s3/emit.h"
#include "s3/ops.h"

struct del {
    struct event_out *removed, *noop;
    enum s3_error error;
    bool again, existed;
};

static bool delete_txn(struct kv_txn *t, void *ctx)
{
    struct s3_req *r = ctx;
    struct del *d = r->op_state;
    d->again = false;
    d->error = emit_txn_check(t, r, &d->again);
    if (d->error != S3E_NONE || d->again)
        return false;
    struct object before, *old;
    d->error = emit_txn_old(t, r, r->key, &before, &old);
    d->existed = old != NULL;
    struct event_out *ev = old ? d->removed : d->noop;
    if (d->error == S3E_NONE)
        d->error = emit_txn_admit(t, r, ev, &d->again);
    if (d->error != S3E_NONE || d->again)
        return false;
    uint64_t seq = kv_txn_sequence(t);
    if (old)
        store_txn_object_delete(t, r->s3->store, r->bucket, r->key, old);
    emit_txn_put(t, r, ev, seq, seq);
    return true;
}

static void delete_begin(struct s3_req *r);

static void delete_done(void *ctx, enum kv_outcome outcome)
{
    struct s3_req *r = ctx;
    struct del *d = r->op_state;
    if (outcome == KV_ABORTED && d->again) {
        if (s3_renew_bucket(r))
            delete_begin(r);
        return;
    }
    if (outcome != KV_COMMITTED) {
        s3_fail(r, outcome == KV_FAILED ? S3E_SLOW_DOWN_WRITE : d->error);
        return;
    }
    if (d->existed)
        store_wake_janitor(r->s3->store);
    crash_point(CRASH_BEFORE_REPLY);
    s3_reply(r, 204, str_n(NULL, 0), str_n(NULL, 0));
    crash_point(CRASH_AFTER_REPLY);
}

static void delete_match(struct s3_req *r)
{
    struct del *d = r->op_state;
    d->removed = emit_match(r, EVENT_REMOVED_DELETE, r->key);
    if (d->removed)
        emit_record(r, d->removed, NULL, 0);
    d->noop = emit_match(r, EVENT_REMOVED_NOOP, r->key);
    if (d->noop)
        emit_record(r, d->noop, NULL, -1);
    if (!emit_fits(d->removed) || !emit_fits(d->noop)) {
        s3_fail(r, S3E_METADATA_TOO_LARGE);
        return;
    }
    s3_commit(r, delete_txn, delete_done, 512 + emit_bytes(d->removed) + emit_bytes(d->noop), 0);
}

static void delete_warm(struct s3_req *r)
{
    s3_warm(r, r->key);
}

static void delete_begin(struct s3_req *r)
{
    if (s3_is_cold(r, r->key))
        s3_work(r, delete_warm, delete_match);
    else
        delete_match(r);
}

void op_delete_object(struct s3_req *r)
{
    if (s3_header(r, "if-match").p || s3_header(r, "x-minio-force-delete").p) {
        s3_fail(r, S3E_NOT_IMPLEMENTED);
        return;
    }
    if (!s3_need_bucket(r))
        return;
    r->op_state = ARENA_NEW(r->arena, struct del);
    delete_begin(r);
}
