/* SPDX-License-Identifier: Apache-2.0
 *
 * A body on its way in: aws-chunked decoding, digests, checksums, and where the bytes go (a buffer or a stage). Fed by one
 * thread at a time, an I/O thread or a worker. Internal to s3/. */
#ifndef BELFRY_S3_UPLOAD_H
#define BELFRY_S3_UPLOAD_H

#include "auth/chunked.h"
#include "base/checksum.h"
#include "s3/form.h"
#include "s3/request.h"

struct upload {
    uint64_t size;     /* decoded bytes that must come; of a form's file, until it ends: may come at most */
    uint64_t size_min; /* of a form's file: must come at least */
    uint64_t coming;   /* bytes that come at most, of the file and what is around it */
    uint64_t received; /* decoded bytes so far */
    struct chunked *decoder;
    struct form *form; /* the body is the file of a form */
    enum s3_error (*form_file)(struct s3_req *r);
    struct s3_req *req;
    bool decoder_done, form_done, want_sha, want_md5, has_md5, checksum_in_trailer;
    struct hash sha, md5;
    uint8_t sha_expected[SHA256_LEN], md5_expected[MD5_LEN], md5_value[MD5_LEN];
    struct checksum checksum; /* of the kind that the client chose; CHECKSUM_NONE: of none */
    uint8_t checksum_expected[CHECKSUM_MAX], checksum_value[CHECKSUM_MAX];
    bool checksum_own; /* nobody sent one: it is computed, there is nothing to compare it with */
    struct buf *buf;   /* one of the two is set */
    struct store_stage *stage;
    enum s3_error error;
    struct err why; /* of the store, for the log */
};

/* What the request's headers say about its body. want_md5: an object's body, which needs a length, and an MD5
 * also when no Content-MD5 was sent. S3E_NONE, or the error to
 * answer before any byte is read. Release in any case. */
enum s3_error upload_init(struct upload *u, const struct s3_req *r, bool want_md5);
/* A form's body: file(r) is called once the fields are known and before the first byte of the file, on whichever thread
 * feeds; it may set size and size_min and call upload_form_digests. Errors as above. */
enum s3_error upload_init_form(struct upload *u, struct s3_req *r, struct str boundary, uint64_t max,
                               enum s3_error (*file)(struct s3_req *r));
/* Content-MD5 and x-amz-checksum-* among the fields of a form. */
enum s3_error upload_form_digests(struct upload *u, const struct headers *fields);
/* Raw bytes of the HTTP body; error sticks. */
enum s3_error upload_feed(struct upload *u, const char *p, size_t n);
/* The HTTP body is over: verifies length, digests, checksum, signature. md5_value and checksum_value are set when wanted. */
enum s3_error upload_end(struct upload *u);
void upload_release(struct upload *u); /* may be called again */
/* A body that does not come from a request: `size` bytes, with MD5. */
void upload_init_own(struct upload *u, uint64_t size);
/* Before the first byte: a checksum of that kind is wanted. Computed when the client sent none; false when it sent another. */
bool upload_want_checksum(struct upload *u, enum checksum_kind k);
/* The verified checksum, if any, becomes the object's: of the whole body, FULL_OBJECT. */
void upload_keep_checksum(const struct upload *u, struct object *o);
/* The header lines of a reply about an object's checksum; nothing when it has none. */
void checksum_header(struct buf *out, const struct object *o);
/* The same as XML elements: <ChecksumCRC32>...</ChecksumCRC32><ChecksumType>...</ChecksumType>. */
void checksum_elements(struct buf *out, const struct object *o);

/* Collects the body into r->xml (at most S3_XML_MAX), then run(r). Replies itself on any error. */
void upload_collect(struct s3_req *r, void (*run)(struct s3_req *r));
/* The same for a document whose x-amz-checksum-* headers are about something else; at most max bytes. */
void upload_collect_plain(struct s3_req *r, size_t max, void (*run)(struct s3_req *r));

#endif
