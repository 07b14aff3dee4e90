/* SPDX-License-Identifier: Apache-2.0
 *
 * The pages of metrics: which path, who may, and gathering the numbers. */
#include "admin/metrics.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/request.h"
#include "admin/token.h"
#include "base/clock.h"
#include "base/err.h"

#define V3 "/minio/metrics/v3"

/* Under version 3 a path stands for all pages at or below it. 0: a page that MinIO has and that is empty here. */
static const struct page {
    const char *path;
    unsigned pages;
} pages[] = {
    {"/minio/v2/metrics/node", V2_NODE},
    {"/minio/v2/metrics/cluster", V2_CLUSTER},
    {"/minio/v2/metrics/bucket", V2_BUCKET},
    {"/minio/v2/metrics/resource", 0},
    {"/minio/prometheus/metrics", OLD},
    {V3 "/api/requests", V3_API},
    {V3 "/system/process", V3_PROCESS},
    {V3 "/system/drive", V3_DRIVE},
    {V3 "/system/memory", 0},
    {V3 "/system/cpu", 0},
    {V3 "/system/network/internode", 0},
    {V3 "/cluster/health", V3_HEALTH},
    {V3 "/cluster/usage/objects", V3_OBJECTS},
    {V3 "/cluster/usage/buckets", V3_BUCKETS},
    {V3 "/cluster/erasure-set", 0},
    {V3 "/cluster/iam", 0},
    {V3 "/cluster/config", 0},
    {V3 "/notification", V3_NOTIFICATION},
    {V3 "/bucket/api", 0},
    {V3 "/bucket/replication", 0},
    {V3 "/debug/go", 0},
    {V3 "/ilm", 0},
    {V3 "/audit", 0},
    {V3 "/logger/webhook", 0},
    {V3 "/replication", 0},
    {V3 "/scanner", 0},
};

/* Is `below` the path of `above`, or one under it? */
static bool at_or_below(struct str below, struct str above)
{
    return str_starts(below, above) && (below.n == above.n || below.p[above.n] == '/');
}

static bool find_pages(struct str path, unsigned *mask)
{
    bool found = false;
    while (path.n > 1 && path.p[path.n - 1] == '/')
        path.n--;
    *mask = 0;
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        struct str page = str_c(pages[i].path);
        /* Pages of a bucket have its name behind them. */
        bool of_bucket = str_starts(page, STR(V3 "/bucket/")) && at_or_below(path, page);
        bool above = str_starts(path, STR(V3)) && at_or_below(page, path);
        if (str_eq(page, path) || above || of_bucket) {
            found = true;
            *mask |= pages[i].pages;
        }
    }
    return found;
}

/* --- numbers --- */

static void gather_targets(struct metrics_data *d, const struct admin *a, int64_t now)
{
    struct server_numbers *n = &d->n;
    d->n_targets = targets_now(a->o.s3->delivery, &d->targets);
    d->target_numbers = x_calloc(d->n_targets + 1, sizeof *d->target_numbers);
    for (size_t i = 0; i < d->n_targets; i++) {
        const struct target_info *t = &d->targets[i];
        double failed = (double)(t->retries + t->rejected);
        int64_t age = t->oldest_ns ? now - t->oldest_ns : 0;
        d->target_numbers[i] = (struct target_numbers){
            .accepted = (double)t->accepted,
            .failed = failed,
            .sending = t->sending,
            .queued = (double)t->queued,
            .queued_bytes = (double)t->queued_bytes,
            .oldest_age = age > 0 ? (double)age * 1e-9 : 0,
            .rate = t->rate,
            .delivered = (double)t->sent,
            .retries = (double)t->retries,
            .rejected = (double)t->rejected,
            .dropped = (double)t->dropped,
            .dead_letters = (double)t->dead_letters,
            .in_files = (double)t->in_segments,
            .lost = (double)t->lost,
            .online = t->status == TARGET_ONLINE,
            .last_error_time = (double)t->last_error_ns * 1e-9,
        };
        n->events_accepted += (double)t->accepted;
        n->events_failed += failed;
        n->events_dropped += (double)t->dropped;
        n->events_sending += t->sending;
    }
}

static void gather_store(struct metrics_data *d, const struct admin *a)
{
    struct server_numbers *n = &d->n;
    struct store_stats st;
    struct kv_stats kv;
    store_get_stats(a->o.s3->store, &st);
    kv_get_stats(store_kv(a->o.s3->store), &kv);
    n->disk_total = (double)st.disk_total;
    n->disk_free = (double)st.disk_free;
    n->disk_used = n->disk_total - n->disk_free;
    n->disk_damaged = (double)st.damaged;
    n->buckets = (double)st.buckets;
    n->objects = (double)st.objects;
    n->bytes = (double)st.bytes;
    n->drives_online = n->healthy = !st.failed;
    n->drives_offline = st.failed;
    n->batches = (double)kv.batches;
    n->syncs = (double)kv.syncs;
    n->commits = (double)kv.commits;
    n->commits_waiting = (double)kv.waiting;
}

