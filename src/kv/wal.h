/* SPDX-License-Identifier: Apache-2.0
 *
 * Where RocksDB's write-ahead log is damaged, and what stands behind that place. RocksDB refuses to open such a store but does not
 * say where: its error names neither file nor offset. Format: "Write Ahead Log File Format" of RocksDB's wiki: blocks of 32 KiB,
 * in them records of checksum (4 bytes, masked CRC-32C of type and data), length (2), type (1), data; little-endian. */
#ifndef BELFRY_KV_WAL_H
#define BELFRY_KV_WAL_H

#include "base/err.h"
#include "base/str.h"

#define WAL_BLOCK 32768

struct wal_damage {
    char file[256]; /* name within the folder */
    uint64_t offset;
};
/* The number of a log by its name ("000016.log"); 0: it is none. Names do not sort as their numbers do: they grow longer. */
uint64_t wal_number(const char *file);

/* Calls each for every batch (wal_record.h) that can still be read from that place on: what is damaged is stepped over. */
struct wal_reader {
    void (*each)(void *ctx, struct str batch);
    void *ctx;
};
void wal_read_from(const char *dir, const struct wal_damage *from, const struct wal_reader *reader);

#endif
