/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes of bodies and closures that may be in memory at a time, over all connections. Who finds the budget used up
 * waits in line (its connection is not read meanwhile) and is called on its own loop when its turn comes. */
#ifndef BELFRY_BASE_BUDGET_H
#define BELFRY_BASE_BUDGET_H

#include "base/loop.h"

struct budget {
    struct mutex mutex;
    size_t limit, used;
    struct budget_wait *first, **last;
};
struct budget_wait {
    struct task task; /* task.fn set by the caller: called on `loop` once the bytes are taken */
    struct loop *loop;
    size_t bytes;
    struct budget_wait *next;
};

void budget_init(struct budget *b, size_t limit);
void budget_release(struct budget *b);
/* true: `bytes` are taken now. false: w waits in line; when its turn comes the bytes are taken and w->task runs on
 * w->loop. A single request of more than the limit is let through when nothing else is out. */
bool budget_take(struct budget *b, size_t bytes, struct budget_wait *w);
/* Takes w out of the line; false when its bytes are already taken (its task runs or will run). */
bool budget_cancel(struct budget *b, struct budget_wait *w);
/* Takes bytes without asking: the budget may be passed, and those who ask wait for it to be kept again. */
void budget_force(struct budget *b, size_t bytes);
void budget_give(struct budget *b, size_t bytes);

#endif
