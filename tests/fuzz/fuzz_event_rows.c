/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzing: any bytes as keys and values of the rows of delivery and of the history. */
#include "event/listen_impl.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct listen l;
    struct str in = str_n(data, size);
    struct outbox_row row;
    struct row_key k;
    uint64_t seq, count;
    bool kept;
    (void)outbox_key_seq(in, &seq);
    if (listen_key_seq(in, &seq)) {
        k = listen_key(seq);
        CHECK(str_eq(row_key_str(&k), in));
    }
    if (listen_row_decode(in, &count, &row))
        CHECK(row.record.n <= size && row.key.n <= size && row.bucket.n <= size && row.name.n <= size);
    memset(&l, 0, sizeof l);
    if (listen_decode_state(in, &l, &kept))
        CHECK(l.n_marks >= 1 && l.n_marks <= MARKS);
    return 0;
}
