/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows in RocksDB, through its C API. Errors there are malloc'd strings of the form "Kind: text"; the kind
 * decides here what the caller is told. */
#include "kv/rocks.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"

#define DEFAULT_MEMORY ((size_t)64 << 20)
/* The read tier "block cache" of rocksdb/options.h: memtables and caches only. */
#define READ_TIER_CACHE 1

struct rocks {
    rocksdb_t *db;
    rocksdb_column_family_handle_t *spaces[KV_SPACES];
    rocksdb_readoptions_t *read, *read_cached;
    rocksdb_writeoptions_t *write_sync, *write_nosync;
    rocksdb_writebatch_t *batch; /* the committer's */
};

struct rocks_scan {
    struct kv_scan base;
    rocksdb_iterator_t *it;
    rocksdb_readoptions_t *read;
    bool placed;       /* `it` stands on the row to give next */
    char *first, *end; /* the options point at `end` */
    size_t first_n;
};

/* Takes an error over from RocksDB. */
static void take_error(char *text, struct err *e, const char *what)
{
    err_set(e, "%s: %s", what, text);
    rocksdb_free(text);
}

/* --- rows
 * ---------------------------------------------------------------------------------------------------------
 */

static void unpin(void *pin)
{
    rocksdb_pinnableslice_destroy(pin);
}

static enum kv_result rocks_get(void *self, enum kv_space space, struct str key, unsigned flags,
                                struct kv_value *out, struct err *e)
{
    struct rocks *r = self;
    char *error = NULL;
    rocksdb_pinnableslice_t *pin = rocksdb_get_pinned_cf(
        r->db, flags & KV_CACHED_ONLY ? r->read_cached : r->read, r->spaces[space], key.p, key.n, &error);
    if (error) {
        bool would_block = (flags & KV_CACHED_ONLY) && strncmp(error, "Result incomplete", 17) == 0;
        take_error(error, e, "reading a row");
        return would_block ? KV_WOULD_BLOCK : KV_DAMAGED;
    }
    if (!pin)
        return KV_MISSING;
    *out = (struct kv_value){.pin = pin, .unpin = unpin};
    out->data.p = rocksdb_pinnableslice_value(pin, &out->data.n);
    return KV_FOUND;
}

static bool rocks_write(void *self, const struct kv_op *ops, size_t n, bool sync, struct err *e)
{
    struct rocks *r = self;
    rocksdb_writebatch_clear(r->batch);
    for (size_t i = 0; i < n; i++) {
        const struct kv_op *op = &ops[i];
        rocksdb_column_family_handle_t *cf = r->spaces[op->space];
        switch (op->kind) {
        case KV_OP_PUT:
            rocksdb_writebatch_put_cf(r->batch, cf, op->key.p, op->key.n, op->value.p, op->value.n);
            break;
        case KV_OP_DEL:
            rocksdb_writebatch_delete_cf(r->batch, cf, op->key.p, op->key.n);
            break;
        case KV_OP_DEL_RANGE:
            rocksdb_writebatch_delete_range_cf(r->batch, cf, op->key.p, op->key.n, op->value.p, op->value.n);
            break;
        }
    }
    char *error = NULL;
    rocksdb_write(r->db, sync ? r->write_sync : r->write_nosync, r->batch, &error);
    if (error)
        take_error(error, e, "writing rows");
    return error == NULL;
}

static bool rocks_sync(void *self, struct err *e)
{
    struct rocks *r = self;
    char *error = NULL;
    rocksdb_flush_wal(r->db, 1, &error);
    if (error)
        take_error(error, e, "syncing the log");
    return error == NULL;
}

/* --- scans
 * -------------------------------------------------------------------------------------------------------- */

static const struct kv_backend rocks_backend;

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
    rocksdb_readoptions_set_verify_checksums(s->read, 1);
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

static struct kv_scan *rocks_scan_open(void *self, enum kv_space space, struct str first, struct str end)
{
    return &scan_new(self, space, first, end, false)->base;
}

static bool rocks_scan_next(struct kv_scan *base, struct str *key, struct str *value)
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

static void rocks_scan_seek(struct kv_scan *base, struct str key)
{
    struct rocks_scan *s = CONTAINER_OF(base, struct rocks_scan, base);
    if (str_cmp(key, str_n(s->first, s->first_n)) < 0)
        key = str_n(s->first, s->first_n);
    rocksdb_iter_seek(s->it, key.p, key.n);
    s->placed = true;
}

static bool rocks_scan_failed(struct kv_scan *base, struct err *e)
{
    struct rocks_scan *s = CONTAINER_OF(base, struct rocks_scan, base);
    char *error = NULL;
    rocksdb_iter_get_error(s->it, &error);
    if (error)
        take_error(error, e, "reading rows");
    return error != NULL;
}

