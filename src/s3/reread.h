/* SPDX-License-Identifier: Apache-2.0
 *
 * The checksum of bytes that are stored already, for copies. Internal to s3/. */
#ifndef BELFRY_S3_REREAD_H
#define BELFRY_S3_REREAD_H

#include "s3/request.h"

/* Of bytes [off, off + n) of an open object, verified as they are read. On a worker: it blocks. S3E_DAMAGED and `why` when
 * they cannot be read. */
enum s3_error reread_checksum(struct store_read *from, uint64_t off, uint64_t n, enum checksum_kind k,
                              uint8_t value[CHECKSUM_MAX], struct err *why);
/* x-amz-checksum-algorithm of a copy: the object gets a FULL_OBJECT checksum of that kind; without the header, or when the
 * source has that very checksum, it keeps what it has. Worker; errors as above, and S3E_INVALID_CHECKSUM_ALGORITHM. */
enum s3_error reread_for_copy(struct s3_req *r, struct store_read *from, struct object *o, struct err *why);

#endif
