/* SPDX-License-Identifier: Apache-2.0
 *
 * Health: a table of paths and what each looks at. Paths and headers are MinIO's, so that probes and mc go on working. */
#include "admin/health.h"

#define HEADERS_MAX (16u << 10)

enum needs { NEEDS_NOTHING, NEEDS_READS, NEEDS_WRITES };

static const struct probe {
    const char *path;
    enum needs needs;
    bool cluster;       /* answers 412 to ?maintenance=true: this node cannot be spared */
    const char *header; /* of the reply; NULL: none of its own */
} probes[] = {
    {"/minio/health/live", NEEDS_NOTHING, false, NULL},
    {"/minio/health/ready", NEEDS_WRITES, false, NULL},
    {"/minio/health/cluster", NEEDS_WRITES, true, "X-Minio-Write-Quorum: 1\r\n"},
    {"/minio/health/cluster/read", NEEDS_READS, true, "X-Minio-Read-Quorum: 1\r\n"},
};

static bool serves(struct s3 *s3, enum needs needs)
{
    if (needs == NEEDS_NOTHING)
        return true;
    if (s3->stopping)
        return false;
    return needs == NEEDS_READS || !kv_failed(store_kv(s3->store), NULL);
}

static void answer(struct s3 *s3, struct http_req *r, const struct probe *p)
{
    struct headers query;
    struct str maintenance;
    bool ok = serves(s3, p->needs);
    int status = ok ? 200 : 503;
    if (ok && p->cluster && query_parse(&r->arena, r->query, 32, &query) &&
        query_get(&query, STR("maintenance"), &maintenance) && str_eq(maintenance, STR("true")))
        status = 412;
    struct buf b;
    buf_init(&b, HEADERS_MAX);
    s3_common_headers(s3, r, &b);
    if (p->header)
        buf_puts(&b, p->header);
    if (p->cluster)
        buf_puts(&b, "X-Minio-Storage-Class-Defaults: false\r\n");
    if (!ok)
        buf_puts(&b, "X-Minio-Server-Status: offline\r\n");
    http_reply(r, status, buf_view(&b), str_n(NULL, 0));
    buf_release(&b);
}

bool health_answer(struct s3 *s3, struct http_req *r)
{
    if (!str_eq(r->method, STR("GET")) && !str_eq(r->method, STR("HEAD")))
        return false;
    for (size_t i = 0; i < sizeof probes / sizeof probes[0]; i++)
        if (str_eq_c(r->path, probes[i].path)) {
            answer(s3, r, &probes[i]);
            return true;
        }
    return false;
}
