/* SPDX-License-Identifier: Apache-2.0
 *
 * Buckets and objects: their rows and rules. A folder DIR holds `format` (version), `lock`, `kv/` (rows) and
 * `blobs/` (bodies above the inline limit). Reads run on any thread; changes are store_txn_* calls inside a
 * kv closure that the s3 part writes, so that an object, its events and its garbage are one commit. Multipart uploads:
 * store/upload.h.
 *
 * Rows (KV_META unless said): b name -> bucket; r bucket-id -> notification rules as given by the client; o
 * bucket-id key -> object; e id -> extents and parts of an object that has many; u bucket-id key 0 upload-id [part]
 * -> upload, part; t id -> blob or extents row being written; g kind sequencer id -> garbage, in the order it
 * arose; n bucket-id -> objects, bytes; i -> next id; m.deployment -> UUID. KV_DATA: inline-id -> body. Ids
 * are big-endian 64 bit, at least 2^40. */
#ifndef BELFRY_STORE_STORE_H
#define BELFRY_STORE_STORE_H

#include "blob/blob.h"
#include "kv/kv.h"
#include "store/object.h"

struct store;

struct store_options {
    int64_t disk_reserve; /* bytes kept free; < 0: 5 %, at least 256 MiB or half the disk, at most 1 GiB */
    size_t inline_max;    /* bodies up to this ride in the batch; 0: default (docs/storage.md) */
    size_t memory;        /* for kv */
    /* Compiled form of a bucket's rules (event/ gives these, store/ knows nothing of them). May be NULL. */
    void *(*rules_compile)(struct str rules);
    void (*rules_free)(void *compiled);
};

/* Opens DIR (creates an empty one, with its parents). Errors name what to do: not writable, another format,
 * in use by another process (flock), damaged. Removes the files of t rows (their process is dead) and starts
 * the janitor. */
struct store *store_open(const char *dir, const struct store_options *o, struct err *e);
/* Rows and blobs on a memory kv and a temporary folder: unit tests. */
struct store *store_open_memory(const char *blob_dir, const struct store_options *o, struct err *e);
void store_close(struct store *s);
struct kv *store_kv(struct store *s);
const char *store_deployment_id(const struct store *s); /* UUID text, made at creation */
size_t store_inline_max(const struct store *s);
uint64_t store_new_id(struct store *s); /* never used before and never again; any thread */

enum store_result {
    STORE_OK,
    STORE_MISSING, /* no such bucket / key */
    STORE_AGAIN,   /* bucket rules (or the bucket itself) changed since they were looked at: look again */
    STORE_EXISTS,
    STORE_NOT_EMPTY,
    STORE_WOULD_BLOCK, /* ask again from a worker */
    STORE_DAMAGED,     /* checksum or read error, in err and logged */
    STORE_FULL,        /* below the reserve, or ENOSPC: 507 */
    STORE_FAILED       /* refused after a failed write or sync: 503 */
};

/* May data be added? STORE_OK, STORE_FULL or STORE_FAILED. `bytes` about to be written. Cheap; any thread. */
enum store_result store_admit(struct store *s, uint64_t bytes);
/* From now on so much is kept free, as store_options.disk_reserve. Any thread; asks the file system. */
void store_set_reserve(struct store *s, int64_t bytes);

/* --- buckets
 * ------------------------------------------------------------------------------------------------------ */

/* A bucket as it was when asked; immutable, counted. All buckets are in memory. */
struct bucket {
    struct str name;
    uint64_t id; /* never used again, also after deletion */
    int64_t created_ns;
    struct str region;
    uint64_t rules_version; /* 0: never set */
    struct str rules;       /* as stored: the client's XML, canonical form of event/ */
    void *compiled;         /* store_options.rules_compile(rules), or NULL when there are none */
};
/* Any thread, never blocks. NULL when absent. */
struct bucket *store_bucket(struct store *s, struct str name);
struct bucket *bucket_ref(struct bucket *b);
void bucket_unref(struct bucket *b);
/* All buckets in order of name; *out is malloc'd, each is a reference to give back. */
size_t store_buckets(struct store *s, struct bucket ***out);

/* Inside closures. The in-memory table follows before any done is called. */
enum store_result store_txn_bucket_create(struct kv_txn *t, struct store *s, struct str name,
                                          struct str region, int64_t now_ns);
/* STORE_MISSING, STORE_NOT_EMPTY (unless force), STORE_OK: row gone, g row written; the janitor removes the
 * rest. */
enum store_result store_txn_bucket_delete(struct kv_txn *t, struct store *s, struct str name, bool force);
/* Replaces the rules (an empty str clears); raises rules_version. STORE_MISSING and STORE_AGAIN as
 * store_txn_bucket_check. */
