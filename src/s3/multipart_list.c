/* SPDX-License-Identifier: Apache-2.0
 *
 * ListParts and ListMultipartUploads (s3-api.md 1.2, 3.1). Read and rendered on a worker. */
#include "base/clock.h"
#include "base/encode.h"
#include "base/xml.h"
#include "s3/list_params.h"
#include "s3/multipart.h"
#include "s3/ops.h"
#include "s3/owner.h"

#define REPLY_MAX \
    (16u << 20) /* 1,000 keys of 1,024 bytes, each at most 6 bytes long when escaped, and the rest */
#define PAGE_MAX 1000
#define INITIATOR \
    "<Initiator><ID>02d6176db174dc93cb1b899f7c6078f08654445fe8cf1b6ce98d8855f66bdbf4</" \
    "ID><DisplayName>minio</" \
    "DisplayName></Initiator>"

/* --- what both have --------------------------------------------------------------------------------------------------- */

/* A number of the query that is at most INT32_MAX; absent or empty: otherwise. False when it is none. */
static bool take_number(const struct s3_req *r, const char *name, uint64_t otherwise, uint64_t *out)
{
    struct str v;
    *out = otherwise;
    return !s3_query(r, name, &v) || !v.n || (str_to_u64(v, out) && *out <= INT32_MAX);
}

static bool take_encoding(const struct s3_req *r, bool *url)
{
    struct str v;
    *url = s3_query(r, "encoding-type", &v) && v.n;
    return !*url || str_ieq(v, STR("url"));
}

static void name_elem(struct buf *b, bool url, const char *elem, struct str name)
{
    buf_printf(b, "<%s>", elem);
    if (url)
        pct_encode(b, name, PCT_PATH);
    else
        xml_escape(b, name);
    buf_printf(b, "</%s>", elem);
}

static void time_elem(struct buf *b, const char *elem, int64_t ns)
{
    char date[CLOCK_ISO_MS_LEN];
    clock_iso_ms(ns, date);
    xml_elem(b, elem, str_n(date, sizeof date));
}

static void class_elem(struct buf *b, const struct object *o)
{
    struct str class = header_value(&o->meta, STR("x-amz-storage-class"));
    xml_elem(b, "StorageClass", class.n ? class : STR("STANDARD"));
}

static void xml_stays(void *arg)
{
    (void)arg; /* it is released with the request */
}

static void list_reply(struct s3_req *r, const struct buf *xml)
{
    struct buf h;
    if (xml->failed) {
        s3_fail(r, S3E_INTERNAL);
        return;
    }
    buf_init(&h, 8192);
    s3_headers(r, &h);
    buf_puts(&h, "Content-Type: application/xml\r\n");
    http_reply_pinned(r->http, 200, buf_view(&h), buf_view(xml), xml_stays, NULL);
    buf_release(&h);
}

/* --- ListParts -------------------------------------------------------------------------------------------------------- */

struct list_parts {
    struct multipart m;
    uint64_t marker, max;
    bool url;
    struct buf xml;
};

static void parts_free(struct s3_req *r)
{
    buf_release(&((struct list_parts *)r->op_state)->xml);
}

static void part_elem(struct buf *b, const struct store_part *p)
{
    char etag[ETAG_MAX];
    buf_puts(b, "<Part>");
    xml_elem_u64(b, "PartNumber", p->number);
    time_elem(b, "LastModified", p->object.mtime_ns);
    buf_printf(b, "<ETag>&#34;%.*s&#34;</ETag>", (int)object_etag(&p->object, etag), etag);
    xml_elem_u64(b, "Size", p->object.size);
    part_checksum_element(b, p->object.checksum, p->object.checksum_value);
    buf_puts(b, "</Part>");
}

