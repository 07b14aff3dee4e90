/* SPDX-License-Identifier: Apache-2.0
 *
 * NATS' instance: settings, connection, login, and the look at the server while there is nothing to send. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/hash.h"
#include "target/nats_impl.h"

static bool check_modes(const struct nats_conf *c, struct err *e)
{
    if (c->jetstream && c->streaming)
        return err_set(
            e, "jetstream and streaming (MINIO_NOTIFY_NATS_JETSTREAM and _STREAMING) cannot both be on");
    if (c->streaming && !c->streaming_cluster_id[0])
        return err_set(e, "streaming needs streaming_cluster_id (MINIO_NOTIFY_NATS_STREAMING_CLUSTER_ID): "
                          "empty cluster id");
    if (strlen(c->streaming_cluster_id) > 200)
        return err_set(e, "streaming_cluster_id is longer than 200 bytes");
    return true;
}

bool nats_check(const void *arg, struct err *e)
{
    const struct nats_conf *c = arg;
    struct target_address address;
    if (!nats_parse_address(str_c(c->address), &address, e) || !nats_subject_ok(str_c(c->subject), e))
        return false;
    if (!c->username[0] != !c->password[0])
        return err_set(e, "username and password (MINIO_NOTIFY_NATS_USERNAME and _PASSWORD) must be "
                          "specified as a pair");
    if (!c->client_cert[0] != !c->client_key[0])
        return err_set(
            e, "client_cert and client_key (MINIO_NOTIFY_NATS_CLIENT_CERT and _KEY) have to be set together");
    if (c->nkey_seed[0] && c->user_credentials[0])
        return err_set(e,
                       "nkey_seed and user_credentials (MINIO_NOTIFY_NATS_NKEY_SEED and _USER_CREDENTIALS) "
                       "cannot both be set");
    if (c->tls_handshake_first && !c->tls)
        return err_set(e, "tls_handshake_first needs tls=on (MINIO_NOTIFY_NATS_TLS)");
    return check_modes(c, e);
}

/* The library's default is 16,384. */
unsigned nats_max_acks(const struct nats_conf *c)
{
    int64_t most = c->streaming_max_pub_acks_in_flight;
    if (!c->streaming)
        return NATS_BATCH;
    if (!c->streaming_async)
        return 1;
    return most > 0 && most < NATS_MAX_BATCH ? (unsigned)most : NATS_MAX_BATCH;
}

unsigned nats_places(const void *conf)
{
    unsigned acks = nats_max_acks(conf);
    return acks > NATS_BATCH ? acks : NATS_BATCH;
}

void *nats_open(const void *conf, const char *id, struct err *e)
{
    const struct nats_conf *c = conf;
    struct nats *n = x_calloc(1, sizeof(*n));
    n->conf = c;
    n->id = x_strdup(id);
    n->mode = c->jetstream ? NATS_JETSTREAM : c->streaming ? NATS_STREAMING : NATS_CORE;
    n->max_out = nats_max_acks(c);
    stream_init(&n->stream, NATS_AHEAD + 2 * NATS_EVENT_MAX, 2 * NATS_LINE_MAX);
    buf_init(&n->body, NATS_EVENT_MAX);
    buf_init(&n->packet, NATS_EVENT_MAX + 4096);
    buf_init(&n->id_text, 1024);
    atomic_store(&n->hasten_ms, INT64_MAX);
    n->look_ms = INT64_MAX;
    (void)snprintf(n->lost, sizeof(n->lost), "not connected");
    n->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!nats_parse_address(str_c(c->address), &n->address, e) ||
        (n->wake_fd < 0 && !err_errno(e, "no eventfd"))) {
        nats_close(n);
        return NULL;
    }
    n->names = (struct nats_names){n->address.shown, n->id, c->subject};
    return n;
}

