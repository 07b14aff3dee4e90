/* SPDX-License-Identifier: Apache-2.0
 *
 * The contract of kv.h, as lists of tests that both implementations pass: rows, counters, sequence numbers, syncs, scans. (Who is
 * told what and when, threads, and failures: test_kv_telling.c.) */
#include "kv_help.h"

#include <stdio.h>

#include "base/clock.h"

/* --- rows --------------------------------------------------------------------------------------------------------- */

static void test_rows(void **state)
{
    struct kv *kv = ((struct fixture *)*state)->kv;
    struct step *s =
        SCRIPT({GET, KV_META, "a"}, {PUT, KV_META, "a", "1"}, {GET, KV_META, "a"}, {DEL, KV_META, "b"},
               {PUT, KV_META, "a", "2"}, {GET, KV_META, "a"}, {DEL, KV_META, "a"}, {GET, KV_META, "a"},
               {PUT, KV_META, "a", "3"}, {PUT, KV_DATA, "a", ""}, {GET, KV_DATA, "a"}, {GET, KV_QUEUE, "a"});
    assert_int_equal(run(kv, s, 0), KV_COMMITTED);
    assert_int_equal(s[0].saw, KV_MISSING);
    assert_string_equal(s[2].got, "1");
    assert_string_equal(s[5].got, "2");
    assert_int_equal(s[7].saw, KV_MISSING);
    assert_int_equal(s[10].saw, KV_FOUND);
    assert_int_equal(s[11].saw, KV_MISSING);
    assert_row(kv, KV_META, "a", "3");
    assert_row(kv, KV_DATA, "a", "");
    assert_no_row(kv, KV_QUEUE, "a");
    assert_no_row(kv, KV_META, "b");
}

static void test_closure_sees_committed(void **state)
{
    struct kv *kv = ((struct fixture *)*state)->kv;
    assert_int_equal(run(kv, SCRIPT({PUT, KV_META, "a", "1"}), 0), KV_COMMITTED);
    struct step *s = SCRIPT({GET, KV_META, "a"}, {DEL, KV_META, "a"}, {GET, KV_META, "a"});
    assert_int_equal(run(kv, s, 0), KV_COMMITTED);
    assert_string_equal(s[0].got, "1");
    assert_int_equal(s[2].saw, KV_MISSING);
    assert_no_row(kv, KV_META, "a");
}

static void test_abort(void **state)
{
    struct kv *kv = ((struct fixture *)*state)->kv;
    struct step *s = SCRIPT({GET, KV_META, "a"}, {SEQUENCE}, {ABORT});
    assert_int_equal(run(kv, s, 0), KV_ABORTED);
    struct kv_stats stats;
    kv_get_stats(kv, &stats);
    assert_int_equal(stats.aborts, 1);
    assert_int_equal(stats.batches, 0);
}

/* A reader sees nothing of a batch until all of it is there; a closure sees those before it. */
static void test_batch(void **state)
{
    struct kv *kv = ((struct fixture *)*state)->kv;
    struct held h;
    struct scripted c[4];
    struct step *one = SCRIPT({PUT, KV_META, "a", "1"}, {PUT, KV_META, "b", "1"});
    struct step *two = SCRIPT({GET, KV_META, "a"}, {DEL, KV_META, "b"}, {PUT, KV_META, "c", "2"});
    struct step *no = SCRIPT({GET, KV_META, "c"}, {ABORT});
    struct step *three = SCRIPT({GET, KV_META, "b"}, {PUT, KV_META, "a", "3"});
    hold_begin(&h, kv);
    hold_script(&h, kv, &c[0], one, 0);
    hold_script(&h, kv, &c[1], two, 0);
    hold_script(&h, kv, &c[2], no, 0);
    hold_script(&h, kv, &c[3], three, 0);
    assert_no_row(kv, KV_META, "a");
    hold_end(&h);
    assert_string_equal(two[0].got, "1");
    assert_string_equal(no[0].got, "2");
    assert_int_equal(three[0].saw, KV_MISSING);
    assert_scan(kv, KV_META, "a", "z", "a=3 c=2");
    struct kv_stats stats;
    kv_get_stats(kv, &stats);
    assert_int_equal(stats.batches, 1);
    assert_int_equal(stats.syncs, 1);
    assert_int_equal(stats.commits, 3);
    assert_int_equal(stats.aborts, 2); /* the gate's closure is the other one */
    assert_int_equal(stats.waiting, 0);
}

