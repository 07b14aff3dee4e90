/* SPDX-License-Identifier: Apache-2.0
 *
 * Checksums of stored bytes. */
#include "s3/reread.h"

#include <stdlib.h>

#define STEP  (16ull << 20) /* bytes of one job */
#define PIECE (256u << 10)

enum s3_error reread_begin(const struct s3_req *r, struct reread *c, const struct object *o)
{
    struct str wanted = s3_header(r, "x-amz-checksum-algorithm");
    *c = (struct reread){0};
    if (!wanted.p)
        return S3E_NONE;
    enum checksum_kind k = checksum_of_algorithm(wanted);
    if (k == CHECKSUM_NONE)
        return S3E_INVALID_CHECKSUM_ALGORITHM;
    if (o->checksum != k || !o->checksum_full)
        checksum_begin(&c->sum, k);
    return S3E_NONE;
}

static bool add_pieces(struct reread *c, struct store_read *from, uint64_t n, struct err *why)
{
    char *piece = x_malloc(PIECE);
    bool good = true;
    while (n && good) {
        size_t have = n < PIECE ? (size_t)n : PIECE;
        good = store_read_bytes(from, c->at, piece, have, why);
        if (!good)
            break;
        checksum_add(&c->sum, piece, have);
        c->at += have;
        n -= have;
    }
    free(piece);
    return good;
}

enum s3_error reread_step(struct reread *c, struct store_read *from, struct object *o, bool *done,
                          struct err *why)
{
    *done = c->sum.kind == CHECKSUM_NONE;
    if (*done)
        return S3E_NONE;
    uint64_t left = from->object.size - c->at;
    if (!add_pieces(c, from, left < STEP ? left : STEP, why))
        return S3E_DAMAGED;
    *done = c->at == from->object.size;
    if (!*done)
        return S3E_NONE;
    o->checksum = c->sum.kind;
    o->checksum_full = true;
    o->checksum_len = (uint8_t)checksum_len(o->checksum);
    checksum_end(&c->sum, o->checksum_value);
    return S3E_NONE;
}

void reread_release(struct reread *c)
{
    checksum_release(&c->sum);
}
