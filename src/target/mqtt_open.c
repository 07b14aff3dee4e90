/* SPDX-License-Identifier: Apache-2.0
 *
 * MQTT's instance: settings, connection and login, and the look at the broker while there is nothing to send. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "target/mqtt_impl.h"

bool mqtt_check(const void *arg, struct err *e)
{
    const struct mqtt_conf *c = arg;
    struct mqtt_address a;
    if (!mqtt_parse_url(str_c(c->broker), &a, e))
        return false;
    if (!mqtt_topic_ok(str_c(c->topic)))
        return err_set(
            e,
            "topic must be a name to publish to: 1 to 1024 bytes, without # and + (MINIO_NOTIFY_MQTT_TOPIC)");
    if (c->qos < 0 || c->qos > 2)
        return err_set(e, "qos must be 0, 1 or 2 (MINIO_NOTIFY_MQTT_QOS)");
    if (c->qos == 0 && c->common.queue_dir[0])
        return err_set(e, "qos should be set to 1 or 2 if queue_dir is set (MINIO_NOTIFY_MQTT_QOS)");
    if (c->password[0] && !c->username[0])
        return err_set(e, "password needs a username (MINIO_NOTIFY_MQTT_USERNAME): MQTT knows none without");
    if (strlen(c->username) > 4096 || strlen(c->password) > 4096)
        return err_set(e, "username and password may be 4096 bytes long");
    if (!c->client_cert[0] != !c->client_key[0])
        return err_set(
            e, "client_cert and client_key (MINIO_NOTIFY_MQTT_CLIENT_CERT and _KEY) have to be set together");
    if (c->client_cert[0] && !a.tls)
        return err_set(e, "client_cert is of use only with a broker of ssl://, tls://, tcps:// or wss://");
    return true;
}

void *mqtt_open(const void *conf, const char *id, struct err *e)
{
    struct mqtt *m = x_calloc(1, sizeof(*m));
    m->conf = conf;
    m->id = x_strdup(id);
    stream_init(&m->stream, 256u << 20, 2 * MQTT_FRAME_MAX);
    m->stream.quick_ack = true;
    buf_init(&m->packets, 2 * MQTT_FRAME_MAX);
    buf_init(&m->payload, 8u << 20);
    buf_init(&m->packet, 16u << 20);
    atomic_store(&m->hasten_ms, INT64_MAX);
    (void)snprintf(m->lost, sizeof(m->lost), "not connected");
    m->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!mqtt_parse_url(str_c(m->conf->broker), &m->address, e) ||
        (m->wake_fd < 0 && !err_errno(e, "no eventfd"))) {
        mqtt_close(m);
        return NULL;
    }
    m->names = (struct mqtt_names){m->address.to.shown, m->id};
    return m;
}

void mqtt_disconnect(void *arg)
{
    struct mqtt *m = arg;
    if (m->welcome) { /* in good order, as far as it goes at once */
        mqtt_put_empty(&m->packet, MQTT_DISCONNECT);
        mqtt_say(m);
        stream_flush(&m->stream);
    }
    mqtt_lose(m, "not connected");
    for (size_t i = 0; i < MQTT_MAX_BATCH; i++)
        m->place[i].state = MQTT_FREE;
}

void mqtt_close(void *arg)
{
    struct mqtt *m = arg;
    mqtt_disconnect(m);
    stream_release(&m->stream);
    dialer_release(&m->dialer);
    buf_release(&m->packets);
    buf_release(&m->payload);
    buf_release(&m->packet);
    if (m->wake_fd >= 0)
        (void)close(m->wake_fd);
    free(m->id);
    free(m);
}

void mqtt_hasten(void *arg, int64_t deadline_ms)
{
    struct mqtt *m = arg; /* whoever waits looks at it ten times a second */
    atomic_store(&m->hasten_ms, deadline_ms);
}

/* --- login -------------------------------------------------------------------------------------------------------- */

static bool upgrade(struct mqtt *m, const struct patience *p, struct err *e)
{
    uint8_t random[16];
    char key[25];
    enum mqtt_found found = MQTT_PARTIAL;
    if (!m->address.ws)
        return true;
    hash_random(random, sizeof(random));
    ws_key(random, key);
    ws_put_request(&m->stream.out, &m->address, key);
    while (found == MQTT_PARTIAL) {
        stream_flush(&m->stream);
        stream_fill(&m->stream);
        struct str rest = buf_view(&m->stream.in);
        found = ws_take_reply(&rest, key, m->address.to.shown, e);
        if (found == MQTT_WHOLE)
            buf_consume(&m->stream.in, m->stream.in.len - rest.n);
        else if (found == MQTT_PARTIAL && m->stream.ended)
            return stream_lost(&m->stream, m->address.to.shown, e);
        else if (found == MQTT_PARTIAL && !stream_wait(&m->stream, p))
            return err_set(e, "%s: no answer in time to the WebSocket upgrade", m->address.to.shown);
    }
    m->ws = found == MQTT_WHOLE;
    return m->ws;
}

