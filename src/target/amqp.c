/* SPDX-License-Identifier: Apache-2.0
 *
 * AMQP's row in the table of targets, and its keys. */
#include "target/amqp_impl.h"
#include "target/keys.h"

#define KEY(member) offsetof(struct rabbit_conf, member)
#define ONOFF(key, member, text) \
    { \
        .name = (key), .type = CONFIG_ONOFF, .offset = KEY(member), .fallback = "off", .help = (text) \
    }
static const struct config_key keys[] = {
    {.name = "url",
     .type = CONFIG_STRING,
     .flags = CONFIG_REQUIRED | CONFIG_LOGIN,
     .offset = KEY(url),
     .help_type = "url",
     .help = "AMQP server endpoint e.g. `amqp://myuser:mypassword@localhost:5672`"},
    {.name = "exchange",
     .type = CONFIG_STRING,
     .offset = KEY(exchange),
     .help = "name of the AMQP exchange",
     .note = "empty: the default exchange, where routing_key is the name of a queue"},
    {.name = "exchange_type",
     .type = CONFIG_STRING,
     .offset = KEY(exchange_type),
     .help = "AMQP exchange type",
     .note = "empty: the exchange has to be there, it is not declared"},
    {.name = "routing_key",
     .type = CONFIG_STRING,
     .offset = KEY(routing_key),
     .help = "routing key for publishing"},
    {.name = "mandatory",
     .type = CONFIG_ONOFF,
     .offset = KEY(mandatory),
     .fallback = "off",
     .help = "quietly ignore undelivered messages when set to 'off', default is 'on'",
     .note =
         "off by default, whatever that says; on: an event that no queue gets is sent again until one does"},
    ONOFF("durable", durable, "persist queue across broker restarts when set to 'on', default is 'off'"),
    ONOFF("no_wait", no_wait, "non-blocking message delivery when set to 'on', default is 'off'"),
    ONOFF("internal", internal,
          "set to 'on' for exchange to be not used directly by publishers, but only when bound to other "
          "exchanges"),
    ONOFF("auto_deleted", auto_deleted, "auto delete queue when set to 'on', when there are no consumers"),
    {.name = "delivery_mode",
     .type = CONFIG_NUMBER,
     .offset = KEY(delivery_mode),
     .fallback = "0",
     .help = "set to '1' for non-persistent or '2' for persistent queue"},
    {.name = "publisher_confirms",
     .type = CONFIG_ONOFF,
     .offset = KEY(publisher_confirms),
     .fallback = "off",
     .env = "PUBLISHING_CONFIRMS",
     .help = "enable consumer acknowledgement and publisher confirms, use this along with queue_dir for "
             "guaranteed delivery of all events",
     .note = "delivery never depends on it: every event waits for its confirm"},
    TARGET_KEY_QUEUE_LIMIT,
    TARGET_KEY_QUEUE_DIR,
    TARGET_KEY_COMMENT,
    {.name = "immediate",
     .type = CONFIG_ONOFF,
     .flags = CONFIG_ENV_ONLY,
     .offset = KEY(immediate),
     .fallback = "off",
     .help = "refuse an event that no consumer can take at once",
     .note = "ignored with a warning: RabbitMQ has not taken it since 3.0"},
    {.name = "client_cert",
     .type = CONFIG_PATH,
     .flags = CONFIG_OURS,
     .offset = KEY(client_cert),
     .help = "client certificate for mTLS, PEM"},
    {.name = "client_key",
     .type = CONFIG_PATH,
     .flags = CONFIG_OURS,
     .offset = KEY(client_key),
     .help = "its private key, PEM"},
    TARGET_KEY_QUEUE_FULL,
    TARGET_KEY_DEAD_LETTER_LIMIT,
    {.name = NULL},
};

const struct target_type target_amqp = {
    .name = "amqp",
    .subsys = "notify_amqp",
    .keys = keys,
    .help = "publish bucket notifications to AMQP endpoints",
    .help_order = "url exchange exchange_type routing_key mandatory durable no_wait internal auto_deleted "
                  "delivery_mode publisher_confirms queue_dir queue_limit comment",
    .conf_size = sizeof(struct rabbit_conf),
    .max_batch = RABBIT_IN_FLIGHT,
    .one_per_key = true,
    .check = rabbit_check,
    .open = rabbit_open,
    .connect = rabbit_connect,
    .begin = rabbit_begin,
    .poll = rabbit_poll,
    .wake = rabbit_wake,
    .idle = rabbit_idle,
    .hasten = rabbit_hasten,
    .disconnect = rabbit_disconnect,
    .close = rabbit_close,
};
