/* SPDX-License-Identifier: Apache-2.0
 *
 * One thread per connection, which reads a request, looks at the key in it and plays what that asks for. */
#include "receiver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"

static bool stopped(struct receiver *r)
{
    mutex_lock(&r->mutex);
    bool stop = r->stop;
    mutex_unlock(&r->mutex);
    return stop;
}

bool receiver_say(int fd, const char *text)
{
    size_t n = strlen(text);
    while (n > 0) {
        ssize_t w = send(fd, text, n, MSG_NOSIGNAL);
        if (w <= 0)
            return false;
        text += w;
        n -= (size_t)w;
    }
    return true;
}

static bool sayf(int fd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool sayf(int fd, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return receiver_say(fd, text);
}

/* Until the peer goes away or the test ends. */
void receiver_hang(struct visit *v)
{
    while (!stopped(v->r)) {
        struct pollfd p = {.fd = v->fd, .events = POLLIN};
        char c;
        if (poll(&p, 1, 20) > 0 && recv(v->fd, &c, 1, MSG_PEEK) <= 0)
            return;
    }
}

bool receiver_say_without_end(struct visit *v, const char *begin, const char *piece)
{
    bool ok = receiver_say(v->fd, begin);
    while (ok && !stopped(v->r))
        ok = receiver_say(v->fd, piece);
    return false;
}

/* One byte at a time, each after the peer had time to read the one before. */
bool receiver_say_slowly(int fd, const char *text)
{
    bool ok = true;
    for (; *text && ok; text++) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        (void)poll(&p, 1, 2);
        ok = send(fd, text, 1, MSG_NOSIGNAL) == 1;
    }
    return ok;
}

static bool redirect(struct visit *v, int status, unsigned port, const char *path)
{
    return sayf(v->fd, "HTTP/1.1 %d Moved\r\nLocation: http://127.0.0.1:%u%s\r\nContent-Length: 0\r\n\r\n",
                status, port, path);
}

static bool has(const char *request, const char *part)
{
    return strstr(request, part) != NULL;
}

static bool told_unasked(struct receiver *r)
{
    mutex_lock(&r->mutex);
    r->n_unasked++;
    cond_broadcast(&r->cond);
    mutex_unlock(&r->mutex);
    return true;
}

