/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as the row of an object: what decodes must survive being written and read again. */
#include <string.h>

#include "base/err.h"
#include "store/object.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct object first, second;
    struct buf one, two;
    struct arena a;

    arena_init(&a);
    buf_init(&one, 16 * size + 4096);
    buf_init(&two, 16 * size + 4096);
    if (object_decode(str_n(data, size), &a, &first)) {
        object_encode(&first, &one);
        BUG_ON(one.failed || !object_decode(buf_view(&one), &a, &second));
        object_encode(&second, &two);
        BUG_ON(!str_eq(buf_view(&one), buf_view(&two)));
    }
    buf_release(&one);
    buf_release(&two);
    arena_release(&a);
    return 0;
}
