/* SPDX-License-Identifier: Apache-2.0
 *
 * The five checksums of S3 (AWS: "Checking object integrity"): running values, their names, and how the checksum of a
 * whole comes from those of its parts. A value is the digest's bytes, CRCs big-endian, as base64 carries them. Pure;
 * any thread. */
#ifndef BELFRY_BASE_CHECKSUM_H
#define BELFRY_BASE_CHECKSUM_H

#include "base/buf.h"
#include "base/hash.h"

/* The numbers are stored in objects' rows. */
enum checksum_kind {
    CHECKSUM_NONE,
    CHECKSUM_CRC32,
    CHECKSUM_CRC32C,
    CHECKSUM_CRC64NVME,
    CHECKSUM_SHA1,
    CHECKSUM_SHA256
};
#define CHECKSUM_KINDS 6  /* for (k = 1; k < CHECKSUM_KINDS; k++) */
#define CHECKSUM_MAX   32 /* bytes of the longest value */

/* Names of a kind; "" for CHECKSUM_NONE. */
struct checksum_names {
    const char *header;    /* "x-amz-checksum-crc32c", as requests and trailers carry it */
    const char *label;     /* "X-Amz-Checksum-Crc32c", as replies spell it */
    const char *element;   /* "ChecksumCRC32C", in XML */
    const char *algorithm; /* "CRC32C": x-amz-checksum-algorithm, ChecksumAlgorithm */
};
const struct checksum_names *checksum_names(enum checksum_kind k);
/* CHECKSUM_NONE for any other text. Header names and algorithms in either case, elements exactly. */
enum checksum_kind checksum_of_header(struct str name);
enum checksum_kind checksum_of_element(struct str name);
enum checksum_kind checksum_of_algorithm(struct str text);
/* Bytes of a value: 4, 8, 20 or 32; 0 for CHECKSUM_NONE. */
size_t checksum_len(enum checksum_kind k);
/* May the checksum of a whole be put together from those of its parts (FULL_OBJECT)? The CRCs. */
bool checksum_combines(enum checksum_kind k);

/* A running checksum. CHECKSUM_NONE takes bytes and gives nothing. checksum_end may be called once; checksum_release
 * always, also after it, and on zeroed memory. */
struct checksum {
    enum checksum_kind kind;
    uint64_t crc;
    struct hash hash;
};
void checksum_begin(struct checksum *c, enum checksum_kind k);
void checksum_add(struct checksum *c, const void *p, size_t n);
void checksum_end(struct checksum *c, uint8_t out[CHECKSUM_MAX]); /* checksum_len bytes */
void checksum_release(struct checksum *c);
/* begin, add, end. The COMPOSITE checksum of an upload is this over the values of its parts, one behind the other. */
void checksum_of(enum checksum_kind k, struct str data, uint8_t out[CHECKSUM_MAX]);

/* out = checksum of A followed by B, from a = checksum of A, b = checksum of B and the length of B in bytes. Only for
 * kinds that combine (a bug otherwise). out may be a or b. About as much work as checking 1 KiB. */
void checksum_combine(enum checksum_kind k, const uint8_t *a, const uint8_t *b, uint64_t b_len, uint8_t *out);

/* base64 to the value; false when malformed or of another length. */
bool checksum_parse(enum checksum_kind k, struct str base64, uint8_t out[CHECKSUM_MAX]);

#endif
