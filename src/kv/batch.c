/* SPDX-License-Identifier: Apache-2.0
 *
 * The indexed batch: a list of ops, a list of counters, and one open-addressed hash index over both. */
#include "kv/batch.h"

#include <stdlib.h>

#include "base/hash.h"

#define SLOT_COUNTER 0x80000000u

void batch_init(struct kv_batch *b)
{
    memset(b, 0, sizeof(*b));
    arena_init(&b->mem);
}

void batch_release(struct kv_batch *b)
{
    arena_release(&b->mem);
    free(b->ops);
    free(b->counters);
    free(b->hooks);
    memset(b, 0, sizeof(*b));
}

void batch_reset(struct kv_batch *b)
{
    arena_release(&b->mem);
    b->n_ops = b->n_counters = b->n_hooks = 0;
    b->rows = b->bytes = 0;
    b->sequence = 0;
    b->broken = false;
    if (b->used > 0)
        memset(b->slots, 0, sizeof(b->slots));
    b->used = 0;
}

/* Makes room for one more element of `size` bytes. */
static void *grow(void *array, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return array;
    *cap = *cap ? *cap * 2 : 64;
    return x_realloc(array, *cap * size);
}

static uint32_t start_of(uint32_t tag, struct str key)
{
    return hash_crc32c(tag, key.p, key.n) & (KV_BATCH_SLOTS - 1);
}

/* The slot of that row, or the free one where it belongs. */
static uint32_t slot_of_row(const struct kv_batch *b, enum kv_space space, struct str key)
{
    uint32_t i = start_of((uint32_t)space, key);
    for (;; i = (i + 1) & (KV_BATCH_SLOTS - 1)) {
        uint32_t v = b->slots[i];
        if (v == 0)
            return i;
        if (v & SLOT_COUNTER)
            continue;
        const struct kv_op *op = &b->ops[v - 1];
        if (op->space == space && str_eq(op->key, key))
            return i;
    }
}

static uint32_t slot_of_counter(const struct kv_batch *b, struct str key)
{
    uint32_t i = start_of(SLOT_COUNTER, key);
    for (;; i = (i + 1) & (KV_BATCH_SLOTS - 1)) {
        uint32_t v = b->slots[i];
        if (v == 0 || ((v & SLOT_COUNTER) && str_eq(b->counters[(v & ~SLOT_COUNTER) - 1].key, key)))
            return i;
    }
}

/* A probe ends at a free slot, so some must stay free. */
static void take_slot(struct kv_batch *b, uint32_t i, uint32_t v)
{
    BUG_ON(++b->used > KV_BATCH_SLOTS * 3 / 4);
    b->slots[i] = v;
}

void batch_append(struct kv_batch *b, enum kv_op_kind kind, enum kv_space space, struct str key,
                  struct str value)
{
    b->ops = grow(b->ops, b->n_ops, &b->cap_ops, sizeof(*b->ops));
    b->ops[b->n_ops++] = (struct kv_op){kind, space, arena_dup(&b->mem, key), arena_dup(&b->mem, value)};
}

void batch_set(struct kv_batch *b, enum kv_op_kind kind, enum kv_space space, struct str key,
               struct str value)
{
    uint32_t i = slot_of_row(b, space, key);
    if (b->slots[i] != 0) {
        struct kv_op *op = &b->ops[b->slots[i] - 1];
        op->kind = kind;
        op->value = arena_dup(&b->mem, value);
        return;
    }
    batch_append(b, kind, space, key, value);
    take_slot(b, i, (uint32_t)b->n_ops);
}

const struct kv_op *batch_find(const struct kv_batch *b, enum kv_space space, struct str key)
{
    uint32_t v = b->slots[slot_of_row(b, space, key)];
    return v == 0 ? NULL : &b->ops[v - 1];
}

const struct kv_op *batch_search(const struct kv_batch *b, enum kv_space space, struct str key)
{
    for (size_t i = b->n_ops; i-- > 0;) {
        const struct kv_op *op = &b->ops[i];
        if (op->space != space)
            continue;
        bool in_range =
            op->kind == KV_OP_DEL_RANGE && str_cmp(op->key, key) <= 0 && str_cmp(key, op->value) < 0;
        if (in_range || (op->kind != KV_OP_DEL_RANGE && str_eq(op->key, key)))
            return op;
    }
    return NULL;
}

struct kv_counter *batch_counter(struct kv_batch *b, struct str key)
{
    if (b->n_counters == 0)
        return NULL;
    uint32_t v = b->slots[slot_of_counter(b, key)];
    return v == 0 ? NULL : &b->counters[(v & ~SLOT_COUNTER) - 1];
}

struct kv_counter *batch_counter_new(struct kv_batch *b, struct str key)
{
    uint32_t i = slot_of_counter(b, key);
    BUG_ON(b->slots[i] != 0);
    b->counters = grow(b->counters, b->n_counters, &b->cap_counters, sizeof(*b->counters));
    struct kv_counter *c = &b->counters[b->n_counters++];
    *c = (struct kv_counter){.key = arena_dup(&b->mem, key)};
    take_slot(b, i, (uint32_t)b->n_counters | SLOT_COUNTER);
    return c;
}

void batch_hook(struct kv_batch *b, void (*fn)(void *arg), void *arg)
{
    b->hooks = grow(b->hooks, b->n_hooks, &b->cap_hooks, sizeof(*b->hooks));
    b->hooks[b->n_hooks++] = (struct kv_hook){fn, arg};
}
