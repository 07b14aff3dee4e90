/* SPDX-License-Identifier: Apache-2.0
 *
 * What a PUT pays for matching the rules of its bucket, and for its record. Prints nanoseconds per call. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "event/rules_impl.h"

#define CALLS 2000000

static void rule(struct buf *b, const char *prefix, const char *suffix)
{
    buf_puts(b, "<QueueConfiguration><Filter><S3Key>");
    if (*prefix)
        buf_printf(b, "<FilterRule><Name>prefix</Name><Value>%s</Value></FilterRule>", prefix);
    if (*suffix)
        buf_printf(b, "<FilterRule><Name>suffix</Name><Value>%s</Value></FilterRule>", suffix);
    buf_puts(b, "</S3Key></Filter><Event>s3:ObjectCreated:*</Event><Queue>arn:minio:sqs::1:webhook</Queue>"
                "</QueueConfiguration>");
}

/* Kinds of sets of a thousand rules: one folder each; one ending each; both, of many lengths; patterns with a '?'. */
static void rule_of(struct buf *b, int kind, unsigned i)
{
    char prefix[64] = "", suffix[64] = "";
    switch (kind) {
    case 0:
        (void)snprintf(prefix, sizeof(prefix), "customers/%u/in/", i);
        break;
    case 1:
        (void)snprintf(suffix, sizeof(suffix), ".kind%u", i);
        break;
    case 2:
        (void)snprintf(prefix, sizeof(prefix), "%.*s%u/", (int)(i % 30), "a/long/way/down/the/tree/of/it", i);
        (void)snprintf(suffix, sizeof(suffix), "%u%.*s", i, (int)(i % 20), ".a.long.ending.of.it");
        break;
    default:
        (void)snprintf(prefix, sizeof(prefix), "customers/%u/?/", i);
        break;
    }
    rule(b, prefix, suffix);
}

static void count(void *ctx, size_t slot)
{
    (void)slot;
    ++*(size_t *)ctx;
}

static void measure_rules(const char *what, int kind, unsigned n)
{
    struct buf b;
    size_t hits = 0;
    buf_init(&b, 4u << 20);
    buf_puts(&b, "<NotificationConfiguration>");
    for (unsigned i = 0; i < n; i++)
        rule_of(&b, kind, i);
    buf_puts(&b, "</NotificationConfiguration>");
    struct rules *r = rules_compile(buf_view(&b));
    int64_t begin = clock_mono_ns();
    for (unsigned i = 0; i < CALLS; i++) {
        char key[64];
        int k = snprintf(key, sizeof(key), "customers/%u/in/photo.kind%u", i % 2000, i % 1500);
        rules_visit(r, EVENT_CREATED_PUT, str_n(key, (size_t)k), count, &hits);
    }
    printf("%5u rules, %-28s %6.0f ns (with making the key; %zu of %d keys hit)\n", n, what,
           (double)(clock_mono_ns() - begin) / CALLS, hits, CALLS);
    rules_free(r);
    buf_release(&b);
}

static void measure_record(void)
{
    struct header meta[] = {{STR("content-type"), STR("image/jpeg")},
                            {STR("X-Amz-Meta-Foo-Bar"), STR("Baz <&> \"q\"")}};
    struct headers h = {meta, 2};
    struct event_source src = {STR("minioadmin"),
                               STR(""),
                               STR("127.0.0.1"),
                               STR("MinIO (linux; amd64) minio-go/v7.0.90"),
                               {NULL, 0},
                               STR("18EAC8FD4896F9DA"),
                               STR("6c9c1b272fe6760748470e090db0a5146c93f0aa66a8e75df9c426a9aab2430a"),
                               STR("7763068d-8ce8-42c6-aa79-bae2e82a39d6"),
                               STR("http://127.0.0.1:9300")};
    struct event_info ev = {.name = EVENT_CREATED_PUT,
                            .bucket = STR("images"),
                            .key = STR("a b/c+d.jpg"),
                            .size = 2586,
                            .etag = STR("97a8981369a1ef41ad54e727b3ea175f"),
                            .meta = &h,
                            .content_length = -1};
    struct buf b;
    size_t at;
    buf_init(&b, 1u << 20);
    int64_t begin = clock_mono_ns();
    for (int i = 0; i < CALLS; i++) {
        buf_reset(&b);
        ev.time_ns = begin + i;
        event_record_write(&b, &src, &ev, &at);
    }
    printf("one record of %zu bytes                 %6.0f ns\n", b.len,
           (double)(clock_mono_ns() - begin) / CALLS);
    buf_release(&b);
}

int main(void)
{
    measure_rules("one prefix", 0, 1);
    measure_rules("a prefix each", 0, 1000);
    measure_rules("a suffix each", 1, 1000);
    measure_rules("prefix and suffix, all lengths", 2, 1000);
    measure_rules("wildcards", 3, 1000);
    measure_record();
    return 0;
}
