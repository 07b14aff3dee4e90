/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies: decode, hash, verify. */
#include "s3/upload.h"

#include "base/encode.h"

/* --- checksums ------------------------------------------------------------------------------------------------------- */

/* COMPOSITE values end with the number of parts. */
static void checksum_text(struct buf *out, const struct object *o)
{
    base64_encode(out, str_n(o->checksum_value, o->checksum_len));
    if (!o->checksum_full)
        buf_printf(out, "-%u", o->parts);
}

static const char *checksum_type(const struct object *o)
{
    return o->checksum_full ? "FULL_OBJECT" : "COMPOSITE";
}

void checksum_header(struct buf *out, const struct object *o)
{
    if (o->checksum == CHECKSUM_NONE)
        return;
    buf_printf(out, "%s: ", checksum_names(o->checksum)->label);
    checksum_text(out, o);
    buf_printf(out, "\r\nX-Amz-Checksum-Type: %s\r\n", checksum_type(o));
}

void checksum_elements(struct buf *out, const struct object *o)
{
    if (o->checksum == CHECKSUM_NONE)
        return;
    const char *name = checksum_names(o->checksum)->element;
    buf_printf(out, "<%s>", name);
    checksum_text(out, o);
    buf_printf(out, "</%s><ChecksumType>%s</ChecksumType>", name, checksum_type(o));
}

void upload_keep_checksum(const struct upload *u, struct object *o)
{
    o->checksum = u->checksum.kind;
    o->checksum_full = o->checksum != CHECKSUM_NONE;
    o->checksum_len = (uint8_t)checksum_len(o->checksum);
    memcpy(o->checksum_value, u->checksum_value, sizeof o->checksum_value);
}

/* One checksum that the request names, in a header or for its trailer: at most one in all. Kinds that are not built are
 * refused: a check that the client asked for is never left out silently. */
static enum s3_error add_checksum(struct upload *u, struct str name)
{
    static const char *const others[] = {"x-amz-checksum-algorithm", "x-amz-checksum-mode",
                                         "x-amz-checksum-type"};
    if (!str_istarts(name, STR("x-amz-checksum-")))
        return S3E_NONE;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (str_ieq(name, str_c(others[i])))
            return S3E_NONE;
    enum checksum_kind k = checksum_of_header(name);
    if (k == CHECKSUM_NONE)
        return S3E_NOT_IMPLEMENTED;
    if (u->checksum.kind != CHECKSUM_NONE)
        return S3E_TWO_CHECKSUMS;
    checksum_begin(&u->checksum, k);
    return S3E_NONE;
}

/* x-amz-sdk-checksum-algorithm says which checksum an SDK meant to send: AWS refuses the request when none came. */
static enum s3_error check_hint(const struct upload *u, const struct headers *h)
{
    struct str hint = header_value(h, STR("x-amz-sdk-checksum-algorithm"));
    if (!hint.p)
        return S3E_NONE;
    if (checksum_of_algorithm(hint) == CHECKSUM_NONE)
        return S3E_INVALID_CHECKSUM_HINT;
    return u->checksum.kind != CHECKSUM_NONE || u->has_md5 ? S3E_NONE : S3E_CHECKSUM_MISSING;
}

/* trailer_names: empty in forms without a trailer. */
static enum s3_error find_checksum(struct upload *u, const struct headers *h, struct str trailer_names)
{
    for (size_t i = 0; i < h->n; i++) {
        enum checksum_kind before = u->checksum.kind;
        enum s3_error e = add_checksum(u, h->v[i].name);
        if (e != S3E_NONE)
            return e;
        if (u->checksum.kind != before &&
            !checksum_parse(u->checksum.kind, h->v[i].value, u->checksum_expected))
            return S3E_INVALID_CHECKSUM;
    }
    struct str names = trailer_names, name;
    while (names.n && str_cut(&names, ',', &name)) {
        enum checksum_kind before = u->checksum.kind;
        enum s3_error e = add_checksum(u, str_trim(name));
        if (e != S3E_NONE)
            return e;
        u->checksum_in_trailer |= u->checksum.kind != before;
    }
    return check_hint(u, h);
}

/* --- the body -------------------------------------------------------------------------------------------------------- */

static enum s3_error find_md5(struct upload *u, const struct headers *h)
{
    struct str md5 = header_value(h, STR("content-md5"));
    size_t n;
    if (!md5.p)
        return S3E_NONE;
    if (!base64_decode(md5, u->md5_expected, sizeof u->md5_expected, &n) || n != sizeof u->md5_expected)
        return S3E_INVALID_DIGEST;
    u->has_md5 = u->want_md5 = true;
    return S3E_NONE;
}

void upload_init_own(struct upload *u, uint64_t size)
{
    *u = (struct upload){.want_md5 = true, .size = size};
    hash_begin(&u->md5, HASH_MD5);
}

