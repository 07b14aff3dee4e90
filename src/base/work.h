/* SPDX-License-Identifier: Apache-2.0
 *
 * The pool of workers: threads for what may block (files, listings, cache misses). Jobs run in order of arrival, each
 * on some worker; fn(task) then usually posts back to a loop. */
#ifndef BELFRY_BASE_WORK_H
#define BELFRY_BASE_WORK_H

#include "base/loop.h"

struct work_pool;
/* n threads. */
struct work_pool *work_new(unsigned n);
/* Any thread; the task stays valid until its fn ran. Jobs are bounded by the connections that can ask for one. */
void work_submit(struct work_pool *w, struct task *t);
/* Runs what is queued, then joins the threads and frees. */
void work_free(struct work_pool *w);

#endif