/* 80 closures: a batch ends at 64, of which the gate's is one. */
static void test_batch_bound(void **state)
{
    struct kv *kv = ((struct fixture *)*state)->kv;
    struct held h;
    struct scripted c[80];
    hold_begin(&h, kv);
    struct step *same = SCRIPT({PUT, KV_META, "a", "1"});
    for (int i = 0; i < 80; i++)
        hold_script(&h, kv, &c[i], same, 0);
    hold_end(&h);
    struct kv_stats stats;
    kv_get_stats(kv, &stats);
    assert_int_equal(stats.commits, 80);
    assert_int_equal(stats.batches, 2);
}

static bool put_many(struct kv_txn *t, void *ctx)
{
    const char *prefix = ctx;
    for (int i = 0; i < 200; i++) {
        char key[32];
        snprintf(key, sizeof(key), "%s%03d", prefix, i);
        kv_txn_put(t, KV_QUEUE, str_c(key), STR("x"));
    }
    return true;
}

/* 512 rows end a batch: of four closures with 200 each, three fit. */
static void test_batch_rows(void **state)
{
    struct kv *kv = ((struct fixture *)*state)->kv;
    struct gate gate;
    struct tally tally;
    gate_init(&gate);
    tally_init(&tally);
    struct kv_commit block = {.fn = gate_closure, .ctx = &gate}, last;
    struct kv_commit c[4];
    char *prefixes[] = {"a", "b", "c", "d"};
    kv_commit(kv, &block);
    gate_await(&gate);
    for (int i = 0; i < 4; i++) {
        c[i] = (struct kv_commit){.fn = put_many, .ctx = prefixes[i]};
        kv_commit(kv, &c[i]);
    }
    struct scripted s = {SCRIPT({PUT, KV_META, "z", "1"}), &tally};
    last = (struct kv_commit){.fn = scripted_run, .done = scripted_done, .ctx = &s};
    kv_commit(kv, &last);
    gate_open(&gate);
    tally_await(&tally, 1);
    struct kv_stats stats;
    kv_get_stats(kv, &stats);
    assert_int_equal(stats.batches, 2);
    assert_int_equal(stats.rows, 801);
    gate_release(&gate);
    tally_release(&tally);
}

/* --- counters ----------------------------------------------------------------------------------------------------- */

static void test_counters(void **state)
{
    struct kv *kv = ((struct fixture *)*state)->kv;
    struct held h;
    struct scripted c[3];
    struct step *one =
        SCRIPT({ADD, KV_META, "n1", .delta = {1, 100}}, {ADD, KV_META, "n2", .delta = {1, -1}});
    struct step *two = SCRIPT({COUNTERS, KV_META, "n1"}, {ADD, KV_META, "n1", .delta = {2, -30}},
                              {COUNTERS, KV_META, "n1"}, {COUNTERS, KV_META, "n9"});
    hold_begin(&h, kv);
    hold_script(&h, kv, &c[0], one, 0);
    hold_script(&h, kv, &c[1], two, 0);
    hold_end(&h);
    assert_int_equal(two[0].counters[0], 1);
    assert_int_equal(two[0].counters[1], 100);
    assert_int_equal(two[2].counters[0], 3);
    assert_int_equal(two[2].counters[1], 70);
    assert_int_equal(two[3].counters[0], 0);
    assert_counters(kv, "n1", 3, 70);
    assert_counters(kv, "n2", 1, -1);
    assert_counters(kv, "n9", 0, 0);
    struct kv_stats stats;
    kv_get_stats(kv, &stats);
    assert_int_equal(stats.rows, 2); /* each counter once */

    assert_int_equal(run(kv, SCRIPT({ADD, KV_META, "n1", .delta = {-1, 0}}), KV_PLAIN), KV_COMMITTED);
    assert_counters(kv, "n1", 2, 70);
}

/* A counter row that goes with its bucket, and one that comes back in the same batch. */
static void test_counter_deleted(void **state)
{
    struct kv *kv = ((struct fixture *)*state)->kv;
    run(kv, SCRIPT({ADD, KV_META, "n1", .delta = {5, 5}}, {ADD, KV_META, "n2", .delta = {5, 5}}), 0);
    struct step *s =
        SCRIPT({ADD, KV_META, "n1", .delta = {1, 1}}, {DEL, KV_META, "n1"}, {COUNTERS, KV_META, "n1"},
               {DEL, KV_META, "n2"}, {ADD, KV_META, "n2", .delta = {1, 2}});
    assert_int_equal(run(kv, s, 0), KV_COMMITTED);
    assert_int_equal(s[2].counters[0], 0);
    assert_no_row(kv, KV_META, "n1");
    assert_counters(kv, "n2", 1, 2);
    s = SCRIPT({ADD, KV_META, "n2", .delta = {1, 1}}, {RANGE, KV_META, "n", "o"},
               {ADD, KV_META, "n3", .delta = {7, 7}});
    assert_int_equal(run(kv, s, KV_PLAIN), KV_COMMITTED);
    assert_no_row(kv, KV_META, "n2");
    assert_counters(kv, "n3", 7, 7);
}

