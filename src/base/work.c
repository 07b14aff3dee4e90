/* SPDX-License-Identifier: Apache-2.0
 *
 * The pool of workers: one queue, n threads. */
#include "base/work.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"

struct work_pool {
    struct mutex mutex;
    struct cond wake;
    struct task *first, **last;
    bool stop;
    unsigned n;
    pthread_t threads[];
};

static struct task *next_job(struct work_pool *w)
{
    mutex_lock(&w->mutex);
    while (!w->first && !w->stop)
        cond_wait(&w->wake, &w->mutex);
    struct task *t = w->first;
    if (t) {
        w->first = t->next;
        if (!w->first)
            w->last = &w->first;
    }
    mutex_unlock(&w->mutex);
    return t;
}

static void *run(void *arg)
{
    struct work_pool *w = arg;
    struct task *t;
    while ((t = next_job(w)))
        t->fn(t);
    return NULL;
}

struct work_pool *work_new(unsigned n)
{
    BUG_ON(n == 0);
    struct work_pool *w = x_calloc(1, sizeof(*w) + n * sizeof(w->threads[0]));
    mutex_init(&w->mutex, RANK_WORK);
    cond_init(&w->wake);
    w->last = &w->first;
    w->n = n;
    for (unsigned i = 0; i < n; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "work-%u", i % 10000);
        w->threads[i] = thread_start(name, run, w);
    }
    return w;
}

void work_submit(struct work_pool *w, struct task *t)
{
    t->next = NULL;
    mutex_lock(&w->mutex);
    *w->last = t;
    w->last = &t->next;
    cond_signal(&w->wake);
    mutex_unlock(&w->mutex);
}

void work_free(struct work_pool *w)
{
    if (!w)
        return;
    mutex_lock(&w->mutex);
    w->stop = true;
    cond_broadcast(&w->wake);
    mutex_unlock(&w->mutex);
    for (unsigned i = 0; i < w->n; i++)
        thread_join(w->threads[i]);
    cond_release(&w->wake);
    mutex_release(&w->mutex);
    free(w);
}
