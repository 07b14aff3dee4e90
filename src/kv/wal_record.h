/* SPDX-License-Identifier: Apache-2.0
 *
 * The records of RocksDB's logs, as bytes: the write-ahead log and the MANIFEST have the same form (wal.h), and a record of
 * the write-ahead log is a batch of rows ("WriteBatch" in RocksDB's write_batch.cc: sequence number, 8 bytes; count, 4; then
 * for each row a tag, the number of its column family unless that is the default, key and value with their lengths before
 * them). Pure. For saying what is damaged, and what stands behind it. */
#ifndef BELFRY_KV_WAL_RECORD_H
#define BELFRY_KV_WAL_RECORD_H

#include "base/buf.h"
#include "kv/backend.h"

#define WAL_HEADER 7

enum wal_type { WAL_FULL = 1, WAL_FIRST, WAL_MIDDLE, WAL_LAST };
enum wal_state {
    WAL_SOUND,
    WAL_END,    /* nothing more in this block: too few bytes for a header, or space that was set aside */
    WAL_LONGER, /* the block ends before the record does */
    WAL_BAD,    /* its checksum or type is wrong */
};
struct wal_record {
    enum wal_type type;
    struct str data;
};
/* The record at `at` of a block. */
enum wal_state wal_record(struct str block, size_t at, struct wal_record *out);
/* Where in the block the next sound record begins, at `at` or behind it; false: nowhere. */
bool wal_next_sound(struct str block, size_t at, size_t *found);
/* What stands at `at` is not sound: is it a record in which exactly one bit is wrong? Then *bit is its number in the block (of a
 * byte the lowest first). A single bit is told for certain; of what is damaged otherwise, or was cut short, one record in 2^32
 * divided by its bits (of the longest: in 16,000) looks so. */
bool wal_wrong_bit(struct str block, size_t at, size_t *bit);

struct wal_row {
    enum kv_op_kind kind;
    enum kv_space space;
    struct str key, value; /* of a range: its end */
};
/* Where the first record begins that is not sound, in a file of this form in a folder; false: nowhere, or it cannot be read. Reads
 * files; says nothing of what is missing. */
bool wal_first_unsound(const char *dir, const char *file, uint64_t *offset);

/* Batches out of the blocks of a log, one block after the other: a batch may be in several records, of several blocks. Each
 * record that is not sound is stepped over, or set right when it is a single bit. */
struct wal_walk {
    void (*each)(void *ctx, struct str batch);
    void *ctx;
    struct buf batch; /* of the fragments so far */
    bool open;        /* its beginning was there */
};
void wal_walk_init(struct wal_walk *w, void (*each)(void *ctx, struct str batch), void *ctx);
/* From byte `at` of the block on, whose bytes may be changed. Another log begins: w->open = false. */
void wal_walk_block(struct wal_walk *w, char *bytes, size_t n, size_t at);
void wal_walk_release(struct wal_walk *w);

/* The rows of a batch, in order; false at the first thing that is none. */
bool wal_batch_rows(struct str batch, void (*each)(void *ctx, const struct wal_row *row), void *ctx);

#endif
