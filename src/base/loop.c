/* SPDX-License-Identifier: Apache-2.0
 *
 * The event loop over libuv, and its mail: a list under a mutex, and an async handle that wakes the loop when
 * the list stops being empty. */
#include "base/loop.h"

#include <string.h>

#include "base/err.h"

static struct task *take_mail(struct loop *l, bool *stop)
{
    mutex_lock(&l->mutex);
    struct task *first = l->first;
    l->first = NULL;
    l->last = &l->first;
    *stop = l->stop;
    mutex_unlock(&l->mutex);
    return first;
}

static void run_mail(struct task *t)
{
    while (t) {
        struct task *next = t->next; /* t may be freed or posted again by its fn */
        t->fn(t);
        t = next;
    }
}

static void on_wake(uv_async_t *wake)
{
    struct loop *l = CONTAINER_OF(wake, struct loop, wake);
    bool stop;
    run_mail(take_mail(l, &stop));
    if (stop)
        uv_stop(&l->uv);
}

static void set_thread(struct loop *l)
{
    __atomic_store_n(&l->thread, pthread_self(), __ATOMIC_RELAXED);
}

void loop_init(struct loop *l)
{
    memset(l, 0, sizeof(*l));
    BUG_ON(uv_loop_init(&l->uv) != 0);
    BUG_ON(uv_async_init(&l->uv, &l->wake, on_wake) != 0);
    mutex_init(&l->mutex, RANK_LOOP);
    l->last = &l->first;
    set_thread(l);
}

void loop_run(struct loop *l)
{
    set_thread(l);
    (void)uv_run(&l->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *l)
{
    mutex_lock(&l->mutex);
    l->stop = true;
    uv_async_send(&l->wake);
    mutex_unlock(&l->mutex);
}

static void close_handle(uv_handle_t *h, void *arg)
{
    (void)arg;
    if (!uv_is_closing(h))
        uv_close(h, NULL);
}

void loop_release(struct loop *l)
{
    struct task *t;
    bool stop;
    set_thread(l);
    while ((t = take_mail(l, &stop)))
        run_mail(t);
    uv_walk(&l->uv, close_handle, NULL);
    BUG_ON(uv_run(&l->uv, UV_RUN_DEFAULT) != 0);
    while ((t = take_mail(l, &stop))) /* posted by what was closed */
        run_mail(t);
    BUG_ON(uv_loop_close(&l->uv) != 0);
    mutex_release(&l->mutex);
}

void loop_post(struct loop *l, struct task *t)
{
    loop_post_list(l, t, t);
}

void loop_post_list(struct loop *l, struct task *first, struct task *last)
{
    last->next = NULL;
    mutex_lock(&l->mutex);
    bool was_empty = !l->first;
    *l->last = first;
    l->last = &last->next;
    /* Under the mutex: once it is free the task may have run and the loop may be gone. */
    if (was_empty)
        uv_async_send(&l->wake);
    mutex_unlock(&l->mutex);
}

bool loop_is_current(const struct loop *l)
{
    return pthread_equal(__atomic_load_n(&l->thread, __ATOMIC_RELAXED), pthread_self()) != 0;
}
