/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzing: a query string as a presigned URL. */
#include "auth/auth.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct header v[] = {{STR("Host"), STR("examplebucket.s3.amazonaws.com")}};
    struct headers h = {v, 1};
    struct auth_config c = {STR("AKIAIOSFODNN7EXAMPLE"), STR("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
                            STR("")};
    struct auth_request r = {.method = STR("GET"),
                             .path = STR("/test.txt"),
                             .query = str_n(data, size),
                             .headers = &h,
                             .now_ns = INT64_C(1369353600000000000)};
    struct auth_identity id;
    struct auth_payload p;
    struct arena a;
    struct buf once, twice;
    struct auth *auth = auth_new(&c);
    arena_init(&a);
    enum auth_result result = auth_verify(auth, &r, &a, &id, &p);
    CHECK(result == AUTH_OK || id.anonymous);
    /* A canonical query is its own canonical form, but for a signature that only now is one. */
    buf_init(&once, 1 << 20);
    buf_init(&twice, 1 << 20);
    if (auth_canon_query(&once, r.query, &a) && !once.failed) {
        CHECK(auth_canon_query(&twice, buf_view(&once), &a));
        CHECK(str_eq(buf_view(&once), buf_view(&twice)));
    }
    buf_release(&once);
    buf_release(&twice);
    arena_release(&a);
    auth_free(auth);
    return 0;
}
