/* SPDX-License-Identifier: Apache-2.0
 *
 * Hex, base64 (vectors of RFC 4648), percent encoding, queries and headers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "base/encode.h"
#include "base/header.h"
#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void hex(void **state)
{
    (void)state;
    char text[16];
    uint8_t bytes[3];
    hex_lower("\x00\xab\xff", 3, text);
    assert_memory_equal(text, "00abff", 6);
    hex_upper("\x00\xab\xff", 3, text);
    assert_memory_equal(text, "00ABFF", 6);
    hex_u64(0x18d4a5, text);
    assert_memory_equal(text, "000000000018D4A5", 16);
    hex_u64(UINT64_MAX, text);
    assert_memory_equal(text, "FFFFFFFFFFFFFFFF", 16);
    assert_true(hex_decode(STR("00aBFf"), bytes, 3));
    assert_memory_equal(bytes, "\x00\xab\xff", 3);
    assert_false(hex_decode(STR("00aBF"), bytes, 3));
    assert_false(hex_decode(STR("00aBFf0"), bytes, 3));
    assert_false(hex_decode(STR("00aBFg"), bytes, 3));
    assert_false(hex_decode(STR("00aB f"), bytes, 3));
    assert_false(hex_decode(STR("@0aBFf"), bytes, 3));
    assert_true(hex_decode(STR(""), bytes, 0));
}

static void base64(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\xfb\xff\xbf", "+/+/"},
    };
    static const char *const bad[] = {"Z",    "Zg",    "Zg=",    "Zg===", "Z===",     "====", "Zh==",
                                      "Zm9=", "Zm 9v", "Zm9v\n", "Zm9-",  "Zg==Zg==", "=Zg="};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf b;
        char out[16];
        size_t n;
        buf_init(&b, 100);
        base64_encode(&b, str_c(cases[i][0]));
        assert_true(str_eq_c(buf_view(&b), cases[i][1]));
        assert_true(base64_decode(buf_view(&b), out, strlen(cases[i][0]), &n));
        assert_true(str_eq_c(str_n(out, n), cases[i][0]));
        if (n)
            assert_false(base64_decode(buf_view(&b), out, n - 1, &n));
        buf_release(&b);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        char out[16];
        size_t n;
        if (base64_decode(str_c(bad[i]), out, sizeof(out), &n))
            fail_msg("%s", bad[i]);
    }
}

static void percent(void **state)
{
    (void)state;
    static const struct {
        const char *in, *path, *query, *form;
    } cases[] = {
        {"", "", "", ""},
        {"AZaz09-_.~", "AZaz09-_.~", "AZaz09-_.~", "AZaz09-_.~"},
        {"a b/c+d", "a%20b/c%2Bd", "a%20b%2Fc%2Bd", "a+b%2Fc%2Bd"},
        {"\xc3\xbc%", "%C3%BC%25", "%C3%BC%25", "%C3%BC%25"},
        {"(1)*'!$&,;=:@[]#?", "%281%29%2A%27%21%24%26%2C%3B%3D%3A%40%5B%5D%23%3F",
         "%281%29%2A%27%21%24%26%2C%3B%3D%3A%40%5B%5D%23%3F",
         "%281%29%2A%27%21%24%26%2C%3B%3D%3A%40%5B%5D%23%3F"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *const want[] = {
            [PCT_PATH] = cases[i].path, [PCT_QUERY] = cases[i].query, [PCT_FORM] = cases[i].form};
        for (int set = PCT_PATH; set <= PCT_FORM; set++) {
            struct buf b, back;
            buf_init(&b, 1000);
            buf_init(&back, 1000);
            pct_encode(&b, str_c(cases[i].in), (enum pct_set)set);
            assert_true(str_eq_c(buf_view(&b), want[set]));
            assert_true(pct_decode(&back, buf_view(&b), set == PCT_FORM));
            assert_true(str_eq_c(buf_view(&back), cases[i].in));
            buf_release(&b);
            buf_release(&back);
        }
    }
}

static void percent_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"%", "a%", "%1", "%g1", "%1g", "a%%41", "%-1"};
    struct arena a;
    struct str out;
    arena_init(&a);
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct buf b;
        buf_init(&b, 100);
        assert_false(pct_decode(&b, str_c(bad[i]), false));
        assert_int_equal(b.len, 0);
        assert_false(pct_decode_arena(&a, str_c(bad[i]), false, &out));
        buf_release(&b);
    }
    assert_true(pct_decode_arena(&a, STR("a+b"), true, &out) && str_eq(out, STR("a b")));
    assert_true(pct_decode_arena(&a, STR("a+b"), false, &out) && str_eq(out, STR("a+b")));
    assert_true(pct_decode_arena(&a, STR("%41%2f"), false, &out) && str_eq(out, STR("A/")));
    arena_release(&a);
}

static void queries(void **state)
{
    (void)state;
    static const struct {
        const char *raw, *pairs; /* "name=value;" each; NULL: refused at 3 pairs */
    } cases[] = {
        {"", ""},
        {"a=1&b&c=%20", "a=1;b=;c= ;"},
        {"a=1+2", "a=1 2;"},
        {"a=b=c", "a=b=c;"},
        {"&a&", "a=;"},
        {"=x", "=x;"},
        {"a=1&a=2", "a=1;a=2;"},
        {"%61=%62", "a=b;"},
        {"a&b&c&d", NULL},
        {"a=%", NULL},
        {"%z=1", NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct arena a;
        struct buf b;
        struct headers q;
        arena_init(&a);
        buf_init(&b, 100);
        bool good = query_parse(&a, str_c(cases[i].raw), 3, &q);
        assert_int_equal(good, cases[i].pairs != NULL);
        for (size_t k = 0; good && k < q.n; k++)
            buf_printf(&b, "%.*s=%.*s;", STR_FMT(q.v[k].name), STR_FMT(q.v[k].value));
        if (good)
            assert_true(str_eq_c(buf_view(&b), cases[i].pairs));
        buf_release(&b);
        arena_release(&a);
    }
}

static void headers(void **state)
{
    (void)state;
    struct header v[] = {
        {STR("Host"), STR("h")}, {STR("x-a"), STR("1")}, {STR("X-A"), STR("2")}, {STR("e"), {NULL, 0}}};
    struct headers h = {v, 4};
    struct str value = STR("untouched");
    assert_true(header_get(&h, STR("HOST"), &value) && str_eq(value, STR("h")));
    assert_true(header_get(&h, STR("x-A"), &value) && str_eq(value, STR("1")));
    assert_false(header_get(&h, STR("x-b"), &value));
    assert_int_equal(header_count(&h, STR("x-a")), 2);
    assert_int_equal(header_count(&h, STR("x")), 0);
    assert_null(header_value(&h, STR("x-b")).p);
    assert_non_null(header_value(&h, STR("e")).p);
    assert_false(query_get(&h, STR("host"), &value));
    assert_true(query_get(&h, STR("X-A"), &value) && str_eq(value, STR("2")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hex),     cmocka_unit_test(base64),
        cmocka_unit_test(percent), cmocka_unit_test(percent_refused),
        cmocka_unit_test(queries), cmocka_unit_test(headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
