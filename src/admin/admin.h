/* SPDX-License-Identifier: Apache-2.0
 *
 * What is below /minio/: health, and later administration and metrics. It stands before the S3 interface: the handlers
 * below are those of the HTTP server and pass on what is not theirs. Requests answered here keep http_req.app NULL, which
 * is how the S3 handlers know them. All on the request's I/O thread. */
#ifndef BELFRY_ADMIN_ADMIN_H
#define BELFRY_ADMIN_ADMIN_H

#include "config/store.h"
#include "s3/s3.h"

struct admin {
    struct s3 *s3;         /* set before http_start */
    struct config *config; /* the same; its calls are for workers */
};

/* http_app with ctx a struct admin, which must outlive the HTTP server. */
struct http_app admin_app(struct admin *a);

#endif
