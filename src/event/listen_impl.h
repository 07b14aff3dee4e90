/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files that make up listen.h: listen.c (readers and the tail), listen_history.c (rows and
 * interest), listen_keep.c (reading and trimming them), listen_line.c (what is pure). */
#ifndef BELFRY_EVENT_LISTEN_IMPL_H
#define BELFRY_EVENT_LISTEN_IMPL_H

#include <stdatomic.h>

#include "event/listen.h"

#define TAIL_EVENTS 4096
#define TAIL_BYTES  (8u << 20)
#define MARKS       192 /* places in the history at which it may be cut */
#define SEGMENTS    64  /* a history of its full length has about so many marks ... */
#define SEGMENT_MAX \
    1000 /* ... and this many events at most between two: a range delete that is single deletes */

struct listen {
    struct kv *kv;
    int64_t linger_ms;
    _Atomic uint64_t mask, generation;

    struct mutex mutex; /* held for moments only: the committer takes it, too */
    struct cond cond;   /* the thread has something to do */
    bool stop, recording, broken;
    uint64_t keep; /* events of history; 0: none */
    uint64_t
        since[EVENT_COUNT]; /* number from which on events of a kind are in the history; 0: they are not */
    struct listen_position mark[MARKS]; /* mark[0]: everything behind it is kept */
    size_t n_marks;
    struct listen_position published; /* the last event that listeners may see */
    struct listen_event *tail[TAIL_EVENTS];
    size_t tail_at, tail_n, tail_bytes;
    struct listen_position tail_floor; /* every event behind it is in the tail */
    struct listen_reader *readers;
    struct listen_station *stations;
    unsigned entered;
    int64_t idle_since_ms;
    const struct listen_reader *counting; /* whose lost rows the thread counts */

    /* The committer's: the count of the last event, and events of the batch at hand, in order. */
    uint64_t total;
    struct listen_event *pending, **pending_last;

    uint64_t deleted; /* rows up to this number are gone; the thread's, but for the start */
    bool leftover;    /* under the mutex: rows up to mark[0] may be there that no reader is led to */
    pthread_t thread;
};

/* Key and value of a history row. */
struct row_key listen_key(uint64_t seq);
bool listen_key_seq(struct str key, uint64_t *seq);
bool listen_row_decode(struct str value, uint64_t *count, struct outbox_row *row);
#define LISTEN_STATE_KEY STR("m.listen")

/* Under the mutex: drops the oldest events of the tail beyond its bounds; adds one. */
void listen_tail_bound(struct listen *l);
void listen_tail_add(struct listen *l, struct listen_event *e);
void listen_tail_clear(struct listen *l, struct listen_position floor);

/* listen_history.c. Those with a txn or `begin` under the mutex, on the committer's thread. */
void listen_put_state(struct kv_txn *t, const struct listen *l);
/* The history has nothing up to this number. */
void listen_begin_at(struct listen *l, uint64_t seq);
bool listen_load(struct listen *l, struct err *e);
/* Fills marks, since and mask from a row; *kept: rows were. False when malformed. */
bool listen_decode_state(struct str in, struct listen *l, bool *kept);
bool listen_trim_due(const struct listen *l); /* under the mutex, as is the next */
/* Events came more quickly than the thread cuts, and all marks were used up: the count at which the history is to be cut where
 * there is no mark. 0: there is no need. */
uint64_t listen_unmarked(const struct listen *l);

/* listen_keep.c */
void *listen_thread(void *arg);

#endif
