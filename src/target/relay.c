/* SPDX-License-Identifier: Apache-2.0
 *
 * Two connections and a thread between them. Nothing in it waits for one of them alone. */
#include "target/relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"

#define PIPE_BYTES (128u << 10)
#define LINGER_MS  1000
#define AT_ONCE    8 /* pieces, before it is the other direction's turn */

struct pipe { /* one direction */
    int from, to;
    size_t at, end;   /* of what was read and is not written */
    int64_t since_ms; /* when something moved last */
    char *bytes;
};
struct relay {
    int peer, library, listener, wake_fd;
    _Atomic bool cut;
    _Atomic int64_t limit_ms;
    pthread_t thread;
    struct pipe out, in;
};

static bool would_block(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* Moves some of what can be moved now. False: one of the ends is gone. */
static bool move(struct pipe *p, int64_t now_ms)
{
    for (int i = 0; i < AT_ONCE; i++) {
        if (p->at == p->end) {
            ssize_t n = recv(p->from, p->bytes, PIPE_BYTES, 0);
            if (n <= 0)
                return n < 0 && would_block();
            p->at = 0;
            p->end = (size_t)n;
            p->since_ms = now_ms;
        }
        ssize_t n = send(p->to, p->bytes + p->at, p->end - p->at, MSG_NOSIGNAL);
        if (n <= 0)
            return n < 0 && would_block();
        p->at += (size_t)n;
        p->since_ms = now_ms;
    }
    return true;
}

static short wanted(const struct pipe *p, int fd)
{
    bool full = p->at < p->end;
    return (short)((fd == p->from && !full ? POLLIN : 0) | (fd == p->to && full ? POLLOUT : 0));
}

/* When bytes that lie there have lain too long. */
static int64_t stalled_at(struct relay *r)
{
    int64_t limit = atomic_load(&r->limit_ms), at = INT64_MAX;
    const struct pipe *const both[] = {&r->out, &r->in};
    for (int i = 0; i < 2; i++) {
        const struct pipe *p = both[i];
        int64_t mine = p->since_ms + RELAY_STALL_MS;
        if (p->at < p->end && (mine < limit ? mine : limit) < at)
            at = mine < limit ? mine : limit;
    }
    return at;
}

static void pump(struct relay *r)
{
    r->out = (struct pipe){r->library, r->peer, 0, 0, 0, r->out.bytes};
    r->in = (struct pipe){r->peer, r->library, 0, 0, 0, r->in.bytes};
    while (!atomic_load(&r->cut)) {
        int64_t now = clock_mono_ms();
        /* Both in any case: a peer that takes nothing more may have said why. */
        bool out = move(&r->out, now), in = move(&r->in, now);
        if (!out || !in)
            return;
        int64_t until = stalled_at(r);
        if (until <= now)
            return;
        struct pollfd fds[] = {
            {.fd = r->wake_fd, .events = POLLIN},
            {.fd = r->library, .events = (short)(wanted(&r->out, r->library) | wanted(&r->in, r->library))},
            {.fd = r->peer, .events = (short)(wanted(&r->out, r->peer) | wanted(&r->in, r->peer))}};
        (void)poll(fds, 3, until == INT64_MAX ? -1 : (int)(until - now) + 1);
        uint64_t count;
        if (fds[0].revents && read(r->wake_fd, &count, sizeof(count)) < 0)
            return;
        /* A connection that has failed while nothing is wanted of it: there is nobody to hand to any more. */
        if (((fds[1].revents | fds[2].revents) & (POLLERR | POLLHUP)) &&
            !((fds[1].revents | fds[2].revents) & (POLLIN | POLLOUT)))
            return;
    }
}

static int accept_one(struct relay *r)
{
    struct pollfd fds[] = {{.fd = r->wake_fd, .events = POLLIN}, {.fd = r->listener, .events = POLLIN}};
    int fd = -1, on = 1;
    while (fd < 0 && !atomic_load(&r->cut)) {
        (void)poll(fds, 2, -1);
        if (!fds[1].revents)
            break;
        fd = accept4(r->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    }
    if (fd >= 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

/* The peer is gone, and may have said why. The library is not to stumble over a write before it has read that: so its bytes
 * are still taken until it has closed its end. */
static void linger(struct relay *r)
{
    int64_t until = clock_mono_ms() + LINGER_MS, now;
    (void)shutdown(r->library, SHUT_WR);
    while (!atomic_load(&r->cut) && (now = clock_mono_ms()) < until) {
        struct pollfd fds[] = {{.fd = r->wake_fd, .events = POLLIN}, {.fd = r->library, .events = POLLIN}};
        (void)poll(fds, 2, (int)(until - now));
        if (recv(r->library, r->out.bytes, PIPE_BYTES, 0) <= 0 && !would_block())
            return;
    }
}

static void *run(void *arg)
{
    struct relay *r = arg;
    r->library = accept_one(r);
    (void)close(r->listener);
    if (r->library >= 0) {
        pump(r);
        linger(r);
        (void)close(r->library);
    }
    (void)close(r->peer);
    return NULL;
}

static int listen_here(unsigned *port, struct err *e)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&a, n) == 0 && listen(fd, 1) == 0 &&
        getsockname(fd, (struct sockaddr *)&a, &n) == 0) {
        *port = ntohs(a.sin_port);
        return fd;
    }
    (void)err_errno(e, "no port of this machine to hand on from");
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

struct relay *relay_open(int fd, unsigned *port, struct err *e)
{
    int listener = listen_here(port, e), wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (listener < 0 || wake_fd < 0) {
        if (listener >= 0) {
            (void)err_errno(e, "no eventfd");
            (void)close(listener);
        }
        if (wake_fd >= 0)
            (void)close(wake_fd);
        (void)close(fd);
        return NULL;
    }
    struct relay *r = x_calloc(1, sizeof(*r));
    *r = (struct relay){.peer = fd, .library = -1, .listener = listener, .wake_fd = wake_fd};
    r->out.bytes = x_malloc(PIPE_BYTES);
    r->in.bytes = x_malloc(PIPE_BYTES);
    atomic_store(&r->limit_ms, INT64_MAX);
    r->thread = thread_start("relay", run, r);
    return r;
}

static void wake(struct relay *r)
{
    uint64_t one = 1;
    ssize_t n = write(r->wake_fd, &one, sizeof(one));
    (void)n;
}

void relay_cut(struct relay *r)
{
    atomic_store(&r->cut, true);
    wake(r);
}

void relay_limit(struct relay *r, int64_t at_ms)
{
    atomic_store(&r->limit_ms, at_ms);
    wake(r);
}

void relay_close(struct relay *r)
{
    relay_cut(r);
    thread_join(r->thread);
    (void)close(r->wake_fd);
    free(r->out.bytes);
    free(r->in.bytes);
    free(r);
}
