/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files that make up nats: the instance, its session, and the events that are out. */
#ifndef BELFRY_TARGET_NATS_IMPL_H
#define BELFRY_TARGET_NATS_IMPL_H

#include <stdatomic.h>

#include "target/dial.h"
#include "target/nats.h"
#include "target/stream.h"

#define NATS_CONNECT_MS 5000
#define NATS_ANSWER_MS  15000 /* for a PONG; for an ack; NATS Streaming: for any of those that are awaited */
#define NATS_AHEAD      (1u << 20)  /* so many bytes wait to be written before more is published */
#define NATS_PIECE      (64u << 10) /* so many, and they are written while more are published */
#define NATS_GATHER     128         /* outcomes that are worth waiting a moment for */
#define NATS_GATHER_MS  1
#define NATS_PINGS      8 /* that may wait for their PONG */

enum nats_mode { NATS_CORE, NATS_JETSTREAM, NATS_STREAMING };

enum nats_phase {
    NATS_CLOSED,
    NATS_GREETING, /* nothing has been said, or INFO came */
    NATS_LOGIN,    /* CONNECT and PING went */
    NATS_JOINING,  /* NATS Streaming: it was asked for a session */
    NATS_UP,
};

enum nats_place_state {
    NATS_FREE,
    NATS_QUEUED, /* not published yet: so many acks are awaited, or bytes wait, already */
    NATS_OUT,
    NATS_JUDGED,
};
struct nats_place {
    enum nats_place_state state;
    enum send_result result;
    const struct event_ref *ev;
    int64_t deadline_ms;
    uint64_t serial; /* in the order of begin; never used again, so that a late answer fits no event */
};

struct nats_ping {
    uint64_t upto; /* the newest event that was published before it */
    int64_t at_ms;
};

struct nats {
    const struct nats_conf *conf;
    char *id;
    struct target_address address;
    struct nats_names names;
    enum nats_mode mode;
    unsigned
        max_out; /* acks that may be awaited: as the settings say, half of it after each time that one came too late */
    struct dialer dialer;
    struct stream stream;
    int wake_fd;
    _Atomic int64_t hasten_ms;

    enum nats_phase phase;
    char lost[SEND_WHY]; /* why there is no session */
    bool greeted;        /* INFO came */
    struct nats_info info;
    char inbox[32]; /* of this session: answers come to INBOX.word */
    struct stan_session stan;
    bool stan_pinged; /* it was asked whether it is there */
    bool forgotten;   /* it was, and does not know this session any more */
    struct nats_ping pings[NATS_PINGS];
    unsigned n_pings;
    int64_t pinged_ms; /* the last one */

    struct buf body, packet, id_text;
    uint64_t serial, published; /* the newest event; the newest that was published */
    uint64_t asked;             /* the newest before the last PING */
    int64_t acked_ms;           /* NATS Streaming: the last ack, or since when any is awaited */
    unsigned n_open, n_out;     /* events without an outcome; those of them that are published */
    size_t written_to;          /* bytes that were there at the last try to write */
    struct nats_place place[NATS_MAX_BATCH];
    unsigned line[NATS_MAX_BATCH]; /* places that are QUEUED, from `line_at` on, modulo its size */
    unsigned line_at, n_line;
    unsigned judged[NATS_MAX_BATCH];
    unsigned n_judged;
    int64_t look_ms; /* no event's time is over before */
};

/* --- nats_open.c: instance, settings, connect */
bool nats_check(const void *conf, struct err *e);
/* How many acks may be awaited with these settings. */
unsigned nats_max_acks(const struct nats_conf *c);
void *nats_open(const void *conf, const char *id, struct err *e);
bool nats_connect(void *self, int64_t deadline_ms, struct err *e);
bool nats_idle(void *self, int64_t deadline_ms, struct err *e);
void nats_hasten(void *self, int64_t deadline_ms);
void nats_disconnect(void *self);
void nats_close(void *self);

/* --- nats_login.c: who we are */
/* CONNECT into the connection's buffer, with the login that the settings name. False and err. */
bool nats_say_connect(struct nats *n, struct err *e);

/* --- nats_session.c: what is said */
/* Writes and reads what goes now, and takes what has come. When that ends the session, `lost` says why. */
void nats_pump(struct nats *n);
/* Writes what goes now. */
void nats_flush(struct nats *n);
/* The session is over: every event that is out is to be sent again. why: what the server or the connection says. */
void nats_lose(struct nats *n, struct str why);
void nats_give_outcome(struct nats *n, struct nats_place *p, enum send_result r, const char *why);
void nats_ping(struct nats *n);
/* To a subject of the session's own: name of one letter. */
struct str nats_inbox(const struct nats *n, char name, char out[40]);

/* --- nats_send.c */
void nats_begin(void *self, unsigned place, const struct event_ref *ev, int64_t deadline_ms);
size_t nats_poll(void *self, struct send_done *done, int64_t until_ms);
void nats_wake(void *self);

#endif
