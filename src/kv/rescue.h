/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows that kv_open refuses, opened as far as they can be read: for belfry check --salvage. Everything happens on links to the
 * files, in a folder of its own; the store itself is not touched. */
#ifndef BELFRY_KV_RESCUE_H
#define BELFRY_KV_RESCUE_H

#include "kv/kv.h"
#include "kv/wal.h"

struct kv_rescue {
    struct kv *kv;    /* for reading only */
    char *dir, *work; /* owned */
    /* Places in the log or the MANIFEST where one bit was wrong and the checksum told which. */
    char mended[512];
    /* Places in files that the disk does not give: zeros were taken for them. */
    char unread[512];
    bool missing; /* the log `at`, or one behind it, is gone */
    bool
        cut; /* the log is damaged beyond that, and not merely torn: the rows are as of this place in it, ... */
    struct wal_damage at; /* ... and what follows was left out */
    bool current;         /* CURRENT is damaged: the newest MANIFEST was taken */
    /* The MANIFEST is damaged: the tables alone tell what there is. Bodies in RocksDB's blob files cannot be read through
     * `kv` then: kv_rescue_bodies. */
    bool rebuilt;
};
/* Makes the folder `work` (what is there already is removed) beside `dir`. One thread. On false (e: why) nothing is left. */
bool kv_rescue_open(struct kv_rescue *r, const char *dir, const char *work, struct err *e);
/* Closes the rows and removes `work`. Zeroed: does nothing. */
void kv_rescue_close(struct kv_rescue *r);
/* A folder and what is in it; best effort. */
void kv_rescue_remove(const char *path);
/* Calls each for every row that stands whole in one of RocksDB's blob files, whether or not it is still valid; their keys are
 * never used again, so of one key all are the same. But behind a damaged header records have to be searched for, and what is found
 * may stand in the body of a client that made it look so: those come first, so that who keeps the last one of a key keeps the
 * one that is certain. Format: RocksDB's blob_log_format.h. */
void kv_rescue_bodies(const struct kv_rescue *r, void (*each)(void *ctx, struct str key, struct str value),
                      void *ctx);

/* The same in the bytes of one such file: those that follow each other from its beginning on, or (`found`) those behind the first
 * damaged header. Pure. */
void kv_rescue_bodies_in(struct str file, bool found,
                         void (*each)(void *ctx, struct str key, struct str value), void *ctx);

/* After a scan of [.., end) failed behind the row `behind`: the first key from which reading works again, into *next.
 * False: there is none, the rest is lost. What lies between is skipped, a little more than the damaged block. */
bool kv_scan_skip(struct kv *kv, enum kv_space space, struct str behind, struct str end, struct buf *next);

#endif
