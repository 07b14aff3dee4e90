/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of belfry check share. */
#ifndef BELFRY_STORE_CHECK_H
#define BELFRY_STORE_CHECK_H

#include "store/store_internal.h"

struct check_bucket {
    uint64_t id;
    char *name; /* NULL: deleted, its rows are on their way out */
    int64_t objects, bytes;
};
struct check {
    struct kv *kv;
    struct blobs *blobs;
    uint64_t findings, objects, bytes;
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
    struct arena arena; /* of one object */
};

__attribute__((format(printf, 2, 3))) void check_finding(struct check *c, const char *fmt, ...);
void check_progress(struct check *c);
/* NULL: there is no such bucket, not even one on its way out. */
struct check_bucket *check_bucket_of(struct check *c, uint64_t id);
/* Notes what `o` names and verifies it, unless its bucket is on its way out. what: "object", "part 3 of". */
void check_body(struct check *c, const struct check_bucket *b, const char *what, struct str key,
                const struct object *o);
bool check_has_id(const struct id_list *l, uint64_t id);

/* check_upload.c */
void check_see_garbage_upload(struct check *c, struct str value);
void check_see_garbage_extents(struct check *c, uint64_t id);
void check_sort_over(struct check *c);
void check_see_upload(struct check *c, struct str key, struct str value);
void check_see_extents_row(struct check *c, struct str key, struct str value);
void check_release_uploads(struct check *c);

#endif
