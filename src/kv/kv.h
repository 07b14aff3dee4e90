/* SPDX-License-Identifier: Apache-2.0
 *
 * Ordered rows with one writer. Concept: readers on any thread see a state between two batches; every change
 * is a *closure* that the one committer thread runs. Closures that are waiting are run one after the other
 * over one indexed batch (each sees what those before it wrote), the batch is written with one sync, then
 * every `done` is called on its own loop. That gives group commit, conditions and order without a lock or a
 * retry.
 *
 * Caveats:
 * - A closure reads and decides first, writes after, and may abort (return false) only before its first
 * write: BUG().
 * - It reads or writes at most KV_TXN_ROWS rows and KV_TXN_BYTES bytes, has no other effect, and never scans.
 * - After a failed write or sync the store refuses every commit until it is opened again (KV_FAILED); reads
 * go on.
 * - Two implementations: RocksDB (kv_open), and rows in memory for unit tests (kv_open_memory). */
#ifndef BELFRY_KV_KV_H
#define BELFRY_KV_KV_H

#include "base/buf.h"
#include "base/err.h"
#include "base/loop.h"

enum kv_space {
    KV_META,  /* buckets, objects, counters, garbage, ... */
    KV_QUEUE, /* outbox and dead letters */
    KV_DATA,  /* bodies of small objects (RocksDB blob files) */
    KV_SPACES
};

struct kv;

struct kv_options {
    size_t memory;  /* budget of memtables and block cache, bytes; 0: 64 MiB */
    bool read_only; /* belfry check */
    bool
        lenient; /* with read_only: tables that cannot be opened are met when they are read, not here; a damaged
                       log ends at its damage (a damaged MANIFEST is refused) */
};

/* Opens (creates) the rows in folder dir. NULL and err: locked by another process, damaged (file and offset
 * named), not readable, full. */
struct kv *kv_open(const char *dir, const struct kv_options *o, struct err *e);
struct kv *kv_open_memory(void);
/* Waits for commits at hand, refuses new ones (KV_FAILED), syncs, closes. When it returns no thread may be in a call, nor
 * a value or scan be open. */
void kv_close(struct kv *kv);

/* --- reading: any thread
 * ------------------------------------------------------------------------------------------ */

enum kv_result { KV_FOUND, KV_MISSING, KV_WOULD_BLOCK, KV_DAMAGED };

/* A value that stays in place until released. Zeroed: none, and may be released. */
struct kv_value {
    struct str data;
    void *pin;
    void (*unpin)(void *pin);
};
enum kv_flags { KV_CACHED_ONLY = 1 }; /* KV_WOULD_BLOCK instead of reading the disk */
/* KV_DAMAGED: a checksum or I/O error, named in err. *out is only set (and must be released) when KV_FOUND.
 */
enum kv_result kv_get(struct kv *kv, enum kv_space space, struct str key, unsigned flags,
                      struct kv_value *out, struct err *e);
void kv_value_release(struct kv_value *v);

/* A scan of the keys in [first, end), as of the moment of opening. May read the disk. Key and value are valid
 * until the next call. One thread. `end` is copied. */
struct kv_scan;
struct kv_scan *kv_scan_open(struct kv *kv, enum kv_space space, struct str first, struct str end);
bool kv_scan_next(struct kv_scan *s, struct str *key, struct str *value);
/* The next kv_scan_next gives the first key >= key. */
void kv_scan_seek(struct kv_scan *s, struct str key);
/* After kv_scan_next returned false: true when that was damage, not the end. */
bool kv_scan_failed(struct kv_scan *s, struct err *e);
void kv_scan_close(struct kv_scan *s);

/* Much was removed from [first, end): rewrites what is stored of it, so that the disk gets its space back now and not when it
 * happens to be its turn. Takes seconds; commits go on. Any thread but the committer's. */
void kv_compact(struct kv *kv, enum kv_space space, struct str first, struct str end);

/* --- committing
 * --------------------------------------------------------------------------------------------------- */

#define KV_TXN_ROWS   256
#define KV_TXN_BYTES  (1u << 20) /* plus one body: the first row written to KV_DATA is not counted */
#define KV_PLAIN_ROWS 4096       /* a plain write: rows and ranges */

struct kv_txn;
/* Within a closure only, on the committer thread. A value is valid until the closure returns. On KV_DAMAGED
 * (logged) the closure should abort. Counter rows are read by kv_txn_counters, not here. */
