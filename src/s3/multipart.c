/* SPDX-License-Identifier: Apache-2.0
 *
 * What the operations on multipart uploads share, and the two short ones: CreateMultipartUpload and AbortMultipartUpload. */
#include "s3/multipart.h"

#include "base/clock.h"
#include "base/crash.h"
#include "base/encode.h"
#include "base/log.h"
#include "base/xml.h"
#include "s3/emit.h"
#include "s3/meta.h"
#include "s3/ops.h"
#include "s3/upload.h"

/* --- finding an upload ------------------------------------------------------------------------------------------------ */

void multipart_fail(struct s3_req *r, enum store_result res, const struct err *why)
{
    if (why->text[0])
        log_error("s3", "%s %.*s/%.*s: %s", r->op->name, STR_FMT(r->bucket_name), STR_FMT(r->key), why->text);
    s3_fail(r, res == STORE_MISSING ? S3E_NO_SUCH_UPLOAD : s3_store_error(res));
}

static void look(struct s3_req *r, struct multipart *m, bool cached_only)
{
    m->res =
        store_upload_get(r->s3->store, r->bucket, r->key, m->id, cached_only, r->arena, &m->upload, &m->why);
}

static void look_job(struct s3_req *r)
{
    look(r, r->op_state, false);
}

static void found(struct s3_req *r)
{
    struct multipart *m = r->op_state;
    if (m->res == STORE_OK)
        m->go(r);
    else
        multipart_fail(r, m->res, &m->why);
}

void multipart_find(struct s3_req *r, struct multipart *m, void (*go)(struct s3_req *r))
{
    r->op_state = m;
    m->go = go;
    s3_query(r, "uploadId", &m->id);
    if (!s3_need_bucket(r))
        return;
    look(r, m, true);
    if (m->res == STORE_WOULD_BLOCK)
        s3_work(r, look_job, found);
    else
        found(r);
}

bool part_number_parse(struct str v, unsigned *out)
{
    uint64_t n;
    if (!str_to_u64(v, &n) || n < 1 || n > OBJECT_PARTS)
        return false;
    *out = (unsigned)n;
    return true;
}

bool part_number_take(struct s3_req *r, unsigned *out)
{
    struct str v = {0};
    s3_query(r, "partNumber", &v);
    if (part_number_parse(v, out))
        return true;
    s3_fail_msg(r, S3E_INVALID_ARGUMENT, PART_NUMBER_WRONG);
    return false;
}

/* --- checksums in replies --------------------------------------------------------------------------------------------- */

void part_checksum_header(struct buf *out, enum checksum_kind k, const uint8_t *value)
{
    if (k == CHECKSUM_NONE)
        return;
    buf_printf(out, "%s: ", checksum_names(k)->label);
    base64_encode(out, str_n(value, checksum_len(k)));
    buf_puts(out, "\r\n");
}

void part_checksum_element(struct buf *out, enum checksum_kind k, const uint8_t *value)
{
    if (k == CHECKSUM_NONE)
        return;
    buf_printf(out, "<%s>", checksum_names(k)->element);
    base64_encode(out, str_n(value, checksum_len(k)));
    buf_printf(out, "</%s>", checksum_names(k)->element);
}

static const char *checksum_type(const struct object *o)
{
    return o->checksum_full ? "FULL_OBJECT" : "COMPOSITE";
}

void upload_checksum_elements(struct buf *out, const struct object *o)
{
    if (o->checksum == CHECKSUM_NONE)
        return;
    xml_elem(out, "ChecksumAlgorithm", str_c(checksum_names(o->checksum)->algorithm));
    xml_elem(out, "ChecksumType", str_c(checksum_type(o)));
}

/* --- CreateMultipartUpload --------------------------------------------------------------------------------------------- */

struct create {
    struct store_upload upload;
    char id[UPLOAD_ID_LEN];
    enum s3_error error;
    bool again;
};

/* x-amz-checksum-algorithm and -type. Which types a kind has: s3-api.md 4.2 (AWS: "Checking object integrity"). */
static enum s3_error create_checksum(const struct s3_req *r, struct object *o)
{
    struct str algorithm = s3_header(r, "x-amz-checksum-algorithm"),
               type = s3_header(r, "x-amz-checksum-type");
    if (!algorithm.p)
        return type.p ? S3E_INVALID_CHECKSUM_TYPE : S3E_NONE;
    o->checksum = checksum_of_algorithm(algorithm);
    if (o->checksum == CHECKSUM_NONE)
        return S3E_INVALID_CHECKSUM_ALGORITHM;
    o->checksum_full = type.p ? str_ieq(type, STR("FULL_OBJECT")) : o->checksum == CHECKSUM_CRC64NVME;
    if (type.p && !o->checksum_full && !str_ieq(type, STR("COMPOSITE")))
        return S3E_INVALID_CHECKSUM_TYPE;
    bool has = o->checksum_full ? checksum_combines(o->checksum) : o->checksum != CHECKSUM_CRC64NVME;
    return has ? S3E_NONE : S3E_INVALID_CHECKSUM_TYPE;
}

