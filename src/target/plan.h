/* SPDX-License-Identifier: Apache-2.0
 *
 * What becomes of each event of a batch, for the kinds that have the formats `namespace` and `access` and get a batch as a
 * whole; and what an event looks like there (notifications.md 2.6, 2.7). Pure, any thread. */
#ifndef BELFRY_TARGET_PLAN_H
#define BELFRY_TARGET_PLAN_H

#include "target/target.h"

/* As TARGET_KEY_FORMAT numbers them. */
enum plan_format { FORMAT_NAMESPACE, FORMAT_ACCESS };

enum plan_part {
    PLAN_SET,     /* written, or appended */
    PLAN_DELETE,  /* removed */
    PLAN_SKIP,    /* nothing is to be sent: a read event of an object that is gone */
    PLAN_BEHIND,  /* a later event of the same key says it all; shares its outcome */
    PLAN_TOO_BIG, /* larger than PLAN_EVENT_MAX */
};
struct plan_step {
    enum plan_part part;
    unsigned last; /* PLAN_BEHIND: the event that it shares the outcome of */
};
#define PLAN_MAX_BATCH 256  /* of the kinds that have no bound of their own */
#define PLAN_MOST      1024 /* events of a plan */
#define PLAN_EVENT_MAX (1u << 20)
/* Fills steps[0..n), n up to PLAN_MOST. In format access every event is sent, in namespace the last one of each key. */
void plan_batch(const struct event_ref *ev, size_t n, enum plan_format format, struct plan_step *steps);

/* After the batch: the outcomes that follow from others; and the reasons, ev[i].why and err, of all that are not OK and have
 * none yet. `why` is the reason of those. */
void plan_finish(const struct event_ref *ev, size_t n, const struct plan_step *steps, enum send_result *out,
                 const char *why, struct err *e);

/* Appends "bucket/key", raw; and {"Records":[record]}, which is PLAN_RECORDS bytes longer than the record. */
void plan_key(struct buf *b, const struct event_ref *ev);
void plan_records(struct buf *b, const struct event_ref *ev);
#define PLAN_RECORDS (sizeof("{\"Records\":[]}") - 1)

#endif
