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
 * the start is refused. (So is one without a mark, where marks are not known: Belfry before this wrote none.) If no batch proves
 * that, no batch behind the bad place was synced either, but perhaps the last: for the sync of a batch syncs what is before it,
 * and the batch after that would say so. What cannot be told is damage to what the very last sync covered, when nothing was
 * written after it; a clean stop writes one more batch, with nothing but its mark. (Nor damage to several batches in a row at
 * the front of the oldest log, when only the first of them were synced, and tables were written since the log was begun.)
 *
 * Bodies of clients are in the log, too, and may be made to look like batches. So a mark names its *writer*, a number that each
 * server draws when it opens the store: where the batches before the bad place have one, in its log or an older one, only its
 * marks count among what is found by searching. (Where none has, all count; but the first batch of a server is no client's, and is
 * synced.) What stands at the beginning of a younger log, batch after batch, is the
 * server's own in any case.
 *
 * A batch that RocksDB would apply behind a gap (it does not hold sequence numbers against each other in the recovery mode
 * that we use, and takes zeros for space that was set aside) would be a change without those before it. So batches must
 * follow each other without a gap, over all logs that are in use, from what the MANIFEST says on; and what is behind a gap is cut
 * off before RocksDB opens the log. A log that is in use was written to before the next one was begun: when it has no batch and
 * the next one does, its batches are missing.
 *
 * A store that was opened has a log at any time. RocksDB syncs the name of the one that it begins with before it removes the
 * MANIFEST that was before; so where there is no other MANIFEST, and no log at all, somebody has removed it. So has somebody where
 * younger ones are there, but not the oldest that is needed: it was made before them.
 *
 * The MANIFEST, which says what tables and logs are in use, may end in the same way. Each of its edits is synced before the
 * files that it makes superfluous are removed; so a MANIFEST that ends at a bad place describes a state that is whole as long
 * as everything that it names is there: its tables (RocksDB looks), and the logs that it needs. So a mark has a third number:
 * the oldest log that was needed when its batch was written, which RocksDB says once the edit that says so is synced. A batch
 * whose mark needs no log as old as the MANIFEST does up to the bad place proves that more of it had been synced: damage. If
 * there is none, and the oldest log that is in use up to there is still there, it is cut, if RocksDB then opens it. But never
 * within the edits that a new MANIFEST begins with, which describe no state before all of them are there, and are synced before
 * CURRENT names it: what there was, and what the server that opened the store made of its logs.
 *
 * Sources: RocksDB's wiki, "Write Ahead Log File Format"; WriteBatch: sequence number (8 bytes, little-endian, of its first
 * row), number of rows (4), rows; the mark is its first entry, "log data" (tag 3, length, bytes), which is no row. Counted on:
 * one writer, so each batch is a record of its own; sequence numbers rise by one for each row and by nothing else; syncing a
 * batch syncs the logs before its own and their folder; logs are not recycled; no two-phase commits, no files ingested. */
#ifndef BELFRY_KV_TAIL_H
#define BELFRY_KV_TAIL_H

#include "base/err.h"
#include "base/str.h"
#include "kv/wal.h"

struct tail_mark {
    uint64_t synced;     /* everything up to this sequence number is */
    uint64_t oldest_log; /* older ones are not needed */
    uint64_t writer;     /* never 0 */
};
#define TAIL_MARK 28 /* bytes */
void tail_mark(const struct tail_mark *m, char out[TAIL_MARK]);

/* --- tail.c: pure ------------------------------------------------------------------------------------------------- */

/* One batch of a log, as far as it matters here. */
struct tail_batch {
    uint64_t first; /* its sequence number */
    uint32_t rows;  /* the next batch begins at first + rows */
    bool marked;
    struct tail_mark mark;
};
enum tail_next { TAIL_BATCH, TAIL_END, TAIL_BAD };
/* The batch at *at of a log's bytes; *at is behind it then. TAIL_END: there is none, and nothing else. TAIL_BAD: *at is where the
 * batch begins, *bad its first bad record. */
enum tail_next tail_next(struct str log, size_t *at, size_t *bad, struct tail_batch *out);

/* A walk over the logs in use, the oldest first. */
struct tail_walk {
    uint64_t wanted;     /* the next batch's sequence number; 0: not known yet, */
    uint64_t most;       /* but no higher than this */
    uint64_t oldest_log; /* the highest that a mark names */
    uint64_t writer;     /* of the batches before this place; 0: they have no marks, or there are none */
};
/* Batch after batch from the beginning of a log, each where the one before it ended. False: *at is where none is, or not the
 * right one, w->wanted the sequence number that should be there, *bad the bad record. */
bool tail_follow(struct str log, struct tail_walk *w, size_t *at, size_t *bad);
/* Does a batch at `at` or behind it prove that the batch with sequence number w->wanted (0: the one before the first batch that is
 * found, or w->most if that is less) was synced? at = 0: from the beginning of a log that may be sound. `span`: bytes of all logs from the bad place to the
 * end of this one; without marks, what is found by searching counts when so many bytes may hold the rows up to it. */
bool tail_proves(struct str log, size_t at, uint64_t span, struct tail_walk *w);

/* What the records of a MANIFEST say up to the first bad place, at `end`. */
struct tail_manifest {
    size_t end;
    bool whole;          /* there is no bad place */
    bool begun;          /* up to there it describes a state */
    uint64_t oldest_log; /* that is in use; 0: none is named */
    uint64_t last;       /* sequence number that was reached */
};
void tail_read_manifest(struct str bytes, struct tail_manifest *out);

/* --- tail_files.c ------------------------------------------------------------------------------------------------- */

enum tail_state { TAIL_WHOLE, TAIL_TORN, TAIL_DAMAGED };
/* `at`: of what is torn, where a batch begins that is to be cut; of what is damaged, its first bad record. */
struct tail_end {
    enum tail_state state;
    bool missing; /* damaged: this log, or one after it, should be there, and none is */
    struct wal_damage at;
};
struct tail_ends {
    struct tail_end manifest, log;
};
/* Looks at CURRENT, its MANIFEST, and at the logs that are in use. False: they cannot be read; an error of the disk is said to be
 * damage, but is never taken for an end that is torn. */
bool tail_look(const char *dir, struct tail_ends *ends, struct err *e);
/* Cuts what is torn, and empties the logs behind the torn one. Who calls it is the only one with this folder open. */
bool tail_cut(const char *dir, const struct tail_ends *ends, struct err *e);

/* --- tail_shadow.c ------------------------------------------------------------------------------------------------ */

/* For reading only: a folder of links in which what is not whole ends there, the rest being as it is. *out is malloc'd; to be
 * removed (and freed) when nobody reads any more. */
bool tail_shadow(const char *dir, const struct tail_ends *ends, char **out, struct err *e);
void tail_shadow_remove(char *path); /* NULL is fine */

#endif
