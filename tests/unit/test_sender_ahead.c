/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows are read for the next batch while the receiver works on this one: they come behind those that are there, none of which
 * moves, and only while a batch is out. */
#include "sender_help.h"

static struct bench *bench;
static size_t most;

/* A receiver that leaves time, in which more is asked for than it has to be. */
static void slow_send(void *self, const struct event_ref *ev, size_t n, enum send_result *out,
                      int64_t deadline_ms, struct err *e)
{
    struct sender *s = bench->s;
    const struct queued *first = s->batch[0].event;
    const char *bytes = first->bytes;
    size_t before = s->n_window;
    for (int i = 0; i < 3; i++)
        queue_read_ahead(s);
    most = s->n_window > most ? s->n_window : most;
    assert_true(s->n_window >= before && s->n_window <= WINDOW_EVENTS);
    assert_ptr_equal(s->batch[0].event, first);
    assert_ptr_equal(first->bytes, bytes);
    fake_send(self, ev, n, out, deadline_ms, e);
}

static const struct target_type slow_type = {.name = "fake",
                                             .subsys = "notify_fake",
                                             .max_batch = 500,
                                             .whole_batch = true,
                                             .connect = fake_connect,
                                             .send = slow_send,
                                             .disconnect = fake_disconnect,
                                             .close = fake_close};

static struct bench *begin(void **state)
{
    bench = *state;
    bench_stop(bench);
    bench->type = &slow_type;
    bench_start(bench);
    most = 0;
    return bench;
}

static void test_all_in_order(void **state)
{
    struct bench *b = begin(state);
    for (unsigned i = 0; i < 5000; i++)
        put(b, i % 13);
    run_steps(b);
    assert_int_equal(b->fake.n_sent, 5000);
    assert_int_equal(b->fake.batches, 10);
    for (size_t i = 0; i < b->fake.n_sent; i++)
        assert_int_equal(b->fake.sent[i].number, i);
    assert_int_equal(queued(b), 0);
    assert_int_equal(most, WINDOW_EVENTS);
    /* what is put when nothing is left to be read wakes the sender */
    assert_false(atomic_load(&b->s->news));
    put(b, 3);
    assert_true(atomic_load(&b->s->news));
    run_steps(b);
    assert_int_equal(b->fake.n_sent, 5001);
}

/* What is committed while the last rows are read is either among them or wakes the sender. */
static void test_news_meanwhile(void **state)
{
    struct bench *b = begin(state);
    for (unsigned i = 0; i < WINDOW_EVENTS + 100; i++)
        put(b, 1);
    (void)sender_step(b->s, now_ms());
    (void)sender_step(b->s, now_ms()); /* while the second batch was out the last rows were read */
    assert_false(b->s->backlog);
    put(b, 1);
    assert_true(atomic_load(&b->s->news));
    run_steps(b);
    assert_int_equal(b->fake.n_sent, WINDOW_EVENTS + 101);
    assert_int_equal(queued(b), 0);
}

/* The same after a pause that was over when the sender came to look: it took the news, of which a commit's was, and the resume
 * has told its own before. */
static void test_news_after_a_pause(void **state)
{
    struct bench *b = begin(state);
    for (unsigned i = 0; i < WINDOW_EVENTS + 100; i++)
        put(b, 1);
    (void)sender_step(b->s, now_ms());
    put(b, 1);
    assert_true(atomic_load(&b->s->news));
    atomic_store(&b->s->paused, true);
    (void)sender_step(b->s, now_ms());
    atomic_store(&b->s->paused, false);
    assert_false(atomic_load(&b->s->news));
    (void)sender_step(b->s, now_ms()); /* enough is at hand: the rows are read while it is out */
    assert_false(b->s->backlog);
    put(b, 1);
    assert_true(atomic_load(&b->s->news));
    run_steps(b);
    assert_int_equal(b->fake.n_sent, WINDOW_EVENTS + 102);
    assert_int_equal(queued(b), 0);
}

static enum send_result key_5_not(struct fake *f, unsigned key, unsigned number)
{
    (void)f;
    (void)number;
    return key == 5 ? SEND_RETRY : SEND_OK;
}

/* A key that fails takes with it what was read ahead of it. */
static void test_key_fails(void **state)
{
    struct bench *b = begin(state);
    b->fake.answer = key_5_not;
    for (unsigned i = 0; i < 4000; i++)
        put(b, i % 40);
    run_for(b, 2000);
    assert_int_equal(queued(b), 100);
    b->fake.answer = NULL;
    run_for(b, 60000);
    assert_int_equal(queued(b), 0);
    assert_int_equal(check_order(&b->fake), 4000);
}

/* Nothing is held for a receiver that is only being connected to, nor read twice when there is no more. */
static void test_only_while_sending(void **state)
{
    struct bench *b = begin(state);
    for (unsigned i = 0; i < 10; i++)
        put(b, i);
    queue_read_ahead(b->s);
    assert_int_equal(b->s->n_window, 0);
    b->fake.down = true;
    run_for(b, 1000);
    assert_int_equal(b->s->n_window, 0);
    b->fake.down = false;
    run_for(b, 31000);
    assert_int_equal(b->fake.n_sent, 10);
    assert_int_equal(queued(b), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_all_in_order), CASE(test_news_meanwhile),     CASE(test_news_after_a_pause),
        CASE(test_key_fails),    CASE(test_only_while_sending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
