/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines of input: a range (of a GET and of a copy), and lists of ETags and dates of conditional requests. A range that is accepted lies within the
 * object. */
#include "s3/meta.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t sizes[] = {0, 1, 5, 1ull << 20, UINT64_MAX / 2};
    static const char *const names[] = {"if-match", "if-none-match", "if-modified-since",
                                        "if-unmodified-since"};
    struct str rest = str_n(data, size), part;
    struct header v[5];
    struct http_req http = {.headers = {v, 0}};
    struct s3_req r = {.http = &http};
    struct object o = {.size = 5, .mtime_ns = 1369353600000000000ll};
    if (!str_cut(&rest, '\n', &part))
        return 0;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint64_t first, length;
        if (range_parse(part, sizes[i], &first, &length) == RANGE_OK)
            BUG_ON(length == 0 || first >= sizes[i] || length > sizes[i] - first);
        if (copy_range_parse(part, sizes[i], &first, &length) == S3E_NONE && part.p)
            BUG_ON(length == 0 || first >= sizes[i] || length > sizes[i] - first);
    }
    for (size_t i = 0; i < 4 && rest.p && str_cut(&rest, '\n', &part); i++)
        v[http.headers.n++] = (struct header){str_c(names[i]), part};
    (void)condition_check(&r, &conditions_read, &o);
    (void)condition_write(&r, &o);
    return 0;
}
