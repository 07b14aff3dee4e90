/* SPDX-License-Identifier: Apache-2.0
 *
 * Buckets: list, create, look, delete, location. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/xml.h"
#include "s3/documents.h"
#include "s3/emit.h"
#include "s3/ops.h"
#include "s3/owner.h"

#define LIST_MAX (64u << 20)

void op_list_buckets(struct s3_req *r)
{
    struct bucket **all;
    size_t n = store_buckets(r->s3->store, &all);
    struct buf b;
    buf_init(&b, LIST_MAX);
    buf_puts(&b, XML_PROLOG "<ListAllMyBucketsResult xmlns=\"" XML_S3_NS "\">" S3_OWNER "<Buckets>");
    for (size_t i = 0; i < n; i++) {
        char date[CLOCK_ISO_MS_LEN];
        clock_iso_ms(all[i]->created_ns, date);
        buf_puts(&b, "<Bucket>");
        xml_elem(&b, "Name", all[i]->name);
        xml_elem(&b, "CreationDate", str_n(date, sizeof date));
        buf_puts(&b, "</Bucket>");
        bucket_unref(all[i]);
    }
    free(all);
    buf_puts(&b, "</Buckets></ListAllMyBucketsResult>");
    s3_reply_xml(r, 200, str_n(NULL, 0), buf_view(&b));
    buf_release(&b);
}

void op_head_bucket(struct s3_req *r)
{
    if (!s3_need_bucket(r))
        return;
    struct buf h;
    buf_init(&h, 1024);
    if (!r->s3->region.n) /* with a region every reply carries it */
        buf_puts(&h, "X-Amz-Bucket-Region: us-east-1\r\n");
    buf_puts(&h, "Content-Type: application/xml\r\n");
    s3_reply(r, 200, buf_view(&h), str_n(NULL, 0));
    buf_release(&h);
}

void op_get_bucket_location(struct s3_req *r)
{
    if (!s3_need_bucket(r))
        return;
    struct str region = str_eq(r->s3->region, STR("us-east-1")) ? str_n("", 0) : r->s3->region;
    struct buf b;
    buf_init(&b, 4096);
    buf_puts(&b, XML_PROLOG "<LocationConstraint xmlns=\"" XML_S3_NS "\">");
    xml_escape(&b, region);
    buf_puts(&b, "</LocationConstraint>");
    s3_reply_xml(r, 200, str_n(NULL, 0), buf_view(&b));
    buf_release(&b);
}

/* --- create --------------------------------------------------------------------------------------------------------- */

/* A change of a bucket, and the event about it. There are no rules before a bucket is created: only listeners hear of it. */
struct bucket_change {
    struct event_out *event;
    bool again;
};

static void change_match(struct s3_req *r, enum event_name name)
{
    struct bucket_change *c = r->op_state;
    r->listen_generation = 0;
    c->event = emit_match(r, name, STR(""));
    if (c->event)
        emit_record(r, c->event, NULL, 0);
}

static bool create_txn(struct kv_txn *t, void *ctx)
{
    struct s3_req *r = ctx;
    struct bucket_change *c = r->op_state;
    c->again = false;
    r->error = emit_txn_admit(t, r, c->event, &c->again);
    if (r->error != S3E_NONE || c->again)
        return false;
    enum store_result res =
        store_txn_bucket_create(t, r->s3->store, r->bucket_name, r->s3->region, clock_real_ns());
    r->error = s3_store_error(res);
    if (res != STORE_OK)
        return false;
    uint64_t seq = kv_txn_sequence(t);
    emit_txn_put(t, r, c->event, seq, seq);
    return true;
}

static void create_begin(struct s3_req *r);

