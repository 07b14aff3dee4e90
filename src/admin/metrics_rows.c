/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of metrics, and how each kind of row is written. */
#include <math.h>

#include "admin/metrics.h"

struct metric;
struct out {
    struct buf *b;
    const struct metrics_data *d;
    unsigned pages;
};
struct metric {
    const char *name;
    char type; /* c counter, g gauge, h histogram */
    unsigned pages;
    void (*write)(const struct out *o, const struct metric *m);
    size_t offset; /* of the value in the struct of its kind */
    const char *help;
};

/* --- samples --- */

static void put_value(struct buf *b, double v)
{
    if (v == floor(v) && fabs(v) < 1e15)
        buf_printf(b, " %.0f\n", v);
    else
        buf_printf(b, " %.15g\n", v);
}

static void put_label(struct buf *b, const char *name, struct str value)
{
    buf_printf(b, "%s%s=\"", b->len && b->p[b->len - 1] == '{' ? "" : ",", name);
    while (value.n) {
        char c = value.p[0];
        size_t len = str_utf8_seq(value); /* of other bytes a reader makes an error of the whole page */
        if (len == 0)
            buf_char(b, '?');
        else if (c == '\n')
            buf_puts(b, "\\n");
        else if (c == '"' || c == '\\')
            buf_put(b, (char[2]){'\\', c}, 2);
        else
            buf_put(b, value.p, len);
        value = str_from(value, len ? len : 1);
    }
    buf_char(b, '"');
}

/* name suffix { */
static void begin(const struct out *o, const struct metric *m, const char *suffix)
{
    buf_printf(o->b, "%s%s{", m->name, suffix);
}

/* server="..."} value */
static void end(const struct out *o, double value)
{
    put_label(o->b, "server", str_c(o->d->server));
    buf_char(o->b, '}');
    put_value(o->b, value);
}

static double value_at(const void *base, const struct metric *m)
{
    double v;
    memcpy(&v, (const char *)base + m->offset, sizeof v);
    return v;
}

/* --- kinds of rows --- */

static void of_server(const struct out *o, const struct metric *m)
{
    begin(o, m, "");
    end(o, value_at(&o->d->n, m));
}

static void of_drive(const struct out *o, const struct metric *m)
{
    begin(o, m, "");
    put_label(o->b, "drive", str_c(o->d->drive));
    end(o, value_at(&o->d->n, m));
}

static void of_bucket(const struct out *o, const struct metric *m)
{
    for (size_t i = 0; i < o->d->n_buckets; i++) {
        begin(o, m, "");
        put_label(o->b, "bucket", o->d->buckets[i].name);
        end(o, value_at(&o->d->buckets[i], m));
    }
}

static void put_target(const struct out *o, size_t i)
{
    put_label(o->b, "target_id", str_c(o->d->targets[i].id));
    put_label(o->b, "target_name", str_c(o->d->targets[i].type));
}

static void of_target(const struct out *o, const struct metric *m)
{
    for (size_t i = 0; i < o->d->n_targets; i++) {
        begin(o, m, "");
        put_target(o, i);
        end(o, value_at(&o->d->target_numbers[i], m));
    }
}

/* The text is a label: there is at most one at a time for a target, and it goes when the target works again. */
static void of_error(const struct out *o, const struct metric *m)
{
    for (size_t i = 0; i < o->d->n_targets; i++) {
        if (!o->d->targets[i].reason[0])
            continue;
        begin(o, m, "");
        put_target(o, i);
        put_label(o->b, "error", str_c(o->d->targets[i].reason));
        end(o, 1);
    }
}

static void put_op(const struct out *o, const struct op_numbers *op)
{
    bool v3 = o->pages & V3_API;
    put_label(o->b, v3 ? "name" : "api", str_c(v3 ? op->name : op->lower));
    if (v3)
        put_label(o->b, "type", STR("s3"));
}

static void of_op(const struct out *o, const struct metric *m)
{
    for (size_t i = 0; i < o->d->n_ops; i++) {
        begin(o, m, "");
        put_op(o, &o->d->ops[i]);
        end(o, value_at(&o->d->ops[i], m));
    }
}

