/* SPDX-License-Identifier: Apache-2.0
 *
 * Names are looked up in a thread, because getaddrinfo has no deadline; connecting is done without blocking. */
#include "target/dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"

#define SLICE_MS 100 /* how soon a hastened call notices */

int64_t patience_left(const struct patience *p)
{
    int64_t until = p->hasten_ms ? atomic_load(p->hasten_ms) : INT64_MAX;
    return (until < p->deadline_ms ? until : p->deadline_ms) - clock_mono_ms();
}

bool patience_poll(const struct patience *p, int fd, short events)
{
    struct pollfd f = {.fd = fd, .events = events};
    for (;;) {
        int64_t left = patience_left(p);
        int n = poll(&f, 1, (int)(left < 0 ? 0 : left < SLICE_MS ? left : SLICE_MS));
        if (n > 0)
            return true;
        if (left <= 0 && n == 0)
            return false;
    }
}

/* --- names -------------------------------------------------------------------------------------------------------- */

/* Shared by the dialer and the thread; the last of the two frees it. */
struct lookup {
    _Atomic int refs;
    _Atomic bool done;
    int fd; /* an eventfd: becomes readable with the result */
    char *host, *port;
    struct addrinfo *found;
    int error; /* of getaddrinfo */
};

static void lookup_unref(struct lookup *l)
{
    if (atomic_fetch_sub(&l->refs, 1) > 1)
        return;
    if (l->found)
        freeaddrinfo(l->found);
    (void)close(l->fd);
    free(l->host);
    free(l->port);
    free(l);
}

static int resolve(const char *host, const char *port, int flags, struct addrinfo **found)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags};
    return getaddrinfo(host, port, &hints, found);
}

static void *lookup_run(void *arg)
{
    struct lookup *l = arg;
    l->error = resolve(l->host, l->port, AI_NUMERICSERV | AI_ADDRCONFIG, &l->found);
    atomic_store(&l->done, true);
    uint64_t one = 1;
    ssize_t n = write(l->fd, &one, sizeof(one));
    BUG_ON(n != sizeof(one));
    lookup_unref(l);
    return NULL;
}

static struct lookup *lookup_start(const char *host, const char *port, struct err *e)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) {
        (void)err_errno(e, "the name cannot be looked up");
        return NULL;
    }
    struct lookup *l = x_calloc(1, sizeof(*l));
    l->fd = fd;
    l->host = x_strdup(host);
    l->port = x_strdup(port);
    atomic_store(&l->refs, 2);
    pthread_t t = thread_start("lookup", lookup_run, l);
    (void)pthread_detach(t);
    return l;
}

void dialer_release(struct dialer *d)
{
    if (d->pending)
        lookup_unref(d->pending);
    d->pending = NULL;
}

struct addrinfo *dialer_resolve(struct dialer *d, const char *host, const char *port,
                                const struct patience *p, struct err *e)
{
    struct addrinfo *found = NULL;
    if (resolve(host, port, AI_NUMERICHOST | AI_NUMERICSERV, &found) == 0)
        return found;
    if (d->pending && (strcmp(d->pending->host, host) != 0 || strcmp(d->pending->port, port) != 0))
        dialer_release(d);
    if (!d->pending && !(d->pending = lookup_start(host, port, e)))
        return NULL;
    struct lookup *l = d->pending;
    if (!patience_poll(p, l->fd, POLLIN)) {
        (void)err_set(e, "its name is not resolved in time");
        return NULL;
    }
    BUG_ON(!atomic_load(&l->done));
    found = l->found;
    l->found = NULL;
    if (l->error)
        (void)err_set(e, "its name cannot be resolved: %s", gai_strerror(l->error));
    dialer_release(d);
    return found;
}

/* --- connections -------------------------------------------------------------------------------------------------- */

static void prepare(int fd)
{
    int on = 1, idle = 30, interval = 10, probes = 3;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

static int connect_to(const struct addrinfo *a, const struct patience *p, struct err *e)
{
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);
    if (fd < 0) {
        (void)err_errno(e, "no socket");
        return -1;
    }
    prepare(fd);
    int error = connect(fd, a->ai_addr, a->ai_addrlen) == 0 ? 0 : errno;
    if (error == EINPROGRESS) {
        socklen_t n = sizeof(error);
        if (!patience_poll(p, fd, POLLOUT))
            error = ETIMEDOUT;
        else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0)
            error = errno;
    }
    if (error == 0)
        return fd;
    (void)close(fd);
    errno = error;
    (void)err_errno(e, "cannot connect");
    return -1;
}

int dial(struct dialer *d, const char *host, const char *port, const struct patience *p, struct err *e)
{
    struct addrinfo *all = dialer_resolve(d, host, port, p, e);
    int fd = -1, left = 0;
    for (struct addrinfo *a = all; a; a = a->ai_next)
        left++;
    for (struct addrinfo *a = all; a && fd < 0; a = a->ai_next, left--) {
        int64_t now = clock_mono_ms(), span = patience_left(p);
        struct patience share = {now + (span > 0 ? span / left : 0), p->hasten_ms};
        fd = connect_to(a, &share, e);
    }
    if (all)
        freeaddrinfo(all);
    return fd;
}
