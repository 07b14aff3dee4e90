/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzing: a block of a log, as a damaged disk gives it. */
#include "fuzz.h"
#include "kv/wal.h"
#include "kv/wal_record.h"

static void count_row(void *ctx, const struct wal_row *row)
{
    CHECK(row->space < KV_SPACES && row->kind <= KV_OP_DEL_RANGE);
    ++*(size_t *)ctx;
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
    return 0;
}
