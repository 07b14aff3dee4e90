/* SPDX-License-Identifier: Apache-2.0
 *
 * What the committer needs from whatever keeps the rows. Two implementations: rocks.c (the store) and
 * memory.c (unit tests, where ThreadSanitizer sees every access). Nothing outside src/kv and its tests
 * includes this. */
#ifndef BELFRY_KV_BACKEND_H
#define BELFRY_KV_BACKEND_H

#include "kv/kv.h"

enum kv_op_kind { KV_OP_PUT, KV_OP_DEL, KV_OP_DEL_RANGE };
/* One change. DEL_RANGE: all keys in [key, value). */
struct kv_op {
    enum kv_op_kind kind;
    enum kv_space space;
    struct str key, value;
};

/* The front of every implementation's scan. */
struct kv_scan {
    const struct kv_backend *backend;
    struct kv *kv; /* set by kv_scan_open */
};

struct kv_backend {
    /* As kv_get. Any thread. */
    enum kv_result (*get)(void *self, enum kv_space space, struct str key, unsigned flags,
                          struct kv_value *out, struct err *e);
    /* Applies all ops, in order, or none, in one step for readers; durable on return when sync. After false
     * the implementation is not asked to write again. Committer thread only. */
    bool (*write)(void *self, const struct kv_op *ops, size_t n, bool sync, struct err *e);
    /* Makes everything written durable: before the end, once. No other thread writes. */
    bool (*sync)(void *self, struct err *e);
    /* How many errors there were so far in the implementation's own threads, after which the next write may fail. Cheap; any
     * thread. NULL: it has none. */
    uint64_t (*trouble)(void *self);
    /* As the functions of kv.h. `end` is only valid during the call. */
    struct kv_scan *(*scan_open)(void *self, enum kv_space space, struct str first, struct str end);
    bool (*scan_next)(struct kv_scan *s, struct str *key, struct str *value);
    void (*scan_seek)(struct kv_scan *s, struct str key);
    bool (*scan_failed)(struct kv_scan *s, struct err *e);
    void (*scan_close)(struct kv_scan *s);
    void (*compact)(void *self, enum kv_space space, struct str first, struct str end);
    bool (*verify)(void *self, void (*bad)(void *ctx, const char *what), void *ctx);
    /* As kv_reclaim. NULL: nothing to be had. */
    bool (*reclaim)(void *self, struct err *e);
    /* Frees. No other call is under way. */
    void (*close)(void *self);
};

/* Reads the high-water row and starts the committer; takes over `self`, also on failure (NULL and err). */
struct kv *kv_start(const struct kv_backend *backend, void *self, bool read_only, struct err *e);

/* For tests: the n-th write from now on (1: the next) of a store opened by kv_open_memory fails. */
void kv_memory_fail_write(struct kv *kv, unsigned n);
/* Something fails beside the writes, so that the next one will. */
void kv_memory_fail_background(struct kv *kv);
/* Scans that are opened from now on end in damage, behind their last row. */
void kv_memory_fail_scans(struct kv *kv, bool fail);
/* For tests: how often the in-memory store was asked to sync. */
unsigned kv_memory_syncs(struct kv *kv);

#endif
