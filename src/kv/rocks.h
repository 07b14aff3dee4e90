/* SPDX-License-Identifier: Apache-2.0
 *
 * How RocksDB is set up; split from its use because every line there is a decision. */
#ifndef BELFRY_KV_ROCKS_H
#define BELFRY_KV_ROCKS_H

#include <rocksdb/c.h>

#include "kv/backend.h"

struct rocks_setup {
    rocksdb_options_t *db;
    rocksdb_options_t *spaces[KV_SPACES];
};
/* Column families; RocksDB insists on "default", which carries KV_META. */
extern const char *const rocks_space_names[KV_SPACES];

/* All options for a budget of `memory` bytes. False and err when this RocksDB does not know one of them; to
 * be released in either case. */
bool rocks_setup_init(struct rocks_setup *s, size_t memory, struct err *e);
void rocks_setup_release(struct rocks_setup *s);

#endif
