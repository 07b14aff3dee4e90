/* SPDX-License-Identifier: Apache-2.0
 *
 * An NSQ target and an nsqd that is the test itself, step by step, on the thread that calls the target. What takes too long fails
 * the test. */
#ifndef BELFRY_TESTS_NSQ_HELP_H
#define BELFRY_TESTS_NSQ_HELP_H

#include "unit.h"

#include "base/clock.h"
#include "base/thread.h"
#include "target/nsq.h"

#define PLACES   NSQ_MAX_BATCH
#define COMMAND  (NSQ_MAX_BATCH / 2)
#define PATIENCE 20000 /* ms; what does not come by then never does */
#define EVENTS   20000

struct rig {
    int listener, fd; /* of nsqd; fd -1: nobody is connected */
    struct buf in;    /* what came */
    char address[32];
    struct nsq_conf conf;
    void *self;

    struct event_ref ev[PLACES];
    char why[PLACES][SEND_WHY], record[PLACES][32];
    unsigned number[PLACES]; /* of the event in the place */
    bool out[PLACES];
    int64_t deadline_ms;
    char *padding; /* of `padded` bytes: events are that large */
    size_t padded;

    unsigned n_begun, n_done, n_out;
    enum send_result result[EVENTS]; /* by number */
    bool done[EVENTS];
    char reason[SEND_WHY]; /* of the last that was not OK */
    struct send_done at_once[PLACES];
};

struct command {
    char name[8];
    unsigned n, number[PLACES];
    size_t bytes; /* of its body */
};

/* Connected. buffer: bytes that nsqd's socket takes; 0: as the system has it. */
struct rig *rig_with(int buffer);
void rig_close(struct rig *g);
/* port 0: any. */
int listen_on(unsigned port, int buffer);

/* --- what nsqd does */
void say(struct rig *g, unsigned kind, const char *text);
/* OK, and behind it what comes in the same piece. */
void say_two(struct rig *g, unsigned kind, const char *text);
void say_bytes(struct rig *g, struct str bytes);
void put_frame(struct buf *b, unsigned kind, const char *text);
void hang_up(struct rig *g);
/* An error, which ends the connection. */
void refuse(struct rig *g, const char *text);
/* Reads what has come, after some ms at most; false: nothing, or the end. */
bool hear(struct rig *g, int ms);
/* A command that is there; one that comes without a step of the target. */
bool take_some(struct rig *g, struct command *c);
bool take_in_time(struct rig *g, struct command *c);

/* --- what the target does */
/* One poll; every event has one outcome. */
size_t poll_until(struct rig *g, int64_t until_ms);
size_t step(struct rig *g);
/* Hands over n events, numbered on. */
void begin(struct rig *g, unsigned n);
void connect_rig(struct rig *g);

/* --- while the target goes on */
/* The next command; one of that name; one of the events from that number on. */
void take(struct rig *g, struct command *c);
void take_named(struct rig *g, struct command *c, const char *name);
void take_events(struct rig *g, unsigned from, unsigned n);
/* The target has had its chance to say more, and has not. */
void take_nothing(struct rig *g);
/* Until so many events have an outcome. */
void await_done(struct rig *g, unsigned n);
void assert_results(const struct rig *g, unsigned from, unsigned n, enum send_result r);
/* The connection that the target makes by itself; with its login. */
void accept_one(struct rig *g);
void welcome_again(struct rig *g);

#endif
