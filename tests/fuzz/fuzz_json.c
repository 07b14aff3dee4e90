/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzing: JSON strings: whatever comes in, the result is one valid JSON string of UTF-8. */
#include <jansson.h>

#include "base/json.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_n(data, size);
    struct buf b;
    json_error_t error;
    buf_init(&b, size * 6 + 2);
    json_quote(&b, in);
    CHECK(!b.failed);
    json_t *j = json_loadb(b.p, b.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    CHECK(j && json_is_string(j));
    if (str_utf8_valid(in))
        CHECK(str_eq(str_n(json_string_value(j), json_string_length(j)), in));
    json_decref(j);
    buf_release(&b);
    return 0;
}
