/* SPDX-License-Identifier: Apache-2.0
 *
 * DeleteObjects: up to 1,000 keys, in closures of as many keys as fit, each key's event in the very commit of its delete. The
 * reply is rendered before, because the records carry its length. */
#include "s3/deletes.h"
#include "base/crash.h"
#include "base/xml.h"
#include "s3/emit.h"
#include "s3/ops.h"

#define ROWS_PER_KEY 20 /* the object's row read twice and removed, its extents' garbage */
#define ROWS_MAX     (KV_TXN_ROWS - 8)
#define BYTES_MAX    (KV_TXN_BYTES - (64u << 10))
#define REPLY_MAX    (16u << 20)
#define RECORDS_MAX  (64u << 20) /* of all keys of a request, in memory */

/* Entries [from, to) in one closure. */
struct part {
    struct kv_commit commit;
    struct s3_req *r;
    size_t from, to;
    bool again;
    enum s3_error error;
};

struct deletes {
    struct delete_entry *entries;
    size_t n, parts_open;
    bool quiet, again, garbage;
    enum s3_error error;
    struct buf xml;
    size_t at; /* first entry that is not yet committed */
};

static void deletes_free(struct s3_req *r)
{
    buf_release(&((struct deletes *)r->op_state)->xml);
}

/* --- request and reply ----------------------------------------------------------------------------------------------- */

static void render(struct deletes *d)
{
    struct buf *b = &d->xml;
    buf_puts(b, XML_PROLOG "<DeleteResult xmlns=\"" XML_S3_NS "\">");
    for (size_t i = 0; i < d->n; i++) {
        const struct delete_entry *e = &d->entries[i];
        if (e->error == S3E_NONE) {
            if (!d->quiet) {
                buf_puts(b, "<Deleted>");
                xml_elem(b, "Key", e->key);
                buf_puts(b, "</Deleted>");
            }
            continue;
        }
        buf_puts(b, "<Error>");
        xml_elem(b, "Code", str_c(s3_error_row(e->error)->code));
        xml_elem(b, "Message", str_c(s3_error_row(e->error)->message));
        xml_elem(b, "Key", e->key);
        buf_puts(b, "</Error>");
    }
    buf_puts(b, "</DeleteResult>");
}

/* --- commits --------------------------------------------------------------------------------------------------------- */

static void delete_entry(struct kv_txn *t, struct s3_req *r, struct delete_entry *e)
{
    struct deletes *d = r->op_state;
    struct object old; /* read again: an entry before this one may name the same key */
    if (store_txn_object_get(t, r->bucket, e->key, r->arena, &old) == STORE_OK) {
        store_txn_object_delete(t, r->s3->store, r->bucket, e->key, &old);
        d->garbage = true;
    }
    uint64_t seq = kv_txn_sequence(t);
    emit_txn_put(t, r, e->event, seq, seq);
}

/* May the entry's delete be written? A row that cannot be read ends the closure while it still may. */
static void check_entry(struct kv_txn *t, struct part *p, const struct delete_entry *e)
{
    struct object before, *old;
    p->error = emit_txn_admit(t, p->r, e->event, &p->again);
    if (p->error == S3E_NONE && !p->again)
        p->error = emit_txn_old(t, p->r, e->key, &before, &old);
}

static bool part_txn(struct kv_txn *t, void *ctx)
{
    struct part *p = ctx;
    struct deletes *d = p->r->op_state;
    p->again = false;
    p->error = emit_txn_check(t, p->r, &p->again);
    for (size_t i = p->from; i < p->to && p->error == S3E_NONE && !p->again; i++)
        if (d->entries[i].error == S3E_NONE)
            check_entry(t, p, &d->entries[i]);
    if (p->error != S3E_NONE || p->again)
        return false;
    for (size_t i = p->from; i < p->to; i++)
        if (d->entries[i].error == S3E_NONE)
            delete_entry(t, p->r, &d->entries[i]);
    return true;
}

static void deletes_begin(struct s3_req *r);

static void all_done(struct s3_req *r)
{
    struct deletes *d = r->op_state;
    if (d->garbage)
        store_wake_janitor(r->s3->store);
    if (d->error != S3E_NONE) {
        s3_fail(r, d->error);
    } else if (d->again) {
        if (s3_renew_bucket(r))
            deletes_begin(r);
    } else {
        crash_point(CRASH_BEFORE_REPLY);
        s3_reply_xml(r, 200, str_n(NULL, 0), buf_view(&d->xml));
        crash_point(CRASH_AFTER_REPLY);
    }
}

