/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzing: multipart/form-data. First byte: size of the pieces; then the Content-Type up to a line feed, then the body; whole
 * and in pieces must agree. */
#include "fuzz.h"
#include "s3/form.h"

struct taken {
    struct buf file;
    unsigned files;
};

static bool file(void *ctx)
{
    ((struct taken *)ctx)->files++;
    return true;
}

static void data(void *ctx, struct str piece)
{
    CHECK(((struct taken *)ctx)->files == 1 && piece.n);
    buf_str(&((struct taken *)ctx)->file, piece);
}

static enum form_result decode(struct arena *a, struct str boundary, struct str in, size_t piece,
                               struct taken *t, struct form **out)
{
    const struct form_taker taker = {file, data, t};
    enum form_result r = FORM_MORE;
    struct form *f = *out = form_new(a, boundary);
    for (; in.n; in = str_from(in, piece))
        r = form_feed(f, str_head(in, piece), &taker);
    form_release(f);
    return r;
}

static void check_same(const struct form *a, const struct form *b)
{
    const struct headers *x = form_fields(a), *y = form_fields(b);
    CHECK(x->n == y->n && str_eq(form_filename(a), form_filename(b)));
    for (size_t i = 0; i < x->n; i++)
        CHECK(str_eq(x->v[i].name, y->v[i].name) && str_eq(x->v[i].value, y->v[i].value));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size < 2)
        return 0;
    struct str in = str_n(bytes + 1, size - 1), type, boundary;
    if (!str_cut(&in, '\n', &type) || !form_boundary(type, &boundary) || !in.p)
        return 0;
    struct arena a;
    struct taken whole = {0}, pieces = {0};
    struct form *f, *g;
    arena_init(&a);
    buf_init(&whole.file, size);
    buf_init(&pieces.file, size);
    enum form_result r = decode(&a, boundary, in, in.n ? in.n : 1, &whole, &f);
    CHECK(r == decode(&a, boundary, in, (bytes[0] & 15) + 1u, &pieces, &g));
    CHECK(!whole.file.failed && str_eq(buf_view(&whole.file), buf_view(&pieces.file)));
    CHECK(r != FORM_DONE || whole.files == 1);
    check_same(f, g);
    buf_release(&whole.file);
    buf_release(&pieces.file);
    arena_release(&a);
    return 0;
}
