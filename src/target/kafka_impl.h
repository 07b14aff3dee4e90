/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files that make up kafka: the instance, its producer, and the messages that are with it.
 *
 * A message outlives its place. Whatever makes the core give an event up for now (a deadline, a lost connection, no broker
 * there), the library may still hold it, or a broker may already have it: sent once more beside that, the older copy could
 * arrive behind a later event of the same key. So the message stays with the producer, which sends it again under the same
 * sequence number until the brokers answer or MESSAGE_MS are over; when the core hands over the same event again (the same
 * sequencer), it takes the place of the message that is under way, or the answer that has come meanwhile. And the producer
 * stays the same while a message may have arrived unseen: when it gives one up, it raises its epoch, and brokers refuse
 * what still comes from before that. */
#ifndef BELFRY_TARGET_KAFKA_IMPL_H
#define BELFRY_TARGET_KAFKA_IMPL_H

#include <rdkafka.h>
#include <stdatomic.h>

#include "target/dial.h"
#include "target/kafka.h"

#define KAFKA_CONNECT_MS 5000
/* How long an event waits for its answer before the core hears that there is none. The library's own times are in
 * kafka_conf.c; of a connection that is dead it knows before this. */
#define KAFKA_ANSWER_MS 25000
#define KAFKA_DOWN_MS   1500 /* so long may every broker be away, before events under way count as failed */
#define KAFKA_MESSAGES  (4 * KAFKA_PLACES)

enum kafka_message_state {
    KAFKA_FREE,
    KAFKA_UNDER_WAY, /* with the library */
    KAFKA_ARRIVED,   /* confirmed after its place was given up */
};
struct kafka_message {
    enum kafka_message_state state;
    int place;    /* -1: its place was given up */
    uint64_t seq; /* of the event */
    size_t size;
};

struct kafka_place {
    bool used, judged, waits; /* waits: not with the library yet */
    const struct event_ref *ev;
    struct kafka_message *message;
    int64_t begun_ms, deadline_ms;
    struct send_done done;
};

struct kafka {
    const struct kafka_conf *conf;
    char *id;
    char label[64]; /* "kafka:primary", for the log */
    struct kafka_names names;
    struct kafka_brokers brokers;
    struct buf ca; /* PEM of the system's certificates and ours, ends in NUL; empty: the system's alone */
    struct dialer dialer;
    int wake_fd; /* an eventfd: somebody wakes us, or the library has something to tell */
    _Atomic bool woken;
    _Atomic int64_t hasten_ms;

    rd_kafka_t *rk; /* NULL: not connected */
    rd_kafka_topic_t *topic;
    rd_kafka_queue_t *queue;
    bool spoilt;       /* the producer is of no use any more: fatal error, login, TLS */
    bool doubt;        /* a message may have arrived that counts as failed: no other producer now */
    int64_t down_ms;   /* since when no broker is there; 0: one is */
    char trouble[240]; /* what the library said last that goes wrong, explained; "": nothing */

    struct kafka_place places[KAFKA_PLACES];
    unsigned n_waits;
    unsigned judged[KAFKA_PLACES]; /* places that wait for poll */
    size_t n_judged;
    int64_t look_ms; /* no place's time is over before, unless something happens */
    struct kafka_message messages[KAFKA_MESSAGES];
    unsigned n_under_way, n_placeless, next_message;
    size_t bytes_under_way;
    const struct kafka_message *alone; /* the one that nothing else was under way with; NULL: none */
    size_t room; /* how many bytes may be under way together; after a batch that was refused less */
    unsigned oks_in_room;
    struct buf key, value;
};

/* --- kafka_conf.c: from settings to the library's */
bool kafka_check(const void *conf, struct err *e);
/* Fills the library's configuration. False and err, without secrets. */
bool kafka_configure(const struct kafka *k, rd_kafka_conf_t *c, struct err *e);
/* The certificates that are to be trusted, into k->ca. */
void kafka_trust(struct kafka *k);

/* --- kafka_open.c: life of the instance and of its producer */
void *kafka_open(const void *conf, const char *id, struct err *e);
bool kafka_connect(void *self, int64_t deadline_ms, struct err *e);
bool kafka_idle(void *self, int64_t deadline_ms, struct err *e);
void kafka_hasten(void *self, int64_t deadline_ms);
void kafka_disconnect(void *self);
void kafka_close(void *self);

/* --- kafka_send.c: messages */
void kafka_begin(void *self, unsigned place, const struct event_ref *ev, int64_t deadline_ms);
size_t kafka_poll(void *self, struct send_done *done, int64_t until_ms);
void kafka_wake(void *self);
/* Takes what the library has to tell: delivery reports, troubles. */
void kafka_serve(struct kafka *k);
/* Every event loses its place; messages stay with the producer. */
void kafka_give_up_places(struct kafka *k);
/* The producer is gone, and what was under way with it. */
void kafka_forget_messages(struct kafka *k);
#define KAFKA_ROOM ((size_t)64 << 20)

#endif
