/* SPDX-License-Identifier: Apache-2.0
 *
 * A target that refuses: dead letters, the state 'broken' and the way out of it; and bounds of the queue. */
#include "kv/backend.h"
#include "sender_help.h"

static void all(struct bench *b, enum send_result r)
{
    b->fake.answer = answer_by_key;
    for (unsigned i = 0; i < FAKE_KEYS; i++)
        b->fake.key_answer[i] = r;
}

static void test_one_refused(void **state)
{
    struct bench *b = *state;
    all(b, SEND_OK);
    b->fake.key_answer[4] = SEND_REJECT;
    for (unsigned i = 0; i < 100; i++)
        put(b, i % 10);
    run_steps(b);
    assert_int_equal(queued(b), 0);
    assert_int_equal(rows_with(b, 'd'), 10);
    assert_int_equal(rows_with(b, 'q'), 0);
    assert_int_equal(b->s->status, TARGET_ONLINE);
    assert_int_equal(atomic_load(&b->s->rejected), 10);
    /* the dead letter is the event with the reason */
    struct row_key first = dead_letter_key(1, 0), end = dead_letter_key(2, 0);
    struct kv_scan *scan = kv_scan_open(b->kv, KV_QUEUE, row_key_str(&first), row_key_str(&end));
    struct str key, value;
    struct outbox_row row;
    assert_true(kv_scan_next(scan, &key, &value));
    assert_true(outbox_row_decode(value, &row));
    assert_true(str_eq(row.key, STR("k4")) && str_eq(row.bucket, STR("b")));
    assert_true(str_eq(row.name, STR("s3:ObjectCreated:Put")));
    assert_true(str_starts(row.record, STR("{\"n\":4,")));
    assert_true(str_eq(row.reason, STR("answer 2 to k4")));
    assert_true(row.dead_ns > 0 && row.attempts == 1);
    kv_scan_close(scan);
}

/* With nothing going through it is not the events: four are given up, then nothing moves. */
static void test_all_refused(void **state)
{
    struct bench *b = *state;
    all(b, SEND_REJECT);
    for (unsigned i = 0; i < 200; i++)
        put(b, i % 50);
    run_for(b, 3600000);
    assert_int_equal(b->s->status, TARGET_BROKEN);
    assert_int_equal(rows_with(b, 'd'), 4);
    assert_int_equal(queued(b), 196);
    size_t before = b->fake.n_sent;
    unsigned batches = b->fake.batches;
    run_for(b, 600000);
    assert_true(b->fake.n_sent > before);
    assert_int_equal((b->fake.n_sent - before) / (b->fake.batches - batches), 16);
    /* probes are the oldest events of different keys */
    for (size_t i = before; i < before + 16; i++)
        for (size_t j = i + 1; j < before + 16; j++)
            assert_int_not_equal(b->fake.sent[i].key, b->fake.sent[j].key);
    /* the first success ends the state; what that step refused is given up */
    all(b, SEND_OK);
    b->fake.key_answer[4] = SEND_REJECT;
    run_for(b, 31000);
    assert_int_equal(b->s->status, TARGET_ONLINE);
    assert_int_equal(queued(b), 0);
    assert_int_equal(rows_with(b, 'd'), 4 + 4); /* the key's four events: its first one is among the others */
}

static void test_refused_one_by_one(void **state)
{
    struct bench *b = *state;
    all(b, SEND_REJECT);
    for (unsigned i = 0; i < 4; i++) {
        put(b, 1);
        run_steps(b);
    }
    assert_int_equal(rows_with(b, 'd'), 4);
    all(b, SEND_OK); /* a success between: the count starts again */
    put(b, 1);
    run_steps(b);
    all(b, SEND_REJECT);
    for (unsigned i = 0; i < 5; i++) {
        put(b, 1);
        run_steps(b);
    }
    assert_int_equal(rows_with(b, 'd'), 8);
    assert_int_equal(queued(b), 1);
    assert_int_equal(b->s->status, TARGET_BROKEN);
}

static void test_broken_and_down(void **state)
{
    struct bench *b = *state;
    all(b, SEND_REJECT);
    for (unsigned i = 0; i < 20; i++)
        put(b, i);
    run_for(b, 60000);
    assert_int_equal(b->s->status, TARGET_BROKEN);
    b->fake.down = true;
    run_for(b, 60000);
    assert_int_equal(b->s->status, TARGET_BROKEN);
    b->fake.down = false;
    all(b, SEND_OK);
    run_for(b, 60000);
    assert_int_equal(b->s->status, TARGET_ONLINE);
    assert_int_equal(queued(b), 0);
}

