/* SPDX-License-Identifier: Apache-2.0
 *
 * Named points where a test may end the process as SIGKILL would. In a normal run each costs one read of a flag.
 * BELFRY_CRASH_AT=name:n kills the process the n-th time the point is passed. The names are one table. */
#ifndef BELFRY_BASE_CRASH_H
#define BELFRY_BASE_CRASH_H

#include <stdbool.h>

#define CRASH_POINTS(X) \
    X(FORMAT_WRITTEN, "format-written") /* of a new store: synced, not under its name yet */ \
    X(STORE_BORN, "store-born") /* the first rows of a new store are there, no target has a number */ \
    X(TARGET_NUMBERED, "target-numbered") /* a target's number is durable, nothing is queued under it */ \
    X(T_ROWS_WRITTEN, "t-rows-written")   /* bodies are named, none of their files exists */ \
    X(BLOB_CREATED, "blob-created")       /* file exists, nothing written */ \
    X(BLOB_HALF, "blob-half")             /* some bytes of a body are in the file */ \
    X(BLOB_BEFORE_SYNC, "blob-before-sync") \
    X(BLOB_SYNCED, "blob-synced")               /* file and directory synced, no commit yet */ \
    X(BATCH_BEFORE_WRITE, "batch-before-write") /* closures ran, nothing written */ \
    X(BATCH_WRITTEN, "batch-written")           /* durable, nobody told */ \
    X(PLAIN_BEFORE_WRITE, \
      "plain-before-write") /* the same of a batch without conditions, mostly unsynced */ \
    X(PLAIN_WRITTEN, "plain-written") \
    X(BUCKET_MADE, "bucket-made")           /* durable, not answered */ \
    X(BUCKET_REMOVED, "bucket-removed")     /* durable, not answered, its rows still there */ \
    X(RULES_WRITTEN, "rules-written")       /* durable, not answered */ \
    X(UPLOAD_COMPLETED, "upload-completed") /* durable, not answered, rows of its parts still there */ \
    X(UPLOAD_ABORTED, "upload-aborted")     /* the same */ \
    X(CONFIG_WRITTEN, "config-written")     /* settings are durable, the old ones in force */ \
    X(TARGETS_SWITCHED, "targets-switched") /* commits see the new targets, the old senders still send */ \
    X(TARGETS_STOPPED, "targets-stopped")   /* the old senders have ended, the new ones not begun */ \
    X(BEFORE_REPLY, "before-reply") \
    X(AFTER_REPLY, "after-reply") \
    X(EVENT_BEFORE_SEND, "event-before-send") \
    X(EVENT_SENT, "event-sent") /* confirmed, row still there */ \
    X(EVENT_REMOVED, "event-removed") \
    X(DEAD_LETTER, "dead-letter")       /* an event has moved to the dead letters */ \
    X(HISTORY_CUT, "history-cut")       /* the far end of the listeners' history is gone */ \
    X(JANITOR_SWEPT, "janitor-swept")   /* at a start: unfinished files are gone, their rows still there */ \
    X(JANITOR_BUCKET, "janitor-bucket") /* some objects of a bucket that is gone are */ \
    X(JANITOR_BEFORE_UNLINK, "janitor-before-unlink") \
    X(JANITOR_UNLINKED, "janitor-unlinked") /* file gone, garbage row still there */ \
    X(EXTENTS_WRITTEN, "extents-written")   /* row of many extents, no commit that uses it yet */ \
    X(JANITOR_PARTS, "janitor-parts")       /* some parts of an upload that is over are gone */ \
    X(JANITOR_EXTENTS, "janitor-extents")   /* some extents of an object that is gone are garbage rows */ \
    X(QUEUE_DIR_TAKEN, "queue-dir-taken")   /* *.event file committed, not unlinked */ \
    X(QUEUE_DIR_UNLINKED, "queue-dir-unlinked") /* unlinked, its name still remembered */ \
    X(STOPPING, "stopping") /* after SIGTERM: requests and senders have ended, the store is open */ \
    X(SEGMENT_NAMED, "segment-named") /* row that names the file of a segment, no file yet */ \
    X(SEGMENT_HALF, "segment-half")   /* some lines are in it */ \
    X(SEGMENT_BEFORE_SYNC, "segment-before-sync") \
    X(SEGMENT_SYNCED, "segment-synced") /* file and folder synced, its events are still rows */ \
    X(SEGMENT_MOVED, "segment-moved")   /* its events are rows no more */ \
    X(SEGMENT_OPENED, "segment-opened") /* read, nothing sent yet */ \
    X(SEGMENT_BEFORE_UNLINK, "segment-before-unlink") /* its row is gone for good, the file is there */ \
    X(SEGMENT_UNLINKED, "segment-unlinked")           /* file gone, the row that names it is there */

enum crash_point {
#define CRASH_ENUM(id, name) CRASH_##id,
    CRASH_POINTS(CRASH_ENUM)
#undef CRASH_ENUM
        CRASH_COUNT
};

/* Reads BELFRY_CRASH_AT; false when it names no point. */
bool crash_init(void);
const char *crash_point_name(enum crash_point p);
extern bool crash_armed;
void crash_check(enum crash_point p);
static inline void crash_point(enum crash_point p)
{
    if (__builtin_expect(crash_armed, 0))
        crash_check(p);
}

#endif
