/* SPDX-License-Identifier: Apache-2.0
 *
 * Listening sockets and accepting. The first I/O thread accepts and hands connections out in turn. No SO_REUSEPORT: a
 * second server on the port must fail. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "http/conn.h"

#define ACCEPTS_PER_TURN 64
#define ACCEPT_PAUSE_MS  100
#define BACKLOG          4096

union addr {
    struct sockaddr sa;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage any;
};

static void on_conn_task(struct task *t)
{
    conn_start(CONTAINER_OF(t, struct http_conn, task));
}

static void peer_text(const union addr *a, char out[46])
{
    out[0] = 0;
    if (a->sa.sa_family == AF_INET)
        (void)inet_ntop(AF_INET, &a->v4.sin_addr, out, 46);
    else if (a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr))
        (void)inet_ntop(AF_INET, &a->v6.sin6_addr.s6_addr[12], out, 46);
    else if (a->sa.sa_family == AF_INET6)
        (void)inet_ntop(AF_INET6, &a->v6.sin6_addr, out, 46);
}

static void hand_out(struct http_server *s, int fd, const union addr *peer)
{
    unsigned n = atomic_fetch_add_explicit(&s->connections, 1, memory_order_relaxed);
    int one = 1;
    if (n >= s->o.max_connections + HTTP_OVER_LIMIT) {
        atomic_fetch_sub_explicit(&s->connections, 1, memory_order_relaxed);
        (void)close(fd);
        return;
    }
    if (n >= s->o.max_connections)
        log_warn("http",
                 "%u connections are open, the limit: new ones are refused. More need a higher limit of open "
                 "files "
                 "(ulimit -n, LimitNOFILE of systemd): each may take two",
                 s->o.max_connections);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    struct http_conn *c = x_calloc(1, sizeof(*c));
    c->server = s;
    c->io = &s->io[s->next_io];
    c->fd = fd;
    c->out.fd = -1;
    c->over = n >= s->o.max_connections;
    peer_text(peer, c->peer_ip);
    mutex_lock(&s->mutex);
    c->tls = tls_ref(s->tls);
    mutex_unlock(&s->mutex);
    s->next_io = (s->next_io + 1) % s->n_io;
    atomic_fetch_add_explicit(&s->accepted, 1, memory_order_relaxed);
    c->task.fn = on_conn_task;
    if (c->io == &s->io[0])
        conn_start(c);
    else
        loop_post(&c->io->loop, &c->task);
}

static void on_listen(uv_poll_t *h, int status, int events);

static void arm(struct http_server *s, bool on)
{
    for (unsigned i = 0; i < s->n_listeners; i++) {
        struct listener *l = &s->listeners[i];
        if (l->open && on)
            (void)uv_poll_start(&l->poll, UV_READABLE, on_listen);
        else if (l->open)
            (void)uv_poll_stop(&l->poll);
    }
}

static void on_accept_again(uv_timer_t *t)
{
    arm(t->data, true);
}

/* Out of descriptors or memory: the connection stays in the backlog, and would wake us again at once. */
static void pause_accepting(struct http_server *s, int error)
{
    char text[128];
    bool files = error == EMFILE || error == ENFILE;
    log_warn("http", "cannot accept connections: %s; trying again every %d ms%s",
             strerror_r(error, text, sizeof(text)), ACCEPT_PAUSE_MS,
             files ? ". Raise the limit of open files (ulimit -Hn, LimitNOFILE=, --ulimit nofile=)" : "");
    arm(s, false);
    (void)uv_timer_start(&s->accept_again, on_accept_again, ACCEPT_PAUSE_MS, 0);
}

static void on_listen(uv_poll_t *h, int status, int events)
{
    struct listener *l = h->data;
    (void)events;
    if (status < 0)
        return;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        union addr peer = {0};
        socklen_t n = sizeof(peer);
        int fd = accept4(l->fd, &peer.sa, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            hand_out(l->server, fd, &peer);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            pause_accepting(l->server, errno);
        if (errno != ECONNABORTED && errno != EINTR && errno != EPROTO)
            return;
    }
}

static bool split_address(const char *address, char host[256], char port[16], struct err *e)
{
    const char *colon = strrchr(address, ':');
    if (!colon)
        return err_set(e, "address \"%s\": a port is missing, as in \":9000\"", address);
    struct str h = str_n(address, (size_t)(colon - address));
    uint64_t number;
    if (!str_to_u64(str_c(colon + 1), &number) || number > 65535)
        return err_set(e, "address \"%s\": \"%s\" is no port number", address, colon + 1);
    if (h.n >= 2 && h.p[0] == '[' && h.p[h.n - 1] == ']')
        h = str_n(h.p + 1, h.n - 2);
    else if (str_chr(h, ':') >= 0)
        return err_set(e, "address \"%s\": write an IPv6 address in brackets", address);
    if (h.n >= 256)
        return err_set(e, "address \"%s\": too long", address);
    (void)snprintf(host, 256, "%.*s", STR_FMT(h));
    (void)snprintf(port, 16, "%u", (unsigned)number);
    return true;
}

