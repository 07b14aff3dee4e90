/* SPDX-License-Identifier: Apache-2.0
 *
 * The row of an object, as a struct and as bytes. Pure: no I/O. */
#ifndef BELFRY_STORE_OBJECT_H
#define BELFRY_STORE_OBJECT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/checksum.h"
#include "base/header.h"

enum extent_kind { EXTENT_INLINE, EXTENT_BLOB };
struct extent {
    enum extent_kind kind;
    uint64_t id, length;
};

/* A part of a finished multipart upload, as GET by number and GetObjectAttributes see it. */
struct object_part {
    uint64_t size;
    uint8_t checksum; /* enum checksum_kind */
    uint8_t checksum_value[CHECKSUM_MAX];
};

#define OBJECT_EXTENTS 16    /* in the row itself, and as many parts; more of either are in an extents row */
#define OBJECT_PARTS   10000 /* AWS: of one upload */
#define UPLOAD_ID_LEN  32    /* of a multipart upload: lower-case hex, unique, in order of initiation */
struct object {
    uint64_t size;
    uint64_t seq;     /* sequencer of the change that wrote it */
    int64_t mtime_ns; /* Last-Modified, wall clock */
    uint8_t md5[16];  /* ETag: hex of it ... */
    uint32_t parts;   /* ... and "-parts" when not 0: multipart */
    struct headers
        meta; /* what GET gives back, in stored form and order: "content-type", "cache-control", ... in lower
                 case; user metadata as "X-Amz-Meta-Foo-Bar" (canonical case, see notifications.md 2.1) */
    enum checksum_kind checksum;
    bool checksum_full; /* FULL_OBJECT, else COMPOSITE */
    uint8_t checksum_len;
    uint8_t checksum_value[CHECKSUM_MAX];
    struct str upload_id; /* of the multipart upload that made it */
    struct str tags;      /* x-amz-tagging form */
    uint64_t
        extents_row; /* not 0: extents and parts are in row e of this id, and absent here until they were read */
    struct extent *extents;
    size_t n_extents; /* 0 for an empty object; their lengths add up to size */
    struct object_part *part_list;
    size_t n_part_list; /* `parts`, or 0: not known */
};

/* "9b2cf5...": at most 32 + 6 bytes, without quotes. */
#define ETAG_MAX 40
size_t object_etag(const struct object *o, char out[ETAG_MAX]);
/* Row bytes: version, tagged fields; unknown tags of a later version are skipped when reading. */
void object_encode(const struct object *o, struct buf *out);
/* Strings point into `row`; arrays are in the arena. false when malformed. */
bool object_decode(struct str row, struct arena *a, struct object *out);
/* The extents row: size, parts, extents and part_list alone, at most OBJECT_PARTS of each list. Decoding zeroes the rest; false
 * also when lengths do not add up. */
void object_extents_encode(const struct object *o, struct buf *out);
bool object_extents_decode(struct str row, struct arena *a, struct object *out);

#endif