static void parts_render(struct s3_req *r, struct list_parts *l, const struct store_part *parts, size_t n,
                         bool more)
{
    struct buf *b = &l->xml;
    const struct object *o = &l->m.upload.object;
    buf_puts(b, XML_PROLOG "<ListPartsResult xmlns=\"" XML_S3_NS "\">");
    xml_elem(b, "Bucket", r->bucket_name);
    name_elem(b, l->url, "Key", r->key);
    xml_elem(b, "UploadId", l->m.id);
    buf_puts(b, INITIATOR S3_OWNER);
    class_elem(b, o);
    xml_elem_u64(b, "PartNumberMarker", l->marker);
    xml_elem_u64(b, "NextPartNumberMarker", n ? parts[n - 1].number : 0);
    xml_elem_u64(b, "MaxParts", l->max);
    xml_elem(b, "IsTruncated", more ? STR("true") : STR("false"));
    upload_checksum_elements(b, o);
    for (size_t i = 0; i < n; i++)
        part_elem(b, &parts[i]);
    if (l->url)
        buf_puts(b, "<EncodingType>url</EncodingType>");
    buf_puts(b, "</ListPartsResult>");
}

static void parts_job(struct s3_req *r)
{
    struct list_parts *l = r->op_state;
    struct store_part *parts;
    struct arena rows;
    size_t n;
    bool more;
    uint32_t after = l->marker < OBJECT_PARTS ? (uint32_t)l->marker : OBJECT_PARTS;
    arena_init(&rows);
    l->m.res = store_upload_parts(r->s3->store, r->bucket, r->key, l->m.id, after, (size_t)l->max, &rows,
                                  &parts, &n, &more, &l->m.why);
    if (l->m.res == STORE_OK)
        parts_render(r, l, parts, n, more);
    arena_release(&rows);
}

static void parts_done(struct s3_req *r)
{
    struct list_parts *l = r->op_state;
    if (l->m.res == STORE_OK)
        list_reply(r, &l->xml);
    else
        multipart_fail(r, l->m.res, &l->m.why);
}

static void parts_found(struct s3_req *r)
{
    s3_work(r, parts_job, parts_done);
}

void op_list_parts(struct s3_req *r)
{
    struct list_parts *l = ARENA_NEW(r->arena, struct list_parts);
    const char *wrong = NULL;
    if (!take_encoding(r, &l->url))
        wrong = "Invalid Encoding Method specified in Request";
    else if (!take_number(r, "max-parts", PAGE_MAX, &l->max))
        wrong = "Argument max-parts must be an integer between 0 and 2147483647";
    else if (!take_number(r, "part-number-marker", 0, &l->marker))
        wrong = "Argument part-number-marker must be an integer between 0 and 2147483647";
    if (wrong) {
        s3_fail_msg(r, S3E_INVALID_ARGUMENT, wrong);
        return;
    }
    l->max = l->max < PAGE_MAX ? l->max : PAGE_MAX;
    buf_init(&l->xml, REPLY_MAX);
    r->op_state = &l->m;
    r->op_free = parts_free;
    multipart_find(r, &l->m, parts_found);
}

/* --- ListMultipartUploads --------------------------------------------------------------------------------------------- */

struct list_uploads {
    struct uploads_query q;
    uint64_t max;
    bool url;
    enum store_result res;
    bool unsayable; /* the page's end, which the next request has to name */
    struct err why;
    struct buf xml;
};

static void uploads_free(struct s3_req *r)
{
    buf_release(&((struct list_uploads *)r->op_state)->xml);
}

static void upload_elem(struct list_uploads *l, const struct uploads_entry *x)
{
    struct buf *b = &l->xml;
    buf_puts(b, "<Upload>");
    name_elem(b, l->url, "Key", x->key);
    xml_elem(b, "UploadId", x->upload.id);
    buf_puts(b, INITIATOR S3_OWNER);
    class_elem(b, &x->upload.object);
    time_elem(b, "Initiated", x->upload.object.mtime_ns);
    upload_checksum_elements(b, &x->upload.object);
    buf_puts(b, "</Upload>");
}

