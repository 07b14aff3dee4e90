/* SPDX-License-Identifier: Apache-2.0
 *
 * Replies: the headers that all carry, and errors. */
#include "base/clock.h"
#include "base/encode.h"
#include "base/xml.h"
#include "s3/cors.h"
#include "s3/request.h"
#include "s3/route.h"

#define HEADERS_MAX (64u << 10)
#define BODY_MAX \
    (512u << 10) /* of an error: a path of 16 KiB as key or bucket and as resource, escaped; a range */

void s3_common_headers(struct s3 *s3, const struct http_req *h, struct buf *out)
{
    char id[16];
    hex_u64((uint64_t)h->start_real_ns, id);
    buf_str(out, buf_view(&s3->common));
    cors_headers(s3->cors_origins, &h->headers, out);
    buf_puts(out, "X-Amz-Request-Id: ");
    buf_put(out, id, sizeof id);
    buf_puts(out, "\r\n");
}

void s3_headers(struct s3_req *r, struct buf *b)
{
    s3_common_headers(r->s3, r->http, b);
}

void s3_reply(struct s3_req *r, int status, struct str extra, struct str body)
{
    struct buf b;
    buf_init(&b, HEADERS_MAX);
    s3_headers(r, &b);
    buf_str(&b, extra);
    http_reply(r->http, status, buf_view(&b), body);
    buf_release(&b);
}

void s3_reply_xml(struct s3_req *r, int status, struct str extra, struct str body)
{
    struct buf b;
    buf_init(&b, HEADERS_MAX);
    buf_puts(&b, "Content-Type: application/xml\r\n");
    buf_str(&b, extra);
    s3_reply(r, status, buf_view(&b), body);
    buf_release(&b);
}

void s3_location(const struct s3_req *r, struct buf *b)
{
    buf_printf(b, "%s://%.*s/", r->http->tls ? "https" : "http", STR_FMT(r->http->host));
    if (!route_host_bucket(r->http->host, r->s3->domains).n) {
        buf_str(b, r->bucket_name);
        buf_char(b, '/');
    }
    pct_encode(b, r->key, PCT_PATH);
}

/* The error document (s3-api.md 0.2). Names are empty where unknown. */
struct error_names {
    struct str bucket, key, path, region, request_id, host_id, range;
    int64_t range_size;
};

static void error_body(struct buf *b, const struct s3_error_row *row, const char *message,
                       const struct error_names *n)
{
    buf_puts(b, XML_PROLOG "<Error>");
    xml_elem(b, "Code", str_c(row->code));
    xml_elem(b, "Message", str_c(message));
    if (n->key.n)
        xml_elem(b, "Key", n->key);
    if (n->bucket.n)
        xml_elem(b, "BucketName", n->bucket);
    xml_elem(b, "Resource", n->path);
    if (n->region.n)
        xml_elem(b, "Region", n->region);
    xml_elem(b, "RequestId", n->request_id);
    xml_elem(b, "HostId", n->host_id);
    if (row->status == 416) {
        xml_elem_u64(b, "ActualObjectSize", (uint64_t)n->range_size);
        xml_elem(b, "RangeRequested", n->range);
    }
    buf_puts(b, "</Error>");
}

static void error_headers(struct buf *b, const struct s3_error_row *row, const char *message, bool head)
{
    if (row->status == 503)
        buf_puts(b, "Retry-After: 60\r\n");
    if (head) {
        buf_printf(b, "X-Minio-Error-Code: %s\r\n", row->code);
        buf_printf(b, "X-Minio-Error-Desc: \"%s\"\r\n", message);
    } else if (row->status != 304) {
        buf_puts(b, "Content-Type: application/xml\r\n");
    }
}

void s3_fail_headers(struct s3_req *r, enum s3_error e, struct str extra)
{
    const struct s3_error_row *row = s3_error_row(e);
    const char *message = r->message ? r->message : row->message;
    bool head = r->http->is_head;
    struct buf h, b;
    buf_init(&h, HEADERS_MAX);
    buf_init(&b, BODY_MAX);
    error_headers(&h, row, message, head);
    buf_str(&h, extra);
    if (head || row->status == 304) {
        struct buf all;
        buf_init(&all, HEADERS_MAX);
        s3_headers(r, &all);
        buf_str(&all, buf_view(&h));
        http_reply_empty(r->http, row->status, buf_view(&all), row->status == 304 ? -1 : 0);
        buf_release(&all);
    } else {
        struct error_names n = {
            .bucket = r->bucket_name,
            .key = r->key,
            .path = r->http->path,
            .request_id = str_n(r->request_id, sizeof r->request_id),
            .host_id = str_n(r->s3->host_id, sizeof r->s3->host_id),
            .range = s3_header(r, "range"),
            .range_size = r->range_size,
        };
        if (e == S3E_WRONG_REGION)
            n.region = r->s3->region;
        error_body(&b, row, message, &n);
        s3_reply(r, row->status, buf_view(&h), buf_view(&b));
    }
    buf_release(&h);
    buf_release(&b);
}

