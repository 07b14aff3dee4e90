/* SPDX-License-Identifier: Apache-2.0
 *
 * Which request is answered by whom. */
#include "admin/admin.h"

#include "admin/health.h"
#include "admin/request.h"

#define KEYS_WAITING    32
#define SCRAPES_WAITING 16

static const struct prefix {
    struct str prefix;
    void (*head)(struct admin *a, struct http_req *r);
} prefixes[] = {
    {{"/minio/admin/", 13}, api_head},
    {{"/minio/v2/metrics/", 18}, metrics_head},
    {{"/minio/metrics/v3", 17}, metrics_head},
    {{"/minio/prometheus/metrics", 25}, metrics_head},
};

/* NULL: not ours. Those that are found here have a struct admin_req, or NULL, as their http_req.app. */
static const struct prefix *find(const struct http_req *r)
{
    if (!str_starts(r->path, STR("/minio/")))
        return NULL;
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
        if (str_starts(r->path, prefixes[i].prefix))
            return &prefixes[i];
    return NULL;
}

static void head(void *ctx, struct http_req *r)
{
    struct admin *a = ctx;
    const struct prefix *p = find(r);
    if (p)
        p->head(a, r);
    else if (!str_starts(r->path, STR("/minio/")) || !health_answer(a->o.s3, r))
        s3_head(a->o.s3, r);
}

static void problem(void *ctx, struct http_req *r, enum http_problem p, int *status, struct buf *headers,
                    struct buf *body)
{
    s3_problem(((struct admin *)ctx)->o.s3, r, p, status, headers, body);
}

static void done(void *ctx, struct http_req *r, int status, bool ok, uint64_t body_sent)
{
    struct admin *a = ctx;
    if (!find(r)) {
        stats_record(a->stats, r, status, ok);
        s3_done(a->o.s3, r, status, ok, body_sent);
        return;
    }
    const struct admin_req *q = r->app;
    /* Also when the reply did not get through: it was asked for. */
    if (q && q->service != SERVICE_NONE && a->o.service)
        a->o.service(a->o.ctx, q->service);
}

static void gone(void *ctx, struct http_req *r)
{
    if (!find(r)) {
        s3_gone(((struct admin *)ctx)->o.s3, r);
        return;
    }
    struct admin_req *q = r->app;
    if (!q)
        return;
    buf_release(&q->body);
    buf_release(&q->out);
}

struct http_app admin_app(struct admin *a)
{
    return (struct http_app){.ctx = a, .head = head, .problem = problem, .done = done, .gone = gone};
}

void admin_init(struct admin *a, const struct admin_options *o)
{
    *a = (struct admin){.o = *o, .stats = stats_new()};
    lane_init(&a->keys, o->s3->work, KEYS_WAITING);
    lane_init(&a->scrapes, o->s3->work, SCRAPES_WAITING);
}

void admin_release(struct admin *a)
{
    if (!a->stats)
        return;
    lane_release(&a->keys);
    lane_release(&a->scrapes);
    stats_free(a->stats);
    a->stats = NULL;
}