enum store_result store_txn_bucket_rules(struct kv_txn *t, struct store *s, const struct bucket *b,
                                         struct str rules);
/* Is b still the bucket of that name, with the same rules? STORE_OK, STORE_MISSING, STORE_AGAIN. First thing
 * in every closure that changes or notifies. */
enum store_result store_txn_bucket_check(struct kv_txn *t, const struct bucket *b); /* reads no row */
/* The bucket that has this name for the closure: its name and id alone are set, which is what store_txn_object_get needs.
 * STORE_OK, STORE_MISSING, STORE_DAMAGED (logged). */
enum store_result store_txn_bucket_find(struct kv_txn *t, struct str name, struct bucket *out);

/* --- objects, reading
 * --------------------------------------------------------------------------------------------- */

/* The row. With cached_only STORE_WOULD_BLOCK instead of disk reads. Strings live in the arena. */
enum store_result store_object_get(struct store *s, const struct bucket *b, struct str key, bool cached_only,
                                   struct arena *a, struct object *out, struct err *e);
/* The same with extents and parts also where they have a row of their own (then cached_only is STORE_WOULD_BLOCK). */
enum store_result store_object_get_parts(struct store *s, const struct bucket *b, struct str key,
                                         bool cached_only, struct arena *a, struct object *out,
                                         struct err *e);

/* An object opened for reading: row looked up, blobs pinned, the first one opened, inline bodies held. What was gone before it
 * could be pinned = the row is read again, as long as it keeps changing: so nothing of an object that was opened is missing,
 * whoever replaces it meanwhile. cached_only: an object that is not one inline body is STORE_WOULD_BLOCK. On STORE_OK release
 * with store_read_close, from any thread, before the arena. */
struct store_read {
    struct object object;
    struct kv_value body; /* inline body: body.data is the whole of it (size <= inline_max) */
    bool is_inline;
    struct blob_reader *reader; /* else: of one extent at a time */
    size_t reading;             /* which */
    size_t at;                  /* extent of the last piece, */
    uint64_t at_begin;          /* and where in the object it begins */
    struct held_body *held;     /* small parts */
    size_t n_held;
    struct store *store;
};
enum store_result store_read_open(struct store *s, const struct bucket *b, struct str key, bool cached_only,
                                  struct arena *a, struct store_read *out, struct err *e);
/* A run of bytes of an object. */
struct store_piece {
    int fd;          /* open until the next call; < 0: the bytes are in memory */
    uint64_t fd_off; /* where in it */
    const char *p;   /* in memory: until store_read_close */
    uint64_t n;
};
/* The piece of an object that is not one inline body at `off`, at most max bytes of it; their blocks are verified. May block.
 * Damage is in err (file and block; the caller knows the object and logs). off < object.size, max > 0. */
bool store_read_piece(struct store_read *r, uint64_t off, uint64_t max, struct store_piece *out,
                      struct err *e);
/* Verified bytes [off, off + n) of any object, within its size. May block. */
bool store_read_bytes(struct store_read *r, uint64_t off, void *out, size_t n, struct err *e);
void store_read_close(struct store_read *r);

/* One page of a listing (blocking). Keys in memcmp order; common prefixes interleaved and counted once each.
 */
struct list_query {
    struct str prefix, delimiter,
        after;  /* after: exclusive marker; a marker at or inside a common prefix skips that group */
    size_t max; /* 0..1000 */
};
struct list_entry {
    struct str key; /* or the common prefix */
    bool is_prefix;
    struct object object; /* only without is_prefix */
};
struct list_page {
    struct list_entry *entries;
    size_t n;
    bool truncated;  /* something really follows */
    struct str next; /* last entry's key or prefix, when truncated */
};
enum store_result store_list(struct store *s, const struct bucket *b, const struct list_query *q,
                             struct arena *a, struct list_page *out, struct err *e);

/* --- objects, staging a body
 * -------------------------------------------------------------------------------------- */

/* Bytes of a body on their way in: in memory up to inline_max, in a blob file beyond. Written by one thread
 * at a time. The file kind blocks: use it from workers. */
struct store_stage;
/* size: the length that is coming, or -1 when unknown (then a file once it passes inline_max). Writes the t
 * row (unsynced) before creating a file. */
struct store_stage *stage_begin(struct store *s, int64_t size, enum store_result *res, struct err *e);
bool stage_is_inline(const struct store_stage *st);
enum store_result stage_append(struct store_stage *st, const void *p, size_t n, struct err *e);
/* File: fdatasync and directory fsync. After it the stage may be committed. */
enum store_result stage_finish(struct store_stage *st, struct err *e);
uint64_t stage_size(const struct store_stage *st); /* bytes taken so far */
/* The request failed (or its closure ended without using the stage): removes file and t row. Frees. NULL is
 * fine. A stage that was used by a closure whose batch failed keeps both: only the next start can tell
 * whether that batch exists. */
