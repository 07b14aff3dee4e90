/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads: ranked mutexes, conditions, loop and mail, workers, the memory budget. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/budget.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/work.h"

/* Runs fn in a child; true when it ended by abort, as BUG does. */
static bool aborts(void (*fn)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        const struct rlimit no_core = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &no_core);
        (void)signal(SIGABRT, SIG_DFL);
        if (!freopen("/dev/null", "w", stderr))
            _exit(1);
        fn();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static struct mutex low, high, same;

static void wrong_order(void)
{
    mutex_lock(&high);
    mutex_lock(&low);
}
static void same_rank(void)
{
    mutex_lock(&high);
    mutex_lock(&same);
}
static void twice(void)
{
    mutex_lock(&low);
    mutex_lock(&low);
}
static void not_held(void)
{
    mutex_unlock(&low);
}
static void assert_not_held(void)
{
    mutex_lock(&low);
    mutex_assert_held(&high);
}
static void right_order(void)
{
    mutex_lock(&low);
    mutex_lock(&high);
    mutex_assert_held(&low);
    mutex_unlock(&low);
    mutex_assert_held(&high);
    mutex_unlock(&high);
    mutex_lock(&low);
    mutex_unlock(&low);
}

static void ranks(void **state)
{
    (void)state;
    mutex_init(&low, RANK_MAIN);
    mutex_init(&high, RANK_LOOP);
    mutex_init(&same, RANK_LOOP);
    assert_true(aborts(wrong_order));
    assert_true(aborts(same_rank));
    assert_true(aborts(twice));
    assert_true(aborts(not_held));
    assert_true(aborts(assert_not_held));
    assert_false(aborts(right_order));
    right_order();
    mutex_release(&low);
    mutex_release(&high);
    mutex_release(&same);
}

struct turn {
    struct mutex m;
    struct cond c;
    int count;
};

static void *count_up(void *arg)
{
    struct turn *t = arg;
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    for (int i = 0; i < 1000; i++) {
        mutex_lock(&t->m);
        t->count += sigismember(&blocked, SIGTERM);
        cond_broadcast(&t->c);
        mutex_unlock(&t->m);
    }
    return NULL;
}

static void conditions(void **state)
{
    (void)state;
    struct turn t = {.m = MUTEX_INIT(RANK_STORE)};
    pthread_t threads[3];
    cond_init(&t.c);
    mutex_lock(&t.m);
    int64_t before = clock_mono_ms();
    assert_false(cond_wait_until(&t.c, &t.m, before - 1));
    assert_false(cond_wait_until(&t.c, &t.m, before + 20));
    assert_true(clock_mono_ms() >= before + 20);
    mutex_unlock(&t.m);
    for (int i = 0; i < 3; i++)
        threads[i] = thread_start("counter", count_up, &t);
    mutex_lock(&t.m);
    while (t.count < 1500)
        cond_wait(&t.c, &t.m);
    while (t.count < 3000)
        assert_true(cond_wait_until(&t.c, &t.m, clock_mono_ms() + 60000));
    mutex_assert_held(&t.m);
    mutex_unlock(&t.m);
    for (int i = 0; i < 3; i++)
        thread_join(threads[i]);
    cond_release(&t.c);
    mutex_release(&t.m);
}

/* --- loop ------------------------------------------------------------------------------------------------------ */

struct letter {
    struct task task;
    struct loop *loop;
    int from, number;
    int *last; /* per sender: the number seen before */
    int *total;
    bool stops;
};

static void on_letter(struct task *t)
{
    struct letter *l = CONTAINER_OF(t, struct letter, task);
    assert_true(loop_is_current(l->loop));
    assert_int_equal(l->number, l->last[l->from] + 1);
    l->last[l->from] = l->number;
    if (++*l->total == 4000)
        loop_stop(l->loop);
}

static void *send_letters(void *arg)
{
    struct letter *l = arg;
    assert_false(loop_is_current(l->loop));
    for (int i = 0; i < 500; i++)
        loop_post(l[i].loop, &l[i].task);
    for (int i = 500; i < 1000; i += 10) { /* lists of ten */
        for (int k = 0; k < 9; k++)
            l[i + k].task.next = &l[i + k + 1].task;
        loop_post_list(l[i].loop, &l[i].task, &l[i + 9].task);
    }
    return NULL;
}

