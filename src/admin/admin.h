/* SPDX-License-Identifier: Apache-2.0
 *
 * What is below /minio/: health, administration (/minio/admin/v3) and metrics. It stands before the S3 interface: the handlers
 * below are those of the HTTP server and pass on what is not theirs. Each of the three that answers itself knows its requests
 * by their path; those of S3 by http_req.app. All on the request's I/O thread, what may block on workers. */
#ifndef BELFRY_ADMIN_ADMIN_H
#define BELFRY_ADMIN_ADMIN_H

#include "admin/lane.h"
#include "admin/stats.h"
#include "config/store.h"
#include "s3/s3.h"

enum service_action { SERVICE_NONE, SERVICE_RESTART, SERVICE_STOP };

struct admin_options {
    struct s3 *s3;
    struct http_server *http;
    struct config *config; /* its calls are for workers */
    const char *dir;       /* of the store, as the command line has it */
    const char *node;      /* "host:port" that is listened on */
    bool metrics_public;   /* without a token */
    int64_t started_real;  /* ns since 1970 */
    int64_t started_ms;    /* the same by the steady clock */
    /* Asked for by an administrator, once the reply is out. On an I/O thread; must not block. */
    void (*service)(void *ctx, enum service_action action);
    void *ctx;
};

struct admin {
    struct admin_options o;
    struct lane keys;    /* derivations of keys */
    struct lane scrapes; /* of metrics */
    struct stats *stats; /* of S3 requests */
};

/* After http_open (whose app this is), before http_start. Strings stay the caller's. */
void admin_init(struct admin *a, const struct admin_options *o);
/* After http_stop and work_free. Also when admin_init was not called, on zeroed memory. */
void admin_release(struct admin *a);

/* http_app with ctx a struct admin, which must outlive the HTTP server. */
struct http_app admin_app(struct admin *a);

#endif
