/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzing: SigV2 in header and query. First line: method, path, query and the host's bucket with a blank between each; then
 * header lines. */
#include "auth/auth_impl.h"
#include "fuzz.h"

#define HEADERS_MAX 100

static void check(const struct auth_request *r, struct auth *auth, struct arena *a)
{
    struct auth_identity id;
    struct auth_payload p;
    struct buf text;
    enum auth_result result = auth_verify(auth, r, a, &id, &p);
    CHECK(result == AUTH_OK || id.anonymous);
    buf_init(&text, 1 << 20);
    if (sigv2_string_to_sign(&text, r, STR("1"), a))
        CHECK(text.len >= r->method.n + r->path.n && str_starts(buf_view(&text), r->method));
    buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_n(data, size), line = {0}, part[4] = {STR(""), STR(""), STR(""), STR("")};
    struct header v[HEADERS_MAX];
    struct headers h = {.v = v};
    (void)str_cut(&rest, '\n', &line);
    for (size_t i = 0; i < 4; i++)
        (void)str_cut(&line, ' ', &part[i]);
    while (h.n < HEADERS_MAX && str_cut(&rest, '\n', &line)) {
        ptrdiff_t colon = str_chr(line, ':');
        if (colon > 0)
            v[h.n++] =
                (struct header){str_head(line, (size_t)colon), str_trim(str_from(line, (size_t)colon + 1))};
    }
    struct auth_config c = {STR("AKIAIOSFODNN7EXAMPLE"), STR("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
                            STR("")};
    struct auth_request r = {.method = part[0],
                             .path = part[1],
                             .query = part[2],
                             .host_bucket = part[3],
                             .headers = &h,
                             .now_ns = INT64_C(1175024202000000000)};
    struct arena a;
    struct auth *auth = auth_new(&c);
    arena_init(&a);
    check(&r, auth, &a);
    arena_release(&a);
    auth_free(auth);
    return 0;
}
