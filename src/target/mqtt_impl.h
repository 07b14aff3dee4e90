/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files that make up mqtt: the instance, its session, and the events that are out. */
#ifndef BELFRY_TARGET_MQTT_IMPL_H
#define BELFRY_TARGET_MQTT_IMPL_H

#include <stdatomic.h>

#include "target/dial.h"
#include "target/mqtt.h"
#include "target/stream.h"

#define MQTT_CONNECT_MS 5000
#define MQTT_ANSWER_MS  30000
/* Mosquitto takes 20 exchanges of QoS 2 at once unless it is told otherwise, and then leaves what is beyond that lying. */
#define MQTT_QOS2_OUT     16
#define MQTT_KEEP_ALIVE_S 20 /* the least we promise: without work a ping goes every 5 s */

enum mqtt_place_state {
    MQTT_FREE,
    MQTT_QUEUED, /* QoS 2: not published yet, as many are out already as a broker may take */
    MQTT_OUT,
    MQTT_RELEASED, /* QoS 2: PUBREL went after PUBREC */
    MQTT_JUDGED,
};
struct mqtt_place {
    enum mqtt_place_state state;
    enum send_result result;
    const struct event_ref *ev;
    int64_t deadline_ms;
    uint64_t serial; /* in the order of begin */
    uint16_t id;     /* of its packet; 0: QoS 0 */
};

struct mqtt {
    const struct mqtt_conf *conf;
    char *id;
    struct mqtt_address address;
    struct mqtt_names names;
    struct dialer dialer;
    struct stream stream;
    bool welcome, refused; /* CONNACK came: with 0; with something else */
    bool ws;               /* the upgrade is done: packets are in frames */
    bool cut;              /* the peer closed without a word */
    char lost[SEND_WHY];   /* why there is no session; "": there is one */
    struct buf packets;    /* what frames held and is not taken yet */
    struct buf payload, packet;
    int wake_fd;
    uint16_t next_id;
    uint64_t serial, confirmed, ping_serial; /* QoS 0: PINGRESP came after it; what was out at the PINGREQ */
    bool pinged;                             /* PINGREQ without PINGRESP */
    unsigned n_out, n_published;             /* events without an outcome; those of them that are published */
    struct mqtt_place place[MQTT_MAX_BATCH];
    uint8_t place_of[65536]; /* of a packet id: place + 1 */
    _Atomic int64_t hasten_ms;
};

/* --- mqtt_open.c: instance and login */
bool mqtt_check(const void *conf, struct err *e);
void *mqtt_open(const void *conf, const char *id, struct err *e);
bool mqtt_connect(void *self, int64_t deadline_ms, struct err *e);
bool mqtt_idle(void *self, int64_t deadline_ms, struct err *e);
void mqtt_hasten(void *self, int64_t deadline_ms);
void mqtt_disconnect(void *self);
void mqtt_close(void *self);

/* --- mqtt_session.c: what is said */
/* What is in `packet` goes out, in a frame where that is due. */
void mqtt_say(struct mqtt *m);
/* Writes and reads what goes now, and takes what has come. When that ends the session, `lost` says why. */
void mqtt_pump(struct mqtt *m);
/* The session is over: every event that is out is to be sent again. */
void mqtt_lose(struct mqtt *m, const char *why);
void mqtt_judge(struct mqtt *m, struct mqtt_place *p, enum send_result r, const char *why);
void mqtt_ping(struct mqtt *m);

/* --- mqtt_send.c */
void mqtt_begin(void *self, unsigned place, const struct event_ref *ev, int64_t deadline_ms);
size_t mqtt_poll(void *self, struct send_done *done, int64_t until_ms);
void mqtt_wake(void *self);

#endif
