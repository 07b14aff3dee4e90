/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether a queue_dir can be used, asked by somebody who cannot wait for a disk that hangs: in a thread of its own, which is
 * left behind when it does not come back. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "event/delivery_impl.h"

#define MOST 8

static struct mutex busy_mutex = MUTEX_INIT(RANK_LANE);
static unsigned busy; /* threads that have not come back */

/* Shared by who asks and the thread; the last of the two frees it. */
struct attempt {
    char *path;
    struct mutex mutex;
    struct cond cond;
    int refs;
    bool done, ok;
    struct err e;
};

static void unref(struct attempt *a)
{
    mutex_lock(&a->mutex);
    bool last = --a->refs == 0;
    mutex_unlock(&a->mutex);
    if (!last)
        return;
    cond_release(&a->cond);
    mutex_release(&a->mutex);
    free(a->path);
    free(a);
}

static bool count(bool begins)
{
    mutex_lock(&busy_mutex);
    bool ok = !begins || busy < MOST;
    if (!begins)
        busy--;
    else if (ok)
        busy++;
    mutex_unlock(&busy_mutex);
    return ok;
}

static void *run(void *arg)
{
    struct attempt *a = arg;
    struct err e = {0};
    bool ok = queue_dir_make(a->path, &e) && (access(a->path, R_OK | W_OK | X_OK) == 0 ||
                                              err_errno(&e, "queue_dir %s cannot be used", a->path));
    (void)count(false);
    mutex_lock(&a->mutex);
    a->done = true;
    a->ok = ok;
    a->e = e;
    cond_broadcast(&a->cond);
    mutex_unlock(&a->mutex);
    unref(a);
    return NULL;
}

bool queue_dir_try(const char *path, int64_t span_ms, struct err *e)
{
    if (!count(true))
        return err_set(e, "the disks of other queue_dirs do not answer, so nothing can be said of %s", path);
    struct attempt *a = x_calloc(1, sizeof(*a));
    int64_t until = clock_mono_ms() + span_ms;
    a->path = x_strdup(path);
    a->refs = 2;
    mutex_init(&a->mutex, RANK_LANE);
    cond_init(&a->cond);
    pthread_t t = thread_start("queue-dir", run, a);
    (void)pthread_detach(t);
    mutex_lock(&a->mutex);
    while (!a->done && cond_wait_until(&a->cond, &a->mutex, until))
        continue;
    bool ok = a->done ? a->ok : err_set(e, "the disk of queue_dir %s does not answer", path);
    if (a->done && !a->ok)
        *e = a->e;
    mutex_unlock(&a->mutex);
    unref(a);
    return ok;
}
