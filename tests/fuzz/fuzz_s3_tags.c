/* SPDX-License-Identifier: Apache-2.0
 *
 * Tags as a header and as a document: what is taken keeps the bounds, and is read again as the same. */
#include "fuzz.h"

#include "base/arena.h"
#include "s3/tags.h"

static void check(struct arena *a, struct str stored)
{
    struct str again;
    struct buf b;
    CHECK(stored.n <= TAGS_BYTES_MAX && tags_count(stored) <= TAGS_MAX);
    CHECK(tags_from_header(a, stored, &again) == S3E_NONE && str_eq(stored, again));
    buf_init(&b, 1u << 20);
    tags_to_xml(a, stored, &b);
    CHECK(!b.failed && tags_from_xml(a, buf_view(&b), &again) == S3E_NONE && str_eq(stored, again));
    buf_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct str stored;
    arena_init(&a);
    if (tags_from_header(&a, str_n(data, size), &stored) == S3E_NONE)
        check(&a, stored);
    if (tags_from_xml(&a, str_n(data, size), &stored) == S3E_NONE)
        check(&a, stored);
    arena_release(&a);
    return 0;
}