void nats_disconnect(void *arg)
{
    struct nats *n = arg;
    if (n->phase == NATS_UP && n->mode == NATS_STREAMING) { /* in good order, as far as it goes at once */
        buf_reset(&n->packet);
        stan_put_close(&n->packet, &n->stan);
        if (n->stan.close[0])
            nats_put_pub(&n->stream.out, str_c(n->stan.close), (struct str){0}, buf_view(&n->packet));
        stream_flush(&n->stream);
    }
    nats_lose(n, STR("not connected"));
    n->n_judged = 0;
    for (size_t i = 0; i < NATS_MAX_BATCH; i++)
        n->place[i].state = NATS_FREE;
}

void nats_close(void *arg)
{
    struct nats *n = arg;
    nats_disconnect(n);
    stream_release(&n->stream);
    dialer_release(&n->dialer);
    buf_release(&n->body);
    buf_release(&n->packet);
    buf_release(&n->id_text);
    if (n->wake_fd >= 0)
        (void)close(n->wake_fd);
    free(n->id);
    free(n);
}

void nats_hasten(void *arg, int64_t deadline_ms)
{
    struct nats *n = arg; /* whoever waits looks at it ten times a second */
    atomic_store(&n->hasten_ms, deadline_ms);
}

/* --- connecting --------------------------------------------------------------------------------------------------- */

static struct patience patience_of(struct nats *n, int64_t deadline_ms)
{
    int64_t until = clock_mono_ms() + NATS_CONNECT_MS;
    return (struct patience){until < deadline_ms ? until : deadline_ms, &n->hasten_ms};
}

static struct secure_settings settings_of(const struct nats *n)
{
    const struct nats_conf *c = n->conf;
    return (struct secure_settings){.host = n->address.host,
                                    .shown = n->address.shown,
                                    .ca_pem = c->common.ca_pem,
                                    .ca_file = c->cert_authority,
                                    .cert = c->client_cert,
                                    .key = c->client_key,
                                    .skip_verify = c->tls_skip_verify};
}

/* Files that cannot be used are named whether or not the server asks for TLS. */
static bool files_ok(const struct nats *n, struct err *e)
{
    const struct secure_settings s = settings_of(n);
    struct err why = {0};
    SSL *ssl = NULL;
    if (!n->conf->cert_authority[0] && !n->conf->client_cert[0])
        return true;
    ssl = secure_client(&s, &why);
    bool ok = ssl || err_set(e, "%s: %s", n->address.shown, why.text);
    SSL_free(ssl); /* NULL is fine */
    return ok;
}

/* A server that takes no certificate of ours, or wants one, says so within the handshake: then it is explained. */
static bool secure(struct nats *n, const struct patience *p, struct err *e)
{
    const struct secure_settings s = settings_of(n);
    struct err why = {0};
    if (stream_secure(&n->stream, &s, p, &why))
        return true;
    size_t shown = strlen(n->address.shown) + 2;
    if (strstr(why.text, " alert ") && strlen(why.text) > shown)
        nats_explain(&n->names, str_c(why.text + shown), e->text, sizeof(e->text));
    else
        (void)err_set(e, "%s", why.text);
    return false;
}

/* Goes on until the phase is over. False and err: it was lost, or the time is over. */
static bool await(struct nats *n, bool (*over)(const struct nats *n), const char *late,
                  const struct patience *p, struct err *e)
{
    for (;;) {
        nats_pump(n);
        if (n->phase == NATS_CLOSED)
            return err_set(e, "%s", n->lost);
        if (over(n))
            return true;
        if (!stream_wait(&n->stream, p)) {
            nats_lose(n, str_c(late));
            return err_set(e, "%s", n->lost);
        }
    }
}

static bool is_greeted(const struct nats *n)
{
    return n->greeted;
}

static bool has_logged_in(const struct nats *n)
{
    return n->phase > NATS_LOGIN;
}

static bool is_up(const struct nats *n)
{
    return n->phase == NATS_UP;
}

