/* SPDX-License-Identifier: Apache-2.0
 *
 * The MQTT target: the envelope of each event, published to one topic of a broker. Here its settings and the parts of it
 * that are pure: URLs, packets (MQTT 3.1.1, OASIS), WebSocket frames (RFC 6455).
 *
 * The protocol is our own, because the library there is (Paho C) looks names up, connects and does TLS under one lock of the
 * whole process: a broker whose name server hangs would hold up every other MQTT target beyond its deadline. */
#ifndef BELFRY_TARGET_MQTT_H
#define BELFRY_TARGET_MQTT_H

#include "target/address.h"
#include "target/target.h"

struct mqtt_conf {
    struct target_common common;
    char *broker, *topic, *username, *password, *client_cert, *client_key;
    int64_t qos, keep_alive_ms,
        reconnect_ms; /* the last is a hint without effect: the core knows when to come again */
};

extern const struct target_type target_mqtt;

#define MQTT_MAX_BATCH    100 /* unconfirmed at once: some brokers take no more */
#define MQTT_EVENT_MAX    (1u << 20)
#define MQTT_PACKET_MAX   4096 /* of what a broker says to a publisher */
#define MQTT_FRAME_MAX    (16u << 10)
#define MQTT_WS_REPLY_MAX (16u << 10)

/* --- the broker's URL */
struct mqtt_address {
    struct target_address to; /* shown: host:port */
    bool tls, ws;
    char path[512];            /* of ws and wss: with the query */
    char user[256], pass[256]; /* decoded; empty: none */
    char host_header[300];
};
/* tcp ws, and with TLS ssl tls tcps wss (also mqtt, mqtts); the port is 1883, 80, 8883, 443 where none is named. False and
 * err, which shows nothing of the URL. */
bool mqtt_parse_url(struct str text, struct mqtt_address *out, struct err *e);
/* A name one can publish to: no wildcard, valid UTF-8. */
bool mqtt_topic_ok(struct str topic);

/* --- packets */
enum mqtt_type {
    MQTT_CONNECT = 1,
    MQTT_CONNACK = 2,
    MQTT_PUBLISH = 3,
    MQTT_PUBACK = 4,
    MQTT_PUBREC = 5,
    MQTT_PUBREL = 6,
    MQTT_PUBCOMP = 7,
    MQTT_PINGREQ = 12,
    MQTT_PINGRESP = 13,
    MQTT_DISCONNECT = 14,
};
struct mqtt_packet {
    enum mqtt_type type;
    uint16_t id;  /* of PUBACK, PUBREC, PUBCOMP */
    uint8_t code; /* of CONNACK; 0: welcome */
};
enum mqtt_found { MQTT_PARTIAL, MQTT_WHOLE, MQTT_GARBAGE };
/* Takes the packet that *in begins with off it. GARBAGE: nothing that a broker says to one who only publishes. */
enum mqtt_found mqtt_take_packet(struct str *in, struct mqtt_packet *out);

struct mqtt_login {
    struct str client_id, user, pass; /* user, pass: empty: none */
    uint16_t keep_alive_s;
};
/* Appended: a new session. */
void mqtt_put_connect(struct buf *b, const struct mqtt_login *l);
/* id is of no meaning with QoS 0. */
void mqtt_put_publish(struct buf *b, const char *topic, unsigned qos, uint16_t id, struct str payload);
void mqtt_put_pubrel(struct buf *b, uint16_t id);
void mqtt_put_empty(struct buf *b, enum mqtt_type type); /* PINGREQ, DISCONNECT */

/* --- WebSocket */
enum ws_op { WS_CONTINUED = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };
/* Appended: the request to upgrade; key: 24 characters. */
void ws_put_request(struct buf *b, const struct mqtt_address *a, const char *key);
/* 16 random bytes as a key; what the other side makes of one. */
void ws_key(const uint8_t random[16], char key[25]);
void ws_accept(const char *key, char accept[29]);
/* The answer to the request, taken off *in; GARBAGE and err: it does not lead to MQTT. */
enum mqtt_found ws_take_reply(struct str *in, const char *key, const char *shown, struct err *e);
/* Appended: one whole frame, masked. */
void ws_put_frame(struct buf *b, enum ws_op op, const uint8_t mask[4], struct str payload);
struct ws_frame {
    enum ws_op op;
    struct str payload;
};
enum mqtt_found ws_take_frame(struct str *in, struct ws_frame *out);

/* --- what its answers mean */
struct mqtt_names {
    const char *shown; /* host:port */
    const char *id;    /* of the target, for the name of a variable */
};
/* A CONNACK that is no welcome. */
void mqtt_explain(const struct mqtt_names *names, uint8_t code, char *why, size_t why_n);

#endif
