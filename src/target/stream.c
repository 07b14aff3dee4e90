/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes of a connection, out and in. */
#include "target/stream.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

#define READ_AT_ONCE 16384

void stream_init(struct stream *s, size_t out_max, size_t in_max)
{
    *s = (struct stream){.fd = -1};
    buf_init(&s->out, out_max);
    buf_init(&s->in, in_max + READ_AT_ONCE);
}

void stream_close(struct stream *s)
{
    SSL_free(s->ssl); /* NULL is fine */
    if (s->fd >= 0)
        (void)close(s->fd);
    s->ssl = NULL;
    s->fd = -1;
    s->ended = s->failed = false;
    s->written = 0;
    buf_reset(&s->out);
    buf_reset(&s->in);
}

void stream_release(struct stream *s)
{
    stream_close(s);
    buf_release(&s->out);
    buf_release(&s->in);
}

bool stream_dial(struct stream *s, struct dialer *d, const struct target_address *to,
                 const struct patience *p, struct err *e)
{
    struct err why = {0};
    stream_close(s);
    s->fd = dial(d, to->host, to->port, p, &why);
    s->heard_ms = s->sent_ms = clock_mono_ms();
    return s->fd >= 0 || err_set(e, "%s: %.300s", to->shown, why.text);
}

bool stream_secure(struct stream *s, const struct secure_settings *with, const struct patience *p,
                   struct err *e)
{
    /* What came in the clear would be taken for words that TLS has carried. */
    if (s->in.len > 0)
        return err_set(e, "%s: it sends what nobody asked for", with->shown);
    s->ssl = secure_client(with, e);
    if (!s->ssl)
        return false;
    (void)SSL_set_mode(s->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return (SSL_set_fd(s->ssl, s->fd) == 1 || err_set(e, "TLS cannot be set up")) &&
           secure_handshake(s->ssl, s->fd, with, p, e);
}

/* More than 0: bytes; 0: not now; -1: never again. */
static ssize_t move(struct stream *s, bool out, char *p, size_t len)
{
    if (!s->ssl) {
        ssize_t n = out ? send(s->fd, p, len, MSG_NOSIGNAL) : recv(s->fd, p, len, 0);
        bool later = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
        return n > 0 ? n : later ? 0 : -1;
    }
    ERR_clear_error(); /* what others left on this thread would be taken for this connection's */
    int most = len > INT_MAX ? INT_MAX : (int)len;
    int n = out ? SSL_write(s->ssl, p, most) : SSL_read(s->ssl, p, most);
    int error = n > 0 ? 0 : SSL_get_error(s->ssl, n);
    return n > 0 ? n : error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

void stream_flush(struct stream *s)
{
    while (s->written < s->out.len) {
        ssize_t n = s->fd < 0 ? -1 : move(s, true, s->out.p + s->written, s->out.len - s->written);
        if (n == 0)
            return;
        s->failed = s->failed || n < 0;
        s->written = n < 0 ? s->out.len : s->written + (size_t)n;
        s->sent_ms = clock_mono_ms();
    }
    buf_reset(&s->out);
    s->written = 0;
}

void stream_fill(struct stream *s)
{
    bool some = false;
    while (s->fd >= 0 && !s->ended && s->in.len + READ_AT_ONCE <= s->in.max) {
        char *p = buf_reserve(&s->in, READ_AT_ONCE);
        ssize_t n = move(s, false, p, READ_AT_ONCE);
        if (n == 0)
            break;
        s->ended = n < 0;
        s->in.len += n > 0 ? (size_t)n : 0;
        some = some || n > 0;
    }
    if (!some)
        return;
    s->heard_ms = clock_mono_ms();
    int on = 1;
    if (s->quick_ack)
        (void)setsockopt(s->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

short stream_events(const struct stream *s)
{
    return (short)(POLLIN | (s->out.len > 0 ? POLLOUT : 0));
}

bool stream_wait(struct stream *s, const struct patience *p)
{
    /* Bytes that OpenSSL has taken off the socket are not seen by poll. */
    return s->ended || (s->ssl && SSL_pending(s->ssl) > 0) || patience_poll(p, s->fd, stream_events(s));
}

bool stream_lost(const struct stream *s, const char *shown, struct err *e)
{
    unsigned long tls = s->ssl ? ERR_peek_last_error() : 0;
    const char *text = tls ? ERR_reason_error_string(tls) : NULL;
    return err_set(e, "%s: %s", shown, text ? text : "it closed the connection");
}