static void test_dead_letters_full(void **state)
{
    struct bench *b = *state;
    bench_stop(b);
    b->dead_limit = 3;
    bench_start(b);
    all(b, SEND_OK);
    b->fake.key_answer[4] = SEND_REJECT;
    for (unsigned i = 0; i < 100; i++)
        put(b, i % 10);
    run_for(b, 60000);
    assert_int_equal(rows_with(b, 'd'), 3);
    assert_int_equal(b->s->status, TARGET_BROKEN);
    assert_non_null(strstr(b->s->reason, "dead letters are full"));
    assert_true(queued(b) >= 7);
    b->s->dead_limit = 1000;
    for (int i = 0; i < 20; i++) {
        put(b, 1);
        run_for(b, 31000);
    }
    assert_int_equal(b->s->status, TARGET_ONLINE);
    assert_int_equal(queued(b), 0);
    assert_int_equal(rows_with(b, 'd'), 10);
}

/* Neither 'online' and 'broken' in turn, nor a key hammered: what is full stays full until somebody makes room. */
static void test_dead_letters_stay_full(void **state)
{
    struct bench *b = *state;
    bench_stop(b);
    b->dead_limit = 1;
    bench_start(b);
    all(b, SEND_OK);
    b->fake.key_answer[4] = SEND_REJECT;
    put(b, 4);
    put(b, 4);
    put(b, 1);
    run_for(b, 1000);
    assert_int_equal(b->s->status, TARGET_BROKEN);
    for (int i = 0; i < 300; i++) {
        put(b, 5 + (unsigned)i % 20);
        run_for(b, 1000);
        assert_int_equal(b->s->status, TARGET_BROKEN);
    }
    assert_int_equal(queued(b), 1); /* what is confirmed meanwhile is delivered */
    b->fake.key_answer[4] = SEND_OK;
    run_for(b, 31000);
    assert_int_equal(b->s->status, TARGET_ONLINE);
    assert_int_equal(queued(b), 0);
    assert_int_equal(rows_with(b, 'd'), 1);
}

static void test_full_and_failing(void **state)
{
    struct bench *b = *state;
    bench_stop(b);
    b->dead_limit = 1;
    bench_start(b);
    all(b, SEND_OK);
    b->fake.key_answer[4] = SEND_REJECT;
    b->fake.key_answer[7] = SEND_RETRY;
    put(b, 4);
    put(b, 7);
    put(b, 1);
    for (int i = 0; i < 900; i++) {
        put(b, 10 + (unsigned)i % 20);
        run_for(b, 1000);
    }
    assert_int_equal(b->s->status, TARGET_BROKEN);
    size_t before = b->fake.n_sent, tries = 0;
    for (int i = 0; i < 600; i++) {
        put(b, 10 + (unsigned)i % 20);
        run_for(b, 100);
        assert_int_equal(b->s->status, TARGET_BROKEN);
    }
    for (size_t i = before; i < b->fake.n_sent; i++)
        tries += b->fake.sent[i].key == 7;
    assert_in_range(tries, 1, 10); /* of a key that waits up to half a minute each time */
    b->fake.key_answer[7] = SEND_OK;
    run_for(b, 31000);
    assert_int_equal(b->s->status, TARGET_ONLINE);
    assert_int_equal(queued(b), 0);
}

/* As many keys as may be parked fail for good when the target breaks: it is not them alone that are tried. */
static void test_broken_behind_full_lanes(void **state)
{
    struct bench *b = *state;
    all(b, SEND_OK);
    for (unsigned i = 0; i < 16; i++)
        b->fake.key_answer[i] = SEND_RETRY;
    for (unsigned i = 0; i < 16; i++) {
        put(b, i);
        put(b, 20 + i);
        run_steps(b);
    }
    run_for(b, 60000);
    assert_int_equal(b->s->n_lanes, 16);
    for (unsigned i = 16; i < FAKE_KEYS; i++)
        b->fake.key_answer[i] = SEND_REJECT;
    for (unsigned i = 0; i < 200; i++)
        put(b, 20 + i % 40);
    run_for(b, 60000);
    assert_int_equal(b->s->status, TARGET_BROKEN);
    for (unsigned i = 16; i < FAKE_KEYS; i++)
        b->fake.key_answer[i] = SEND_OK;
    run_for(b, 120000);
    assert_int_equal(b->s->status, TARGET_ONLINE);
    assert_int_equal(queued(b), 16);
}

static void test_limit_drops(void **state)
{
    struct bench *b = *state;
    b->conf.queue_limit = 5;
    b->fake.down = true;
    for (unsigned i = 0; i < 8; i++)
        assert_true(put(b, i));
    assert_int_equal(queued(b), 5);
    assert_int_equal(rows_with(b, 'q'), 5);
    assert_int_equal(atomic_load(&b->s->dropped), 3);
    b->fake.down = false;
    run_for(b, 60000);
    assert_int_equal(check_order(&b->fake), 5);
    assert_int_equal(b->fake.sent[4].number, 4); /* the new ones are dropped, not the old */
    assert_true(put(b, 1));
    assert_int_equal(queued(b), 1);
}

