/* SPDX-License-Identifier: Apache-2.0
 *
 * DeleteObject: 204 whether or not there was one; ObjectRemoved:Delete for what was there, NoOP for what was not. */
#include "base/crash.h"
#include "s3/deletes.h"
#include "s3/emit.h"
#include "s3/ops.h"

struct del {
    struct event_out *removed, *noop;
    struct delete_condition condition;
    struct str version; /* names a version that does not exist; empty: the object itself */
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
    struct object before, *old = NULL;
    if (!d->version.n)
        d->error = emit_txn_old(t, r, r->key, &before, &old);
    if (old && !delete_condition_holds(&d->condition, old))
        d->error = S3E_PRECONDITION_FAILED;
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
    if (d->noop) {
        d->noop->version_id = d->version;
        emit_record(r, d->noop, NULL, -1);
    }
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

/* If-Match, and S3's two of its own; a missing object needs to match nothing, for deleting it is no error either. */
static enum s3_error parse_condition(const struct s3_req *r, struct delete_condition *c)
{
    if (s3_header(r, "if-none-match").p)
        return S3E_NOT_IMPLEMENTED;
    struct str mtime = s3_header(r, "x-amz-if-match-last-modified-time"),
               size = s3_header(r, "x-amz-if-match-size");
    c->etag = s3_header(r, "if-match");
    c->has_size = size.p != NULL;
    if ((mtime.p && !delete_condition_mtime(c, mtime)) || (size.p && !str_to_u64(size, &c->size)))
        return S3E_INVALID_ARGUMENT;
    return S3E_NONE;
}

void op_delete_object(struct s3_req *r)
{
    struct del *d = ARENA_NEW(r->arena, struct del);
    bool force = str_ieq(s3_header(r, "x-minio-force-delete"), STR("true"));
    enum s3_error e = parse_condition(r, &d->condition);
    s3_query(r, "versionId", &d->version);
    /* Who means one version, or an object as it was, does not mean all that is below its name. */
    if (e == S3E_NONE && force && (d->version.n || delete_condition_any(&d->condition)))
        e = S3E_NOT_IMPLEMENTED;
    if (e != S3E_NONE) {
        s3_fail(r, e);
        return;
    }
    if (!s3_need_bucket(r))
        return;
    if (force) {
        force_delete(r);
        return;
    }
    if (str_eq(d->version, STR("null")))
        d->version.n = 0;
    r->op_state = d;
    delete_begin(r);
}