/* 0, or the errno that says why not. */
static int add(struct http_server *s, union addr *a, socklen_t n, struct err *e)
{
    int one = 1, zero = 0;
    struct listener *l = &s->listeners[s->n_listeners];
    bool v6 = a->sa.sa_family == AF_INET6;
    int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        int error = errno;
        err_errno(e, "cannot make a socket");
        return error;
    }
    bool wild = v6 && IN6_IS_ADDR_UNSPECIFIED(&a->v6.sin6_addr);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one,
                     sizeof(one)); /* past TIME_WAIT, not past another server */
    if (v6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, wild ? &zero : &one, sizeof(int));
    if (s->port) { /* a name with two addresses, and port 0: the same port on both */
        if (v6)
            a->v6.sin6_port = htons((uint16_t)s->port);
        else
            a->v4.sin_port = htons((uint16_t)s->port);
    }
    if (bind(fd, &a->sa, n) != 0 || listen(fd, BACKLOG) != 0) {
        int error = errno;
        err_errno(e, "cannot listen on \"%s\"", s->o.address);
        (void)close(fd);
        return error;
    }
    char host[64] = "", port[16] = "";
    (void)getsockname(fd, &a->sa, &n);
    s->port = ntohs(v6 ? a->v6.sin6_port : a->v4.sin_port);
    (void)getnameinfo(&a->sa, n, host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
    if (s->n_listeners == 0)
        (void)snprintf(s->address, sizeof(s->address), v6 ? "[%s]:%s" : "%s:%s", host, port);
    *l = (struct listener){.server = s, .fd = fd};
    s->n_listeners++;
    return 0;
}

static bool add_wildcard(struct http_server *s, unsigned port, struct err *e)
{
    union addr a = {
        .v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port), .sin6_addr = in6addr_any}};
    int error = add(s, &a, sizeof(a.v6), e);
    if (error == 0)
        return true;
    if (error == EADDRINUSE || error == EACCES)
        return false;
    a = (union addr){
        .v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)}}; /* a host without IPv6 */
    return add(s, &a, sizeof(a.v4), e) == 0;
}

bool listen_open(struct http_server *s, struct err *e)
{
    char host[256] = "", port[16] = "";
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *list;
    if (!split_address(s->o.address, host, port, e))
        return false;
    if (host[0] == 0)
        return add_wildcard(s, (unsigned)strtoul(port, NULL, 10), e);
    int r = getaddrinfo(host, port, &hints, &list);
    if (r != 0)
        return err_set(e, "address \"%s\": %s", s->o.address, gai_strerror(r));
    int error = 0;
    for (struct addrinfo *i = list; i && error == 0 && s->n_listeners < HTTP_LISTEN_MAX; i = i->ai_next) {
        union addr a = {0};
        memcpy(&a, i->ai_addr, i->ai_addrlen);
        error = add(s, &a, i->ai_addrlen, e);
        if (error == EADDRNOTAVAIL && (i->ai_next || s->n_listeners > 0))
            error = 0; /* a name that also stands for an address this host lacks */
    }
    freeaddrinfo(list);
    return error == 0 && s->n_listeners > 0;
}

void listen_start(struct http_server *s)
{
    uv_loop_t *uv = &s->io[0].loop.uv;
    BUG_ON(uv_timer_init(uv, &s->accept_again) != 0);
    s->accept_again.data = s;
    s->timer_open = true;
    for (unsigned i = 0; i < s->n_listeners; i++) {
        struct listener *l = &s->listeners[i];
        BUG_ON(uv_poll_init(uv, &l->poll, l->fd) != 0);
        l->poll.data = l;
        l->open = true;
    }
    arm(s, true);
}

void listen_drain(struct http_server *s)
{
    for (unsigned i = 0; i < s->n_listeners; i++)
        if (s->listeners[i].open)
            on_listen(&s->listeners[i].poll, 0, UV_READABLE);
}

void listen_stop(struct http_server *s)
{
    if (s->timer_open)
        uv_close((uv_handle_t *)&s->accept_again, NULL);
    s->timer_open = false;
    for (unsigned i = 0; i < s->n_listeners; i++) {
        struct listener *l = &s->listeners[i];
        if (l->open)
            uv_close((uv_handle_t *)&l->poll, NULL);
        l->open = false;
        if (l->fd >= 0)
            (void)close(l->fd);
        l->fd = -1;
    }
}

void listen_close(struct http_server *s)
{
    for (unsigned i = 0; i < s->n_listeners; i++)
        if (s->listeners[i].fd >= 0)
            (void)close(s->listeners[i].fd);
    s->n_listeners = 0;
}
