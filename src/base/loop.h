/* SPDX-License-Identifier: Apache-2.0
 *
 * An event loop (libuv) owned by one thread, and mail to it from any other thread. An I/O thread runs one; a
 * committer, worker or timer hands a task over by loop_post. */
#ifndef BELFRY_BASE_LOOP_H
#define BELFRY_BASE_LOOP_H

#include <uv.h>

#include "base/thread.h"

/* Embedded in whatever wants to be run on a loop; must stay valid until fn has been called. */
struct task {
    void (*fn)(struct task *);
    struct task *next;
};

struct loop {
    uv_loop_t uv;
    uv_async_t wake;
    struct mutex mutex;
    struct task *first, **last;
    pthread_t thread;
    bool stop; /* under mutex */
};

void loop_init(struct loop *l);
/* Runs until loop_stop. The calling thread becomes the loop's thread. */
void loop_run(struct loop *l);
/* Any thread: the loop returns from loop_run after the callback at hand (the mail taken at one wake-up is one). */
void loop_stop(struct loop *l);
/* After loop_run returned, and when nobody posts any more: runs mail that is left, closes handles that are still open
 * (those whose memory needs freeing the caller closes before), frees. */
void loop_release(struct loop *l);
/* Any thread: run t->fn(t) on the loop's thread, in order of posting. */
void loop_post(struct loop *l, struct task *t);
/* A whole list (linked by next, in order) with one wake-up. */
void loop_post_list(struct loop *l, struct task *first, struct task *last);
bool loop_is_current(const struct loop *l);

/* container of a member */
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#endif
