/* SPDX-License-Identifier: Apache-2.0
 *
 * belfry check: uploads, their parts, and extents rows. */
#include "store/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/upload_rows.h"

/* An upload that is over, whose rows are on their way out. */
struct check_over {
    struct row_key row;
    struct part_set used;
};

void check_see_garbage_upload(struct check *c, struct str value)
{
    struct upload_garbage g;
    struct part_set used;

    if (!upload_garbage_decode(value, &g, &used)) {
        check_finding(c, "a row of garbage of an upload is damaged");
        return;
    }
    c->over = x_realloc(c->over, (c->n_over + 1) * sizeof *c->over);
    struct check_over *o = &c->over[c->n_over++];
    row_key_upload(&o->row, g.bucket, g.key, g.id);
    o->used = used;
}

/* What it names goes with it, a little at a time: some of it may be gone already. */
void check_see_garbage_extents(struct check *c, uint64_t id)
{
    struct arena a;
    struct object x;
    struct err e = {0};

    arena_init(&a);
    id_list_add(&c->pending_rows, id);
    enum store_result r = store_extents_get(c->kv, id, &a, &x, &e);
    if (r != STORE_OK)
        check_finding(c, "garbage: %s", e.text);
    for (size_t i = 0; r == STORE_OK && i < x.n_extents; i++)
        id_list_add(x.extents[i].kind == EXTENT_INLINE ? &c->pending_bodies : &c->pending, x.extents[i].id);
    arena_release(&a);
}

static int by_row(const void *a, const void *b)
{
    const struct check_over *x = a, *y = b;
    return str_cmp(str_n(x->row.p, x->row.n), str_n(y->row.p, y->row.n));
}

void check_sort_over(struct check *c)
{
    if (c->n_over)
        qsort(c->over, c->n_over, sizeof *c->over, by_row);
}

static const struct check_over *find_over(const struct check *c, struct str row)
{
    size_t low = 0, high = c->n_over;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct row_key *k = &c->over[mid].row;
        int d = str_cmp(str_n(k->p, k->n), row);
        if (d == 0)
            return &c->over[mid];
        if (d < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static void see_part(struct check *c, const struct check_bucket *b, struct str row, struct str key,
                     uint32_t part, struct str value)
{
    struct str upload = str_head(row, row.n - 4);
    const struct check_over *over = find_over(c, upload);
    struct object o;
    char what[32];

    if (over && part_set_has(&over->used, part))
        return; /* its bytes are the object's */
    bool open = c->upload && str_eq(str_n(c->upload, c->upload_n), upload);
    if (!over && !open && b->name)
        check_finding(c, "part %" PRIu32 " of %s/%.*s belongs to an upload that does not exist", part,
                      b->name, STR_FMT(key));
    snprintf(what, sizeof what, "part %" PRIu32 " of", part);
    /* Of an upload that is over its bytes may be gone already: the janitor's rows are not synced, its removals of files are. */
    static const struct check_bucket gone;
    if (object_decode(value, &c->arena, &o))
        check_body(c, over ? &gone : b, what, key, &o);
    else
        check_finding(c, "%s %s/%.*s: its row is damaged", what, b->name ? b->name : "(deleted)",
                      STR_FMT(key));
    arena_release(&c->arena);
}

void check_see_upload(struct check *c, struct str row, struct str value)
{
    struct str key, id;
    uint64_t bucket;
    uint32_t part;
    struct store_upload u;

    check_progress(c);
    if (!row_upload(row, &bucket, &key, &id, &part)) {
        check_rows_finding(c, "a row of an upload has a key that means nothing");
        return;
    }
    const struct check_bucket *b = check_bucket_of(c, bucket);
    if (!b)
        b = check_add_orphan(c, bucket);
    if (b->orphan)
        check_rows_finding(c, "an upload of %.*s belongs to bucket %016" PRIx64 ", which does not exist",
                           STR_FMT(key), bucket);
    if (part) {
        see_part(c, b, row, key, part, value);
        return;
    }
    free(c->upload);
    c->upload = str_dupz(row);
    c->upload_n = row.n;
    if (!upload_row_decode(value, &c->arena, &u))
        check_finding(c, "upload of %s/%.*s: its row is damaged", b->name ? b->name : "(deleted)",
                      STR_FMT(key));
    arena_release(&c->arena);
}

void check_see_extents_row(struct check *c, struct str key, struct str value)
{
    uint64_t id;

    (void)value;
    if (!row_id(key, 1, &id))
        check_finding(c, "an extents row has a key that means nothing");
    else if (!check_has_id(&c->extents_rows, id) && !check_has_id(&c->pending_rows, id) &&
             !check_has_id(&c->writing, id))
        check_finding(c, "extents row %016" PRIx64 " belongs to nothing: leaked", id);
}

void check_release_uploads(struct check *c)
{
    free(c->pending_bodies.v);
    free(c->extents_rows.v);
    free(c->pending_rows.v);
    free(c->over);
    free(c->upload);
}
