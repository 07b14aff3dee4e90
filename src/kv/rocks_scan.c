/* SPDX-License-Identifier: Apache-2.0
 *
 * Scans of rows in RocksDB, and the verification that is one long scan. */
#include <stdlib.h>

#include "base/encode.h"
#include "kv/rocks.h"

struct rocks_scan {
    struct kv_scan base;
    rocksdb_iterator_t *it;
    rocksdb_readoptions_t *read;
    bool placed;       /* `it` stands on the row to give next */
    char *first, *end; /* the options point at `end` */
    size_t first_n;
};

/* --- scans
 * -------------------------------------------------------------------------------------------------------- */

static char *copy(struct str s)
{
    char *p = x_malloc(s.n + 1); /* never NULL: RocksDB takes NULL for "no bound" */
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    return p;
}

/* RocksDB reads ahead by itself once a scan turns out to be sequential: a short listing does not pay for it.
 */
static struct rocks_scan *scan_new(struct rocks *r, enum kv_space space, struct str first, struct str end,
                                   bool verify)
{
    struct rocks_scan *s = x_calloc(1, sizeof(*s));
    s->base.backend = &rocks_backend;
    s->first = copy(first);
    s->first_n = first.n;
    s->end = copy(end);
    s->read = rocksdb_readoptions_create();
    rocksdb_readoptions_set_verify_checksums(s->read, ROCKS_VERIFY);
    rocksdb_readoptions_set_total_order_seek(s->read, 1);
    rocksdb_readoptions_set_background_purge_on_iterator_cleanup(s->read, 1);
    rocksdb_readoptions_set_fill_cache(s->read, !verify);
    if (verify)
        rocksdb_readoptions_set_readahead_size(s->read, 1 << 20);
    else
        rocksdb_readoptions_set_iterate_upper_bound(s->read, s->end, end.n);
    s->it = rocksdb_create_iterator_cf(r->db, s->read, r->spaces[space]);
    rocksdb_iter_seek(s->it, s->first, s->first_n);
    s->placed = true;
    return s;
}

struct kv_scan *rocks_scan_open(void *self, enum kv_space space, struct str first, struct str end)
{
    return &scan_new(self, space, first, end, false)->base;
}

bool rocks_scan_next(struct kv_scan *base, struct str *key, struct str *value)
{
    struct rocks_scan *s = CONTAINER_OF(base, struct rocks_scan, base);
    if (!s->placed && rocksdb_iter_valid(s->it))
        rocksdb_iter_next(s->it);
    s->placed = false;
    if (!rocksdb_iter_valid(s->it))
        return false;
    key->p = rocksdb_iter_key(s->it, &key->n);
    value->p = rocksdb_iter_value(s->it, &value->n);
    return true;
}

void rocks_scan_seek(struct kv_scan *base, struct str key)
{
    struct rocks_scan *s = CONTAINER_OF(base, struct rocks_scan, base);
    if (str_cmp(key, str_n(s->first, s->first_n)) < 0)
        key = str_n(s->first, s->first_n);
    rocksdb_iter_seek(s->it, key.p, key.n);
    s->placed = true;
}

bool rocks_scan_failed(struct kv_scan *base, struct err *e)
{
    struct rocks_scan *s = CONTAINER_OF(base, struct rocks_scan, base);
    char *error = NULL;
    rocksdb_iter_get_error(s->it, &error);
    if (error)
        rocks_error(error, e, "reading rows");
    return error != NULL;
}

void rocks_scan_close(struct kv_scan *base)
{
    struct rocks_scan *s = CONTAINER_OF(base, struct rocks_scan, base);
    rocksdb_iter_destroy(s->it);
    rocksdb_readoptions_destroy(s->read);
    free(s->first);
    free(s->end);
    free(s);
}

/* --- verifying
 * ---------------------------------------------------------------------------------------------------- */

struct findings {
    void (*bad)(void *ctx, const char *what);
    void *ctx;
    char last[sizeof(((struct err *)0)->text)]; /* the same place is met through several files */
    bool any;
};

static void found(struct findings *f, const struct err *e)
{
    if (f->any && strcmp(f->last, e->text) == 0)
        return;
    f->any = true;
    memcpy(f->last, e->text, sizeof(f->last));
    f->bad(f->ctx, e->text);
}

/* Reads the rows from `first` up to and with `last` (all when last.p is NULL); false at the first damage. Not every
 * error of RocksDB says where it is, so the row before it is named too. */
static bool read_all(struct rocks *r, enum kv_space space, struct str first, struct str last, struct err *e)
{
    struct rocks_scan *s = scan_new(r, space, first, (struct str){0}, true);
    struct str key, value;
    char before[2 * 64 + 1] = "";
    while (rocks_scan_next(&s->base, &key, &value) && (!last.p || str_cmp(key, last) <= 0)) {
        size_t n = key.n < 64 ? key.n : 64;
        hex_lower(key.p, n, before);
        before[2 * n] = 0;
    }
    struct err why;
    bool bad = rocks_scan_failed(&s->base, &why);
    if (bad)
        err_set(e, "%s, behind the row %s: %s", rocks_space_names[space], before[0] ? before : "(none)",
                why.text);
    rocks_scan_close(&s->base);
    return !bad;
}

static bool is_space(const char *name, enum kv_space *out)
{
    for (int i = 0; i < KV_SPACES; i++) {
        if (strcmp(name, rocks_space_names[i]) == 0) {
            *out = (enum kv_space)i;
            return true;
        }
    }
    return false;
}

/* A scan ends at its first damage, so the rest is found file by file. */
static void verify_files(struct rocks *r, struct findings *f)
{
    const rocksdb_livefiles_t *files = rocksdb_livefiles(r->db);
    for (int i = 0; i < rocksdb_livefiles_count(files); i++) {
        enum kv_space space;
        struct str first, last;
        if (!is_space(rocksdb_livefiles_column_family_name(files, i), &space))
            continue;
        first.p = rocksdb_livefiles_smallestkey(files, i, &first.n);
        last.p = rocksdb_livefiles_largestkey(files, i, &last.n);
        struct err e;
        if (!read_all(r, space, first, last, &e))
            found(f, &e);
    }
    rocksdb_livefiles_destroy(files);
}

bool rocks_verify(void *self, void (*bad)(void *ctx, const char *what), void *ctx)
{
    struct rocks *r = self;
    struct findings f = {.bad = bad, .ctx = ctx};
    for (int i = 0; i < KV_SPACES; i++) {
        struct err e;
        if (!read_all(r, (enum kv_space)i, STR(""), (struct str){0}, &e))
            found(&f, &e);
    }
    if (f.any)
        verify_files(r, &f);
    return !f.any;
}
