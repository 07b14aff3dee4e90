/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies: decode, hash, verify. */
#include "s3/upload.h"

#include "base/encode.h"

static const struct {
    const char *name, *label;
    bool built;
} checksums[] = {
    [CHECKSUM_CRC32] = {"x-amz-checksum-crc32", "X-Amz-Checksum-Crc32", true},
    [CHECKSUM_CRC32C] = {"x-amz-checksum-crc32c", "X-Amz-Checksum-Crc32c", true},
    [CHECKSUM_CRC64NVME] = {"x-amz-checksum-crc64nvme", "X-Amz-Checksum-Crc64nvme", false},
    [CHECKSUM_SHA1] = {"x-amz-checksum-sha1", "X-Amz-Checksum-Sha1", false},
    [CHECKSUM_SHA256] = {"x-amz-checksum-sha256", "X-Amz-Checksum-Sha256", false},
};
#define CHECKSUMS_N (sizeof checksums / sizeof checksums[0])

const char *checksum_name(enum checksum_kind k)
{
    return checksums[k].name;
}

void checksum_header(struct buf *out, const struct object *o)
{
    if (o->checksum == CHECKSUM_NONE)
        return;
    buf_puts(out, checksums[o->checksum].label);
    buf_puts(out, ": ");
    base64_encode(out, str_n(o->checksum_value, o->checksum_len));
    buf_printf(out, "\r\nX-Amz-Checksum-Type: %s\r\n", o->checksum_full ? "FULL_OBJECT" : "COMPOSITE");
}

static bool decode_crc(struct str text, uint32_t *crc)
{
    uint8_t raw[4];
    size_t n;
    if (!base64_decode(text, raw, sizeof raw, &n) || n != sizeof raw)
        return false;
    *crc = (uint32_t)raw[0] << 24 | (uint32_t)raw[1] << 16 | (uint32_t)raw[2] << 8 | raw[3];
    return true;
}

/* x-amz-checksum-*: in a header, or announced for the trailer; at most one in all. */
static enum s3_error find_checksum(struct upload *u, const struct s3_req *r)
{
    for (size_t k = CHECKSUM_CRC32; k < CHECKSUMS_N; k++) {
        struct str value = s3_header(r, checksums[k].name);
        if (!value.p)
            continue;
        if (u->has_checksum)
            return S3E_INVALID_CHECKSUM;
        if (!checksums[k].built)
            return S3E_NOT_IMPLEMENTED;
        if (!decode_crc(value, &u->crc_expected))
            return S3E_INVALID_CHECKSUM;
        u->has_checksum = true;
        u->checksum = (enum checksum_kind)k;
    }
    struct str names =
        r->payload.mode == PAYLOAD_STREAMING_UNSIGNED_TRAILER ? r->payload.trailer_names : str_n(NULL, 0);
    struct str name;
    while (names.n && str_cut(&names, ',', &name)) {
        name = str_trim(name);
        for (size_t k = CHECKSUM_CRC32; k < CHECKSUMS_N; k++) {
            if (!str_ieq(name, str_c(checksums[k].name)))
                continue;
            if (u->has_checksum)
                return S3E_INVALID_CHECKSUM;
            if (!checksums[k].built)
                return S3E_NOT_IMPLEMENTED;
            u->has_checksum = u->checksum_in_trailer = true;
            u->checksum = (enum checksum_kind)k;
        }
    }
    return S3E_NONE;
}

enum s3_error upload_init(struct upload *u, const struct s3_req *r, bool want_md5)
{
    *u = (struct upload){.want_md5 = want_md5};
    bool streaming =
        r->payload.mode == PAYLOAD_STREAMING_SIGNED || r->payload.mode == PAYLOAD_STREAMING_UNSIGNED_TRAILER;
    struct str md5 = s3_header(r, "content-md5");
    if (md5.p) {
        size_t n;
        if (!base64_decode(md5, u->md5_expected, sizeof u->md5_expected, &n) || n != sizeof u->md5_expected)
            return S3E_INVALID_DIGEST;
        u->has_md5 = u->want_md5 = true;
    }
    enum s3_error e = find_checksum(u, r);
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
    return S3E_NONE;
}

void upload_release(struct upload *u)
{
    if (u->decoder)
        chunked_free(u->decoder);
    u->decoder = NULL;
    hash_release(&u->sha);
    hash_release(&u->md5);
}

static void take(void *ctx, struct str d)
{
    struct upload *u = ctx;
    u->received += d.n;
    if (u->error != S3E_NONE)
        return;
    if (u->received > u->size) {
        u->error = S3E_INCOMPLETE_BODY;
        return;
    }
    if (u->want_sha)
        hash_add(&u->sha, d.p, d.n);
    if (u->want_md5)
        hash_add(&u->md5, d.p, d.n);
    if (u->checksum == CHECKSUM_CRC32)
        u->crc = hash_crc32(u->crc, d.p, d.n);
    else if (u->checksum == CHECKSUM_CRC32C)
        u->crc = hash_crc32c(u->crc, d.p, d.n);
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

enum s3_error upload_feed(struct upload *u, const char *p, size_t n)
{
    if (u->error != S3E_NONE)
        return u->error;
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
    if (!u->has_checksum)
        return S3E_NONE;
    if (u->checksum_in_trailer) {
        struct str value;
        if (!header_get(chunked_trailers(u->decoder), str_c(checksums[u->checksum].name), &value))
            return S3E_MALFORMED_TRAILER;
        if (!decode_crc(value, &u->crc_expected))
            return S3E_INVALID_CHECKSUM;
    }
    return u->crc == u->crc_expected ? S3E_NONE : S3E_BAD_CHECKSUM;
}

enum s3_error upload_end(struct upload *u)
{
    if (u->error != S3E_NONE)
        return u->error;
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

void upload_collect(struct s3_req *r, void (*run)(struct s3_req *r))
{
    struct collect *c = ARENA_NEW(r->arena, struct collect);
    c->run = run;
    r->upload = &c->upload;
    enum s3_error e = upload_init(&c->upload, r, false);
    if (e == S3E_NONE && c->upload.size > S3_XML_MAX)
        e = S3E_ENTITY_TOO_LARGE;
    if (e != S3E_NONE) {
        upload_release(&c->upload);
        s3_fail(r, e);
        return;
    }
    r->op_state = c;
    buf_init(&r->xml, S3_XML_MAX);
    c->upload.buf = &r->xml;
    s3_take_budget(r, &r->s3->bodies, c->upload.size, collect_go);
}
