/* SPDX-License-Identifier: Apache-2.0
 *
 * Segments: a long backlog of a target that takes no events, moved out of the store into files of its queue_dir.
 *
 * What moves. A target that was offline or broken for SEGMENT_AFTER_MS and has more than SEGMENT_KEEP + SEGMENT_ROWS
 * events waiting in the store: its oldest ones, SEGMENT_ROWS at a time (or SEGMENT_BYTES), until only the newest SEGMENT_KEEP
 * are left there. Never what is in the window or in a lane: that may be with the target already. A short outage, and the
 * newest events of a long one, never touch a file.
 *
 * Who moves it. The sender's thread, which has nothing else to do while it waits for its target, and which alone knows what
 * it holds. Between two segments it rests three times as long as the last one took, so that most of the disk and of the
 * committer is left to the clients.
 *
 * Where an event is. In exactly one place at any instant: 1. a synced row `s` names the file; 2. the file is written, synced,
 * its folder too; 3. one synced write replaces the SEGMENT_ROWS rows by one segment row in the place of the first of them,
 * and removes `s`. When all its events are resolved, the write that removes the last of them removes the segment row and
 * puts `s` back. An `s` row found at the start names a file that no segment row names (both change in one write), so the file
 * goes; nothing is ever inferred from absence. While the server runs, a file is removed only once the removal of its row is
 * synced: else a crash could bring the row back and not the file.
 *
 * Progress. The segment row has one bit per event, so events are resolved in any order (lanes, dead letters, batches that
 * overtake each other) and a restart repeats what was in flight, as with rows. The counters of the queue count events,
 * wherever they are.
 *
 * The file. queue_dir/belfry-TYPE-ID/FIRST-LAST-SEGMENTID.jsonl, folder 0700, file 0600 (names of keys and users' metadata are
 * in it); MinIO's own files lie in queue_dir/minio-TYPE-ID and end with .event. The id is random, so that two servers may
 * share a queue_dir. One JSON object a line:
 *
 *   {"belfry":"segment","version":1,"target":"webhook:primary","id":"..","first":"..","last":"..","count":1000}
 *   {"crc":"7f0c21aa","n":0,"seq":"179A...","stale":0,"attempts":0,"name":"s3:ObjectCreated:Put","bucket":"b",
 *    "key":"a%20b","record":{...}}          (in one line)
 *
 * name, bucket and key are percent-encoded where they are not plain. crc: CRC-32C, begun with id and first, of the line from
 * behind the crc up to its end: a line of another segment, or in which a bit flipped, is no event. So each line stands by
 * itself, whatever happened before it, and what is missing is known from the row: no trailer is needed to see a torn file.
 *
 * What is missing or damaged is counted (n lost events of which range: log, status, metric), once; all else is delivered. But
 * a whole folder that is not there, or a file that cannot be read, is a disk that is not mounted or not well: then the target
 * waits and says so. (To give such events up: make the folder, or remove the file.)
 *
 * Rows: q target-number first -> segment row (begins with SEGMENT_VERSION where an event's has its version); KV_META:
 * s target-number id -> path; ns target-number -> events and segments in files; nl target-number -> events lost, ever. */
#ifndef BELFRY_EVENT_SEGMENT_H
#define BELFRY_EVENT_SEGMENT_H

#include "base/arena.h"
#include "base/err.h"
#include "event/outbox_row.h"

#define SEGMENT_ROWS     1000
#define SEGMENT_BYTES    (4u << 20) /* of values; the last one may pass it */
#define SEGMENT_TEXT_MAX (64u << 20)
#define SEGMENT_ROW_MAX  (1u << 20) /* of the texts of an event; what is larger is none of ours */
#define SEGMENT_AFTER_MS 30000
#define SEGMENT_KEEP     10000

/* The same as numbers that tests may set: BELFRY_TEST_SEGMENTS=keep:after_ms:rows. Read once. Any thread. */
struct segment_limits {
    uint32_t rows;
    int64_t keep, after_ms;
};
const struct segment_limits *segment_limits(void);

/* --- segment_format.c: pure --------------------------------------------------------------------------------------- */

struct segment_id {
    uint64_t first, last, id;
};
/* A segment row. done: one bit per event, (count + 7) / 8 bytes; bytes: of the events that are left. */
struct segment_row {
    struct segment_id is;
    uint32_t count, left;
    uint64_t bytes;
    struct str path, done;
};
bool segment_row_is(struct str value); /* and not an event */
static inline bool segment_is_done(struct str done, uint32_t n)
{
    return (uint8_t)done.p[n / 8] >> n % 8 & 1;
}
void segment_row_encode(const struct segment_row *row, struct buf *b);
/* Views into `value`; `first` comes from the row's key. False when malformed. */
bool segment_row_decode(struct str value, uint64_t first, struct segment_row *out);

