/* SPDX-License-Identifier: Apache-2.0
 *
 * CORS: which origins are allowed, and what replies then carry. */
#include "s3/cors.h"

#include "unit.h"

static const struct {
    const char *list, *origin;
    bool allowed;
} origins[] = {
    {"*", "http://example.org", true},
    {"*", "null", true},
    {"*", "", false},
    {"http://example.org", "http://example.org", true},
    {"http://example.org", "http://example.org:81", false},
    {"http://example.org", "https://example.org", false},
    {"http://example.org", "http://example.org.evil.test", false},
    {"https://*.example.org", "https://a.example.org", true},
    {"https://*.example.org", "https://example.org", false},
    {"http://a.test, http://b.test", "http://b.test", true},
    {"http://a.test,,", "", false},
    {"", "http://a.test", false},
};

static void test_origins(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(origins); i++)
        if (cors_allowed(str_c(origins[i].list), str_c(origins[i].origin)) != origins[i].allowed)
            fail_msg("\"%s\" of \"%s\"", origins[i].origin, origins[i].list);
}

static struct str lines(const char *origin, struct buf *b)
{
    struct header h[2] = {{STR("Host"), STR("x")}, {STR("Origin"), str_c(origin)}};
    struct headers request = {h, origin ? 2 : 1};
    buf_reset(b);
    cors_headers(STR("*"), &request, b);
    return buf_view(b);
}

static void test_lines(void **state)
{
    static char longest[2000];
    struct buf b;
    (void)state;
    buf_init(&b, 8192);
    memset(longest, 'x', sizeof longest - 1);
    assert_int_equal(lines(NULL, &b).n, 0);
    assert_int_equal(lines("", &b).n, 0);
    assert_int_equal(lines("http://a\tb", &b).n, 0);
    assert_int_equal(lines("http://\xc3\xbc", &b).n, 0);
    assert_int_equal(lines(longest, &b).n, 0);
    assert_true(str_starts(lines("http://a.test", &b),
                           STR("Access-Control-Allow-Origin: http://a.test\r\n"
                               "Access-Control-Allow-Credentials: true\r\nAccess-Control-Expose-Headers: ")));
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_origins),
        cmocka_unit_test(test_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
