/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows in memory, for unit tests: a sorted array per space under one read-write lock. A scan copies its range
 * when it is opened, which makes it a snapshot. Small stores only: an insert moves the pointers behind it. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "kv/commit.h"

struct row {
    struct str key, value; /* one allocation, of which this struct is the front */
};
struct rows {
    struct row **v;
    size_t n, cap;
};
struct memory {
    pthread_rwlock_t lock;
    struct rows spaces[KV_SPACES];
    _Atomic unsigned fail_in; /* 0: never */
    _Atomic unsigned syncs, trouble;
    _Atomic bool scans_fail;
};
struct memory_scan {
    struct kv_scan base;
    struct rows rows; /* own copies */
    size_t at;
    bool fails;
};

static struct row *row_new(struct str key, struct str value)
{
    struct row *r = x_malloc(sizeof(*r) + key.n + value.n);
    char *p = (char *)(r + 1);
    if (key.n > 0)
        memcpy(p, key.p, key.n);
    if (value.n > 0)
        memcpy(p + key.n, value.p, value.n);
    r->key = str_n(p, key.n);
    r->value = str_n(p + key.n, value.n);
    return r;
}

static void rows_add(struct rows *rows, size_t at, struct row *r)
{
    if (rows->n == rows->cap) {
        rows->cap = rows->cap ? rows->cap * 2 : 64;
        rows->v = x_realloc(rows->v, rows->cap * sizeof(*rows->v));
    }
    memmove(rows->v + at + 1, rows->v + at, (rows->n - at) * sizeof(*rows->v));
    rows->v[at] = r;
    rows->n++;
}

static void rows_release(struct rows *rows)
{
    for (size_t i = 0; i < rows->n; i++)
        free(rows->v[i]);
    free(rows->v);
}

