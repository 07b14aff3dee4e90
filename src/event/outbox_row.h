/* SPDX-License-Identifier: Apache-2.0
 *
 * The bytes of the rows of delivery: keys and values. Pure. */
#ifndef BELFRY_EVENT_OUTBOX_ROW_H
#define BELFRY_EVENT_OUTBOX_ROW_H

#include "base/buf.h"

/* A short key, by value. */
struct row_key {
    char p[16];
    size_t n;
};
static inline struct str row_key_str(const struct row_key *k)
{
    return str_n(k->p, k->n);
}
struct row_key outbox_key(uint32_t target, uint64_t seq);      /* KV_QUEUE */
struct row_key dead_letter_key(uint32_t target, uint64_t seq); /* KV_QUEUE */
/* Counters (KV_META): rows and bytes of the outbox, and of the dead letters. */
struct row_key outbox_counter_key(uint32_t target);
struct row_key dead_letter_counter_key(uint32_t target);
struct row_key paused_key(uint32_t target); /* KV_META, empty: an administrator has paused the target */
struct row_key cursor_key(uint32_t target); /* KV_META: be64, everything before it is resolved */
/* The sequencer in a key of outbox or dead letters. */
bool outbox_key_seq(struct str key, uint64_t *seq);
/* KV_META, appended: the number (be32) of a target, and a file of queue_dir that was taken in (be64: its row). */
void target_number_key(struct buf *b, struct str type, struct str id);
void taken_file_key(struct buf *b, uint32_t target, struct str file);
#define TARGET_LAST_NUMBER_KEY STR("x") /* be32: the highest number given */
#define TARGET_NUMBER_FIRST    STR("x")
#define TARGET_NUMBER_END      STR("y")

/* A queued event, and a dead letter (then with reason and time). */
struct outbox_row {
    bool stale;
    uint32_t attempts;
    struct str name, bucket, key, record;
    struct str reason;
    int64_t dead_ns; /* 0: not dead */
};
void outbox_row_encode(const struct outbox_row *row, struct buf *b);
/* Views into `value`; false when malformed. */
bool outbox_row_decode(struct str value, struct outbox_row *out);

#endif
