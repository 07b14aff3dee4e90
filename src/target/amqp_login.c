/* SPDX-License-Identifier: Apache-2.0
 *
 * The login of AMQP 0-9-1, step by step: who we are, how large frames are, the vhost, a channel, the exchange, confirms. */
#include <amqp.h>
#include <stdio.h>

#include "target/amqp_impl.h"

#define HEARTBEAT_S 10 /* two of them without a sign of life, and the peer is dead */

static amqp_table_entry_t entry_bool(const char *name)
{
    amqp_table_entry_t t = {.key = amqp_cstring_bytes(name)};
    t.value.kind = AMQP_FIELD_KIND_BOOLEAN;
    t.value.value.boolean = 1;
    return t;
}

static amqp_table_entry_t entry_text(const char *name, const char *text)
{
    amqp_table_entry_t t = {.key = amqp_cstring_bytes(name)};
    t.value.kind = AMQP_FIELD_KIND_UTF8;
    t.value.value.bytes = amqp_cstring_bytes(text);
    return t;
}

/* With what it can do for us announced, RabbitMQ says why it refuses a login, and when it takes nothing. */
static void put_start_ok(struct rabbit_session *s)
{
    const struct rabbit_address *a = s->address;
    amqp_table_entry_t can[] = {entry_bool("publisher_confirms"), entry_bool("basic.nack"),
                                entry_bool("connection.blocked"), entry_bool("authentication_failure_close")};
    amqp_table_entry_t about[] = {entry_text("product", "Belfry"),
                                  entry_text("version", BELFRY_VERSION),
                                  entry_text("connection_name", "Belfry"),
                                  {.key = amqp_cstring_bytes("capabilities")}};
    about[3].value.kind = AMQP_FIELD_KIND_TABLE;
    about[3].value.value.table = (amqp_table_t){sizeof(can) / sizeof(can[0]), can};
    char plain[2 * RABBIT_LOGIN_MAX + 3]; /* RFC 4616 */
    int n = snprintf(plain, sizeof(plain), "%c%s%c%s", 0, a->user, 0, a->password);
    amqp_connection_start_ok_t m = {.client_properties = {sizeof(about) / sizeof(about[0]), about},
                                    .mechanism = amqp_cstring_bytes(a->external ? "EXTERNAL" : "PLAIN"),
                                    .response =
                                        a->external ? amqp_empty_bytes : (amqp_bytes_t){(size_t)n, plain},
                                    .locale = amqp_cstring_bytes("en_US")};
    rabbit_method_put(&s->out, 0, AMQP_CONNECTION_START_OK_METHOD, &m);
}

static void put_declare(struct rabbit_session *s)
{
    const struct rabbit_conf *c = s->conf;
    amqp_exchange_declare_t m = {.exchange = amqp_cstring_bytes(c->exchange),
                                 .type = amqp_cstring_bytes(c->exchange_type),
                                 .passive = !c->exchange_type[0],
                                 .durable = c->durable,
                                 .auto_delete = c->auto_deleted,
                                 .internal = c->internal,
                                 .nowait = c->no_wait};
    rabbit_method_put(&s->out, RABBIT_CHANNEL, AMQP_EXCHANGE_DECLARE_METHOD, &m);
}

static void put_select(struct rabbit_session *s)
{
    amqp_confirm_select_t m = {0};
    rabbit_method_put(&s->out, RABBIT_CHANNEL, AMQP_CONFIRM_SELECT_METHOD, &m);
    s->state = RABBIT_SELECT_OK;
}

/* basic.publish is the same for every event. */
static void ready(struct rabbit_session *s)
{
    amqp_basic_publish_t m = {.exchange = amqp_cstring_bytes(s->conf->exchange),
                              .routing_key = amqp_cstring_bytes(s->conf->routing_key),
                              .mandatory = s->conf->mandatory};
    buf_reset(&s->method);
    rabbit_method_put(&s->method, RABBIT_CHANNEL, AMQP_BASIC_PUBLISH_METHOD, &m);
    s->state = RABBIT_READY;
}

static void take_tune(struct rabbit_session *s, const amqp_connection_tune_t *t)
{
    size_t most =
        t->frame_max >= RABBIT_FRAME_MIN && t->frame_max < RABBIT_FRAME_MAX ? t->frame_max : RABBIT_FRAME_MAX;
    s->heartbeat_s = t->heartbeat && t->heartbeat < HEARTBEAT_S ? t->heartbeat : HEARTBEAT_S;
    amqp_connection_tune_ok_t ok = {
        .channel_max = t->channel_max, .frame_max = (uint32_t)most, .heartbeat = (uint16_t)s->heartbeat_s};
    amqp_connection_open_t open = {.virtual_host = amqp_cstring_bytes(s->address->vhost)};
    rabbit_method_put(&s->out, 0, AMQP_CONNECTION_TUNE_OK_METHOD, &ok);
    rabbit_method_put(&s->out, 0, AMQP_CONNECTION_OPEN_METHOD, &open);
    s->frame_max = most;
    s->state = RABBIT_OPEN_OK;
}

bool rabbit_login_start(struct rabbit_session *s, struct str args)
{
    struct str offered;
    const char *mechanism = s->address->external ? "EXTERNAL" : "PLAIN";
    if (!rabbit_start_offers(args, mechanism, &offered)) {
        char why[200], shown[80];
        rabbit_shown(offered, shown, sizeof(shown));
        (void)snprintf(why, sizeof(why), "%.60s: it does not offer to log in by %s, but by: %s",
                       s->names.shown, mechanism, shown);
        rabbit_session_lose(s, why);
        return false;
    }
    put_start_ok(s);
    s->state = RABBIT_TUNE;
    return true;
}

bool rabbit_login_step(struct rabbit_session *s, uint32_t id, const void *m)
{
    if (s->state == RABBIT_TUNE && id == AMQP_CONNECTION_TUNE_METHOD) {
        take_tune(s, m);
    } else if (s->state == RABBIT_OPEN_OK && id == AMQP_CONNECTION_OPEN_OK_METHOD) {
        amqp_channel_open_t open = {0};
        rabbit_method_put(&s->out, RABBIT_CHANNEL, AMQP_CHANNEL_OPEN_METHOD, &open);
        s->state = RABBIT_CHANNEL_OK;
    } else if (s->state == RABBIT_CHANNEL_OK && id == AMQP_CHANNEL_OPEN_OK_METHOD) {
        s->state = RABBIT_DECLARE_OK;
        if (s->conf->exchange[0]) /* the default exchange is there, and cannot be declared */
            put_declare(s);
        if (!s->conf->exchange[0] || s->conf->no_wait)
            put_select(s);
    } else if (s->state == RABBIT_DECLARE_OK && id == AMQP_EXCHANGE_DECLARE_OK_METHOD) {
        put_select(s);
    } else if (s->state == RABBIT_SELECT_OK && id == AMQP_CONFIRM_SELECT_OK_METHOD) {
        ready(s);
    } else {
        return false;
    }
    return true;
}
