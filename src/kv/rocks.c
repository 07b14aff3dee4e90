/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows in RocksDB, through its C API. Errors there are malloc'd strings of the form "Kind: text"; the kind
 * decides here what the caller is told. */
#include "kv/rocks.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "kv/table.h"

#define DEFAULT_MEMORY ((size_t)64 << 20)
/* The read tier "block cache" of rocksdb/options.h: memtables and caches only. */
#define READ_TIER_CACHE 1
/* Deleted rows that the committer steps over when it looks what a range delete removes. */
#define RANGE_SKIP 1000

void rocks_error(char *text, struct err *e, const char *what)
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
        rocks_error(error, e, "reading a row");
        return would_block ? KV_WOULD_BLOCK : KV_DAMAGED;
    }
    if (!pin)
        return KV_MISSING;
    *out = (struct kv_value){.pin = pin, .unpin = unpin};
    out->data.p = rocksdb_pinnableslice_value(pin, &out->data.n);
    return KV_FOUND;
}

/* --- life
 * ---------------------------------------------------------------------------------------------------------
 */

static void close_db(rocksdb_t *db, rocksdb_column_family_handle_t **spaces)
{
    for (int i = 0; i < KV_SPACES; i++)
        rocksdb_column_family_handle_destroy(spaces[i]);
    rocksdb_close(db);
}

static void rocks_close(void *self)
{
    struct rocks *r = self;
    close_db(r->db, r->spaces);
    rocksdb_readoptions_destroy(r->read);
    rocksdb_readoptions_destroy(r->read_cached);
    rocksdb_readoptions_destroy(r->read_range);
    rocksdb_writeoptions_destroy(r->write_sync);
    rocksdb_writeoptions_destroy(r->write_nosync);
    rocksdb_writebatch_destroy(r->batch);
    tail_shadow_remove(r->shadow);
    free(r);
}

const struct kv_backend rocks_backend = {
    .get = rocks_get,
    .write = rocks_write,
    .sync = rocks_sync,
    .trouble = rocks_trouble,
    .compact = rocks_compact,
    .scan_open = rocks_scan_open,
    .scan_next = rocks_scan_next,
    .scan_seek = rocks_scan_seek,
    .scan_failed = rocks_scan_failed,
    .scan_close = rocks_scan_close,
    .verify = rocks_verify,
    .reclaim = rocks_reclaim,
    .close = rocks_close,
};

/* RocksDB names the MANIFEST when it cannot tell what a table is. */
static bool is_table(const char *dir, const char *error, struct wal_damage *out)
{
    return strstr(error, "MANIFEST-") && !strstr(error, ".sst") && table_find_bad(dir, out);
}

