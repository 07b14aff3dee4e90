/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files that make up nsq: the instance, its connection, and the events that are out. */
#ifndef BELFRY_TARGET_NSQ_IMPL_H
#define BELFRY_TARGET_NSQ_IMPL_H

#include <stdatomic.h>

#include "target/dial.h"
#include "target/nsq.h"
#include "target/stream.h"

#define NSQ_CONNECT_MS 5000
#define NSQ_ANSWER_MS  30000
#define NSQ_SILENT_MS  25000 /* so long without a heartbeat: it is gone */
/* Bytes of one command, but for its last event. nsqd takes 5 MiB unless it is told otherwise, and then says how much. */
#define NSQ_CHUNK (4u << 20)
/* Commands that are out at once: while nsqd's answer to one is on its way, it has the next. */
#define NSQ_COMMANDS       2
#define NSQ_COMMAND_EVENTS (NSQ_MAX_BATCH / NSQ_COMMANDS)
/* A command needs its own bytes, which are fewer than an event of the largest size with its envelope, or NSQ_CHUNK; and
 * room for one event more, to see that it does not fit. */
#define NSQ_COMMAND_ROOM (3 * NSQ_EVENT_MAX)
#define NSQ_OUT_MAX      (2 * NSQ_EVENT_MAX + NSQ_COMMAND_ROOM)

enum nsq_phase {
    NSQ_DOWN, /* lost, or not connected yet: `lost` says why. Nothing is in the line */
    NSQ_AGAIN, /* nsqd has refused a command for its size, which ends the connection: the next poll connects again */
    NSQ_IDENTIFYING,
    NSQ_SECURING, /* TLS is there, nsqd has to say so */
    NSQ_AUTHENTICATING,
    NSQ_UP,
};

enum nsq_place_state { NSQ_FREE, NSQ_OPEN, NSQ_JUDGED };
struct nsq_place {
    enum nsq_place_state state;
    enum send_result result;
    bool cut; /* its outcome came with the end of the connection */
    const struct event_ref *ev;
    int64_t deadline_ms;
    size_t size; /* of its message, in the last command that it was in */
};

struct nsq_command {
    unsigned n;       /* events */
    uint64_t end;     /* so many bytes are written when it is */
    int64_t until_ms; /* it has to be answered by then */
};

struct nsq {
    const struct nsq_conf *conf;
    char *id;
    char host[256]; /* ours */
    struct target_address address;
    struct nsq_names names;
    struct dialer dialer;
    struct stream stream;
    uint64_t sent;     /* bytes that this connection has taken */
    struct buf answer; /* the data of the last frame */
    int wake_fd;
    _Atomic int64_t hasten_ms;

    enum nsq_phase phase;
    char lost[512];       /* why there is no connection */
    int64_t login_ms;     /* the login has to be over by then */
    uint64_t login_asked; /* where what nsqd is to answer ends, as nsq_command's `end` */
    bool auth_required;

    size_t chunk; /* how many bytes a command may be */
    struct nsq_place place[NSQ_MAX_BATCH];
    /* Places without an outcome, in the order of begin, from `line_at` on, modulo its size. The first `n_out` are in the
     * commands that are out, one after the other. So what has to go again stands where it belongs. */
    unsigned line[NSQ_MAX_BATCH];
    unsigned line_at, n_line, n_out;
    struct nsq_command command[NSQ_COMMANDS];
    unsigned n_commands;
    unsigned judged[NSQ_MAX_BATCH]; /* in the order of their outcomes */
    unsigned n_judged;
    /* Places whose event was refused: told with the next outcome of those that were sent with it. Alone they would look as if
     * nsqd took nothing. */
    unsigned refused[NSQ_MAX_BATCH];
    unsigned n_refused;
    int64_t look_ms; /* no event's time is over before */
};

/* --- nsq_open.c: instance and login */
bool nsq_check(const void *conf, struct err *e);
void *nsq_open(const void *conf, const char *id, struct err *e);
bool nsq_connect(void *self, int64_t deadline_ms, struct err *e);
bool nsq_idle(void *self, int64_t deadline_ms, struct err *e);
void nsq_hasten(void *self, int64_t deadline_ms);
void nsq_disconnect(void *self);
void nsq_close(void *self);
/* Connects and begins the login, which nsq_pump goes on with. What nsqd has said about sizes stays known. */
void nsq_log_in(struct nsq *n, int64_t deadline_ms);
bool nsq_logs_in(const struct nsq *n);
/* nsqd's answer to a step of the login. False: that was the end of it, and of the connection. */
bool nsq_login_answer(struct nsq *n, const struct nsq_frame *answer);

/* --- nsq_wire.c: bytes to and fro */
/* Writes and reads what goes now, and takes the frames that have come; heartbeats are answered. When that ends the
 * connection, `lost` says why. */
void nsq_pump(struct nsq *n);
/* Writes what goes now. */
void nsq_flush(struct nsq *n);
/* How many bytes will be written when all that waits is. */
uint64_t nsq_end(const struct nsq *n);

/* --- nsq_session.c: the events that are out */
/* The i-th of the line. */
struct nsq_place *nsq_in_line(struct nsq *n, unsigned i);
/* Gives their outcome to those that were refused. */
void nsq_tell_refused(struct nsq *n);
void nsq_give_outcome(struct nsq *n, struct nsq_place *p, enum send_result r, const char *why);
/* Those with an outcome leave the line, where they are in no command. */
void nsq_shorten_line(struct nsq *n);
/* The connection is over, and every event that is in the line is to be sent again. */
void nsq_lose(struct nsq *n, const char *why);
/* nsqd's answer to the first command that is out. False: the connection is closed. */
bool nsq_answer(struct nsq *n, const struct nsq_frame *answer);
/* Closes the connection and forgets what is out on it: that waits again. */
void nsq_hang_up(struct nsq *n, enum nsq_phase phase);

/* --- nsq_send.c */
void nsq_begin(void *self, unsigned place, const struct event_ref *ev, int64_t deadline_ms);
size_t nsq_poll(void *self, struct send_done *done, int64_t until_ms);
void nsq_wake(void *self);

#endif
