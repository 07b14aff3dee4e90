/* SPDX-License-Identifier: Apache-2.0
 *
 * NSQ's instance: settings, connection and login, and the look at nsqd while there is nothing to send. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "target/nsq_impl.h"

bool nsq_check(const void *arg, struct err *e)
{
    const struct nsq_conf *c = arg;
    struct target_address address;
    if (!nsq_parse_address(str_c(c->nsqd_address), &address, e))
        return false;
    if (!nsq_topic_ok(str_c(c->topic)))
        return err_set(e, "topic must be 1 to 64 of a-z A-Z 0-9 . _ - (MINIO_NOTIFY_NSQ_TOPIC)");
    if (!c->client_cert[0] != !c->client_key[0])
        return err_set(
            e, "client_cert and client_key (MINIO_NOTIFY_NSQ_CLIENT_CERT and _KEY) have to be set together");
    if (c->client_cert[0] && !c->tls)
        return err_set(e, "client_cert is of use only with tls=on (MINIO_NOTIFY_NSQ_TLS)");
    return true;
}

void *nsq_open(const void *conf, const char *id, struct err *e)
{
    struct nsq *n = x_calloc(1, sizeof(*n));
    n->conf = conf;
    n->id = x_strdup(id);
    n->chunk = NSQ_CHUNK;
    stream_init(&n->stream, NSQ_OUT_MAX, NSQ_FRAME_MAX + 8);
    buf_init(&n->answer, NSQ_FRAME_MAX);
    atomic_store(&n->hasten_ms, INT64_MAX);
    (void)snprintf(n->lost, sizeof(n->lost), "not connected");
    if (gethostname(n->host, sizeof(n->host) - 1) != 0)
        (void)snprintf(n->host, sizeof(n->host), "localhost");
    n->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!nsq_parse_address(str_c(n->conf->nsqd_address), &n->address, e) ||
        (n->wake_fd < 0 && !err_errno(e, "no eventfd"))) {
        nsq_close(n);
        return NULL;
    }
    n->names = (struct nsq_names){n->address.shown, n->id, n->conf->topic};
    return n;
}

void nsq_disconnect(void *arg)
{
    struct nsq *n = arg;
    nsq_hang_up(n, NSQ_DOWN);
    (void)snprintf(n->lost, sizeof(n->lost), "not connected");
    n->n_line = n->n_judged = n->n_refused = 0;
    for (size_t i = 0; i < NSQ_MAX_BATCH; i++)
        n->place[i].state = NSQ_FREE;
}

void nsq_close(void *arg)
{
    struct nsq *n = arg;
    stream_release(&n->stream);
    dialer_release(&n->dialer);
    buf_release(&n->answer);
    if (n->wake_fd >= 0)
        (void)close(n->wake_fd);
    free(n->id);
    free(n);
}

void nsq_hasten(void *arg, int64_t deadline_ms)
{
    struct nsq *n = arg; /* whoever waits looks at it ten times a second */
    atomic_store(&n->hasten_ms, deadline_ms);
}

/* --- login -------------------------------------------------------------------------------------------------------- */

bool nsq_logs_in(const struct nsq *n)
{
    return n->phase == NSQ_IDENTIFYING || n->phase == NSQ_SECURING || n->phase == NSQ_AUTHENTICATING;
}

static struct patience login_patience(const struct nsq *n)
{
    return (struct patience){n->login_ms, &n->hasten_ms};
}

static bool authenticate(struct nsq *n, struct err *e)
{
    if (!n->auth_required) {
        n->phase = NSQ_UP;
        return true;
    }
    if (!n->conf->auth_secret[0]) {
        nsq_explain(&n->names, STR("E_AUTH_FIRST"), e->text, sizeof(e->text));
        return false;
    }
    nsq_put_auth(&n->stream.out, n->conf->auth_secret);
    n->login_asked = nsq_end(n);
    n->phase = NSQ_AUTHENTICATING;
    return true;
}

