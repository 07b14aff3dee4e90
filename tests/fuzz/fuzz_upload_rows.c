/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as the rows of an upload: its own, its garbage, an extents row, a key. What decodes must survive being written and
 * read again. */
#include "store/upload_rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void upload(struct arena *a, struct str row, struct buf *b)
{
    struct store_upload u;
    if (!upload_row_decode(row, a, &u))
        return;
    upload_row_encode(&u, b);
    BUG_ON(b->failed || !upload_row_decode(buf_view(b), a, &u));
}

static void garbage(struct str row, struct buf *b)
{
    struct upload_garbage g;
    struct part_set used;
    if (!upload_garbage_decode(row, &g, &used))
        return;
    upload_garbage_encode(&g, b);
    BUG_ON(b->failed || !upload_garbage_decode(buf_view(b), &g, &used));
}

static void extents(struct arena *a, struct str row, struct buf *b)
{
    struct object o;
    if (!object_extents_decode(row, a, &o))
        return;
    object_extents_encode(&o, b);
    BUG_ON(b->failed || !object_extents_decode(buf_view(b), a, &o));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str row = str_n(data, size), key, id;
    uint64_t bucket;
    uint32_t part;
    struct arena a;
    struct buf b;

    arena_init(&a);
    buf_init(&b, 16 * size + 4096);
    upload(&a, row, &b);
    buf_reset(&b);
    garbage(row, &b);
    buf_reset(&b);
    extents(&a, row, &b);
    if (row_upload(row, &bucket, &key, &id, &part))
        BUG_ON(!key.n || id.n != UPLOAD_ID_LEN);
    buf_release(&b);
    arena_release(&a);
    return 0;
}
