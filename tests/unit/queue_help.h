/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of a target's queue, for tests of the store: the headers of both have a struct row_key of their own. */
#ifndef BELFRY_TESTS_QUEUE_HELP_H
#define BELFRY_TESTS_QUEUE_HELP_H

#include "store/store.h"

extern const struct store_events queue_events;

/* That webhook:1 has this number, and the highest that was given. */
void queue_put_target(struct kv_txn *t, uint32_t number, uint32_t last);
/* An event, or a dead letter; the size of its row. */
size_t queue_put_event(struct kv_txn *t, uint32_t number, uint64_t seq, bool dead);
void queue_put_counter(struct kv_txn *t, uint32_t number, bool dead, uint64_t rows, uint64_t bytes);
void queue_put_cursor(struct kv_txn *t, uint32_t number, uint64_t seq);
/* Those of [from, to). */
void queue_remove(struct kv_txn *t, uint32_t number, uint64_t from, uint64_t to);
/* A segment that stands for those of [first, last], of which so many are left: in the place of their rows, or of its own. */
void queue_put_segment(struct kv_txn *t, uint32_t number, uint64_t first, uint64_t last, uint32_t left);
int64_t queue_counted(struct kv *kv, uint32_t number);
bool queue_has_cursor(struct kv *kv, uint32_t number);
uint32_t queue_last_number(struct kv *kv);

#endif
