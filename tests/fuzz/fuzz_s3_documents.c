/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzing: the documents of CreateBucket and PutBucketAcl. */
#include "fuzz.h"
#include "s3/documents.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_n(data, size), where;
    struct arena a;
    arena_init(&a);
    enum s3_error e = location_from_xml(&a, in, &where);
    CHECK(e == S3E_NONE || e == S3E_MALFORMED_XML);
    CHECK(e != S3E_NONE || (str_utf8_valid(where) && where.n <= size));
    e = acl_from_xml(&a, in);
    CHECK(e == S3E_NONE || e == S3E_MALFORMED_XML || e == S3E_NOT_IMPLEMENTED);
    arena_release(&a);
    return 0;
}
