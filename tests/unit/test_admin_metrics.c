/* SPDX-License-Identifier: Apache-2.0
 *
 * The text form of metrics: labels and numbers as Prometheus reads them, each name once on a page. */
#include "unit.h"

#include "admin/metrics.h"

static struct target_info target = {.id = "a\"b", .type = "webhook", .reason = "line\none \\ \"two\""};
static struct target_numbers numbers = {.queued = 3, .oldest_age = 1.5, .rate = 0.25};
static struct op_numbers op = {
    .name = "PutObject", .lower = "putobject", .total = 3, .stats.latency = {1, 0, 2}, .stats.ns = 5000000};
static struct bucket_numbers buckets[] = {{{"one", 3}, 1, 10}, {{"two", 3}, 2, 20}};

static const struct metrics_data data = {
    .server = "127.0.0.1:9000",
    .drive = "/data",
    .n = {.one = 1, .started = 1795600000.25, .bytes = 1e16},
    .targets = &target,
    .target_numbers = &numbers,
    .n_targets = 1,
    .buckets = buckets,
    .n_buckets = 2,
    .ops = &op,
    .n_ops = 1,
};

static void has(const struct buf *b, const char *line)
{
    char text[512];
    (void)snprintf(text, sizeof text, "\n%s\n", line);
    if (str_find(buf_view(b), str_c(text)) < 0)
        fail_msg("missing: %s\nin:\n%.*s", line, (int)b->len, b->p);
}

static void test_samples(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    metrics_print(&b, &data, OLD);
    has(&b, "minio_notify_target_queue_length{target_id=\"a\\\"b\",target_name=\"webhook\",server=\"127.0.0."
            "1:9000\"} 3");
    has(&b, "belfry_notify_target_oldest_event_age_seconds{target_id=\"a\\\"b\",target_name=\"webhook\","
            "server=\"127.0.0.1:9000\"} 1.5");
    has(&b, "belfry_notify_target_last_error_info{target_id=\"a\\\"b\",target_name=\"webhook\",error="
            "\"line\\none \\\\ \\\"two\\\"\",server=\"127.0.0.1:9000\"} 1");
    has(&b, "minio_bucket_usage_total_bytes{bucket=\"two\",server=\"127.0.0.1:9000\"} 20");
    has(&b, "# TYPE minio_s3_requests_total counter");
    has(&b, "minio_s3_requests_total{api=\"putobject\",server=\"127.0.0.1:9000\"} 3");
    has(&b, "process_start_time_seconds{server=\"127.0.0.1:9000\"} 1795600000.25");
    has(&b, "minio_cluster_usage_total_bytes{server=\"127.0.0.1:9000\"} 1e+16");
    buf_release(&b);
}

static void test_histogram(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    metrics_print(&b, &data, V3_API);
    has(&b, "# TYPE belfry_s3_request_duration_seconds histogram");
    has(&b, "belfry_s3_request_duration_seconds_bucket{name=\"PutObject\",type=\"s3\",le=\"0.0005\",server="
            "\"127.0.0.1:9000\"} 1");
    has(&b, "belfry_s3_request_duration_seconds_bucket{name=\"PutObject\",type=\"s3\",le=\"0.0025\",server="
            "\"127.0.0.1:9000\"} 3");
    has(&b, "belfry_s3_request_duration_seconds_bucket{name=\"PutObject\",type=\"s3\",le=\"+Inf\",server="
            "\"127.0.0.1:9000\"} 3");
    has(&b, "belfry_s3_request_duration_seconds_sum{name=\"PutObject\",type=\"s3\",server=\"127.0.0.1:9000\"}"
            " 0.005");
    has(&b, "belfry_s3_request_duration_seconds_count{name=\"PutObject\",type=\"s3\",server=\"127.0.0.1:"
            "9000\"} 3");
    buf_release(&b);
}

/* Texts of receivers may be anything, and may be cut within a character: one byte that is not UTF-8, and Prometheus takes nothing
 * of the whole page. */
static void test_utf8(void **state)
{
    (void)state;
    struct target_info odd = {.id = "o", .type = "redis", .reason = "caf\xc3\xa9 \xff\xe2\x82 \xc3"};
    struct metrics_data d = data;
    struct buf b;
    d.targets = &odd;
    buf_init(&b, 1 << 20);
    metrics_print(&b, &d, OLD);
    assert_true(str_utf8_valid(buf_view(&b)));
    has(&b, "belfry_notify_target_last_error_info{target_id=\"o\",target_name=\"redis\",error="
            "\"caf\xc3\xa9 ??? ?\",server=\"127.0.0.1:9000\"} 1");
    buf_release(&b);
}

/* A name stands once on every page, and all pages together have no name twice. */
static void test_names(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    metrics_print(&b, &data, ~0u);
    struct str rest = buf_view(&b), line;
    size_t n = 0;
    while (str_cut(&rest, '\n', &line)) {
        if (!str_starts(line, STR("# TYPE ")))
            continue;
        assert_true(str_find(rest, line) < 0);
        n++;
    }
    assert_true(n > 80);
    buf_release(&b);
}

static void test_nothing(void **state)
{
    (void)state;
    static const struct metrics_data empty = {.server = "s", .drive = "d"};
    struct buf b;
    buf_init(&b, 1 << 20);
    metrics_print(&b, &empty, OLD);
    assert_true(str_find(buf_view(&b), STR("minio_notify_target_queue_length")) < 0);
    assert_true(str_find(buf_view(&b), STR("minio_cluster_bucket_total")) > 0);
    metrics_print(&b, &empty, 0);
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples), cmocka_unit_test(test_histogram), cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_names),   cmocka_unit_test(test_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
