/* SPDX-License-Identifier: Apache-2.0
 *
 * CompleteMultipartUpload. A worker reads the parts, checks the client's list against them, renders the reply (the event's
 * record carries its length) and puts the body together; the closure checks that no part changed since, writes the object and
 * ends the upload. A repeat finds the object that the upload made, by the upload's id in its row. */
#include "base/clock.h"
#include "base/crash.h"
#include "base/encode.h"
#include "base/log.h"
#include "base/xml.h"
#include "s3/emit.h"
#include "s3/meta.h"
#include "s3/multipart.h"
#include "s3/ops.h"
#include "s3/put.h"
#include "s3/upload.h"

#define DOCUMENT_MAX (4u << 20)   /* OBJECT_PARTS parts with their ETags and checksums, indented */
#define SIZE_MAX_ALL (5ull << 40) /* of an object */

struct complete {
    struct put_commit commit;
    struct str id;
    uint64_t generation; /* of the upload whose parts were read */
    struct part_set used;
    bool repeated; /* the object is there already */
    enum s3_error error;
    struct err why;
    struct buf xml;
};

static void complete_free(struct s3_req *r)
{
    buf_release(&((struct complete *)r->op_state)->xml);
}

/* --- the parts -------------------------------------------------------------------------------------------------------- */

struct reading {
    struct s3_req *r;
    struct complete *c;
    struct arena arena;
    struct store_upload upload;
    struct complete_part *wanted;
    struct store_part *there;
    size_t n_wanted, n_there;
    struct extent *extents;
    struct object_part *parts;
    size_t n_extents;
};

static bool etag_is(struct str etag, const struct object *o)
{
    char mine[ETAG_MAX];
    return str_eq(etag, str_n(mine, object_etag(o, mine)));
}

/* A part that the client named, and the one that is there. */
static enum s3_error check_part(const struct reading *x, const struct complete_part *w,
                                const struct object *p, bool last)
{
    const struct object *whole = &x->upload.object;
    if (!etag_is(w->etag, p))
        return S3E_INVALID_PART;
    if (w->checksum && (w->checksum != (uint8_t)p->checksum ||
                        memcmp(w->checksum_value, p->checksum_value, p->checksum_len) != 0))
        return S3E_INVALID_PART;
    if (!w->checksum && whole->checksum != CHECKSUM_NONE && !whole->checksum_full) {
        x->r->message =
            arena_printf(x->r->arena,
                         "The upload was created using a %s checksum. The complete request must include "
                         "the checksum for each part. It was missing for part %u in the request.%c",
                         checksum_names(whole->checksum)->algorithm, w->number, 0)
                .p;
        return S3E_INVALID_REQUEST;
    }
    return !last && p->size < PART_MIN ? S3E_ENTITY_TOO_SMALL : S3E_NONE;
}

static void take_part(struct reading *x, size_t i, const struct object *p)
{
    struct object *o = x->c->commit.object;
    x->parts[i] = (struct object_part){.size = p->size};
    if (p->checksum == o->checksum && p->checksum != CHECKSUM_NONE) {
        x->parts[i].checksum = (uint8_t)p->checksum;
        memcpy(x->parts[i].checksum_value, p->checksum_value, p->checksum_len);
    }
    for (size_t k = 0; k < p->n_extents; k++)
        x->extents[x->n_extents++] = p->extents[k];
    o->size += p->size;
    part_set_add(&x->c->used, x->wanted[i].number);
}

static enum s3_error match_parts(struct reading *x)
{
    size_t at = 0;
    x->parts = ARENA_ARRAY(&x->arena, struct object_part, x->n_wanted);
    x->extents = ARENA_ARRAY(&x->arena, struct extent, x->n_wanted); /* a part has one, or is empty */
    for (size_t i = 0; i < x->n_wanted; i++) {
        const struct complete_part *w = &x->wanted[i];
        while (at < x->n_there && x->there[at].number < w->number)
            at++;
        if (at == x->n_there || x->there[at].number != w->number)
            return S3E_INVALID_PART;
        const struct object *p = &x->there[at].object;
        BUG_ON(p->n_extents > 1);
        enum s3_error e = check_part(x, w, p, i + 1 == x->n_wanted);
        if (e != S3E_NONE)
            return e;
        take_part(x, i, p);
    }
    return x->c->commit.object->size > SIZE_MAX_ALL ? S3E_ENTITY_TOO_LARGE : S3E_NONE;
}

/* --- what the object is ----------------------------------------------------------------------------------------------- */

/* The ETag is the MD5 of the parts' MD5s. */
static void make_etag(struct reading *x)
{
    struct object *o = x->c->commit.object;
    struct hash md5;
    size_t at = 0;
    hash_begin(&md5, HASH_MD5);
    for (size_t i = 0; i < x->n_wanted; i++) {
        while (x->there[at].number != x->wanted[i].number)
            at++;
        hash_add(&md5, x->there[at].object.md5, MD5_LEN);
    }
    hash_end(&md5, o->md5);
    hash_release(&md5);
    o->parts = (uint32_t)x->n_wanted;
}

