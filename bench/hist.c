/* SPDX-License-Identifier: Apache-2.0
 *
 * Log-linear histogram of durations: see hist.h. */
#include "hist.h"

#include <stddef.h>

static size_t bucket_of(uint64_t ns)
{
    if (ns < HIST_STEPS)
        return (size_t)ns;
    unsigned shift = 63 - (unsigned)__builtin_clzll(ns) - 6;
    size_t at = (size_t)(shift + 1) * HIST_STEPS + (size_t)((ns >> shift) & (HIST_STEPS - 1));
    return at < HIST_BUCKETS ? at : HIST_BUCKETS - 1;
}

/* The largest value that falls into bucket `at`. */
static uint64_t upper_edge(size_t at)
{
    if (at < HIST_STEPS)
        return at;
    unsigned shift = (unsigned)(at / HIST_STEPS) - 1;
    uint64_t low = (uint64_t)(HIST_STEPS + at % HIST_STEPS) << shift;
    return low + (1ULL << shift) - 1;
}

void hist_add(struct hist *h, uint64_t ns)
{
    h->bucket[bucket_of(ns)]++;
    h->count++;
    h->sum += ns;
    if (ns > h->max)
        h->max = ns;
}

void hist_merge(struct hist *into, const struct hist *from)
{
    for (size_t i = 0; i < HIST_BUCKETS; i++)
        into->bucket[i] += from->bucket[i];
    into->count += from->count;
    into->sum += from->sum;
    if (from->max > into->max)
        into->max = from->max;
}

uint64_t hist_percentile(const struct hist *h, double percent)
{
    double want = (double)h->count * percent / 100.0;
    uint64_t seen = 0;
    for (size_t i = 0; i < HIST_BUCKETS; i++) {
        seen += h->bucket[i];
        if (seen > 0 && (double)seen >= want) {
            uint64_t edge = upper_edge(i);
            return edge < h->max ? edge : h->max;
        }
    }
    return h->max;
}
