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
    struct extent extent;       /* what the object that uses it points at */
    struct blob_writer *writer; /* is_file, until finished */
};

#endif