bool upload_want_checksum(struct upload *u, enum checksum_kind k)
{
    if (u->checksum.kind == CHECKSUM_NONE && k != CHECKSUM_NONE) {
        u->checksum_own = true;
        checksum_begin(&u->checksum, k);
    }
    return k == CHECKSUM_NONE || u->checksum.kind == k;
}

static enum s3_error init(struct upload *u, const struct s3_req *r, bool want_md5, bool has_checksum)
{
    *u = (struct upload){.want_md5 = want_md5};
    bool streaming = r->payload.mode != PAYLOAD_UNSIGNED && r->payload.mode != PAYLOAD_SIGNED;
    enum s3_error e = find_md5(u, &r->http->headers);
    if (e == S3E_NONE && has_checksum)
        e = find_checksum(u, &r->http->headers, r->payload.trailer_names);
    if (e != S3E_NONE)
        return e;
    if (!streaming && (r->http->content_length < 0 || (want_md5 && !s3_header(r, "content-length").p)))
        return S3E_MISSING_CONTENT_LENGTH;
    u->size = streaming ? r->payload.decoded_length : (uint64_t)r->http->content_length;
    if (streaming)
        u->decoder = chunked_new(&r->payload);
    if (r->payload.mode == PAYLOAD_SIGNED) {
        u->want_sha = true;
        memcpy(u->sha_expected, r->payload.sha256, SHA256_LEN);
        hash_begin(&u->sha, HASH_SHA256);
    }
    if (u->want_md5)
        hash_begin(&u->md5, HASH_MD5);
    u->coming = u->size;
    return S3E_NONE;
}

enum s3_error upload_init(struct upload *u, const struct s3_req *r, bool want_md5)
{
    return init(u, r, want_md5, true);
}

enum s3_error upload_init_form(struct upload *u, struct s3_req *r, struct str boundary, uint64_t max,
                               enum s3_error (*file)(struct s3_req *r))
{
    *u = (struct upload){.want_md5 = true, .size = max, .form_file = file, .req = r};
    if (r->http->content_length < 0 || !s3_header(r, "content-length").p)
        return S3E_MISSING_CONTENT_LENGTH;
    u->coming = (uint64_t)r->http->content_length;
    u->form = form_new(r->arena, boundary);
    hash_begin(&u->md5, HASH_MD5);
    return S3E_NONE;
}

enum s3_error upload_form_digests(struct upload *u, const struct headers *fields)
{
    enum s3_error e = find_md5(u, fields);
    return e == S3E_NONE ? find_checksum(u, fields, str_n(NULL, 0)) : e;
}

void upload_release(struct upload *u)
{
    if (u->decoder)
        chunked_free(u->decoder);
    u->decoder = NULL;
    form_release(u->form);
    hash_release(&u->sha);
    hash_release(&u->md5);
    checksum_release(&u->checksum);
}

static void take(void *ctx, struct str d)
{
    struct upload *u = ctx;
    u->received += d.n;
    if (u->error != S3E_NONE)
        return;
    if (u->received > u->size) {
        u->error = u->form ? S3E_ENTITY_TOO_LARGE : S3E_INCOMPLETE_BODY;
        return;
    }
    if (u->want_sha)
        hash_add(&u->sha, d.p, d.n);
    if (u->want_md5)
        hash_add(&u->md5, d.p, d.n);
    checksum_add(&u->checksum, d.p, d.n);
    if (u->buf) {
        buf_put(u->buf, d.p, d.n);
        if (u->buf->failed)
            u->error = S3E_ENTITY_TOO_LARGE;
    } else if (u->stage) {
        u->error = s3_store_error(stage_append(u->stage, d.p, d.n, &u->why));
    }
}

static enum s3_error decoder_error(enum chunked_result res)
{
    static const enum s3_error map[] = {
        [CHUNKED_MORE] = S3E_NONE,
        [CHUNKED_DONE] = S3E_NONE,
        [CHUNKED_INCOMPLETE] = S3E_INCOMPLETE_BODY,
        [CHUNKED_BAD_SIGNATURE] = S3E_SIGNATURE_DOES_NOT_MATCH,
        [CHUNKED_TOO_LARGE] = S3E_ENTITY_TOO_LARGE,
        [CHUNKED_BAD_TRAILER] = S3E_MALFORMED_TRAILER,
    };
    return map[res];
}

static bool file_begins(void *ctx)
{
    struct upload *u = ctx;
    u->error = u->form_file(u->req);
    return u->error == S3E_NONE;
}

static enum s3_error form_error(enum form_result res)
{
    static const enum s3_error map[] = {
        [FORM_MORE] = S3E_NONE,
        [FORM_DONE] = S3E_NONE,
        [FORM_MALFORMED] = S3E_MALFORMED_POST,
        [FORM_TOO_LARGE] = S3E_POST_FIELDS_TOO_LARGE,
        [FORM_STOPPED] = S3E_INTERNAL, /* the error is set */
    };
    return map[res];
}

