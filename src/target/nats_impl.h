/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files that make up nats: the instance, and its link to the server.
 *
 * cnats makes its connection itself and blocks in that, in TLS and in writes, without a deadline. So a link has a thread
 * that makes the connection, asks for PONGs and ends it; what it connects to is a relay (relay.h), which can be cut. The
 * sender's thread publishes, and otherwise only waits for what the link's thread and cnats' threads hand over. A link that
 * is given up is cut, and its thread clears up alone. */
#ifndef BELFRY_TARGET_NATS_IMPL_H
#define BELFRY_TARGET_NATS_IMPL_H

#include <nats/nats.h>
#include <stdatomic.h>

#include "base/thread.h"
#include "target/dial.h"
#include "target/nats.h"
#include "target/relay.h"

#define NATS_CONNECT_MS  5000
#define NATS_ANSWER_MS   15000 /* for an answer to PING; for an ack */
#define NATS_CLOSE_MS    2000  /* for NATS Streaming to hear that a client leaves */
#define NATS_FLUSH_EVERY 64    /* core: so many events, and PONG is asked for while more are published */
#define NATS_GATHER      128
#define NATS_GATHER_MS   1
#define NATS_NEVER_MS    3600000
#define NATS_ASKED       2048 /* a power of two above the places */
#define NATS_WHY         SEND_WHY
#define NATS_HUNG_UP     "it closed the connection"

enum nats_mode { NATS_CORE, NATS_JETSTREAM, NATS_STREAMING };

enum nats_place_state {
    PLACE_FREE,
    PLACE_QUEUED, /* not published yet: so many acks are awaited already */
    PLACE_OUT,
    PLACE_JUDGED,
};
struct nats_place {
    enum nats_place_state state;
    enum send_result result;
    const struct event_ref *ev;
    int64_t deadline_ms;
    uint64_t serial;      /* of the link: in the order of begin */
    const natsMsg *asked; /* JetStream: the message, alive until it is answered */
};

/* JetStream: a message that was published, in order, as answers come: most of the time it is the first one. */
struct nats_asked {
    const natsMsg *msg; /* NULL: answered */
    unsigned place;
};

enum nats_link_state { LINK_CONNECTING, LINK_UP, LINK_DOWN };

/* Used again and never freed: a callback of an earlier connection that comes late finds a link that knows nothing of its
 * message or connection. */
struct nats_link {
    struct nats_link *next; /* in the pool */
    struct mutex mutex;     /* of all below */
    struct cond cond;       /* the link's thread waits */
    enum nats_link_state state;
    char why[NATS_WHY]; /* it is down: as the library or the server says it */
    bool abandoned;
    bool waiting; /* the sender's thread sleeps, or is about to */
    bool idling;  /* it waits for a PONG alone */
    int wake_fd;  /* a duplicate of the instance's */
    uint64_t serial, published,
        confirmed;             /* of events: the newest one; the newest that is out; PONG came after it */
    uint64_t asked, answered;  /* rounds of PING and PONG */
    unsigned n_out;            /* NATS Streaming: acks awaited */
    unsigned n_open, n_judged; /* places without an outcome; with one that was not collected yet */
    unsigned n_queued;         /* places that are PLACE_QUEUED */
    unsigned enough;           /* outcomes that the sender's thread is woken for */
    int64_t look_ms;           /* no place's time is over before */
    struct nats_place place[NATS_MAX_BATCH];
    unsigned judged[NATS_MAX_BATCH];    /* places with an outcome */
    struct nats_asked asks[NATS_ASKED]; /* from `asks_at` to `asks_end`, modulo its size */
    unsigned asks_at, asks_end;
    const struct nats_names *names; /* while it is not abandoned */

    /* fixed while the thread runs, or its own */
    enum nats_mode mode;
    struct relay *relay;
    natsOptions *options;
    char cluster[256];
    natsConnection *nc;
    jsCtx *js;
    stanConnection *sc;
};

struct nats {
    const struct nats_conf *conf;
    char *id;
    struct target_address address;
    struct nats_names names;
    enum nats_mode mode;
    unsigned max_out; /* NATS Streaming: acks that may be awaited */
    unsigned gather;  /* outcomes that are worth waiting a moment for; 0: none */
    struct dialer dialer;
    int wake_fd; /* an eventfd */
    struct buf body;
    struct mutex mutex;     /* of `link`, for hasten */
    struct nats_link *link; /* NULL: never connected, or disconnected */
    _Atomic int64_t hasten_ms;
};

/* --- nats_open.c: instance, settings, connect */
bool nats_check(const void *conf, struct err *e);
void *nats_open(const void *conf, const char *id, struct err *e);
bool nats_connect(void *self, int64_t deadline_ms, struct err *e);
bool nats_idle(void *self, int64_t deadline_ms, struct err *e);
void nats_hasten(void *self, int64_t deadline_ms);
void nats_disconnect(void *self);
void nats_close(void *self);

/* --- nats_link.c: the link's thread, and what cnats' threads hand over */
/* A fresh link, whose callbacks go into the options; then it is started, or given back. */
struct nats_link *nats_link_new(natsOptions *options);
void nats_link_unused(struct nats_link *l);
/* Begins to connect through the relay: takes over relay and options. wake_fd is duplicated, and written to whenever
 * something has happened that the sender's thread waits for. */
void nats_link_start(struct nats_link *l, enum nats_mode mode, const char *cluster,
                     const struct nats_names *names, struct relay *relay, natsOptions *options, int wake_fd);
/* The caller's last use of it. */
void nats_link_abandon(struct nats_link *l);
/* mutex held. Gives the event in a place its outcome; why NULL: none. */
void nats_judge(struct nats_link *l, struct nats_place *p, enum send_result r, const char *why);
/* mutex held. The link's thread asks the server for a PONG (again). */
void nats_link_ask(struct nats_link *l);
/* mutex held. The message goes out from that place. */
void nats_note_asked(struct nats_link *l, struct nats_place *p, const natsMsg *msg);
/* For jsOptions: the answer to one message. */
void nats_on_js_ack(jsCtx *js, natsMsg *msg, jsPubAck *ack, jsPubAckErr *error, void *link);
/* For stanConnection_PublishAsync: called once for each publish that was taken; frees its ticket. */
struct nats_ticket {
    struct nats_link *link;
    unsigned place;
    uint64_t serial;
};
void nats_on_stan_ack(const char *guid, const char *error, void *ticket);

/* --- nats_send.c */
void nats_begin(void *self, unsigned place, const struct event_ref *ev, int64_t deadline_ms);
size_t nats_poll(void *self, struct send_done *done, int64_t until_ms);
void nats_wake(void *self);

#endif