static bool greet(struct nats *n, const struct patience *p, struct err *e)
{
    bool first = n->conf->tls_handshake_first;
    if ((first && !secure(n, p, e)) || !await(n, is_greeted, "no answer in time to the connection", p, e))
        return false;
    if (first || (!n->info.tls_required && !n->conf->tls))
        return true;
    if (!n->info.tls_required && !n->info.tls_available) {
        nats_explain(&n->names, STR("Secure Connection not available"), e->text, sizeof(e->text));
        return false;
    }
    return secure(n, p, e);
}

static void random_hex(char *out, size_t n)
{
    uint8_t raw[12];
    hash_random(raw, sizeof(raw));
    hex_lower(raw, n / 2, out);
    out[n] = 0;
}

static bool log_in(struct nats *n, const struct patience *p, struct err *e)
{
    struct err why = {0};
    if (n->mode == NATS_JETSTREAM && !n->info.headers)
        return err_set(e, "%s: it knows no headers, and so no JetStream: nats-server 2.2 or newer is needed",
                       n->address.shown);
    if (!nats_say_connect(n, &why))
        return err_set(e, "%s: %s", n->address.shown, why.text);
    memcpy(n->inbox, "_INBOX.", 7);
    random_hex(n->inbox + 7, 22);
    if (n->mode != NATS_CORE)
        nats_put_sub(&n->stream.out, n->inbox);
    nats_ping(n);
    n->phase = NATS_LOGIN;
    return await(n, has_logged_in, "no answer in time to the login", p, e);
}

/* NATS Streaming: a session with the server of that cluster, under a name of its own. */
static bool join(struct nats *n, const struct patience *p, struct err *e)
{
    char inbox[40];
    struct stan_session *s = &n->stan;
    struct buf to;
    if (n->mode != NATS_STREAMING)
        return true;
    *s = (struct stan_session){.client = "belfry-"};
    random_hex(s->client + 7, 24);
    random_hex(s->conn, 22);
    buf_init(&to, 512);
    buf_puts(&to, "_STAN.discover.");
    buf_puts(&to, n->conf->streaming_cluster_id);
    buf_reset(&n->packet);
    stan_put_connect(&n->packet, s, nats_inbox(n, 'h', inbox).p);
    nats_put_pub(&n->stream.out, buf_view(&to), nats_inbox(n, 'c', inbox), buf_view(&n->packet));
    buf_release(&to);
    return await(n, is_up, "connect request timeout", p, e);
}

bool nats_connect(void *arg, int64_t deadline_ms, struct err *e)
{
    struct nats *n = arg;
    struct patience p = patience_of(n, deadline_ms);
    nats_disconnect(n);
    n->greeted = n->stan_pinged = n->forgotten = false;
    n->asked = n->published = n->serial;
    n->max_out = nats_max_acks(n->conf);
    if (!files_ok(n, e) || !stream_dial(&n->stream, &n->dialer, &n->address, &p, e))
        return false;
    n->phase = NATS_GREETING;
    if (greet(n, &p, e) && log_in(n, &p, e) && join(n, &p, e))
        return true;
    nats_lose(n, STR("not connected"));
    return false;
}

/* --- without work ------------------------------------------------------------------------------------------------- */

static bool is_there(const struct nats *n)
{
    return n->n_pings == 0 && !n->stan_pinged;
}

bool nats_idle(void *arg, int64_t deadline_ms, struct err *e)
{
    struct nats *n = arg;
    struct patience p = patience_of(n, deadline_ms);
    char inbox[40];
    if (n->phase != NATS_UP)
        return nats_connect(n, deadline_ms, e);
    nats_ping(n);
    if (n->stan.ping[0] && n->mode == NATS_STREAMING) {
        buf_reset(&n->packet);
        stan_put_ping(&n->packet, &n->stan);
        nats_put_pub(&n->stream.out, str_c(n->stan.ping), nats_inbox(n, 'p', inbox), buf_view(&n->packet));
        n->stan_pinged = true;
    }
    if (await(n, is_there, "no answer in time to PING", &p, e))
        return true;
    /* NATS Streaming forgets who answers its heartbeats late, as an idle client may: that is no trouble with the server. */
    return n->forgotten && nats_connect(n, deadline_ms, e);
}