static void feed_form(struct upload *u, struct str in)
{
    const struct form_taker taker = {file_begins, take, u};
    enum form_result res = form_feed(u->form, in, &taker);
    u->form_done = res == FORM_DONE;
    if (u->error == S3E_NONE)
        u->error = form_error(res);
}

enum s3_error upload_feed(struct upload *u, const char *p, size_t n)
{
    if (u->error != S3E_NONE)
        return u->error;
    if (u->form) {
        feed_form(u, str_n(p, n));
        return u->error;
    }
    if (!u->decoder) {
        take(u, str_n(p, n));
        return u->error;
    }
    enum chunked_result res = chunked_feed(u->decoder, str_n(p, n), take, u);
    if (res == CHUNKED_DONE)
        u->decoder_done = true;
    if (u->error == S3E_NONE)
        u->error = decoder_error(res);
    return u->error;
}

static enum s3_error check_checksum(struct upload *u)
{
    enum checksum_kind k = u->checksum.kind;
    if (k == CHECKSUM_NONE)
        return S3E_NONE;
    if (u->checksum_in_trailer) {
        struct str value;
        if (!header_get(chunked_trailers(u->decoder), str_c(checksum_names(k)->header), &value))
            return S3E_MALFORMED_TRAILER;
        if (!checksum_parse(k, value, u->checksum_expected))
            return S3E_INVALID_CHECKSUM;
    }
    checksum_end(&u->checksum, u->checksum_value);
    return u->checksum_own || hash_equal(u->checksum_value, u->checksum_expected, checksum_len(k))
               ? S3E_NONE
               : S3E_BAD_CHECKSUM;
}

enum s3_error upload_end(struct upload *u)
{
    if (u->error != S3E_NONE)
        return u->error;
    if (u->form && !u->form_done)
        return u->error = S3E_MALFORMED_POST;
    if (u->form && u->received < u->size_min)
        return u->error = S3E_ENTITY_TOO_SMALL;
    if (u->form)
        u->size = u->received;
    if (u->received != u->size || (u->decoder && !u->decoder_done))
        return u->error = S3E_INCOMPLETE_BODY;
    if (u->want_md5) {
        hash_end(&u->md5, u->md5_value);
        if (u->has_md5 && memcmp(u->md5_value, u->md5_expected, MD5_LEN) != 0)
            return u->error = S3E_BAD_DIGEST;
    }
    if (u->want_sha) {
        uint8_t sha[SHA256_LEN];
        hash_end(&u->sha, sha);
        if (!hash_equal(sha, u->sha_expected, SHA256_LEN))
            return u->error = S3E_CONTENT_SHA256_MISMATCH;
    }
    return u->error = check_checksum(u);
}

/* --- small bodies, whole in memory ---------------------------------------------------------------------------------- */

struct collect {
    struct upload upload;
    void (*run)(struct s3_req *r);
};

static struct collect *collect_of(struct http_req *h)
{
    return ((struct s3_req *)h->app)->op_state;
}

static bool collect_data(struct http_req *h, const char *p, size_t n)
{
    struct collect *c = collect_of(h);
    if (h->replied || upload_feed(&c->upload, p, n) == S3E_NONE)
        return true;
    s3_fail(h->app, c->upload.error);
    upload_release(&c->upload); /* after a reply the sink may not be called again */
    return true;
}

static void collect_end(struct http_req *h)
{
    struct s3_req *r = h->app;
    struct collect *c = r->op_state;
    if (h->replied)
        return;
    enum s3_error e = upload_end(&c->upload);
    upload_release(&c->upload);
    if (e != S3E_NONE) {
        s3_fail(r, e);
        return;
    }
    r->op_state = NULL;
    c->run(r);
}

static void collect_cut(struct http_req *h)
{
    upload_release(&collect_of(h)->upload);
}

static const struct http_sink collect_sink = {collect_data, collect_end, collect_cut};

static void collect_go(struct s3_req *r)
{
    http_read_body(r->http, &collect_sink);
}

static void collect(struct s3_req *r, size_t max, bool has_checksum, void (*run)(struct s3_req *r))
{
    struct collect *c = ARENA_NEW(r->arena, struct collect);
    c->run = run;
    r->upload = &c->upload;
    enum s3_error e = init(&c->upload, r, false, has_checksum);
    if (e == S3E_NONE && c->upload.size > max)
        e = S3E_ENTITY_TOO_LARGE;
    if (e != S3E_NONE) {
        upload_release(&c->upload);
        s3_fail(r, e);
        return;
    }
    r->op_state = c;
    buf_init(&r->xml, max);
    c->upload.buf = &r->xml;
    s3_take_budget(r, &r->s3->bodies, c->upload.size, collect_go);
}

void upload_collect(struct s3_req *r, void (*run)(struct s3_req *r))
{
    collect(r, S3_XML_MAX, true, run);
}

void upload_collect_plain(struct s3_req *r, size_t max, void (*run)(struct s3_req *r))
{
    collect(r, max, false, run);
}
