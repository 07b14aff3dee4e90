/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzing: query strings and percent escapes: what decodes comes back from encoding and decoding again. */
#include "base/encode.h"
#include "base/header.h"
#include "fuzz.h"

static void round_trip(struct str text, enum pct_set set)
{
    struct buf encoded, decoded;
    buf_init(&encoded, text.n * 3);
    buf_init(&decoded, text.n * 3);
    pct_encode(&encoded, text, set);
    CHECK(!encoded.failed && pct_decode(&decoded, buf_view(&encoded), set == PCT_FORM));
    CHECK(str_eq(buf_view(&decoded), text));
    buf_release(&encoded);
    buf_release(&decoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_n(data, size), value;
    struct headers q;
    struct arena a;
    struct buf b;
    arena_init(&a);
    buf_init(&b, size);
    if (query_parse(&a, in, 64, &q)) {
        CHECK(q.n <= 64);
        for (size_t i = 0; i < q.n; i++)
            CHECK(query_get(&q, q.v[i].name, &value) && q.v[i].value.p);
    }
    if (pct_decode(&b, in, false)) {
        CHECK(pct_decode_arena(&a, in, false, &value) && str_eq(value, buf_view(&b)));
        round_trip(value, PCT_PATH);
        round_trip(value, PCT_QUERY);
        round_trip(value, PCT_FORM);
    }
    buf_release(&b);
    arena_release(&a);
    return 0;
}
