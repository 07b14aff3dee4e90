/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection of the load generator: at most one request on its way. A reply is read and the next request
 * goes out in the same step, so that a request costs one send, one recv and a share of one epoll_wait. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "load_conn.h"

static void watch(struct worker *w, struct conn *c, bool out)
{
    if (c->watches_out == out)
        return;
    struct epoll_event ev = {.events = EPOLLIN | (out ? (uint32_t)EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(w->epoll, EPOLL_CTL_MOD, c->fd, &ev);
    c->watches_out = out;
}

static void conn_close(struct conn *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->state = CONN_CLOSED;
}

void conn_finish(struct worker *w, struct conn *c)
{
    conn_close(c);
    c->state = CONN_FINISHED;
    w->finished++;
}

/* The request on this connection gets no reply. The connection is opened again by the loop. */
void conn_fail(struct worker *w, struct conn *c, const char *why)
{
    w->tally.transport++;
    c->pending = false;
    if (++w->failures >= FAILURES_ALLOWED)
        w->failed = true;
    if (!atomic_exchange(&w->run->error_shown, true))
        fprintf(stderr, "belfry-load: %s %s\n", w->run->options->endpoint, why);
    conn_close(c);
}

static void conn_send(struct worker *w, struct conn *c)
{
    size_t total = c->head_len + c->body_len;
    while (c->sent < total) {
        struct iovec iov[2];
        struct msghdr message = {.msg_iov = iov};
        size_t body_sent = c->sent > c->head_len ? c->sent - c->head_len : 0;
        if (c->sent < c->head_len)
            iov[message.msg_iovlen++] = (struct iovec){c->head + c->sent, c->head_len - c->sent};
        if (c->body_len > body_sent)
            iov[message.msg_iovlen++] =
                (struct iovec){w->run->bodies->data[c->body_index] + body_sent, c->body_len - body_sent};
        ssize_t n = sendmsg(c->fd, &message, MSG_NOSIGNAL);
        if (n > 0) {
            c->sent += (size_t)n;
        } else if (errno == EAGAIN) {
            break;
        } else if (errno != EINTR) {
            /* The server may have said why before it closed; reading tells. */
            c->sent = total;
            break;
        }
    }
    c->state = c->sent < total ? CONN_SENDING : CONN_WAITING;
    watch(w, c, c->sent < total);
}

/* Sends the prepared request from its first byte. */
static void start_request(struct worker *w, struct conn *c)
{
    c->sent = 0;
    c->got_bytes = c->wrong_body = false;
    c->body_at = 0;
    c->error_len = 0;
    message_begin_reply(&c->reply, c->op == LOAD_HEAD);
    c->started = load_now();
    conn_send(w, c);
}

/* The connection is open and idle: send what is prepared, or prepare what is due. */
void conn_go_on(struct worker *w, struct conn *c)
{
    if (!c->pending) {
        if (w->timer >= 0 && w->credits == 0 && !w->failed) {
            c->state = CONN_IDLE;
            return;
        }
        if (!worker_prepare(w, c)) {
            conn_finish(w, c);
            return;
        }
        c->due = 0;
        if (w->credits > 0) {
            w->credits--;
            c->due = w->due;
            w->due += w->step;
        }
    }
    start_request(w, c);
}

void conn_open(struct worker *w, struct conn *c)
{
    const struct addrinfo *a = w->run->options->address;
    int one = 1;
    c->fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        conn_fail(w, c, strerror(errno));
        return;
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    c->fresh = true;
    c->watches_out = true;
    c->state = CONN_CONNECTING;
    if (connect(c->fd, a->ai_addr, a->ai_addrlen) < 0 && errno != EINPROGRESS) {
        conn_fail(w, c, strerror(errno));
        return;
    }
    c->started = load_now();
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, c->fd, &ev) < 0)
        conn_fail(w, c, strerror(errno));
}

static void connected(struct worker *w, struct conn *c)
{
    int error = 0;
    socklen_t n = sizeof(error);
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &n);
    if (error != 0) {
        conn_fail(w, c, strerror(error));
        return;
    }
    watch(w, c, false);
    conn_go_on(w, c);
}

