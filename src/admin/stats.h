/* SPDX-License-Identifier: Apache-2.0
 *
 * What S3 requests there were: per operation how many, how they ended, how long they took. Written by I/O threads, each into
 * memory of its own, without a lock; read by whoever makes the metrics. */
#ifndef BELFRY_ADMIN_STATS_H
#define BELFRY_ADMIN_STATS_H

#include "http/http.h"

#define STATS_BOUNDS 15
/* Upper bounds of the latencies' classes, in seconds; one more class is beyond the last. */
extern const double stats_bounds[STATS_BOUNDS];

/* Of one operation. */
struct op_stats {
    uint64_t latency[STATS_BOUNDS + 1]; /* requests in this class only */
    uint64_t ns;                        /* sum of all latencies */
    uint64_t errors_4xx, errors_5xx, canceled;
};

struct stats;
struct stats *stats_new(void);
void stats_free(struct stats *s);
/* A request is over, from its first byte to the last of its reply; status and ok as in http_app.done. On its I/O thread. */
void stats_record(struct stats *s, const struct http_req *r, int status, bool ok);
/* Sums for the operation of this name, over all threads. Any thread. */
void stats_sum(struct stats *s, const char *op, struct op_stats *out);
uint64_t op_stats_count(const struct op_stats *o);

#endif
