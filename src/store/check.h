/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of belfry check share. */
#ifndef BELFRY_STORE_CHECK_H
#define BELFRY_STORE_CHECK_H

#include "kv/rescue.h"
#include "store/store_internal.h"

struct check_bucket {
    uint64_t id;
    char *name;  /* NULL: deleted, its rows are on their way out */
    bool orphan; /* its row is lost: objects alone tell of it */
    bool lost;   /* it was made behind the damage of a log */
    int64_t objects, bytes;
};
/* The events that wait for one target. */
struct check_queue {
    uint32_t number;
    char *name; /* "webhook:primary"; NULL: its row is lost */
    int64_t events, bytes, dead, dead_bytes, in_files[2];
};
struct check {
    struct kv *kv;
    struct blobs *blobs;
    uint64_t findings, objects, bytes;
    uint64_t rows_findings; /* of them: what writing the rows anew takes out of the store */
    uint64_t max_seq, max_id;
    struct check_queue *queues;
    size_t n_queues;
    uint32_t last_number;         /* that was given to a target, by the row that says so */
    struct check_bucket *buckets; /* in order of id once loaded */
    size_t n_buckets;
    struct id_list bodies;         /* inline bodies that objects name */
    struct id_list files;          /* blobs that objects name */
    struct id_list pending;        /* blobs that g rows name */
    struct id_list pending_bodies; /* inline bodies of extents rows that g rows name */
    struct id_list extents_rows;   /* that objects name */
    struct id_list pending_rows;   /* that g rows name */
    struct check_over *over;       /* uploads that g rows name, in order of their row's key */
    size_t n_over;
    char *upload; /* key of the upload's row seen last, malloc'd: its parts follow */
    size_t upload_n;
    struct id_list writing; /* blobs that t rows name */
    int64_t next_progress;
    struct arena arena;                /* of one object */
    const struct store_events *events; /* of a salvage; NULL: counters of queues are not looked at */
    struct copy *copy;                 /* check_copy.c */
    bool quiet;                        /* what is met was said before */
};

/* One line on standard output. Bytes that are no text, and keys may have any, are shown as \\xNN. */
__attribute__((format(printf, 1, 2))) void check_print(const char *fmt, ...);
__attribute__((format(printf, 2, 3))) void check_finding(struct check *c, const char *fmt, ...);
__attribute__((format(printf, 2, 3))) void check_rows_finding(struct check *c, const char *fmt, ...);
void check_progress(struct check *c);
/* All of the check, over c->kv and c->blobs. */
void check_all(struct check *c);
void check_release(struct check *c);

/* --- check_rows.c --- */

/* Calls each for the rows of a space whose keys begin with `prefix` (of all, when it is empty). What is damaged is stepped
 * over, with a finding. */
typedef void check_row_fn(struct check *c, struct str key, struct str value);
void check_each_row(struct check *c, enum kv_space space, const char *prefix, check_row_fn *each);
/* What a key says to people: "photos/a.jpg", "event 17 of webhook:1". Appended. */
void check_key_words(const struct check *c, enum kv_space space, struct str key, struct buf *out);

/* --- check_queue.c --- */

/* The events that wait, and what their counters say. */
void check_queues(struct check *c);
struct check_queue *check_queue_of(struct check *c, uint32_t number);
void check_release_queues(struct check *c);
/* NULL: there is no such bucket, not even one on its way out. */
struct check_bucket *check_bucket_of(struct check *c, uint64_t id);
/* Notes what `o` names and verifies it, unless its bucket is on its way out. what: "object", "part 3 of". */
void check_body(struct check *c, const struct check_bucket *b, const char *what, struct str key,
                const struct object *o);
bool check_has_id(const struct id_list *l, uint64_t id);
/* Takes over `name`. The buckets are no longer in order. */
void check_add_bucket(struct check *c, uint64_t id, char *name);
struct check_bucket *check_add_orphan(struct check *c, uint64_t id);

/* check_upload.c */
void check_see_garbage_upload(struct check *c, struct str value);
void check_see_garbage_extents(struct check *c, uint64_t id);
void check_sort_over(struct check *c);
void check_see_upload(struct check *c, struct str key, struct str value);
void check_see_extents_row(struct check *c, struct str key, struct str value);
void check_release_uploads(struct check *c);

/* --- salvage --- */

/* check_lost.c: prints what stands in the logs from that place on. */
void check_tell_lost(struct check *c, const char *dir, const struct wal_damage *from);
/* check_copy.c: writes the rows that check_all read into a new folder `to`; durable. */
bool check_copy(struct check *c, const struct kv_rescue *r, const char *to, struct err *e);

#endif
