/* SPDX-License-Identifier: Apache-2.0
 *
 * Chunked bodies: any bytes, whole and byte by byte. Both ways must give the same data and the same end. */
#include "fuzz.h"

#include "base/err.h"
#include "http/parse.h"

struct result {
    uint64_t sum;
    size_t used, data;
    bool bad, done;
};

static struct result run(const char *p, size_t n, size_t step)
{
    struct http_chunk c = {0};
    struct result r = {0};
    while (r.used < n && !http_chunk_done(&c)) {
        struct str d;
        size_t k = n - r.used < step ? n - r.used : step;
        ptrdiff_t used = http_chunk_feed(&c, p + r.used, k, &d);
        if (used < 0) {
            r.bad = true;
            break;
        }
        CHECK(used > 0 && (size_t)used <= k && d.p >= p + r.used && d.p + d.n <= p + r.used + k);
        for (size_t i = 0; i < d.n; i++)
            r.sum = r.sum * 31 + (uint8_t)d.p[i];
        r.data += d.n;
        r.used += (size_t)used;
    }
    r.done = http_chunk_done(&c);
    CHECK(c.extensions <= HTTP_CHUNK_EXT_MAX + 1 && c.trailers <= HTTP_CHUNK_TRAILER_MAX + 1);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = x_malloc(size ? size : 1);
    if (size)
        memcpy(copy, data, size);
    struct result a = run(copy, size, size + 1), b = run(copy, size, 1);
    CHECK(a.bad == b.bad && a.done == b.done);
    CHECK(a.bad || (a.sum == b.sum && a.data == b.data && a.used == b.used));
    free(copy);
    return 0;
}
