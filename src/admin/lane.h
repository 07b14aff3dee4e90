/* SPDX-License-Identifier: Apache-2.0
 *
 * Jobs of which only one may run at a time, on whatever worker is free: a key derivation takes 64 MiB and a core for a tenth
 * of a second, and what runs side by side would only wait for memory. Who waits takes no worker. */
#ifndef BELFRY_ADMIN_LANE_H
#define BELFRY_ADMIN_LANE_H

#include "base/work.h"

struct lane_job {
    struct task task;
    void (*run)(struct lane_job *job); /* set by the caller; on a worker; last use of the job by the lane */
    struct lane *lane;
    struct lane_job *next;
};
struct lane {
    struct work_pool *work;
    struct mutex mutex;
    struct lane_job *first, **last;
    unsigned waiting, max;
    bool busy;
};

/* At most `max` jobs wait. */
void lane_init(struct lane *l, struct work_pool *work, unsigned max);
void lane_release(struct lane *l);
/* Any thread. False: as many wait as may; the job is not taken. */
bool lane_submit(struct lane *l, struct lane_job *job);

#endif