static void part_done(void *ctx, enum kv_outcome outcome)
{
    struct part *p = ctx;
    struct s3_req *r = p->r;
    struct deletes *d = r->op_state;
    if (outcome == KV_FAILED)
        d->error = S3E_SLOW_DOWN_WRITE;
    else if (outcome == KV_ABORTED && p->again)
        d->again = true;
    else if (outcome == KV_ABORTED)
        d->error = p->error;
    else if (!d->again)
        d->at = p->to;
    if (--d->parts_open == 0)
        all_done(r);
    http_release(r->http);
}

/* One closure for as many entries as fit. */
static struct part *make_part(struct s3_req *r, size_t from)
{
    struct deletes *d = r->op_state;
    struct part *p = ARENA_NEW(r->arena, struct part);
    size_t rows = 0, bytes = 0, i = from;
    for (; i < d->n; i++) {
        const struct event_out *ev = d->entries[i].event;
        size_t row = ROWS_PER_KEY + (ev ? OUTBOX_ROWS(ev->targets.n) : 0),
               byte = emit_bytes(ev) + 2 * EMIT_OBJECT_ROW;
        if (i > from && (rows + row > ROWS_MAX || bytes + byte > BYTES_MAX))
            break;
        rows += row;
        bytes += byte;
    }
    p->r = r;
    p->from = from;
    p->to = i;
    p->commit = (struct kv_commit){
        .fn = part_txn, .done = part_done, .ctx = p, .loop = r->http->loop, .bytes = bytes};
    return p;
}

/* False when the records of a long head are more than a closure or our memory takes. */
static bool match_all(struct s3_req *r)
{
    struct deletes *d = r->op_state;
    size_t records = 0;
    for (size_t i = d->at; i < d->n; i++) {
        struct delete_entry *e = &d->entries[i];
        e->event = e->error == S3E_NONE ? emit_match(r, EVENT_REMOVED_DELETE, e->key) : NULL;
        if (e->event)
            emit_record(r, e->event, NULL, (int64_t)d->xml.len);
        records += e->event ? e->event->ob.record.n : 0;
        if (records > RECORDS_MAX || !emit_fits(e->event))
            return false;
    }
    return true;
}

static void deletes_commit(struct s3_req *r)
{
    struct deletes *d = r->op_state;
    d->again = false;
    if (!match_all(r)) {
        s3_fail(r, S3E_METADATA_TOO_LARGE);
        return;
    }
    size_t n = 0;
    struct part **parts = ARENA_ARRAY(r->arena, struct part *, d->n);
    for (size_t at = d->at; at < d->n; at = parts[n - 1]->to)
        parts[n++] = make_part(r, at);
    d->parts_open = n;
    for (size_t i = 0; i < n; i++) {
        http_hold(r->http);
        kv_commit(store_kv(r->s3->store), &parts[i]->commit);
    }
}

static void deletes_warm(struct s3_req *r)
{
    struct deletes *d = r->op_state;
    for (size_t i = d->at; i < d->n; i++)
        if (d->entries[i].error == S3E_NONE)
            s3_warm(r, d->entries[i].key);
}

static void deletes_begin(struct s3_req *r)
{
    struct deletes *d = r->op_state;
    for (size_t i = d->at; i < d->n; i++)
        if (d->entries[i].error == S3E_NONE && s3_is_cold(r, d->entries[i].key)) {
            s3_work(r, deletes_warm, deletes_commit);
            return;
        }
    deletes_commit(r);
}

static bool has_integrity_header(struct s3_req *r)
{
    if (s3_header(r, "content-md5").p || r->payload.trailer_names.n)
        return true;
    for (size_t i = 0; i < r->http->headers.n; i++)
        if (str_istarts(r->http->headers.v[i].name, STR("x-amz-checksum-")))
            return true;
    return false;
}

void op_delete_objects(struct s3_req *r)
{
    if (!has_integrity_header(r)) {
        s3_fail(r, S3E_MISSING_CONTENT_MD5);
        return;
    }
    if (!s3_need_bucket(r))
        return;
    struct deletes *d = ARENA_NEW(r->arena, struct deletes);
    if (!deletes_parse(r->arena, buf_view(&r->xml), &d->entries, &d->n, &d->quiet)) {
        s3_fail(r, S3E_MALFORMED_XML);
        return;
    }
    buf_init(&d->xml, REPLY_MAX);
    r->op_state = d;
    r->op_free = deletes_free;
    render(d);
    deletes_begin(r);
}
