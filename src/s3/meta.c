/* SPDX-License-Identifier: Apache-2.0
 *
 * Metadata, conditions, ranges. */
#include "s3/meta.h"

#include "base/clock.h"
#include "http/chars.h"
#include "s3/tags.h"
#include "s3/upload.h"

/* Headers kept as they are; stored under their lower-case names. */
static const struct {
    const char *stored, *header, *override;
} kept[] = {
    {"cache-control", "Cache-Control", "response-cache-control"},
    {"content-disposition", "Content-Disposition", "response-content-disposition"},
    {"content-encoding", "Content-Encoding", "response-content-encoding"},
    {"content-language", "Content-Language", "response-content-language"},
    {"content-type", "Content-Type", "response-content-type"},
    {"expires", "Expires", "response-expires"},
};
#define KEPT_N (sizeof kept / sizeof kept[0])

static void meta_add(struct object *o, struct str name, struct str value)
{
    o->meta.v[o->meta.n++] = (struct header){name, value};
}

/* Content-Encoding without aws-chunked, which says how the body travels, not what it is. */
static struct str without_aws_chunked(struct arena *a, struct str value)
{
    struct buf b;
    buf_init(&b, value.n + 1);
    struct str part;
    while (value.p && str_cut(&value, ',', &part)) {
        part = str_trim(part);
        if (!part.n || str_ieq(part, STR("aws-chunked")))
            continue;
        if (b.len)
            buf_char(&b, ',');
        buf_str(&b, part);
    }
    struct str out = arena_dup(a, buf_view(&b));
    buf_release(&b);
    return out;
}

/* x-amz-meta-foo-bar as X-Amz-Meta-Foo-Bar. */
static struct str canonical_name(struct arena *a, struct str name)
{
    char *p = arena_alloc(a, name.n);
    bool start = true;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (start && c >= 'a' && c <= 'z')
            c = (char)(c - 'a' + 'A');
        else if (!start && c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        p[i] = c;
        start = c == '-';
    }
    return str_n(p, name.n);
}

/* Heads have no other names, but forms may. */
static bool is_header_name(struct str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (!http_is(name.p[i], CH_TOKEN))
            return false;
    return true;
}

/* Repeated headers of one name are joined by ','. */
static bool meta_join(struct arena *a, struct object *o, struct str name, struct str value)
{
    for (size_t i = 0; i < o->meta.n; i++)
        if (str_eq(o->meta.v[i].name, name)) {
            o->meta.v[i].value = arena_printf(a, "%.*s,%.*s", STR_FMT(o->meta.v[i].value), STR_FMT(value));
            return true;
        }
    return false;
}

enum s3_error meta_from_headers(struct s3_req *r, const struct headers *h, struct object *o)
{
    o->meta.v = ARENA_ARRAY(r->arena, struct header, h->n + KEPT_N + 1);
    for (size_t k = 0; k < KEPT_N; k++) {
        struct str value = header_value(h, str_c(kept[k].stored));
        if (value.n && str_eq_c(STR("content-encoding"), kept[k].stored))
            value = without_aws_chunked(r->arena, value);
        if (!value.n && str_eq_c(STR("content-type"), kept[k].stored))
            value = STR("binary/octet-stream");
        if (value.n)
            meta_add(o, str_c(kept[k].stored), value);
    }
    struct str class = header_value(h, STR("x-amz-storage-class"));
    if (class.n && !str_eq(class, STR("STANDARD"))) {
        if (!str_eq(class, STR("REDUCED_REDUNDANCY")))
            return S3E_INVALID_STORAGE_CLASS;
        meta_add(o, STR("x-amz-storage-class"), class);
    }
    for (size_t i = 0; i < h->n; i++) {
        if (!str_istarts(h->v[i].name, STR("x-amz-meta-")))
            continue;
        if (!is_header_name(h->v[i].name))
            return S3E_INVALID_ARGUMENT;
        struct str name = canonical_name(r->arena, h->v[i].name);
        if (!meta_join(r->arena, o, name, h->v[i].value))
            meta_add(o, name, h->v[i].value);
    }
    return tags_from_header(r->arena, header_value(h, STR("x-amz-tagging")), &o->tags);
}

