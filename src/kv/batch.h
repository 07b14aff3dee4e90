/* SPDX-License-Identifier: Apache-2.0
 *
 * The indexed batch: what the closures of one batch have written so far, in memory, so that each sees what
 * those before it wrote. RocksDB's own indexed batch is not used: it copies every value that is read, keeps
 * overwritten rows, and cannot tell our counters from rows. Committer thread only; keys and values stay in
 * place until batch_reset. */
#ifndef BELFRY_KV_BATCH_H
#define BELFRY_KV_BATCH_H

#include "base/arena.h"
#include "kv/backend.h"

#define KV_BATCH_COMMITS 64
#define KV_BATCH_ROWS    512
#define KV_BATCH_BYTES   (4u << 20)
/* Rows, counters and the last closure's overshoot stay well below. A power of two. */
#define KV_BATCH_SLOTS 4096

struct kv_counter {
    struct str key;
    int64_t value[KV_COUNTERS];
    bool live; /* false: the row was put or deleted after the last add; the next add reads it again */
};
struct kv_hook {
    void (*fn)(void *arg);
    void *arg;
};

struct kv_batch {
    struct arena mem;
    struct kv_op *ops;
    size_t n_ops, cap_ops;
    struct kv_counter *counters;
    size_t n_counters, cap_counters;
    struct kv_hook *hooks;
    size_t n_hooks, cap_hooks;
    size_t rows, bytes; /* read and written by the closures so far */
    uint64_t sequence;  /* last number handed out in this batch; 0: none */
    bool broken;        /* a counter could not be read: the batch must not be written */
    struct err why;
    size_t used;                    /* slots */
    uint32_t slots[KV_BATCH_SLOTS]; /* 0: free; index of an op + 1, or of a counter + 1 with SLOT_COUNTER */
};

void batch_init(struct kv_batch *b);
void batch_release(struct kv_batch *b);
/* Empties the batch, keeps the arrays. */
void batch_reset(struct kv_batch *b);
/* Appends an op, or replaces the one for the same row. Copies key and value. Point ops only. */
void batch_set(struct kv_batch *b, enum kv_op_kind kind, enum kv_space space, struct str key,
               struct str value);
/* Appends an op without indexing it: plain writes, which read nothing, in the order given. */
void batch_append(struct kv_batch *b, enum kv_op_kind kind, enum kv_space space, struct str key,
                  struct str value);
/* The op that wrote this row, or NULL. Valid until the next batch_set. */
const struct kv_op *batch_find(const struct kv_batch *b, enum kv_space space, struct str key);
/* The same by search over all ops, for what batch_append wrote: the last one that touches the row, ranges
 * included. */
const struct kv_op *batch_search(const struct kv_batch *b, enum kv_space space, struct str key);
/* The counter of that key, or NULL; and a new one, with zeros, not live. Valid until the next
 * batch_counter_new. */
struct kv_counter *batch_counter(struct kv_batch *b, struct str key);
struct kv_counter *batch_counter_new(struct kv_batch *b, struct str key);
void batch_hook(struct kv_batch *b, void (*fn)(void *arg), void *arg);

#endif
