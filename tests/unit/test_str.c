/* SPDX-License-Identifier: Apache-2.0
 *
 * Views of bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/str.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void compare(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        int order;
        bool ieq;
    } cases[] = {
        {"", "", 0, true},       {"a", "a", 0, true},
        {"a", "A", 1, true},     {"a", "b", -1, false},
        {"a", "ab", -1, false},  {"ab", "a", 1, false},
        {"", "a", -1, false},    {"x-Amz-9", "X-aMZ-9", 1, true},
        {"[", "{", -1, false},   {"@", "`", -1, false},
        {"\xff", "a", 1, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str a = str_c(cases[i].a), b = str_c(cases[i].b);
        int r = str_cmp(a, b);
        assert_int_equal((r > 0) - (r < 0), cases[i].order);
        assert_int_equal(str_eq(a, b), cases[i].order == 0);
        assert_int_equal(str_ieq(a, b), cases[i].ieq);
    }
    assert_true(str_eq(str_n(NULL, 0), STR("")));
    assert_int_equal(str_cmp(str_n(NULL, 0), STR("")), 0);
}

static void search(void **state)
{
    (void)state;
    assert_true(str_starts(STR("abc"), STR("ab")) && str_starts(STR("abc"), STR("")));
    assert_false(str_starts(STR("a"), STR("ab")));
    assert_true(str_istarts(STR("X-AMZ-a"), STR("x-amz-")));
    assert_true(str_ends(STR("abc"), STR("bc")) && str_ends(STR("abc"), STR("")));
    assert_false(str_ends(STR("c"), STR("bc")));
    assert_int_equal(str_chr(STR("abcb"), 'b'), 1);
    assert_int_equal(str_chr(STR("abc"), 'x'), -1);
    assert_int_equal(str_chr(str_n(NULL, 0), 'x'), -1);
    assert_int_equal(str_find(STR("abcbc"), STR("bc")), 1);
    assert_int_equal(str_find(STR("abc"), STR("")), 0);
    assert_int_equal(str_find(STR("ab"), STR("abc")), -1);
    assert_true(str_eq(str_from(STR("abc"), 1), STR("bc")) && str_from(STR("abc"), 9).n == 0);
    assert_true(str_eq(str_head(STR("abc"), 2), STR("ab")) && str_eq(str_head(STR("abc"), 9), STR("abc")));
    assert_true(str_eq(str_trim(STR(" \t\r\na b\r\n ")), STR("a b")) && str_trim(STR(" \t ")).n == 0);
}

static void cut(void **state)
{
    (void)state;
    struct str rest = STR("a,,b"), head;
    assert_true(str_cut(&rest, ',', &head) && str_eq(head, STR("a")));
    assert_true(str_cut(&rest, ',', &head) && str_eq(head, STR("")));
    assert_true(str_cut(&rest, ',', &head) && str_eq(head, STR("b")));
    assert_false(str_cut(&rest, ',', &head));
    rest = STR("");
    assert_true(str_cut(&rest, ',', &head) && head.n == 0);
    assert_false(str_cut(&rest, ',', &head));
    rest = STR("a,");
    assert_true(str_cut(&rest, ',', &head) && str_eq(head, STR("a")));
    assert_true(str_cut(&rest, ',', &head) && head.n == 0);
    assert_false(str_cut(&rest, ',', &head));
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool u, i;
        uint64_t uv;
        int64_t iv;
    } cases[] = {
        {"0", true, true, 0, 0},
        {"007", true, true, 7, 7},
        {"9223372036854775807", true, true, INT64_MAX, INT64_MAX},
        {"9223372036854775808", true, false, UINT64_C(9223372036854775808), 0},
        {"-9223372036854775808", false, true, 0, INT64_MIN},
        {"-9223372036854775809", false, false, 0, 0},
        {"18446744073709551615", true, false, UINT64_MAX, 0},
        {"18446744073709551616", false, false, 0, 0},
        {"99999999999999999999999", false, false, 0, 0},
        {"-1", false, true, 0, -1},
        {"", false, false, 0, 0},
        {"-", false, false, 0, 0},
        {"--1", false, false, 0, 0},
        {"+1", false, false, 0, 0},
        {" 1", false, false, 0, 0},
        {"1 ", false, false, 0, 0},
        {"1a", false, false, 0, 0},
        {"0x1", false, false, 0, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint64_t u = 0;
        int64_t s = 0;
        assert_int_equal(str_to_u64(str_c(cases[i].text), &u), cases[i].u);
        assert_int_equal(str_to_i64(str_c(cases[i].text), &s), cases[i].i);
        assert_true(u == cases[i].uv && s == cases[i].iv);
    }
}

static void utf8(void **state)
{
    (void)state;
    static const char *const good[] = {"",
                                       "abc",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xc2\x41",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xe2\x82",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "a\xfe",
                                      "\xe2\x82\x41"};
    for (size_t i = 0; i < COUNT(good); i++)
        assert_true(str_utf8_valid(str_c(good[i])));
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_false(str_utf8_valid(str_c(bad[i])));
    assert_int_equal(str_utf8_seq(STR("\xf0\x90\x80\x80z")), 4);
    assert_int_equal(str_utf8_seq(STR("")), 0);
    char *z = str_dupz(STR("a\0b"));
    assert_memory_equal(z, "a\0b", 4);
    free(z);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(compare), cmocka_unit_test(search),
                                       cmocka_unit_test(cut), cmocka_unit_test(numbers),
                                       cmocka_unit_test(utf8)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
