/* SPDX-License-Identifier: Apache-2.0
 *
 * Counting requests: one table of counters for every thread that counts. */
#include "admin/stats.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/err.h"
#include "s3/s3.h"

#define SHARDS 64 /* threads; more than that share */

const double stats_bounds[STATS_BOUNDS] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                           0.25,   0.5,   1,      2.5,   5,    10,    30};

enum { AT_NS = STATS_BOUNDS + 1, AT_4XX, AT_5XX, AT_CANCELED, COUNTERS };

struct op_counters {
    _Atomic uint64_t v[COUNTERS];
};
struct stats {
    size_t ops;
    _Atomic unsigned threads;
    struct op_counters *_Atomic shards[SHARDS];
};

struct stats *stats_new(void)
{
    struct stats *s = x_calloc(1, sizeof *s);
    s->ops = s3_op_count();
    return s;
}

void stats_free(struct stats *s)
{
    for (size_t i = 0; i < SHARDS; i++)
        free(atomic_load(&s->shards[i]));
    free(s);
}

/* The calling thread's counters. */
static struct op_counters *shard(struct stats *s)
{
    BUG_ON(!s);
    static _Thread_local struct stats *mine_of;
    static _Thread_local unsigned mine;
    if (mine_of != s) {
        mine_of = s;
        mine = atomic_fetch_add(&s->threads, 1) % SHARDS;
    }
    struct op_counters *c = atomic_load_explicit(&s->shards[mine], memory_order_acquire);
    if (!c) {
        struct op_counters *fresh = x_calloc(s->ops, sizeof *fresh);
        if (atomic_compare_exchange_strong(&s->shards[mine], &c, fresh))
            c = fresh;
        else
            free(fresh);
    }
    return c;
}

static unsigned class_of(int64_t ns)
{
    double s = (double)ns * 1e-9;
    unsigned i = 0;
    while (i < STATS_BOUNDS && s > stats_bounds[i])
        i++;
    return i;
}

static void add(struct op_counters *c, unsigned at, uint64_t n)
{
    atomic_fetch_add_explicit(&c->v[at], n, memory_order_relaxed);
}

void stats_record(struct stats *s, const struct http_req *r, int status, bool ok)
{
    int op = s3_op_index(r);
    if (op < 0)
        return;
    int64_t ns = clock_mono_ns() - r->start_mono_ns;
    struct op_counters *c = &shard(s)[op];
    add(c, class_of(ns), 1);
    add(c, AT_NS, (uint64_t)ns);
    if (!ok)
        add(c, AT_CANCELED, 1);
    else if (status >= 400)
        add(c, status < 500 ? AT_4XX : AT_5XX, 1);
}

static void add_row(const struct op_counters *c, struct op_stats *out)
{
    for (unsigned i = 0; i <= STATS_BOUNDS; i++)
        out->latency[i] += atomic_load_explicit(&c->v[i], memory_order_relaxed);
    out->ns += atomic_load_explicit(&c->v[AT_NS], memory_order_relaxed);
    out->errors_4xx += atomic_load_explicit(&c->v[AT_4XX], memory_order_relaxed);
    out->errors_5xx += atomic_load_explicit(&c->v[AT_5XX], memory_order_relaxed);
    out->canceled += atomic_load_explicit(&c->v[AT_CANCELED], memory_order_relaxed);
}

void stats_sum(struct stats *s, const char *op, struct op_stats *out)
{
    *out = (struct op_stats){0};
    for (size_t i = 0; i < SHARDS; i++) {
        const struct op_counters *c = atomic_load_explicit(&s->shards[i], memory_order_acquire);
        for (size_t k = 0; c && k < s->ops; k++)
            if (strcmp(s3_op_name(k), op) == 0)
                add_row(&c[k], out);
    }
}

uint64_t op_stats_count(const struct op_stats *o)
{
    uint64_t n = 0;
    for (unsigned i = 0; i <= STATS_BOUNDS; i++)
        n += o->latency[i];
    return n;
}
