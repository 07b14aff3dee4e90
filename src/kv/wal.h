/* SPDX-License-Identifier: Apache-2.0
 *
 * Where RocksDB's write-ahead log is damaged. RocksDB refuses to open such a store but does not say where: its error
 * names neither file nor offset. Format: "Write Ahead Log File Format" of RocksDB's wiki: blocks of 32 KiB, in
 * them records of checksum (4 bytes, masked CRC-32C of type and data), length (2), type (1), data; little-endian. */
#ifndef BELFRY_KV_WAL_H
#define BELFRY_KV_WAL_H

#include "base/err.h"
#include "base/str.h"

#define WAL_BLOCK 32768

/* Looks at one block (at most WAL_BLOCK bytes; fewer: the last of its file). True: sound, or torn at its end, which is what
 * a crash leaves. False: *bad is the index of the first bad record. Pure. */
bool wal_block_sound(struct str block, size_t *bad);

struct wal_damage {
    char file[256]; /* name within the folder */
    uint64_t offset;
};
/* The first damage in the logs of a store, oldest log first. False when there is none, or they cannot be read. */
bool wal_find_damage(const char *dir, struct wal_damage *out);

/* The same in one file of that form: a MANIFEST. */
bool wal_file_damaged(const char *dir, const char *file, uint64_t *offset);

/* Calls each for every batch (wal_record.h) that can still be read from that place on: what is damaged is stepped over. */
struct wal_reader {
    void (*each)(void *ctx, struct str batch);
    void *ctx;
};
void wal_read_from(const char *dir, const struct wal_damage *from, const struct wal_reader *reader);

#endif