/* COMPOSITE: the checksum of the parts' checksums; FULL_OBJECT: put together from them. */
static void make_checksum(struct reading *x)
{
    struct object *o = x->c->commit.object;
    if (o->checksum == CHECKSUM_NONE)
        return;
    size_t len = checksum_len(o->checksum);
    o->checksum_len = (uint8_t)len;
    if (o->checksum_full) {
        memcpy(o->checksum_value, x->parts[0].checksum_value, len);
        for (size_t i = 1; i < x->n_wanted; i++)
            checksum_combine(o->checksum, o->checksum_value, x->parts[i].checksum_value, x->parts[i].size,
                             o->checksum_value);
        return;
    }
    struct checksum c;
    checksum_begin(&c, o->checksum);
    for (size_t i = 0; i < x->n_wanted; i++)
        checksum_add(&c, x->parts[i].checksum_value, len);
    checksum_end(&c, o->checksum_value);
    checksum_release(&c);
}

/* "value", or "value-parts" of a COMPOSITE one. */
static enum s3_error check_sent(struct str sent, const struct object *o)
{
    uint8_t value[CHECKSUM_MAX];
    uint64_t parts = o->parts;
    ptrdiff_t dash = str_chr(sent, '-');
    if (dash >= 0 && (o->checksum_full || !str_to_u64(str_from(sent, (size_t)dash + 1), &parts)))
        return S3E_INVALID_CHECKSUM;
    if (!checksum_parse(o->checksum, dash < 0 ? sent : str_head(sent, (size_t)dash), value))
        return S3E_INVALID_CHECKSUM;
    bool same = parts == o->parts && memcmp(value, o->checksum_value, o->checksum_len) == 0;
    return same ? S3E_NONE : S3E_BAD_CHECKSUM;
}

/* The whole's checksum, its type and its size as the client may have sent them. */
static enum s3_error check_whole(struct s3_req *r, const struct object *o)
{
    struct str type = s3_header(r, "x-amz-checksum-type");
    if (type.p && (o->checksum == CHECKSUM_NONE ||
                   !str_ieq(type, o->checksum_full ? STR("FULL_OBJECT") : STR("COMPOSITE"))))
        return S3E_INVALID_CHECKSUM_TYPE;
    for (int k = 1; k < CHECKSUM_KINDS; k++) {
        struct str sent = s3_header(r, checksum_names((enum checksum_kind)k)->header);
        if (!sent.p)
            continue;
        enum s3_error e = k == (int)o->checksum ? check_sent(sent, o) : S3E_INVALID_CHECKSUM;
        if (e != S3E_NONE)
            return e;
    }
    struct str size = s3_header(r, "x-amz-mp-object-size");
    uint64_t n;
    if (size.p && (!str_to_u64(size, &n) || n != o->size)) {
        r->message = "The x-amz-mp-object-size does not match the size of the object";
        return S3E_INVALID_REQUEST;
    }
    return S3E_NONE;
}

static void render(struct s3_req *r, struct complete *c, const struct object *o)
{
    struct buf *b = &c->xml, location;
    char etag[ETAG_MAX];
    buf_init(&location, 16u << 10);
    s3_location(r, &location);
    buf_reset(b);
    buf_puts(b, XML_PROLOG "<CompleteMultipartUploadResult xmlns=\"" XML_S3_NS "\">");
    xml_elem(b, "Location", buf_view(&location));
    buf_release(&location);
    xml_elem(b, "Bucket", r->bucket_name);
    xml_elem(b, "Key", r->key);
    buf_printf(b, "<ETag>&#34;%.*s&#34;</ETag>", (int)object_etag(o, etag), etag);
    checksum_elements(b, o);
    buf_puts(b, "</CompleteMultipartUploadResult>");
    c->commit.content_length = (int64_t)b->len;
}

/* --- on the worker ---------------------------------------------------------------------------------------------------- */

/* The upload is gone: is the object that it made there? */
static enum s3_error find_repeated(struct s3_req *r, struct complete *c)
{
    struct object now;
    enum store_result res = store_object_get(r->s3->store, r->bucket, r->key, false, r->arena, &now, &c->why);
    if (res == STORE_MISSING || (res == STORE_OK && (!c->id.n || !str_eq(now.upload_id, c->id))))
        return S3E_NO_SUCH_UPLOAD;
    if (res != STORE_OK)
        return s3_store_error(res);
    c->repeated = true;
    render(r, c, &now);
    return S3E_NONE;
}

