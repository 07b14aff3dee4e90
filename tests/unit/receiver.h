/* SPDX-License-Identifier: Apache-2.0
 *
 * A receiver of events inside the test, which behaves as the event's key asks: "b/500-x" is answered 500. It remembers
 * every request. One of webhooks (receiver.c), and one for each protocol of a broker (receiver_PROTOCOL.c). */
#ifndef BELFRY_TESTS_RECEIVER_H
#define BELFRY_TESTS_RECEIVER_H

#include "base/buf.h"
#include "base/thread.h"

#define RECEIVER_CONNECTIONS 256
#define RECEIVER_REQUESTS    4096

struct receiver;
struct visit { /* one connection */
    struct receiver *r;
    int fd;
    uint64_t published, size,
        sequencer; /* publishes so far (webhook: requests); AMQP: body and number of the one at hand */
    size_t n;      /* bytes of the request at hand */
    uint64_t late; /* MQTT: waits for its acknowledgement; 0: none */
};
struct protocol {
    /* Bytes of the whole request that `in` begins with; 0: not whole yet. */
    size_t (*complete)(struct buf *in);
    /* Plays the reply to the request, which ends in a NUL; false when the connection is to be closed. */
    bool (*answer)(struct visit *v, const char *request);
    /* Says what a server of this kind says first; NULL: nothing. */
    bool (*greet)(struct visit *v);
};

struct receiver {
    const struct protocol *protocol;
    const char *key_type; /* Redis: what TYPE says; NULL: none */
    const char *login;    /* Redis: what AUTH has to bring ("user:password", "password"); NULL: no password */
    _Atomic int entries;  /* Redis: what HLEN says */
    const char *info;     /* NATS: the greeting; NULL: that of a server without login and TLS; "": none */
    int listener;
    unsigned port;
    const struct receiver *elsewhere; /* where "other-307" redirects to */
    pthread_t thread;
    struct mutex mutex;
    struct cond cond;
    bool stop;
    struct {
        int fd;
        pthread_t thread;
        bool open;
    } connection[RECEIVER_CONNECTIONS];
    unsigned n_connections;
    char *request[RECEIVER_REQUESTS]; /* head and body as they came */
    size_t bytes[RECEIVER_REQUESTS];  /* of each */
    unsigned n_requests, n_unasked;
};

void receiver_start(struct receiver *r);
void receiver_start_redis(struct receiver *r);
void receiver_start_amqp(struct receiver *r);
void receiver_start_kafka(struct receiver *r);
void receiver_start_postgres(struct receiver *r);
void receiver_start_postgres_arrays(struct receiver *r); /* whose table may be written to by arrays */
void receiver_start_mysql(struct receiver *r);
void receiver_start_mariadb(struct receiver *r);
void receiver_start_nats(struct receiver *r);
void receiver_start_elastic(struct receiver *r);
void receiver_start_mqtt(struct receiver *r);
void receiver_start_nsq(struct receiver *r);
void receiver_start_as(struct receiver *r, const struct protocol *p);
void receiver_stop(struct receiver *r);
unsigned receiver_requests(struct receiver *r);
/* The first request whose text contains `part`; NULL when there is none. */
const char *receiver_find(struct receiver *r, const char *part);
/* Pieces of answers: bytes; one at a time; over and over; nothing until the peer goes away or the test ends. */
bool receiver_say(int fd, const char *text);
bool receiver_say_slowly(int fd, const char *text);
bool receiver_say_without_end(struct visit *v, const char *begin, const char *piece);
void receiver_hang(struct visit *v);
/* Waits until so many requests have come; false after ten seconds. */
bool receiver_await(struct receiver *r, unsigned n);
/* Waits until so many replies were sent that no request asked for. */
bool receiver_await_unasked(struct receiver *r, unsigned n);

#endif
