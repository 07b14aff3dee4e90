/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of store/ share. */
#ifndef BELFRY_STORE_STORE_INTERNAL_H
#define BELFRY_STORE_STORE_INTERNAL_H

#include <stdatomic.h>

#include "store/observed.h"
#include "store/row.h"
#include "store/store.h"

#define STORE_ID_BLOCK   ((uint64_t)1 << 40) /* ids reserved by one start */
#define STORE_T_BLOCK    64                  /* t rows written by one commit */
#define STORE_INLINE_MAX (32u << 10)         /* docs/storage.md */
#define STORE_ROW_MAX    (512u << 10)
#define EXTENTS_ROW_MAX  (768u << 10) /* OBJECT_PARTS extents and parts, 60 bytes each */
#define STORE_CLOSURE    200          /* rows that a closure of the janitor touches at most */

/* --- buckets (bucket.c) --- */

enum bucket_state { BUCKET_CURRENT, BUCKET_CHANGED, BUCKET_DELETED };
struct bucket_impl {
    struct bucket b;
    atomic_uint refs;
    void (*rules_free)(void *compiled);
    /* Committer thread only: set by the closure that changes the bucket, so that closures behind it in the
     * same batch see it. When that batch fails, no batch follows. */
    enum bucket_state state;
};
struct bucket_table {
    struct mutex mutex;
    struct bucket **v; /* in order of name */
    size_t n, cap;
    struct bucket_change *changes; /* committer thread only: written, not yet durable */
};
void bucket_table_init(struct bucket_table *t);
bool bucket_table_load(struct store *s, struct err *e);
void bucket_table_release(struct bucket_table *t); /* after the kv is closed */

/* After a sync of a blob or of its folder has failed the rows take no changes any more either. */
void store_blobs_failed(struct store *s);

/* --- free space (space.c) --- */

struct space {
    struct mutex mutex;
    atomic_llong room;             /* bytes above the reserve, less what was admitted since */
    atomic_llong asked_ms;         /* when the file system was asked last */
    uint64_t free, total, reserve; /* under the mutex */
    int64_t reclaim_ms;            /* janitor only: not before */
};
void space_init(struct store *s);
/* For the janitor: while the disk is full, asks now and then for the space of deleted rows. */
void space_reclaim(struct store *s);
/* Is there room above the reserve right now? STORE_OK, STORE_FULL, STORE_FAILED. Asks the file system. */
enum store_result space_left(struct store *s);

/* --- the janitor (janitor.c) --- */

struct id_list {
    uint64_t *v;
    size_t n, cap;
};
void id_list_add(struct id_list *l, uint64_t id);
struct garbage {
    uint64_t seq, id; /* of a g row's key */
};
struct janitor {
    pthread_t thread;
    bool running;
    struct mutex mutex; /* what follows up to `wake` */
    atomic_bool stop;   /* read without it, too */
    bool kicked;
    uint64_t passes_begun, passes_done;
    struct id_list discarded; /* blobs whose files are gone and whose t rows may go */
    struct cond wake, done;
    /* its own: */
    struct garbage cursor; /* every garbage row of blobs up to this one was seen */
    struct garbage *busy;
    size_t n_busy, cap_busy;
    struct garbage uploads_done, extents_done; /* g rows of those kinds up to these were worked off */
    int64_t look_for_abandoned_ms;             /* when next */
    struct observed observed;
    int64_t observed_ms; /* steady clock of the last look; 0: there was none */
};
void janitor_start(struct store *s);
void janitor_stop(struct store *s);
/* The t row of a blob whose file was removed may go. */
void janitor_discarded(struct store *s, uint64_t blob);
/* Waits until a whole pass that began after this call has ended; false when the deadline passed. */
bool janitor_wait(struct store *s, int64_t deadline_ms);
/* At start: removes the files of t rows and the rows. */
bool janitor_sweep(struct store *s, struct err *e);
/* Up to `max` garbage rows of one kind behind the row `after`. */
size_t janitor_collect(struct store *s, char what, struct garbage after, struct garbage *out, size_t max);
bool janitor_drop_garbage(struct store *s, char what, const struct garbage *v, size_t n);
/* janitor_upload.c. False: a write failed, or the janitor is to stop. */
bool janitor_finish_uploads(struct store *s);
bool janitor_empty_uploads(struct store *s, uint64_t bucket); /* of a deleted one */
bool janitor_work_off_extents(struct store *s);
/* Those that were touched before that number of the sequencer. */
bool janitor_abort_abandoned(struct store *s, uint64_t before);
/* Removes rows of one kind and these ids in plain, unsynced writes. */
bool janitor_drop_ids(struct store *s, char kind, const uint64_t *ids, size_t n);

/* --- the folder (folder.c) --- */

struct folder {
    char *dir;
    int lock; /* holds the flock; -1: none */
};
/* Takes the lock and makes sure that DIR is ours; with create an empty one becomes a store. */
bool folder_open(struct folder *f, const char *dir, bool create, struct err *e);
void folder_close(struct folder *f);
/* dir/name, malloc'd. */
char *folder_path(const char *dir, const char *name);

/* --- the store itself --- */

struct store {
    struct folder folder;
    struct kv *kv;
    struct blobs *blobs;
    struct store_options options;
    size_t inline_max;
    char deployment[37];
    atomic_ullong next_id;
    uint64_t id_end;
    struct mutex t_mutex; /* the t rows written ahead: ids [t_next, t_end) */
    uint64_t t_next, t_end;
    struct bucket_table buckets;
    struct space space;
    struct janitor janitor;
};

/* A blob id whose t row is durable. */
bool store_take_blob_id(struct store *s, uint64_t *id, struct err *e);
/* The g row of a blob, or the body of an inline extent removed: within a closure. */
void store_txn_drop_extents(struct kv_txn *t, const struct extent *x, size_t n);
/* The same for all of an object's; those in a row of their own become one g row, which the janitor works off. */
void store_txn_drop_body(struct kv_txn *t, const struct object *o);
/* The key of an upload's or an object's row as part of a listing: "photos/2024/" of "photos/2024/a.jpg" under prefix "photos/"
 * with delimiter "/"; p == NULL: the key stands alone. */
struct str list_group(struct str prefix, struct str delimiter, struct str key);
#define LIST_STEPS 8 /* rows walked before a seek: most groups are small, and a seek costs several steps */
/* NULL, but in the test of what may happen between a reader's look at the row and its pins. */
extern void (*store_before_pins)(void);
/* An extents row into out (arena): STORE_MISSING, STORE_DAMAGED (e says why), STORE_OK. */
enum store_result store_extents_get(struct kv *kv, uint64_t id, struct arena *a, struct object *out,
                                    struct err *e);

struct bucket_row {
    uint64_t id, rules_version;
    int64_t created_ns;
    struct str region;
};
void bucket_row_encode(const struct bucket_row *r, struct buf *out);
bool bucket_row_decode(struct str row, struct bucket_row *out);

#endif
