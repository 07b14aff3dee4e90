/* SPDX-License-Identifier: Apache-2.0
 *
 * The checksum of bytes that are stored already, for copies. Internal to s3/. */
#ifndef BELFRY_S3_REREAD_H
#define BELFRY_S3_REREAD_H

#include "s3/request.h"

/* The checksum of a copy on its way: embedded, zeroed. */
struct reread {
    struct checksum sum; /* CHECKSUM_NONE: nothing is to be read */
    uint64_t at;
};
/* x-amz-checksum-algorithm of a copy: the object gets a FULL_OBJECT checksum of that kind; without the header, or when the
 * source has that very checksum, it keeps what it has. S3E_INVALID_CHECKSUM_ALGORITHM. */
enum s3_error reread_begin(const struct s3_req *r, struct reread *c, const struct object *o);
/* On a worker: some bytes more, verified as they are read; *done: the object has its checksum. S3E_DAMAGED and `why` when
 * they cannot be read. */
enum s3_error reread_step(struct reread *c, struct store_read *from, struct object *o, bool *done,
                          struct err *why);
void reread_release(struct reread *c); /* may be called again */

#endif
