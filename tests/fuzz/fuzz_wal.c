/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzing: a block of a log, and a file of bodies, as a damaged disk gives them. */
#include "fuzz.h"
#include "kv/rescue.h"
#include "kv/wal.h"
#include "kv/wal_record.h"

static void count_row(void *ctx, const struct wal_row *row)
{
    CHECK(row->space < KV_SPACES && row->kind <= KV_OP_DEL_RANGE);
    ++*(size_t *)ctx;
}

static void see_batch(void *ctx, struct str batch)
{
    (void)wal_batch_rows(batch, count_row, ctx);
}

static void see_body(void *ctx, struct str key, struct str value)
{
    for (size_t i = 0; i < key.n + value.n; i++) /* ASan looks whether all of it is there */
        *(size_t *)ctx += (unsigned char)key.p[i];
}

/* Two blocks, so that batches go on in the next. */
static void walk(const uint8_t *data, size_t size, size_t *rows)
{
    struct wal_walk w;
    size_t half = size / 2;
    char *bytes = x_malloc(size + 1);
    if (size > 0)
        memcpy(bytes, data, size);
    wal_walk_init(&w, see_batch, rows);
    wal_walk_block(&w, bytes, half, 0);
    wal_walk_block(&w, bytes + half, size - half, 0);
    wal_walk_release(&w);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str block = str_n(data, size < WAL_BLOCK ? size : WAL_BLOCK);
    struct wal_record r;
    size_t at = 0, rows = 0, bit;

    while (at < block.n) {
        enum wal_state state = wal_record(block, at, &r);
        if (state == WAL_SOUND) {
            (void)wal_batch_rows(r.data, count_row, &rows);
            at += WAL_HEADER + r.data.n;
            continue;
        }
        if (wal_wrong_bit(block, at, &bit))
            CHECK(bit >= at * 8 && bit < block.n * 8);
        if (!wal_next_sound(block, at + 1, &at))
            break;
    }
    (void)wal_batch_rows(str_n(data, size), count_row, &rows);
    walk(data, size < WAL_BLOCK ? size : WAL_BLOCK, &rows);
    kv_rescue_bodies_in(str_n(data, size), false, see_body, &rows);
    kv_rescue_bodies_in(str_n(data, size), true, see_body, &rows);
    return 0;
}
