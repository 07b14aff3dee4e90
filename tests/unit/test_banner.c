/* SPDX-License-Identifier: Apache-2.0
 *
 * The start-up text, whose form scripts read. */
#include "unit.h"

#include "banner.h"

static void assert_text(const struct buf *b, const char *want)
{
    assert_int_equal(b->len, strlen(want));
    assert_memory_equal(b->p, want, b->len);
}

static void test_text(void **state)
{
    (void)state;
    struct str urls[] = {STR("http://10.0.0.1:9000"), STR("http://127.0.0.1:9000")};
    struct str arns[] = {STR("arn:minio:sqs::1:webhook"), STR("arn:minio:sqs::2:webhook")};
    struct buf b;
    buf_init(&b, 4096);
    banner_text(&b, urls, 2, arns, 2);
    assert_text(&b, "API: http://10.0.0.1:9000  http://127.0.0.1:9000\n"
                    "SQS ARNs: arn:minio:sqs::1:webhook arn:minio:sqs::2:webhook \n\n");
    buf_reset(&b);
    banner_text(&b, urls + 1, 1, NULL, 0);
    assert_text(&b, "API: http://127.0.0.1:9000\n");
    buf_reset(&b);
    banner_json(&b, urls + 1, 1, arns, 1, 0);
    assert_text(
        &b,
        "{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"INFO\",\"area\":\"server\",\"message\":\"ready\","
        "\"api\":[\"http://127.0.0.1:9000\"],\"sqsARNs\":[\"arn:minio:sqs::1:webhook\"]}\n");
    buf_release(&b);
}

static void test_urls(void **state)
{
    (void)state;
    struct arena a;
    struct str *urls;
    arena_init(&a);
    assert_int_equal(banner_urls(&a, "127.0.0.1:9000", false, &urls), 1);
    assert_true(str_eq_c(urls[0], "http://127.0.0.1:9000"));
    assert_int_equal(banner_urls(&a, "[::1]:1", true, &urls), 1);
    assert_true(str_eq_c(urls[0], "https://[::1]:1"));
    size_t n = banner_urls(&a, "[::]:9000", false, &urls);
    assert_true(n >= 1);
    for (size_t i = 0; i < n; i++)
        assert_true(str_starts(urls[i], STR("http://")) && str_ends(urls[i], STR(":9000")));
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_text), cmocka_unit_test(test_urls)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