static void show_error(struct worker *w, struct conn *c)
{
    if (atomic_exchange(&w->run->error_shown, true))
        return;
    fprintf(stderr, "belfry-load: first error: %s key %llu: %d %.*s\n", load_methods[c->op],
            (unsigned long long)c->key, c->reply.status, (int)c->error_len, c->error);
}

static void take_body(struct worker *w, struct conn *c, const struct piece *piece)
{
    const struct load_bodies *bodies = w->run->bodies;
    bool good = c->reply.status >= 200 && c->reply.status < 300;
    if (!good) {
        size_t room = sizeof(c->error) - c->error_len;
        size_t n = piece->len < room ? piece->len : room;
        memcpy(c->error + c->error_len, piece->at, n);
        c->error_len += n;
    } else if (c->op == LOAD_GET) {
        if (c->body_at + piece->len > bodies->size ||
            memcmp(bodies->data[c->body_index] + c->body_at, piece->at, piece->len) != 0)
            c->wrong_body = true;
    }
    c->body_at += piece->len;
}

static void replied(struct worker *w, struct conn *c)
{
    int status = c->reply.status;
    bool good = status >= 200 && status < 300;
    /* Paced: what a slow reply before it made it wait counts, too. */
    hist_add(&w->tally.latency, load_now() - (c->due != 0 ? c->due : c->started));
    w->tally.done++;
    w->tally.status[status]++;
    w->failures = 0;
    if (good && c->op == LOAD_GET && (c->wrong_body || c->body_at != w->run->bodies->size))
        w->tally.wrong_body++;
    else if (good)
        w->tally.ok++;
    else
        show_error(w, c);
    bool whole = c->sent == c->head_len + c->body_len;
    c->pending = c->fresh = c->got_bytes = false;
    if (c->reply.close || !whole)
        conn_close(c);
    else
        conn_go_on(w, c);
}

/* The peer closed, or the connection broke. A kept-alive connection may close while a request is on its way
 * to it: that request is sent again, once, on a new connection. */
static void peer_closed(struct worker *w, struct conn *c, const char *why)
{
    message_end(&c->reply);
    if (c->state == CONN_WAITING && c->got_bytes && c->reply.phase == MESSAGE_DONE) {
        replied(w, c);
        return;
    }
    if (c->got_bytes || c->fresh) {
        conn_fail(w, c, why);
        return;
    }
    w->tally.reconnects++;
    conn_close(c);
}

static void conn_read(struct worker *w, struct conn *c)
{
    ssize_t n = recv(c->fd, w->buffer, sizeof(w->buffer), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        peer_closed(w, c, n == 0 ? "the server closed the connection" : strerror(errno));
        return;
    }
    if (c->state == CONN_IDLE) {
        conn_fail(w, c, "sent bytes that belong to no request");
        return;
    }
    c->got_bytes = true;
    for (size_t at = 0; at < (size_t)n;) {
        struct piece piece;
        at += message_feed(&c->reply, w->buffer + at, (size_t)n - at, &piece);
        if (piece.len > 0)
            take_body(w, c, &piece);
        if (c->reply.phase == MESSAGE_BAD || (c->reply.phase == MESSAGE_DONE && at < (size_t)n)) {
            conn_fail(w, c, "sent something that is not an HTTP reply");
            return;
        }
        if (c->reply.phase == MESSAGE_DONE)
            break;
    }
    if (c->reply.phase == MESSAGE_DONE)
        replied(w, c);
}

void conn_event(struct worker *w, struct conn *c, uint32_t events)
{
    switch (c->state) {
    case CONN_CONNECTING:
        connected(w, c);
        break;
    case CONN_SENDING:
        if ((events & EPOLLOUT) != 0)
            conn_send(w, c);
        if ((events & ~(uint32_t)EPOLLOUT) != 0)
            conn_read(w, c);
        break;
    case CONN_IDLE:
    case CONN_WAITING:
        conn_read(w, c);
        break;
    case CONN_CLOSED:
    case CONN_FINISHED:
        break;
    }
}
