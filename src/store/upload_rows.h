/* SPDX-License-Identifier: Apache-2.0
 *
 * The bytes of an upload's rows, for upload.c, the janitor and belfry check. Pure. */
#ifndef BELFRY_STORE_UPLOAD_ROWS_H
#define BELFRY_STORE_UPLOAD_ROWS_H

#include "store/store_internal.h"
#include "store/upload.h"

void upload_row_encode(const struct store_upload *u, struct buf *out);
/* Strings point into `row`; the id is not in it. */
bool upload_row_decode(struct str row, struct arena *a, struct store_upload *out);

/* The value of a g row of an upload that is over. */
struct upload_garbage {
    uint64_t bucket;
    struct str key, id;
    const struct part_set *used; /* NULL: none */
};
void upload_garbage_encode(const struct upload_garbage *g, struct buf *out);
/* Strings point into `row`; used is filled, and *out points at it. */
bool upload_garbage_decode(struct str row, struct upload_garbage *out, struct part_set *used);

#endif