static enum s3_error read_parts(struct reading *x)
{
    struct s3_req *r = x->r;
    struct complete *c = x->c;
    struct object *o = c->commit.object;
    bool more;
    /* The upload's row before its parts: what changes in between has another generation. Its strings outlive this. */
    enum store_result res =
        store_upload_get(r->s3->store, r->bucket, r->key, c->id, false, r->arena, &x->upload, &c->why);
    if (res == STORE_MISSING)
        return find_repeated(r, c);
    if (res == STORE_OK)
        res = store_upload_parts(r->s3->store, r->bucket, r->key, c->id, 0, OBJECT_PARTS, &x->arena,
                                 &x->there, &x->n_there, &more, &c->why);
    if (res != STORE_OK)
        return s3_store_error(res);
    c->generation = x->upload.generation;
    *o = x->upload.object;
    o->upload_id = c->id;
    o->mtime_ns = clock_real_ns();
    enum s3_error e = match_parts(x);
    if (e != S3E_NONE)
        return e;
    make_etag(x);
    make_checksum(x);
    e = check_whole(r, o);
    if (e != S3E_NONE)
        return e;
    render(r, c, o);
    c->commit.stage =
        stage_parts(r->s3->store, x->extents, x->n_extents, x->parts, x->n_wanted, &res, &c->why);
    return c->commit.stage ? S3E_NONE : s3_store_error(res);
}

static void complete_job(struct s3_req *r)
{
    struct complete *c = r->op_state;
    struct reading x = {.r = r, .c = c};
    arena_init(&x.arena);
    stage_discard(c->commit.stage); /* of a try before this one */
    c->commit.stage = NULL;
    memset(&c->used, 0, sizeof c->used);
    c->error = complete_parse(&x.arena, buf_view(&r->xml), &x.wanted, &x.n_wanted);
    if (c->error == S3E_NONE)
        c->error = s3_store_error(store_admit(r->s3->store, 0));
    if (c->error == S3E_NONE)
        c->error = read_parts(&x);
    arena_release(&x.arena);
}

/* --- the commit ------------------------------------------------------------------------------------------------------- */

static enum s3_error complete_check(struct kv_txn *t, struct s3_req *r, const struct object *old, bool *again)
{
    struct complete *c = r->op_state;
    switch (store_txn_upload_check(t, r->bucket, r->key, c->id, c->generation)) {
    case STORE_OK:
        return condition_write(r, old);
    case STORE_MISSING: /* ended meanwhile, perhaps by the same request sent twice */
    case STORE_AGAIN:
        *again = true;
        return S3E_NONE;
    default:
        return S3E_DAMAGED;
    }
}

static void complete_write(struct kv_txn *t, struct s3_req *r)
{
    struct complete *c = r->op_state;
    store_txn_upload_end(t, r->bucket, r->key, c->id, &c->used);
}

static void discard_job(struct s3_req *r)
{
    struct complete *c = r->op_state;
    stage_discard(c->commit.stage);
    c->commit.stage = NULL;
}

static void discard_done(struct s3_req *r)
{
    (void)r; /* the error was replied before */
}

static void complete_done(struct s3_req *r, bool ok)
{
    struct complete *c = r->op_state;
    if (!ok) {
        if (c->commit.stage)
            s3_work(r, discard_job, discard_done);
        return;
    }
    crash_point(CRASH_UPLOAD_COMPLETED);
    store_wake_janitor(r->s3->store);
    crash_point(CRASH_BEFORE_REPLY);
    s3_reply_xml(r, 200, str_n(NULL, 0), buf_view(&c->xml));
    crash_point(CRASH_AFTER_REPLY);
}

static void complete_job_done(struct s3_req *r)
{
    struct complete *c = r->op_state;
    if (c->error != S3E_NONE) {
        if (c->why.text[0])
            log_error("s3", "CompleteMultipartUpload %.*s/%.*s: %s", STR_FMT(r->bucket_name), STR_FMT(r->key),
                      c->why.text);
        s3_fail(r, c->error);
        complete_done(r, false);
    } else if (c->repeated) {
        s3_reply_xml(r, 200, str_n(NULL, 0), buf_view(&c->xml));
    } else {
        put_commit(r, &c->commit);
    }
}

static void complete_begin(struct s3_req *r)
{
    s3_work(r, complete_job, complete_job_done);
}

static void complete_run(struct s3_req *r)
{
    struct complete *c = ARENA_NEW(r->arena, struct complete);
    r->op_state = c;
    r->op_free = complete_free;
    s3_query(r, "uploadId", &c->id);
    c->commit.object = ARENA_NEW(r->arena, struct object);
    c->commit.event_name = EVENT_CREATED_COMPLETE_MULTIPART;
    c->commit.txn_check = complete_check;
    c->commit.txn_write = complete_write;
    c->commit.redo = complete_begin;
    c->commit.done = complete_done;
    buf_init(&c->xml, 64u << 10);
    complete_begin(r);
}

void op_complete_multipart_upload(struct s3_req *r)
{
    if (s3_need_bucket(r))
        upload_collect_plain(r, DOCUMENT_MAX, complete_run);
}
