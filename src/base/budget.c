/* SPDX-License-Identifier: Apache-2.0
 *
 * The memory budget: a count, and a line of those who wait for their share, served in order of arrival so
 * that a large request cannot be starved by small ones. */
#include "base/budget.h"

#include "base/err.h"

void budget_init(struct budget *b, size_t limit)
{
    mutex_init(&b->mutex, RANK_BUDGET);
    b->limit = limit;
    b->used = 0;
    b->first = NULL;
    b->last = &b->first;
}

void budget_release(struct budget *b)
{
    BUG_ON(b->first != NULL);
    mutex_release(&b->mutex);
}

static bool fits(const struct budget *b, size_t bytes)
{
    return b->used == 0 || (b->used <= b->limit && bytes <= b->limit - b->used);
}

/* Serves the line as far as the budget reaches. The tasks are posted under the mutex: nobody else may touch a
 * waiter once it is served. */
static void serve(struct budget *b)
{
    while (b->first && fits(b, b->first->bytes)) {
        struct budget_wait *w = b->first;
        b->used += w->bytes;
        b->first = w->next;
        if (!b->first)
            b->last = &b->first;
        loop_post(w->loop, &w->task);
    }
}

bool budget_take(struct budget *b, size_t bytes, struct budget_wait *w)
{
    mutex_lock(&b->mutex);
    bool taken = !b->first && fits(b, bytes);
    if (taken) {
        b->used += bytes;
    } else {
        w->bytes = bytes;
        w->next = NULL;
        *b->last = w;
        b->last = &w->next;
    }
    mutex_unlock(&b->mutex);
    return taken;
}

bool budget_cancel(struct budget *b, struct budget_wait *w)
{
    mutex_lock(&b->mutex);
    struct budget_wait **at = &b->first;
    while (*at && *at != w)
        at = &(*at)->next;
    bool found = *at != NULL;
    if (found) {
        *at = w->next;
        if (!*at)
            b->last = at;
        serve(b); /* those behind may be smaller */
    }
    mutex_unlock(&b->mutex);
    return found;
}

void budget_force(struct budget *b, size_t bytes)
{
    mutex_lock(&b->mutex);
    b->used += bytes;
    mutex_unlock(&b->mutex);
}

void budget_give(struct budget *b, size_t bytes)
{
    mutex_lock(&b->mutex);
    BUG_ON(bytes > b->used);
    b->used -= bytes;
    serve(b);
    mutex_unlock(&b->mutex);
}