static void rocks_scan_close(struct kv_scan *base)
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

/* Reads the rows from `first` up to and with `last` (all when last.p is NULL); false at the first damage. */
static bool read_all(struct rocks *r, enum kv_space space, struct str first, struct str last, struct err *e)
{
    struct rocks_scan *s = scan_new(r, space, first, (struct str){0}, true);
    struct str key, value;
    while (rocks_scan_next(&s->base, &key, &value) && (!last.p || str_cmp(key, last) <= 0))
        ;
    bool bad = rocks_scan_failed(&s->base, e);
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

static bool rocks_verify(void *self, void (*bad)(void *ctx, const char *what), void *ctx)
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

/* --- life
 * ---------------------------------------------------------------------------------------------------------
 */

static void rocks_close(void *self)
{
    struct rocks *r = self;
    for (int i = 0; i < KV_SPACES; i++)
        rocksdb_column_family_handle_destroy(r->spaces[i]);
    rocksdb_close(r->db);
    rocksdb_readoptions_destroy(r->read);
    rocksdb_readoptions_destroy(r->read_cached);
    rocksdb_writeoptions_destroy(r->write_sync);
    rocksdb_writeoptions_destroy(r->write_nosync);
    rocksdb_writebatch_destroy(r->batch);
    free(r);
}

static const struct kv_backend rocks_backend = {
    .get = rocks_get,
    .write = rocks_write,
    .sync = rocks_sync,
    .scan_open = rocks_scan_open,
    .scan_next = rocks_scan_next,
    .scan_seek = rocks_scan_seek,
    .scan_failed = rocks_scan_failed,
    .scan_close = rocks_scan_close,
    .verify = rocks_verify,
    .close = rocks_close,
};

static void explain_open(const char *dir, char *error, struct err *e)
{
    if (strstr(error, "/LOCK: ") || strstr(error, "lock hold by current process"))
        err_set(e, "%s is in use by another process", dir);
    else if (strncmp(error, "Corruption", 10) == 0)
        err_set(e, "the rows in %s are damaged: %s", dir, error);
    else
        err_set(e, "cannot open the rows in %s: %s", dir, error);
    rocksdb_free(error);
}

static rocksdb_t *open_db(const char *dir, const struct rocks_setup *setup, bool read_only,
                          rocksdb_column_family_handle_t **spaces, struct err *e)
{
    const rocksdb_options_t *options[KV_SPACES];
    for (int i = 0; i < KV_SPACES; i++)
        options[i] = setup->spaces[i];
    char *error = NULL;
    rocksdb_t *db = read_only ? rocksdb_open_for_read_only_column_families(
                                    setup->db, dir, KV_SPACES, rocks_space_names, options, spaces, 0, &error)
                              : rocksdb_open_column_families(setup->db, dir, KV_SPACES, rocks_space_names,
                                                             options, spaces, &error);
    if (error) {
        explain_open(dir, error, e);
        return NULL;
    }
    return db;
}

/* RocksDB syncs its own folder, not the one that holds it. */
static void sync_parent(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int up = fd < 0 ? -1 : openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (up < 0 || fsync(up) != 0)
        log_warn("kv", "cannot sync the folder above %s: %m", dir);
    if (up >= 0)
        close(up);
    if (fd >= 0)
        close(fd);
}

struct kv *kv_open(const char *dir, const struct kv_options *o, struct err *e)
{
    static const struct kv_options defaults;
    if (!o)
        o = &defaults;
    struct rocks_setup setup;
    rocksdb_column_family_handle_t *spaces[KV_SPACES];
    rocksdb_t *db = NULL;
    if (rocks_setup_init(&setup, o->memory ? o->memory : DEFAULT_MEMORY, e))
        db = open_db(dir, &setup, o->read_only, spaces, e);
    rocks_setup_release(&setup);
    if (!db)
        return NULL;
    if (!o->read_only)
        sync_parent(dir);

    struct rocks *r = x_calloc(1, sizeof(*r));
    r->db = db;
    memcpy(r->spaces, spaces, sizeof(spaces));
    r->read = rocksdb_readoptions_create();
    rocksdb_readoptions_set_verify_checksums(r->read, 1);
    r->read_cached = rocksdb_readoptions_create();
    rocksdb_readoptions_set_verify_checksums(r->read_cached, 1);
    rocksdb_readoptions_set_read_tier(r->read_cached, READ_TIER_CACHE);
    r->write_sync = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(r->write_sync, 1);
    r->write_nosync = rocksdb_writeoptions_create();
    r->batch = rocksdb_writebatch_create();
    return kv_start(&rocks_backend, r, o->read_only, e);
}
