/* SPDX-License-Identifier: Apache-2.0
 *
 * The document of DeleteObjects: a key without an error of its own keeps the rules of keys. */
#include "s3/deletes.h"
#include "s3/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct delete_entry *entries;
    size_t n;
    bool quiet;
    arena_init(&a);
    if (deletes_parse(&a, str_n(data, size), &entries, &n, &quiet)) {
        BUG_ON(n == 0 || n > DELETES_MAX);
        for (size_t i = 0; i < n; i++)
            BUG_ON(entries[i].error == S3E_NONE && key_check(entries[i].key) != S3E_NONE);
    }
    arena_release(&a);
    return 0;
}
