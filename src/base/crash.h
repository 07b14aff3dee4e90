/* SPDX-License-Identifier: Apache-2.0
 *
 * Named points where a test may end the process as SIGKILL would. In a normal run each costs one read of a flag.
 * BELFRY_CRASH_AT=name:n kills the process the n-th time the point is passed. The names are one table. */
#ifndef BELFRY_BASE_CRASH_H
#define BELFRY_BASE_CRASH_H

#include <stdbool.h>

#define CRASH_POINTS(X) \
    X(BLOB_CREATED, "blob-created") /* file exists, nothing written */ \
    X(BLOB_HALF, "blob-half")       /* some bytes of a body are in the file */ \
    X(BLOB_BEFORE_SYNC, "blob-before-sync") \
    X(BLOB_SYNCED, "blob-synced")               /* file and directory synced, no commit yet */ \
    X(BATCH_BEFORE_WRITE, "batch-before-write") /* closures ran, nothing written */ \
    X(BATCH_WRITTEN, "batch-written")           /* durable, nobody told */ \
    X(BEFORE_REPLY, "before-reply") \
    X(AFTER_REPLY, "after-reply") \
    X(EVENT_BEFORE_SEND, "event-before-send") \
    X(EVENT_SENT, "event-sent") /* confirmed, row still there */ \
    X(EVENT_REMOVED, "event-removed") \
    X(JANITOR_BEFORE_UNLINK, "janitor-before-unlink") \
    X(JANITOR_UNLINKED, "janitor-unlinked") /* file gone, garbage row still there */ \
    X(EXTENTS_WRITTEN, "extents-written")   /* row of many extents, no commit that uses it yet */ \
    X(JANITOR_PARTS, "janitor-parts")       /* some parts of an upload that is over are gone */ \
    X(JANITOR_EXTENTS, "janitor-extents")   /* some extents of an object that is gone are garbage rows */ \
    X(QUEUE_DIR_TAKEN, "queue-dir-taken")   /* *.event file committed, not unlinked */

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
