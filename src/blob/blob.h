/* SPDX-License-Identifier: Apache-2.0
 *
 * Immutable byte strings in files. A blob is written once under its final name (ids are unique, nothing names
 * it before the commit that needs it), synced, and never changed; each 64 KiB block carries a CRC-32C, kept
 * behind the data, and is verified whenever it is read. Layout of a file: data, then one little-endian
 * CRC-32C per block (the table), then a footer of BLOB_FOOTER bytes: magic "BELFBLOB", version, block size,
 * length, id, reserved, CRC-32C of the footer before it (numbers little-endian, 4, 4, 8, 8, 4, 4 bytes). The
 * table needs no checksum: a damaged entry is a block that does not match. Files lie in 256 sub-folders, by
 * the last two hex digits of the id: ab/00000000000123ab. */
#ifndef BELFRY_BLOB_BLOB_H
#define BELFRY_BLOB_BLOB_H

#include "base/err.h"
#include "base/str.h"

#define BLOB_BLOCK  (64u << 10)
#define BLOB_FOOTER 40u

struct blobs; /* the folder; thread-safe */
/* Opens (creates, with its sub-folders, durably) the folder. With read_only nothing is created. */
struct blobs *blobs_open(const char *dir, bool read_only, struct err *e);
/* All readers and writers are closed. */
void blobs_close(struct blobs *b);
/* A sync failed: what the disk holds is not known any more, nothing may be written until the folder is opened
 * again. Any thread; cheap. */
bool blobs_failed(struct blobs *b, struct err *why);

/* Writing: one thread at a time, may block. A writer that is not finished must be discarded: the file is
 * removed. */
struct blob_writer;
struct blob_writer *blob_create(struct blobs *b, uint64_t id, struct err *e);
bool blob_append(struct blob_writer *w, const void *p, size_t n, struct err *e);
/* Table, footer, fdatasync, close, fsync of the directory. true: durable, w is freed. false: w is still to be
 * discarded; e says why; blob_err_is_full() tells ENOSPC/EDQUOT apart. */
bool blob_finish(struct blob_writer *w, struct err *e);
void blob_discard(struct blob_writer *w);
/* Of the calling thread's last failed blob call: no space; or bytes that were read and are damaged (blob_copy's source, not
 * its target). */
bool blob_err_is_full(void);
bool blob_err_is_damage(void);

/* Reading: may block; a reader is used by one thread at a time. BLOB_DAMAGED: a bad footer, or an error of
 * the disk. */
enum blob_result { BLOB_OK, BLOB_MISSING, BLOB_DAMAGED };
struct blob_reader;
enum blob_result blob_open(struct blobs *b, uint64_t id, struct blob_reader **out, struct err *e);
uint64_t blob_size(const struct blob_reader *r);
int blob_fd(const struct blob_reader *r); /* data begins at offset 0 */
/* Verified bytes [off, off + n) into buf. Damage names file and block in err. */
bool blob_read(struct blob_reader *r, uint64_t off, void *buf, size_t n, struct err *e);
/* Verifies every block that [off, off + n) touches (read through the page cache): before sendfile. Blocks
 * that the reader verified just before are not read again. */
bool blob_verify(struct blob_reader *r, uint64_t off, uint64_t n, struct err *e);
void blob_close(struct blob_reader *r);
/* A new, finished blob with the bytes of another (reflink or copy_file_range where possible; verified on the
 * way). On failure nothing is left. */
bool blob_copy(struct blobs *b, struct blob_reader *from, uint64_t new_id, struct err *e);

/* Pins: a pinned blob is not removed. Counted; any thread. blob_pin waits while that very file is being
 * unlinked, so that after it the file is either there until blob_unpin, or gone. blob_unpin never waits for
 * the disk. */
void blob_pin(struct blobs *b, uint64_t id);
void blob_unpin(struct blobs *b, uint64_t id);
enum blob_remove { BLOB_REMOVED, BLOB_BUSY, BLOB_REMOVE_FAILED };
/* Removes the file unless pinned; a missing file counts as removed. Durable after blobs_sync_removed. */
enum blob_remove blob_remove(struct blobs *b, uint64_t id, struct err *e);
/* fsync of the sub-folders in which files were removed (blob_remove, blob_discard) since the last call: after
 * it the rows that name those files may go. May block. */
bool blobs_sync_removed(struct blobs *b, struct err *e);

/* Reads that met damage, or an error of the disk, since the folder was opened. */
uint64_t blobs_damaged(struct blobs *b);
/* One more: the caller knows that a file that is not there should be. */
void blobs_count_damage(struct blobs *b);
/* Calls each for every blob file of the folder, in no order: for belfry check. */
bool blobs_each(struct blobs *b, bool (*each)(void *ctx, uint64_t id, uint64_t file_size), void *ctx,
                struct err *e);
/* Bytes free to us, and in all, on that file system. */
bool blobs_space(struct blobs *b, uint64_t *free_bytes, uint64_t *total_bytes, struct err *e);

#endif
