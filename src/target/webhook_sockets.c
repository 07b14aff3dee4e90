/* SPDX-License-Identifier: Apache-2.0
 *
 * The sockets of a webhook's kept-alive connections. HTTP/1.1 tells replies apart by their order alone: what a receiver says on
 * an idle connection (a reply sent twice, a 400 or 408 before it closes) would be taken for the answer to the next event,
 * which would then count as delivered, or refused, unseen. libcurl 7.88 does not look; so it is looked at here, on the very
 * connection that libcurl has chosen for a request, before its first byte is sent. */
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "target/webhook_impl.h"

static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct webhook *w = arg;
    (void)purpose;
    int fd = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
    if (fd < 0)
        return CURL_SOCKET_BAD;
    if (w->n_socks == w->cap_socks) {
        w->cap_socks = w->cap_socks ? w->cap_socks * 2 : 2 * WEBHOOK_IN_FLIGHT;
        w->socks = x_realloc(w->socks, w->cap_socks * sizeof(*w->socks));
    }
    w->socks[w->n_socks++] = (struct socket_of){.fd = fd};
    return fd;
}

static int on_close(void *arg, curl_socket_t fd)
{
    struct webhook *w = arg;
    size_t i = 0;
    while (i < w->n_socks && w->socks[i].fd != fd)
        i++;
    BUG_ON(i == w->n_socks);
    w->socks[i] = w->socks[--w->n_socks];
    return close(fd);
}

/* Our port of a connection; 0 while there is none. */
static int port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } a;
    socklen_t n = sizeof(a);
    memset(&a, 0, sizeof(a));
    if (getsockname(fd, &a.any, &n) != 0)
        return 0;
    return ntohs(a.any.sa_family == AF_INET6 ? a.v6.sin6_port : a.v4.sin_port);
}

/* The connection is made, or taken up again, and the request comes next. A new one may have something to read: TLS sends
 * its tickets behind the handshake; they are gone with the first reply. Two connections with one port of ours (to different
 * receivers) are both looked at, which costs a new connection at most. */
static int on_chosen(void *arg, char *peer_ip, char *our_ip, int peer_port, int our_port)
{
    struct flight *f = arg;
    struct webhook *w = f->hook;
    bool unasked = false;
    (void)peer_ip;
    (void)our_ip;
    (void)peer_port;
    for (size_t i = 0; i < w->n_socks; i++) {
        struct socket_of *s = &w->socks[i];
        if (s->port == 0)
            s->port = port_of(s->fd);
        if (s->port != our_port)
            continue;
        struct pollfd p = {.fd = s->fd, .events = POLLIN};
        unasked |= s->used && poll(&p, 1, 0) > 0;
        s->used = true;
    }
    f->unasked += unasked;
    return unasked ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK; /* closed; the flight starts again */
}

void webhook_watch_sockets(struct webhook *w, struct flight *f, CURL *c)
{
    curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, w);
    curl_easy_setopt(c, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    curl_easy_setopt(c, CURLOPT_CLOSESOCKETDATA, w);
    curl_easy_setopt(c, CURLOPT_PREREQFUNCTION, on_chosen);
    curl_easy_setopt(c, CURLOPT_PREREQDATA, f);
}
