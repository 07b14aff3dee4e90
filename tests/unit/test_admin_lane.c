/* SPDX-License-Identifier: Apache-2.0
 *
 * One job at a time, in order, and no more waiting than may. */
#include "unit.h"

#include <stdatomic.h>

#include "admin/lane.h"
#include "base/clock.h"

#define WAITING 8
#define JOBS    200

static _Atomic int running, ran, worst;
static _Atomic bool hold;
static int order[JOBS + WAITING];

struct job {
    struct lane_job job;
    int number;
};

static void run(struct lane_job *j)
{
    struct job *job = CONTAINER_OF(j, struct job, job);
    int now = atomic_fetch_add(&running, 1) + 1;
    if (now > atomic_load(&worst))
        atomic_store(&worst, now);
    while (atomic_load(&hold))
        sched_yield();
    order[atomic_load(&ran)] = job->number;
    atomic_fetch_sub(&running, 1);
    atomic_fetch_add(&ran, 1);
}

static void wait_ran(int n)
{
    int64_t deadline = clock_mono_ms() + 20000;
    while (atomic_load(&ran) < n) {
        assert_true(clock_mono_ms() < deadline);
        sched_yield();
    }
}

static void test_bound(void **state)
{
    (void)state;
    static struct job jobs[WAITING + 2];
    struct work_pool *work = work_new(4);
    struct lane l;
    lane_init(&l, work, WAITING);
    atomic_store(&hold, true);
    for (int i = 0; i < WAITING + 2; i++) {
        jobs[i] = (struct job){.job.run = run, .number = i};
        assert_int_equal(lane_submit(&l, &jobs[i].job), i <= WAITING); /* one runs, WAITING wait */
    }
    atomic_store(&hold, false);
    wait_ran(WAITING + 1);
    for (int i = 0; i <= WAITING; i++)
        assert_int_equal(order[i], i);
    assert_int_equal(atomic_load(&worst), 1);
    work_free(work);
    lane_release(&l);
}

/* The lane is free again after each, also when there is nobody else. */
static void test_again(void **state)
{
    (void)state;
    static struct job jobs[JOBS];
    struct work_pool *work = work_new(4);
    struct lane l;
    lane_init(&l, work, WAITING);
    atomic_store(&ran, 0);
    atomic_store(&worst, 0);
    for (int i = 0; i < JOBS; i++) {
        jobs[i] = (struct job){.job.run = run, .number = i};
        while (!lane_submit(&l, &jobs[i].job))
            sched_yield();
        if (i % 10 == 0)
            wait_ran(i + 1);
    }
    wait_ran(JOBS);
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(order[i], i);
    assert_int_equal(atomic_load(&worst), 1);
    work_free(work);
    lane_release(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bound), cmocka_unit_test(test_again)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
