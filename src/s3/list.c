/* SPDX-License-Identifier: Apache-2.0
 *
 * ListObjects, version 1 and 2, and ListObjectVersions, in which every object has the one version "null" (s3-api.md 3). Read
 * and rendered on a worker. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/log.h"
#include "base/xml.h"
#include "s3/list_params.h"
#include "s3/meta.h"
#include "s3/ops.h"
#include "s3/owner.h"
#include "s3/route.h"

#define REPLY_MAX \
    (16u \
     << 20) /* 1,000 keys of 1,024 bytes, each at most 6 bytes long when escaped, and the rest; or metadata */

struct list {
    struct list_params p;
    enum store_result res;
    bool unsayable; /* the page's end, which the next request has to name */
    struct err why;
    struct buf xml;
};

static void list_free(struct s3_req *r)
{
    buf_release(&((struct list *)r->op_state)->xml);
}

/* A name as the client asked for it: percent-encoded with encoding-type=url ('/' stays, space is %20). */
static void name_elem(struct list *l, const char *elem, struct str name)
{
    buf_printf(&l->xml, "<%s>", elem);
    if (l->p.url)
        pct_encode(&l->xml, name, PCT_PATH);
    else
        xml_escape(&l->xml, name);
    buf_printf(&l->xml, "</%s>", elem);
}

