/* SPDX-License-Identifier: Apache-2.0
 *
 * Multipart uploads: what is open, its parts, and its end. An upload is a row, every part another; a part owns its bytes as an
 * object does. Every part raises the upload's *generation*: who read the parts and then ends the upload says which generation
 * it read, and must read again when that is no longer it. The end removes the upload's row in the very commit that makes the
 * object (or nothing, when it is aborted); parts' rows, and the bytes of those that were not used, are the janitor's. */
#ifndef BELFRY_STORE_UPLOAD_H
#define BELFRY_STORE_UPLOAD_H

#include "store/store.h"

struct store_upload {
    struct str id; /* UPLOAD_ID_LEN bytes of lower-case hex */
    struct object
        object; /* what it is to be: metadata, tags, kind and type of checksum; mtime_ns: of its initiation */
    uint64_t generation;
    uint64_t
        touched; /* number of the sequencer of its last part, or of its making: 24 h of running after it the
                         janitor aborts the upload (observed.h) */
};
struct store_part {
    uint32_t number;
    struct object object; /* size, md5, mtime_ns, checksum and extents of the part */
};

/* A new id; any thread. Later ones are greater. */
void store_upload_id(struct store *s, char out[UPLOAD_ID_LEN]);
/* STORE_MISSING: no such upload of that key, or it has ended. Other results and cached_only as store_object_get. */
enum store_result store_upload_get(struct store *s, const struct bucket *b, struct str key, struct str id,
                                   bool cached_only, struct arena *a, struct store_upload *out,
                                   struct err *e);
/* The parts with numbers above `after`, in order, at most max of them. Blocks. *truncated: there are more. Says nothing about
 * the upload itself. */
enum store_result store_upload_parts(struct store *s, const struct bucket *b, struct str key, struct str id,
                                     uint32_t after, size_t max, struct arena *a, struct store_part **out,
                                     size_t *n, bool *truncated, struct err *e);

/* One page of the open uploads of a bucket (blocks), in order of key, then of id; common prefixes as in store_list. */
struct uploads_query {
    struct str prefix, delimiter;
    struct str key_marker,
        id_marker; /* exclusive; id_marker only with key_marker, empty: behind all of that key */
    size_t max;    /* 0..1000 */
};
struct uploads_entry {
    struct str key; /* or the common prefix */
    bool is_prefix;
    struct store_upload upload; /* only without is_prefix */
};
struct uploads_page {
    struct uploads_entry *entries;
    size_t n;
    bool truncated; /* something really follows the last entry */
};
enum store_result store_uploads(struct store *s, const struct bucket *b, const struct uploads_query *q,
                                struct arena *a, struct uploads_page *out, struct err *e);

/* --- inside closures, after store_txn_bucket_check --- */

/* u->id and u->object are the caller's, seq included. */
void store_txn_upload_create(struct kv_txn *t, const struct bucket *b, struct str key,
                             const struct store_upload *u);
/* STORE_MISSING; STORE_DAMAGED (logged): then abort. */
enum store_result store_txn_upload_get(struct kv_txn *t, const struct bucket *b, struct str key,
                                       struct str id, struct arena *a, struct store_upload *out);
/* May this upload be ended by who read its parts at that generation? STORE_OK, STORE_MISSING, STORE_AGAIN, STORE_DAMAGED. */
enum store_result store_txn_upload_check(struct kv_txn *t, const struct bucket *b, struct str key,
                                         struct str id, uint64_t generation);
/* Writes the row of a part, replacing the one with the same number, and raises the generation of *u, as
 * store_txn_upload_get gave it. `old`: the part that was there (store_txn_part_get), or NULL. */
enum store_result store_txn_part_get(struct kv_txn *t, const struct bucket *b, struct str key, struct str id,
                                     uint32_t number, struct arena *a, struct object *out);
void store_txn_part_put(struct kv_txn *t, const struct bucket *b, struct str key, struct store_upload *u,
                        uint32_t number, struct object *part, struct store_stage *stage,
                        const struct object *old);
/* Which parts a finished upload uses. */
struct part_set {
    uint8_t bits[OBJECT_PARTS / 8 + 1];
};
static inline void part_set_add(struct part_set *p, uint32_t number)
{
    p->bits[number / 8] = (uint8_t)(p->bits[number / 8] | 1u << number % 8);
}
static inline bool part_set_has(const struct part_set *p, uint32_t number)
{
    return number <= OBJECT_PARTS && p->bits[number / 8] >> number % 8 & 1;
}
/* The upload is over. used NULL: aborted; else the object now owns the bytes of those parts. The caller wakes the janitor. */
void store_txn_upload_end(struct kv_txn *t, const struct bucket *b, struct str key, struct str id,
                          const struct part_set *used);

#endif
