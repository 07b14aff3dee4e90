/* SPDX-License-Identifier: Apache-2.0
 *
 * AMQP's instance: settings, connection and login, and the look at the peer while there is nothing to send. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "target/amqp_impl.h"
#include "target/secure.h"

#define IN_MAX (RABBIT_FRAME_MAX + (64u << 10))

static bool check_short(const char *name, const char *value, struct err *e)
{
    return strlen(value) <= RABBIT_SHORT_MAX ||
           err_set(e, "%s is longer than %d bytes", name, RABBIT_SHORT_MAX);
}

bool rabbit_check(const void *arg, struct err *e)
{
    const struct rabbit_conf *c = arg;
    struct rabbit_address a;
    if (!rabbit_parse_url(str_c(c->url), &a, e) || !check_short("exchange", c->exchange, e) ||
        !check_short("exchange_type", c->exchange_type, e) || !check_short("routing_key", c->routing_key, e))
        return false;
    if (c->delivery_mode > 2)
        return err_set(e, "delivery_mode must be 0, 1 (in memory) or 2 (on disk)");
    if (c->exchange_type[0] && !c->exchange[0])
        return err_set(
            e, "exchange_type needs an exchange: the default one, without a name, cannot be declared");
    if (!c->client_cert[0] != !c->client_key[0])
        return err_set(
            e, "client_cert and client_key (MINIO_NOTIFY_AMQP_CLIENT_CERT and _KEY) have to be set together");
    if (c->client_cert[0] && !a.tls)
        return err_set(e, "client_cert is of use only with a url that begins with amqps://");
    return true;
}

void *rabbit_open(const void *conf, const char *id, struct err *e)
{
    struct rabbit *r = x_calloc(1, sizeof(*r));
    r->conf = conf;
    r->id = x_strdup(id);
    r->fd = -1;
    (void)snprintf(r->label, sizeof(r->label), "amqp:%.40s", id);
    buf_init(&r->in, IN_MAX);
    atomic_store(&r->hasten_ms, INT64_MAX);
    rabbit_session_init(&r->session);
    r->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (r->wake_fd < 0)
        (void)err_errno(e, "no eventfd");
    if (r->wake_fd < 0 || !rabbit_parse_url(str_c(r->conf->url), &r->address, e)) {
        rabbit_close(r);
        return NULL;
    }
    r->session.conf = r->conf;
    r->session.address = &r->address;
    r->session.names = (struct rabbit_names){.shown = r->address.shown,
                                             .id = r->id,
                                             .vhost = r->address.vhost,
                                             .exchange = r->conf->exchange,
                                             .routing_key = r->conf->routing_key};
    if (r->conf->immediate)
        log_warn(r->label, "IMMEDIATE is ignored: no broker takes it any more; events are queued instead");
    return r;
}

/* A connection that the broker has blocked is kept: what it has not read of it yet would be taken later none the less, and
 * then behind what goes over a new one. */
void rabbit_disconnect(void *arg)
{
    struct rabbit *r = arg;
    rabbit_session_forget(&r->session);
    if (r->fd < 0 || (r->session.state == RABBIT_READY && r->session.blocked))
        return;
    rabbit_session_goodbye(&r->session);
    rabbit_pump(r);
    rabbit_hang_up(r);
}

void rabbit_close(void *arg)
{
    struct rabbit *r = arg;
    r->session.blocked = false;
    rabbit_disconnect(r);
    dialer_release(&r->dialer);
    rabbit_session_release(&r->session);
    buf_release(&r->in);
    if (r->wake_fd >= 0)
        (void)close(r->wake_fd);
    free(r->id);
    free(r);
}

void rabbit_hasten(void *arg, int64_t deadline_ms)
{
    struct rabbit *r = arg; /* whoever waits looks at it at least five times a second */
    atomic_store(&r->hasten_ms, deadline_ms);
}

static bool handshake(struct rabbit *r, const struct patience *p, struct err *e)
{
    const struct rabbit_address *a = &r->address;
    bool ours = r->conf->client_cert[0];
    const struct secure_settings s = {.host = a->host,
                                      .shown = a->shown,
                                      .ca_pem = r->conf->common.ca_pem,
                                      .ca_file = a->ca_file,
                                      .cert = ours ? r->conf->client_cert : a->cert_file,
                                      .key = ours ? r->conf->client_key : a->key_file};
    r->ssl = secure_client(&s, e);
    if (!r->ssl)
        return false;
    (void)SSL_set_mode(r->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return (SSL_set_fd(r->ssl, r->fd) == 1 || err_set(e, "TLS cannot be set up")) &&
           secure_handshake(r->ssl, r->fd, &s, p, e);
}

/* The login, as far as confirms. */
static bool log_in(struct rabbit *r, const struct patience *p, struct err *e)
{
    struct rabbit_session *s = &r->session;
    buf_reset(&r->in);
    r->out_at = 0;
    r->sent_ms = r->received_ms = r->blocked_ms = clock_mono_ms();
    r->error = 0;
    rabbit_session_start(s);
    for (;;) {
        rabbit_pump(r);
        if (s->state == RABBIT_READY)
            return true;
        if (s->state == RABBIT_LOST)
            return err_set(e, "%s", s->lost);
        if (!patience_poll(p, r->fd, rabbit_awaits(r)))
            return err_set(e, "%s: no answer in time to the login", r->address.shown);
    }
}

/* The connection that disconnect has kept: is it still there, and is the alarm over? */
static bool resume(struct rabbit *r, struct err *e)
{
    rabbit_pump(r);
    if (r->session.state == RABBIT_READY && r->session.blocked)
        return err_set(e, "%s", r->session.blocked_why);
    return true;
}

bool rabbit_connect(void *arg, int64_t deadline_ms, struct err *e)
{
    struct rabbit *r = arg;
    struct err why = {0};
    int64_t until = clock_mono_ms() + RABBIT_CONNECT_MS;
    struct patience p = {until < deadline_ms ? until : deadline_ms, &r->hasten_ms};
    if (r->fd >= 0 && r->session.state == RABBIT_READY && r->session.blocked) {
        if (!resume(r, e))
            return false;
        if (r->fd >= 0)
            return true;
    }
    rabbit_disconnect(r);
    r->fd = dial(&r->dialer, r->address.host, r->address.port, &p, &why);
    if (r->fd < 0)
        return err_set(e, "%s: %.300s", r->address.shown, why.text);
    if ((!r->address.tls || handshake(r, &p, e)) && log_in(r, &p, e))
        return true;
    rabbit_session_lose(&r->session, e->text);
    rabbit_hang_up(r);
    return false;
}

bool rabbit_idle(void *arg, int64_t deadline_ms, struct err *e)
{
    struct rabbit *r = arg;
    (void)deadline_ms; /* nothing is waited for */
    rabbit_pump(r);
    if (r->session.state != RABBIT_READY)
        return err_set(e, "%s", r->session.lost);
    if (r->session.blocked)
        return err_set(e, "%s", r->session.blocked_why);
    return true;
}
