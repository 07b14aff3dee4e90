/* SPDX-License-Identifier: Apache-2.0
 *
 * What a sender says of itself: deliveries per second, and the last error. */
#include "unit.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/err.h"
#include "event/sender.h"

#define SECOND INT64_C(1000000000)

static int64_t now_ns;

static int64_t fake_mono(void)
{
    return now_ns;
}

static struct sender *make(void)
{
    struct sender *s = x_calloc(1, sizeof *s);
    mutex_init(&s->mutex, RANK_SENDER);
    return s;
}

static void test_rate(void **state)
{
    (void)state;
    struct sender *s = make();
    int64_t (*real)(void) = clock_mono_ns;
    clock_mono_ns = fake_mono;
    now_ns = 1000000 * SECOND;
    assert_true(sender_rate(s) == 0);
    for (int i = 0; i < 120; i++) { /* 10 a second for two minutes */
        sender_count_sent(s, 10);
        double r = sender_rate(s);
        assert_true(r > 0 && r < 11);
        now_ns += SECOND;
    }
    assert_true(sender_rate(s) > 9.5 && sender_rate(s) < 10.5);
    assert_int_equal(atomic_load(&s->sent), 1200);
    now_ns += 30 * SECOND; /* half a minute of silence: half of it */
    assert_true(sender_rate(s) > 3 && sender_rate(s) < 6);
    now_ns += 60 * SECOND;
    assert_true(sender_rate(s) == 0);
    now_ns += 100000 * SECOND;
    sender_count_sent(s, 60);
    assert_true(sender_rate(s) > 0.9 && sender_rate(s) < 1.3);
    clock_mono_ns = real;
    mutex_release(&s->mutex);
    free(s);
}

static void test_last_error(void **state)
{
    (void)state;
    struct sender *s = make();
    sender_set_reason(s, "refused");
    int64_t at = s->last_error_ns;
    assert_true(at > 0);
    sender_set_reason(s, "");
    assert_string_equal(s->reason, "");
    assert_string_equal(s->last_error, "refused");
    assert_true(s->last_error_ns == at);
    mutex_release(&s->mutex);
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rate), cmocka_unit_test(test_last_error)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
