/* SPDX-License-Identifier: Apache-2.0
 *
 * Time that truly passed, under clocks that are set forward and back. */
#include "unit.h"

#include "store/observed.h"

#define HOUR OBSERVED_EVERY_NS
#define YEAR (8760 * HOUR)

/* Hours of running; the wall clock runs along, after a jump. */
static void run(struct observed *o, int64_t *wall, int hours)
{
    for (int i = 0; i < hours * 6; i++) {
        *wall += HOUR / 6;
        observed_add(o, *wall, HOUR / 6);
    }
}

static void test_steady(void **state)
{
    (void)state;
    struct observed o = {0};
    int64_t wall = 1000 * HOUR;
    observed_add(&o, wall, 0);
    run(&o, &wall, 23);
    assert_true(observed_before(&o) == INT64_MIN);
    run(&o, &wall, 100);
    assert_in_range(wall - observed_before(&o), 24 * HOUR, 26 * HOUR);
}

/* {jump of the wall clock, hours of running after it, then what was touched just before the jump is, and just after it}. */
static void test_jumps(void **state)
{
    (void)state;
    static const struct {
        int64_t jump;
        int hours;
        bool old_before, old_after;
    } cases[] = {
        {0, 1, false, false},      {0, 27, true, true},     {YEAR, 1, false, false},
        {YEAR, 20, false, false},  {YEAR, 27, true, true},  {-HOUR, 1, false, false},
        {-HOUR, 23, false, false}, {-HOUR, 28, true, true}, {-YEAR, 1, false, false},
        {-YEAR, 60, false, true},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct observed o = {0};
        int64_t wall = 20000 * HOUR;
        observed_add(&o, wall, 0);
        run(&o, &wall, 100);
        int64_t before = wall - 1;
        wall += cases[i].jump;
        int64_t after = wall + 1;
        run(&o, &wall, cases[i].hours);
        if (cases[i].jump >= 0)
            assert_int_equal(before < observed_before(&o), cases[i].old_before);
        assert_int_equal(after < observed_before(&o), cases[i].old_after);
    }
}

/* Forward a year for a while and back: what was touched meanwhile stays, what is touched after it is safe for 24 h. */
static void test_there_and_back(void **state)
{
    (void)state;
    struct observed o = {0};
    int64_t wall = 20000 * HOUR;
    observed_add(&o, wall, 0);
    run(&o, &wall, 100);
    wall += YEAR;
    run(&o, &wall, 30);
    wall -= YEAR;
    int64_t touched = wall + 1;
    run(&o, &wall, 23);
    assert_false(touched < observed_before(&o));
    run(&o, &wall, 30);
    assert_true(touched < observed_before(&o));
}

/* Restarts, and nights without a server: they do not count. */
static void test_row(void **state)
{
    (void)state;
    struct observed o = {0}, read;
    struct buf row;
    int64_t wall = 20000 * HOUR;
    observed_add(&o, wall, 0);
    buf_init(&row, sizeof o + 1);
    for (int day = 0; day < 10; day++) {
        run(&o, &wall, 8);
        buf_reset(&row);
        observed_encode(&o, &row);
        assert_true(observed_decode(buf_view(&row), &read));
        assert_memory_equal(&read, &o, sizeof o);
        o = read;
        wall += 16 * HOUR;
        observed_add(&o, wall, 0);
    }
    /* 24 hours of running are three days. */
    assert_in_range(wall - observed_before(&o), 3 * 24 * HOUR, 5 * 24 * HOUR);
    for (size_t n = 0; n < row.len; n++)
        (void)observed_decode(str_n(row.p, n), &read);
    assert_false(observed_decode(str_n(row.p, row.len - 1), &read));
    assert_false(observed_decode(STR("\x02"), &read));
    buf_release(&row);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steady),
        cmocka_unit_test(test_jumps),
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