static void uploads_markers(struct list_uploads *l, const struct uploads_page *page)
{
    struct buf *b = &l->xml;
    name_elem(b, l->url, "KeyMarker", l->q.key_marker);
    xml_elem(b, "UploadIdMarker", l->q.id_marker);
    if (page->truncated) {
        const struct uploads_entry *last = &page->entries[page->n - 1];
        name_elem(b, l->url, "NextKeyMarker", last->key);
        xml_elem(b, "NextUploadIdMarker", last->is_prefix ? STR("") : last->upload.id);
    }
}

static void uploads_render(struct s3_req *r, struct list_uploads *l, const struct uploads_page *page)
{
    struct buf *b = &l->xml;
    buf_puts(b, XML_PROLOG "<ListMultipartUploadsResult xmlns=\"" XML_S3_NS "\">");
    xml_elem(b, "Bucket", r->bucket_name);
    uploads_markers(l, page);
    name_elem(b, l->url, "Prefix", l->q.prefix);
    if (l->q.delimiter.n)
        name_elem(b, l->url, "Delimiter", l->q.delimiter);
    xml_elem_u64(b, "MaxUploads", l->q.max);
    xml_elem(b, "IsTruncated", page->truncated ? STR("true") : STR("false"));
    for (size_t i = 0; i < page->n; i++)
        if (!page->entries[i].is_prefix)
            upload_elem(l, &page->entries[i]);
    for (size_t i = 0; i < page->n; i++)
        if (page->entries[i].is_prefix) {
            buf_puts(b, "<CommonPrefixes>");
            name_elem(b, l->url, "Prefix", page->entries[i].key);
            buf_puts(b, "</CommonPrefixes>");
        }
    if (l->url)
        buf_puts(b, "<EncodingType>url</EncodingType>");
    buf_puts(b, "</ListMultipartUploadsResult>");
}

static void uploads_job(struct s3_req *r)
{
    struct list_uploads *l = r->op_state;
    struct uploads_page page;
    struct arena rows;
    arena_init(&rows);
    l->res = store_uploads(r->s3->store, r->bucket, &l->q, &rows, &page, &l->why);
    l->unsayable =
        l->res == STORE_OK && page.truncated && !l->url && !xml_carries(page.entries[page.n - 1].key);
    if (l->res == STORE_OK && !l->unsayable)
        uploads_render(r, l, &page);
    arena_release(&rows);
}

static void uploads_done(struct s3_req *r)
{
    struct list_uploads *l = r->op_state;
    if (l->unsayable)
        s3_fail_msg(r, S3E_INVALID_ARGUMENT, LIST_UNSAYABLE);
    else if (l->res == STORE_OK)
        list_reply(r, &l->xml);
    else
        multipart_fail(r, l->res, &l->why);
}

void op_list_multipart_uploads(struct s3_req *r)
{
    struct list_uploads *l = ARENA_NEW(r->arena, struct list_uploads);
    const char *wrong = NULL;
    if (!take_encoding(r, &l->url))
        wrong = "Invalid Encoding Method specified in Request";
    else if (!take_number(r, "max-uploads", PAGE_MAX, &l->max))
        wrong = "Argument max-uploads must be an integer between 0 and 2147483647";
    if (wrong) {
        s3_fail_msg(r, S3E_INVALID_ARGUMENT, wrong);
        return;
    }
    l->q.max = l->max < PAGE_MAX ? (size_t)l->max : PAGE_MAX;
    s3_query(r, "prefix", &l->q.prefix);
    s3_query(r, "delimiter", &l->q.delimiter);
    s3_query(r, "key-marker", &l->q.key_marker);
    if (l->q.key_marker.n)
        s3_query(r, "upload-id-marker", &l->q.id_marker);
    if (!s3_need_bucket(r))
        return;
    buf_init(&l->xml, REPLY_MAX);
    r->op_state = l;
    r->op_free = uploads_free;
    s3_work(r, uploads_job, uploads_done);
}
