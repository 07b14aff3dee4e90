/* SPDX-License-Identifier: Apache-2.0
 *
 * The contract of kv.h, its other half: who is told of a commit, when and where; many threads; and what fails. */
#include "kv_help.h"

#include <sched.h>
#include <stdio.h>

#include "base/clock.h"

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
    hold_begin(&h, kv);
    hold_script(&h, kv, &c[0], SCRIPT({PUT, KV_META, "a", "2"}, {HOOK, .hook = hook_y, .arg = &j}), 0);
    hold_script(&h, kv, &c[1], SCRIPT({GET, KV_META, "a"}, {ABORT}), 0);
    hold_script(&h, kv, &c[2], SCRIPT({PUT, KV_META, "b", "2"}), KV_NOSYNC);
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

#define BOTH(X) \
    X(test_order_of_telling) \
    X(test_loops) \
    X(test_hammer)

int main(void)
{
#define IN_MEMORY(t) {"memory: " #t, t, setup_memory, teardown, NULL},
#define IN_ROCKS(t)  {"rocks: " #t, t, setup_rocks, teardown, NULL},
    const struct CMUnitTest memory[] = {BOTH(IN_MEMORY) IN_MEMORY(test_failure)
                                            IN_MEMORY(test_background_failure)};
    const struct CMUnitTest rocks[] = {BOTH(IN_ROCKS)};
    int failed = cmocka_run_group_tests(memory, NULL, NULL);
    if (WITH_ROCKS)
        failed += cmocka_run_group_tests(rocks, NULL, NULL);
    return failed;
}
