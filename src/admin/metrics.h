/* SPDX-License-Identifier: Apache-2.0
 *
 * Metrics in Prometheus' text form (version 0.0.4). Pages, names and meanings are MinIO's where it has the same thing, so that
 * dashboards and alerts go on working; what only this server has begins with belfry_. One table row per metric
 * (metrics_rows.c). */
#ifndef BELFRY_ADMIN_METRICS_H
#define BELFRY_ADMIN_METRICS_H

#include "admin/process.h"
#include "admin/stats.h"
#include "admin/targets.h"

/* Pages a row can be on; the paths are in metrics.c. */
enum metric_page {
    V2_NODE = 1,
    V2_CLUSTER = 2,
    V2_BUCKET = 4,
    OLD = 8, /* /minio/prometheus/metrics: everything of this server, as before there were several pages */
    V3_API = 16,
    V3_PROCESS = 32,
    V3_DRIVE = 64,
    V3_HEALTH = 128,
    V3_OBJECTS = 256,
    V3_BUCKETS = 512,
    V3_NOTIFICATION = 1024,
};

/* Values are doubles, so that a row is a name and a place. */
struct server_numbers {
    struct process_info process;
    double one, zero;
    double started, uptime; /* seconds */
    double disk_total, disk_free, disk_used, disk_damaged, buckets, objects, bytes, drives_online,
        drives_offline, healthy;
    double connections, in_flight, bytes_in, bytes_out;
    double batches, syncs, commits, commits_waiting;
    double events_accepted, events_failed, events_dropped, events_sending; /* over all targets */
};
struct target_numbers {
    double accepted, failed, sending, queued, queued_bytes, oldest_age, rate, delivered, retries, rejected,
        dropped, dead_letters, in_files, lost, online, last_error_time;
};
struct bucket_numbers {
    struct str name;
    double objects, bytes;
};
struct op_numbers {
    char name[48], lower[48]; /* "PutObject", "putobject" */
    struct op_stats stats;
    double total, errors, errors_4xx, errors_5xx, canceled;
};

struct metrics_data {
    const char *server, *drive; /* labels */
    struct server_numbers n;
    struct target_info *targets;
    struct target_numbers *target_numbers;
    size_t n_targets;
    struct bucket_numbers *buckets;
    size_t n_buckets;
    struct op_numbers *ops; /* of operations that were used */
    size_t n_ops;
};

/* Every row that is on one of the pages. Pure. */
void metrics_print(struct buf *b, const struct metrics_data *d, unsigned pages);

#endif
