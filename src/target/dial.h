/* SPDX-License-Identifier: Apache-2.0
 *
 * TCP connections that keep a deadline, the look-up of the name included: for targets whose library would block in either.
 * Nothing here waits longer than its patience. */
#ifndef BELFRY_TARGET_DIAL_H
#define BELFRY_TARGET_DIAL_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/err.h"

/* How long a call may still take: the deadline it was given, or an earlier one that another thread sets meanwhile (hasten
 * of target.h). Steady ms. */
struct patience {
    int64_t deadline_ms;
    const _Atomic int64_t *hasten_ms; /* NULL: nobody hastens */
};
/* Milliseconds left; 0 or less: none. */
int64_t patience_left(const struct patience *p);
/* Waits until fd is ready for `events` (poll's) or has failed; false when the time is over before. */
bool patience_poll(const struct patience *p, int fd, short events);

/* The look-ups of one target. One that outlasts its deadline goes on in a thread of its own, and the next dial to the same
 * place takes its result: so at most one hangs at a time. */
struct dialer {
    struct lookup *pending;
};
/* A connected socket: non-blocking, close-on-exec, without Nagle's delay, with keep-alive; the caller closes it. -1 and err
 * (which does not name the host). port: decimal. Addresses are tried in the resolver's order, each for its share of the
 * time. */
int dial(struct dialer *d, const char *host, const char *port, const struct patience *p, struct err *e);
struct addrinfo;
/* Only the look-up, for libraries that connect by themselves: the addresses of a host in the resolver's order, the caller's
 * to free with freeaddrinfo. NULL and err (which does not name the host). */
struct addrinfo *dialer_resolve(struct dialer *d, const char *host, const char *port,
                                const struct patience *p, struct err *e);
/* Lets go of a look-up that still hangs. */
void dialer_release(struct dialer *d);

#endif
