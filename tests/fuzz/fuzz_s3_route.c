/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines of input: path, host, query, copy source. Names that come out must keep the rules of names. */
#include "s3/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_n(data, size), part[4] = {{0}};
    for (size_t i = 0; i < 4 && rest.p && str_cut(&rest, '\n', &part[i]); i++)
        ;
    struct arena a;
    struct str bucket, key;
    struct headers query, none = {0};
    enum s3_scope scope = SCOPE_ROOT;
    arena_init(&a);
    if (route_path(&a, part[0], part[1], STR("s3.test,other.test"), &scope, &bucket, &key) == S3E_NONE) {
        BUG_ON(scope == SCOPE_OBJECT && !key.n);
        BUG_ON(key.n && key_check(key) == S3E_NONE && has_dot_segment(key));
        if (query_parse(&a, part[2], 64, &query))
            (void)route_op(STR("GET"), scope, &query, &none);
        (void)bucket_name_valid(bucket);
    }
    if (copy_source_parse(&a, part[3], &bucket, &key) == S3E_NONE)
        BUG_ON(!bucket.n || key_check(key) != S3E_NONE);
    arena_release(&a);
    return 0;
}
