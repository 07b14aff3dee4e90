/* SPDX-License-Identifier: Apache-2.0
 *
 * A target that works, is down, or fails for some keys: order, back-off, lanes, dead letters of events that never work. */
#include "sender_help.h"

#include "kv/backend.h"

static void test_all_ok(void **state)
{
    struct bench *b = *state;
    for (unsigned i = 0; i < 500; i++)
        assert_true(put(b, i % 20));
    assert_int_equal(queued(b), 500);
    assert_int_equal(run_steps(b), INT64_MAX);
    assert_int_equal(check_order(&b->fake), 500);
    assert_int_equal(b->fake.n_sent, 500);
    assert_int_equal(queued(b), 0);
    assert_int_equal(rows_with(b, 'q'), 0);
    assert_int_equal(b->s->status, TARGET_ONLINE);
    /* a commit wakes it, and only once it is asked for */
    assert_false(atomic_load(&b->s->news));
    put(b, 3);
    assert_true(atomic_load(&b->s->news));
    run_steps(b);
    assert_int_equal(b->fake.n_sent, 501);
    /* the next process begins where this one ended */
    bench_stop(b);
    bench_start(b);
    run_steps(b);
    assert_int_equal(b->fake.n_sent, 501);
}

static void test_one_per_key(void **state)
{
    struct bench *b = *state;
    for (unsigned i = 0; i < 60; i++)
        put(b, i < 30 ? 1 : i % 7);
    run_steps(b);
    assert_int_equal(check_order(&b->fake), 60);
    for (size_t i = 0; i < b->fake.n_sent; i++)
        for (size_t j = i + 1; j < b->fake.n_sent && b->fake.sent[j].batch == b->fake.sent[i].batch; j++)
            assert_int_not_equal(b->fake.sent[i].key, b->fake.sent[j].key);
}

/* Of a kind that takes batches whole, a failure changes nothing in the order: neither over keys nor within one. */
static void test_whole_batches(void **state)
{
    struct bench *b = *state;
    struct target_type type = fake_ordered_type;
    type.whole_batch = true;
    bench_stop(b);
    b->type = &type;
    bench_start(b);
    b->fake.answer = answer_by_key; /* all SEND_RETRY */
    for (unsigned i = 0; i < 100; i++)
        put(b, i % 7 < 4 ? 1 : i % 7);
    run_for(b, 5000);
    size_t failed = b->fake.n_sent;
    assert_true(failed >= 2 * 32);
    for (unsigned key = 0; key < FAKE_KEYS; key++)
        b->fake.key_answer[key] = SEND_OK;
    run_for(b, 31000);
    for (size_t i = 0; i < failed; i++)
        assert_int_equal(b->fake.sent[i].number, i % 32);
    for (size_t i = failed; i < b->fake.n_sent; i++)
        assert_int_equal(b->fake.sent[i].number, i - failed);
    assert_int_equal(queued(b), 0);
    bench_stop(b); /* before its type goes */
}

/* Its connection was lost behind the first commands of a batch: what they held is resolved, the rest keeps its place before
 * what comes after it. */
static enum send_result cut_once(struct fake *f, unsigned key, unsigned number)
{
    (void)key;
    return f->batches == 1 && number >= 10 ? SEND_RETRY : SEND_OK;
}

static void test_whole_batches_cut(void **state)
{
    struct bench *b = *state;
    struct target_type type = fake_ordered_type;
    type.whole_batch = true;
    bench_stop(b);
    b->type = &type;
    bench_start(b);
    b->fake.answer = cut_once;
    for (unsigned i = 0; i < 100; i++)
        put(b, i % 40);
    run_for(b, 5000);
    for (size_t i = 32; i < b->fake.n_sent; i++)
        assert_int_equal(b->fake.sent[i].number, i - 22);
    assert_int_equal(b->fake.n_sent, 122);
    assert_int_equal(queued(b), 0);
    assert_int_equal(b->s->status, TARGET_ONLINE);
    bench_stop(b); /* before its type goes */
}

