/* SPDX-License-Identifier: Apache-2.0
 *
 * How long the history is: as long as it is set to be, however large its events are and however quickly they come; and nothing
 * is left when it is switched off. */
#include "listen_help.h"

/* Has the thread cut all that is to be cut? */
static bool is_trimmed(struct bench *b)
{
    mutex_lock(&b->l->mutex);
    bool done = !listen_trim_due(b->l) && b->l->deleted == b->l->mark[0].seq;
    mutex_unlock(&b->l->mutex);
    return done;
}

/* Whatever is read, all that was put is read or counted. */
static void test_trimming(void **state)
{
    (void)state;
    static const int64_t lengths[] = {1, 10, 100, 1000, 5000};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct bench b;
        struct listen_reader slow, late;
        struct listen_position start;
        int64_t keep = lengths[i], slack = keep / SEGMENTS + 1 + SEGMENT_MAX * (keep > 60000);
        open_bench(&b, keep, 0);
        join(&b, &slow, PUTS, NULL);
        (void)missed(&b, &slow, &start);
        put(&b, (size_t)keep + 700);
        change(&b, EVENT_CREATED_PUT, "other", 300, 0); /* slow has asked for none of these */
        int last = b.next - 300;
        WAIT_FOR(is_trimmed(&b));
        WAIT_FOR((int64_t)history(&b) <=
                 keep + slack); /* the closure has run, its batch may still be on its way */
        assert_true((int64_t)history(&b) >= keep);
        uint64_t lost = missed(&b, &slow, NULL);
        bool behind;
        (void)listen_take(b.l, &slow, NULL, 0, &behind);
        int got = drain(&b, &slow, (int)lost);
        assert_int_equal((int)lost + got, last);
        join(&b, &late, PUTS, &start);
        lost = missed(&b, &late, NULL); /* of all buckets: what they were is no longer known */
        assert_true((int64_t)lost <= 1000 && (int64_t)lost >= 1000 - slack);
        assert_true(drain(&b, &late, (int)lost < last ? (int)lost : last) >= 0);
        part(&b, &late);
        part(&b, &slow);
        reopen(&b, keep);
        put(&b, 10);
        join(&b, &late, PUTS, &start);
        lost = missed(&b, &late, NULL);
        assert_true((int64_t)lost <= 1010 && (int64_t)lost >= 1000 - slack);
        part(&b, &late);
        close_bench(&b);
    }
}

static void test_wide_events_leave_the_tail(void **state)
{
    (void)state;
    struct bench b;
    struct listen_reader r;
    open_bench(&b, 100000, 0);
    join(&b, &r, PUTS, NULL);
    for (int i = 0; i < 100; i++)
        change(&b, EVENT_CREATED_PUT, "bkt", 5, 40000); /* 20 MB */
    mutex_lock(&b.l->mutex);
    assert_true(b.l->tail_bytes <= TAIL_BYTES && b.l->tail_n < 500);
    mutex_unlock(&b.l->mutex);
    assert_int_equal(drain(&b, &r, 0), 500);
    part(&b, &r);
    close_bench(&b);
}

static void test_no_history(void **state)
{
    (void)state;
    struct bench b;
    struct listen_reader r;
    struct listen_position start;
    open_bench(&b, 0, 0);
    join(&b, &r, PUTS, NULL);
    (void)missed(&b, &r, &start);
    put(&b, 10);
    assert_int_equal(history(&b), 0);
    assert_int_equal(drain(&b, &r, 0), 10);
    put(&b, TAIL_EVENTS + 5);
    bool behind;
    (void)listen_take(b.l, &r, NULL, 0, &behind);
    assert_int_equal(missed(&b, &r, NULL), 5);
    assert_int_equal(drain(&b, &r, 15), TAIL_EVENTS);
    part(&b, &r);
    reopen(&b, 0);
    join(&b, &r, PUTS, &start);
    assert_true(missed(&b, &r, NULL) >= 1); /* how many is nowhere to be read */
    part(&b, &r);
    close_bench(&b);
}

static void test_changing_the_length(void **state)
{
    (void)state;
    struct bench b;
    struct listen_reader r;
    struct listen_position start;
    open_bench(&b, 1000, 0);
    join(&b, &r, PUTS, NULL);
    (void)missed(&b, &r, &start);
    put(&b, 900);
    assert_int_equal(drain(&b, &r, 0), 900);
    part(&b, &r);
    listen_set_history(b.l, 100);
    put(&b, 1);
    WAIT_FOR(history(&b) <= 120);
    listen_set_history(b.l, 0);
    put(&b, 5);
    listen_set_history(b.l, 50);
    put(&b, 7);
    join(&b, &r, PUTS, &start); /* what was there while there was no history is gone, too */
    uint64_t lost = missed(&b, &r, NULL);
    assert_int_equal(lost, 906);
    assert_int_equal(drain(&b, &r, 906), 7);
    part(&b, &r);
    close_bench(&b);
}

static void let_trim(struct bench *b, bool may)
{
    mutex_lock(&b->l->mutex);
    b->l->broken = !may;
    cond_signal(&b->l->cond);
    mutex_unlock(&b->l->mutex);
}

/* Events come more quickly than the history is cut: all marks are used up, and it has to be as short as ever all the same. */
static void test_no_marks_left(void **state)
{
    (void)state;
    struct bench b;
    struct listen_reader slow;
    open_bench(&b, 10, 0);
    join(&b, &slow, PUTS, NULL);
    let_trim(&b, false);
    put(&b, 1000);
    let_trim(&b, true);
    WAIT_FOR(history(&b) <= 12);
    uint64_t lost = missed(&b, &slow, NULL);
    assert_int_equal(lost + (uint64_t)drain(&b, &slow, (int)lost), 1000);
    assert_true(history(&b) >= 10);
    part(&b, &slow);
    close_bench(&b);
}

/* Rows that nobody can read any more go: when the history is switched off, and when that, or a cut, was left half done. */
static void test_nothing_is_left(void **state)
{
    (void)state;
    struct bench b;
    struct listen_reader r;
    open_bench(&b, 10000, 0);
    join(&b, &r, PUTS, NULL);
    put(&b, TAIL_EVENTS + 10); /* the reader is behind */
    listen_set_history(b.l, 0);
    assert_int_equal(missed(&b, &r, NULL), 10);
    WAIT_FOR(history(&b) == 0);
    assert_int_equal(drain(&b, &r, 10), TAIL_EVENTS);
    listen_set_history(b.l, 10000);
    put(&b, 100);
    part(&b, &r);
    reopen(&b, 0);
    WAIT_FOR(history(&b) == 0);
    listen_set_history(b.l, 10000);
    put(&b, 100);
    assert_int_equal(history(&b), 100);
    forget_state(&b); /* interest has ended, the rows are not removed yet */
    reopen(&b, 10000);
    WAIT_FOR(history(&b) == 0);
    close_bench(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trimming),      cmocka_unit_test(test_wide_events_leave_the_tail),
        cmocka_unit_test(test_no_history),    cmocka_unit_test(test_changing_the_length),
        cmocka_unit_test(test_no_marks_left), cmocka_unit_test(test_nothing_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