void stage_discard(struct store_stage *st);
/* Takes an existing object's bytes as a stage of its own (CopyObject): inline bodies are copied, a file by
 * blob_copy, several are put together. Its parts stay parts of the copy. Finished. NULL and *res as stage_begin, or
 * STORE_DAMAGED. */
struct store_stage *stage_copy(struct store *s, struct store_read *from, enum store_result *res,
                               struct err *e);
/* The same a step at a time, for what may be long: as above, but a body of several pieces is only begun, and every step takes
 * STAGE_COPY_STEP bytes more of it. stage_copied: finished, no step is left. After an error: stage_discard. */
#define STAGE_COPY_STEP (16u << 20)
struct store_stage *stage_copy_begin(struct store *s, struct store_read *from, enum store_result *res,
                                     struct err *e);
bool stage_copied(const struct store_stage *st);
enum store_result stage_copy_step(struct store_stage *st, struct store_read *from, struct err *e);
/* The body of a finished upload, out of the bodies of its parts (extents of part rows, which the commit that uses the stage
 * must put out of use). Blocks: more than OBJECT_EXTENTS of either are written to a row of their own. Finished; arrays are
 * copied. NULL and *res as stage_begin. */
struct store_stage *stage_parts(struct store *s, const struct extent *extents, size_t n_extents,
                                const struct object_part *parts, size_t n_parts, enum store_result *res,
                                struct err *e);
/* After the commit that used it is durable: frees the stage, keeps the file. */
void stage_committed(struct store_stage *st);

/* --- objects, changing: inside closures
 * --------------------------------------------------------------------------- */

/* The current row, copied into the arena: STORE_OK, STORE_MISSING, or STORE_DAMAGED (logged): then abort. */
enum store_result store_txn_object_get(struct kv_txn *t, const struct bucket *b, struct str key,
                                       struct arena *a, struct object *out);
/* Writes the row of `o` (size and extents are filled in here from the stage: inline body, or blob with its t
 * row removed; valid as long as the stage; o->seq is the caller's), the garbage of `old` (NULL: there was
 * none) and the counters. `stage` NULL keeps old's size, extents and parts (metadata-only self-copy). At most 5 rows
 * + 1 per extent of old that is in its row. */
void store_txn_object_put(struct kv_txn *t, struct store *s, const struct bucket *b, struct str key,
                          struct object *o, struct store_stage *stage, const struct object *old);
void store_txn_object_delete(struct kv_txn *t, struct store *s, const struct bucket *b, struct str key,
                             const struct object *old);

/* --- the rest
 * ----------------------------------------------------------------------------------------------------- */

/* Something may be garbage now: wakes the janitor. Any thread; cheap, passes are at least 50 ms apart. */
void store_wake_janitor(struct store *s);

struct store_stats {
    uint64_t buckets, objects, bytes, disk_free, disk_total, reserve;
    uint64_t damaged; /* reads that met damage since the start */
    bool full, failed;
};
/* Of one bucket; zeros where they cannot be read. */
void store_bucket_usage(struct store *s, const struct bucket *b, uint64_t *objects, uint64_t *bytes);
void store_get_stats(struct store *s, struct store_stats *out);

/* belfry check DIR: opens read-only, verifies rows, every blob's blocks, that every extent exists, that no
 * file and no inline body is without a row (leak) and counters agree. Prints findings to stdout, one a line,
 * progress to stderr; true when all is well. false: err says how many findings (*opened), or why it could not be
 * checked (not *opened: in use, not a store, ...). */
bool store_check(const char *dir, bool *opened, struct err *e);
/* The same, and `more` looks at rows that are not the store's; each finding of its own is one more. */
typedef void store_check_more(struct kv *kv, void (*finding)(void *ctx, const char *text), void *ctx);
bool store_check_with(const char *dir, store_check_more *more, bool *opened, struct err *e);
/* Adds to an error of damaged rows what to do about it, unless it says so. */
void store_advise(const char *dir, struct err *e);
/* Rows that wait for targets are not the store's, but their counters have to be written anew: what is in one. */
struct store_events {
    store_check_more *check;
    /* The row of number seq: its events and their bytes; of those, events that are in a file, and files. Returns the last
     * number that it stands for. */
    uint64_t (*weigh)(uint64_t seq, struct str value, int64_t events[2], int64_t in_files[2]);
};
/* belfry check --salvage DIR: the same for a store whose rows kv_open may refuse, then the rows that can be read are written
 * anew. What they replace, and files that no row names, are kept in DIR/salvage-TIME. dry: only says what it would do. True:
 * nothing is missing. false: err says how much is (*done), or why it could not be done (not *done). */
bool store_salvage(const char *dir, bool dry, const struct store_events *events, bool *done, struct err *e);

#endif
