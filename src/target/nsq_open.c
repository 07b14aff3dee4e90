/* SPDX-License-Identifier: Apache-2.0
 *
 * NSQ's instance: settings, connection and login, and the look at nsqd while there is nothing to send. */
#include <stdio.h>
#include <stdlib.h>
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
    stream_init(&n->stream, NSQ_CHUNK + 2 * NSQ_EVENT_MAX, NSQ_FRAME_MAX + 8);
    buf_init(&n->answer, NSQ_FRAME_MAX);
    atomic_store(&n->hasten_ms, INT64_MAX);
    if (gethostname(n->host, sizeof(n->host) - 1) != 0)
        (void)snprintf(n->host, sizeof(n->host), "localhost");
    if (!nsq_parse_address(str_c(n->conf->nsqd_address), &n->address, e)) {
        nsq_close(n);
        return NULL;
    }
    n->names = (struct nsq_names){n->address.shown, n->id, n->conf->topic};
    return n;
}

void nsq_disconnect(void *arg)
{
    struct nsq *n = arg;
    stream_close(&n->stream);
}

void nsq_close(void *arg)
{
    struct nsq *n = arg;
    stream_release(&n->stream);
    dialer_release(&n->dialer);
    buf_release(&n->answer);
    free(n->id);
    free(n);
}

void nsq_hasten(void *arg, int64_t deadline_ms)
{
    struct nsq *n = arg; /* whoever waits looks at it ten times a second */
    atomic_store(&n->hasten_ms, deadline_ms);
}

void nsq_meanwhile(void *arg, struct meanwhile m)
{
    struct nsq *n = arg;
    n->meanwhile = m;
}

struct patience nsq_patience(struct nsq *n, int64_t deadline_ms, int64_t most_ms)
{
    int64_t until = clock_mono_ms() + most_ms;
    return (struct patience){until < deadline_ms ? until : deadline_ms, &n->hasten_ms};
}

/* --- login -------------------------------------------------------------------------------------------------------- */

/* Sends what is in `out`; false and err when the answer is an error, or none. */
static bool ask(struct nsq *n, struct nsq_frame *answer, const struct patience *p, struct err *e)
{
    if (!nsq_exchange(n, answer, p, e))
        return false;
    if (answer->kind != NSQ_ERROR)
        return true;
    nsq_explain(&n->names, answer->data, e->text, sizeof(e->text));
    return false;
}

static bool secure(struct nsq *n, const struct nsq_features *f, const struct patience *p, struct err *e)
{
    const struct nsq_conf *c = n->conf;
    const struct secure_settings settings = {.host = n->address.host,
                                             .shown = n->address.shown,
                                             .ca_pem = c->common.ca_pem,
                                             .cert = c->client_cert,
                                             .key = c->client_key,
                                             .skip_verify = c->tls_skip_verify};
    struct nsq_frame answer;
    if (!c->tls)
        return true;
    if (!f->tls)
        return err_set(e, "%s: it has no TLS: give it --tls-cert and --tls-key, or set tls to off",
                       n->address.shown);
    if (!stream_secure(&n->stream, &settings, p, e) || !ask(n, &answer, p, e))
        return false;
    return str_eq(answer.data, STR("OK")) ||
           err_set(e, "%s: an answer that is none of nsqd's to TLS", n->address.shown);
}

static bool authenticate(struct nsq *n, const struct nsq_features *f, const struct patience *p, struct err *e)
{
    struct nsq_frame answer;
    if (!f->auth_required)
        return true;
    if (!n->conf->auth_secret[0]) {
        nsq_explain(&n->names, STR("E_AUTH_FIRST"), e->text, sizeof(e->text));
        return false;
    }
    nsq_put_auth(&n->stream.out, n->conf->auth_secret);
    return ask(n, &answer, p, e);
}

static bool log_in(struct nsq *n, const struct patience *p, struct err *e)
{
    struct nsq_frame answer;
    struct nsq_features features;
    buf_puts(&n->stream.out, "  V2");
    nsq_put_identify(&n->stream.out, n->host, n->conf->tls);
    if (!ask(n, &answer, p, e))
        return false;
    if (!nsq_read_features(answer.data, &features))
        return err_set(e, "%s: an answer that is none of nsqd's to IDENTIFY (0.2.20 or newer is needed)",
                       n->address.shown);
    return secure(n, &features, p, e) && authenticate(n, &features, p, e);
}

/* An nsqd that asks for a certificate hangs up when there is none. */
static bool explain_cut(const struct nsq *n, const struct err *why, struct err *e)
{
    bool named = strcmp(n->id, "_") != 0;
    if (n->cut && n->conf->tls && !n->conf->client_cert[0])
        return err_set(e,
                       "%.300s (if it asks for a certificate, set MINIO_NOTIFY_NSQ_CLIENT_CERT%s%s and _KEY)",
                       why->text, named ? "_" : "", named ? n->id : "");
    return err_set(e, "%s", why->text);
}

bool nsq_reconnect(struct nsq *n, int64_t deadline_ms, struct err *e)
{
    struct patience p = nsq_patience(n, deadline_ms, NSQ_CONNECT_MS);
    struct err why = {0};
    nsq_disconnect(n);
    n->cut = false;
    if (stream_dial(&n->stream, &n->dialer, &n->address, &p, &why) && log_in(n, &p, &why))
        return true;
    nsq_disconnect(n);
    return explain_cut(n, &why, e);
}

bool nsq_connect(void *arg, int64_t deadline_ms, struct err *e)
{
    struct nsq *n = arg;
    n->chunk = NSQ_CHUNK; /* it may have been told another limit meanwhile */
    return nsq_reconnect(n, deadline_ms, e);
}

/* --- without work ------------------------------------------------------------------------------------------------- */

bool nsq_idle(void *arg, int64_t deadline_ms, struct err *e)
{
    struct nsq *n = arg;
    if (n->stream.fd < 0)
        return nsq_connect(n, deadline_ms, e);
    if (!nsq_quiet(n, e))
        return false;
    if (clock_mono_ms() - n->stream.heard_ms < NSQ_SILENT_MS)
        return true;
    nsq_disconnect(n);
    return err_set(e, "%s: it sends no heartbeats any more", n->address.shown);
}