static void put_histogram(const struct out *o, const struct metric *m, const struct op_numbers *op)
{
    uint64_t sum = 0;
    for (unsigned k = 0; k <= STATS_BOUNDS; k++) {
        char bound[32];
        sum += op->stats.latency[k];
        (void)snprintf(bound, sizeof bound, k < STATS_BOUNDS ? "%g" : "+Inf",
                       k < STATS_BOUNDS ? stats_bounds[k] : 0);
        begin(o, m, "_bucket");
        put_op(o, op);
        put_label(o->b, "le", str_c(bound));
        end(o, (double)sum);
    }
    begin(o, m, "_sum");
    put_op(o, op);
    end(o, (double)op->stats.ns * 1e-9);
    begin(o, m, "_count");
    put_op(o, op);
    end(o, (double)sum);
}

static void of_latency(const struct out *o, const struct metric *m)
{
    for (size_t i = 0; i < o->d->n_ops; i++)
        put_histogram(o, m, &o->d->ops[i]);
}

static void of_version(const struct out *o, const struct metric *m)
{
    begin(o, m, "");
    put_label(o->b, "version", STR(BELFRY_VERSION));
    end(o, 1);
}

/* --- the table --- */

#define S(member) of_server, offsetof(struct server_numbers, member)
#define D(member) of_drive, offsetof(struct server_numbers, member)
#define B(member) of_bucket, offsetof(struct bucket_numbers, member)
#define T(member) of_target, offsetof(struct target_numbers, member)
#define O(member) of_op, offsetof(struct op_numbers, member)
#define NODE      (V2_NODE | OLD)
#define CLUSTER   (V2_CLUSTER | OLD)
#define EVENTS    (V2_NODE | V2_CLUSTER | OLD)
#define EVENTS_3  (EVENTS | V3_NOTIFICATION)
#define PROCESS   (V2_NODE | OLD | V3_PROCESS)
#define API       (V2_NODE | V2_CLUSTER | OLD)

