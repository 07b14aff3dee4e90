/* SPDX-License-Identifier: Apache-2.0
 *
 * Metadata of objects: from request headers to the stored form, and back into reply headers; conditions and ranges. Pure but
 * for reading the request. Internal to s3/. */
#ifndef BELFRY_S3_META_H
#define BELFRY_S3_META_H

#include "s3/request.h"

/* Content-Type ... Expires, x-amz-storage-class, x-amz-meta-*: into o->meta (arena); x-amz-tagging: into o->tags. Default
 * content type binary/octet-stream. S3E_INVALID_STORAGE_CLASS for a class other than STANDARD and REDUCED_REDUNDANCY,
 * S3E_INVALID_ARGUMENT for metadata whose name is none of a header, and the errors of tags_from_header. */
enum s3_error meta_from_request(struct s3_req *r, struct object *o);
/* The same from the fields of a form, which are named like headers. */
enum s3_error meta_from_headers(struct s3_req *r, const struct headers *h, struct object *o);
/* Reply header lines of an object: stored metadata, ETag, Last-Modified, response-* overrides of the query, number of tags,
 * checksum when asked for and `whole`. */
void meta_to_headers(struct s3_req *r, const struct object *o, bool whole, struct buf *out);
/* Does the query of a GET or HEAD ask for other header values (response-content-type ...)? */
bool meta_overrides(const struct s3_req *r);
/* ETag, Last-Modified, Cache-Control and Expires lines alone (304, 412). */
void meta_validators(const struct object *o, struct buf *out);

/* The header names of one set of conditions. */
struct condition_names {
    const char *match, *none_match, *modified_since, *unmodified_since;
};
extern const struct condition_names conditions_read; /* If-Match ... */
extern const struct condition_names conditions_copy; /* x-amz-copy-source-if-match ... */
/* GET and HEAD (s3-api.md 5.1): S3E_NONE, S3E_NOT_MODIFIED, S3E_PRECONDITION_FAILED. */
enum s3_error condition_check(const struct s3_req *r, const struct condition_names *names,
                              const struct object *o);
/* PUT (5.2), inside the closure: old NULL when there is no object now. */
enum s3_error condition_write(const struct s3_req *r, const struct object *old);
/* Does the list of ETags (quoted or not, weak prefix ignored, "*") name it? */
bool etag_listed(struct str list, const struct object *o);

enum range_result { RANGE_NONE, RANGE_OK, RANGE_UNSATISFIABLE };
/* One byte range (RFC 9110 14.1.2); several, other units and nonsense are RANGE_NONE. *first, *length within size. */
enum range_result range_parse(struct str value, uint64_t size, uint64_t *first, uint64_t *length);
/* x-amz-copy-source-range (AWS API reference, UploadPartCopy): both ends, inside the source. Everything where there is none
 * (value.p == NULL). S3E_INVALID_COPY_RANGE: none in that form; S3E_INVALID_RANGE: it ends behind the source's end. */
enum s3_error copy_range_parse(struct str value, uint64_t size, uint64_t *first, uint64_t *length);

#endif
