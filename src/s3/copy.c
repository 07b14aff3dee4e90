/* SPDX-License-Identifier: Apache-2.0
 *
 * CopyObject: the copy gets bytes of its own; a copy of an object onto itself that changes only metadata keeps its blob. */
#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/xml.h"
#include "s3/meta.h"
#include "s3/ops.h"
#include "s3/put.h"
#include "s3/reread.h"
#include "s3/route.h"
#include "s3/upload.h"

struct copy {
    struct put_commit commit;
    struct str from_bucket, from_key;
    bool replace, self, checksum_asked;
    struct bucket *source;
    struct store_read read;
    struct reread reread;
    bool open, reread_done;
    bool replace_tags;
    enum s3_error error;
    struct err why;
    struct buf xml;
};

static void copy_free(struct s3_req *r)
{
    struct copy *c = r->op_state;
    if (c->open)
        store_read_close(&c->read);
    if (c->source)
        bucket_unref(c->source);
    reread_release(&c->reread);
    c->open = c->reread_done = false;
    c->source = NULL;
    buf_release(&c->xml);
}

static enum s3_error parse_source(struct s3_req *r, struct copy *c)
{
    enum s3_error e =
        copy_source_parse(r->arena, s3_header(r, "x-amz-copy-source"), &c->from_bucket, &c->from_key);
    c->self = e == S3E_NONE && str_eq(c->from_bucket, r->bucket_name) && str_eq(c->from_key, r->key);
    return e;
}

static enum s3_error parse_directives(struct s3_req *r, struct copy *c)
{
    struct str tags = s3_header(r, "x-amz-tagging-directive");
    c->replace_tags = str_eq(tags, STR("REPLACE"));
    if (tags.n && !c->replace_tags && !str_eq(tags, STR("COPY")))
        return S3E_INVALID_TAGGING_DIRECTIVE;
    struct str d = s3_header(r, "x-amz-metadata-directive");
    c->replace = str_eq(d, STR("REPLACE"));
    if (d.n && !c->replace && !str_eq(d, STR("COPY")))
        return S3E_INVALID_DIRECTIVE;
    struct str k = s3_header(r, "x-amz-checksum-algorithm");
    c->checksum_asked = k.p != NULL;
    return k.p && checksum_of_algorithm(k) == CHECKSUM_NONE ? S3E_INVALID_CHECKSUM_ALGORITHM : S3E_NONE;
}

/* The new object's metadata and tags: the source's or the request's; the storage class is always the request's. */
static enum s3_error copy_meta(struct s3_req *r, struct copy *c)
{
    struct object *o = c->commit.object;
    const struct object *from = &c->read.object;
    enum s3_error e = meta_from_request(r, o);
    if (!c->replace_tags)
        o->tags = from->tags;
    if (e != S3E_NONE || c->replace)
        return e;
    struct str class = header_value(&o->meta, STR("x-amz-storage-class"));
    o->meta.v = ARENA_ARRAY(r->arena, struct header, from->meta.n + 1);
    o->meta.n = 0;
    for (size_t i = 0; i < from->meta.n; i++)
        if (!str_eq(from->meta.v[i].name, STR("x-amz-storage-class")))
            o->meta.v[o->meta.n++] = from->meta.v[i];
    if (class.n)
        o->meta.v[o->meta.n++] = (struct header){STR("x-amz-storage-class"), class};
    return S3E_NONE;
}

static enum s3_error copy_check_self(struct s3_req *r, struct copy *c)
{
    struct str now = header_value(&c->read.object.meta, STR("x-amz-storage-class"));
    struct str wanted = s3_header(r, "x-amz-storage-class");
    if (!c->self || c->replace || c->replace_tags)
        return S3E_NONE;
    return wanted.n && !str_eq(wanted, now.n ? now : STR("STANDARD")) ? S3E_NONE : S3E_SELF_COPY;
}

/* What the object is, but for its metadata and tags. */
static void copy_fields(struct object *o, const struct object *from)
{
    o->size = from->size;
    o->mtime_ns = clock_real_ns();
    memcpy(o->md5, from->md5, sizeof o->md5);
    o->parts = from->parts;
    o->checksum = from->checksum;
    o->checksum_full = from->checksum_full;
    o->checksum_len = from->checksum_len;
    memcpy(o->checksum_value, from->checksum_value, sizeof o->checksum_value);
}

static void copy_render(struct copy *c)
{
    const struct object *o = c->commit.object;
    char date[CLOCK_ISO_MS_LEN], etag[ETAG_MAX];
    clock_iso_ms(o->mtime_ns, date);
    buf_reset(&c->xml);
    buf_puts(&c->xml, XML_PROLOG "<CopyObjectResult xmlns=\"" XML_S3_NS "\">");
    xml_elem(&c->xml, "LastModified", str_n(date, sizeof date));
    buf_printf(&c->xml, "<ETag>&#34;%.*s&#34;</ETag>", (int)object_etag(o, etag), etag);
    if (c->checksum_asked)
        checksum_elements(&c->xml, o);
    buf_puts(&c->xml, "</CopyObjectResult>");
    c->commit.content_length = (int64_t)c->xml.len;
}

