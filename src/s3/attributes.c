/* SPDX-License-Identifier: Apache-2.0
 *
 * GetObjectAttributes (s3-api.md 5.6). */
#include "base/clock.h"
#include "base/log.h"
#include "base/xml.h"
#include "s3/emit.h"
#include "s3/multipart.h"
#include "s3/ops.h"
#include "s3/upload.h"

#define REPLY_MAX (1u << 20)
#define PAGE_MAX  1000

enum attribute { ATTR_ETAG = 1, ATTR_CHECKSUM = 2, ATTR_PARTS = 4, ATTR_CLASS = 8, ATTR_SIZE = 16 };
static const struct {
    const char *name;
    unsigned bit;
} attributes[] = {
    {"ETag", ATTR_ETAG},          {"Checksum", ATTR_CHECKSUM}, {"ObjectParts", ATTR_PARTS},
    {"StorageClass", ATTR_CLASS}, {"ObjectSize", ATTR_SIZE},
};

struct attrs {
    unsigned wanted;
    uint64_t max, marker;
    struct object object;
    enum store_result res;
    struct err why;
    struct buf xml;
};

static void attrs_free(struct s3_req *r)
{
    buf_release(&((struct attrs *)r->op_state)->xml);
}

/* One header or several, each a list. False: none, or one that means nothing. */
static bool take_wanted(const struct s3_req *r, unsigned *out)
{
    const struct headers *h = &r->http->headers;
    for (size_t i = 0; i < h->n; i++) {
        struct str list = h->v[i].value, one;
        if (!str_ieq(h->v[i].name, STR("x-amz-object-attributes")))
            continue;
        while (list.p && str_cut(&list, ',', &one)) {
            unsigned bit = 0;
            for (size_t k = 0; k < sizeof attributes / sizeof attributes[0]; k++)
                bit |= str_eq_c(str_trim(one), attributes[k].name) ? attributes[k].bit : 0;
            if (!bit)
                return false;
            *out |= bit;
        }
    }
    return *out != 0;
}

static bool take_number(const struct s3_req *r, const char *name, uint64_t otherwise, uint64_t *out)
{
    struct str v = s3_header(r, name);
    *out = otherwise;
    return !v.n || (str_to_u64(v, out) && *out <= INT32_MAX);
}

/* Parts count from 1, as GET by partNumber takes them. */
static void parts_elem(struct attrs *c, const struct object *o)
{
    struct buf *b = &c->xml;
    uint64_t first = c->marker < o->n_part_list ? c->marker : o->n_part_list;
    uint64_t end = o->n_part_list - first < c->max ? o->n_part_list : first + c->max;
    buf_puts(b, "<ObjectParts>");
    xml_elem_u64(b, "PartsCount", o->parts); /* SDKs read this one, ... */
    xml_elem_u64(b, "PartNumberMarker", c->marker);
    xml_elem_u64(b, "NextPartNumberMarker", end > first ? end : 0);
    xml_elem_u64(b, "MaxParts", c->max);
    xml_elem(b, "IsTruncated", end < o->n_part_list && c->max ? STR("true") : STR("false"));
    for (uint64_t i = first; i < end; i++) {
        const struct object_part *p = &o->part_list[i];
        buf_puts(b, "<Part>");
        xml_elem_u64(b, "PartNumber", i + 1);
        xml_elem_u64(b, "Size", p->size);
        if (p->checksum == (uint8_t)o->checksum)
            part_checksum_element(b, o->checksum, p->checksum_value);
        buf_puts(b, "</Part>");
    }
    buf_puts(b, "</ObjectParts>");
}

static void render(struct attrs *c)
{
    struct buf *b = &c->xml;
    const struct object *o = &c->object;
    char etag[ETAG_MAX];
    buf_puts(b, XML_PROLOG "<GetObjectAttributesResponse xmlns=\"" XML_S3_NS "\">");
    if (c->wanted & ATTR_ETAG)
        xml_elem(b, "ETag", str_n(etag, object_etag(o, etag)));
    if ((c->wanted & ATTR_CHECKSUM) && o->checksum != CHECKSUM_NONE) {
        buf_puts(b, "<Checksum>");
        checksum_elements(b, o);
        buf_puts(b, "</Checksum>");
    }
    if ((c->wanted & ATTR_PARTS) && o->parts)
        parts_elem(c, o);
    if (c->wanted & ATTR_CLASS) {
        struct str class = header_value(&o->meta, STR("x-amz-storage-class"));
        xml_elem(b, "StorageClass", class.n ? class : STR("STANDARD"));
    }
    if (c->wanted & ATTR_SIZE)
        xml_elem_u64(b, "ObjectSize", o->size);
    buf_puts(b, "</GetObjectAttributesResponse>");
}

static void attrs_send(struct s3_req *r)
{
    struct attrs *c = r->op_state;
    char date[CLOCK_HTTP_LEN];
    clock_http(c->object.mtime_ns, date);
    struct str extra = arena_printf(r->arena, "Last-Modified: %.*s\r\n", (int)sizeof date, date);
    s3_reply_xml(r, 200, extra, buf_view(&c->xml));
}

static void attrs_found(struct s3_req *r)
{
    struct attrs *c = r->op_state;
    if (c->res != STORE_OK) {
        if (c->why.text[0])
            log_error("s3", "GetObjectAttributes %.*s/%.*s: %s", STR_FMT(r->bucket_name), STR_FMT(r->key),
                      c->why.text);
        s3_fail(r, s3_store_error(c->res));
        return;
    }
    render(c);
    r->read_event = emit_match(r, EVENT_ACCESSED_ATTRIBUTES, r->key);
    if (!r->read_event) {
        attrs_send(r);
        return;
    }
    emit_record(r, r->read_event, &c->object, (int64_t)c->xml.len);
    r->read_seq = c->object.seq;
    s3_take_budget(r, &r->s3->reads, 1, attrs_send);
}

static void look(struct s3_req *r, bool cached_only)
{
    struct attrs *c = r->op_state;
    c->res =
        store_object_get_parts(r->s3->store, r->bucket, r->key, cached_only, r->arena, &c->object, &c->why);
}

static void look_job(struct s3_req *r)
{
    look(r, false);
}

void op_get_object_attributes(struct s3_req *r)
{
    struct attrs *c = ARENA_NEW(r->arena, struct attrs);
    const char *wrong = NULL;
    if (!take_wanted(r, &c->wanted))
        wrong = "Invalid attribute name specified.";
    else if (!take_number(r, "x-amz-max-parts", PAGE_MAX, &c->max))
        wrong = "Argument max-parts must be an integer between 0 and 2147483647";
    else if (!take_number(r, "x-amz-part-number-marker", 0, &c->marker))
        wrong = "Argument part-number-marker must be an integer between 0 and 2147483647";
    if (wrong) {
        s3_fail_msg(r, S3E_INVALID_ARGUMENT, wrong);
        return;
    }
    c->max = c->max < PAGE_MAX ? c->max : PAGE_MAX;
    if (!s3_need_bucket(r))
        return;
    buf_init(&c->xml, REPLY_MAX);
    r->op_state = c;
    r->op_free = attrs_free;
    look(r, true);
    if (c->res == STORE_WOULD_BLOCK)
        s3_work(r, look_job, attrs_found);
    else
        attrs_found(r);
}