void s3_fail(struct s3_req *r, enum s3_error e)
{
    s3_fail_headers(r, e, str_n(NULL, 0));
}

void s3_fail_msg(struct s3_req *r, enum s3_error e, const char *message)
{
    r->message = message;
    s3_fail(r, e);
}

static const enum s3_error problems[] = {
    [HTTP_BAD_REQUEST] = S3E_MALFORMED_REQUEST,
    [HTTP_HEAD_TOO_LARGE] = S3E_METADATA_TOO_LARGE,
    [HTTP_URI_TOO_LONG] = S3E_URI_TOO_LONG,
    [HTTP_REQUEST_TIMEOUT] = S3E_REQUEST_TIMEOUT,
    [HTTP_VERSION] = S3E_HTTP_VERSION,
    [HTTP_METHOD] = S3E_BAD_REQUEST,
    [HTTP_EXPECTATION] = S3E_EXPECTATION_FAILED,
    [HTTP_TOO_MANY] = S3E_SLOW_DOWN,
    [HTTP_TRANSFER_CODING] = S3E_TRANSFER_CODING,
};

void s3_problem(void *ctx, struct http_req *h, enum http_problem p, int *status, struct buf *headers,
                struct buf *body)
{
    struct s3 *s3 = ctx;
    const struct s3_error_row *row = s3_error_row(problems[p]);
    char id[16];
    hex_u64((uint64_t)h->start_real_ns, id);
    *status = row->status;
    s3_common_headers(s3, h, headers);
    error_headers(headers, row, row->message, false);
    struct error_names n = {.path = h->path,
                            .request_id = str_n(id, sizeof id),
                            .host_id = str_n(s3->host_id, sizeof s3->host_id)};
    error_body(body, row, row->message, &n);
}

enum s3_error s3_store_error(enum store_result res)
{
    static const enum s3_error map[] = {
        [STORE_OK] = S3E_NONE,
        [STORE_MISSING] = S3E_NO_SUCH_KEY,
        [STORE_AGAIN] = S3E_SLOW_DOWN,
        [STORE_EXISTS] = S3E_BUCKET_ALREADY_OWNED,
        [STORE_NOT_EMPTY] = S3E_BUCKET_NOT_EMPTY,
        [STORE_WOULD_BLOCK] = S3E_INTERNAL,
        [STORE_DAMAGED] = S3E_DAMAGED,
        [STORE_FULL] = S3E_STORAGE_FULL,
        [STORE_FAILED] = S3E_SLOW_DOWN_WRITE,
    };
    return map[res];
}

enum s3_error s3_auth_error(enum auth_result res)
{
    static const enum s3_error map[] = {
        [AUTH_OK] = S3E_NONE,
        [AUTH_ACCESS_DENIED] = S3E_ACCESS_DENIED,
        [AUTH_EXPIRED] = S3E_EXPIRED,
        [AUTH_NOT_YET_VALID] = S3E_NOT_YET_VALID,
        [AUTH_NO_DATE] = S3E_NO_DATE,
        [AUTH_UNSIGNED_HEADERS] = S3E_UNSIGNED_HEADERS,
        [AUTH_UNKNOWN_KEY] = S3E_INVALID_ACCESS_KEY_ID,
        [AUTH_BAD_SIGNATURE] = S3E_SIGNATURE_DOES_NOT_MATCH,
        [AUTH_SKEWED] = S3E_REQUEST_TIME_TOO_SKEWED,
        [AUTH_MALFORMED_HEADER] = S3E_AUTHORIZATION_HEADER_MALFORMED,
        [AUTH_WRONG_REGION] = S3E_WRONG_REGION,
        [AUTH_MALFORMED_QUERY] = S3E_AUTHORIZATION_QUERY_PARAMETERS,
        [AUTH_MALFORMED_V2] = S3E_MALFORMED_V2,
        [AUTH_V2_QUERY] = S3E_V2_QUERY,
        [AUTH_MALFORMED_FORM] = S3E_MALFORMED_FORM,
        [AUTH_TWO_MECHANISMS] = S3E_TWO_MECHANISMS,
        [AUTH_UNSUPPORTED] = S3E_UNSUPPORTED_SIGNATURE,
        [AUTH_BAD_TOKEN] = S3E_INVALID_TOKEN_ID,
        [AUTH_BAD_CONTENT_SHA256] = S3E_BAD_CONTENT_SHA256,
        [AUTH_NO_DECODED_LENGTH] = S3E_MISSING_CONTENT_LENGTH,
        [AUTH_NOT_IMPLEMENTED] = S3E_NOT_IMPLEMENTED,
    };
    return map[res];
}
