/* SPDX-License-Identifier: Apache-2.0
 *
 * The contract of kv.h, as one list of tests that both implementations pass. */
#include "kv_help.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

/* Queues scripts while the committer is held at a gate, so that they run as one batch; waits for all. */
struct held {
    struct gate gate;
    struct tally tally;
    struct kv_commit first, v[80];
    unsigned n;
};

static void hold(struct held *h, struct kv *kv)
{
    gate_init(&h->gate);
    tally_init(&h->tally);
    h->n = 0;
    h->first = (struct kv_commit){.fn = gate_closure, .done = tally_done, .ctx = &h->gate};
    h->first.done = NULL;
    kv_commit(kv, &h->first);
    gate_await(&h->gate);
}

struct scripted {
    struct step *steps;
    struct tally *tally;
};

static bool scripted_run(struct kv_txn *t, void *ctx)
{
    return run_script(t, ((struct scripted *)ctx)->steps);
}

static void scripted_done(void *ctx, enum kv_outcome outcome)
{
    tally_done(((struct scripted *)ctx)->tally, outcome);
}

static void queue(struct held *h, struct kv *kv, struct scripted *s, struct step *steps, unsigned flags)
{
    *s = (struct scripted){steps, &h->tally};
    struct kv_commit *c = &h->v[h->n++];
    *c = (struct kv_commit){.fn = scripted_run, .done = scripted_done, .ctx = s, .flags = flags};
    kv_commit(kv, c);
}

static void let_go(struct held *h)
{
    gate_open(&h->gate);
    tally_await(&h->tally, h->n);
    gate_release(&h->gate);
    tally_release(&h->tally);
}

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
    hold(&h, kv);
    queue(&h, kv, &c[0], one, 0);
    queue(&h, kv, &c[1], two, 0);
    queue(&h, kv, &c[2], no, 0);
    queue(&h, kv, &c[3], three, 0);
    assert_no_row(kv, KV_META, "a");
    let_go(&h);
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
    hold(&h, kv);
    struct step *same = SCRIPT({PUT, KV_META, "a", "1"});
    for (int i = 0; i < 80; i++)
        queue(&h, kv, &c[i], same, 0);
    let_go(&h);
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
    hold(&h, kv);
    queue(&h, kv, &c[0], one, 0);
    queue(&h, kv, &c[1], two, 0);
    let_go(&h);
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

/* --- telling ------------------------------------------------------------------------------------------------------ */

struct journal {
    struct kv *kv;
    struct tally tally;
    char text[64];
    bool durable; /* every hook found its row already there */
};
static void note(void *arg, char c)
{
    struct journal *j = arg;
    size_t n = strlen(j->text);
    j->text[n] = c;
}
static void hook_x(void *arg)
{
    struct journal *j = arg;
    struct kv_value v = {0};
    struct err e;
    j->durable = kv_get(j->kv, KV_META, STR("a"), 0, &v, &e) == KV_FOUND;
    kv_value_release(&v);
    note(arg, 'x');
}
static void hook_y(void *arg)
{
    note(arg, 'y');
}
struct journalled {
    struct journal *j;
    struct step *steps;
    char c;
};
static bool journalled_run(struct kv_txn *t, void *ctx)
{
    return run_script(t, ((struct journalled *)ctx)->steps);
}
static void journalled_done(void *ctx, enum kv_outcome outcome)
{
    struct journalled *x = ctx;
    note(x->j, x->c);
    tally_done(&x->j->tally, outcome);
}

static void test_order_of_telling(void **state)
{
    struct kv *kv = ((struct fixture *)*state)->kv;
    struct journal j = {.kv = kv};
    tally_init(&j.tally);
    struct journalled x[3] = {
        {&j, SCRIPT({HOOK, .hook = hook_x, .arg = &j}, {PUT, KV_META, "a", "1"}), '1'},
        {&j, SCRIPT({GET, KV_META, "a"}, {ABORT}), '2'},
        {&j, SCRIPT({PUT, KV_META, "b", "1"}, {HOOK, .hook = hook_y, .arg = &j}), '3'},
    };
    struct gate gate;
    gate_init(&gate);
    struct kv_commit block = {.fn = gate_closure, .ctx = &gate}, c[3];
    kv_commit(kv, &block);
    gate_await(&gate);
    for (int i = 0; i < 3; i++) {
        c[i] = (struct kv_commit){.fn = journalled_run, .done = journalled_done, .ctx = &x[i]};
        kv_commit(kv, &c[i]);
    }
    gate_open(&gate);
    tally_await(&j.tally, 3);
    assert_string_equal(j.text, "xy123");
    assert_true(j.durable);
    assert_int_equal(j.tally.outcomes[KV_ABORTED], 1);
    gate_release(&gate);
    tally_release(&j.tally);
}

