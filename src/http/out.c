/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes to the socket. What the socket does not take at once is queued: copied, unless the owner pinned it or it is a
 * file. At most one reply, or one push of a stream, is on its way at a time, so the queue has fixed places.
 *
 * TLS: OpenSSL wants a write that would block repeated with the same bytes. Pieces are gathered into records from the
 * front of the queue, so the next attempt sees the same bytes again. */
#include <errno.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "http/conn.h"

bool out_pending(const struct http_conn *c)
{
    const struct out *o = &c->out;
    return !c->corked && (o->own_n > 0 || o->pin.n > 0 || o->fd_n > 0 || o->post.n > 0);
}

void out_append(struct http_conn *c, struct str s)
{
    struct out *o = &c->out;
    if (s.n == 0)
        return;
    if (o->own_n == 0)
        o->own_at = 0;
    o->own = x_realloc(o->own, o->own_at + o->own_n + s.n);
    memcpy(o->own + o->own_at + o->own_n, s.p, s.n);
    o->own_n += s.n;
}

static void unpin(struct out *o)
{
    void (*fn)(void *) = o->free_pin;
    o->free_pin = NULL;
    o->pin = (struct str){0};
    if (fn)
        fn(o->pin_arg);
}

void out_release(struct http_conn *c)
{
    struct out *o = &c->out;
    free(o->own);
    o->own = NULL;
    o->own_n = o->fd_n = o->post.n = 0;
    unpin(o);
}

static ssize_t send_plain(struct http_conn *c, const struct str *v, unsigned n, bool more)
{
    struct iovec iov[4];
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = n};
    ssize_t w;
    for (unsigned i = 0; i < n; i++)
        iov[i] = (struct iovec){(void *)(uintptr_t)v[i].p, v[i].n};
    do
        w = sendmsg(c->fd, &m, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
    while (w < 0 && errno == EINTR);
    if (w < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
    return w;
}

/* The next record's bytes, `at` bytes into the pieces: in place when one piece has them, otherwise gathered. */
static struct str next_record(struct http_conn *c, const struct str *v, unsigned n, size_t at)
{
    size_t got = 0;
    for (unsigned i = 0; i < n; i++) {
        if (at >= v[i].n) {
            at -= v[i].n;
            continue;
        }
        struct str rest = str_from(v[i], at);
        at = 0;
        if (got == 0 && (rest.n >= HTTP_RECORD || i == n - 1))
            return str_head(rest, HTTP_RECORD);
        rest = str_head(rest, HTTP_RECORD - got);
        memcpy(c->io->record + got, rest.p, rest.n);
        got += rest.n;
    }
    return str_n(c->io->record, got);
}

static ssize_t send_tls(struct http_conn *c, const struct str *v, unsigned n, size_t total)
{
    size_t done = 0;
    while (done < total) {
        struct str rec = next_record(c, v, n, done);
        ssize_t w = tls_write(c, rec.p, rec.n);
        if (w == TLS_AGAIN)
            break;
        if (w < 0)
            return -1;
        done += (size_t)w;
    }
    return (ssize_t)done;
}

/* Bytes taken, 0 when the socket is full, -1 when it failed. */
static ssize_t send_pieces(struct http_conn *c, const struct str *v, unsigned n, bool more)
{
    size_t total = 0;
    for (unsigned i = 0; i < n; i++)
        total += v[i].n;
    if (total == 0)
        return 0;
    ssize_t w = c->ssl ? send_tls(c, v, n, total) : send_plain(c, v, n, more);
    if (w > 0) {
        count(&c->io->counters.bytes_out, (uint64_t)w);
        if (c->timer == TIMER_WRITE)
            timer_set(c, TIMER_WRITE);
    }
    return w;
}

/* Takes up to *w bytes off the front of *s, and off *w; returns how many. */
static size_t take(struct str *s, size_t *w)
{
    size_t k = *w < s->n ? *w : s->n;
    *s = str_from(*s, k);
    *w -= k;
    return k;
}

static void own_sent(struct out *o, size_t k)
{
    o->own_at += k;
    o->own_n -= k;
    if (o->own_n == 0) {
        free(o->own);
        o->own = NULL;
    }
}

static void body_taken(struct http_conn *c, size_t n)
{
    if (c->req)
        c->req->body_sent += n;
}

bool out_write(struct http_conn *c, const struct piece *p)
{
    struct out *o = &c->out;
    struct str v[4] = {{o->own ? o->own + o->own_at : "", o->own_n}, p->head, p->body, p->post};
    BUG_ON(o->pin.n > 0 || o->fd_n > 0 || o->post.n > 0);
    c->corked = false;
    ssize_t w = send_pieces(c, v, 4, false);
    if (w < 0) {
        if (p->pinned && p->free_pin)
            p->free_pin(p->arg);
        return false;
    }
    size_t left = (size_t)w;
    own_sent(o, take(&v[0], &left));
    (void)take(&v[1], &left);
    body_taken(c, take(&v[2], &left));
    (void)take(&v[3], &left);
    out_append(c, v[1]);
    if (p->pinned && v[2].n > 0) {
        o->pin = v[2];
        o->free_pin = p->free_pin;
        o->pin_arg = p->arg;
        o->post = v[3];
        return true;
    }
    if (p->pinned && p->free_pin)
        p->free_pin(p->arg);
    out_append(c, v[2]);
    body_taken(c, v[2].n); /* a copy that waits counts as handed on: the reply fails as a whole if it does */
    out_append(c, v[3]);
    return true;
}

bool out_file(struct http_conn *c, struct str head, int fd, uint64_t at, size_t n, struct str post)
{
    struct out *o = &c->out;
    BUG_ON(o->pin.n > 0 || o->fd_n > 0 || o->post.n > 0);
    out_append(c, head);
    o->fd = fd;
    o->fd_at = at;
    o->fd_n = n;
    o->post = post;
    c->corked = false;
    return out_flush(c);
}

static ssize_t file_plain(struct http_conn *c)
{
    struct out *o = &c->out;
    off_t at = (off_t)o->fd_at;
    ssize_t w;
    do
        w = sendfile(c->fd, o->fd, &at, o->fd_n);
    while (w < 0 && errno == EINTR);
    if (w == 0) {
        log_error("http", "a file being sent ends at %llu, %zu bytes short", (unsigned long long)o->fd_at,
                  o->fd_n);
        return -1;
    }
    if (w < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
    return w;
}

static ssize_t file_tls(struct http_conn *c)
{
    struct out *o = &c->out;
    size_t want = o->fd_n < HTTP_RECORD ? o->fd_n : HTTP_RECORD;
    ssize_t n;
    do
        n = pread(o->fd, c->io->record, want, (off_t)o->fd_at);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)want) {
        log_error("http", "a file being sent cannot be read at %llu", (unsigned long long)o->fd_at);
        return -1;
    }
    ssize_t w = tls_write(c, c->io->record, want);
    return w == TLS_AGAIN ? 0 : w;
}

