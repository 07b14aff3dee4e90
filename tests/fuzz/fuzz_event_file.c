/* SPDX-License-Identifier: Apache-2.0
 *
 * A file of MinIO's queue_dir, and its row in the outbox; and rows as they are read back. */
#include "fuzz.h"

#include "event/delivery_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct outbox_row row, back;
    struct buf b;
    arena_init(&a);
    buf_init(&b, 8u << 20);
    if (queue_dir_parse(&a, str_n(data, size), &row)) {
        outbox_row_encode(&row, &b);
        CHECK(!(b.failed || !outbox_row_decode(buf_view(&b), &back)));
        BUG_ON(!str_eq(row.key, back.key) || !str_eq(row.bucket, back.bucket) ||
               !str_eq(row.record, back.record));
    }
    (void)outbox_row_decode(str_n(data, size), &back);
    buf_release(&b);
    arena_release(&a);
    return 0;
}