/* Index of the first row >= key. */
static size_t rows_find(const struct rows *rows, struct str key)
{
    size_t low = 0, high = rows->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (str_cmp(rows->v[mid]->key, key) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void rows_cut(struct rows *rows, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        free(rows->v[i]);
    if (to > from)
        memmove(rows->v + from, rows->v + to, (rows->n - to) * sizeof(*rows->v));
    rows->n -= to - from;
}

static enum kv_result memory_get(void *self, enum kv_space space, struct str key, unsigned flags,
                                 struct kv_value *out, struct err *e)
{
    struct memory *m = self;
    (void)flags;
    (void)e;
    enum kv_result result = KV_MISSING;
    pthread_rwlock_rdlock(&m->lock);
    const struct rows *rows = &m->spaces[space];
    size_t i = rows_find(rows, key);
    if (i < rows->n && str_eq(rows->v[i]->key, key)) {
        struct str v = rows->v[i]->value;
        char *copy = x_malloc(v.n + 1);
        memcpy(copy, v.p, v.n);
        *out = (struct kv_value){.data = str_n(copy, v.n), .pin = copy, .unpin = free};
        result = KV_FOUND;
    }
    pthread_rwlock_unlock(&m->lock);
    return result;
}

static void apply(struct rows *rows, const struct kv_op *op)
{
    size_t i = rows_find(rows, op->key);
    if (op->kind == KV_OP_DEL_RANGE) {
        rows_cut(rows, i, rows_find(rows, op->value));
        return;
    }
    bool there = i < rows->n && str_eq(rows->v[i]->key, op->key);
    if (there)
        rows_cut(rows, i, i + 1);
    if (op->kind == KV_OP_PUT)
        rows_add(rows, i, row_new(op->key, op->value));
}

static bool memory_write(void *self, const struct kv_op *ops, size_t n, bool sync, struct err *e)
{
    struct memory *m = self;
    unsigned left = atomic_load(&m->fail_in);
    if (left > 0) {
        atomic_store(&m->fail_in, left - 1);
        if (left == 1)
            return err_set(e, "a test asked for this failure");
    }
    pthread_rwlock_wrlock(&m->lock);
    for (size_t i = 0; i < n; i++)
        apply(&m->spaces[ops[i].space], &ops[i]);
    pthread_rwlock_unlock(&m->lock);
    if (sync)
        atomic_fetch_add(&m->syncs, 1);
    return true;
}

static void memory_compact(void *self, enum kv_space space, struct str first, struct str end)
{
    (void)self;
    (void)space;
    (void)first;
    (void)end;
}

static bool memory_sync(void *self, struct err *e)
{
    struct memory *m = self;
    (void)e;
    atomic_fetch_add(&m->syncs, 1);
    return true;
}

static const struct kv_backend memory_backend;

static struct kv_scan *memory_scan_open(void *self, enum kv_space space, struct str first, struct str end)
{
    struct memory *m = self;
    struct memory_scan *s = x_calloc(1, sizeof(*s));
    s->base.backend = &memory_backend;
    s->fails = atomic_load(&m->scans_fail);
    pthread_rwlock_rdlock(&m->lock);
    const struct rows *rows = &m->spaces[space];
    for (size_t i = rows_find(rows, first), stop = rows_find(rows, end); i < stop; i++)
        rows_add(&s->rows, s->rows.n, row_new(rows->v[i]->key, rows->v[i]->value));
    pthread_rwlock_unlock(&m->lock);
    return &s->base;
}

static bool memory_scan_next(struct kv_scan *base, struct str *key, struct str *value)
{
    struct memory_scan *s = CONTAINER_OF(base, struct memory_scan, base);
    if (s->at == s->rows.n)
        return false;
    *key = s->rows.v[s->at]->key;
    *value = s->rows.v[s->at]->value;
    s->at++;
    return true;
}

static void memory_scan_seek(struct kv_scan *base, struct str key)
{
    struct memory_scan *s = CONTAINER_OF(base, struct memory_scan, base);
    s->at = rows_find(&s->rows, key);
}

static bool memory_scan_failed(struct kv_scan *base, struct err *e)
{
    struct memory_scan *s = CONTAINER_OF(base, struct memory_scan, base);
    return s->fails && !err_set(e, "a test asked for this damage");
}

static void memory_scan_close(struct kv_scan *base)
{
    struct memory_scan *s = CONTAINER_OF(base, struct memory_scan, base);
    rows_release(&s->rows);
    free(s);
}

static bool memory_verify(void *self, void (*bad)(void *ctx, const char *what), void *ctx)
{
    (void)self;
    (void)bad;
    (void)ctx;
    return true;
}

static void memory_close(void *self)
{
    struct memory *m = self;
    for (int i = 0; i < KV_SPACES; i++)
        rows_release(&m->spaces[i]);
    pthread_rwlock_destroy(&m->lock);
    free(m);
}

static uint64_t memory_trouble(void *self)
{
    struct memory *m = self;
    return atomic_load(&m->trouble);
}

static const struct kv_backend memory_backend = {
    .get = memory_get,
    .write = memory_write,
    .sync = memory_sync,
    .trouble = memory_trouble,
    .compact = memory_compact,
    .scan_open = memory_scan_open,
    .scan_next = memory_scan_next,
    .scan_seek = memory_scan_seek,
    .scan_failed = memory_scan_failed,
    .scan_close = memory_scan_close,
    .verify = memory_verify,
    .close = memory_close,
};

struct kv *kv_open_memory(void)
{
    struct memory *m = x_calloc(1, sizeof(*m));
    pthread_rwlock_init(&m->lock, NULL);
    struct err e;
    return kv_start(&memory_backend, m, false, &e);
}

void kv_memory_fail_write(struct kv *kv, unsigned n)
{
    BUG_ON(kv->backend != &memory_backend);
    struct memory *m = kv->self;
    atomic_store(&m->fail_in, n);
}

void kv_memory_fail_background(struct kv *kv)
{
    BUG_ON(kv->backend != &memory_backend);
    struct memory *m = kv->self;
    atomic_store(&m->fail_in, 1);
    atomic_fetch_add(&m->trouble, 1);
}

void kv_memory_fail_scans(struct kv *kv, bool fail)
{
    BUG_ON(kv->backend != &memory_backend);
    struct memory *m = kv->self;
    atomic_store(&m->scans_fail, fail);
}

unsigned kv_memory_syncs(struct kv *kv)
{
    BUG_ON(kv->backend != &memory_backend);
    struct memory *m = kv->self;
    return atomic_load(&m->syncs);
}