static void explain_open(const char *dir, char *error, struct err *e)
{
    struct wal_damage at;
    if (strstr(error, "/LOCK: ") || strstr(error, "lock hold by current process"))
        err_set(e, "%s is in use by another process", dir);
    else if (strncmp(error, "Corruption", 10) == 0 && is_table(dir, error, &at))
        err_set(e, "the rows in %s are damaged: %s/%s at byte %llu: a table does not end like that", dir, dir,
                at.file, (unsigned long long)at.offset);
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

/* --- torn and damaged (kv/tail.h) --- */

static bool refuse(const char *dir, const struct tail_end *end, struct err *e)
{
    if (strcmp(end->at.file, "CURRENT") == 0)
        return err_set(e, "the rows in %s are damaged: %s/CURRENT does not name a MANIFEST that is there",
                       dir, dir);
    if (end->missing)
        return err_set(
            e, "the rows in %s are damaged: %s/%s, or a log after it, is missing: it has the newest changes",
            dir, dir, end->at.file);
    return err_set(e, "the rows in %s are damaged: %s/%s at byte %llu", dir, dir, end->at.file,
                   (unsigned long long)end->at.offset);
}

/* Without what is behind the bad place of its MANIFEST, is everything there that it names? A family that is not, an argument that
 * is invalid, is one that the store's birth did not come to: it is made then. */
static bool opens_when_cut(const char *dir, const struct tail_ends *ends, const struct rocks_setup *setup,
                           struct err *e)
{
    rocksdb_column_family_handle_t *spaces[KV_SPACES];
    struct err why = {0};
    char *shadow;
    if (!tail_shadow(dir, ends, &shadow, e))
        return false;
    rocksdb_t *db = open_db(shadow, setup, true, spaces, &why);
    if (db)
        close_db(db, spaces);
    tail_shadow_remove(shadow);
    return db || strstr(why.text, "Invalid argument") || refuse(dir, &ends->manifest, e);
}

/* RocksDB is shown only what is whole. What is only to be read is not changed: then *shadow is what it is shown. */
static bool settle(const char *dir, const struct kv_options *o, const struct rocks_setup *setup,
                   char **shadow, struct err *e)
{
    struct tail_ends ends;
    if (!tail_look(dir, &ends, e))
        return false;
    const struct tail_end *damaged = ends.manifest.state == TAIL_DAMAGED ? &ends.manifest
                                     : ends.log.state == TAIL_DAMAGED    ? &ends.log
                                                                         : NULL;
    /* A state that is older than what was there is not shown even to who takes what there is: the tables have more. */
    if (damaged && !(o->read_only && o->lenient && damaged == &ends.log))
        return refuse(dir, damaged, e);
    if (ends.manifest.state == TAIL_WHOLE && ends.log.state == TAIL_WHOLE)
        return true;
    if (ends.manifest.state != TAIL_WHOLE && !opens_when_cut(dir, &ends, setup, e))
        return false;
    return o->read_only ? tail_shadow(dir, &ends, shadow, e) : tail_cut(dir, &ends, e);
}

/* RocksDB syncs its own folder, not the one that holds it. */
__attribute__((unused)) static void sync_parent(const char *dir)
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

/* BELFRY_TEST_MEMORY (bytes): so little that a short test meets flushes and compactions. */
static size_t budget(const struct kv_options *o)
{
    const char *z = getenv("BELFRY_TEST_MEMORY");
    uint64_t n;
    if (z && str_to_u64(str_c(z), &n) && n > 0)
        return (size_t)n;
    return o->memory ? o->memory : DEFAULT_MEMORY;
}

struct kv *kv_open(const char *dir, const struct kv_options *o, struct err *e)
{
    static const struct kv_options defaults;
    if (!o)
        o = &defaults;
    struct rocks_setup setup;
    rocksdb_column_family_handle_t *spaces[KV_SPACES];
    rocksdb_t *db = NULL;
    char *shadow = NULL;
    bool ok = rocks_setup_init(&setup, budget(o), e);
    if (ok && o->read_only && o->lenient)
        rocksdb_options_set_paranoid_checks(setup.db, 0);
    if (ok && settle(dir, o, &setup, &shadow, e))
        db = open_db(shadow ? shadow : dir, &setup, o->read_only, spaces, e);
    rocks_setup_release(&setup);
    if (!db) {
        tail_shadow_remove(shadow);
        return NULL;
    }
#ifndef BELFRY_MUTATE_NO_SYNC_KV
    if (!o->read_only)
        sync_parent(dir);
#endif

    struct rocks *r = x_calloc(1, sizeof(*r));
    r->db = db;
    r->shadow = shadow;
    memcpy(r->spaces, spaces, sizeof(spaces));
    r->read = rocksdb_readoptions_create();
    rocksdb_readoptions_set_verify_checksums(r->read, ROCKS_VERIFY);
    r->read_cached = rocksdb_readoptions_create();
    rocksdb_readoptions_set_verify_checksums(r->read_cached, ROCKS_VERIFY);
    rocksdb_readoptions_set_read_tier(r->read_cached, READ_TIER_CACHE);
    r->read_range = rocksdb_readoptions_create();
    rocksdb_readoptions_set_verify_checksums(r->read_range, ROCKS_VERIFY);
    rocksdb_readoptions_set_max_skippable_internal_keys(r->read_range, RANGE_SKIP);
    r->write_sync = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(r->write_sync, 1);
    r->write_nosync = rocksdb_writeoptions_create();
    r->batch = rocksdb_writebatch_create();
    hash_random(&r->mark.writer, sizeof r->mark.writer);
    r->mark.writer |= 1;
    /* Opening puts what the log held into tables, which are synced. */
    r->mark.synced = rocksdb_get_latest_sequence_number(db);
    return kv_start(&rocks_backend, r, o->read_only, e);
}
