/* SPDX-License-Identifier: Apache-2.0
 *
 * Time that truly passed, by notes of the sequencer. */
#include "unit.h"

#include "store/observed.h"

#define HOUR OBSERVED_EVERY_NS

/* Hours of running, looked at every ten minutes; the sequencer rises by one each time. */
static void run(struct observed *o, uint64_t *seq, int hours)
{
    for (int i = 0; i < hours * 6; i++)
        observed_add(o, ++*seq, HOUR / 6);
}

static void test_steady(void **state)
{
    (void)state;
    struct observed o = {0};
    uint64_t seq = 1000;
    assert_int_equal(observed_before(&o), 0);
    observed_add(&o, seq, 0);
    run(&o, &seq, 23);
    assert_int_equal(observed_before(&o), 0);
    for (int i = 0; i < 100; i++) {
        run(&o, &seq, 1);
        assert_in_range(seq - observed_before(&o), 24 * 6, 25 * 6);
        assert_in_range(o.n, 1, 26);
    }
}

/* {hours that ran before it was touched, minutes that ran since, is it old}. */
static void test_touched(void **state)
{
    (void)state;
    static const struct {
        int before, since;
        bool old;
    } cases[] = {
        {0, 0, false},        {0, 24 * 60 - 10, false},   {0, 25 * 60 + 10, true},
        {1, 24 * 60, false},  {100, 24 * 60 - 10, false}, {100, 25 * 60 + 10, true},
        {100, 90 * 60, true},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct observed o = {0};
        uint64_t seq = 1000;
        observed_add(&o, seq, 0);
        run(&o, &seq, cases[i].before);
        uint64_t touched = ++seq;
        for (int m = 0; m < cases[i].since; m += 10)
            observed_add(&o, ++seq, HOUR / 6);
        assert_int_equal(touched < observed_before(&o), cases[i].old);
    }
}

/* A server that stood still for long (or a steady clock that goes back, which it does not). */
static void test_gaps(void **state)
{
    (void)state;
    struct observed o = {0};
    observed_add(&o, 10, 0);
    observed_add(&o, 20, 1000 * HOUR);
    assert_int_equal(observed_before(&o), 10);
    observed_add(&o, 30, -5 * HOUR);
    assert_int_equal(observed_before(&o), 10);
    for (unsigned i = 0; i < 10 * OBSERVED_NOTES; i++)
        observed_add(&o, 40 + i, HOUR);
    assert_in_range(o.n, 1, OBSERVED_NOTES);
    assert_int_equal(observed_before(&o), 40 + 10 * OBSERVED_NOTES - 1 - 24);
}

/* Restarts, and nights without a server: they do not count. */
static void test_row(void **state)
{
    (void)state;
    struct observed o = {0}, read;
    struct buf row;
    uint64_t seq = 1000;
    observed_add(&o, seq, 0);
    buf_init(&row, sizeof o + 1);
    for (int day = 0; day < 10; day++) {
        run(&o, &seq, 8);
        buf_reset(&row);
        observed_encode(&o, &row);
        assert_true(observed_decode(buf_view(&row), &read));
        assert_int_equal(read.n, o.n);
        assert_int_equal(observed_before(&read), observed_before(&o));
        o = read;
        observed_add(&o, ++seq, 0);
    }
    /* 24 hours of running are three days of 8. */
    assert_in_range(seq - observed_before(&o), 24 * 6, 26 * 6);
    size_t whole = row.len;
    for (size_t n = 0; n < whole; n++)
        if ((n - 9) % 16 != 0)
            assert_false(observed_decode(str_n(row.p, n), &read));
    assert_false(observed_decode(STR("\x02\0\0\0\0\0\0\0\0"), &read));
    buf_release(&row);
}

/* What a damaged row may say is not believed: running time that falls, or is in the future; too many notes. */
static void test_nonsense(void **state)
{
    (void)state;
    struct observed good = {.n = 2, .running_ns = 50 * HOUR, .note = {{5, 10 * HOUR}, {6, 11 * HOUR}}}, o,
                    read;
    static const struct {
        size_t n;
        int64_t running;
        uint64_t seq;
        int64_t at;
    } cases[] = {
        {2, -1, 6, 11 * HOUR},        {2, 50 * HOUR, 4, 11 * HOUR}, {2, 50 * HOUR, 6, 9 * HOUR},
        {2, 50 * HOUR, 6, 51 * HOUR}, {2, 5 * HOUR, 6, 11 * HOUR},
    };
    for (size_t i = 0; i <= COUNT_OF(cases); i++) {
        struct buf row;
        o = good;
        if (i > 0) {
            o.n = cases[i - 1].n;
            o.running_ns = cases[i - 1].running;
            o.note[1].seq = cases[i - 1].seq;
            o.note[1].running_ns = cases[i - 1].at;
        }
        buf_init(&row, 4096);
        observed_encode(&o, &row);
        assert_int_equal(observed_decode(buf_view(&row), &read), i == 0);
        if (i > 0)
            assert_int_equal(observed_before(&read), 0);
        buf_release(&row);
    }
    struct buf many;
    buf_init(&many, 4096);
    buf_char(&many, 1);
    buf_be64(&many, (uint64_t)HOUR);
    for (unsigned i = 0; i <= OBSERVED_NOTES; i++) {
        buf_be64(&many, i);
        buf_be64(&many, i);
    }
    assert_false(observed_decode(buf_view(&many), &read));
    buf_release(&many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steady), cmocka_unit_test(test_touched),  cmocka_unit_test(test_gaps),
        cmocka_unit_test(test_row),    cmocka_unit_test(test_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