static uint16_t keep_alive(const struct mqtt_conf *c)
{
    int64_t s = c->keep_alive_ms / 1000;
    return (uint16_t)(s < MQTT_KEEP_ALIVE_S ? MQTT_KEEP_ALIVE_S : s > 65535 ? 65535 : s);
}

static bool greet(struct mqtt *m, const struct patience *p, struct err *e)
{
    const struct mqtt_address *a = &m->address;
    uint8_t random[8];
    char client[17];
    hash_random(random, sizeof(random));
    for (unsigned i = 0; i < 8; i++)
        (void)snprintf(client + 2 * i, 3, "%02x", random[i]);
    bool in_url = a->user[0];
    struct mqtt_login l = {.client_id = str_c(client),
                           .user = str_c(in_url ? a->user : m->conf->username),
                           .pass = str_c(in_url ? a->pass : m->conf->password),
                           .keep_alive_s = keep_alive(m->conf)};
    mqtt_put_connect(&m->packet, &l);
    mqtt_say(m);
    for (;;) {
        mqtt_pump(m);
        if (m->welcome)
            return true;
        if (m->stream.fd < 0)
            return err_set(e, "%s", m->lost);
        if (!stream_wait(&m->stream, p))
            return err_set(e, "%s: no answer in time to the login", a->to.shown);
    }
}

static bool secure(struct mqtt *m, const struct patience *p, struct err *e)
{
    const struct secure_settings s = {.host = m->address.to.host,
                                      .shown = m->address.to.shown,
                                      .ca_pem = m->conf->common.ca_pem,
                                      .cert = m->conf->client_cert,
                                      .key = m->conf->client_key};
    return !m->address.tls || stream_secure(&m->stream, &s, p, e);
}

/* A broker that hangs up during the login often does so because it expects what is not set here. */
static bool explain_cut(const struct mqtt *m, const struct err *why, struct err *e)
{
    bool named = strcmp(m->id, "_") != 0;
    const char *line = named ? "_" : "", *id = named ? m->id : "";
    if (m->cut && !m->address.tls)
        return err_set(
            e,
            "%.300s (if it expects TLS or WebSocket, MINIO_NOTIFY_MQTT_BROKER%s%s has to begin with "
            "ssl://, ws:// or wss://)",
            why->text, line, id);
    if (m->cut && !m->conf->client_cert[0])
        return err_set(
            e, "%.300s (if it asks for a certificate, set MINIO_NOTIFY_MQTT_CLIENT_CERT%s%s and _KEY)",
            why->text, line, id);
    return err_set(e, "%s", why->text);
}

bool mqtt_connect(void *arg, int64_t deadline_ms, struct err *e)
{
    struct mqtt *m = arg;
    struct err why = {0};
    int64_t until = clock_mono_ms() + MQTT_CONNECT_MS;
    struct patience p = {until < deadline_ms ? until : deadline_ms, &m->hasten_ms};
    mqtt_disconnect(m);
    m->lost[0] = 0;
    m->cut = false;
    buf_reset(&m->packets);
    buf_reset(&m->packet);
    if (stream_dial(&m->stream, &m->dialer, &m->address.to, &p, &why) && secure(m, &p, &why) &&
        upgrade(m, &p, &why) && greet(m, &p, &why))
        return true;
    mqtt_lose(m, why.text);
    return explain_cut(m, &why, e);
}

/* --- without work ------------------------------------------------------------------------------------------------- */

bool mqtt_idle(void *arg, int64_t deadline_ms, struct err *e)
{
    struct mqtt *m = arg;
    int64_t until = clock_mono_ms() + MQTT_CONNECT_MS;
    struct patience p = {until < deadline_ms ? until : deadline_ms, &m->hasten_ms};
    if (!m->welcome)
        return mqtt_connect(m, deadline_ms, e);
    if (!m->pinged)
        mqtt_ping(m);
    for (;;) {
        mqtt_pump(m);
        if (!m->welcome)
            return err_set(e, "%s", m->lost);
        if (!m->pinged)
            return true;
        if (!stream_wait(&m->stream, &p)) {
            (void)err_set(e, "%s: no answer in time to a ping", m->address.to.shown);
            mqtt_lose(m, e->text);
            return false;
        }
    }
}
