/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files that make up webhook: the instance and its handles. */
#ifndef BELFRY_TARGET_WEBHOOK_IMPL_H
#define BELFRY_TARGET_WEBHOOK_IMPL_H

#include <stdatomic.h>

#include "target/http.h"
#include "target/http_reply.h"
#include "target/webhook.h"

#define WEBHOOK_IN_FLIGHT 32
#define WEBHOOK_RECORDS   64  /* in a POST with batch=on */
#define WEBHOOK_PLACES    512 /* events handed over with batch=on */
#define WEBHOOK_NOBODY    WEBHOOK_PLACES

struct webhook;
struct hook_place { /* one event that was handed over */
    enum { HOOK_FREE, HOOK_WAITS, HOOK_OUT, HOOK_JUDGED } state;
    const struct event_ref *ev;
    int64_t deadline_ms;
    unsigned most, next;   /* records in a POST that it rides in; who waits behind it */
    struct send_done done; /* HOOK_JUDGED: its outcome, which waits for poll */
};
struct plain_link { /* a connection of our own, where none of what libcurl knows beyond that is needed */
    CURL *dial;     /* makes it */
    bool dialing;   /* libcurl has `dial` */
    int fd;         /* -1: not connected */
    bool used;      /* it was kept since an earlier request */
    int64_t idle_since_ms;
    struct buf head;
    size_t out;    /* bytes of head and body that are sent */
    bool cut;      /* the peer takes no more of them */
    bool answered; /* it has said 2xx already, and gets the rest of them */
    struct http_reply reply;
};
struct flight { /* one easy handle */
    struct webhook *hook;
    CURL *easy;
    struct buf body;
    unsigned place[WEBHOOK_RECORDS], n; /* the events in it */
    int64_t deadline_ms;                /* the earliest of theirs */
    bool busy;                          /* it is under way */
    bool by_curl;                       /* and libcurl has it, all of it */
    unsigned redirects,
        unasked;            /* unasked: connections given up because something was there before the request */
    char *url;              /* where a redirect led; NULL: the endpoint */
    struct curl_slist *own; /* header lines of this event alone, before those of all */
    size_t head_bytes, reply_bytes;
    bool head_done; /* libcurl takes a head that is cut short for a whole one */
    bool reply_cut; /* by us, because it would not end */
    int64_t retry_after_ms;
    char error[CURL_ERROR_SIZE];
    struct plain_link link;
};
struct webhook {
    const struct webhook_conf *conf;
    char *id, *shown;
    struct curl_slist *headers, *bare_headers; /* with and without Authorization */
    CURLM *multi;
    unsigned n_multi; /* transfers and dials that libcurl has */
    struct buf plain_start,
        plain_lines; /* of every request over our own connections: its first lines, and those behind
                                            its own; empty: there are no such connections */
    struct flight flight[WEBHOOK_IN_FLIGHT];
    struct hook_place places[WEBHOOK_PLACES];
    unsigned n_places, first, last; /* those in use; of those that wait, WEBHOOK_NOBODY: none does */
    unsigned most;                  /* records in a POST now: fewer after one that failed */
    size_t most_bytes;              /* fewer after one that was too large */
    bool proven;                    /* something was answered since the connect */
    struct socket_of {              /* of libcurl's connections, idle ones too */
        int fd, port;               /* port: ours; 0: not known yet */
        bool used;                  /* a request was sent over it */
    } * socks;
    size_t n_socks, cap_socks;
    int wake_fd; /* an eventfd */
    struct http_trust trust;
    _Atomic int64_t hasten_ms;
};

/* --- webhook_open.c */
bool webhook_check(const void *conf, struct err *e);
void *webhook_open(const void *conf, const char *id, struct err *e);
void webhook_disconnect(void *self);
void webhook_close(void *self);
/* An easy handle with everything set that stays the same; NULL when libcurl gives none. The caller's to clean up. */
CURL *webhook_prepare(struct webhook *w, struct flight *f);

