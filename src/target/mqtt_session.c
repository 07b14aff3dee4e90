/* SPDX-License-Identifier: Apache-2.0
 *
 * MQTT's session: what comes from the broker, and what follows from it for the events that are out. */
#include <stdio.h>

#include "base/clock.h"
#include "base/hash.h"
#include "target/mqtt_impl.h"

void mqtt_say(struct mqtt *m)
{
    uint8_t mask[4];
    if (m->ws) {
        hash_random(mask, sizeof(mask));
        ws_put_frame(&m->stream.out, WS_BINARY, mask, buf_view(&m->packet));
    } else {
        buf_str(&m->stream.out, buf_view(&m->packet));
    }
    buf_reset(&m->packet);
}

void mqtt_ping(struct mqtt *m)
{
    mqtt_put_empty(&m->packet, MQTT_PINGREQ);
    mqtt_say(m);
    m->pinged = true;
    m->ping_serial = m->serial;
}

void mqtt_judge(struct mqtt *m, struct mqtt_place *p, enum send_result r, const char *why)
{
    if (p->id)
        m->place_of[p->id] = 0;
    m->n_published -= p->state == MQTT_OUT || p->state == MQTT_RELEASED;
    m->n_out--;
    p->state = MQTT_JUDGED;
    p->result = r;
    if (r != SEND_OK && p->ev->why)
        (void)snprintf(p->ev->why, SEND_WHY, "%s", why);
}

void mqtt_lose(struct mqtt *m, const char *why)
{
    if (!m->lost[0])
        (void)snprintf(m->lost, sizeof(m->lost), "%s", why);
    stream_close(&m->stream);
    m->welcome = m->ws = m->pinged = false;
    for (size_t i = 0; i < MQTT_MAX_BATCH; i++)
        if (m->place[i].state != MQTT_FREE && m->place[i].state != MQTT_JUDGED)
            mqtt_judge(m, &m->place[i], SEND_RETRY, m->lost);
}

/* --- packets ------------------------------------------------------------------------------------------------------ */

static bool no_mqtt(struct mqtt *m, const char *what)
{
    char why[SEND_WHY];
    (void)snprintf(why, sizeof(why), "%.60s: %s", m->address.to.shown, what);
    mqtt_lose(m, why);
    return false;
}

/* PUBACK, PUBREC, PUBCOMP: of an event that waits for just that. */
static bool acknowledged(struct mqtt *m, const struct mqtt_packet *k)
{
    unsigned at = m->place_of[k->id];
    struct mqtt_place *p = at ? &m->place[at - 1] : NULL;
    int64_t qos = m->conf->qos;
    if (p && k->type == MQTT_PUBACK && qos == 1 && p->state == MQTT_OUT) {
        mqtt_judge(m, p, SEND_OK, NULL);
    } else if (p && k->type == MQTT_PUBREC && qos == 2) { /* twice is once */
        p->state = MQTT_RELEASED;
        mqtt_put_pubrel(&m->packet, k->id);
        mqtt_say(m);
    } else if (p && k->type == MQTT_PUBCOMP && qos == 2 && p->state == MQTT_RELEASED) {
        mqtt_judge(m, p, SEND_OK, NULL);
    } else {
        return no_mqtt(m, "it acknowledges what was never sent");
    }
    return true;
}

/* The broker has read everything that went before the PINGREQ. */
static bool pong(struct mqtt *m)
{
    if (!m->pinged)
        return no_mqtt(m, "it answers a ping that was never sent");
    m->pinged = false;
    for (size_t i = 0; m->conf->qos == 0 && i < MQTT_MAX_BATCH; i++)
        if (m->place[i].state == MQTT_OUT && m->place[i].serial <= m->ping_serial)
            mqtt_judge(m, &m->place[i], SEND_OK, NULL);
    return true;
}

static bool take(struct mqtt *m, const struct mqtt_packet *k)
{
    char why[SEND_WHY];
    if (!m->welcome) {
        if (k->type != MQTT_CONNACK)
            return no_mqtt(m, "it does not answer as an MQTT broker does");
        m->welcome = k->code == 0;
        if (m->welcome)
            return true;
        mqtt_explain(&m->names, k->code, why, sizeof(why));
        mqtt_lose(m, why);
        return false;
    }
    if (k->type == MQTT_PINGRESP)
        return pong(m);
    if (k->type == MQTT_CONNACK)
        return no_mqtt(m, "it welcomes twice");
    return acknowledged(m, k);
}

static bool take_packets(struct mqtt *m, struct buf *from)
{
    struct mqtt_packet k;
    struct str rest = buf_view(from);
    enum mqtt_found found;
    while ((found = mqtt_take_packet(&rest, &k)) == MQTT_WHOLE)
        if (!take(m, &k))
            return false;
    if (found == MQTT_GARBAGE)
        return no_mqtt(m, str_starts(rest, STR("HTTP/"))
                              ? "it speaks HTTP: begin broker with ws://, or name its port for MQTT"
                              : "it does not answer as an MQTT broker does");
    buf_consume(from, from->len - rest.n);
    return true;
}

/* --- frames ------------------------------------------------------------------------------------------------------- */

/* Packets may begin and end anywhere in frames. */
static bool take_frames(struct mqtt *m)
{
    struct ws_frame f;
    struct str rest = buf_view(&m->stream.in);
    enum mqtt_found found;
    uint8_t mask[4];
    while ((found = ws_take_frame(&rest, &f)) == MQTT_WHOLE) {
        if (f.op == WS_CLOSE || f.op == WS_TEXT)
            return no_mqtt(m, f.op == WS_CLOSE ? "it closed the connection" : "it sends text");
        if (f.op == WS_PING) {
            hash_random(mask, sizeof(mask));
            ws_put_frame(&m->stream.out, WS_PONG, mask, f.payload);
        } else if (f.op != WS_PONG) {
            buf_str(&m->packets, f.payload);
            if (m->packets.failed)
                return no_mqtt(m, "it does not answer as an MQTT broker does");
            if (!take_packets(m, &m->packets))
                return false;
        }
    }
    if (found == MQTT_GARBAGE || m->stream.out.failed)
        return no_mqtt(m, "it does not answer as a WebSocket server does");
    buf_consume(&m->stream.in, m->stream.in.len - rest.n);
    return true;
}

void mqtt_pump(struct mqtt *m)
{
    struct err e = {0};
    size_t before;
    do { /* what is taken makes room for more */
        if (m->stream.fd < 0)
            return;
        stream_flush(&m->stream);
        stream_fill(&m->stream);
        before = m->stream.in.len;
        if (!(m->ws ? take_frames(m) : take_packets(m, &m->stream.in)))
            return;
    } while (before > MQTT_FRAME_MAX && m->stream.in.len < before);
    stream_flush(&m->stream);
    if (m->stream.ended) {
        m->cut = true;
        (void)stream_lost(&m->stream, m->address.to.shown, &e);
        mqtt_lose(m, e.text);
    }
}
