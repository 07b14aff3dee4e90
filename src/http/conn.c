/* SPDX-License-Identifier: Apache-2.0
 *
 * One connection: its states, and how bytes are read. All connections of a thread read into one buffer; only what
 * cannot be used at once (half a head, requests behind the current one) is copied to the connection.
 *
 * Reading is armed in libuv once and left armed: only when bytes arrive that nobody wants yet is it switched off,
 * so that a request that is answered at once costs one read and one write and no epoll_ctl. */
#include "http/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

#define READS_PER_TURN 4

static void on_poll(uv_poll_t *h, int status, int events);

void conn_start(struct http_conn *c)
{
    struct http_io *io = c->io;
    int r = uv_poll_init(&io->loop.uv, &c->poll, c->fd);
    if (r != 0) { /* the kernel's limit of watched descriptors */
        log_warn("http", "cannot watch a new connection: %s", uv_strerror(r));
        atomic_fetch_sub_explicit(&c->server->connections, 1, memory_order_relaxed);
        (void)close(c->fd);
        tls_unref(c->tls);
        free(c);
        return;
    }
    io->conns++;
    c->poll.data = c;
    c->state = CONN_IDLE;
    timer_set(c, TIMER_IDLE);
    if (io->stopping || (c->over && c->tls)) {
        conn_close(c);
    } else if (c->over) {
        conn_problem(c, HTTP_TOO_MANY);
    } else if (c->tls) {
        c->state = CONN_HANDSHAKE;
        timer_set(c, TIMER_TLS);
        conn_rearm(c);
    } else {
        conn_serve(c);
    }
}

void conn_serve(struct http_conn *c)
{
    c->state = CONN_IDLE;
    c->scan = (struct http_scan){0};
    timer_set(c, TIMER_IDLE);
    conn_rearm(c);
}

static bool wants_read(const struct http_conn *c)
{
    if (c->eof)
        return false;
    if (c->state != CONN_REQUEST)
        return c->state != CONN_HANDSHAKE;
    /* A patient stream is read to see the peer go; what else comes is one piece, kept for when the stream is over. */
    return body_wanted(c->req) || (c->req->streaming && c->req->patient && c->in_n == 0);
}

static enum timer_kind waiting_for(const struct http_conn *c)
{
    if (c->state != CONN_REQUEST)
        return c->timer; /* set where the state was entered */
    if (c->req->streaming && c->req->patient)
        return TIMER_NONE;
    if (out_pending(c) || c->yield) /* who gave way waits for room in the socket, too */
        return TIMER_WRITE;
    if (!wants_read(c))
        return TIMER_NONE;
    return c->req->reply_sent ? TIMER_LINGER : TIMER_BODY;
}

/* `unwanted`: bytes wait in the socket that cannot be taken now. */
static void rearm(struct http_conn *c, bool unwanted)
{
    if (!conn_open(c))
        return;
    enum timer_kind kind = waiting_for(c);
    if (kind != c->timer)
        timer_set(c, kind);
    int want = unwanted ? 0 : c->armed & UV_READABLE;
    if (wants_read(c) || (c->state == CONN_HANDSHAKE && c->tls_wants != UV_WRITABLE))
        want |= UV_READABLE;
    if (out_pending(c) || c->yield)
        want |= UV_WRITABLE;
    want |= c->tls_wants;
    if (want == c->armed)
        return;
    c->armed = want;
    if (want == 0)
        (void)uv_poll_stop(&c->poll);
    else
        (void)uv_poll_start(&c->poll, want, on_poll);
}

void conn_rearm(struct http_conn *c)
{
    rearm(c, false);
}

static void stash(struct http_conn *c, const char *p, size_t n)
{
    if (c->in_n + n > c->in_cap) {
        c->in_cap = c->in_n + n < 512 ? 512 : c->in_n + n;
        c->in = x_realloc(c->in, c->in_cap);
    }
    memcpy(c->in + c->in_n, p, n);
    c->in_n += n;
}

static void stash_drop(struct http_conn *c)
{
    free(c->in);
    c->in = NULL;
    c->in_n = c->in_cap = 0;
}

static void begin_request(struct http_conn *c, struct request *r)
{
    count(&c->io->counters.requests, 1);
    r->body_left = r->pub.chunked ? 0 : (uint64_t)r->pub.content_length;
    r->pub.body_done = r->pub.content_length == 0;
    r->owes_continue = r->pub.expect_continue;
    http_hold(&r->pub);
    if (r->owes_continue && r->pub.body_done) {
        /* Nothing is to come, and RFC 9110 10.1.1 lets the 100 be left out. But botocore, once it got a final reply
         * instead of it, misreads the next reply on that connection and waits for the rest until it times out. */
        r->owes_continue = false;
        reply_raw(c, STR("HTTP/1.1 100 Continue\r\n\r\n"));
    }
    if (!r->pub.gone) {
        r->headed = true;
        c->server->app->head(c->server->ctx, &r->pub);
    }
    http_release(&r->pub);
}

