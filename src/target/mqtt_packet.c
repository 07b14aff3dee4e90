/* SPDX-License-Identifier: Apache-2.0
 *
 * MQTT 3.1.1 packets, as far as one who only publishes needs them. */
#include "target/mqtt.h"

/* --- out ---------------------------------------------------------------------------------------------------------- */

/* The first byte, and the length of what follows: 7 bits a byte. */
static void put_head(struct buf *b, enum mqtt_type type, unsigned flags, size_t n)
{
    BUG_ON(n > 268435455);
    buf_char(b, (char)((unsigned)type << 4 | flags));
    buf_varint(b, n); /* LEB128 is what MQTT calls variable byte integer */
}

static void put_u16(struct buf *b, size_t v)
{
    buf_char(b, (char)(v >> 8));
    buf_char(b, (char)v);
}

static void put_text(struct buf *b, struct str s)
{
    put_u16(b, s.n);
    buf_str(b, s);
}

void mqtt_put_connect(struct buf *b, const struct mqtt_login *l)
{
    unsigned flags = 0x02; /* a new session: what of an old one is unconfirmed is sent again by the core */
    size_t n = 10 + 2 + l->client_id.n;
    if (l->user.n > 0) {
        flags |= 0x80;
        n += 2 + l->user.n;
    }
    if (l->user.n > 0 && l->pass.n > 0) {
        flags |= 0x40;
        n += 2 + l->pass.n;
    }
    put_head(b, MQTT_CONNECT, 0, n);
    put_text(b, STR("MQTT"));
    buf_char(b, 4); /* 3.1.1 */
    buf_char(b, (char)flags);
    put_u16(b, l->keep_alive_s);
    put_text(b, l->client_id);
    if (flags & 0x80)
        put_text(b, l->user);
    if (flags & 0x40)
        put_text(b, l->pass);
}

void mqtt_put_publish(struct buf *b, const char *topic, unsigned qos, uint16_t id, struct str payload)
{
    struct str t = str_c(topic);
    put_head(b, MQTT_PUBLISH, qos << 1, 2 + t.n + (qos > 0 ? 2 : 0) + payload.n);
    put_text(b, t);
    if (qos > 0)
        put_u16(b, id);
    buf_str(b, payload);
}

void mqtt_put_pubrel(struct buf *b, uint16_t id)
{
    put_head(b, MQTT_PUBREL, 0x02, 2);
    put_u16(b, id);
}

void mqtt_put_empty(struct buf *b, enum mqtt_type type)
{
    put_head(b, type, 0, 0);
}

/* --- in ----------------------------------------------------------------------------------------------------------- */

/* How long each packet is that a broker may send. */
static int length_of(unsigned type)
{
    switch (type) {
    case MQTT_CONNACK:
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBCOMP:
        return 2;
    case MQTT_PINGRESP:
        return 0;
    default:
        return -1;
    }
}

enum mqtt_found mqtt_take_packet(struct str *in, struct mqtt_packet *out)
{
    if (in->n == 0)
        return MQTT_PARTIAL;
    unsigned head = (unsigned char)in->p[0];
    int n = length_of(head >> 4);
    if (n < 0 || (head & 0x0f) != 0 || (in->n > 1 && in->p[1] != n))
        return MQTT_GARBAGE;
    if (in->n < 2 + (size_t)n)
        return MQTT_PARTIAL;
    *out = (struct mqtt_packet){.type = (enum mqtt_type)(head >> 4)};
    if (out->type == MQTT_CONNACK)
        out->code = (uint8_t)in->p[3];
    else if (n == 2)
        out->id = (uint16_t)((unsigned char)in->p[2] << 8 | (unsigned char)in->p[3]);
    *in = str_from(*in, 2 + (size_t)n);
    return MQTT_WHOLE;
}
