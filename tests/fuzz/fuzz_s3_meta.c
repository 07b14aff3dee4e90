/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzing: metadata, from header lines of a request (up to an empty line, then the query) to the object's row and back into the
 * lines of a reply: none of it may begin a line that is not one of ours. */
#include "fuzz.h"
#include "s3/meta.h"
#include "store/object.h"

#define HEADERS_MAX 64

static void check_lines(struct str out)
{
    struct str line;
    while (out.n) {
        CHECK(str_cut(&out, '\n', &line));
        CHECK(line.n > 1 && line.p[line.n - 1] == '\r');
        line.n--;
        ptrdiff_t colon = str_chr(line, ':');
        CHECK(colon > 0 && str_chr(line, '\r') < 0 && str_chr(line, 0) < 0);
        CHECK(str_chr(str_head(line, (size_t)colon), ' ') < 0);
    }
}

static void reply(struct s3_req *r, const struct object *o)
{
    struct buf out;
    buf_init(&out, 1u << 20);
    meta_to_headers(r, o, true, &out);
    CHECK(!out.failed);
    check_lines(buf_view(&out));
    buf_reset(&out);
    meta_validators(o, &out);
    check_lines(buf_view(&out));
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_n(data, size), line;
    struct header v[HEADERS_MAX];
    struct http_req http = {.headers = {.v = v}};
    struct arena a;
    arena_init(&a);
    struct s3_req r = {.http = &http, .arena = &a};
    while (rest.p && str_cut(&rest, '\n', &line) && line.n) {
        ptrdiff_t colon = str_chr(line, ':');
        if (colon > 0 && http.headers.n < HEADERS_MAX)
            v[http.headers.n++] =
                (struct header){str_head(line, (size_t)colon), str_trim(str_from(line, (size_t)colon + 1))};
    }
    struct object o = {.seq = 1, .mtime_ns = INT64_C(1369353600000000000)}, again;
    if (query_parse(&a, rest.p ? rest : STR(""), 64, &r.query) && meta_from_request(&r, &o) == S3E_NONE) {
        struct buf row;
        buf_init(&row, 1u << 20);
        object_encode(&o, &row);
        CHECK(!row.failed && object_decode(buf_view(&row), &a, &again));
        CHECK(again.meta.n == o.meta.n && str_eq(again.tags, o.tags));
        reply(&r, &again);
        buf_release(&row);
    }
    arena_release(&a);
    return 0;
}