/* The head is complete: p[0..len). */
static void take_head(struct http_conn *c, const char *p, size_t len, bool more)
{
    struct request *r = request_new(c);
    char *head = arena_alloc(&r->pub.arena, len);
    enum http_problem why;
    memcpy(head, p, len);
    stash_drop(c);
    c->req = r;
    c->state = CONN_REQUEST;
    c->feeding_more = more;
    if (http_head_parse(head, len, &c->scan, &r->pub, &why))
        begin_request(c, r);
    else
        conn_problem(c, why);
    c->feeding_more = false;
}

static size_t feed_head(struct http_conn *c, const char *p, size_t n)
{
    const struct http_limits *lim = &c->server->limits;
    size_t had = c->in_n, len = 0;
    enum http_problem why;
    if (had > 0) {
        size_t room = lim->max_head + lim->max_target + 128 - had; /* the scan refuses before this is full */
        n = n < room ? n : room;
        stash(c, p, n);
        p = c->in;
    }
    switch (http_head_scan(&c->scan, p, had + n, lim, &len, &why)) {
    case HTTP_OK:
        take_head(c, p, len, len < had + n);
        return len - had;
    case HTTP_BAD:
        conn_problem(c, why);
        return n;
    default:
        break;
    }
    if (had == 0)
        stash(c, p, n);
    if (c->state == CONN_IDLE) {
        c->state = CONN_HEAD;
        timer_set(c, TIMER_HEAD);
    }
    return n;
}

/* Uses bytes as far as the state allows; keeps the rest. */
static void conn_feed(struct http_conn *c, const char *p, size_t n)
{
    size_t used = 1;
    c->feeding = true;
    while (n > 0 && used > 0 && conn_open(c)) {
        if (c->state == CONN_REQUEST)
            used = body_feed(c, p, n);
        else if (c->state == CONN_LINGER)
            used = n;
        else
            used = feed_head(c, p, n);
        p += used;
        n -= used;
    }
    c->feeding = false;
    if (n > 0 && conn_open(c))
        stash(c, p, n);
}

void conn_continue(struct http_conn *c)
{
    if (c->feeding || !conn_open(c))
        return;
    if (c->in_n > 0 && c->state != CONN_HEAD) {
        char *in = c->in;
        size_t n = c->in_n;
        c->in = NULL;
        c->in_n = c->in_cap = 0;
        conn_feed(c, in, n);
        free(in);
    }
    conn_rearm(c);
}

static void on_eof(struct http_conn *c)
{
    c->eof = true;
    if (c->state == CONN_REQUEST && c->req->pub.replied && !c->req->reply_sent && !c->req->patient)
        c->req->pub.keep_alive = false; /* only the reply is still to be sent */
    else
        conn_close(c);
}