static void create_done(void *ctx, enum kv_outcome outcome)
{
    struct s3_req *r = ctx;
    struct bucket_change *c = r->op_state;
    if (outcome == KV_ABORTED && c->again) {
        create_begin(r);
        return;
    }
    if (outcome == KV_FAILED)
        r->error = S3E_SLOW_DOWN_WRITE;
    if (r->error == S3E_BUCKET_ALREADY_OWNED && str_ieq(s3_header(r, "x-minio-force-create"), STR("true")))
        r->error = S3E_NONE;
    if (r->error != S3E_NONE) {
        s3_fail(r, r->error);
        return;
    }
    crash_point(CRASH_BUCKET_MADE);
    struct str location = arena_printf(r->arena, "Location: /%.*s\r\n", STR_FMT(r->bucket_name));
    s3_reply(r, 200, location, str_n(NULL, 0));
}

static enum s3_error check_location(struct s3_req *r)
{
    struct str where;
    enum s3_error e = location_from_xml(r->arena, buf_view(&r->xml), &where);
    if (e != S3E_NONE)
        return e;
    bool fits = !where.n || !r->s3->region.n || str_eq(where, r->s3->region);
    return fits ? S3E_NONE : S3E_INVALID_REGION;
}

static void create_begin(struct s3_req *r)
{
    struct bucket_change *c = r->op_state;
    change_match(r, EVENT_BUCKET_CREATED);
    s3_commit(r, create_txn, create_done, 512 + emit_bytes(c->event), 0);
}

void op_create_bucket(struct s3_req *r)
{
    enum s3_error e = check_location(r);
    if (e == S3E_NONE)
        e = s3_store_error(store_admit(r->s3->store, 0));
    if (e != S3E_NONE) {
        s3_fail(r, e);
        return;
    }
    r->op_state = ARENA_NEW(r->arena, struct bucket_change);
    create_begin(r);
}

/* --- delete --------------------------------------------------------------------------------------------------------- */

static bool delete_txn(struct kv_txn *t, void *ctx)
{
    struct s3_req *r = ctx;
    struct bucket_change *c = r->op_state;
    bool force = str_ieq(s3_header(r, "x-minio-force-delete"), STR("true"));
    c->again = false;
    r->error = emit_txn_check(t, r, &c->again);
    if (r->error == S3E_NONE && !c->again)
        r->error = emit_txn_admit(t, r, c->event, &c->again);
    if (r->error != S3E_NONE || c->again)
        return false;
    enum store_result res = store_txn_bucket_delete(t, r->s3->store, r->bucket_name, force);
    r->error = res == STORE_MISSING ? S3E_NO_SUCH_BUCKET : s3_store_error(res);
    if (res != STORE_OK)
        return false;
    uint64_t seq = kv_txn_sequence(t);
    emit_txn_put(t, r, c->event, seq, seq);
    return true;
}

static void delete_begin(struct s3_req *r);

static void delete_done(void *ctx, enum kv_outcome outcome)
{
    struct s3_req *r = ctx;
    struct bucket_change *c = r->op_state;
    if (outcome == KV_ABORTED && c->again) {
        if (s3_renew_bucket(r))
            delete_begin(r);
        return;
    }
    if (outcome == KV_FAILED)
        r->error = S3E_SLOW_DOWN_WRITE;
    if (r->error != S3E_NONE) {
        s3_fail(r, r->error);
        return;
    }
    crash_point(CRASH_BUCKET_REMOVED);
    store_wake_janitor(r->s3->store);
    s3_reply(r, 204, str_n(NULL, 0), str_n(NULL, 0));
}

static void delete_begin(struct s3_req *r)
{
    struct bucket_change *c = r->op_state;
    change_match(r, EVENT_BUCKET_REMOVED);
    if (!emit_fits(c->event))
        s3_fail(r, S3E_METADATA_TOO_LARGE);
    else
        s3_commit(r, delete_txn, delete_done, 512 + emit_bytes(c->event), 0);
}

/* Rules go with their bucket: those that name its removal are the last to be asked. */
void op_delete_bucket(struct s3_req *r)
{
    if (!s3_need_bucket(r))
        return;
    r->op_state = ARENA_NEW(r->arena, struct bucket_change);
    delete_begin(r);
}