/* --- webhook_send.c */
bool webhook_connect(void *self, int64_t deadline_ms, struct err *e);
void webhook_begin(void *self, unsigned place, const struct event_ref *ev, int64_t deadline_ms);
size_t webhook_poll(void *self, struct send_done *done, int64_t until_ms);
/* Its own header lines are forgotten. */
void webhook_drop_own(struct flight *f);
void webhook_hasten(void *self, int64_t deadline_ms);

/* The reason of a failure, in words for the operator; by: the handle that failed. */
void webhook_explain(struct flight *f, CURL *by, CURLcode code, char why[SEND_WHY]);
/* The flight's reply has come. location: where a redirect leads, NULL: nowhere. */
void webhook_replied(struct webhook *w, struct flight *f, long status, const char *location);

/* --- webhook_wait.c */
void webhook_wake(void *self);
void webhook_hasten(void *self, int64_t deadline_ms);
int64_t webhook_time_left(struct webhook *w, int64_t deadline_ms);
void webhook_set_times(struct webhook *w, CURL *c, int64_t deadline_ms);
/* Goes on with what is under way until something happened, at most until the deadline; false when that is over, somebody
 * woke us (may_wake), or libcurl gives up. */
bool webhook_run(struct webhook *w, bool may_wake, int64_t deadline_ms);
/* libcurl has the flight's transfer no more. */
void webhook_land(struct webhook *w, struct flight *f);
/* The flight is given up, with its connection. */
void webhook_drop(struct webhook *w, struct flight *f);

/* --- webhook_plain.c */
/* Does the endpoint need nothing but TCP and HTTP (no TLS, no proxy, no login)? Then plain_start and plain_lines are set. */
void webhook_plain_init(struct webhook *w);
/* False when libcurl gives no handle. */
bool webhook_plain_open(struct webhook *w, struct flight *f);
/* The request in f->body goes to the endpoint; it is busy then, or has its outcome already. */
void webhook_plain_launch(struct webhook *w, struct flight *f);
/* Its dial has ended. */
void webhook_plain_dialed(struct webhook *w, struct flight *f, CURLcode code);
/* What to wait for on its connection, events of poll(2); 0: nothing. And goes on when that is there. */
short webhook_plain_awaits(const struct flight *f);
void webhook_plain_go(struct webhook *w, struct flight *f);
/* Closes its connection. */
void webhook_plain_hang_up(struct webhook *w, struct flight *f);
void webhook_plain_close(struct webhook *w, struct flight *f);

/* --- webhook_batch.c */
unsigned webhook_places(const void *conf);
void webhook_batch_init(struct webhook *w);
void webhook_forget_places(struct webhook *w);
/* An event comes into a free place, and waits for a handle. */
void webhook_wait(struct webhook *w, unsigned place, const struct event_ref *ev, int64_t deadline_ms);
/* Those of them whose deadline is not behind `now_ms` get RETRY. */
void webhook_give_up_waiting(struct webhook *w, int64_t now_ms, const char *why);
/* The next POST into a handle that is free: its events, its body. False: nobody waits. */
bool webhook_gather(struct webhook *w, struct flight *f);
/* The POST was refused: its events wait again, to be sent in halves. too_large: so are later ones of its size. False: it is
 * one event. */
bool webhook_split(struct webhook *w, struct flight *f, bool too_large);
/* The answer is that of all events in it. */
void webhook_judge(struct webhook *w, struct flight *f, enum send_result r, const char *why,
                   int64_t retry_after_ms);
size_t webhook_take_judged(struct webhook *w, struct send_done *done);

/* --- webhook_sockets.c */
/* Sockets of the handle's connections are made known to the webhook, and no request goes over one on which something came
 * that was not asked for: such a transfer ends with CURLE_ABORTED_BY_CALLBACK, nothing was sent, f->unasked is raised. */
void webhook_watch_sockets(struct webhook *w, struct flight *f, CURL *c);

#endif
