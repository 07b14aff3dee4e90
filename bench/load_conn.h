/* SPDX-License-Identifier: Apache-2.0
 *
 * belfry-load: one connection and the thread that owns it, shared by load_conn.c (what a connection does) and
 * load_run.c (which requests there are, the threads and their clocks). */
#pragma once

#include <pthread.h>

#include "load.h"
#include "message.h"

#define NS_PER_S         1000000000ULL
#define FAILURES_ALLOWED 50 /* transport errors in a row before a thread gives up */

enum conn_state { CONN_CLOSED, CONN_CONNECTING, CONN_IDLE, CONN_SENDING, CONN_WAITING, CONN_FINISHED };

struct conn {
    int fd;
    enum conn_state state;
    unsigned number; /* over all threads */
    bool fresh;      /* no reply has come over this connection yet */
    bool pending;    /* a request is prepared and not answered: it goes out when connected */
    bool watches_out;
    bool got_bytes, wrong_body;
    enum load_op op;
    uint64_t key;
    uint64_t started; /* ns */
    uint64_t due;     /* paced: when it should have been sent, ns; 0: not paced */
    uint64_t body_at; /* bytes of the reply's body seen */
    size_t head_len;
    size_t body_len;
    size_t sent;
    unsigned body_index;
    struct message reply;
    char error[512]; /* start of the body of a reply other than 2xx */
    size_t error_len;
    unsigned char *exists; /* mixed: which of its own keys are there */
    uint64_t own_keys;
    char head[2048 + 2200];
};

struct run {
    const struct load_options *options;
    const struct load_bodies *bodies;
    _Atomic uint64_t next; /* tickets handed out */
    _Atomic bool error_shown;
    uint64_t deadline; /* ns, 0: none */
};

struct worker {
    pthread_t thread;
    struct run *run;
    struct load_builder builder;
    struct load_tally tally;
    struct conn *conns;
    unsigned count;
    unsigned finished;
    unsigned failures; /* in a row */
    bool failed;
    int epoll;
    int timer;
    uint64_t credits;   /* paced: requests that are due */
    uint64_t due, step; /* paced: when the next one is due, and the time between two, ns */
    uint64_t random;
    char buffer[65536];
};

extern const char *const load_methods[LOAD_OPS];

/* Writes the connection's next request and marks it pending. False when there is none left. In load_run.c. */
bool worker_prepare(struct worker *w, struct conn *c);

void conn_open(struct worker *w, struct conn *c);
void conn_event(struct worker *w, struct conn *c, uint32_t events);

/* The connection is open and idle: sends what is pending, or prepares and sends what is due. */
void conn_go_on(struct worker *w, struct conn *c);

/* The request on this connection gets no reply; `why` is shown once in a run. The thread's loop opens it
 * again. */
void conn_fail(struct worker *w, struct conn *c, const char *why);

/* No request is left for this connection. */
void conn_finish(struct worker *w, struct conn *c);
