/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings as they are stored, in memory: targets in order of sub-system and id, their keys in the order in which they came.
 * A snapshot that was handed out is not changed any more; a change is made to a copy. The sub-system without targets has one
 * under the default id. Names that no table knows (any more) are kept. */
#ifndef BELFRY_CONFIG_STORED_H
#define BELFRY_CONFIG_STORED_H

#include "config/config.h"

#define STORED_TARGETS_MAX 1000
#define STORED_MAX         (512u << 10) /* bytes of the row */

struct stored_pair {
    struct str key, value;
};
struct stored_target {
    struct str subsys, id;
    struct stored_pair *pairs;
    size_t n, cap;
};
struct config_stored {
    struct arena arena;
    struct stored_target *v;
    size_t n, cap;
};

struct config_stored *stored_new(void);
struct config_stored *stored_copy(const struct config_stored *st);
const struct stored_target *stored_find(const struct config_stored *st, struct str subsys, struct str id);
/* Makes it when it is not there; the pointer is valid until the next call. */
struct stored_target *stored_add(struct config_stored *st, struct str subsys, struct str id);
bool stored_remove(struct config_stored *st, struct str subsys, struct str id);
bool stored_get(const struct stored_target *t, struct str key, struct str *value);
void stored_put(struct config_stored *st, struct stored_target *t, struct str key, struct str value);
void stored_unset(struct stored_target *t, struct str key);

/* The row; out should hold STORED_MAX. Pure. */
void stored_encode(const struct config_stored *st, struct buf *out);
/* NULL: malformed. */
struct config_stored *stored_decode(struct str row);
void config_stored_free(struct config_stored *st);

#endif
