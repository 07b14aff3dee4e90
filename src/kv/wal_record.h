/* SPDX-License-Identifier: Apache-2.0
 *
 * The records of RocksDB's logs, as bytes: the write-ahead log and the MANIFEST have the same form (wal.h), and a record of
 * the write-ahead log is a batch of rows ("WriteBatch" in RocksDB's write_batch.cc: sequence number, 8 bytes; count, 4; then
 * for each row a tag, the number of its column family unless that is the default, key and value with their lengths before
 * them). Pure. For saying what is damaged, and what stands behind it. */
#ifndef BELFRY_KV_WAL_RECORD_H
#define BELFRY_KV_WAL_RECORD_H

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
 * byte the lowest first). The checksum tells it without doubt; a write that was cut short is no such record, so this tells a
 * damaged tail from a torn one, too. */
bool wal_wrong_bit(struct str block, size_t at, size_t *bit);

struct wal_row {
    enum kv_op_kind kind;
    enum kv_space space;
    struct str key, value; /* of a range: its end */
};
/* The rows of a batch, in order; false at the first thing that is none. */
bool wal_batch_rows(struct str batch, void (*each)(void *ctx, const struct wal_row *row), void *ctx);

#endif
