/* SPDX-License-Identifier: Apache-2.0
 *
 * The kinds of targets that are not built into this server yet: their keys, so that settings of them are read, kept, shown
 * and explained. A kind that gets built takes its table along into its own file. Texts of `help` are those that mc shows of
 * any server. */
#include "target/keys.h"
#include "target/target.h"

static const struct config_alias tls_aliases[] = {{"tls_enable", "tls", NULL}, {NULL, NULL, NULL}};

static const struct config_key mqtt_keys[] = {
    {.name = "broker",
     .type = CONFIG_STRING,
     .flags = CONFIG_REQUIRED | CONFIG_LOGIN,
     .help_type = "uri",
     .help = "MQTT server endpoint e.g. `tcp://localhost:1883`"},
    {.name = "topic",
     .type = CONFIG_STRING,
     .flags = CONFIG_REQUIRED,
     .help = "name of the MQTT topic to publish"},
    {.name = "password", .type = CONFIG_STRING, .flags = CONFIG_SECRET, .help = "MQTT password"},
    {.name = "username", .type = CONFIG_STRING, .help = "MQTT username"},
    {.name = "qos",
     .type = CONFIG_NUMBER,
     .fallback = "0",
     .help = "set the quality of service priority, defaults to '0'"},
    {.name = "keep_alive_interval",
     .type = CONFIG_DURATION,
     .fallback = "0s",
     .help = "keep-alive interval for MQTT connections in s,m,h,d"},
    {.name = "reconnect_interval",
     .type = CONFIG_DURATION,
     .fallback = "0s",
     .help = "reconnect interval for MQTT connections in s,m,h,d"},
    TARGET_KEY_QUEUE_DIR,
    TARGET_KEY_QUEUE_LIMIT,
    TARGET_KEY_COMMENT,
    TARGET_KEY_QUEUE_FULL,
    TARGET_KEY_DEAD_LETTER_LIMIT,
    {.name = NULL},
};

static const struct target_type unbuilt_mqtt = {.name = "mqtt",
                                                .subsys = "notify_mqtt",
                                                .help = "publish bucket notifications to MQTT endpoints",
                                                .help_order =
                                                    "broker topic username password qos keep_alive_interval "
                                                    "reconnect_interval queue_dir queue_limit comment",
                                                .keys = mqtt_keys};

static const struct config_key nsq_keys[] = {
    {.name = "nsqd_address",
     .type = CONFIG_STRING,
     .flags = CONFIG_REQUIRED,
     .help_type = "address",
     .help = "NSQ server address e.g. '127.0.0.1:4150'"},
    {.name = "topic", .type = CONFIG_STRING, .flags = CONFIG_REQUIRED, .help = "NSQ topic"},
    {.name = "tls", .type = CONFIG_ONOFF, .fallback = "off", .help = "set to 'on' to enable TLS"},
    {.name = "tls_skip_verify",
     .type = CONFIG_ONOFF,
     .fallback = "off",
     .help = "trust server TLS without verification, defaults to \"on\" (verify)",
     .note = "off by default: the certificate is verified"},
    TARGET_KEY_QUEUE_DIR,
    TARGET_KEY_QUEUE_LIMIT,
    TARGET_KEY_COMMENT,
    TARGET_KEY_QUEUE_FULL,
    TARGET_KEY_DEAD_LETTER_LIMIT,
    {.name = NULL},
};

static const struct target_type unbuilt_nsq = {
    .name = "nsq",
    .subsys = "notify_nsq",
    .help = "publish bucket notifications to NSQ endpoints",
    .help_order = "nsqd_address topic tls tls_skip_verify queue_dir queue_limit comment",
    .aliases = tls_aliases,
    .keys = nsq_keys};

static const struct config_key elasticsearch_keys[] = {
    {.name = "url",
     .type = CONFIG_URL,
     .flags = CONFIG_REQUIRED,
     .help = "Elasticsearch server's address, with optional authentication info"},
    TARGET_KEY_FORMAT(0),
    {.name = "index",
     .type = CONFIG_STRING,
     .flags = CONFIG_REQUIRED,
     .help = "Elasticsearch index to store/update events, index is auto-created"},
    TARGET_KEY_QUEUE_DIR,
    TARGET_KEY_QUEUE_LIMIT,
    {.name = "username", .type = CONFIG_STRING, .help = "username for Elasticsearch basic-auth"},
    {.name = "password",
     .type = CONFIG_STRING,
     .flags = CONFIG_SECRET,
     .help = "password for Elasticsearch basic-auth"},
    TARGET_KEY_COMMENT,
    TARGET_KEY_QUEUE_FULL,
    TARGET_KEY_DEAD_LETTER_LIMIT,
    {.name = NULL},
};

static const struct target_type unbuilt_elasticsearch = {
    .name = "elasticsearch",
    .subsys = "notify_elasticsearch",
    .help = "publish bucket notifications to Elasticsearch endpoints",
    .help_order = "url index format queue_dir queue_limit username password comment",
    .keys = elasticsearch_keys};

const struct target_type *const target_types_unbuilt[] = {&unbuilt_mqtt, &unbuilt_nsq, &unbuilt_elasticsearch,
                                                          NULL};
