/* SPDX-License-Identifier: Apache-2.0
 *
 * Signature Version 4, the parts it is made of: canonical forms, credentials, signing keys and their stock. */
#include "sigv4_cases.h"

#include <stdio.h>

#include "base/encode.h"
#include "base/hash.h"

/* --- canonical forms --------------------------------------------------------------------------------- */

struct text_case {
    const char *in, *out; /* out NULL: refused */
};

static const struct text_case path_cases[] = {
    {"", "/"},
    {"/", "/"},
    {"/test.txt", "/test.txt"},
    {"/test$file.text", "/test%24file.text"},
    {"/test%24file.text", "/test%24file.text"},
    {"/a/./b/../c//d", "/a/./b/../c//d"},
    {"/a%2fb%2Fc", "/a/b/c"},
    {"/a+b", "/a%2Bb"},
    {"/a%20b%7e~", "/a%20b~~"},
    {"/%25", "/%25"},
    {"/%2525", "/%2525"},
    {"/\xc3\xbc", "/%C3%BC"},
    {"/%c3%bc", "/%C3%BC"},
    {"/%00", "/%00"},
    {"/buck/a%20b%2Bc/%C3%BC~(1)*'!$&,;=:@[]%23%3F%25.txt",
     "/buck/a%20b%2Bc/%C3%BC~%281%29%2A%27%21%24%26%2C%3B%3D%3A%40%5B%5D%23%3F%25.txt"},
    {"/%", NULL},
    {"/%4", NULL},
    {"/%zz", NULL},
};

static void canon_path(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(path_cases) / sizeof(path_cases[0]); i++) {
        struct buf b;
        buf_init(&b, 4096);
        bool good = auth_canon_path(&b, str_c(path_cases[i].in));
        assert_int_equal(good, path_cases[i].out != NULL);
        if (good && !str_eq_c(buf_view(&b), path_cases[i].out))
            fail_msg("%s -> %.*s", path_cases[i].in, STR_FMT(buf_view(&b)));
        buf_release(&b);
    }
}

static const struct text_case query_cases[] = {
    {"", ""},
    {"lifecycle", "lifecycle="},
    {"lifecycle=", "lifecycle="},
    {"max-keys=2&prefix=J", "max-keys=2&prefix=J"},
    {"prefix=J&max-keys=2", "max-keys=2&prefix=J"},
    {"prefix=a/b c%2Bd&delimiter=/&a=2&a=1&X-Amz-Z", "X-Amz-Z=&a=1&a=2&delimiter=%2F&prefix=a%2Fb%20c%2Bd"},
    {"a=1+2", "a=1%202"},
    {"&&a=1&&", "a=1"},
    {"a=b=c", "a=b%3Dc"},
    {"a-b=1&a=2&a%20=3", "a=2&a%20=3&a-b=1"},
    {"X-Amz-Signature=aa&X-Amz-Date=x", "X-Amz-Date=x"},
    {"%58-Amz-Signature=aa", ""},
    {"=x", "=x"},
    {"a=%C3%bc&A=1", "A=1&a=%C3%BC"},
    {"a=%2", NULL},
    {"%=1", NULL},
};

static void canon_query(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(query_cases) / sizeof(query_cases[0]); i++) {
        struct arena a;
        struct buf b;
        arena_init(&a);
        buf_init(&b, 4096);
        bool good = auth_canon_query(&b, str_c(query_cases[i].in), &a);
        assert_int_equal(good, query_cases[i].out != NULL);
        if (good && !str_eq_c(buf_view(&b), query_cases[i].out))
            fail_msg("%s -> %.*s", query_cases[i].in, STR_FMT(buf_view(&b)));
        buf_release(&b);
        arena_release(&a);
    }
}

/* More pairs than the insertion sort takes, in reverse. */
static void canon_query_many(void **state)
{
    (void)state;
    struct arena a;
    struct buf in, want, got;
    arena_init(&a);
    buf_init(&in, 1 << 20);
    buf_init(&want, 1 << 20);
    buf_init(&got, 1 << 20);
    for (int i = 999; i >= 0; i--)
        buf_printf(&in, "%sk%03d=v", i == 999 ? "" : "&", i);
    for (int i = 0; i < 1000; i++)
        buf_printf(&want, "%sk%03d=v", i ? "&" : "", i);
    assert_true(auth_canon_query(&got, buf_view(&in), &a));
    assert_true(str_eq(buf_view(&got), buf_view(&want)));
    buf_release(&in);
    buf_release(&want);
    buf_release(&got);
    arena_release(&a);
}

static const struct {
    const char *headers, *names, *out;
} header_cases[] = {
    {"Host: h\nX-Amz-Date: d", "host;x-amz-date", "host:h\nx-amz-date:d\n"},
    {"Host: h\nX-Amz-Date: d", "x-amz-date;host", "host:h\nx-amz-date:d\n"},
    {"Host: h\nX-Amz-Date: d", "Host;X-Amz-Date;host", "host:h\nx-amz-date:d\n"},
    {"host: h\nx-a:   one  two \t three  ", "host;x-a", "host:h\nx-a:one two three\n"},
    {"x-b: v1\nhost: h\nX-B:  v2", "host;x-b", "host:h\nx-b:v1,v2\n"},
    {"host: 127.0.0.1:9000\nx-c:", "host;x-c", "host:127.0.0.1:9000\nx-c:\n"},
    {"host: h", "expect;host", "expect:100-continue\nhost:h\n"},
    {"host: h", "content-length;host;transfer-encoding;user-agent",
     "content-length:\nhost:h\ntransfer-encoding:\nuser-agent:\n"},
    {"host: h", "host;range", NULL},
};