static void test_limit_rejects(void **state)
{
    struct bench *b = *state;
    b->conf.queue_limit = 5;
    b->conf.queue_full = QUEUE_FULL_REJECT;
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(put(b, i), i < 5);
    assert_int_equal(queued(b), 5);
    assert_int_equal(atomic_load(&b->s->dropped), 0);
    run_for(b, 1000);
    assert_true(put(b, 1));
}

/* A read was answered long ago: at the limit its event is dropped, which is counted, also where writes are refused. */
static void test_limit_and_reads(void **state)
{
    struct bench *b = *state;
    b->conf.queue_limit = 2;
    b->conf.queue_full = QUEUE_FULL_REJECT;
    for (unsigned i = 0; i < 5; i++)
        put_read(b, i);
    assert_int_equal(queued(b), 2);
    assert_int_equal(rows_with(b, 'q'), 2);
    assert_int_equal(atomic_load(&b->s->dropped), 3);
    assert_false(put(b, 1));
    assert_int_equal(atomic_load(&b->s->dropped), 3);
}

/* A row that is none of ours becomes a dead letter; the rest goes on. */
static bool damage_txn(struct kv_txn *t, void *ctx)
{
    (void)ctx;
    struct row_key k = outbox_key(1, kv_txn_sequence(t)), count = outbox_counter_key(1);
    kv_txn_put(t, KV_QUEUE, row_key_str(&k), STR("\x07garbage"));
    kv_txn_add(t, row_key_str(&count), (int64_t[KV_COUNTERS]){1, 8});
    return true;
}

static void test_damaged_row(void **state)
{
    struct bench *b = *state;
    put(b, 1);
    assert_int_equal(kv_commit_wait(b->kv, damage_txn, NULL, 0), KV_COMMITTED);
    put(b, 2);
    run_steps(b);
    assert_int_equal(b->fake.n_sent, 2);
    assert_int_equal(queued(b), 0);
    assert_int_equal(rows_with(b, 'd'), 1);
}

static bool spoil_txn(struct kv_txn *t, void *ctx)
{
    kv_txn_put(t, KV_QUEUE, *(struct str *)ctx, STR("\x07garbage"));
    return true;
}

/* The same behind the first event of a parked key, where it is read only when its turn comes. */
static void test_damaged_row_of_a_lane(void **state)
{
    struct bench *b = *state;
    all(b, SEND_OK);
    b->fake.key_answer[7] = SEND_RETRY;
    put(b, 7);
    put(b, 7);
    put(b, 1);
    run_steps(b);
    assert_int_equal(b->s->n_lanes, 1);
    struct row_key k = outbox_key(1, b->s->lanes[0].seqs[1]);
    struct str key = row_key_str(&k);
    assert_int_equal(kv_commit_wait(b->kv, spoil_txn, &key, 0), KV_COMMITTED);
    b->fake.key_answer[7] = SEND_OK;
    run_for(b, 31000);
    assert_int_equal(queued(b), 0);
    assert_int_equal(rows_with(b, 'd'), 1);
    put(b, 7);
    run_for(b, 31000);
    assert_int_equal(queued(b), 0);
}

/* Where a part of the rows cannot be read, what stands before it goes out; then the target waits for somebody to look. */
static void test_rows_that_cannot_be_read(void **state)
{
    struct bench *b = *state;
    for (unsigned i = 0; i < 100; i++)
        put(b, i % 10);
    kv_memory_fail_scans(b->kv, true);
    assert_int_equal(run_steps(b) - now_ms(), 30000);
    assert_int_equal(queued(b), 0);
    assert_int_equal(b->s->status, TARGET_OFFLINE);
    assert_string_equal(b->s->reason, "a test asked for this damage");
    kv_memory_fail_scans(b->kv, false);
    put(b, 1);
    run_for(b, 31000);
    assert_int_equal(queued(b), 0);
    assert_int_equal(b->s->status, TARGET_ONLINE);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_one_refused),
        CASE(test_all_refused),
        CASE(test_refused_one_by_one),
        CASE(test_broken_and_down),
        CASE(test_dead_letters_full),
        CASE(test_limit_drops),
        CASE(test_limit_rejects),
        CASE(test_damaged_row),
        CASE(test_dead_letters_stay_full),
        CASE(test_full_and_failing),
        CASE(test_broken_behind_full_lanes),
        CASE(test_limit_and_reads),
        CASE(test_damaged_row_of_a_lane),
        CASE(test_rows_that_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
