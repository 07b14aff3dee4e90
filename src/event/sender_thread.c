/* SPDX-License-Identifier: Apache-2.0
 *
 * A sender's thread: what comes before the first step, the steps, the end. */
#include "base/clock.h"
#include "base/log.h"
#include "event/delivery_impl.h"

#define LOOK_MS  200   /* between two looks whether the former sender has ended */
#define AGAIN_MS 30000 /* between two tries to make the queue_dir */

void sender_on_disk(struct sender *s, bool begins)
{
    atomic_store(&s->disk_ms, begins ? clock_mono_ms() : 0);
}

/* --- before the first step ---------------------------------------------------------------------------------------- */

/* False: stop. */
static bool set_ready(struct sender *s, enum sender_ready ready, const struct err *e)
{
    mutex_lock(&s->mutex);
    s->ready = ready;
    if (e)
        s->failure = *e;
    cond_broadcast(&s->cond);
    bool go_on = !s->stopping;
    mutex_unlock(&s->mutex);
    return go_on;
}

/* False: stop. */
static bool pause_ms(struct sender *s, int64_t span)
{
    int64_t until = clock_mono_ms() + span;
    mutex_lock(&s->mutex);
    while (!s->stopping && cond_wait_until(&s->cond, &s->mutex, until))
        continue;
    bool go_on = !s->stopping;
    mutex_unlock(&s->mutex);
    return go_on;
}

/* Has it ended, its last removal too? Waits for a moment. */
static bool has_ended(struct sender *former)
{
    int64_t until = clock_mono_ms() + LOOK_MS;
    mutex_lock(&former->mutex);
    while ((!former->ended || former->removing) && cond_wait_until(&former->cond, &former->mutex, until))
        continue;
    bool over = former->ended && !former->removing;
    mutex_unlock(&former->mutex);
    return over;
}

/* Two senders on one queue would send twice, and out of order. False: stop. */
static bool wait_for_former(struct sender *s)
{
    struct sender *former = atomic_load(&s->former);
    bool over = !former, told = false;
    while (!over && !(over = has_ended(former))) {
        if (!told)
            sender_offline(s,
                           "what it was doing with its former settings has not ended: does the disk of its "
                           "queue_dir hang?");
        told = true;
        if (!set_ready(s, READY_WAITS, NULL))
            return false; /* `former` is left to who comes next */
    }
    atomic_store(&s->former, NULL);
    return set_ready(s, READY_NOT, NULL);
}

/* Waits until it can be made; its disk may come later. False: stop. */
static bool make_queue_dir(struct sender *s)
{
    const char *path = s->self ? s->conf->queue_dir : NULL;
    struct err e = {0};
    bool told = false;
    while (path && path[0] && !queue_dir_make(path, &e)) {
        if (!told)
            sender_unfit(s, e.text);
        told = true;
        (void)set_ready(s, READY_WAITS, NULL);
        sender_on_disk(s, false);
        if (!pause_ms(s, AGAIN_MS))
            return false;
        sender_on_disk(s, true);
    }
    if (told)
        sender_offline(s, "its queue_dir is there now; not connected yet");
    return set_ready(s, READY_NOT, NULL);
}

static bool prepare(struct sender *s)
{
    struct err e = {0};
    if (!wait_for_former(s))
        return false;
    sender_on_disk(s, true);
    bool ok = segments_clean_start(s, &e), go_on = ok && make_queue_dir(s);
    ok = ok && (!go_on || (queue_dir_take(s, &e) && sender_load(s, &e)));
    sender_on_disk(s, false);
    if (!ok)
        (void)set_ready(s, READY_FAILED, &e);
    return ok && go_on && set_ready(s, READY, NULL);
}

bool sender_prepared(struct sender *s, int64_t until_ms, struct err *e)
{
    mutex_lock(&s->mutex);
    while (s->ready == READY_NOT && !s->ended && cond_wait_until(&s->cond, &s->mutex, until_ms))
        continue;
    bool ok = s->ready != READY_FAILED;
    if (!ok)
        *e = s->failure;
    mutex_unlock(&s->mutex);
    return ok;
}

/* --- steps -------------------------------------------------------------------------------------------------------- */

void sender_look_again(struct sender *s)
{
    atomic_store(&s->news, true);
    mutex_lock(&s->mutex);
    cond_broadcast(&s->cond);
    mutex_unlock(&s->mutex);
    if (s->places && atomic_load(&s->sending) > 0)
        s->type->wake(s->self);
}

void sender_wake(void *arg)
{
    struct sender *s = arg;
    atomic_fetch_add_explicit(&s->accepted, 1, memory_order_relaxed);
    if (atomic_load(&s->want_wake) && atomic_exchange(&s->want_wake, false))
        sender_look_again(s);
}

/* False: stop. */
static bool wait_for_go(struct sender *s)
{
    mutex_lock(&s->mutex);
    while (!s->stopping && !s->go)
        cond_wait(&s->cond, &s->mutex);
    bool go_on = !s->stopping;
    mutex_unlock(&s->mutex);
    return go_on;
}

/* Waits until `until_ms`, or until there is news when the sender waits for nothing else. False: stop. */
static bool wait_next(struct sender *s, int64_t until_ms)
{
    mutex_lock(&s->mutex);
    bool deaf = until_ms <= s->retry_at_ms;
    while (!s->stopping && (deaf || !atomic_load(&s->news)) && clock_mono_ms() < until_ms) {
        if (until_ms == INT64_MAX)
            cond_wait(&s->cond, &s->mutex);
        else
            (void)cond_wait_until(&s->cond, &s->mutex, until_ms);
    }
    bool go_on = !s->stopping;
    mutex_unlock(&s->mutex);
    return go_on;
}

static void run_steps(struct sender *s)
{
    int64_t next;
    do
        next = sender_step(s, clock_mono_ms());
    while (wait_next(s, next));
    if (s->places)
        window_drain(s);
    if (s->n_out == 0)
        (void)segments_clean(s, true);
}

static void *sender_run(void *arg)
{
    struct sender *s = arg;
    if (prepare(s) && s->self && wait_for_go(s))
        run_steps(s);
    mutex_lock(&s->mutex);
    s->ended = true;
    cond_broadcast(&s->cond);
    mutex_unlock(&s->mutex);
    return NULL;
}

/* --- start and end ------------------------------------------------------------------------------------------------ */

void sender_start(struct sender *s, struct sender *former)
{
    atomic_store(&s->former, former);
    s->thread = thread_start("sender", sender_run, s);
    s->running = true;
}

void sender_go(struct sender *s)
{
    mutex_lock(&s->mutex);
    s->go = true;
    cond_broadcast(&s->cond);
    mutex_unlock(&s->mutex);
}

void sender_ask_stop(struct sender *s, int64_t deadline_ms)
{
    atomic_store(&s->stop_ms, deadline_ms);
    mutex_lock(&s->mutex);
    s->stopping = true;
    cond_broadcast(&s->cond);
    mutex_unlock(&s->mutex);
    if (s->self && s->type->hasten)
        s->type->hasten(s->self, deadline_ms);
    if (s->self && s->type->wake)
        s->type->wake(s->self);
}

bool sender_join(struct sender *s, int64_t until_ms)
{
    if (s->running) {
        mutex_lock(&s->mutex);
        while (!s->ended && cond_wait_until(&s->cond, &s->mutex, until_ms))
            continue;
        bool ended = s->ended;
        mutex_unlock(&s->mutex);
        if (!ended)
            return false;
        thread_join(s->thread);
    }
    s->running = false;
    (void)sender_settled(s);
    return true;
}
