/* SPDX-License-Identifier: Apache-2.0
 *
 * UploadPartCopy: a part out of bytes that are stored already. They are read and hashed on a worker, a step at a time, so that
 * a long one does not keep others from it. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/xml.h"
#include "s3/body.h"
#include "s3/meta.h"
#include "s3/multipart.h"
#include "s3/ops.h"
#include "s3/route.h"
#include "s3/upload.h"

#define STEP  (16ull << 20) /* bytes of one job */
#define PIECE (256u << 10)  /* read at once */

struct part_copy {
    struct multipart m;
    struct part_commit commit;
    struct object object;
    struct upload upload;
    struct str from_bucket, from_key;
    struct bucket *source;
    struct store_read read;
    bool open, done;
    uint64_t first, length, at;
    enum s3_error error;
};

static void copy_free(struct s3_req *r)
{
    struct part_copy *c = r->op_state;
    if (c->open)
        store_read_close(&c->read);
    if (c->source)
        bucket_unref(c->source);
}

static enum s3_error copy_range(struct s3_req *r, struct part_copy *c)
{
    struct str range = s3_header(r, "x-amz-copy-source-range");
    uint64_t size = c->read.object.size;
    enum s3_error e = copy_range_parse(range, size, &c->first, &c->length);
    if (e == S3E_INVALID_RANGE)
        r->range_size = (int64_t)size;
    return e;
}

static enum s3_error copy_open(struct s3_req *r, struct part_copy *c)
{
    c->source = store_bucket(r->s3->store, c->from_bucket);
    if (!c->source)
        return S3E_NO_SUCH_BUCKET;
    enum store_result res =
        store_read_open(r->s3->store, c->source, c->from_key, false, r->arena, &c->read, &c->upload.why);
    c->open = res == STORE_OK;
    if (!c->open)
        return s3_store_error(res);
    if (condition_check(r, &conditions_copy, &c->read.object) != S3E_NONE)
        return S3E_PRECONDITION_FAILED;
    enum s3_error e = copy_range(r, c);
    if (e == S3E_NONE && c->length > BODY_MAX)
        e = S3E_ENTITY_TOO_LARGE;
    return e == S3E_NONE ? s3_store_error(store_admit(r->s3->store, c->length)) : e;
}

static enum s3_error copy_begin(struct s3_req *r, struct part_copy *c)
{
    enum s3_error e = copy_open(r, c);
    if (e != S3E_NONE)
        return e;
    enum store_result res;
    upload_init_own(&c->upload, c->length);
    r->upload = &c->upload;
    upload_want_checksum(&c->upload, c->m.upload.object.checksum);
    c->commit.stage = c->upload.stage = stage_begin(r->s3->store, (int64_t)c->length, &res, &c->upload.why);
    return c->commit.stage ? S3E_NONE : s3_store_error(res);
}

static enum s3_error copy_step(struct part_copy *c)
{
    uint64_t left = c->length - c->at, n = left < STEP ? left : STEP;
    char *piece = x_malloc(PIECE);
    enum s3_error e = S3E_NONE;
    while (n && e == S3E_NONE) {
        size_t have = n < PIECE ? (size_t)n : PIECE;
        e = store_read_bytes(&c->read, c->first + c->at, piece, have, &c->upload.why)
                ? upload_feed(&c->upload, piece, have)
                : S3E_DAMAGED;
        c->at += have;
        n -= have;
    }
    free(piece);
    if (e != S3E_NONE || c->at < c->length)
        return e;
    c->done = true;
    e = upload_end(&c->upload);
    return e == S3E_NONE ? s3_store_error(stage_finish(c->commit.stage, &c->upload.why)) : e;
}

static void copy_job(struct s3_req *r)
{
    struct part_copy *c = r->op_state;
    if (!c->open)
        c->error = copy_begin(r, c);
    if (c->error == S3E_NONE)
        c->error = copy_step(c);
}

static void discard_job(struct s3_req *r)
{
    struct part_copy *c = r->op_state;
    stage_discard(c->commit.stage);
    c->commit.stage = NULL;
}

static void discard_done(struct s3_req *r)
{
    (void)r; /* the error was replied before */
}

static void copy_reply(struct s3_req *r)
{
    struct part_copy *c = r->op_state;
    const struct object *o = &c->object;
    char date[CLOCK_ISO_MS_LEN], etag[ETAG_MAX];
    struct buf b;
    buf_init(&b, 4096);
    clock_iso_ms(o->mtime_ns, date);
    buf_puts(&b, XML_PROLOG "<CopyPartResult xmlns=\"" XML_S3_NS "\">");
    xml_elem(&b, "LastModified", str_n(date, sizeof date));
    buf_printf(&b, "<ETag>&#34;%.*s&#34;</ETag>", (int)object_etag(o, etag), etag);
    part_checksum_element(&b, o->checksum, o->checksum_value);
    buf_puts(&b, "</CopyPartResult>");
    crash_point(CRASH_BEFORE_REPLY);
    s3_reply_xml(r, 200, str_n(NULL, 0), buf_view(&b));
    crash_point(CRASH_AFTER_REPLY);
    buf_release(&b);
}

static void copy_done(struct s3_req *r, bool ok)
{
    struct part_copy *c = r->op_state;
    if (ok)
        copy_reply(r);
    else if (c->commit.stage)
        s3_work(r, discard_job, discard_done);
}

static void copy_job_done(struct s3_req *r)
{
    struct part_copy *c = r->op_state;
    if (c->error != S3E_NONE) {
        if (c->upload.why.text[0])
            log_error("s3", "UploadPartCopy %.*s/%.*s: %s", STR_FMT(c->from_bucket), STR_FMT(c->from_key),
                      c->upload.why.text);
        s3_fail(r, c->error);
        copy_done(r, false);
    } else if (!c->done) {
        if (r->http->gone) /* nobody waits for it any more */
            copy_done(r, false);
        else
            s3_work(r, copy_job, copy_job_done);
    } else {
        c->object.mtime_ns = clock_real_ns();
        memcpy(c->object.md5, c->upload.md5_value, MD5_LEN);
        upload_keep_checksum(&c->upload, &c->object);
        part_commit(r, &c->commit);
    }
}

static void copy_found(struct s3_req *r)
{
    struct part_copy *c = r->op_state;
    c->commit.id = c->m.upload.id;
    c->commit.object = &c->object;
    c->commit.done = copy_done;
    s3_work(r, copy_job, copy_job_done);
}

void op_upload_part_copy(struct s3_req *r)
{
    struct part_copy *c = ARENA_NEW(r->arena, struct part_copy);
    enum s3_error e =
        copy_source_parse(r->arena, s3_header(r, "x-amz-copy-source"), &c->from_bucket, &c->from_key);
    if (e != S3E_NONE) {
        s3_fail(r, e);
        return;
    }
    r->op_state = &c->m;
    r->op_free = copy_free;
    if (part_number_take(r, &c->commit.number))
        multipart_find(r, &c->m, copy_found);
}
