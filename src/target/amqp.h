/* SPDX-License-Identifier: Apache-2.0
 *
 * The AMQP target: every event is published to an exchange of a RabbitMQ (or another broker of AMQP 0-9-1 with publisher
 * confirms). Here its settings and the parts of it that are pure: the URL, and what the broker's words mean. Names begin with
 * rabbit_, because amqp_ is librabbitmq's. Format: notifications.md 2.6; protocol: AMQP 0-9-1 and RabbitMQ's extensions
 * (www.rabbitmq.com/specification.html). */
#ifndef BELFRY_TARGET_AMQP_H
#define BELFRY_TARGET_AMQP_H

#include "target/target.h"

struct rabbit_conf {
    struct target_common common;
    char *url, *exchange, *exchange_type, *routing_key, *client_cert, *client_key;
    bool mandatory, durable, no_wait, internal, auto_deleted;
    bool publisher_confirms; /* they are always on */
    bool immediate;          /* no broker of today takes it */
    int64_t delivery_mode;   /* 0: not said, 1: in memory, 2: on disk */
};

extern const struct target_type target_amqp;

#define RABBIT_SHORT_MAX 255 /* bytes of a short string of AMQP: an exchange, a routing key, a vhost */
#define RABBIT_LOGIN_MAX 1024

/* A URL taken apart, percent-encoding undone. shown: the peer as it stands in messages, host:port. */
struct rabbit_address {
    bool tls, external; /* amqps; auth_mechanism=external: the client's certificate is the login */
    char host[256], port[6], shown[264];
    char user[RABBIT_LOGIN_MAX + 1], password[RABBIT_LOGIN_MAX + 1], vhost[RABBIT_SHORT_MAX + 1];
    char ca_file[1024], cert_file[1024], key_file[1024]; /* cacertfile, certfile, keyfile; "": not named */
};
/* amqp(s)://[user[:password]@]host[:port][/vhost][?parameters] (www.rabbitmq.com/uri-spec.html; as Go's client takes it,
 * "/" is the vhost "/" too). Defaults: guest, guest, 5672 (amqps: 5671), "/". False and err, which shows nothing of it. */
bool rabbit_parse_url(struct str url, struct rabbit_address *out, struct err *e);

/* Who answers, for messages. */
struct rabbit_names {
    const char *shown; /* host:port */
    const char *id;    /* of the target, for the name of a variable */
    const char *vhost, *exchange, *routing_key;
};
/* "MINIO_NOTIFY_AMQP_URL_primary" */
void rabbit_variable(const struct rabbit_names *names, const char *key, char *out, size_t n);
/* What the broker said, for messages: one line, cut to n bytes with the NUL. */
void rabbit_shown(struct str text, char *out, size_t n);
/* Why the broker closed the connection or the channel: its code and text, with what to do about it. */
void rabbit_explain(const struct rabbit_names *names, unsigned code, struct str text, char *why,
                    size_t why_n);
/* The most bytes a message may have, when that text says that one is larger; 0: it says something else. */
uint64_t rabbit_size_limit(struct str text);
/* No queue got the event, which was to be mandatory. */
void rabbit_explain_return(const struct rabbit_names *names, struct str text, char *why, size_t why_n);

#endif
