/* SPDX-License-Identifier: Apache-2.0
 *
 * What lets web pages of other origins use the server (Fetch standard, "CORS protocol"): one list of origins for all buckets,
 * as MINIO_API_CORS_ALLOW_ORIGIN gives it. Pure but for the reply to a preflight. Internal to s3/. */
#ifndef BELFRY_S3_CORS_H
#define BELFRY_S3_CORS_H

#include "s3/request.h"

/* Is the Origin one of the list ("*", or origins with wildcards, separated by commas)? */
bool cors_allowed(struct str list, struct str origin);
/* The reply header lines for a request that names its origin; nothing for one that does not, or is not allowed. */
void cors_headers(struct str list, const struct headers *request, struct buf *out);
/* Answers OPTIONS: a preflight, or what asks for nothing in particular. No signature: browsers send none. */
void cors_preflight(struct s3_req *r);

#endif
