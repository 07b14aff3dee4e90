/* SPDX-License-Identifier: Apache-2.0
 *
 * What the operations on multipart uploads share. Internal to s3/. */
#ifndef BELFRY_S3_MULTIPART_H
#define BELFRY_S3_MULTIPART_H

#include "base/checksum.h"
#include "s3/request.h"
#include "store/upload.h"

#define PART_MIN          (5ull << 20) /* AWS: of every part but the last */
#define PART_NUMBER_WRONG "Part number must be an integer between 1 and 10000, inclusive"

/* The upload that a request is about: first member of its op_state. */
struct multipart {
    struct str id;
    struct store_upload upload;
    enum store_result res;
    struct err why;
    void (*go)(struct s3_req *r);
};
/* Looks up bucket and upload (?uploadId), without blocking the loop; go(r) when they are there, or NoSuchBucket, NoSuchUpload. m
 * becomes r->op_state, unless that is set already. */
void multipart_find(struct s3_req *r, struct multipart *m, void (*go)(struct s3_req *r));
/* Replies what a look-up of an upload, or of its parts, means that was not STORE_OK, and logs `why`. */
void multipart_fail(struct s3_req *r, enum store_result res, const struct err *why);

/* 1 to OBJECT_PARTS. */
bool part_number_parse(struct str v, unsigned *out);
/* ?partNumber of UploadPart and UploadPartCopy; false: replied. */
bool part_number_take(struct s3_req *r, unsigned *out);
/* "X-Amz-Checksum-Crc32: ..." and <ChecksumCRC32>...</ChecksumCRC32>, of one part; nothing for CHECKSUM_NONE. */
void part_checksum_header(struct buf *out, enum checksum_kind k, const uint8_t *value);
void part_checksum_element(struct buf *out, enum checksum_kind k, const uint8_t *value);
/* <ChecksumAlgorithm> and <ChecksumType> of an upload; nothing when it has none. */
void upload_checksum_elements(struct buf *out, const struct object *o);

/* A part whose bytes are staged: its commit. */
struct part_commit {
    unsigned number;
    struct object *object;     /* complete but for seq and extents */
    struct store_stage *stage; /* finished; NULL once it was taken over */
    /* The end, on the loop. ok: committed, nothing was replied. Else the error was replied, the stage is the caller's. */
    void (*done)(struct s3_req *r, bool ok);
    struct str id; /* of the upload */
    enum s3_error error;
    bool again, replaced;
};
/* r->commit_state becomes c; it stays valid until done. */
void part_commit(struct s3_req *r, struct part_commit *c);

/* The document of CompleteMultipartUpload (multipart_xml.c). Pure. */
struct complete_part {
    uint32_t number;
    struct str etag;  /* without quotes */
    uint8_t checksum; /* enum checksum_kind; the first one that is there */
    uint8_t checksum_value[CHECKSUM_MAX];
};
/* S3E_MALFORMED_XML, S3E_INVALID_PART (numbers out of range, checksums that are none), S3E_INVALID_PART_ORDER. 1 to OBJECT_PARTS
 * parts, in the arena, numbers rising. */
enum s3_error complete_parse(struct arena *a, struct str xml, struct complete_part **parts, size_t *n);

#endif
