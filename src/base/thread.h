/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads and locks. Every mutex has a rank; a thread may only take a mutex of a higher rank than those it holds
 * (asserted), so locks cannot deadlock. Ranks are listed here, in one place. */
#ifndef BELFRY_BASE_THREAD_H
#define BELFRY_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum mutex_rank {
    RANK_MAIN = 10,   /* server life cycle */
    RANK_CONFIG = 12, /* config/: one change at a time */
    RANK_CONFIG_STATE = 14,
    RANK_DELIVERY_CHANGE = 18, /* event/: one change of the targets at a time */
    RANK_DELIVERY = 20,        /* event/: table of senders */
    RANK_SENDER = 30,          /* event/: one sender's state */
    RANK_TARGET = 35,          /* target/: what threads of a library hand over */
    RANK_BUCKETS = 40,         /* store/: table of buckets */
    RANK_STORE = 50,           /* store/: janitor, space */
    RANK_LISTEN = 55,          /* event/: listeners */
    RANK_PINS = 60,            /* blob/: pinned blobs */
    RANK_COMMITTER = 70,       /* kv/: queue of closures */
    RANK_LANE = 78,            /* admin/: jobs of which one runs at a time */
    RANK_WORK = 80,            /* base/: queue of workers */
    RANK_BUDGET = 85,          /* base/: bytes in memory */
    RANK_LOOP = 90,            /* base/: mail of a loop */
    RANK_HTTP = 92,            /* http/: certificates, counters */
    RANK_AUTH = 94,            /* auth/: signing keys */
    RANK_LOG = 100,            /* base/: the log, may be taken under any other */
};

struct mutex {
    pthread_mutex_t m;
    enum mutex_rank rank;
    pthread_t owner; /* valid while held */
    bool held;
};
#define MUTEX_INIT(r) \
    { \
        .m = PTHREAD_MUTEX_INITIALIZER, .rank = (r) \
    }

void mutex_init(struct mutex *m, enum mutex_rank rank);
void mutex_release(struct mutex *m);
void mutex_lock(struct mutex *m);
void mutex_unlock(struct mutex *m);
/* BUG() unless the calling thread holds m. */
void mutex_assert_held(struct mutex *m);

struct cond {
    pthread_cond_t c;
};
void cond_init(struct cond *c); /* on the steady clock */
void cond_release(struct cond *c);
void cond_signal(struct cond *c);
void cond_broadcast(struct cond *c);
void cond_wait(struct cond *c, struct mutex *m);
/* false when deadline_ms (steady clock, clock_mono_ms) passed. */
bool cond_wait_until(struct cond *c, struct mutex *m, int64_t deadline_ms);

/* Starts a named thread with all signals blocked; ends the process when there is none to be had. name: at most 15 bytes. */
pthread_t thread_start(const char *name, void *(*fn)(void *), void *arg);
void thread_join(pthread_t t);

#endif