static enum s3_error copy_open(struct s3_req *r, struct copy *c)
{
    c->source = store_bucket(r->s3->store, c->from_bucket);
    if (!c->source)
        return S3E_NO_SUCH_BUCKET;
    enum store_result res =
        store_read_open(r->s3->store, c->source, c->from_key, false, r->arena, &c->read, &c->why);
    c->open = res == STORE_OK;
    if (!c->open)
        return s3_store_error(res);
    /* Every source condition that fails is 412, also those that are 304 on GET. */
    if (condition_check(r, &conditions_copy, &c->read.object) != S3E_NONE)
        return S3E_PRECONDITION_FAILED;
    return S3E_NONE;
}

static enum s3_error copy_prepare(struct s3_req *r, struct copy *c)
{
    struct object *o = c->commit.object;
    enum s3_error e = copy_open(r, c);
    if (e == S3E_NONE)
        e = copy_check_self(r, c);
    if (e == S3E_NONE)
        e = copy_meta(r, c);
    if (e != S3E_NONE)
        return e;
    copy_fields(o, &c->read.object);
    return reread_begin(r, &c->reread, o);
}

static enum s3_error copy_bytes(struct s3_req *r, struct copy *c)
{
    enum store_result res;
    if (c->commit.stage)
        return s3_store_error(stage_copy_step(c->commit.stage, &c->read, &c->why));
    enum s3_error e = s3_store_error(store_admit(r->s3->store, c->read.object.size));
    if (e != S3E_NONE)
        return e;
    c->commit.stage = stage_copy_begin(r->s3->store, &c->read, &res, &c->why);
    return s3_store_error(res);
}

/* A step at a time, so that a long object does not keep others from the worker: first its checksum, when one is asked for,
 * then its bytes. */
static void copy_job(struct s3_req *r)
{
    struct copy *c = r->op_state;
    c->error = c->open ? S3E_NONE : copy_prepare(r, c);
    if (c->error != S3E_NONE)
        return;
    if (!c->reread_done)
        c->error = reread_step(&c->reread, &c->read, c->commit.object, &c->reread_done, &c->why);
    if (c->error == S3E_NONE && c->reread_done && !c->self) /* else only metadata changes: the blob stays */
        c->error = copy_bytes(r, c);
}

static bool copy_ready(const struct copy *c)
{
    return c->reread_done && (c->self || (c->commit.stage && stage_copied(c->commit.stage)));
}

/* --- the commit ------------------------------------------------------------------------------------------------------ */

static enum s3_error copy_check(struct s3_req *r, const struct object *old, bool *again)
{
    struct copy *c = r->op_state;
    enum s3_error e = condition_write(r, old);
    if (e == S3E_NONE && c->self)
        *again = !old || old->seq != c->read.object.seq || !str_eq(old->tags, c->read.object.tags);
    return e;
}

static void copy_begin(struct s3_req *r);

/* The object changed between reading it and changing its metadata: read again. */
static void copy_redo(struct s3_req *r)
{
    copy_free(r);
    copy_begin(r);
}

static void discard_job(struct s3_req *r)
{
    struct copy *c = r->op_state;
    stage_discard(c->commit.stage);
    c->commit.stage = NULL;
}

static void discard_done(struct s3_req *r)
{
    (void)r; /* the error was replied before */
}

static void copy_done(struct s3_req *r, bool ok)
{
    struct copy *c = r->op_state;
    if (!ok) {
        if (c->commit.stage)
            s3_work(r, discard_job, discard_done);
        return;
    }
    struct buf h;
    char etag[ETAG_MAX];
    buf_init(&h, 1024);
    buf_printf(&h, "ETag: \"%.*s\"\r\n", (int)object_etag(c->commit.object, etag), etag);
    checksum_header(&h, c->commit.object);
    crash_point(CRASH_BEFORE_REPLY);
    s3_reply_xml(r, 200, buf_view(&h), buf_view(&c->xml));
    crash_point(CRASH_AFTER_REPLY);
    buf_release(&h);
}

static void copy_job_done(struct s3_req *r)
{
    struct copy *c = r->op_state;
    if (c->error == S3E_NONE && copy_ready(c)) {
        copy_render(c);
        put_commit(r, &c->commit);
        return;
    }
    if (c->error == S3E_NONE) {
        if (r->http->gone) /* nobody waits for it any more */
            copy_done(r, false);
        else
            s3_work(r, copy_job, copy_job_done);
        return;
    }
    if (c->why.text[0])
        log_error("s3", "CopyObject %.*s/%.*s: %s", STR_FMT(c->from_bucket), STR_FMT(c->from_key),
                  c->why.text);
    s3_fail(r, c->error);
    copy_done(r, false);
}

static void copy_begin(struct s3_req *r)
{
    struct copy *c = r->op_state;
    buf_init(&c->xml, 4096);
    s3_work(r, copy_job, copy_job_done);
}

void op_copy_object(struct s3_req *r)
{
    struct copy *c = ARENA_NEW(r->arena, struct copy);
    enum s3_error e = parse_source(r, c);
    if (e == S3E_NONE)
        e = parse_directives(r, c);
    if (e != S3E_NONE) {
        s3_fail(r, e);
        return;
    }
    if (!s3_need_bucket(r))
        return;
    c->commit.object = ARENA_NEW(r->arena, struct object);
    c->commit.event_name = EVENT_CREATED_COPY;
    c->commit.check = copy_check;
    c->commit.redo = copy_redo;
    c->commit.done = copy_done;
    r->op_state = c;
    r->op_free = copy_free;
    copy_begin(r);
}
