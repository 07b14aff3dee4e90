/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads, ranked mutexes and conditions over pthreads. */
#include "base/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"

#define HELD_MAX 16

/* The mutexes this thread holds, in order of taking, so with rising rank. */
static _Thread_local struct {
    struct mutex *v[HELD_MAX];
    unsigned n;
} held;

void mutex_init(struct mutex *m, enum mutex_rank rank)
{
    memset(m, 0, sizeof(*m));
    BUG_ON(pthread_mutex_init(&m->m, NULL) != 0);
    m->rank = rank;
}

void mutex_release(struct mutex *m)
{
    BUG_ON(pthread_mutex_destroy(&m->m) != 0);
}

void mutex_lock(struct mutex *m)
{
    if (held.n) {
        enum mutex_rank top = held.v[held.n - 1]->rank;
        if (m->rank <= top)
            BUG("mutex of rank %d taken while one of rank %d is held", (int)m->rank, (int)top);
    }
    BUG_ON(held.n == HELD_MAX);
    BUG_ON(pthread_mutex_lock(&m->m) != 0);
    held.v[held.n++] = m;
    m->owner = pthread_self();
    m->held = true;
}

void mutex_unlock(struct mutex *m)
{
    unsigned i = held.n;
    while (i > 0 && held.v[i - 1] != m)
        i--;
    BUG_ON(i == 0);
    for (; i < held.n; i++)
        held.v[i - 1] = held.v[i];
    held.n--;
    m->held = false;
    BUG_ON(pthread_mutex_unlock(&m->m) != 0);
}

void mutex_assert_held(struct mutex *m)
{
    for (unsigned i = 0; i < held.n; i++)
        if (held.v[i] == m)
            return;
    BUG("mutex of rank %d is not held", (int)m->rank);
}

void cond_init(struct cond *c)
{
    pthread_condattr_t attr;
    BUG_ON(pthread_condattr_init(&attr) != 0);
    BUG_ON(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) != 0);
    BUG_ON(pthread_cond_init(&c->c, &attr) != 0);
    pthread_condattr_destroy(&attr);
}

void cond_release(struct cond *c)
{
    BUG_ON(pthread_cond_destroy(&c->c) != 0);
}

void cond_signal(struct cond *c)
{
    BUG_ON(pthread_cond_signal(&c->c) != 0);
}

void cond_broadcast(struct cond *c)
{
    BUG_ON(pthread_cond_broadcast(&c->c) != 0);
}

/* m stays in the list of held mutexes over a wait: this thread takes nothing meanwhile. */
static void retaken(struct mutex *m)
{
    m->owner = pthread_self();
    m->held = true;
}

void cond_wait(struct cond *c, struct mutex *m)
{
    mutex_assert_held(m);
    m->held = false;
    BUG_ON(pthread_cond_wait(&c->c, &m->m) != 0);
    retaken(m);
}

bool cond_wait_until(struct cond *c, struct mutex *m, int64_t deadline_ms)
{
    mutex_assert_held(m);
    /* Through the distance from now: clock_mono_ms may be a test's clock, the condition waits on the real
     * one. */
    int64_t wait_ms = deadline_ms - clock_mono_ms();
    if (wait_ms <= 0)
        return false;
    if (wait_ms > INT64_C(1000) * 86400 * 365)
        wait_ms = INT64_C(1000) * 86400 * 365;
    struct timespec ts;
    BUG_ON(clock_gettime(CLOCK_MONOTONIC, &ts) != 0);
    int64_t nsec = ts.tv_nsec + wait_ms % 1000 * 1000000;
    ts.tv_sec += (time_t)(wait_ms / 1000 + nsec / 1000000000);
    ts.tv_nsec = (long)(nsec % 1000000000);
    m->held = false;
    int r = pthread_cond_timedwait(&c->c, &m->m, &ts);
    retaken(m);
    BUG_ON(r != 0 && r != ETIMEDOUT);
    return r == 0;
}

pthread_t thread_start(const char *name, void *(*fn)(void *), void *arg)
{
    sigset_t all, before;
    pthread_t t;
    sigfillset(&all);
    BUG_ON(pthread_sigmask(SIG_SETMASK, &all, &before) != 0);
    int r = pthread_create(&t, NULL, fn, arg);
    BUG_ON(pthread_sigmask(SIG_SETMASK, &before, NULL) != 0);
    if (r != 0) {
        char text[128];
        (void)fprintf(stderr, "cannot start thread %s: %s\n", name, strerror_r(r, text, sizeof(text)));
        _Exit(70);
    }
    BUG_ON(strlen(name) > 15);
    (void)pthread_setname_np(t, name);
    return t;
}

void thread_join(pthread_t t)
{
    BUG_ON(pthread_join(t, NULL) != 0);
}
