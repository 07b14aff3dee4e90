/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzing: a whole head with an Authorization header. First line: method, path and query with a blank between
 * each; then header lines. */
#include "auth/auth.h"
#include "fuzz.h"

#define HEADERS_MAX 100

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_n(data, size), line = {0}, method = STR(""), path = STR(""), query = STR("");
    struct header v[HEADERS_MAX];
    struct headers h = {.v = v};
    (void)str_cut(&rest, '\n', &line);
    (void)str_cut(&line, ' ', &method);
    (void)str_cut(&line, ' ', &path);
    (void)str_cut(&line, ' ', &query);
    while (h.n < HEADERS_MAX && str_cut(&rest, '\n', &line)) {
        ptrdiff_t colon = str_chr(line, ':');
        if (colon > 0)
            v[h.n++] =
                (struct header){str_head(line, (size_t)colon), str_trim(str_from(line, (size_t)colon + 1))};
    }
    struct auth_config c = {STR("AKIAIOSFODNN7EXAMPLE"), STR("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
                            STR("")};
    struct auth_request r = {.method = method,
                             .path = path,
                             .query = query,
                             .headers = &h,
                             .now_ns = INT64_C(1369353600000000000)};
    struct auth_identity id;
    struct auth_payload p;
    struct arena a;
    struct auth *auth = auth_new(&c);
    arena_init(&a);
    enum auth_result result = auth_verify(auth, &r, &a, &id, &p);
    CHECK(result == AUTH_OK || id.anonymous);
    arena_release(&a);
    auth_free(auth);
    return 0;
}
