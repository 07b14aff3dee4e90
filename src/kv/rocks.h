/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the RocksDB implementation share. */
#ifndef BELFRY_KV_ROCKS_H
#define BELFRY_KV_ROCKS_H

#include <rocksdb/c.h>

#include "kv/backend.h"
#include "kv/tail.h"

struct rocks {
    rocksdb_t *db;
    rocksdb_column_family_handle_t *spaces[KV_SPACES];
    rocksdb_readoptions_t *read, *read_cached;
    /* the committer's: */
    rocksdb_readoptions_t *read_range;
    rocksdb_writeoptions_t *write_sync, *write_nosync;
    rocksdb_writebatch_t *batch;
    char *shadow; /* read only, with a log that is to be cut: the folder that RocksDB reads; else NULL */
    struct tail_mark mark; /* of the next batch */
};

/* --- rocks_setup.c: every line of it is a decision ---------------------------------------------------------------- */

struct rocks_setup {
    rocksdb_options_t *db;
    rocksdb_options_t *spaces[KV_SPACES];
};
/* Column families; RocksDB insists on "default", which carries KV_META. */
extern const char *const rocks_space_names[KV_SPACES];

/* All options for a budget of `memory` bytes. False and err when this RocksDB does not know one of them; to
 * be released in either case. */
bool rocks_setup_init(struct rocks_setup *s, size_t memory, struct err *e);
void rocks_setup_release(struct rocks_setup *s);

/* --- rocks_write.c: kv_backend's write, sync and reclaim ---------------------------------------------------------- */

bool rocks_write(void *self, const struct kv_op *ops, size_t n, bool sync, struct err *e);
bool rocks_sync(void *self, struct err *e);
uint64_t rocks_trouble(void *self);
bool rocks_reclaim(void *self, struct err *e);
void rocks_compact(void *self, enum kv_space space, struct str first, struct str end);

/* --- rocks_scan.c: kv_backend's scans and verify ------------------------------------------------------------------ */

struct kv_scan *rocks_scan_open(void *self, enum kv_space space, struct str first, struct str end);
bool rocks_scan_next(struct kv_scan *base, struct str *key, struct str *value);
void rocks_scan_seek(struct kv_scan *base, struct str key);
bool rocks_scan_failed(struct kv_scan *base, struct err *e);
void rocks_scan_close(struct kv_scan *base);
bool rocks_verify(void *self, void (*bad)(void *ctx, const char *what), void *ctx);

/* Whatever is read is verified. */
#ifdef BELFRY_MUTATE_NO_ROW_CHECK
#define ROCKS_VERIFY 0
#else
#define ROCKS_VERIFY 1
#endif

/* --- rocks.c ------------------------------------------------------------------------------------------------------ */

extern const struct kv_backend rocks_backend;
/* Takes an error over from RocksDB, which allocated it. */
void rocks_error(char *text, struct err *e, const char *what);
/* rescue.c: the MANIFEST that CURRENT names; false when CURRENT is damaged or that file is not there. */
bool rocks_manifest(const char *dir, char name[64]);

#endif
