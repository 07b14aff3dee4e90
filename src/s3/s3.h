/* SPDX-License-Identifier: Apache-2.0
 *
 * The S3 interface over HTTP: routes a request to its operation (ops.c), authenticates, runs it, replies. */
#ifndef BELFRY_S3_S3_H
#define BELFRY_S3_S3_H

#include "auth/auth.h"
#include "base/budget.h"
#include "event/delivery.h"
#include "event/listen.h"
#include "http/http.h"
#include "s3/error.h"
#include "store/store.h"

struct s3_options {
    struct str access_key, secret_key;
    struct str region;
    /* MINIO_API_CORS_ALLOW_ORIGIN: comma separated, with '*' and '?'; empty: none. */
    struct str cors_origins;
    struct str domains;    /* comma separated; virtual-host addressing "bucket.<domain>"; may be empty */
    struct str server_url; /* MINIO_SERVER_URL; empty: origin is made from the listening address */
    size_t body_memory;    /* bytes of small bodies and closures in memory at a time; 0: 64 MiB */
    size_t
        upload_memory; /* bytes of the buffers of large uploads; 0: an eighth of the memory, 64 MiB to 1 GiB */
};

/* The running interface; everything it needs for a request. Fields are read-only after s3_new. */
struct s3 {
    struct store *store;
    struct delivery *delivery;
    struct listen *listen; /* set after s3_new, before requests; NULL: nobody can listen */
    struct work_pool *work;
    struct auth *auth;
    /* Who waits for one kind of memory does not hold up the others: small bodies come at once, an upload takes as long as
     * its client likes. reads: requests that were answered, and wait for the commit of their event. */
    struct budget bodies, uploads, reads;
    struct str region, domains, cors_origins, deployment_id, origin;
    char host_id[64];  /* x-amz-id-2: hex SHA-256 of "host:port" */
    struct buf common; /* reply header lines that every reply carries */
    struct arena arena;
    _Atomic bool stopping;
};

/* Strings are copied. origin_default: "http://127.0.0.1:9000", used when server_url is empty; node: "host:port". */
struct s3 *s3_new(const struct s3_options *o, struct store *store, struct delivery *delivery,
                  struct work_pool *work, struct str origin_default, struct str node);
void s3_free(struct s3 *s3);

/* The four handlers of http_app; ctx is the struct s3. */
void s3_head(void *ctx, struct http_req *r);
void s3_problem(void *ctx, struct http_req *r, enum http_problem p, int *status, struct buf *headers,
                struct buf *body);
void s3_done(void *ctx, struct http_req *r, int status, bool ok, uint64_t body_sent);
void s3_gone(void *ctx, struct http_req *r);

/* Reply headers that every reply of this server carries, with the request's id: for admin/. */
void s3_common_headers(struct s3 *s3, const struct http_req *r, struct buf *out);
/* The error for what auth_verify found. */
enum s3_error s3_auth_error(enum auth_result res);
/* The row of s3_ops that a request was found to be; -1: none. Of a request that s3_head was called with. */
int s3_op_index(const struct http_req *r);
size_t s3_op_count(void);
const char *s3_op_name(size_t index); /* "PutObject"; rows may share one */
/* Logs a warning for every bucket rule whose ARN has no enabled target. At start. */
void s3_warn_lost_rules(struct s3 *s3);
/* Store hooks: compiled rules of a bucket. */
void *s3_rules_compile(struct str rules);
void s3_rules_free(void *compiled);

#endif
