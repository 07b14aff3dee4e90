/* SPDX-License-Identifier: Apache-2.0
 *
 * The committer's own state, shared by the files of src/kv. */
#ifndef BELFRY_KV_COMMIT_H
#define BELFRY_KV_COMMIT_H

#include "kv/batch.h"

/* A queue of commits in order of arrival. */
struct commit_list {
    struct kv_commit *first, **last;
    size_t n;
};

struct kv {
    const struct kv_backend *backend;
    void *self;
    bool read_only;
    pthread_t thread;

    struct mutex mutex; /* guards what follows, down to the committer's own */
    struct cond work;   /* the committer has something to do */
    struct cond waited; /* a kv_commit_wait has its outcome */
    struct commit_list closures, plains;
    bool asleep, closing;
    struct err why;
    struct kv_stats stats;
    _Atomic bool failed;
    _Atomic uint64_t damaged;

    /* the committer's own: */
    struct kv_batch batch;
    struct commit_list waiting_closures, waiting_plains; /* taken off the queues, not yet run */
    struct commit_list members;                          /* ran in the batch at hand, waiting for the write */
    struct kv_stats delta;                               /* of the batch at hand */
    uint64_t last_sequence;
    uint64_t trouble; /* of the backend, as far as it was looked at */
};

struct kv_txn {
    struct kv *kv;
    struct kv_batch *batch;
    bool plain;
    bool wrote; /* it may not abort any more */
    bool body;  /* its first row in KV_DATA was written */
    size_t rows, bytes;
};

#define KV_HIGH_WATER STR("mseq")

/* Counter rows; false when v has another length. */
bool counter_decode(struct str v, int64_t out[KV_COUNTERS]);
/* Appends the counters' sums and the high-water row. */
void txn_finish_batch(struct kv *kv, bool plain);

#endif