enum s3_error meta_from_request(struct s3_req *r, struct object *o)
{
    return meta_from_headers(r, &r->http->headers, o);
}

/* A header value of the query or the store, which may come from a form: nothing in it may end the line. */
static void header_text(struct buf *out, struct str value)
{
    buf_puts(out, ": ");
    for (size_t i = 0; i < value.n; i++)
        buf_char(out, (unsigned char)value.p[i] < ' ' && value.p[i] != '\t' ? ' ' : value.p[i]);
    buf_puts(out, "\r\n");
}

static void header_line(struct buf *out, const char *name, struct str value)
{
    buf_puts(out, name);
    header_text(out, value);
}

static void put_validators(const struct object *o, struct buf *out)
{
    char etag[ETAG_MAX], date[CLOCK_HTTP_LEN];
    size_t n = object_etag(o, etag);
    clock_http(o->mtime_ns, date);
    buf_puts(out, "ETag: \"");
    buf_put(out, etag, n);
    buf_puts(out, "\"\r\nLast-Modified: ");
    buf_put(out, date, sizeof date);
    buf_puts(out, "\r\n");
}

void meta_validators(const struct object *o, struct buf *out)
{
    static const char *const others[][2] = {{"cache-control", "Cache-Control"}, {"expires", "Expires"}};
    struct str value;
    put_validators(o, out);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (header_get(&o->meta, str_c(others[i][0]), &value))
            header_line(out, others[i][1], value);
}

static void user_header(struct buf *out, struct header h)
{
    for (size_t i = 0; i < h.name.n; i++) {
        char c = h.name.p[i];
        buf_char(out, c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c);
    }
    header_text(out, h.value);
}

bool meta_overrides(const struct s3_req *r)
{
    struct str value, method = r->http->method;
    if (r->scope != SCOPE_OBJECT || !(str_eq(method, STR("GET")) || str_eq(method, STR("HEAD"))))
        return false;
    for (size_t k = 0; k < KEPT_N; k++)
        if (s3_query(r, kept[k].override, &value))
            return true;
    return false;
}

void meta_to_headers(struct s3_req *r, const struct object *o, bool whole, struct buf *out)
{
    struct str value;
    for (size_t k = 0; k < KEPT_N; k++)
        if ((r->query.n && s3_query(r, kept[k].override, &value) && value.n) ||
            header_get(&o->meta, str_c(kept[k].stored), &value))
            header_line(out, kept[k].header, value);
    put_validators(o, out);
    for (size_t i = 0; i < o->meta.n; i++)
        if (str_starts(o->meta.v[i].name, STR("X-Amz-Meta-")))
            user_header(out, o->meta.v[i]);
    if (header_get(&o->meta, STR("x-amz-storage-class"), &value))
        header_line(out, "X-Amz-Storage-Class", value);
    if (o->tags.n)
        buf_printf(out, "X-Amz-Tagging-Count: %zu\r\n", tags_count(o->tags));
    if (whole && o->checksum != CHECKSUM_NONE && str_ieq(s3_header(r, "x-amz-checksum-mode"), STR("ENABLED")))
        checksum_header(out, o);
}

/* --- conditions ----------------------------------------------------------------------------------------------------- */

const struct condition_names conditions_read = {"if-match", "if-none-match", "if-modified-since",
                                                "if-unmodified-since"};
const struct condition_names conditions_copy = {
    "x-amz-copy-source-if-match", "x-amz-copy-source-if-none-match", "x-amz-copy-source-if-modified-since",
    "x-amz-copy-source-if-unmodified-since"};