static bool create_txn(struct kv_txn *t, void *ctx)
{
    struct s3_req *r = ctx;
    struct create *c = r->op_state;
    c->again = false;
    c->error = emit_txn_check(t, r, &c->again);
    if (c->error != S3E_NONE || c->again)
        return false;
    c->upload.object.seq = kv_txn_sequence(t);
    store_txn_upload_create(t, r->bucket, r->key, &c->upload);
    return true;
}

static void create_reply(struct s3_req *r)
{
    struct create *c = r->op_state;
    const struct object *o = &c->upload.object;
    struct buf h, b;
    buf_init(&h, 1024);
    buf_init(&b, 64u << 10);
    if (o->checksum != CHECKSUM_NONE)
        buf_printf(&h, "X-Amz-Checksum-Algorithm: %s\r\nX-Amz-Checksum-Type: %s\r\n",
                   checksum_names(o->checksum)->algorithm, checksum_type(o));
    buf_puts(&b, XML_PROLOG "<InitiateMultipartUploadResult xmlns=\"" XML_S3_NS "\">");
    xml_elem(&b, "Bucket", r->bucket_name);
    xml_elem(&b, "Key", r->key);
    xml_elem(&b, "UploadId", c->upload.id);
    buf_puts(&b, "</InitiateMultipartUploadResult>");
    crash_point(CRASH_BEFORE_REPLY);
    s3_reply_xml(r, 200, buf_view(&h), buf_view(&b));
    crash_point(CRASH_AFTER_REPLY);
    buf_release(&b);
    buf_release(&h);
}

static void create_commit(struct s3_req *r);

static void create_done(void *ctx, enum kv_outcome outcome)
{
    struct s3_req *r = ctx;
    struct create *c = r->op_state;
    if (outcome == KV_COMMITTED)
        create_reply(r);
    else if (outcome == KV_FAILED)
        s3_fail(r, S3E_SLOW_DOWN_WRITE);
    else if (!c->again)
        s3_fail(r, c->error);
    else if (s3_renew_bucket(r))
        create_commit(r);
}

static void create_commit(struct s3_req *r)
{
    s3_commit(r, create_txn, create_done, EMIT_OBJECT_ROW, 0);
}

void op_create_multipart_upload(struct s3_req *r)
{
    if (!s3_need_bucket(r))
        return;
    struct create *c = ARENA_NEW(r->arena, struct create);
    r->op_state = c;
    enum s3_error e = meta_from_request(r, &c->upload.object);
    if (e == S3E_NONE)
        e = create_checksum(r, &c->upload.object);
    if (e == S3E_NONE)
        e = s3_store_error(store_admit(r->s3->store, 0));
    if (e != S3E_NONE) {
        s3_fail(r, e);
        return;
    }
    store_upload_id(r->s3->store, c->id);
    c->upload.id = str_n(c->id, sizeof c->id);
    c->upload.generation = 1;
    c->upload.object.mtime_ns = clock_real_ns();
    create_commit(r);
}

/* --- AbortMultipartUpload ---------------------------------------------------------------------------------------------- */

struct abort {
    struct multipart m;
    enum s3_error error;
    bool again;
};

static bool abort_txn(struct kv_txn *t, void *ctx)
{
    struct s3_req *r = ctx;
    struct abort *c = r->op_state;
    struct store_upload u;
    c->again = false;
    c->error = emit_txn_check(t, r, &c->again);
    if (c->error != S3E_NONE || c->again)
        return false;
    enum store_result res = store_txn_upload_get(t, r->bucket, r->key, c->m.id, r->arena, &u);
    c->error = res == STORE_MISSING ? S3E_NO_SUCH_UPLOAD : s3_store_error(res);
    if (c->error == S3E_NONE)
        store_txn_upload_end(t, r->bucket, r->key, c->m.id, NULL);
    return c->error == S3E_NONE;
}

static void abort_commit(struct s3_req *r);

static void abort_done(void *ctx, enum kv_outcome outcome)
{
    struct s3_req *r = ctx;
    struct abort *c = r->op_state;
    if (outcome == KV_FAILED) {
        s3_fail(r, S3E_SLOW_DOWN_WRITE);
    } else if (outcome == KV_COMMITTED) {
        crash_point(CRASH_UPLOAD_ABORTED);
        store_wake_janitor(r->s3->store);
        s3_reply(r, 204, str_n(NULL, 0), str_n(NULL, 0));
    } else if (!c->again) {
        s3_fail(r, c->error);
    } else if (s3_renew_bucket(r)) {
        abort_commit(r);
    }
}

static void abort_commit(struct s3_req *r)
{
    s3_commit(r, abort_txn, abort_done, EMIT_OBJECT_ROW, 0);
}

void op_abort_multipart_upload(struct s3_req *r)
{
    multipart_find(r, &ARENA_NEW(r->arena, struct abort)->m, abort_commit);
}