/* --- sequencer ---------------------------------------------------------------------------------------------------- */

static int64_t set_clock;
static int64_t clock_set(void)
{
    return set_clock;
}

static void test_sequence(void **state)
{
    struct fixture *f = *state;
    int64_t (*real)(void) = clock_real_ns;
    set_clock = INT64_C(2000000000000000000);
    clock_real_ns = clock_set;
    struct step *s = SCRIPT({SEQUENCE}, {SEQUENCE}, {PUT, KV_META, "a", "1"});
    run(f->kv, s, 0);
    assert_int_equal(s[0].sequence, set_clock);
    assert_int_equal(s[1].sequence, set_clock + 1);
    uint64_t last = s[1].sequence;

    set_clock -= INT64_C(3600000000000); /* an hour back */
    struct step *back = SCRIPT({SEQUENCE}, {PUT, KV_META, "a", "2"});
    run(f->kv, back, 0);
    assert_int_equal(back[0].sequence, last + 1);
    if (f->rocks) {
        reopen(f);
        run(f->kv, back, 0);
        assert_int_equal(back[0].sequence, last + 2);
    }
    set_clock += INT64_C(7200000000000);
    run(f->kv, back, 0);
    assert_int_equal(back[0].sequence, set_clock);
    struct kv_stats stats;
    kv_get_stats(f->kv, &stats);
    assert_int_equal(stats.last_sequence, set_clock);
    clock_real_ns = real;
}

/* --- plain writes and syncs --------------------------------------------------------------------------------------- */

static void test_plain(void **state)
{
    struct kv *kv = ((struct fixture *)*state)->kv;
    run(kv,
        SCRIPT({PUT, KV_QUEUE, "q1", "1"}, {PUT, KV_QUEUE, "q2", "2"}, {PUT, KV_QUEUE, "q3", "3"},
               {PUT, KV_QUEUE, "q4", "4"}, {PUT, KV_META, "q2", "other"}),
        0);
    struct step *s =
        SCRIPT({RANGE, KV_QUEUE, "q1", "q3"}, {DEL, KV_QUEUE, "q4"}, {PUT, KV_QUEUE, "q2", "again"},
               {RANGE, KV_QUEUE, "q9", "q0"}, {ADD, KV_META, "n", .delta = {-3, 0}});
    assert_int_equal(run(kv, s, KV_PLAIN | KV_NOSYNC), KV_COMMITTED);
    assert_scan(kv, KV_QUEUE, "a", "z", "q2=again q3=3");
    assert_row(kv, KV_META, "q2", "other");
    assert_counters(kv, "n", -3, 0);
}

static void test_nosync(void **state)
{
    struct kv *kv = ((struct fixture *)*state)->kv;
    struct kv_stats stats;
    run(kv, SCRIPT({PUT, KV_META, "a", "1"}), KV_NOSYNC);
    run(kv, SCRIPT({PUT, KV_META, "a", "1"}), KV_PLAIN | KV_NOSYNC);
    kv_get_stats(kv, &stats);
    assert_int_equal(stats.batches, 2);
    assert_int_equal(stats.syncs, 0);
    run(kv, SCRIPT({PUT, KV_META, "a", "1"}), KV_PLAIN);
    struct held h;
    struct scripted c[2];
    hold_begin(&h, kv);
    hold_script(&h, kv, &c[0], SCRIPT({PUT, KV_META, "a", "2"}), KV_NOSYNC);
    hold_script(&h, kv, &c[1], SCRIPT({PUT, KV_META, "b", "2"}), 0);
    hold_end(&h);
    kv_get_stats(kv, &stats);
    assert_int_equal(stats.batches, 4);
    assert_int_equal(stats.syncs, 2);
}