static ssize_t receive(struct http_conn *c, size_t room)
{
    ssize_t n;
    if (c->ssl && c->state != CONN_LINGER)
        return tls_read(c, c->io->rbuf, room);
    do
        n = recv(c->fd, c->io->rbuf, room, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? TLS_AGAIN : TLS_FAILED;
    return n;
}

static void on_readable(struct http_conn *c)
{
    for (int i = 0; i < READS_PER_TURN && conn_open(c) && wants_read(c); i++) {
        /* Before a head less is read: what comes behind it may have to be kept for as long as the request takes. */
        size_t room = c->state == CONN_REQUEST || c->state == CONN_LINGER ? HTTP_READ_SIZE : HTTP_READ_HEAD;
        ssize_t n = receive(c, room);
        if (n == TLS_AGAIN)
            return;
        if (n < 0) {
            conn_close(c);
            return;
        }
        if (n == 0) {
            on_eof(c);
            return;
        }
        count(&c->io->counters.bytes_in, (uint64_t)n);
        if (c->state == CONN_LINGER && (c->lingered += (uint64_t)n) > HTTP_LINGER_MAX) {
            conn_close(c);
            return;
        }
        conn_feed(c, c->io->rbuf, (size_t)n);
        if (!c->ssl && (size_t)n < room)
            return; /* the socket had no more */
    }
}

static void on_handshake(struct http_conn *c)
{
    int r = tls_handshake(c);
    if (r == 1) {
        conn_serve(c);
    } else if (r == TLS_NOT_TLS) {
        /* Plain HTTP on a TLS port: this answer is not S3's, the client cannot even have a signature yet. */
        static const char said[] =
            "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "Connection: close\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
        tls_end(c, false);
        (void)!send(c->fd, said, sizeof(said) - 1, MSG_NOSIGNAL);
        conn_linger(c);
    } else if (r != TLS_AGAIN) {
        conn_close(c);
    }
    conn_rearm(c);
}

static void on_writable(struct http_conn *c)
{
    c->yield = false;
    if (!out_flush(c))
        conn_close(c);
    else if (!out_pending(c))
        reply_drained(c);
}

static void on_poll(uv_poll_t *h, int status, int events)
{
    struct http_conn *c = h->data;
    if (status < 0) { /* the socket is in error: reset by the peer */
        conn_close(c);
        return;
    }
    if (c->tls_wants & events) { /* OpenSSL asked for this direction, whatever it was doing */
        events |= UV_READABLE | UV_WRITABLE;
        c->tls_wants = 0;
    }
    if (c->state == CONN_HANDSHAKE) {
        on_handshake(c);
        return;
    }
    bool unwanted = (events & UV_READABLE) && !wants_read(c);
    if ((events & UV_WRITABLE) && (out_pending(c) || c->yield))
        on_writable(c);
    if ((events & UV_READABLE) && conn_open(c))
        on_readable(c);
    rearm(c, unwanted);
}

static bool unread(const struct http_conn *c)
{
    int n = 0;
    return c->in_n > 0 || (ioctl(c->fd, FIONREAD, &n) == 0 && n > 0);
}

void conn_last_call(struct http_conn *c)
{
    if (conn_open(c) && c->state != CONN_HANDSHAKE && unread(c)) {
        on_readable(c);
        conn_rearm(c);
    }
    if (c->state != CONN_REQUEST && c->state != CONN_LINGER)
        conn_close(c);
}

void conn_next(struct http_conn *c)
{
    struct request *r = c->req;
    bool keep = r->pub.keep_alive && !c->eof && !c->io->stopping;
    bool linger = !c->eof && (r->self_replied || !r->pub.body_done);
    if (!keep) {
        if (linger || unread(c)) /* a close with unread bytes resets, and a reset may overtake the reply */
            conn_linger(c);
        else
            conn_close(c);
        return;
    }
    c->req = NULL;
    c->state = CONN_IDLE;
    c->scan = (struct http_scan){0};
    timer_set(c, TIMER_IDLE);
    request_finish(r);
    conn_continue(c);
}

void conn_linger(struct http_conn *c)
{
    struct request *r = c->req;
    c->req = NULL;
    c->state = CONN_LINGER;
    stash_drop(c);
    timer_set(c, TIMER_LINGER);
    tls_end(c, true);
    (void)shutdown(c->fd, SHUT_WR);
    if (r)
        request_finish(r);
    conn_rearm(c);
}

static void on_closed(uv_handle_t *h)
{
    free(h->data);
}

void conn_close(struct http_conn *c)
{
    struct request *r = c->req;
    struct http_io *io = c->io;
    if (!conn_open(c))
        return;
    tls_end(c, c->state != CONN_HANDSHAKE && !out_pending(c));
    c->state = CONN_CLOSED;
    c->req = NULL;
    c->link.prev->next = c->link.next;
    c->link.next->prev = c->link.prev;
    out_release(c);
    stash_drop(c);
    uv_close((uv_handle_t *)&c->poll, on_closed);
    (void)close(c->fd);
    tls_unref(c->tls);
    c->tls = NULL;
    io->conns--;
    atomic_fetch_sub_explicit(&c->server->connections, 1, memory_order_relaxed);
    if (r)
        request_gone(r);
    if (io->stopping)
        server_check_stop(io);
}

void conn_problem(struct http_conn *c, enum http_problem p)
{
    struct request *r = c->req;
    count(&c->io->counters.problems, 1);
    if (!r) {
        r = c->req = request_new(c);
        r->pub.body_done = true;
        c->state = CONN_REQUEST;
    } else if (!r->headed) {
        r->pub.body_done = true;
    }
    if (r->pub.replied) { /* a second answer would be read as the next request's */
        if (r->reply_sent)
            conn_linger(c);
        else
            conn_close(c);
        return;
    }
    http_hold(&r->pub);
    r->self_replied = r->pub.replied = true;
    r->discard = false;
    body_cut(r);
    r->pub.keep_alive = false;
    if (c->req == r)
        reply_problem(c, r, p);
    http_release(&r->pub);
}
