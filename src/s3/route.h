/* SPDX-License-Identifier: Apache-2.0
 *
 * From a request line to bucket, key and operation. Pure. */
#ifndef BELFRY_S3_ROUTE_H
#define BELFRY_S3_ROUTE_H

#include "s3/request.h"

/* The bucket that a host of the form bucket.<one of domains>[:port] names; empty: none. */
struct str route_host_bucket(struct str host, struct str domains);
/* Splits the raw path (and the host, when it is bucket.<one of domains>) into decoded bucket and key. */
enum s3_error route_path(struct arena *a, struct str raw_path, struct str host, struct str domains,
                         enum s3_scope *scope, struct str *bucket, struct str *key);
/* First row of s3_ops that matches; NULL: no S3 operation. */
const struct s3_op *route_op(struct str method, enum s3_scope scope, const struct headers *query,
                             const struct headers *headers);
/* Does the query name a sub-resource that this operation knows nothing of? Then something else was asked for: a DELETE
 * with ?notification must not remove the bucket. Unknown names (x-id=PutObject) mean nothing, as at AWS. */
bool route_strays(const struct s3_op *op, struct str method, const struct headers *query);
/* Checks of names (s3-api.md 5.7 and 0.5). */
bool bucket_name_valid(struct str name);
enum s3_error key_check(struct str key);
bool has_dot_segment(struct str path);
/* Does it look like a version id (a UUID)? "null" does not. */
bool version_id_valid(struct str id);
/* x-amz-copy-source: [/]bucket/key[?versionId=null], percent-encoded; decoded into the arena. */
enum s3_error copy_source_parse(struct arena *a, struct str raw, struct str *bucket, struct str *key);

#endif