struct row_key segment_file_key(uint32_t target, uint64_t id); /* KV_META, s */
struct row_key segment_counter_key(uint32_t target);           /* KV_META, ns */
struct row_key segment_lost_key(uint32_t target);              /* KV_META, nl */
bool segment_file_key_parse(struct str key, uint32_t *target); /* of an s row */
#define SEGMENT_FILE_FIRST STR("s")
#define SEGMENT_FILE_END   STR("t")

void segment_name(struct buf *b, const struct segment_id *is);
void segment_header(struct buf *b, const struct segment_id *is, const char *label, uint32_t count);
void segment_line(struct buf *b, const struct segment_id *is, uint32_t n, uint64_t seq,
                  const struct outbox_row *row);
struct segment_line {
    uint32_t n;
    uint64_t seq;
    struct outbox_row row; /* in the arena, the record in the line */
};
/* A line without its LF. False: it is no whole line of that segment. */
bool segment_line_parse(struct str line, const struct segment_id *is, struct arena *a,
                        struct segment_line *out);
/* The header line is what it was written as. */
bool segment_header_ok(struct str line, const struct segment_id *is, uint32_t count);

/* --- segment_left.c: pure; the events of a segment in use that are left. They take the memory of as many, or of twice as many,
 * as there are. Its owner's thread only. */

struct left_event {
    uint64_t seq;
    uint32_t n;  /* its place in the segment */
    uint32_t at; /* where its line begins in the file; LINE_MISSING */
};
#define LINE_MISSING UINT32_MAX
struct segment_left {
    struct left_event *v; /* in order; some of them are gone */
    uint32_t n, left;
};
/* By the bits of a segment's row. Where their lines are, and their numbers, is for who reads the file to say: in order, those
 * that are missing have the number of the one before. */
void segment_left_init(struct segment_left *l, struct str done, uint32_t count);
void segment_left_release(struct segment_left *l);
/* The event of that place; the first that is left from that place on; that of this number, if its line is there. Or NULL. Valid
 * until one is removed. */
struct left_event *segment_left_at(const struct segment_left *l, uint32_t n);
struct left_event *segment_left_from(const struct segment_left *l, uint32_t n);
struct left_event *segment_left_seq(const struct segment_left *l, uint64_t seq);
/* The event of that place, which is left, is resolved. */
void segment_left_remove(struct segment_left *l, uint32_t n);
/* The bits for the row: (count + 7) / 8 bytes. */
void segment_left_done(const struct segment_left *l, uint32_t count, char *done);

/* --- segment_file.c: may block ------------------------------------------------------------------------------------ */

/* Makes `folder`, in a queue_dir that is there, durably. */
bool segment_folder_make(const char *folder, struct err *e);
/* Writes a new file and makes it durable. False: nothing is left, unless *left. */
bool segment_file_write(const char *path, struct str text, bool *left, struct err *e);
enum segment_result {
    SEGMENT_OK,
    SEGMENT_GONE,      /* the file is not there, its folder is */
    SEGMENT_UNREADABLE /* err says why, and what to do */
};
/* The text of a file, or SEGMENT_GONE. */
enum segment_result segment_file_read(const char *path, struct buf *out, struct err *e);
/* One line, without its LF, from this offset on. */
enum segment_result segment_file_line(const char *path, uint64_t at, struct buf *out, struct err *e);
/* It will be read soon. */
void segment_file_hint(const char *path);
/* Removes the file, and makes that durable unless `sync` is false. A file that is gone is fine; without the folder it is an
 * error: it may be there another day. */
bool segment_file_remove(const char *path, bool sync, struct err *e);
bool segment_folder_sync(const char *path, struct err *e); /* the folder of that file */
/* Bytes free where folder is, less what is to stay free: reserve, or where that is < 0 the smaller of 5 % and 1 GiB. */
bool segment_room(const char *folder, int64_t reserve, int64_t *room, struct err *e);

/* --- segment_check.c ---------------------------------------------------------------------------------------------- */

struct kv;
/* belfry check: the queues' counters, and every segment with its lines. Each finding is one text. */
void segments_check(struct kv *kv, void (*finding)(void *ctx, const char *text), void *ctx);
/* What is in a row of a queue: events and their bytes; of those, events in a segment, and segments. Its last number. */
uint64_t segments_weigh(uint64_t seq, struct str value, int64_t events[2], int64_t in_files[2]);

#endif
