/* SPDX-License-Identifier: Apache-2.0
 *
 * The Redis target: a hash that mirrors the objects (format namespace), or a list of what happened (format access). Here
 * its settings and the parts of it that are pure. Formats: notifications.md 2.6 to 2.8; protocol: RESP2. */
#ifndef BELFRY_TARGET_REDIS_H
#define BELFRY_TARGET_REDIS_H

#include "target/address.h"
#include "target/plan.h"

struct redis_conf {
    struct target_common common;
    int format; /* enum plan_format */
    char *address, *key, *password, *user, *client_cert, *client_key;
    bool tls, tls_skip_verify;
};

extern const struct target_type target_redis;

/* host, host:port, [IPv6] or [IPv6]:port; the port is 6379 where none is named. False and err. */
bool redis_parse_address(struct str text, struct target_address *out, struct err *e);

/* Appends the value that an event is in its format. (The field: plan_key.) */
void redis_value(struct buf *b, const struct event_ref *ev, enum plan_format format);

/* Who answers, for messages. */
struct redis_names {
    const char *shown; /* host:port */
    const char *id;    /* of the target, for the name of a variable */
    const char *key;
    enum plan_format format;
};
/* What an error reply ("WRONGTYPE Operation against ...") means, with what to do about it. Every one of them is about the
 * server, the login or the key: the event is to be sent again. */
void redis_explain(const struct redis_names *names, struct str error, char *why, size_t why_n);
/* The key holds another kind of value than its format writes. `found` as TYPE says it: "string". */
void redis_explain_type(const struct redis_names *names, struct str found, char *why, size_t why_n);

struct redisReply;
/* Is this the answer to a command that wrote n fields or items: confirmed? Otherwise why. NULL: there was none. */
bool redis_confirmed(const struct redis_names *names, const struct redisReply *reply, size_t n, char *why,
                     size_t why_n);

#endif