static void test_down_and_back(void **state)
{
    struct bench *b = *state;
    b->fake.down = true;
    int64_t longest = 0;
    for (unsigned i = 0; i < 10; i++)
        put(b, i);
    for (int i = 0; i < 40; i++) {
        int64_t next = run_steps(b), wait = next - now_ms();
        assert_in_range(wait, 100, 30000);
        longest = wait > longest ? wait : longest;
        assert_int_equal(sender_step(b->s, next - 1), next); /* not before its time */
        advance(wait);
    }
    assert_true(longest > 10000);
    assert_int_equal(b->s->status, TARGET_OFFLINE);
    assert_string_equal(b->s->reason, "nobody there");
    assert_int_equal(b->fake.n_sent, 0);
    b->fake.down = false;
    run_for(b, 31000);
    assert_int_equal(check_order(&b->fake), 10);
    assert_int_equal(b->s->status, TARGET_ONLINE);
    assert_int_equal(queued(b), 0);
}

static void test_all_retry_disconnects(void **state)
{
    struct bench *b = *state;
    b->fake.answer = answer_by_key; /* all SEND_RETRY */
    put(b, 1);
    put(b, 2);
    int64_t next = run_steps(b);
    assert_in_range(next - now_ms(), 100, 200);
    assert_int_equal(b->fake.disconnects, 1);
    assert_int_equal(b->s->n_lanes, 0);
    assert_int_equal(b->s->status, TARGET_OFFLINE);
    advance(next - now_ms());
    unsigned before = b->fake.connects;
    next = run_steps(b);
    assert_int_equal(b->fake.connects, before + 1);
    assert_int_equal(b->s->status, TARGET_OFFLINE); /* to be connected is not enough */
    b->fake.key_answer[1] = b->fake.key_answer[2] = SEND_OK;
    run_for(b, 31000);
    assert_int_equal(b->s->status, TARGET_ONLINE);
    assert_int_equal(queued(b), 0);
    check_order(&b->fake);
}

static void test_retry_after(void **state)
{
    struct bench *b = *state;
    b->fake.answer = answer_by_key;
    b->fake.retry_after_ms = 90000;
    put(b, 1);
    assert_int_equal(run_steps(b) - now_ms(), 90000);
    advance(90000);
    b->fake.retry_after_ms = INT64_C(86400000);
    assert_int_equal(run_steps(b) - now_ms(), 3600000);
}

static void all_ok_but(struct bench *b, unsigned key)
{
    b->fake.answer = answer_by_key;
    for (unsigned i = 0; i < FAKE_KEYS; i++)
        b->fake.key_answer[i] = i == key ? SEND_RETRY : SEND_OK;
}

static void test_one_key_fails(void **state)
{
    struct bench *b = *state;
    all_ok_but(b, 7);
    for (unsigned i = 0; i < 400; i++)
        put(b, i % 10);
    run_steps(b);
    assert_int_equal(check_order(&b->fake), 360);
    assert_int_equal(queued(b), 40);
    assert_int_equal(b->s->n_lanes, 1);
    assert_int_equal(b->s->status, TARGET_ONLINE);
    /* new events of others go through at once, those of the key wait behind it */
    put(b, 7);
    put(b, 3);
    run_steps(b);
    assert_int_equal(queued(b), 41);
    /* another process finds what is unresolved, and nothing else */
    size_t before = b->fake.n_sent;
    bench_stop(b);
    bench_start(b);
    run_steps(b);
    for (size_t i = before; i < b->fake.n_sent; i++)
        assert_int_equal(b->fake.sent[i].key, 7);
    b->fake.key_answer[7] = SEND_OK;
    run_for(b, 60000);
    assert_int_equal(queued(b), 0);
    assert_int_equal(rows_with(b, 'q'), 0);
    assert_int_equal(check_order(&b->fake), 402);
}

/* A connection that is lost while all that is left waits in lanes: no fresh event would show it. */
static bool lost;
static bool connect_again(void *self, int64_t deadline_ms, struct err *e)
{
    lost = false;
    return fake_connect(self, deadline_ms, e);
}

static enum send_result not_while_lost(struct fake *f, unsigned key, unsigned number)
{
    (void)number;
    return lost ? SEND_RETRY : f->key_answer[key];
}

static bool is_there(void *self, int64_t deadline_ms, struct err *e)
{
    (void)self;
    (void)deadline_ms;
    return !lost || err_set(e, "the connection was lost");
}