/* MinIO's extension: metadata as elements of their names, tags as a query. Names that are none of XML's are left out. */
static bool element_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        if (!letter && (!i || !((c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.')))
            return false;
    }
    return s.n > 0;
}

static void metadata(struct list *l, const struct object *o)
{
    struct buf *b = &l->xml;
    buf_puts(b, "<UserMetadata>");
    for (size_t i = 0; i < o->meta.n; i++) {
        struct header h = o->meta.v[i];
        if (!element_name(h.name))
            continue;
        buf_printf(b, "<%.*s>", STR_FMT(h.name));
        xml_escape(b, h.value);
        buf_printf(b, "</%.*s>", STR_FMT(h.name));
    }
    buf_puts(b, "</UserMetadata>");
    xml_elem(b, "UserTags", o->tags);
}

static void contents(struct list *l, const struct list_entry *e)
{
    struct buf *b = &l->xml;
    char date[CLOCK_ISO_MS_LEN], etag[ETAG_MAX];
    bool version = l->p.kind == LIST_VERSIONS;
    clock_iso_ms(e->object.mtime_ns, date);
    buf_puts(b, version ? "<Version>" : "<Contents>");
    name_elem(l, "Key", e->key);
    if (version)
        buf_puts(b, "<VersionId>null</VersionId><IsLatest>true</IsLatest>");
    xml_elem(b, "LastModified", str_n(date, sizeof date));
    buf_printf(b, "<ETag>&#34;%.*s&#34;</ETag>", (int)object_etag(&e->object, etag), etag);
    xml_elem_u64(b, "Size", e->object.size);
    if (l->p.owner)
        buf_puts(b, S3_OWNER);
    struct str class = header_value(&e->object.meta, STR("x-amz-storage-class"));
    xml_elem(b, "StorageClass", class.n ? class : STR("STANDARD"));
    if (l->p.metadata)
        metadata(l, &e->object);
    buf_puts(b, version ? "</Version>" : "</Contents>");
}

/* Continuation tokens are the last name of the page before, in base64: opaque to clients, stateless here. */
static void token_elem(struct list *l, struct str name)
{
    buf_puts(&l->xml, "<NextContinuationToken>");
    base64_encode(&l->xml, name);
    buf_puts(&l->xml, "</NextContinuationToken>");
}

static void version_markers(struct list *l, const struct list_page *page)
{
    name_elem(l, "KeyMarker", l->p.marker);
    xml_elem(&l->xml, "VersionIdMarker", l->p.version_marker);
    if (!page->truncated)
        return;
    name_elem(l, "NextKeyMarker", page->next);
    if (!page->entries[page->n - 1].is_prefix)
        buf_puts(&l->xml, "<NextVersionIdMarker>null</NextVersionIdMarker>");
}

static void markers(struct list *l, const struct list_page *page)
{
    if (l->p.kind == LIST_VERSIONS) {
        version_markers(l, page);
        return;
    }
    if (l->p.kind == LIST_V1) {
        name_elem(l, "Marker", l->p.marker);
        if (page->truncated)
            name_elem(l, "NextMarker", page->next);
        return;
    }
    if (l->p.start_after.n)
        name_elem(l, "StartAfter", l->p.start_after);
    if (l->p.has_token)
        xml_elem(&l->xml, "ContinuationToken", l->p.token);
    if (page->truncated)
        token_elem(l, page->next);
    xml_elem_u64(&l->xml, "KeyCount", page->n);
}

static void render(struct s3_req *r, struct list *l, const struct list_page *page)
{
    struct buf *b = &l->xml;
    bool versions = l->p.kind == LIST_VERSIONS;
    buf_puts(b, versions ? XML_PROLOG "<ListVersionsResult xmlns=\"" XML_S3_NS "\">"
                         : XML_PROLOG "<ListBucketResult xmlns=\"" XML_S3_NS "\">");
    xml_elem(b, "Name", r->bucket_name);
    name_elem(l, "Prefix", l->p.q.prefix);
    markers(l, page);
    xml_elem_u64(b, "MaxKeys", l->p.q.max);
    if (l->p.q.delimiter.n)
        name_elem(l, "Delimiter", l->p.q.delimiter);
    xml_elem(b, "IsTruncated", page->truncated ? STR("true") : STR("false"));
    for (size_t i = 0; i < page->n; i++)
        if (!page->entries[i].is_prefix)
            contents(l, &page->entries[i]);
    for (size_t i = 0; i < page->n; i++)
        if (page->entries[i].is_prefix) {
            buf_puts(b, "<CommonPrefixes>");
            name_elem(l, "Prefix", page->entries[i].key);
            buf_puts(b, "</CommonPrefixes>");
        }
    if (l->p.url)
        buf_puts(b, "<EncodingType>url</EncodingType>");
    buf_puts(b, versions ? "</ListVersionsResult>" : "</ListBucketResult>");
}

static void list_job(struct s3_req *r)
{
    struct list *l = r->op_state;
    struct list_page page;
    struct arena rows; /* with all their metadata: let go before a client takes its time with the reply */
    arena_init(&rows);
    l->res = store_list(r->s3->store, r->bucket, &l->p.q, &rows, &page, &l->why);
    l->unsayable =
        l->res == STORE_OK && page.truncated && l->p.kind != LIST_V2 && !l->p.url && !xml_carries(page.next);
    if (l->res == STORE_OK && !l->unsayable)
        render(r, l, &page);
    arena_release(&rows);
}

static void xml_stays(void *arg)
{
    (void)arg; /* it is released with the request */
}

static void list_reply(struct s3_req *r, struct list *l)
{
    struct buf h;
    buf_init(&h, 8192);
    s3_headers(r, &h);
    buf_puts(&h, "Content-Type: application/xml\r\n");
    http_reply_pinned(r->http, 200, buf_view(&h), buf_view(&l->xml), xml_stays, NULL);
    buf_release(&h);
}

static void list_done(struct s3_req *r)
{
    struct list *l = r->op_state;
    if (l->res != STORE_OK) {
        log_error("s3", "%s %.*s: %s", r->op->name, STR_FMT(r->bucket_name), l->why.text);
        s3_fail(r, s3_store_error(l->res));
    } else if (l->unsayable) {
        s3_fail_msg(r, S3E_INVALID_ARGUMENT, LIST_UNSAYABLE);
    } else if (l->xml.failed) {
        s3_fail(r, S3E_INTERNAL);
    } else {
        list_reply(r, l);
    }
}

static void list(struct s3_req *r, enum list_kind kind)
{
    struct list *l = ARENA_NEW(r->arena, struct list);
    l->p.kind = kind;
    const char *wrong = list_params(r->arena, &r->query, &l->p);
    if (wrong) {
        s3_fail_msg(r, S3E_INVALID_ARGUMENT, wrong);
        return;
    }
    if (!s3_need_bucket(r))
        return;
    buf_init(&l->xml, REPLY_MAX);
    r->op_state = l;
    r->op_free = list_free;
    s3_work(r, list_job, list_done);
}

void op_list_objects(struct s3_req *r)
{
    struct str v;
    list(r, s3_query(r, "list-type", &v) && str_eq(v, STR("2")) ? LIST_V2 : LIST_V1);
}

void op_list_object_versions(struct s3_req *r)
{
    list(r, LIST_VERSIONS);
}