struct on_loop {
    struct loop *loop;
    struct tally *tally;
    unsigned seq, *last;
    bool right;
};
static bool on_loop_run(struct kv_txn *t, void *ctx)
{
    (void)ctx;
    kv_txn_put(t, KV_META, STR("a"), STR("1"));
    return true;
}
static void on_loop_done(void *ctx, enum kv_outcome outcome)
{
    struct on_loop *x = ctx;
    x->right = loop_is_current(x->loop) && *x->last == x->seq;
    (*x->last)++;
    tally_done(x->tally, outcome);
}
static void *loop_thread(void *arg)
{
    loop_run(arg);
    return NULL;
}

/* Every done on its own loop, in order. */
static void test_loops(void **state)
{
    struct kv *kv = ((struct fixture *)*state)->kv;
    enum { LOOPS = 3, EACH = 50 };
    struct loop loops[LOOPS];
    pthread_t threads[LOOPS];
    unsigned last[LOOPS] = {0};
    struct tally tally;
    struct on_loop x[LOOPS * EACH];
    struct kv_commit c[LOOPS * EACH];
    tally_init(&tally);
    for (int i = 0; i < LOOPS; i++) {
        loop_init(&loops[i]);
        threads[i] = thread_start("loop", loop_thread, &loops[i]);
    }
    for (unsigned i = 0; i < LOOPS * EACH; i++) {
        x[i] = (struct on_loop){&loops[i % LOOPS], &tally, i / LOOPS, &last[i % LOOPS], false};
        c[i] = (struct kv_commit){
            .fn = on_loop_run, .done = on_loop_done, .ctx = &x[i], .loop = &loops[i % LOOPS]};
        kv_commit(kv, &c[i]);
    }
    tally_await(&tally, LOOPS * EACH);
    for (int i = 0; i < LOOPS; i++) {
        loop_stop(&loops[i]);
        thread_join(threads[i]);
        loop_release(&loops[i]);
    }
    for (int i = 0; i < LOOPS * EACH; i++)
        assert_true(x[i].right);
    tally_release(&tally);
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
    hold(&h, kv);
    queue(&h, kv, &c[0], SCRIPT({PUT, KV_META, "a", "2"}), KV_NOSYNC);
    queue(&h, kv, &c[1], SCRIPT({PUT, KV_META, "b", "2"}), 0);
    let_go(&h);
    kv_get_stats(kv, &stats);
    assert_int_equal(stats.batches, 4);
    assert_int_equal(stats.syncs, 2);
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

/* --- many threads ------------------------------------------------------------------------------------------------- */

enum { HAMMERS = 8, BLOWS = 300 };
struct hammer {
    struct kv *kv;
    int id;
    bool ok;
};
static bool blow(struct kv_txn *t, void *ctx)
{
    struct hammer *h = ctx;
    struct kv_value v = {0};
    uint64_t n = 0;
    if (kv_txn_get(t, KV_META, STR("shared"), &v) == KV_FOUND)
        str_to_u64(v.data, &n);
    kv_value_release(&v);
    char text[32];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)n + 1);
    kv_txn_put(t, KV_META, STR("shared"), str_c(text));
    snprintf(text, sizeof(text), "%d-%llu", h->id, (unsigned long long)kv_txn_sequence(t));
    kv_txn_put(t, KV_QUEUE, str_c(text), STR("x"));
    kv_txn_add(t, STR("n"), (int64_t[]){1, h->id});
    return true;
}
static void *hammer(void *arg)
{
    struct hammer *h = arg;
    h->ok = true;
    for (int i = 0; i < BLOWS; i++) {
        h->ok &= kv_commit_wait(h->kv, blow, h, KV_NOSYNC) == KV_COMMITTED;
        struct kv_value v = {0};
        struct err e;
        h->ok &= kv_get(h->kv, KV_META, STR("shared"), 0, &v, &e) == KV_FOUND;
        kv_value_release(&v);
        if (i % 64 == 0) {
            struct kv_scan *s = kv_scan_open(h->kv, KV_QUEUE, STR(""), STR("z"));
            struct str key, value;
            int rows = 0;
            while (kv_scan_next(s, &key, &value))
                rows++;
            h->ok &= rows > i;
            kv_scan_close(s);
        }
    }
    return NULL;
}
static void test_hammer(void **state)
{
    struct kv *kv = ((struct fixture *)*state)->kv;
    struct hammer h[HAMMERS];
    pthread_t threads[HAMMERS];
    for (int i = 0; i < HAMMERS; i++) {
        h[i] = (struct hammer){.kv = kv, .id = i};
        threads[i] = thread_start("hammer", hammer, &h[i]);
    }
    for (int i = 0; i < HAMMERS; i++) {
        thread_join(threads[i]);
        assert_true(h[i].ok);
    }
    assert_row(kv, KV_META, "shared", "2400");
    assert_counters(kv, "n", HAMMERS * BLOWS, 28 * BLOWS);
}