static void test_lost_with_lanes_only(void **state)
{
    struct bench *b = *state;
    struct target_type type = fake_type;
    type.connect = connect_again;
    type.idle = is_there;
    bench_stop(b);
    b->type = &type;
    bench_start(b);
    all_ok_but(b, 7);
    b->fake.answer = not_while_lost;
    put(b, 1);
    put(b, 7);
    run_steps(b);
    assert_int_equal(queued(b), 1);
    lost = true;
    b->fake.key_answer[7] = SEND_OK;
    run_for(b, 1500);
    assert_int_equal(b->fake.connects, 2);
    assert_int_equal(queued(b), 0);
    bench_stop(b); /* before its type goes */
}

static void test_dead_after_ten_failures(void **state)
{
    struct bench *b = *state;
    all_ok_but(b, 7);
    put(b, 7);
    put(b, 7);
    put(b, 1);
    run_steps(b);
    for (int minute = 0; minute < 9; minute++) {
        for (int i = 0; i < 60; i++) {
            put(b, 2);
            run_for(b, 1000);
        }
    }
    assert_int_equal(rows_with(b, 'd'), 0); /* not within ten minutes */
    for (int i = 0; i < 100; i++) {
        put(b, 2);
        run_for(b, 1000);
    }
    assert_int_equal(rows_with(b, 'd'), 1);
    assert_int_equal(queued(b), 1);
    assert_true(b->s->lanes[0].failures < DEAD_FAILURES); /* the next one starts from nothing */
    assert_in_range(now_ms() - b->s->lanes[0].first_failure_ms, 0, 100000);
    for (int i = 0; i < 800; i++) {
        put(b, 2);
        run_for(b, 1000);
    }
    assert_int_equal(rows_with(b, 'd'), 2);
    assert_int_equal(queued(b), 0);
    assert_int_equal(b->s->n_lanes, 0);
}

/* Without others going through it is the target, however long that lasts. */
static void test_never_dead_alone(void **state)
{
    struct bench *b = *state;
    all_ok_but(b, 7);
    put(b, 7);
    put(b, 1);
    run_for(b, 7200000);
    assert_int_equal(rows_with(b, 'd'), 0);
    assert_int_equal(queued(b), 1);
    assert_true(b->fake.n_sent > 100);
}

static void test_many_keys_fail(void **state)
{
    struct bench *b = *state;
    b->fake.answer = answer_by_key;
    for (unsigned i = 40; i < FAKE_KEYS; i++)
        b->fake.key_answer[i] = SEND_OK;
    for (unsigned i = 0; i < 2000; i++)
        put(b, i % FAKE_KEYS);
    run_for(b, 60000);
    assert_in_range(b->s->n_lanes, 1, 16); /* no more may be parked */
    assert_true(b->fake.n_sent > 96);
    bool others = false; /* those that fail are in front, and do not stand before all others */
    for (size_t i = 0; i < b->fake.n_sent; i++)
        others |= b->fake.sent[i].result == SEND_OK;
    assert_true(others);
    for (unsigned i = 0; i < 40; i++)
        b->fake.key_answer[i] = SEND_OK;
    run_for(b, 600000);
    assert_int_equal(queued(b), 0);
    assert_int_equal(check_order(&b->fake), 2000);
}

/* A receiver that lets some through and tells the others when to come again is not asked before that, though more keys wait
 * than can be parked. */
static void test_rate_limit(void **state)
{
    struct bench *b = *state;
    b->fake.answer = answer_by_key;
    b->fake.retry_after_ms = 20000;
    for (unsigned i = 0; i < FAKE_KEYS; i += 2)
        b->fake.key_answer[i] = SEND_OK;
    for (unsigned i = 0; i < 1000; i++)
        put(b, i % FAKE_KEYS);
    run_for(b, 60000);
    unsigned tries[FAKE_KEYS] = {0};
    for (size_t i = 0; i < b->fake.n_sent; i++)
        tries[b->fake.sent[i].key]++;
    for (unsigned i = 1; i < FAKE_KEYS; i += 2)
        assert_in_range(tries[i], 0, 6);
}

