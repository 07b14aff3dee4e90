/* SPDX-License-Identifier: Apache-2.0
 *
 * Which table is damaged, where RocksDB does not say: its error for a footer that is none names the MANIFEST, in which it found
 * the table's name. Format: "Rocksdb BlockBasedTable Format" of RocksDB's wiki: the last 53 bytes are the checksum's type (1),
 * place and length of two blocks (varints), zeros up to byte 41, version (4), magic number (8); little-endian. */
#ifndef BELFRY_KV_TABLE_H
#define BELFRY_KV_TABLE_H

#include "base/str.h"
#include "kv/wal.h"

#define TABLE_FOOTER 53

/* Is it one, of a file of that many bytes? Pure. */
bool table_footer(struct str footer, uint64_t file_size);
/* A table in the folder that does not end with one; false: there is none. One that RocksDB was writing when the server ended
 * may be among them, so ask only when it could not open one. */
bool table_find_bad(const char *dir, struct wal_damage *out);

#endif
