/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files that make up nsq: the instance and its connection. */
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

struct nsq {
    const struct nsq_conf *conf;
    char *id;
    char host[256]; /* ours */
    struct target_address address;
    struct nsq_names names;
    struct dialer dialer;
    struct stream stream;
    bool cut;          /* nsqd closed the connection without a word */
    struct buf answer; /* the data of the last frame */
    _Atomic int64_t hasten_ms;
    struct meanwhile meanwhile;
    size_t chunk;               /* how many bytes a command may be */
    size_t size[NSQ_MAX_BATCH]; /* of the messages of the batch at hand; 0: not built yet */
};

/* --- nsq_open.c: instance and login */
bool nsq_check(const void *conf, struct err *e);
void *nsq_open(const void *conf, const char *id, struct err *e);
bool nsq_connect(void *self, int64_t deadline_ms, struct err *e);
bool nsq_idle(void *self, int64_t deadline_ms, struct err *e);
void nsq_hasten(void *self, int64_t deadline_ms);
void nsq_meanwhile(void *self, struct meanwhile m);
void nsq_disconnect(void *self);
void nsq_close(void *self);
/* The same within a batch: what nsqd has said about sizes stays known. */
bool nsq_reconnect(struct nsq *n, int64_t deadline_ms, struct err *e);
struct patience nsq_patience(struct nsq *n, int64_t deadline_ms, int64_t most_ms);

/* --- nsq_wire.c: bytes to and fro */
/* Writes what is in `out` and takes the answer, whose data stay valid until the next call; heartbeats are answered on the
 * way. An error frame is an answer, too. False and err: there is none, and the connection is closed, because what might
 * still come would be taken for another's answer. */
bool nsq_exchange(struct nsq *n, struct nsq_frame *answer, const struct patience *p, struct err *e);
/* Answers the heartbeats that have come. False and err, and the connection closed: it is lost, or something else came. */
bool nsq_quiet(struct nsq *n, struct err *e);

/* --- nsq_send.c */
void nsq_send(void *self, const struct event_ref *ev, size_t n, enum send_result *out, int64_t deadline_ms,
              struct err *e);

#endif
