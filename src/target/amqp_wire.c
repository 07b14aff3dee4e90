/* SPDX-License-Identifier: Apache-2.0
 *
 * AMQP's bytes: out and in without ever waiting, over TCP or TLS. librabbitmq's own connection would wait for a peer that
 * does not read as long as that likes; so of the library only what encodes and decodes is used. */
#include <errno.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "target/amqp_impl.h"

#define READS_MAX 32 /* in a row: then others have their turn */
#define READ_SIZE (64u << 10)

void rabbit_hang_up(struct rabbit *r)
{
    if (r->ssl) {
        ERR_clear_error();
        if (SSL_is_init_finished(r->ssl))
            (void)SSL_shutdown(r->ssl);
        ERR_clear_error();
        SSL_free(r->ssl);
    }
    r->ssl = NULL;
    if (r->fd >= 0)
        (void)close(r->fd);
    r->fd = -1;
}

enum io { IO_DONE, IO_LATER, IO_OVER };

static enum io tls_result(const struct rabbit *r, int rc)
{
    int error = SSL_get_error(r->ssl, rc);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? IO_LATER : IO_OVER;
}

static enum io write_some(struct rabbit *r, struct str s, size_t *n)
{
    if (r->ssl) {
        ERR_clear_error(); /* what others left on this thread would be taken for this connection's */
        int rc = SSL_write_ex(r->ssl, s.p, s.n, n);
        return rc == 1 ? IO_DONE : tls_result(r, rc);
    }
    ssize_t w = send(r->fd, s.p, s.n, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (w < 0 && (errno == EAGAIN || errno == EINTR))
        return IO_LATER;
    r->error = w < 0 ? errno : 0;
    *n = w < 0 ? 0 : (size_t)w;
    return w < 0 ? IO_OVER : IO_DONE;
}

static enum io read_some(struct rabbit *r, char *p, size_t size, size_t *n)
{
    if (r->ssl) {
        ERR_clear_error();
        int rc = SSL_read_ex(r->ssl, p, size, n);
        return rc == 1 ? IO_DONE : tls_result(r, rc);
    }
    ssize_t got = recv(r->fd, p, size, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return IO_LATER;
    r->error = got < 0 ? errno : 0; /* 0: an end in good order */
    *n = got < 0 ? 0 : (size_t)got;
    return got <= 0 ? IO_OVER : IO_DONE;
}

/* Why nothing comes any more, with what that may mean in the middle of a login. */
static void over(struct rabbit *r)
{
    struct rabbit_session *s = &r->session;
    char why[300], variable[112], system[64];
    unsigned long tls = r->ssl ? ERR_peek_last_error() : 0;
    const char *text = tls && ERR_reason_error_string(tls) ? ERR_reason_error_string(tls)
                       : !r->ssl && r->error               ? strerror_r(r->error, system, sizeof(system))
                                                           : "it closed the connection";
    rabbit_variable(&s->names, r->ssl ? "CLIENT_CERT" : "URL", variable, sizeof(variable));
    if (s->state == RABBIT_START && !r->ssl)
        (void)snprintf(why, sizeof(why), "%.60s: %.60s (if it expects TLS, begin %s with amqps://)",
                       r->address.shown, text, variable);
    else if (s->state == RABBIT_START && !r->conf->client_cert[0] && !r->address.cert_file[0])
        (void)snprintf(why, sizeof(why), "%.60s: %.60s (if it asks for a certificate, set %s and _KEY)",
                       r->address.shown, text, variable);
    else if (s->state == RABBIT_OPEN_OK || s->state == RABBIT_TUNE)
        (void)snprintf(why, sizeof(why), "%.60s: %.60s within the login (is the user's password right?)",
                       r->address.shown, text);
    else
        (void)snprintf(why, sizeof(why), "%.60s: %.60s", r->address.shown, text);
    rabbit_session_lose(s, why);
}

static bool write_out(struct rabbit *r)
{
    struct rabbit_session *s = &r->session;
    while (r->out_at < s->out.len) {
        size_t n = 0;
        enum io io = write_some(r, str_from(buf_view(&s->out), r->out_at), &n);
        if (io != IO_DONE)
            return io == IO_LATER;
        r->out_at += n;
        r->sent_ms = clock_mono_ms();
    }
    buf_reset(&s->out);
    r->out_at = 0;
    return true;
}

/* Reads and takes frames until nothing is there; false when the connection is over. */
static bool read_in(struct rabbit *r)
{
    for (unsigned i = 0; i < READS_MAX && r->session.state != RABBIT_LOST; i++) {
        size_t n = 0;
        char *p = buf_reserve(&r->in, READ_SIZE);
        BUG_ON(!p); /* what is left in it is less than a frame */
        enum io io = read_some(r, p, READ_SIZE, &n);
        if (io != IO_DONE)
            return io == IO_LATER;
        r->in.len += n;
        r->received_ms = clock_mono_ms();
        buf_consume(&r->in, rabbit_session_take(&r->session, buf_view(&r->in)));
    }
    return true;
}

static void look_at_clock(struct rabbit *r)
{
    struct rabbit_session *s = &r->session;
    int64_t now = clock_mono_ms(), beat = 1000 * (int64_t)s->heartbeat_s;
    if (s->state != RABBIT_READY)
        return;
    if (!s->blocked)
        r->blocked_ms = now;
    if (now - r->received_ms > 2 * beat) {
        char why[120];
        (void)snprintf(why, sizeof(why), "%.60s: not a sign of life for %lld s", r->address.shown,
                       (long long)(now - r->received_ms) / 1000);
        rabbit_session_lose(s, why);
    } else if (now - r->sent_ms >= beat / 2 && s->out.len == 0) {
        rabbit_session_heartbeat(s);
        (void)write_out(r);
    }
}

void rabbit_pump(struct rabbit *r)
{
    struct rabbit_session *s = &r->session;
    if (r->fd < 0)
        return;
    /* What it says at its end is read even when nothing can be written any more. */
    bool out = s->state == RABBIT_LOST || write_out(r);
    bool in = read_in(r);
    if (!out || !in)
        over(r);
    if (s->out.len > r->out_at && s->state != RABBIT_LOST)
        (void)write_out(r); /* the next step of the login */
    look_at_clock(r);
    if (s->state != RABBIT_LOST)
        return;
    (void)write_out(r); /* close-ok */
    rabbit_hang_up(r);
}

short rabbit_awaits(const struct rabbit *r)
{
    return (short)(POLLIN | (r->session.out.len > r->out_at ? POLLOUT : 0));
}
