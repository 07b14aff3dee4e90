/* SPDX-License-Identifier: Apache-2.0
 *
 * UploadPart: a body becomes a part. The commit is shared with UploadPartCopy; parts emit no events. */
#include "base/clock.h"
#include "base/crash.h"
#include "s3/body.h"
#include "s3/emit.h"
#include "s3/multipart.h"
#include "s3/ops.h"

#define OVERHEAD (2 * EMIT_OBJECT_ROW) /* the upload's row is read and written */

/* --- the commit ------------------------------------------------------------------------------------------------------- */

static bool part_txn(struct kv_txn *t, void *ctx)
{
    struct s3_req *r = ctx;
    struct part_commit *c = r->commit_state;
    struct store_upload u;
    struct object old;
    c->again = false;
    c->error = emit_txn_check(t, r, &c->again);
    if (c->error != S3E_NONE || c->again)
        return false;
    enum store_result res = store_txn_upload_get(t, r->bucket, r->key, c->id, r->arena, &u);
    if (res != STORE_OK) {
        c->error = res == STORE_MISSING ? S3E_NO_SUCH_UPLOAD : s3_store_error(res);
        return false;
    }
    res = store_txn_part_get(t, r->bucket, r->key, c->id, c->number, r->arena, &old);
    if (res != STORE_OK && res != STORE_MISSING) {
        c->error = s3_store_error(res);
        return false;
    }
    c->replaced = res == STORE_OK;
    c->object->seq = kv_txn_sequence(t);
    store_txn_part_put(t, r->bucket, r->key, &u, c->number, c->object, c->stage, c->replaced ? &old : NULL);
    return true;
}

static void part_committed(void *ctx, enum kv_outcome outcome)
{
    struct s3_req *r = ctx;
    struct part_commit *c = r->commit_state;
    if (outcome == KV_COMMITTED) {
        stage_committed(c->stage);
        c->stage = NULL;
        if (c->replaced)
            store_wake_janitor(r->s3->store);
    } else if (outcome == KV_FAILED) {
        s3_fail(r, S3E_SLOW_DOWN_WRITE);
    } else if (!c->again) {
        s3_fail(r, c->error);
    } else if (s3_renew_bucket(r)) {
        part_commit(r, c);
        return;
    }
    c->done(r, outcome == KV_COMMITTED);
}

void part_commit(struct s3_req *r, struct part_commit *c)
{
    r->commit_state = c;
    size_t inline_bytes = stage_is_inline(c->stage) ? (size_t)stage_size(c->stage) : 0;
    s3_commit(r, part_txn, part_committed, OVERHEAD + inline_bytes, 0);
}

/* --- UploadPart ------------------------------------------------------------------------------------------------------- */

struct part {
    struct multipart m;
    struct body body;
    struct part_commit commit;
    struct object object;
};

static void part_done(struct s3_req *r, bool ok)
{
    struct part *p = r->op_state;
    if (ok) {
        const struct object *o = &p->object;
        struct buf h;
        char etag[ETAG_MAX];
        p->body.stage = NULL;
        buf_init(&h, 1024);
        buf_printf(&h, "ETag: \"%.*s\"\r\n", (int)object_etag(o, etag), etag);
        part_checksum_header(&h, o->checksum, o->checksum_value);
        crash_point(CRASH_BEFORE_REPLY);
        s3_reply(r, 200, buf_view(&h), str_n(NULL, 0));
        buf_release(&h);
        crash_point(CRASH_AFTER_REPLY);
    }
    body_finish(r, &p->body);
}

static void part_ready(struct s3_req *r)
{
    struct part *p = r->op_state;
    p->object.mtime_ns = clock_real_ns();
    memcpy(p->object.md5, p->body.upload.md5_value, MD5_LEN);
    upload_keep_checksum(&p->body.upload, &p->object);
    p->commit.stage = p->body.stage;
    part_commit(r, &p->commit);
}

static void part_found(struct s3_req *r)
{
    struct part *p = r->op_state;
    const struct object *whole = &p->m.upload.object;
    p->commit.id = p->m.upload.id;
    p->commit.object = &p->object;
    p->commit.done = part_done;
    enum s3_error e = body_init(r, &p->body);
    if (e == S3E_NONE && !upload_want_checksum(&p->body.upload, whole->checksum)) {
        r->message =
            arena_printf(r->arena,
                         "Checksum Type mismatch occurred, expected checksum Type: %s, actual checksum "
                         "Type: %s%c",
                         checksum_names(whole->checksum)->algorithm,
                         checksum_names(p->body.upload.checksum.kind)->algorithm, 0)
                .p;
        e = S3E_INVALID_REQUEST;
    }
    if (e != S3E_NONE) {
        s3_fail(r, e);
        body_finish(r, &p->body);
        return;
    }
    body_read(r, &p->body, part_ready);
}

void op_upload_part(struct s3_req *r)
{
    struct part *p = ARENA_NEW(r->arena, struct part);
    if (part_number_take(r, &p->commit.number))
        multipart_find(r, &p->m, part_found);
}
