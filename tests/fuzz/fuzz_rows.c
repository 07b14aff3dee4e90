/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzing: any bytes as keys and values of the store's rows that no other target has: buckets, garbage, counters. */
#include "fuzz.h"
#include "kv/commit.h"
#include "store/store_internal.h"

static void bucket(struct str in)
{
    struct bucket_row row, again;
    struct buf b;
    if (!bucket_row_decode(in, &row))
        return;
    buf_init(&b, in.n + 256);
    bucket_row_encode(&row, &b);
    CHECK(!b.failed && bucket_row_decode(buf_view(&b), &again));
    CHECK(again.id == row.id && again.created_ns == row.created_ns);
    CHECK(again.rules_version == row.rules_version && str_eq(again.region, row.region));
    buf_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_n(data, size);
    int64_t counters[KV_COUNTERS];
    struct row_key k;
    uint64_t seq, id;
    char what;
    bucket(in);
    if (row_garbage(in, &what, &seq, &id))
        CHECK(str_eq(row_key_garbage(&k, what, seq, id), in));
    if (row_id(in, 1, &id))
        CHECK(str_eq(row_key_id(&k, in.p[0], id), in));
    CHECK(counter_decode(in, counters) == (size == 8 * KV_COUNTERS));
    struct buf b;
    buf_init(&b, size);
    buf_str(&b, in);
    if (row_successor(&b))
        CHECK(b.len > 0 && str_cmp(buf_view(&b), in) > 0);
    buf_release(&b);
    return 0;
}