enum kv_result kv_txn_get(struct kv_txn *t, enum kv_space space, struct str key, struct kv_value *out);
void kv_txn_put(struct kv_txn *t, enum kv_space space, struct str key, struct str value);
void kv_txn_del(struct kv_txn *t, enum kv_space space, struct str key);
/* Only in KV_PLAIN writes: all keys in [first, end). Up to 1,024 rows of KV_META or KV_QUEUE go as single deletes; what is
 * more, or in KV_DATA, leaves a range tombstone, of which thousands slow every scan of that space until a flush. */
void kv_txn_del_range(struct kv_txn *t, enum kv_space space, struct str first, struct str end);

/* Counter rows (KV_META): KV_COUNTERS signed numbers, big-endian 64 bit. Sums of one batch are written once.
 * Reading inside a closure sees what closures before it in the batch added. A missing row counts as zeros. A
 * counter row may be deleted or put as any other; later adds go on from there. A row of another length is
 * damage: the store fails. */
#define KV_COUNTERS 2
void kv_txn_add(struct kv_txn *t, struct str key, const int64_t delta[KV_COUNTERS]);
void kv_txn_counters(struct kv_txn *t, struct str key, int64_t out[KV_COUNTERS]);
bool kv_counters(struct kv *kv, struct str key, int64_t out[KV_COUNTERS],
                 struct err *e); /* any thread, committed state */

/* The next number of the sequencer: max(wall clock ns, last + 1), strictly increasing over restarts (the
 * batch writes the last one handed out to the high-water row, KV_META "mseq"). Counts as no write. */
uint64_t kv_txn_sequence(struct kv_txn *t);
/* Called on the committer thread once the batch is durable, before any `done` of it and in order; not called
 * when the batch fails. For caches that follow the rows. May be called only after the closure has decided to
 * commit. */
void kv_txn_on_commit(struct kv_txn *t, void (*fn)(void *arg), void *arg);

enum kv_outcome { KV_COMMITTED, KV_ABORTED, KV_FAILED };
enum kv_commit_flags {
    KV_NOSYNC = 1, /* this closure asks for no sync (the batch syncs when another one does) */
    KV_PLAIN = 2,  /* a plain write: fn only writes (range deletes and counter adds allowed), reads nothing;
                      runs between batches */
};
/* One change. Embedded in the caller's own struct; must stay valid until done was called. */
struct kv_commit {
    bool (*fn)(struct kv_txn *t, void *ctx);          /* true: commit, false: abort */
    void (*done)(void *ctx, enum kv_outcome outcome); /* may be NULL */
    void *ctx;
    struct loop *loop; /* where done is called; NULL: on the committer thread */
    unsigned flags;
    size_t bytes; /* rough size of what will be written, for the limits of a batch */
    /* the committer's own: */
    struct task task;
    struct kv_commit *next;
    enum kv_outcome outcome;
};
/* Any thread, a `done` on the committer's included. Order of calls from one thread is kept among commits of
 * the same kind (plain or not). */
void kv_commit(struct kv *kv, struct kv_commit *c);
/* Commits and waits: for start-up, workers and tests, never on an I/O thread. */
enum kv_outcome kv_commit_wait(struct kv *kv, bool (*fn)(struct kv_txn *t, void *ctx), void *ctx,
                               unsigned flags);

/* Refuses every commit from now on, as after a failed write: something else that commits depend on has failed. The first
 * reason is kept. Any thread. */
void kv_refuse(struct kv *kv, const struct err *why);
/* True after a failed write or sync, with the reason; an idle store notices within a second when it failed beside them
 * (RocksDB's flushes and compactions). Any thread. */
bool kv_failed(struct kv *kv, struct err *why);

/* For a disk that is full: the space of rows that were deleted comes back only when they are written out and compacted, which
 * an idle store has no reason to do. Writes them out and returns; the compaction goes on in the background. False and err
 * when they cannot be written. Any thread, which waits for the disk. */
bool kv_reclaim(struct kv *kv, struct err *e);

struct kv_stats {
    uint64_t batches, syncs, commits, aborts, rows, bytes;
    uint64_t last_sequence;
    uint64_t damaged; /* reads that met damage, or an error of the disk */
    size_t waiting;
};
void kv_get_stats(struct kv *kv, struct kv_stats *out);

/* Verifies checksums of every row (bodies included) by reading all of them past the cache: for belfry check.
 * Calls `bad` for each finding. false when any. */
bool kv_verify(struct kv *kv, void (*bad)(void *ctx, const char *what), void *ctx);

#endif