/* clang-format off */
static const struct metric metrics[] = {
    /* events; the first eight are those of MinIO's version 2, the next four of version 3 */
    {"minio_notify_current_send_in_progress", 'g', EVENTS, S(events_sending), "Events that are with targets now"},
    {"minio_notify_events_errors_total", 'c', EVENTS, S(events_failed), "Attempts to deliver that failed"},
    {"minio_notify_events_sent_total", 'c', EVENTS, S(events_accepted), "Events that were queued for targets"},
    {"minio_notify_events_skipped_total", 'c', EVENTS, S(events_dropped), "Events that were dropped because a queue_limit was reached"},
    {"minio_notify_target_current_send_in_progress", 'g', EVENTS, T(sending), "Events that are with the target now"},
    {"minio_notify_target_failed_events", 'c', EVENTS, T(failed), "Attempts to deliver to the target that failed"},
    {"minio_notify_target_queue_length", 'g', EVENTS, T(queued), "Events that wait for the target"},
    {"minio_notify_target_total_events", 'c', EVENTS, T(accepted), "Events that were queued for the target"},
    {"minio_notification_current_send_in_progress", 'g', V3_NOTIFICATION, S(events_sending), "Events that are with targets now"},
    {"minio_notification_events_errors_total", 'c', V3_NOTIFICATION, S(events_failed), "Attempts to deliver that failed"},
    {"minio_notification_events_sent_total", 'c', V3_NOTIFICATION, S(events_accepted), "Events that were queued for targets"},
    {"minio_notification_events_skipped_total", 'c', V3_NOTIFICATION, S(events_dropped), "Events that were dropped because a queue_limit was reached"},
    {"belfry_notify_target_online", 'g', EVENTS_3, T(online), "1 while the target takes events"},
    {"belfry_notify_target_queue_length", 'g', EVENTS_3, T(queued), "Events that wait for the target"},
    {"belfry_notify_target_queue_bytes", 'g', EVENTS_3, T(queued_bytes), "Bytes of the events that wait"},
    {"belfry_notify_target_oldest_event_age_seconds", 'g', EVENTS_3, T(oldest_age), "Age of the oldest event that waits, 0 for none"},
    {"belfry_notify_target_delivery_rate", 'g', EVENTS_3, T(rate), "Events delivered per second over the last minute"},
    {"belfry_notify_target_delivered_total", 'c', EVENTS_3, T(delivered), "Events that the receiver confirmed"},
    {"belfry_notify_target_retries_total", 'c', EVENTS_3, T(retries), "Attempts that failed and are made again"},
    {"belfry_notify_target_rejected_total", 'c', EVENTS_3, T(rejected), "Times that the receiver refused an event for good"},
    {"belfry_notify_target_dropped_total", 'c', EVENTS_3, T(dropped), "Events that were dropped because queue_limit was reached"},
    {"belfry_notify_target_dead_letters", 'g', EVENTS_3, T(dead_letters), "Dead letters that are kept"},
    {"belfry_notify_target_queue_in_files", 'g', EVENTS_3, T(in_files), "Of the events that wait, those in files of the queue_dir"},
    {"belfry_notify_target_lost_total", 'c', EVENTS_3, T(lost), "Events whose file in the queue_dir was removed or damaged"},
    {"belfry_notify_target_last_error_timestamp_seconds", 'g', EVENTS_3, T(last_error_time), "When something last went wrong, 0 for never"},
    {"belfry_notify_target_last_error_info", 'g', EVENTS_3, of_error, 0, "What is wrong with the target now"},

    /* requests */
    {"minio_s3_requests_total", 'c', API, O(total), "Requests"},
    {"minio_s3_requests_errors_total", 'c', API, O(errors), "Requests that ended with a 4xx or 5xx"},
    {"minio_s3_requests_4xx_errors_total", 'c', API, O(errors_4xx), "Requests that ended with a 4xx"},
    {"minio_s3_requests_5xx_errors_total", 'c', API, O(errors_5xx), "Requests that ended with a 5xx"},
    {"minio_s3_requests_canceled_total", 'c', API, O(canceled), "Requests whose client went away before the end of the reply"},
    {"minio_s3_traffic_received_bytes", 'c', API, S(bytes_in), "Bytes received, of all requests"},
    {"minio_s3_traffic_sent_bytes", 'c', API, S(bytes_out), "Bytes sent, of all requests"},
    {"minio_api_requests_total", 'c', V3_API, O(total), "Requests"},
    {"minio_api_requests_errors_total", 'c', V3_API, O(errors), "Requests that ended with a 4xx or 5xx"},
    {"minio_api_requests_4xx_errors_total", 'c', V3_API, O(errors_4xx), "Requests that ended with a 4xx"},
    {"minio_api_requests_5xx_errors_total", 'c', V3_API, O(errors_5xx), "Requests that ended with a 5xx"},
    {"minio_api_requests_canceled_total", 'c', V3_API, O(canceled), "Requests whose client went away before the end of the reply"},
    {"minio_api_requests_traffic_received_bytes", 'c', V3_API, S(bytes_in), "Bytes received, of all requests"},
    {"minio_api_requests_traffic_sent_bytes", 'c', V3_API, S(bytes_out), "Bytes sent, of all requests"},
    {"belfry_s3_request_duration_seconds", 'h', API | V3_API, of_latency, 0, "From the first byte of a request to the last of its reply"},
    {"belfry_http_connections", 'g', API | V3_API, S(connections), "Connections that are open"},
    {"belfry_http_requests_in_flight", 'g', API | V3_API, S(in_flight), "Requests that are not answered yet"},

    /* space and usage */
    {"minio_cluster_capacity_raw_total_bytes", 'g', CLUSTER, S(disk_total), "Size of the file system"},
    {"minio_cluster_capacity_raw_free_bytes", 'g', CLUSTER, S(disk_free), "Free space of the file system"},
    {"minio_cluster_capacity_usable_total_bytes", 'g', CLUSTER, S(disk_total), "Size of the file system"},
    {"minio_cluster_capacity_usable_free_bytes", 'g', CLUSTER, S(disk_free), "Free space of the file system"},
    {"minio_cluster_usage_total_bytes", 'g', CLUSTER, S(bytes), "Bytes of all objects"},
    {"minio_cluster_usage_object_total", 'g', CLUSTER, S(objects), "Objects"},
    {"minio_cluster_bucket_total", 'g', CLUSTER, S(buckets), "Buckets"},
    {"minio_cluster_nodes_online_total", 'g', CLUSTER, S(one), "Servers that are up"},
    {"minio_cluster_nodes_offline_total", 'g', CLUSTER, S(zero), "Servers that are down"},
    {"minio_cluster_drive_total", 'g', CLUSTER, S(one), "Stores"},
    {"minio_cluster_drive_online_total", 'g', CLUSTER, S(drives_online), "Stores that take writes"},
    {"minio_cluster_drive_offline_total", 'g', CLUSTER, S(drives_offline), "Stores that refuse writes after a failed one"},
    {"minio_cluster_health_status", 'g', CLUSTER, S(healthy), "1 while the store takes writes"},
    {"minio_cluster_write_quorum", 'g', CLUSTER, S(one), "Stores that a write needs"},
    {"minio_bucket_usage_total_bytes", 'g', V2_BUCKET | OLD, B(bytes), "Bytes of the objects of the bucket"},
    {"minio_bucket_usage_object_total", 'g', V2_BUCKET | OLD, B(objects), "Objects of the bucket"},
    {"minio_node_drive_total_bytes", 'g', NODE, D(disk_total), "Size of the file system"},
    {"minio_node_drive_free_bytes", 'g', NODE, D(disk_free), "Free space of the file system"},
    {"minio_node_drive_used_bytes", 'g', NODE, D(disk_used), "Used space of the file system"},
    {"minio_node_drive_damaged_reads_total", 'c', NODE, D(disk_damaged), "Reads of rows or bodies that met damage"},
    {"minio_cluster_health_capacity_raw_total_bytes", 'g', V3_HEALTH, S(disk_total), "Size of the file system"},
    {"minio_cluster_health_capacity_raw_free_bytes", 'g', V3_HEALTH, S(disk_free), "Free space of the file system"},
    {"minio_cluster_health_capacity_usable_total_bytes", 'g', V3_HEALTH, S(disk_total), "Size of the file system"},
    {"minio_cluster_health_capacity_usable_free_bytes", 'g', V3_HEALTH, S(disk_free), "Free space of the file system"},
    {"minio_cluster_health_drives_count", 'g', V3_HEALTH, S(one), "Stores"},
    {"minio_cluster_health_drives_online_count", 'g', V3_HEALTH, S(drives_online), "Stores that take writes"},
    {"minio_cluster_health_drives_offline_count", 'g', V3_HEALTH, S(drives_offline), "Stores that refuse writes after a failed one"},
    {"minio_cluster_health_nodes_online_count", 'g', V3_HEALTH, S(one), "Servers that are up"},
    {"minio_cluster_health_nodes_offline_count", 'g', V3_HEALTH, S(zero), "Servers that are down"},
    {"minio_cluster_usage_objects_total_bytes", 'g', V3_OBJECTS, S(bytes), "Bytes of all objects"},
    {"minio_cluster_usage_objects_count", 'g', V3_OBJECTS, S(objects), "Objects"},
    {"minio_cluster_usage_objects_buckets_count", 'g', V3_OBJECTS, S(buckets), "Buckets"},
    {"minio_cluster_usage_buckets_total_bytes", 'g', V3_BUCKETS, B(bytes), "Bytes of the objects of the bucket"},
    {"minio_cluster_usage_buckets_objects_count", 'g', V3_BUCKETS, B(objects), "Objects of the bucket"},
    {"minio_system_drive_total_bytes", 'g', V3_DRIVE, D(disk_total), "Size of the file system"},
    {"minio_system_drive_free_bytes", 'g', V3_DRIVE, D(disk_free), "Free space of the file system"},
    {"minio_system_drive_used_bytes", 'g', V3_DRIVE, D(disk_used), "Used space of the file system"},
    {"minio_system_drive_damaged_reads_total", 'c', V3_DRIVE, D(disk_damaged), "Reads of rows or bodies that met damage"},
    {"belfry_store_commits_total", 'c', NODE | V3_DRIVE, S(commits), "Changes that were committed"},
    {"belfry_store_batches_total", 'c', NODE | V3_DRIVE, S(batches), "Batches that they were written in"},
    {"belfry_store_syncs_total", 'c', NODE | V3_DRIVE, S(syncs), "Batches that were synced to the disk"},
    {"belfry_store_commits_waiting", 'g', NODE | V3_DRIVE, S(commits_waiting), "Changes that wait for the committer"},

    /* the process */
    {"process_resident_memory_bytes", 'g', PROCESS, S(process.resident_bytes), "Resident memory"},
    {"process_virtual_memory_bytes", 'g', PROCESS, S(process.virtual_bytes), "Virtual memory"},
    {"process_cpu_seconds_total", 'c', PROCESS, S(process.cpu_seconds), "CPU time, user and system"},
    {"process_open_fds", 'g', PROCESS, S(process.open_fds), "Open files"},
    {"process_max_fds", 'g', PROCESS, S(process.max_fds), "Files that may be open"},
    {"process_threads", 'g', PROCESS, S(process.threads), "Threads"},
    {"process_start_time_seconds", 'g', PROCESS, S(started), "When the server was started, since 1970"},
    {"minio_node_process_resident_memory_bytes", 'g', NODE, S(process.resident_bytes), "Resident memory"},
    {"minio_node_process_cpu_total_seconds", 'c', NODE, S(process.cpu_seconds), "CPU time, user and system"},
    {"minio_node_process_starttime_seconds", 'g', NODE, S(started), "When the server was started, since 1970"},
    {"minio_node_process_uptime_seconds", 'g', NODE, S(uptime), "Time since the start"},
    {"minio_node_file_descriptor_open_total", 'g', NODE, S(process.open_fds), "Open files"},
    {"minio_node_file_descriptor_limit_total", 'g', NODE, S(process.max_fds), "Files that may be open"},
    {"minio_software_version_info", 'g', NODE | V2_CLUSTER, of_version, 0, "Version of the server"},
    {"minio_system_process_resident_memory_bytes", 'g', V3_PROCESS, S(process.resident_bytes), "Resident memory"},
    {"minio_system_process_virtual_memory_bytes", 'g', V3_PROCESS, S(process.virtual_bytes), "Virtual memory"},
    {"minio_system_process_cpu_total_seconds", 'c', V3_PROCESS, S(process.cpu_seconds), "CPU time, user and system"},
    {"minio_system_process_start_time_seconds", 'g', V3_PROCESS, S(started), "When the server was started, since 1970"},
    {"minio_system_process_uptime_seconds", 'g', V3_PROCESS, S(uptime), "Time since the start"},
    {"minio_system_process_file_descriptor_open_total", 'g', V3_PROCESS, S(process.open_fds), "Open files"},
    {"minio_system_process_file_descriptor_limit_total", 'g', V3_PROCESS, S(process.max_fds), "Files that may be open"},
};
/* clang-format on */

void metrics_print(struct buf *b, const struct metrics_data *d, unsigned pages)
{
    struct out o = {b, d, pages};
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++) {
        const struct metric *m = &metrics[i];
        if (!(m->pages & pages))
            continue;
        size_t at = b->len;
        buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name,
                   m->type == 'c'   ? "counter"
                   : m->type == 'g' ? "gauge"
                                    : "histogram");
        size_t head = b->len;
        m->write(&o, m);
        if (b->len == head) /* nothing to say: no heading either */
            b->len = at;
    }
}