/* --- failing (memory only) ---------------------------------------------------------------------------------------- */

/* What fails beside the writes is noticed without one. */
static void test_background_failure(void **state)
{
    struct kv *kv = ((struct fixture *)*state)->kv;
    struct err e = {0};
    run(kv, SCRIPT({PUT, KV_META, "a", "1"}), 0);
    kv_memory_fail_background(kv);
    for (int64_t until = clock_mono_ms() + 20000; !kv_failed(kv, &e) && clock_mono_ms() < until;)
        sched_yield();
    assert_true(kv_failed(kv, &e));
    assert_non_null(strstr(e.text, "asked for this failure"));
    assert_row(kv, KV_META, "a", "1");
}

static void test_failure(void **state)
{
    struct kv *kv = ((struct fixture *)*state)->kv;
    run(kv, SCRIPT({PUT, KV_META, "a", "1"}), 0);
    kv_memory_fail_write(kv, 1);
    struct err e = {0};
    assert_false(kv_failed(kv, &e));
    struct held h;
    struct scripted c[3];
    struct journal j = {.kv = kv};
    hold(&h, kv);
    queue(&h, kv, &c[0], SCRIPT({PUT, KV_META, "a", "2"}, {HOOK, .hook = hook_y, .arg = &j}), 0);
    queue(&h, kv, &c[1], SCRIPT({GET, KV_META, "a"}, {ABORT}), 0);
    queue(&h, kv, &c[2], SCRIPT({PUT, KV_META, "b", "2"}), KV_NOSYNC);
    gate_open(&h.gate);
    tally_await(&h.tally, 3);
    assert_int_equal(h.tally.outcomes[KV_FAILED], 3);
    assert_string_equal(j.text, ""); /* no hook of a batch that failed */
    gate_release(&h.gate);
    tally_release(&h.tally);

    assert_int_equal(run(kv, SCRIPT({PUT, KV_META, "c", "1"}), 0), KV_FAILED);
    assert_int_equal(run(kv, SCRIPT({PUT, KV_META, "c", "1"}), KV_PLAIN), KV_FAILED);
    assert_true(kv_failed(kv, &e));
    assert_non_null(strstr(e.text, "asked for this failure"));
    assert_row(kv, KV_META, "a", "1");
    assert_scan(kv, KV_META, "a", "z", "a=1");
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
    X(test_order_of_telling) \
    X(test_loops) \
    X(test_plain) \
    X(test_nosync) \
    X(test_scan) \
    X(test_cached_only) \
    X(test_damaged_counter) \
    X(test_hammer)

int main(void)
{
#define IN_MEMORY(t) {"memory: " #t, t, setup_memory, teardown, NULL},
#define IN_ROCKS(t)  {"rocks: " #t, t, setup_rocks, teardown, NULL},
    const struct CMUnitTest memory[] = {BOTH(IN_MEMORY) IN_MEMORY(test_failure)
                                            IN_MEMORY(test_background_failure) IN_MEMORY(test_syncs)};
    const struct CMUnitTest rocks[] = {BOTH(IN_ROCKS)};
    int failed = cmocka_run_group_tests(memory, NULL, NULL);
    if (WITH_ROCKS)
        failed += cmocka_run_group_tests(rocks, NULL, NULL);
    return failed;
}