static void canon_headers(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(header_cases) / sizeof(header_cases[0]); i++) {
        struct arena a;
        struct head head;
        struct sigv4_names names;
        struct buf b;
        arena_init(&a);
        buf_init(&b, 4096);
        assert_true(sigv4_names(str_c(header_cases[i].names), &a, &names));
        enum auth_result r = sigv4_canon_headers(&b, head_of(&head, header_cases[i].headers), &names);
        assert_int_equal(r, header_cases[i].out ? AUTH_OK : AUTH_UNSIGNED_HEADERS);
        if (r == AUTH_OK && !str_eq_c(buf_view(&b), header_cases[i].out))
            fail_msg("case %zu: %.*s", i, STR_FMT(buf_view(&b)));
        buf_release(&b);
        arena_release(&a);
    }
}

static void names_refused(void **state)
{
    (void)state;
    struct arena a;
    struct sigv4_names names;
    struct buf many;
    arena_init(&a);
    buf_init(&many, 4096);
    for (int i = 0; i <= SIGV4_NAMES_MAX; i++)
        buf_printf(&many, "%sx%d", i ? ";" : "", i);
    assert_false(sigv4_names(STR(""), &a, &names));
    assert_false(sigv4_names(STR("host;"), &a, &names));
    assert_false(sigv4_names(STR(";host"), &a, &names));
    assert_false(sigv4_names(buf_view(&many), &a, &names));
    buf_release(&many);
    arena_release(&a);
}

static void credential(void **state)
{
    (void)state;
    static const struct text_case cases[] = {
        {"AK/20130524/us-east-1/s3/aws4_request",
         "AK|20130524|us-east-1|s3|20130524/us-east-1/s3/aws4_request"},
        {"a/b/20130524/r/s3/aws4_request", "a/b|20130524|r|s3|20130524/r/s3/aws4_request"},
        {"AK/20130524//s3/aws4_request", "AK|20130524||s3|20130524//s3/aws4_request"},
        {"/20130524/r/s3/aws4_request", NULL},
        {"20130524/r/s3/aws4_request", NULL},
        {"AK/2013052/r/s3/aws4_request", NULL},
        {"AK/2013052x/r/s3/aws4_request", NULL},
        {"AK/20130524/r/s3/aws4", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sigv4_credential c;
        bool good = sigv4_credential(str_c(cases[i].in), &c);
        assert_int_equal(good, cases[i].out != NULL);
        if (!good)
            continue;
        char got[256];
        (void)snprintf(got, sizeof(got), "%.*s|%.*s|%.*s|%.*s|%.*s", STR_FMT(c.access_key), STR_FMT(c.day),
                       STR_FMT(c.region), STR_FMT(c.service), STR_FMT(c.scope));
        assert_string_equal(got, cases[i].out);
    }
}

static void signing_key(void **state)
{
    (void)state;
    uint8_t key[32], want[32];
    assert_true(
        hex_decode(STR("dbb893acc010964918f1fd433add87c70e8b0db6be30c1fbeafefa5ec6ba8378"), want, 32));
    auth_signing_key(STR(SK), STR("20130524"), STR("us-east-1"), STR("s3"), key);
    assert_memory_equal(key, want, 32);
}

/* --- the stock of keys ------------------------------------------------------------------------------------------ */

static void stock(void **state)
{
    (void)state;
    struct sigv4_stock s;
    uint8_t key[32] = {1}, got[32];
    char region[SIGV4_REGION_MAX + 1];
    memset(region, 'r', sizeof(region));
    sigv4_stock_init(&s);
    assert_false(sigv4_stock_get(&s, STR("20130524"), STR("a"), got));
    for (int round = 0; round < 2; round++) /* twice the same takes one place */
        sigv4_stock_add(&s, STR("20130524"), STR("a"), key);
    assert_int_equal(s.next, 1);
    assert_true(sigv4_stock_get(&s, STR("20130524"), STR("a"), got));
    assert_memory_equal(got, key, 32);
    assert_false(sigv4_stock_get(&s, STR("20130525"), STR("a"), got));
    assert_false(sigv4_stock_get(&s, STR("20130524"), STR(""), got));
    sigv4_stock_add(&s, STR("20130524"), STR(""), key);
    assert_true(sigv4_stock_get(&s, STR("20130524"), STR(""), got));
    sigv4_stock_add(&s, STR("20130524"), str_n(region, sizeof(region)), key);
    assert_false(sigv4_stock_get(&s, STR("20130524"), str_n(region, sizeof(region)), got));
    for (size_t i = 1; i <= SIGV4_STOCK; i++)
        sigv4_stock_add(&s, STR("20130525"), str_n(region, i), key);
    assert_false(sigv4_stock_get(&s, STR("20130524"), STR("a"), got)); /* the oldest went */
    for (size_t i = 1; i <= SIGV4_STOCK; i++)
        assert_true(sigv4_stock_get(&s, STR("20130525"), str_n(region, i), got));
    sigv4_stock_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canon_path),    cmocka_unit_test(canon_query),   cmocka_unit_test(canon_query_many),
        cmocka_unit_test(canon_headers), cmocka_unit_test(names_refused), cmocka_unit_test(credential),
        cmocka_unit_test(signing_key),   cmocka_unit_test(stock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
