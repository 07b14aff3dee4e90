/* SPDX-License-Identifier: Apache-2.0
 *
 * Making and ending the S3 interface. */
#include "s3/request.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/hash.h"
#include "s3/ops.h"

#define BODY_MEMORY  (64u << 20)
#define UPLOAD_LEAST ((size_t)64 << 20)
#define UPLOAD_MOST  ((size_t)1 << 30)
#define READ_MEMORY  (32u << 20)

static size_t upload_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    size_t share = pages > 0 && page > 0 ? (size_t)pages / 8 * (size_t)page : 0;
    return share < UPLOAD_LEAST ? UPLOAD_LEAST : share > UPLOAD_MOST ? UPLOAD_MOST : share;
}

/* What every reply carries: as MinIO's server, whose scripts and tools look for these. */
static void common_lines(struct s3 *s3)
{
    struct buf *b = &s3->common;
    buf_puts(b, "Accept-Ranges: bytes\r\nServer: MinIO\r\nVary: Origin\r\nX-Content-Type-Options: nosniff\r\n"
                "X-Xss-Protection: 1; mode=block\r\n"
                "Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n");
    if (s3->region.n) {
        buf_puts(b, "X-Amz-Bucket-Region: ");
        buf_str(b, s3->region);
        buf_puts(b, "\r\n");
    }
    buf_puts(b, "X-Amz-Id-2: ");
    buf_put(b, s3->host_id, sizeof s3->host_id);
    buf_puts(b, "\r\n");
}

struct s3 *s3_new(const struct s3_options *o, struct store *store, struct delivery *delivery,
                  struct work_pool *work, struct str origin_default, struct str node)
{
    struct s3 *s3 = x_calloc(1, sizeof *s3);
    arena_init(&s3->arena);
    s3->store = store;
    s3->delivery = delivery;
    s3->work = work;
    s3->region = arena_dup(&s3->arena, o->region);
    s3->domains = arena_dup(&s3->arena, o->domains);
    s3->cors_origins = arena_dup(&s3->arena, o->cors_origins);
    s3->deployment_id = arena_dup(&s3->arena, str_c(store_deployment_id(store)));
    s3->origin = arena_dup(&s3->arena, o->server_url.n ? o->server_url : origin_default);
    struct auth_config auth = {
        .access_key = arena_dup(&s3->arena, o->access_key),
        .secret_key = arena_dup(&s3->arena, o->secret_key),
        .region = s3->region,
    };
    s3->auth = auth_new(&auth);
    budget_init(&s3->bodies, o->body_memory ? o->body_memory : BODY_MEMORY);
    budget_init(&s3->uploads, o->upload_memory ? o->upload_memory : upload_memory());
    budget_init(&s3->reads, READ_MEMORY);
    uint8_t sha[SHA256_LEN];
    hash_sha256(node, sha);
    hex_lower(sha, sizeof sha, s3->host_id);
    buf_init(&s3->common, 8192);
    common_lines(s3);
    return s3;
}

void s3_free(struct s3 *s3)
{
    s3_listen_release(s3);
    auth_free(s3->auth);
    budget_release(&s3->bodies);
    budget_release(&s3->uploads);
    budget_release(&s3->reads);
    buf_release(&s3->common);
    arena_release(&s3->arena);
    free(s3);
}

int s3_op_index(const struct http_req *r)
{
    const struct s3_req *q = r->app;
    return q && q->op ? (int)(q->op - s3_ops) : -1;
}

size_t s3_op_count(void)
{
    return s3_ops_n;
}

const char *s3_op_name(size_t index)
{
    return s3_ops[index].name;
}
