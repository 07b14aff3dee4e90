/* SPDX-License-Identifier: Apache-2.0
 *
 * A body on its way in, for stage.c, which fills it, and change.c, which uses it in a closure. */
#ifndef BELFRY_STORE_STAGE_H
#define BELFRY_STORE_STAGE_H

#include "store/store_internal.h"

struct store_stage {
    struct store *store;
    bool is_file;
    bool finished;
    bool used; /* by a closure that went on to its batch */
    uint64_t id;
    uint64_t size;
    uint64_t since_admit;
    char *memory; /* not is_file: the body */
    size_t cap;
    struct extent extent;       /* a body of one piece: what the object that uses it points at */
    struct blob_writer *writer; /* is_file, until finished */
    /* A body of parts: of its own they are, of a copy the source's (then extents is NULL and extent counts). malloc'd. */
    bool assembled; /* out of bodies that are there already */
    struct extent *extents;
    struct object_part *parts;
    size_t n_extents, n_parts;
    uint64_t row; /* not 0: extents and parts are in this extents row, whose t row is there, too */
};

/* Within a closure: the extents (and parts) of o are those of the stage from here on, and its t rows go. */
void store_txn_use_stage(struct kv_txn *t, struct object *o, struct store_stage *st);

#endif
