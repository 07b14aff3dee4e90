/* SPDX-License-Identifier: Apache-2.0
 *
 * What the checker of crash states knows: the journal of the workload that was recorded, and the state at hand.
 *
 * The journal is text, a line each, times in ns of CLOCK_MONOTONIC; a time of the last number there is: never.
 *   k BUCKET KEY, then its changes in order, one writer each:
 *     o SENT ACKED NUMBER PRESENT WRITER CONTENT SIZE TAG|-     the object after it; NUMBER is in the event's userAgent
 *   b BUCKET, then: o SENT ACKED PRESENT RULE|-                 the bucket after it, and a word within its rules
 *   c SENT ACKED WORD                                           a word within the settings after it
 *   u BUCKET KEY ID SENT ACKED OVER-SENT OVER-ACKED, then: p SENT ACKED NUMBER SIZE
 *   z STOPPED                                                   a clean stop was over
 *   f ARRIVED FILE                                              the event of a file of queue_dir was delivered
 *   d ARRIVED NUMBER KEY SEQUENCER                              a delivery to the target that answers (webhook:1) */
#ifndef BELFRY_TESTS_POWERCHECK_H
#define BELFRY_TESTS_POWERCHECK_H

#include "store/store.h"

#define NEVER UINT64_MAX

struct op {
    uint64_t sent, acked, number, writer, content, size;
    bool present;
    char *word; /* tag, rule; NULL: none */
    /* of the state at hand: */
    bool queued[2], delivered;
    uint64_t arrived; /* when, first */
};
struct ops {
    struct op *v;
    size_t n;
};
struct subject { /* a key, or a bucket */
    char *bucket, *key;
    struct ops ops;
};
struct upload {
    char *bucket, *key, *id;
    uint64_t sent, acked, over_sent, over_acked;
    struct ops parts; /* number, size */
};
struct delivery_seen {
    uint64_t arrived, number, seq;
    char *key;
};
struct journal {
    struct subject *keys, *buckets;
    struct upload *uploads;
    struct delivery_seen *deliveries;
    size_t n_keys, n_buckets, n_uploads, n_deliveries;
    struct ops config;
    struct ops stops; /* acked */
    struct ops taken; /* acked, word */
};

/* False: a line that means nothing. */
bool journal_read(struct journal *j, const char *path);

/* A state: everything acknowledged up to `owed` must be in it, nothing sent after `may` can be. */
struct state {
    struct journal *journal;
    const char *dir;
    uint64_t owed, may;
    struct store *store;
    unsigned problems;
};
__attribute__((format(printf, 2, 3))) void problem(struct state *s, const char *fmt, ...);
/* Changes up to this index are owed (-1: none); changes up to *most may have happened. */
int owed_index(const struct state *s, const struct ops *ops, int *most);

/* powercheck_rows.c: outbox and dead letters against the journal; fills `queued` and `delivered` of the ops. */
void check_outbox(struct state *s);
/* Of a key whose object is as after one of the changes marked in `fits` (index + 1; 0: none yet). */
void check_events(struct state *s, const struct subject *k, const bool *fits, int owed, int most);
void check_high_water(struct state *s);
/* Files of queue_dir whose events were delivered must be remembered, or gone. */
void check_taken(struct state *s);
void check_settings(struct state *s);
void check_uploads(struct state *s);

#endif
