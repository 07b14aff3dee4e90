/* SPDX-License-Identifier: Apache-2.0
 *
 * The document of CompleteMultipartUpload: what is taken is in order and within limits. */
#include "s3/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct complete_part *parts;
    size_t n;
    arena_init(&a);
    if (complete_parse(&a, str_n(data, size), &parts, &n) == S3E_NONE) {
        BUG_ON(n == 0 || n > OBJECT_PARTS);
        for (size_t i = 0; i < n; i++) {
            BUG_ON(parts[i].number < 1 || parts[i].number > OBJECT_PARTS);
            BUG_ON(i && parts[i].number <= parts[i - 1].number);
            BUG_ON(parts[i].checksum >= CHECKSUM_KINDS);
        }
    }
    arena_release(&a);
    return 0;
}
