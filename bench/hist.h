/* SPDX-License-Identifier: Apache-2.0
 *
 * A histogram of durations in nanoseconds with constant relative error: 64 linear steps in every power of
 * two, so a percentile is at most 1.6 % too high. Fixed size, no allocation; one owner thread, merged at the
 * end. */
#pragma once

#include <stdint.h>

#define HIST_STEPS   64
#define HIST_OCTAVES 37 /* up to 2^42 ns, 73 minutes; longer counts as that */
#define HIST_BUCKETS (HIST_STEPS * (HIST_OCTAVES + 1))

struct hist {
    uint64_t count;
    uint64_t sum; /* ns */
    uint64_t max; /* ns */
    uint64_t bucket[HIST_BUCKETS];
};

/* An all-zero struct hist is empty and ready for use. */

void hist_add(struct hist *h, uint64_t ns);
void hist_merge(struct hist *into, const struct hist *from);

/* The smallest value, in ns, that at least `percent` (0..100) of the samples do not exceed; 0 when empty. */
uint64_t hist_percentile(const struct hist *h, double percent);
