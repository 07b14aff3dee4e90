/* SPDX-License-Identifier: Apache-2.0
 *
 * How a batch gets into a database, whichever it is: in as few transactions as can be. Where the server refuses one, the row
 * whose fault it is is found, and the rest is sent again without it; so one poisonous record does not fail the others. */
#ifndef BELFRY_TARGET_SQL_BATCH_H
#define BELFRY_TARGET_SQL_BATCH_H

#include "target/dial.h"
#include "target/plan.h"

/* The more, the less each of them waits for the server's disk; no more than one removal of resolved events takes. */
#define SQL_MAX_BATCH 1000
/* Bytes of one transaction, but for its last event: a whole batch is one, so that none is taken in part. */
#define SQL_CHUNK (8u << 20)
/* A transaction that fails after so long has more events than the server takes in time, maybe for ever: the next one has half of
 * them. One that takes less than the other doubles that again. */
#define SQL_SLOW_MS  20000
#define SQL_QUICK_MS 5000

/* What an error of the server says; code "": it was none of the server's. */
struct sql_error {
    size_t at;     /* which event; SQL_WHOLE: it does not say */
    char code[12]; /* SQLSTATE or number */
    char text[200];
};
#define SQL_WHOLE SIZE_MAX

/* Whose fault is an error? */
enum sql_verdict {
    SQL_STOP,    /* the server's, the login's or the table's: nothing goes through */
    SQL_MISSING, /* the table is not there */
    SQL_ROW,     /* this row cannot go in now; others can */
    SQL_NEVER,   /* this row will never go in */
};

/* The batch at hand; part of the instance. */
struct sql_batch {
    const struct event_ref *ev;
    size_t n;
    enum send_result *out;
    struct patience patience;
    struct plan_step steps[SQL_MAX_BATCH];
    /* What is to be sent next, those that write first: which event each is, and where its values begin in bytes. */
    struct buf bytes;
    size_t events, n_sets;
    unsigned index[SQL_MAX_BATCH];
    size_t at[2 * SQL_MAX_BATCH];
    unsigned waits[SQL_MAX_BATCH]; /* events that cannot go in now, nor may those of their keys that follow */
    size_t n_waits;
    bool made;   /* the table, within this batch */
    size_t most; /* events of one transaction, over all batches: fewer once some took too long */
    char why[SEND_WHY];
};
void sql_batch_init(struct sql_batch *b);
void sql_batch_release(struct sql_batch *b);

struct sql_kind {
    bool apart; /* a transaction is either of what writes or of what removes */
    /* Appends the values of event i to b->bytes, noting in b->at[2 * b->events] and the next where they begin. NULL, or why
     * this server can never hold them. */
    const char *(*put)(void *self, struct sql_batch *b, size_t i);
    /* One transaction of b's events from..from+n. True: it is committed. False: error has a code, and nothing of it is there;
     * or it has none, and err says what happened to the connection, which is closed. */
    bool (*apply)(void *self, struct sql_batch *b, size_t from, size_t n, struct sql_error *error,
                  struct err *e);
    enum sql_verdict (*judge)(const char *code);
    void (*explain)(void *self, const struct sql_error *error, char *why, size_t why_n);
    /* Makes the table. */
    bool (*table)(void *self, const struct patience *p, struct err *e);
};
/* Sends the batch; b->patience is set. Outcomes and reasons as target.h's send has them. */
void sql_send(const struct sql_kind *kind, void *self, struct sql_batch *b, struct err *e);
/* Begins: every outcome is RETRY, the plan is made. */
void sql_begin(struct sql_batch *b, const struct event_ref *ev, size_t n, enum send_result *out,
               enum plan_format format);
/* Ends a batch of which nothing could be sent. */
void sql_give_up(struct sql_batch *b, const char *why, struct err *e);

#endif