static ssize_t flush_file(struct http_conn *c)
{
    struct out *o = &c->out;
    ssize_t w = c->ssl ? file_tls(c) : file_plain(c);
    if (w > 0) {
        o->fd_at += (size_t)w;
        o->fd_n -= (size_t)w;
        body_taken(c, (size_t)w);
        count(&c->io->counters.bytes_out, (uint64_t)w);
        if (c->timer == TIMER_WRITE)
            timer_set(c, TIMER_WRITE);
    }
    return w;
}

static ssize_t flush_memory(struct http_conn *c)
{
    struct out *o = &c->out;
    bool file = o->fd_n > 0; /* then what is behind it has to wait */
    struct str v[3] = {
        {o->own ? o->own + o->own_at : "", o->own_n}, file ? STR("") : o->pin, file ? STR("") : o->post};
    ssize_t w = send_pieces(c, v, 3, file);
    if (w <= 0)
        return w;
    size_t left = (size_t)w;
    own_sent(o, take(&v[0], &left));
    body_taken(c, take(&v[1], &left));
    (void)take(&v[2], &left);
    if (!file) {
        o->pin = v[1];
        o->post = v[2];
        if (o->pin.n == 0)
            unpin(o);
    }
    return w;
}

bool out_flush(struct http_conn *c)
{
    struct out *o = &c->out;
    while (out_pending(c)) {
        ssize_t w = o->fd_n > 0 && o->own_n == 0 ? flush_file(c) : flush_memory(c);
        if (w < 0)
            return false;
        if (w == 0)
            return true;
    }
    return true;
}