static void mail(void **state)
{
    (void)state;
    static struct letter letters[4][1000];
    static struct loop loop;
    int last[4] = {-1, -1, -1, -1}, total = 0;
    pthread_t threads[4];
    loop_init(&loop);
    for (int f = 0; f < 4; f++) {
        for (int i = 0; i < 1000; i++)
            letters[f][i] = (struct letter){
                .task.fn = on_letter, .loop = &loop, .from = f, .number = i, .last = last, .total = &total};
        threads[f] = thread_start("sender", send_letters, letters[f]);
    }
    loop_run(&loop);
    assert_int_equal(total, 4000);
    for (int f = 0; f < 4; f++)
        thread_join(threads[f]);
    loop_release(&loop);
}

static void set_flag(struct task *t)
{
    *CONTAINER_OF(t, struct letter, task)->total = 1;
}

static void on_timer(uv_timer_t *t)
{
    (void)t;
}

/* Mail that nobody read before the stop still runs; handles that are open are closed. */
static void left_over(void **state)
{
    (void)state;
    static struct loop loop;
    static uv_timer_t timer;
    int flag = 0;
    struct letter l = {.task.fn = set_flag, .total = &flag};
    loop_init(&loop);
    assert_int_equal(uv_timer_init(&loop.uv, &timer), 0);
    assert_int_equal(uv_timer_start(&timer, on_timer, 1000000, 0), 0);
    loop_stop(&loop);
    loop_run(&loop);
    loop_post(&loop, &l.task);
    loop_release(&loop);
    assert_int_equal(flag, 1);
}

/* --- workers --------------------------------------------------------------------------------------------------- */

struct job {
    struct task task;
    int *count;
};

static void on_job(struct task *t)
{
    __atomic_add_fetch(CONTAINER_OF(t, struct job, task)->count, 1, __ATOMIC_RELAXED);
}

static void workers(void **state)
{
    (void)state;
    static struct job jobs[2000];
    int count = 0;
    struct work_pool *w = work_new(3);
    for (int i = 0; i < 2000; i++) {
        jobs[i] = (struct job){.task.fn = on_job, .count = &count};
        work_submit(w, &jobs[i].task);
    }
    work_free(w); /* runs what is queued */
    assert_int_equal(count, 2000);
    work_free(NULL);
}

/* --- budget ---------------------------------------------------------------------------------------------------- */

struct waiter {
    struct budget_wait wait;
    int *order, *n, name;
};

static void on_turn(struct task *t)
{
    struct waiter *w = CONTAINER_OF(t, struct waiter, wait.task);
    w->order[(*w->n)++] = w->name;
}

static void budget(void **state)
{
    (void)state;
    static struct loop loop;
    struct budget b;
    struct waiter w[4];
    int order[4], n = 0;
    loop_init(&loop);
    budget_init(&b, 100);
    for (int i = 0; i < 4; i++)
        w[i] = (struct waiter){{.task.fn = on_turn, .loop = &loop}, order, &n, i};
    assert_true(budget_take(&b, 60, &w[0].wait));
    assert_false(budget_take(&b, 50, &w[0].wait));
    assert_false(budget_take(&b, 10, &w[1].wait)); /* would fit, but stands behind the large one */
    assert_false(budget_take(&b, 100, &w[2].wait));
    assert_false(budget_take(&b, 1, &w[3].wait));
    assert_int_equal(b.used, 60);
    assert_true(budget_cancel(&b, &w[0].wait)); /* lets the one behind through */
    assert_int_equal(b.used, 70);
    assert_false(budget_cancel(&b, &w[1].wait));
    assert_true(budget_cancel(&b, &w[2].wait));
    assert_int_equal(b.used, 71);
    assert_false(budget_cancel(&b, &w[2].wait));
    budget_give(&b, 71);
    assert_true(budget_take(&b, 1000, &w[0].wait)); /* more than all: alone it may */
    assert_false(budget_take(&b, 1, &w[0].wait));
    budget_give(&b, 1000);
    assert_int_equal(b.used, 1);
    budget_force(&b, 200);
    assert_false(budget_take(&b, 1, &w[2].wait)); /* until it is kept again */
    budget_give(&b, 101);
    assert_int_equal(b.used, 100);
    budget_give(&b, 1);
    assert_int_equal(b.used, 100);
    budget_give(&b, 100);
    budget_release(&b);
    loop_release(&loop); /* runs the tasks */
    assert_int_equal(n, 4);
    assert_true(order[0] == 1 && order[1] == 3 && order[2] == 0 && order[3] == 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks),     cmocka_unit_test(conditions), cmocka_unit_test(mail),
        cmocka_unit_test(left_over), cmocka_unit_test(workers),    cmocka_unit_test(budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
