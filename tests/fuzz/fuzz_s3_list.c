/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzing: the query of a listing: markers, tokens, numbers. First byte: which kind. */
#include "base/encode.h"
#include "fuzz.h"
#include "s3/list_params.h"

static void check(struct arena *a, const struct list_params *l)
{
    (void)a;
    CHECK(l->q.max <= (l->metadata ? KEYS_MAX_META : KEYS_MAX));
    CHECK(l->kind == LIST_VERSIONS || !l->version_marker.n);
    if (l->kind != LIST_V2) {
        CHECK(str_eq(l->q.after, l->marker));
        return;
    }
    if (!l->has_token || !l->token.n) {
        CHECK(str_eq(l->q.after, l->start_after));
        return;
    }
    struct buf b; /* a token that is taken is the only one for its place */
    buf_init(&b, l->token.n);
    base64_encode(&b, l->q.after);
    CHECK(str_eq(buf_view(&b), l->token));
    buf_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct arena a;
    struct headers query;
    struct list_params l = {.kind = (enum list_kind)(data[0] % 3)};
    arena_init(&a);
    if (query_parse(&a, str_n(data + 1, size - 1), 64, &query)) {
        const char *wrong = list_params(&a, &query, &l);
        if (!wrong)
            check(&a, &l);
    }
    arena_release(&a);
    return 0;
}
