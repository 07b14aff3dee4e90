/* SPDX-License-Identifier: Apache-2.0
 *
 * A receiver of webhooks inside the test, which behaves as the event's key asks: "b/500-x" is answered 500. It remembers
 * every request. */
#ifndef BELFRY_TESTS_RECEIVER_H
#define BELFRY_TESTS_RECEIVER_H

#include "base/buf.h"
#include "base/thread.h"

#define RECEIVER_CONNECTIONS 256
#define RECEIVER_REQUESTS    4096

struct receiver {
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
    unsigned n_requests, n_unasked;
};

void receiver_start(struct receiver *r);
void receiver_stop(struct receiver *r);
unsigned receiver_requests(struct receiver *r);
/* The first request whose text contains `part`; NULL when there is none. */
const char *receiver_find(struct receiver *r, const char *part);
/* Waits until so many requests have come; false after ten seconds. */
bool receiver_await(struct receiver *r, unsigned n);
/* Waits until so many replies were sent that no request asked for. */
bool receiver_await_unasked(struct receiver *r, unsigned n);

#endif