static void test_flood_of_one_key(void **state)
{
    struct bench *b = *state;
    for (unsigned i = 0; i < 3000; i++)
        put(b, 1);
    for (unsigned i = 0; i < 100; i++)
        put(b, 2 + i % 20);
    run_steps(b);
    size_t last = 0;
    for (size_t i = 0; i < b->fake.n_sent; i++)
        if (b->fake.sent[i].key != 1)
            last = b->fake.sent[i].batch;
    assert_true(last < 100); /* not behind three thousand */
    assert_int_equal(check_order(&b->fake), 3100);
    assert_int_equal(queued(b), 0);
}

static enum send_result answer_at_random(struct fake *f, unsigned key, unsigned number)
{
    unsigned dice = (unsigned)rand() % 100;
    (void)f;
    (void)number;
    if (key == 5)
        return dice < 90 ? SEND_RETRY : SEND_OK;
    return dice < 10 ? SEND_RETRY : SEND_OK;
}

static void random_run(struct bench *b, unsigned seed)
{
    srand(seed);
    b->fake.answer = answer_at_random;
    for (int round = 0; round < 60; round++) {
        for (int i = rand() % 60; i > 0; i--)
            put(b, (unsigned)rand() % 40);
        b->fake.down = rand() % 8 == 0;
        run_for(b, rand() % 3000);
        if (rand() % 10 == 0) {
            bench_stop(b);
            bench_start(b);
        }
        assert_int_equal(queued(b), (int64_t)rows_with(b, 'q'));
    }
    b->fake.down = false;
    b->fake.answer = NULL;
    run_for(b, 120000);
    assert_int_equal(queued(b), 0);
    assert_int_equal(rows_with(b, 'q') + rows_with(b, 'd'), 0);
    assert_true(check_order(&b->fake) >= b->put);
}

static void test_random(void **state)
{
    random_run(*state, 1);
}

static void test_random_ordered(void **state)
{
    struct bench *b = *state;
    bench_stop(b);
    b->type = &fake_ordered_type;
    bench_start(b);
    srand(2);
    b->fake.answer = answer_at_random;
    for (int i = 0; i < 3000; i++)
        put(b, (unsigned)rand() % 40);
    run_for(b, 60000);
    b->fake.answer = NULL;
    run_for(b, 120000);
    assert_int_equal(queued(b), 0);
    /* the last delivery of each key is its last event */
    unsigned last[FAKE_KEYS] = {0}, most[FAKE_KEYS] = {0};
    for (size_t i = 0; i < b->fake.n_sent; i++) {
        struct delivered *d = &b->fake.sent[i];
        last[d->key] = d->number;
        most[d->key] = d->number > most[d->key] ? d->number : most[d->key];
    }
    assert_memory_equal(last, most, sizeof(last));
}

/* Nothing can be removed any more: what is there is delivered all the same, once, and once more by the next process. */
static void test_store_failed(void **state)
{
    struct bench *b = *state;
    for (unsigned i = 0; i < 100; i++)
        put(b, i % 7);
    kv_memory_fail_write(b->kv, 1);
    run_steps(b);
    assert_int_equal(b->fake.n_sent, 100);
    assert_int_equal(check_order(&b->fake), 100);
    assert_int_equal(b->s->status, TARGET_ONLINE);
    assert_true(kv_failed(b->kv, NULL));
    run_for(b, 60000);
    assert_int_equal(b->fake.n_sent, 100);
    assert_int_equal(sender_queued(b->s), 100);
    bench_stop(b);
    bench_start(b);
    run_steps(b);
    assert_int_equal(b->fake.n_sent, 200);
    for (unsigned i = 0; i < 7; i++)
        assert_true(b->fake.sent[199 - i].number >= 92);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_all_ok),
        CASE(test_one_per_key),
        CASE(test_down_and_back),
        CASE(test_all_retry_disconnects),
        CASE(test_retry_after),
        CASE(test_one_key_fails),
        CASE(test_never_dead_alone),
        CASE(test_lost_with_lanes_only),
        CASE(test_dead_after_ten_failures),
        CASE(test_many_keys_fail),
        CASE(test_flood_of_one_key),
        CASE(test_random),
        CASE(test_random_ordered),
        CASE(test_rate_limit),
        CASE(test_whole_batches),
        CASE(test_whole_batches_cut),
        CASE(test_store_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
