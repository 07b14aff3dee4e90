/* SPDX-License-Identifier: Apache-2.0
 *
 * The sockets of a webhook's kept-alive connections. HTTP/1.1 tells replies apart by their order alone: what a receiver says on
 * an idle connection (a reply sent twice, a 400 or 408 before it closes) would be taken for the answer to the next event,
 * which would then count as delivered, or refused, unseen. libcurl 7.88 does not look; so it is looked at here before each
 * batch, when every connection is idle. */
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
    w->socks[w->n_socks++] = (struct pollfd){.fd = fd, .events = POLLIN};
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

void webhook_watch_sockets(struct webhook *w, CURL *c)
{
    curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, w);
    curl_easy_setopt(c, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    curl_easy_setopt(c, CURLOPT_CLOSESOCKETDATA, w);
}

void webhook_drop_unasked(struct webhook *w)
{
    if (w->n_socks == 0 || poll(w->socks, w->n_socks, 0) <= 0)
        return;
    for (size_t i = 0; i < w->n_socks; i++)
        if (w->socks[i].revents) /* libcurl finds it dead then, and dials again */
            (void)shutdown(w->socks[i].fd, SHUT_RDWR);
}
