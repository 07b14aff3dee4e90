/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzing: lines of input: the origins that are allowed, an Origin. What is echoed is one line, and only of an allowed one. */
#include "fuzz.h"
#include "s3/cors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str origin = str_n(data, size), list;
    if (!str_cut(&origin, '\n', &list) || !origin.p)
        return 0;
    struct header h = {STR("Origin"), origin};
    struct headers request = {&h, 1};
    struct buf out;
    size_t lines = 0;
    buf_init(&out, 1u << 16);
    cors_headers(list, &request, &out);
    CHECK(!out.failed && (!out.len || cors_allowed(list, origin)));
    for (size_t i = 0; i < out.len; i++)
        lines += out.p[i] == '\n' || out.p[i] == '\r';
    CHECK(lines == (out.len ? 6 : 0));
    buf_release(&out);
    return 0;
}
