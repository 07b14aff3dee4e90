/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files that make up redis: the instance and its connection. */
#ifndef BELFRY_TARGET_REDIS_IMPL_H
#define BELFRY_TARGET_REDIS_IMPL_H

#include <hiredis.h>
#include <openssl/ssl.h>
#include <stdatomic.h>

#include "target/dial.h"
#include "target/redis.h"

#define REDIS_REPLY_MAX (64u << 10) /* of what is not understood yet */
#define REDIS_REPLIES   2
/* Bytes of one command, but for its last event: a whole batch is one, so that none is taken in part. After a failure less,
 * in case it was too much for a Redis with small buffers. */
#define REDIS_CHUNK       (8u << 20)
#define REDIS_CHUNK_SMALL (256u << 10)
#define REDIS_CONNECT_MS  5000
#define REDIS_ANSWER_MS   30000

struct redis {
    const struct redis_conf *conf;
    char *id;
    char label[64]; /* "redis:primary", for the log */
    struct target_address address;
    struct redis_names names;
    struct dialer dialer;
    redisContext *c; /* NULL: not connected */
    SSL *ssl;        /* of c; NULL: plain */
    bool cut;        /* the peer closed the connection, or spoke something else */
    int64_t entries; /* of the hash, as last seen; 0: none or unknown */
    _Atomic int64_t hasten_ms;
    struct meanwhile meanwhile;
    /* the command at hand: two arguments, then a field and a value for each event */
    const char *argv[2 + 2 * PLAN_MAX_BATCH];
    size_t argvlen[2 + 2 * PLAN_MAX_BATCH], at[2 + 2 * PLAN_MAX_BATCH];
    struct buf bytes; /* of fields and values */
    size_t chunk;     /* how many bytes they may be */
    struct plan_step steps[PLAN_MAX_BATCH];
};

/* --- redis_open.c: instance and login */
bool redis_check(const void *conf, struct err *e);
void *redis_open(const void *conf, const char *id, struct err *e);
bool redis_connect(void *self, int64_t deadline_ms, struct err *e);
bool redis_idle(void *self, int64_t deadline_ms, struct err *e);
void redis_hasten(void *self, int64_t deadline_ms);
void redis_meanwhile(void *self, struct meanwhile m);
void redis_disconnect(void *self);
void redis_close(void *self);
struct patience redis_patience(struct redis *r, int64_t deadline_ms, int64_t most_ms);
/* Has the hash lost everything since it was last looked at? before: its entries just now; says so in the log. */
void redis_watch(struct redis *r, int64_t before, int64_t after);

/* --- redis_wire.c: bytes to and fro */
/* Writes what was appended to the connection and reads n replies, each the caller's to free. False and err: some are
 * missing (NULL), and the connection is closed, because what might still come would be taken for another's answer. */
bool redis_exchange(struct redis *r, unsigned n, redisReply **replies, const struct patience *p,
                    struct err *e);
/* Before a command: nothing may be there that was not asked for, and the connection must still be. */
bool redis_quiet(struct redis *r, struct err *e);
/* TLS over the connection, before anything else. */
bool redis_handshake(struct redis *r, const struct patience *p, struct err *e);

/* --- redis_send.c */
void redis_send(void *self, const struct event_ref *ev, size_t n, enum send_result *out, int64_t deadline_ms,
                struct err *e);

#endif
