/* SPDX-License-Identifier: Apache-2.0
 *
 * Checksums of stored bytes. */
#include "s3/reread.h"

#include <stdlib.h>

#define PIECE (256u << 10)

static bool add_pieces(struct checksum *c, struct store_read *from, uint64_t off, uint64_t n, struct err *why)
{
    char *piece = x_malloc(PIECE);
    bool good = true;
    while (n && good) {
        size_t have = n < PIECE ? (size_t)n : PIECE;
        good = store_read_bytes(from, off, piece, have, why);
        if (!good)
            break;
        checksum_add(c, piece, have);
        off += have;
        n -= have;
    }
    free(piece);
    return good;
}

enum s3_error reread_checksum(struct store_read *from, uint64_t off, uint64_t n, enum checksum_kind k,
                              uint8_t value[CHECKSUM_MAX], struct err *why)
{
    struct checksum c;
    checksum_begin(&c, k);
    bool good = add_pieces(&c, from, off, n, why);
    if (good)
        checksum_end(&c, value);
    checksum_release(&c);
    return good ? S3E_NONE : S3E_DAMAGED;
}

enum s3_error reread_for_copy(struct s3_req *r, struct store_read *from, struct object *o, struct err *why)
{
    struct str wanted = s3_header(r, "x-amz-checksum-algorithm");
    if (!wanted.p)
        return S3E_NONE;
    enum checksum_kind k = checksum_of_algorithm(wanted);
    if (k == CHECKSUM_NONE)
        return S3E_INVALID_CHECKSUM_ALGORITHM;
    if (o->checksum == k && o->checksum_full)
        return S3E_NONE;
    o->checksum = k;
    o->checksum_full = true;
    o->checksum_len = (uint8_t)checksum_len(k);
    return reread_checksum(from, 0, from->object.size, k, o->checksum_value, why);
}
