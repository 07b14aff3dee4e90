/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of the write-ahead log after a crash. Concept: what was synced is on the disk as it was written; of what was
 * written since, anything may be there: nothing, a part, pages of it in any order with zeros or old blocks between them,
 * and a younger log without the end of the older one. That is no damage, nothing of it was acknowledged, and the store must
 * open by itself, with the rows up to the first gap. But a flipped bit looks the same, and must not be taken for it: cutting
 * the log there would drop what was acknowledged.
 *
 * What tells them apart: every batch carries a *mark*, the sequence number up to which all batches were synced when it was
 * written. A sound batch behind the bad place whose mark covers the bad place proves that this had been synced: damage, and
 * the start is refused. (So is one without a mark, which Belfry before this wrote.) If no batch proves that, nothing behind
 * the bad place was synced, for the sync of a later batch would have synced the bad place as well, and the batch after that
 * would say so. What cannot be told is damage to the very last batch that was synced, when nothing is behind it; a clean stop
 * writes one more batch, with nothing but its mark.
 *
 * A batch that RocksDB would apply behind a gap (it does not hold sequence numbers against each other in the recovery mode
 * that we use, and takes zeros for space that was set aside) would be a change without those before it. So batches must
 * follow each other without a gap, over all logs that are in use, and what is behind a gap is cut off before RocksDB opens
 * the log.
 *
 * The MANIFEST, which says what tables and logs are in use, may end in the same way. Each of its edits is synced before the
 * files that it makes superfluous are removed; so a MANIFEST that ends at a bad place describes a state that is whole as long
 * as everything that it names is there: its tables (RocksDB looks), and the logs that it needs. So a mark has a second number:
 * the oldest log that was needed when its batch was written, which RocksDB says once the edit that says so is synced. A batch
 * whose mark needs no log as old as the MANIFEST does up to the bad place proves that more of it had been synced: damage. If
 * there is none, it is cut; but never within the edits that a new MANIFEST begins with, which describe no state before all of
 * them are there, and are synced before CURRENT names it.
 *
 * Sources: RocksDB's wiki, "Write Ahead Log File Format"; WriteBatch: sequence number (8 bytes, little-endian, of its first
 * row), number of rows (4), rows; the mark is its first entry, "log data" (tag 3, length, bytes), which is no row. */
#ifndef BELFRY_KV_TAIL_H
#define BELFRY_KV_TAIL_H

#include "base/err.h"
#include "base/str.h"
#include "kv/wal.h"

#define TAIL_MARK 20 /* bytes */
/* The mark of a batch: everything up to this sequence number is synced; logs older than this one are not needed. */
void tail_mark(uint64_t synced, uint64_t oldest_log, char out[TAIL_MARK]);

/* One batch of a log, as far as it matters here. */
struct tail_batch {
    uint64_t first; /* its sequence number */
    uint32_t rows;  /* the next batch begins at first + rows */
    bool marked;
    uint64_t synced, oldest_log; /* its mark */
};
enum tail_next { TAIL_BATCH, TAIL_END, TAIL_BAD };
/* The batch at *at of a log's bytes; *at is behind it then. TAIL_END: there is none, and nothing else. Pure. */
enum tail_next tail_next(struct str log, size_t *at, struct tail_batch *out);
/* Does a batch behind `at` prove that the batch with sequence number `wanted` (0: the one before the first batch that is
 * found) was synced? If none does, *oldest_log is raised to the highest of their marks. Pure. */
bool tail_proves(struct str log, size_t at, uint64_t *wanted, uint64_t *oldest_log);

/* What the records of a MANIFEST say up to the first bad place, at `end`. */
struct tail_manifest {
    size_t end;
    bool whole;          /* there is no bad place */
    bool begun;          /* up to there it describes a state */
    uint64_t oldest_log; /* that is in use; 0: none is named */
};
/* Pure. */
void tail_read_manifest(struct str bytes, struct tail_manifest *out);

/* The first bad places of a store's MANIFEST and log; file[0] == 0: none. */
struct tail_ends {
    struct wal_damage manifest, log;
};
enum tail_state { TAIL_WHOLE, TAIL_TORN, TAIL_DAMAGED };
/* Looks at CURRENT's MANIFEST, and at the logs that are in use. Damage is in err: TAIL_DAMAGED, also when they cannot be read. */
enum tail_state tail_look(const char *dir, struct tail_ends *ends, struct err *e);
/* Cuts what is torn there, and empties the logs behind the torn one; durable. Who calls it is the only one with this folder
 * open. */
bool tail_cut(const char *dir, const struct tail_ends *ends, struct err *e);
/* For reading only: a folder of links in which that is cut, the rest being as it is. *out is malloc'd; to be removed (and freed)
 * when nobody reads any more. */
bool tail_shadow(const char *dir, const struct tail_ends *ends, char **out, struct err *e);
void tail_shadow_remove(char *path); /* NULL is fine */

#endif
