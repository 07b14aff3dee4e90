/* SPDX-License-Identifier: Apache-2.0
 *
 * One job at a time. */
#include "admin/lane.h"

void lane_init(struct lane *l, struct work_pool *work, unsigned max)
{
    *l = (struct lane){.work = work, .max = max};
    l->last = &l->first;
    mutex_init(&l->mutex, RANK_LANE);
}

void lane_release(struct lane *l)
{
    mutex_release(&l->mutex);
}

/* The next of the line, or none: then nobody is busy. */
static struct lane_job *take_next(struct lane *l)
{
    mutex_lock(&l->mutex);
    struct lane_job *job = l->first;
    if (job) {
        l->first = job->next;
        if (!l->first)
            l->last = &l->first;
        l->waiting--;
    }
    l->busy = job != NULL;
    mutex_unlock(&l->mutex);
    return job;
}

static void on_worker(struct task *t)
{
    struct lane_job *job = CONTAINER_OF(t, struct lane_job, task);
    struct lane *l = job->lane;
    job->run(job);
    job = take_next(l);
    if (job)
        work_submit(l->work, &job->task);
}

bool lane_submit(struct lane *l, struct lane_job *job)
{
    bool now, taken = true;
    job->lane = l;
    job->next = NULL;
    job->task.fn = on_worker;
    mutex_lock(&l->mutex);
    now = !l->busy;
    if (now) {
        l->busy = true;
    } else if (l->waiting < l->max) {
        *l->last = job;
        l->last = &job->next;
        l->waiting++;
    } else {
        taken = false;
    }
    mutex_unlock(&l->mutex);
    if (now)
        work_submit(l->work, &job->task);
    return taken;
}
