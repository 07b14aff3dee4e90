/* SPDX-License-Identifier: Apache-2.0
 *
 * Checksums of stored bytes. */
#include "s3/reread.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define PIECE (256u << 10)

static bool read_all(int fd, char *p, size_t n, uint64_t at, struct err *why)
{
    while (n) {
        ssize_t got = pread(fd, p, n, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            err_set(why, "reading a body for its checksum: %s",
                    got ? strerror(errno) : "the file is too short");
            return false;
        }
        p += got;
        at += (uint64_t)got;
        n -= (size_t)got;
    }
    return true;
}

static bool add_pieces(struct checksum *c, struct store_read *from, uint64_t off, uint64_t n, struct err *why)
{
    char *piece = x_malloc(PIECE);
    bool good = true;
    while (n && good) {
        int fd;
        uint64_t at, have;
        good = store_read_piece(from, off, n < PIECE ? n : PIECE, &fd, &at, &have, why) &&
               read_all(fd, piece, (size_t)have, at, why);
        if (!good)
            break;
        checksum_add(c, piece, (size_t)have);
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
    bool good = true;
    checksum_begin(&c, k);
    if (from->is_inline && n)
        checksum_add(&c, from->body.data.p + off, (size_t)n);
    else
        good = add_pieces(&c, from, off, n, why);
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
