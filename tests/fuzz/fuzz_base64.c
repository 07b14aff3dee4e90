/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzing: base64 and hex: a text that is accepted is the only one for its bytes. */
#include "base/encode.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_n(data, size);
    uint8_t *out = malloc(size + 1);
    size_t n;
    struct buf b;
    CHECK(out);
    buf_init(&b, size * 2 + 4);
    if (base64_decode(in, out, size, &n)) {
        base64_encode(&b, str_n(out, n));
        CHECK(str_eq(buf_view(&b), in));
    }
    buf_reset(&b);
    base64_encode(&b, in);
    CHECK(base64_decode(buf_view(&b), out, size, &n) && str_eq(str_n(out, n), in));
    (void)hex_decode(in, out, size / 2);
    buf_release(&b);
    free(out);
    return 0;
}
