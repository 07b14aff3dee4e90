/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzing: batches in a log, and the tags of a MANIFEST: any bytes end, and what is taken lies within them. */
#include "fuzz.h"
#include "kv/tail.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_n(data, size);
    struct tail_batch b;
    size_t at = 0, bad;
    for (size_t before = 0; tail_next(in, &at, &bad, &b) == TAIL_BATCH; before = at)
        CHECK(at > before && at <= size);
    CHECK(bad >= at && bad <= size);
    struct tail_walk w = {.most = 1};
    at = 0;
    if (!tail_follow(in, &w, &at, &bad)) {
        CHECK(at <= bad && bad <= size);
        (void)tail_proves(in, at, size, &w);
    }
    struct tail_manifest m;
    tail_read_manifest(in, &m);
    CHECK(m.end <= size && m.whole == (m.end == size));
    return 0;
}
