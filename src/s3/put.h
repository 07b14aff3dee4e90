/* SPDX-License-Identifier: Apache-2.0
 *
 * The commit of a new object, shared by the operations that make one. Internal to s3/. */
#ifndef BELFRY_S3_PUT_H
#define BELFRY_S3_PUT_H

#include "s3/emit.h"

struct put_commit {
    struct object *object;     /* complete but for seq and extents */
    struct store_stage *stage; /* finished; NULL: old extents stay (self-copy that changes metadata only) */
    enum event_name event_name;
    int64_t content_length; /* for the record; < 0: left out */
    /* Decides inside the closure, old NULL when there is none; NULL: condition_write. When it sets *again nothing is written
     * and `redo` is called on the loop, with `stage` still the caller's. */
    enum s3_error (*check)(struct s3_req *r, const struct object *old, bool *again);
    void (*redo)(struct s3_req *r);
    /* The same with the closure at hand, for those that read or write more than the object; either may be NULL. */
    enum s3_error (*txn_check)(struct kv_txn *t, struct s3_req *r, const struct object *old, bool *again);
    void (*txn_write)(struct kv_txn *t, struct s3_req *r);
    /* The end, on the loop. ok: committed, nothing was replied yet and `stage` is taken over (NULL). Else the error was
     * replied and `stage` is still the caller's. */
    void (*done)(struct s3_req *r, bool ok);
    /* put_commit's own: */
    struct event_out *event;
    enum s3_error error;
    bool again, redo_wanted, replaced;
};
/* Matches, builds the record, commits; matches again when rules changed meanwhile. c stays valid until done. */
void put_commit(struct s3_req *r, struct put_commit *c);

#endif
