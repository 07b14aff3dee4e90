/* SPDX-License-Identifier: Apache-2.0
 *
 * Dates in the forms of HTTP, S3 and SigV4. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include <cmocka.h>

#define NS INT64_C(1000000000)

static int64_t in_2026(void)
{
    return INT64_C(1769941230) * NS;
}

static void formats(void **state)
{
    (void)state;
    static const struct {
        int64_t ns;
        const char *iso, *http, *amz;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000Z", "Thu, 01 Jan 1970 00:00:00 GMT", "19700101T000000Z"},
        {INT64_C(1769941230123999999), "2026-02-01T10:20:30.123Z", "Sun, 01 Feb 2026 10:20:30 GMT",
         "20260201T102030Z"},
        {951782399 * NS, "2000-02-28T23:59:59.000Z", "Mon, 28 Feb 2000 23:59:59 GMT", "20000228T235959Z"},
        {951782400 * NS, "2000-02-29T00:00:00.000Z", "Tue, 29 Feb 2000 00:00:00 GMT", "20000229T000000Z"},
        {INT64_C(4107542400) * NS, "2100-03-01T00:00:00.000Z", "Mon, 01 Mar 2100 00:00:00 GMT",
         "21000301T000000Z"},
        {784111777 * NS, "1994-11-06T08:49:37.000Z", "Sun, 06 Nov 1994 08:49:37 GMT", "19941106T084937Z"},
        {-1, "1969-12-31T23:59:59.999Z", "Wed, 31 Dec 1969 23:59:59 GMT", "19691231T235959Z"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[CLOCK_HTTP_LEN];
        int64_t v;
        clock_iso_ms(cases[i].ns, text);
        assert_memory_equal(text, cases[i].iso, CLOCK_ISO_MS_LEN);
        assert_true(clock_parse_iso(str_n(text, CLOCK_ISO_MS_LEN), &v));
        assert_true(v == cases[i].ns - ((cases[i].ns % 1000000) + 1000000) % 1000000);
        clock_http(cases[i].ns, text);
        assert_memory_equal(text, cases[i].http, CLOCK_HTTP_LEN);
        clock_amz(cases[i].ns, text);
        assert_memory_equal(text, cases[i].amz, CLOCK_AMZ_LEN);
        assert_true(clock_parse_amz(str_n(text, CLOCK_AMZ_LEN), &v));
        assert_true(v * NS <= cases[i].ns && cases[i].ns - v * NS < NS);
    }
}

static void http_dates(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t seconds; /* -1: refused */
    } cases[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
        {"Sun Nov  6 08:49:37 1994", 784111777},
        {"Sun Nov 16 08:49:37 1994", 784975777},
        {"Tuesday, 01-Feb-77 00:00:00 GMT", 223603200},
        {"Monday, 01-Feb-76 00:00:00 GMT", INT64_C(3347740800)},
        {"Thu, 30 Jun 2016 23:59:60 GMT", 1467331200},
        {"Tue, 29 Feb 2000 00:00:00 GMT", 951782400},
        {"Thu, 29 Feb 1900 00:00:00 GMT", -1},
        {"Mon, 31 Apr 2000 00:00:00 GMT", -1},
        {"Mon, 00 Apr 2000 00:00:00 GMT", -1},
        {"Sun, 06 Nov 1994 24:00:00 GMT", -1},
        {"Sun, 06 Nov 1994 08:60:37 GMT", -1},
        {"Sun, 06 Nov 1994 08:49:61 GMT", -1},
        {"Sun, 06 Nov 1994 08:49:37 UTC", -1},
        {"Sun, 06 Nov 1994 08:49:37", -1},
        {"Sun, 06 Nov 1994 08:49:37 GMT ", -1},
        {"Sun, 6 Nov 1994 08:49:37 GMT", -1},
        {"Son, 06 Nov 1994 08:49:37 GMT", -1},
        {"Sund, 06-Nov-94 08:49:37 GMT", -1},
        {"Sunday, 06-Nov-1994 08:49:37 GMT", -1},
        {"Sun, 06 nov 1994 08:49:37 GMT", -1},
        {"Sun Nov 6 08:49:37 1994", -1},
        {"784111777", -1},
        {"", -1},
        {",", -1},
    };
    int64_t (*before)(void) = clock_real_ns;
    clock_real_ns = in_2026;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t v = -1;
        bool good = clock_parse_http(str_c(cases[i].text), &v);
        if (good != (cases[i].seconds >= 0) || v != cases[i].seconds)
            fail_msg("%s: %lld", cases[i].text, (long long)v);
    }
    clock_real_ns = before;
}

static void other_dates(void **state)
{
    (void)state;
    static const char *const bad_amz[] = {"",
                                          "20130524T000000",
                                          "20130524T000000Zx",
                                          "20130524 000000Z",
                                          "20131324T000000Z",
                                          "2013-05-24T000000Z",
                                          "2013052aT000000Z"};
    static const char *const bad_iso[] = {"",
                                          "2026-02-01T10:20:30",
                                          "2026-02-01T10:20:30.Z",
                                          "2026-02-01 10:20:30Z",
                                          "2026-02-30T10:20:30Z",
                                          "2026-02-01T10:20:30+01:00",
                                          "9999-12-31T23:59:59Z",
                                          "2026-02-01T10:20:30.1Zx"};
    int64_t v;
    for (size_t i = 0; i < sizeof(bad_amz) / sizeof(bad_amz[0]); i++)
        assert_false(clock_parse_amz(str_c(bad_amz[i]), &v));
    for (size_t i = 0; i < sizeof(bad_iso) / sizeof(bad_iso[0]); i++)
        assert_false(clock_parse_iso(str_c(bad_iso[i]), &v));
    assert_true(clock_parse_iso(STR("2026-02-01T10:20:30Z"), &v) && v == 1769941230 * NS);
    assert_true(clock_parse_iso(STR("2026-02-01T10:20:30.1Z"), &v) && v == 1769941230 * NS + NS / 10);
    assert_true(clock_parse_iso(STR("2026-02-01T10:20:30.1234567899Z"), &v) &&
                v == 1769941230 * NS + 123456789);
}

static void running(void **state)
{
    (void)state;
    int64_t a = clock_mono_ns(), b = clock_mono_ns();
    assert_true(b >= a && a > 0);
    assert_true(clock_real_ns() > in_2026() - 366 * 86400 * NS);
    assert_true(clock_mono_ms() >= b / 1000000);
}

/* The variable is read once, so before anything else here asks for the time. */
static int shift(void **state)
{
    (void)state;
    return setenv("BELFRY_TEST_CLOCK_OFFSET_S", "-86400", 1);
}

static void shifted(void **state)
{
    (void)state;
    struct timespec ts;
    assert_int_equal(clock_gettime(CLOCK_REALTIME, &ts), 0);
    int64_t behind = (int64_t)ts.tv_sec - clock_real_ns() / NS;
    assert_true(behind > 86400 - 60 && behind <= 86401);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(formats), cmocka_unit_test(http_dates),
                                       cmocka_unit_test(other_dates), cmocka_unit_test(running),
                                       cmocka_unit_test(shifted)};
    return cmocka_run_group_tests(tests, shift, NULL);
}