bool etag_listed(struct str list, const struct object *o)
{
    char etag[ETAG_MAX];
    struct str mine = str_n(etag, object_etag(o, etag)), part;
    while (list.p && str_cut(&list, ',', &part)) {
        part = str_trim(part);
        if (str_eq(part, STR("*")))
            return true;
        if (str_starts(part, STR("W/")))
            part = str_from(part, 2);
        if (part.n >= 2 && part.p[0] == '"' && part.p[part.n - 1] == '"')
            part = str_n(part.p + 1, part.n - 2);
        if (str_eq(part, mine))
            return true;
    }
    return false;
}

enum s3_error condition_check(const struct s3_req *r, const struct condition_names *names,
                              const struct object *o)
{
    struct str none = s3_header(r, names->none_match), match = s3_header(r, names->match);
    struct str modified = s3_header(r, names->modified_since),
               unmodified = s3_header(r, names->unmodified_since);
    int64_t mtime = o->mtime_ns / 1000000000, t;
    if (none.n && etag_listed(none, o))
        return S3E_NOT_MODIFIED;
    if (!none.n && modified.n && clock_parse_http(modified, &t) && mtime <= t)
        return S3E_NOT_MODIFIED;
    if (match.n && !etag_listed(match, o))
        return S3E_PRECONDITION_FAILED;
    if (!match.n && unmodified.n && clock_parse_http(unmodified, &t) && mtime > t)
        return S3E_PRECONDITION_FAILED;
    return S3E_NONE;
}

enum s3_error condition_write(const struct s3_req *r, const struct object *old)
{
    struct str match = s3_header(r, "if-match"), none = s3_header(r, "if-none-match");
    if (match.n && !old)
        return S3E_NO_SUCH_KEY;
    if (match.n && !etag_listed(match, old))
        return S3E_PRECONDITION_FAILED;
    if (none.n && old && etag_listed(none, old))
        return S3E_PRECONDITION_FAILED;
    return S3E_NONE;
}

/* --- ranges --------------------------------------------------------------------------------------------------------- */

enum range_result range_parse(struct str value, uint64_t size, uint64_t *first, uint64_t *length)
{
    if (!str_istarts(value, STR("bytes=")))
        return RANGE_NONE;
    struct str spec = str_trim(str_from(value, 6));
    ptrdiff_t dash = str_chr(spec, '-');
    if (dash < 0 || str_chr(spec, ',') >= 0)
        return RANGE_NONE;
    struct str a = str_trim(str_head(spec, (size_t)dash)), b = str_trim(str_from(spec, (size_t)dash + 1));
    uint64_t from = 0, to = UINT64_MAX;
    if ((!a.n && !b.n) || (a.n && !str_to_u64(a, &from)) || (b.n && !str_to_u64(b, &to)))
        return RANGE_NONE;
    if (!a.n) { /* the last `to` bytes */
        if (to == 0 || size == 0)
            return RANGE_UNSATISFIABLE;
        *length = to < size ? to : size;
        *first = size - *length;
        return RANGE_OK;
    }
    if (from >= size || from > to)
        return RANGE_UNSATISFIABLE;
    *first = from;
    *length = (to < size - 1 ? to : size - 1) - from + 1;
    return RANGE_OK;
}

enum s3_error copy_range_parse(struct str value, uint64_t size, uint64_t *first, uint64_t *length)
{
    uint64_t last;
    *first = 0;
    *length = size;
    if (!value.p)
        return S3E_NONE;
    if (!str_starts(value, STR("bytes=")))
        return S3E_INVALID_COPY_RANGE;
    struct str to = str_from(value, 6), from;
    str_cut(&to, '-', &from);
    if (!to.p || !str_to_u64(from, first) || !str_to_u64(to, &last) || *first > last)
        return S3E_INVALID_COPY_RANGE;
    if (last >= size)
        return S3E_INVALID_RANGE;
    *length = last - *first + 1;
    return S3E_NONE;
}