static void gather_buckets(struct metrics_data *d, const struct admin *a, struct arena *arena)
{
    struct bucket **v;
    d->n_buckets = store_buckets(a->o.s3->store, &v);
    d->buckets = x_calloc(d->n_buckets + 1, sizeof *d->buckets);
    for (size_t i = 0; i < d->n_buckets; i++) {
        uint64_t objects, bytes;
        store_bucket_usage(a->o.s3->store, v[i], &objects, &bytes);
        d->buckets[i] = (struct bucket_numbers){arena_dup(arena, v[i]->name), (double)objects, (double)bytes};
        bucket_unref(v[i]);
    }
    free(v);
}

/* Where MinIO's name of an operation is not the one of S3's documentation. */
static const char *api_name(const char *op)
{
    static const char *const names[][2] = {
        {"CreateBucket", "PutBucket"},
        {"CreateMultipartUpload", "NewMultipartUpload"},
        {"DeleteObjects", "DeleteMultipleObjects"},
        {"ListObjects", "ListObjectsV1"},
        {"ListParts", "ListObjectParts"},
        {"PostObject", "PostPolicyBucket"},
        {"UploadPart", "PutObjectPart"},
        {"UploadPartCopy", "CopyObjectPart"},
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(op, names[i][0]) == 0)
            return names[i][1];
    return op;
}

/* Was there a row of this name before? Rows that share one are counted together. */
static bool is_repeated(size_t row)
{
    for (size_t i = 0; i < row; i++)
        if (strcmp(s3_op_name(i), s3_op_name(row)) == 0)
            return true;
    return false;
}

static void gather_ops(struct metrics_data *d, const struct admin *a)
{
    size_t rows = s3_op_count();
    d->ops = x_calloc(rows, sizeof *d->ops);
    for (size_t i = 0; i < rows; i++) {
        struct op_numbers *op = &d->ops[d->n_ops];
        if (is_repeated(i))
            continue;
        stats_sum(a->stats, s3_op_name(i), &op->stats);
        uint64_t total = op_stats_count(&op->stats);
        if (total == 0)
            continue;
        (void)snprintf(op->name, sizeof op->name, "%s", api_name(s3_op_name(i)));
        for (size_t k = 0; op->name[k]; k++)
            op->lower[k] = (char)tolower((unsigned char)op->name[k]);
        op->total = (double)total;
        op->errors_4xx = (double)op->stats.errors_4xx;
        op->errors_5xx = (double)op->stats.errors_5xx;
        op->errors = op->errors_4xx + op->errors_5xx;
        op->canceled = (double)op->stats.canceled;
        d->n_ops++;
    }
}

static void gather(struct metrics_data *d, const struct admin *a, struct arena *arena, unsigned mask)
{
    struct http_stats http;
    int64_t now = clock_real_ns();
    *d = (struct metrics_data){.server = a->o.node, .drive = a->o.dir, .n.one = 1};
    process_read(&d->n.process);
    d->n.started = (double)a->o.started_real * 1e-9;
    d->n.uptime = (double)(clock_mono_ms() - a->o.started_ms) * 1e-3;
    http_get_stats(a->o.http, &http);
    d->n.connections = http.connections;
    d->n.in_flight = http.requests_in_flight;
    d->n.bytes_in = (double)http.bytes_in;
    d->n.bytes_out = (double)http.bytes_out;
    gather_store(d, a);
    gather_targets(d, a, now);
    if (mask & (V2_BUCKET | OLD | V3_BUCKETS))
        gather_buckets(d, a, arena);
    gather_ops(d, a);
}

static void run(struct admin_req *r)
{
    struct metrics_data d;
    unsigned mask;
    (void)find_pages(r->http->path, &mask);
    gather(&d, r->admin, &r->http->arena, mask);
    metrics_print(&r->out, &d, mask);
    free(d.targets);
    free(d.target_numbers);
    free(d.buckets);
    free(d.ops);
}

/* --- who --- */

static bool may_read(struct admin_req *r)
{
    const struct auth *auth = r->admin->o.s3->auth;
    struct str header = str_trim(header_value(&r->http->headers, STR("authorization"))), scheme;
    if (r->admin->o.metrics_public)
        return true;
    if (!str_cut(&header, ' ', &scheme) || !str_ieq(scheme, STR("Bearer")))
        return false;
    r->id = (struct auth_identity){.access_key = auth_root(auth)};
    return token_ok(str_trim(header), r->id.access_key, auth_secret(auth, &r->id),
                    clock_real_ns() / 1000000000) &&
           allowed(&r->id, STR("admin:Prometheus"), STR(""), NULL);
}

void metrics_head(struct admin *a, struct http_req *h)
{
    struct admin_req *r = admin_req_new(a, h);
    unsigned mask;
    r->type = "text/plain; version=0.0.4; charset=utf-8";
    if (!may_read(r))
        admin_fail(a, h, ADMIN_DENIED_TOKEN, NULL);
    else if (!str_eq(h->method, STR("GET")) && !h->is_head)
        admin_fail_s3(a, h, S3E_METHOD_NOT_ALLOWED);
    else if (!find_pages(h->path, &mask))
        admin_fail(a, h, ADMIN_NO_PAGE, NULL);
    else
        admin_run(r, &a->scrapes, run);
}
