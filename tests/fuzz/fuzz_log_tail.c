/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzing: batches in a log, and the tags of a MANIFEST: any bytes end, and what is taken lies within them. */
#include "fuzz.h"
#include "kv/tail.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_n(data, size);
    struct tail_batch b;
    size_t at = 0;
    for (size_t before = 0; tail_next(in, &at, &b) == TAIL_BATCH; before = at)
        CHECK(at > before && at <= size);
    uint64_t wanted = 0, oldest_log = 0;
    (void)tail_proves(in, at, &wanted, &oldest_log);
    struct tail_manifest m;
    tail_read_manifest(in, &m);
    CHECK(m.end <= size && m.whole == (m.end == size));
    return 0;
}
