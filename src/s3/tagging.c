/* SPDX-License-Identifier: Apache-2.0
 *
 * Get-, Put- and DeleteObjectTagging. The row is written again with other tags, in one commit with the event; ETag, date and
 * sequencer stay, because the object's bytes do. */
#include "base/crash.h"
#include "base/log.h"
#include "s3/emit.h"
#include "s3/ops.h"
#include "s3/tags.h"

#define REPLY_MAX (128u << 10) /* 10 tags of 384 characters, each escaped */

struct tagging {
    enum event_name event_name;
    int status;
    struct str tags;      /* to be stored */
    struct object object; /* as it was looked up */
    enum store_result res;
    struct err why;
    void (*found)(struct s3_req *r);
    struct event_out *event;
    enum s3_error error;
    bool again; /* rules, targets or the object changed meanwhile: once more */
};

/* --- the object as it is --------------------------------------------------------------------------------------------- */

static void look_up(struct s3_req *r, bool cached_only)
{
    struct tagging *g = r->op_state;
    g->res = store_object_get(r->s3->store, r->bucket, r->key, cached_only, r->arena, &g->object, &g->why);
}

static void look_job(struct s3_req *r)
{
    look_up(r, false);
}

static void looked(struct s3_req *r)
{
    struct tagging *g = r->op_state;
    if (g->res == STORE_OK) {
        g->found(r);
        return;
    }
    if (g->res == STORE_DAMAGED)
        log_error("s3", "%s %.*s/%.*s: %s", r->op->name, STR_FMT(r->bucket_name), STR_FMT(r->key),
                  g->why.text);
    s3_fail(r, s3_store_error(g->res));
}

static void look(struct s3_req *r)
{
    struct tagging *g = r->op_state;
    look_up(r, true);
    if (g->res == STORE_WOULD_BLOCK)
        s3_work(r, look_job, looked);
    else
        looked(r);
}

/* --- read ------------------------------------------------------------------------------------------------------------ */

static void get_reply(struct s3_req *r)
{
    struct tagging *g = r->op_state;
    struct buf b;
    buf_init(&b, REPLY_MAX);
    tags_to_xml(r->arena, g->object.tags, &b);
    s3_reply_xml(r, 200, str_n(NULL, 0), buf_view(&b));
    buf_release(&b);
}

void op_get_object_tagging(struct s3_req *r)
{
    if (!s3_need_bucket(r))
        return;
    struct tagging *g = ARENA_NEW(r->arena, struct tagging);
    g->found = get_reply;
    r->op_state = g;
    look(r);
}

/* --- change ---------------------------------------------------------------------------------------------------------- */

static bool change_txn(struct kv_txn *t, void *ctx)
{
    struct s3_req *r = ctx;
    struct tagging *g = r->op_state;
    g->again = false;
    g->error = emit_txn_check(t, r, &g->again);
    if (g->error != S3E_NONE || g->again)
        return false;
    struct object before, *old;
    g->error = emit_txn_old(t, r, r->key, &before, &old);
    if (g->error == S3E_NONE && !old)
        g->error = S3E_NO_SUCH_KEY;
    if (g->error == S3E_NONE && old->seq != g->object.seq)
        g->again = true; /* the record tells of another object */
    if (g->error == S3E_NONE && !g->again)
        g->error = emit_txn_admit(t, r, g->event, &g->again);
    if (g->error != S3E_NONE || g->again)
        return false;
    struct object now = *old;
    now.tags = g->tags;
    store_txn_object_put(t, r->s3->store, r->bucket, r->key, &now, NULL, old);
    emit_txn_put(t, r, g->event, kv_txn_sequence(t), old->seq);
    return true;
}

static void change_done(void *ctx, enum kv_outcome outcome)
{
    struct s3_req *r = ctx;
    struct tagging *g = r->op_state;
    if (outcome == KV_ABORTED && g->again) {
        if (s3_renew_bucket(r))
            look(r);
        return;
    }
    if (outcome != KV_COMMITTED) {
        s3_fail(r, outcome == KV_FAILED ? S3E_SLOW_DOWN_WRITE : g->error);
        return;
    }
    crash_point(CRASH_BEFORE_REPLY);
    s3_reply(r, g->status, str_n(NULL, 0), str_n(NULL, 0));
    crash_point(CRASH_AFTER_REPLY);
}

static void change_match(struct s3_req *r)
{
    struct tagging *g = r->op_state;
    g->event = emit_match(r, g->event_name, r->key);
    if (g->event)
        emit_record(r, g->event, &g->object, 0);
    if (!emit_fits(g->event)) {
        s3_fail(r, S3E_METADATA_TOO_LARGE);
        return;
    }
    s3_commit(r, change_txn, change_done, EMIT_OBJECT_ROW + emit_bytes(g->event), 0);
}

static void change(struct s3_req *r, enum event_name event_name, int status, struct str tags)
{
    struct tagging *g = ARENA_NEW(r->arena, struct tagging);
    g->event_name = event_name;
    g->status = status;
    g->tags = tags;
    g->found = change_match;
    r->op_state = g;
    look(r);
}

void op_put_object_tagging(struct s3_req *r)
{
    struct str tags;
    if (!s3_need_bucket(r))
        return;
    enum s3_error e = tags_from_xml(r->arena, buf_view(&r->xml), &tags);
    if (e == S3E_NONE)
        e = s3_store_error(store_admit(r->s3->store, tags.n));
    if (e != S3E_NONE)
        s3_fail(r, e);
    else
        change(r, EVENT_CREATED_PUT_TAGGING, 200, tags);
}

void op_delete_object_tagging(struct s3_req *r)
{
    if (s3_need_bucket(r))
        change(r, EVENT_CREATED_DELETE_TAGGING, 204, str_n(NULL, 0));
}
