/* SPDX-License-Identifier: Apache-2.0
 *
 * What is below /minio/: which request is answered by whom, and errors in the admin interface's JSON form. */
#include "admin/admin.h"

#include "admin/health.h"
#include "base/encode.h"
#include "base/json.h"

#define HEADERS_MAX (16u << 10)
#define BODY_MAX    (64u << 10) /* a target of 16 KiB, escaped */

/* The error object of the admin interface; the keys are those that mc and madmin read. */
static void fail(struct admin *a, struct http_req *r, int status, const char *code, const char *message)
{
    struct buf headers, body;
    char id[16];
    hex_u64((uint64_t)r->start_real_ns, id);
    buf_init(&headers, HEADERS_MAX);
    buf_init(&body, BODY_MAX);
    s3_common_headers(a->s3, r, &headers);
    buf_puts(&headers, "Content-Type: application/json\r\n");
    buf_printf(&body, "{\"Code\":\"%s\",\"Message\":\"%s\",\"Resource\":", code, message);
    json_quote(&body, r->path);
    buf_puts(&body, ",\"RequestId\":\"");
    buf_put(&body, id, sizeof id);
    buf_puts(&body, "\",\"HostId\":\"");
    buf_put(&body, a->s3->host_id, sizeof a->s3->host_id);
    buf_puts(&body, "\"}\n");
    http_reply(r, status, buf_view(&headers), body.failed ? str_n(NULL, 0) : buf_view(&body));
    buf_release(&headers);
    buf_release(&body);
}

/* 426 is what makes clients fall back to an older version of the interface, and say so when there is none. */
static void no_admin(struct admin *a, struct http_req *r)
{
    fail(a, r, 426, "XMinioAdminVersionMismatch",
         "This server does not have this admin call. Settings are made by environment variables in this "
         "release.");
}

static void no_metrics(struct admin *a, struct http_req *r)
{
    if (header_value(&r->headers, STR("authorization")).n == 0)
        fail(a, r, 403, "AccessDenied", "Access Denied.");
    else
        fail(a, r, 501, "NotImplemented", "This server does not have metrics in this release.");
}

static void head(void *ctx, struct http_req *r)
{
    struct admin *a = ctx;
    static const struct {
        struct str prefix;
        void (*answer)(struct admin *a, struct http_req *r);
    } prefixes[] = {
        {{"/minio/admin/", 13}, no_admin},
        {{"/minio/v2/metrics/", 18}, no_metrics},
        {{"/minio/metrics/v3", 17}, no_metrics},
        {{"/minio/prometheus/metrics", 25}, no_metrics},
    };
    if (str_starts(r->path, STR("/minio/"))) {
        if (health_answer(a->s3, r))
            return;
        for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
            if (str_starts(r->path, prefixes[i].prefix)) {
                prefixes[i].answer(a, r);
                return;
            }
    }
    s3_head(a->s3, r);
}

static void problem(void *ctx, struct http_req *r, enum http_problem p, int *status, struct buf *headers,
                    struct buf *body)
{
    s3_problem(((struct admin *)ctx)->s3, r, p, status, headers, body);
}

static void done(void *ctx, struct http_req *r, int status, bool ok, uint64_t body_sent)
{
    s3_done(((struct admin *)ctx)->s3, r, status, ok, body_sent);
}

static void gone(void *ctx, struct http_req *r)
{
    s3_gone(((struct admin *)ctx)->s3, r);
}

struct http_app admin_app(struct admin *a)
{
    return (struct http_app){.ctx = a, .head = head, .problem = problem, .done = done, .gone = gone};
}