/* Plays the reply; false when the connection is to be closed. */
static bool answer(struct visit *v, const char *q)
{
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    struct receiver *r = v->r;
    bool moved = has(q, "POST /moved"), first = v->published++ == 0;
    if (has(q, "b/hang"))
        return receiver_hang(v), false;
    if (has(q, "b/close"))
        return false;
    if (has(q, "b/bye"))
        return receiver_say(v->fd, ok), told_unasked(r), false;
    if (has(q, "b/fickle")) /* only as the first of its connection it gets an answer */
        return first && receiver_say(v->fd, ok);
    if (has(q, "b/half"))
        return receiver_say(v->fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhal"), false;
    if (has(q, "b/cuthead"))
        return receiver_say(v->fd, "HTTP/1.1 200 OK\r\nConte"), false;
    if (has(q, "b/garbage"))
        return receiver_say(v->fd, "\x01\x02this is not HTTP\r\n\r\n"), false;
    if (has(q, "b/trailer"))
        return receiver_say(v->fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                                   "2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n");
    if (has(q, "b/twice")) { /* the second reply comes when the first has been read */
        struct pollfd p = {.fd = v->fd, .events = POLLIN};
        return receiver_say(v->fd, ok) && poll(&p, 1, 50) == 0 && receiver_say(v->fd, ok) &&
               told_unasked(v->r);
    }
    if (has(q, "b/slow"))
        return receiver_say_slowly(v->fd, ok);
    if (has(q, "b/endlessbody"))
        return receiver_say_without_end(v, "HTTP/1.1 200 OK\r\n\r\n",
                                        "0123456789abcdef0123456789abcdef0123456789abcdef");
    if (has(q, "b/endlesshead"))
        return receiver_say_without_end(v, "HTTP/1.1 200 OK\r\n",
                                        "X-More: and more and more and more and more\r\n");
    if (has(q, "b/loop"))
        return redirect(v, 307, r->port, "/again");
    if (has(q, "b/r307") && !moved)
        return redirect(v, 307, r->port, "/moved");
    if (has(q, "b/r308") && !moved)
        return redirect(v, 308, r->port, "/moved");
    if (has(q, "b/lost") && !moved)
        return redirect(v, 307, r->port, "/moved");
    if (has(q, "b/lost"))
        return receiver_say(v->fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    if (has(q, "b/other") && !moved)
        return redirect(v, 307, r->elsewhere->port, "/moved");
    if (has(q, "b/rel302"))
        return receiver_say(
            v->fd, "HTTP/1.1 302 Moved\r\nLocation: /moved?token=T0KEN\r\nContent-Length: 0\r\n\r\n");
    if (has(q, "b/r301") || has(q, "b/r302") || has(q, "b/r303"))
        return redirect(v, (int)strtol(strstr(q, "b/r30") + 3, NULL, 10), r->port, "/moved");
    if (has(q, "b/busy"))
        return receiver_say(v->fd, "HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n");
    if (has(q, "b/s"))
        return sayf(v->fd, "HTTP/1.1 %d Whatever\r\nContent-Length: 0\r\n\r\n",
                    (int)strtol(strstr(q, "b/s") + 3, NULL, 10));
    return receiver_say(v->fd, ok);
}

/* The whole request, when it is there: head and Content-Length bytes. */
static size_t complete(struct buf *in)
{
    char *end = memmem(in->p, in->len, "\r\n\r\n", 4),
         *length = memmem(in->p, in->len, "Content-Length: ", 16);
    if (!end || !length || length > end)
        return 0;
    size_t n = (size_t)(end - in->p) + 4 + (size_t)strtoul(length + 16, NULL, 10);
    return n <= in->len ? n : 0;
}

static char *remember(struct receiver *r, const char *p, size_t n)
{
    char *text = str_dupz(str_n(p, n));
    mutex_lock(&r->mutex);
    if (r->n_requests == RECEIVER_REQUESTS)
        BUG("too many requests");
    r->bytes[r->n_requests] = n;
    r->request[r->n_requests++] = text;
    cond_broadcast(&r->cond);
    mutex_unlock(&r->mutex);
    return text;
}

static void *serve(void *arg)
{
    struct visit *v = arg;
    struct buf in;
    bool going = !v->r->protocol->greet || v->r->protocol->greet(v);
    buf_init(&in, 8u << 20);
    while (going) {
        char *p = buf_reserve(&in, 65536);
        ssize_t n = recv(v->fd, p, 65536, 0);
        if (n <= 0)
            break;
        in.len += (size_t)n;
        size_t whole;
        while (going && in.len > 0 && (whole = v->r->protocol->complete(&in)) > 0) {
            const char *q = remember(v->r, in.p, whole);
            buf_consume(&in, whole);
            v->n = whole;
            going = v->r->protocol->answer(v, q);
        }
    }
    buf_release(&in);
    (void)shutdown(v->fd, SHUT_RDWR);
    free(v);
    return NULL;
}

static void *accept_all(void *arg)
{
    struct receiver *r = arg;
    for (;;) {
        int fd = accept(r->listener, NULL, NULL);
        if (fd < 0)
            return NULL;
        int one = 1;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        mutex_lock(&r->mutex);
        if (r->n_connections == RECEIVER_CONNECTIONS)
            BUG("too many connections");
        struct visit *v = x_malloc(sizeof(*v));
        *v = (struct visit){.r = r, .fd = fd};
        r->connection[r->n_connections].fd = fd;
        r->connection[r->n_connections].thread = thread_start("receiver", serve, v);
        r->n_connections++;
        mutex_unlock(&r->mutex);
    }
}

void receiver_start(struct receiver *r)
{
    static const struct protocol http = {.complete = complete, .answer = answer};
    receiver_start_as(r, &http);
}

void receiver_start_as(struct receiver *r, const struct protocol *protocol)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    memset(r, 0, sizeof(*r));
    r->protocol = protocol;
    mutex_init(&r->mutex, RANK_MAIN);
    cond_init(&r->cond);
    r->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (r->listener < 0 || bind(r->listener, (struct sockaddr *)&a, sizeof(a)) != 0 ||
        listen(r->listener, 128) != 0 || getsockname(r->listener, (struct sockaddr *)&a, &n) != 0)
        BUG("no socket: %s", strerror(errno));
    r->port = ntohs(a.sin_port);
    r->thread = thread_start("receiver", accept_all, r);
}

void receiver_stop(struct receiver *r)
{
    mutex_lock(&r->mutex);
    r->stop = true;
    mutex_unlock(&r->mutex);
    (void)shutdown(r->listener, SHUT_RDWR);
    thread_join(r->thread);
    (void)close(r->listener);
    for (unsigned i = 0; i < r->n_connections; i++) {
        (void)shutdown(r->connection[i].fd, SHUT_RDWR);
        thread_join(r->connection[i].thread);
        (void)close(r->connection[i].fd);
    }
    for (unsigned i = 0; i < r->n_requests; i++)
        free(r->request[i]);
    cond_release(&r->cond);
    mutex_release(&r->mutex);
}

unsigned receiver_requests(struct receiver *r)
{
    mutex_lock(&r->mutex);
    unsigned n = r->n_requests;
    mutex_unlock(&r->mutex);
    return n;
}

const char *receiver_find(struct receiver *r, const char *part)
{
    const char *found = NULL;
    mutex_lock(&r->mutex);
    for (unsigned i = 0; i < r->n_requests && !found; i++)
        if (strstr(r->request[i], part))
            found = r->request[i];
    mutex_unlock(&r->mutex);
    return found;
}

static bool await(struct receiver *r, const unsigned *count, unsigned n)
{
    int64_t until = clock_mono_ms() + 10000;
    bool in_time = true;
    mutex_lock(&r->mutex);
    while (*count < n && in_time)
        in_time = cond_wait_until(&r->cond, &r->mutex, until);
    bool ok = *count >= n;
    mutex_unlock(&r->mutex);
    return ok;
}

bool receiver_await(struct receiver *r, unsigned n)
{
    return await(r, &r->n_requests, n);
}

bool receiver_await_unasked(struct receiver *r, unsigned n)
{
    return await(r, &r->n_unasked, n);
}