static void test_syncs(void **state)
{
    struct kv *kv = ((struct fixture *)*state)->kv;
    run(kv, SCRIPT({PUT, KV_META, "a", "1"}), 0);
    assert_int_equal(kv_memory_syncs(kv), 1);
    run(kv, SCRIPT({PUT, KV_META, "a", "1"}), KV_NOSYNC);
    assert_int_equal(kv_memory_syncs(kv), 1);
    run(kv, SCRIPT({GET, KV_META, "a"}, {ABORT}), 0);
    assert_int_equal(kv_memory_syncs(kv), 1);
}

/* --- scans -------------------------------------------------------------------------------------------------------- */

static void test_scan(void **state)
{
    struct kv *kv = ((struct fixture *)*state)->kv;
    run(kv,
        SCRIPT({PUT, KV_META, "a", "1"}, {PUT, KV_META, "b", "2"}, {PUT, KV_META, "ba", "3"},
               {PUT, KV_META, "c", "4"}, {PUT, KV_META, "d", "5"}),
        0);
    assert_scan(kv, KV_META, "b", "d", "b=2 ba=3 c=4");
    assert_scan(kv, KV_META, "", "b", "a=1");
    assert_scan(kv, KV_META, "d", "d", "");
    assert_scan(kv, KV_META, "d", "a", "");
    assert_scan(kv, KV_META, "a", "", "");

    struct kv_scan *s = kv_scan_open(kv, KV_META, STR("b"), STR("d"));
    run(kv, SCRIPT({PUT, KV_META, "bb", "new"}, {DEL, KV_META, "c"}), 0);
    struct str key, value;
    assert_true(kv_scan_next(s, &key, &value)); /* as of the moment of opening */
    assert_true(str_eq_c(key, "b"));
    kv_scan_seek(s, STR("bb"));
    assert_true(kv_scan_next(s, &key, &value));
    assert_true(str_eq_c(key, "c"));
    assert_false(kv_scan_next(s, &key, &value));
    assert_false(kv_scan_next(s, &key, &value));
    kv_scan_seek(s, STR("a")); /* before the range: its start */
    assert_true(kv_scan_next(s, &key, &value));
    assert_true(str_eq_c(value, "2"));
    kv_scan_seek(s, STR("d"));
    assert_false(kv_scan_next(s, &key, &value));
    kv_scan_close(s);
    assert_scan(kv, KV_META, "a", "z", "a=1 b=2 ba=3 bb=new d=5");
}

static void test_cached_only(void **state)
{
    struct kv *kv = ((struct fixture *)*state)->kv;
    run(kv, SCRIPT({PUT, KV_DATA, "a", "body"}), 0);
    struct kv_value v = {0};
    struct err e;
    assert_int_equal(kv_get(kv, KV_DATA, STR("a"), KV_CACHED_ONLY, &v, &e), KV_FOUND);
    assert_true(str_eq_c(v.data, "body"));
    kv_value_release(&v);
    assert_int_equal(kv_get(kv, KV_DATA, STR("b"), KV_CACHED_ONLY, &v, &e), KV_MISSING);
}

static void test_damaged_counter(void **state)
{
    struct kv *kv = ((struct fixture *)*state)->kv;
    run(kv, SCRIPT({PUT, KV_META, "n", "too short"}), 0);
    int64_t v[KV_COUNTERS];
    struct err e;
    assert_false(kv_counters(kv, STR("n"), v, &e));
    assert_int_equal(run(kv, SCRIPT({ADD, KV_META, "n", .delta = {1, 1}}), 0), KV_FAILED);
    assert_true(kv_failed(kv, &e));
    assert_non_null(strstr(e.text, "counter"));
}

#define BOTH(X) \
    X(test_rows) \
    X(test_closure_sees_committed) \
    X(test_abort) \
    X(test_batch) \
    X(test_batch_bound) \
    X(test_batch_rows) \
    X(test_counters) \
    X(test_counter_deleted) \
    X(test_sequence) \
    X(test_plain) \
    X(test_nosync) \
    X(test_scan) \
    X(test_cached_only) \
    X(test_damaged_counter)

int main(void)
{
#define IN_MEMORY(t) {"memory: " #t, t, setup_memory, teardown, NULL},
#define IN_ROCKS(t)  {"rocks: " #t, t, setup_rocks, teardown, NULL},
    const struct CMUnitTest memory[] = {BOTH(IN_MEMORY) IN_MEMORY(test_syncs)};
    const struct CMUnitTest rocks[] = {BOTH(IN_ROCKS)};
    int failed = cmocka_run_group_tests(memory, NULL, NULL);
    if (WITH_ROCKS)
        failed += cmocka_run_group_tests(rocks, NULL, NULL);
    return failed;
}