static bool secure(struct nsq *n, const struct nsq_features *f, struct err *e)
{
    const struct nsq_conf *c = n->conf;
    const struct secure_settings settings = {.host = n->address.host,
                                             .shown = n->address.shown,
                                             .ca_pem = c->common.ca_pem,
                                             .cert = c->client_cert,
                                             .key = c->client_key,
                                             .skip_verify = c->tls_skip_verify};
    struct patience p = login_patience(n);
    if (!f->tls)
        return err_set(e, "%s: it has no TLS: give it --tls-cert and --tls-key, or set tls to off",
                       n->address.shown);
    n->phase = NSQ_SECURING;
    return stream_secure(&n->stream, &settings, &p, e);
}

static bool identified(struct nsq *n, struct str answer, struct err *e)
{
    struct nsq_features features;
    if (!nsq_read_features(answer, &features))
        return err_set(e, "%s: an answer that is none of nsqd's to IDENTIFY (0.2.20 or newer is needed)",
                       n->address.shown);
    n->auth_required = features.auth_required;
    return n->conf->tls ? secure(n, &features, e) : authenticate(n, e);
}

static bool next_step(struct nsq *n, const struct nsq_frame *answer, struct err *e)
{
    if (answer->kind == NSQ_ERROR) {
        nsq_explain(&n->names, answer->data, e->text, sizeof(e->text));
        return false;
    }
    if (n->login_asked > n->sent)
        return err_set(e, "%s: it answers before it has the whole command", n->address.shown);
    if (n->phase == NSQ_IDENTIFYING)
        return identified(n, answer->data, e);
    if (n->phase == NSQ_SECURING)
        return str_eq(answer->data, STR("OK"))
                   ? authenticate(n, e)
                   : err_set(e, "%s: an answer that is none of nsqd's to TLS", n->address.shown);
    n->phase = NSQ_UP;
    return true;
}

bool nsq_login_answer(struct nsq *n, const struct nsq_frame *answer)
{
    struct err e = {0};
    if (next_step(n, answer, &e))
        return true;
    nsq_lose(n, e.text);
    return false;
}

void nsq_log_in(struct nsq *n, int64_t deadline_ms)
{
    struct err e = {0};
    int64_t until = clock_mono_ms() + NSQ_CONNECT_MS;
    n->login_ms = until < deadline_ms ? until : deadline_ms;
    struct patience p = login_patience(n);
    if (!stream_dial(&n->stream, &n->dialer, &n->address, &p, &e)) {
        nsq_lose(n, e.text);
        return;
    }
    n->phase = NSQ_IDENTIFYING;
    buf_puts(&n->stream.out, "  V2");
    nsq_put_identify(&n->stream.out, n->host, n->conf->tls);
    n->login_asked = nsq_end(n);
    nsq_flush(n);
}

bool nsq_connect(void *arg, int64_t deadline_ms, struct err *e)
{
    struct nsq *n = arg;
    char late[SEND_WHY];
    n->chunk = NSQ_CHUNK; /* it may have been told another limit meanwhile */
    nsq_disconnect(n);
    nsq_log_in(n, deadline_ms);
    struct patience p = login_patience(n);
    (void)snprintf(late, sizeof(late), "%.60s: no answer in time", n->address.shown);
    while (nsq_logs_in(n)) {
        nsq_pump(n);
        if (nsq_logs_in(n) && !stream_wait(&n->stream, &p))
            nsq_lose(n, late);
    }
    return n->phase == NSQ_UP || err_set(e, "%s", n->lost);
}

/* --- without work ------------------------------------------------------------------------------------------------- */

bool nsq_idle(void *arg, int64_t deadline_ms, struct err *e)
{
    struct nsq *n = arg;
    if (n->phase != NSQ_UP)
        return nsq_connect(n, deadline_ms, e);
    nsq_pump(n);
    if (n->phase != NSQ_UP)
        return err_set(e, "%s", n->lost);
    if (clock_mono_ms() - n->stream.heard_ms < NSQ_SILENT_MS)
        return true;
    nsq_disconnect(n);
    return err_set(e, "%s: it sends no heartbeats any more", n->address.shown);
}
