/* SPDX-License-Identifier: Apache-2.0
 *
 * Dead letters: events that a receiver refused for good, kept with the reason until someone looks at them. What is here finds
 * them, and takes them out inside a closure: to be forgotten, or queued again. */
#ifndef BELFRY_EVENT_DEAD_LETTER_H
#define BELFRY_EVENT_DEAD_LETTER_H

#include "event/delivery.h"
#include "event/outbox_row.h"

/* Which ones. Zeroed: all. */
struct dead_filter {
    struct str bucket; /* n 0: any */
    struct str prefix; /* of the key */
    struct str reason; /* must be in its reason */
    int64_t since_ns;  /* died at this time or later; 0: any */
    int64_t until_ns;  /* before this time; 0: any */
};
/* Pure. */
bool dead_filter_matches(const struct dead_filter *f, const struct outbox_row *row);

struct dead_letter {
    uint64_t seq; /* with the target's number its name: of the queued event that it was */
    struct outbox_row row;
};
/* Calls `each` for the dead letters of a target with numbers above `after`, in order, until it returns false; what it gets is
 * valid during the call. A row that cannot be read is logged and left out. False and err: the rest cannot be read. For
 * workers. */
bool dead_letters_scan(struct kv *kv, uint32_t target, uint64_t after,
                       bool (*each)(void *ctx, const struct dead_letter *l), void *ctx, struct err *e);

/* Inside a closure. KV_MISSING: it is not there any more. On KV_FOUND *row is a copy in the arena, and *size is for
 * dead_letter_txn_drop. */
enum kv_result dead_letter_txn_get(struct kv_txn *t, uint32_t target, uint64_t seq, struct arena *a,
                                   struct outbox_row *row, size_t *size);
/* Takes it out. Rows: 2. */
void dead_letter_txn_drop(struct kv_txn *t, struct delivery *d, uint32_t target, uint64_t seq, size_t size);

#endif
