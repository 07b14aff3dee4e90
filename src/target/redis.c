/* SPDX-License-Identifier: Apache-2.0
 *
 * Redis' row in the table of targets, and its keys. */
#include "target/keys.h"
#include "target/redis_impl.h"

#define KEY(member) offsetof(struct redis_conf, member)
static const struct config_key keys[] = {
    TARGET_KEY_FORMAT(KEY(format)),
    {.name = "address",
     .type = CONFIG_STRING,
     .flags = CONFIG_REQUIRED,
     .offset = KEY(address),
     .help_type = "address",
     .help = "Redis server's address. For example: `localhost:6379`"},
    {.name = "key",
     .type = CONFIG_STRING,
     .flags = CONFIG_REQUIRED,
     .offset = KEY(key),
     .help = "Redis key to store/update events, key is auto-created"},
    {.name = "password",
     .type = CONFIG_STRING,
     .flags = CONFIG_SECRET,
     .offset = KEY(password),
     .help = "Redis server password"},
    {.name = "user", .type = CONFIG_STRING, .offset = KEY(user), .help = "Redis server user for the auth"},
    TARGET_KEY_QUEUE_DIR,
    TARGET_KEY_QUEUE_LIMIT,
    TARGET_KEY_COMMENT,
    {.name = "tls",
     .type = CONFIG_ONOFF,
     .flags = CONFIG_OURS,
     .offset = KEY(tls),
     .fallback = "off",
     .help = "'on' to speak TLS with the server"},
    {.name = "tls_skip_verify",
     .type = CONFIG_ONOFF,
     .flags = CONFIG_OURS,
     .offset = KEY(tls_skip_verify),
     .fallback = "off",
     .help = "'on' to trust any certificate of the server"},
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

static bool mirrors(const void *conf)
{
    return ((const struct redis_conf *)conf)->format == FORMAT_NAMESPACE;
}

const struct target_type target_redis = {
    .name = "redis",
    .subsys = "notify_redis",
    .place = "address",
    .keys = keys,
    .help = "publish bucket notifications to Redis datastores",
    .help_order = "address key format password user queue_dir queue_limit comment",
    .conf_size = sizeof(struct redis_conf),
    .max_batch = PLAN_MAX_BATCH,
    .whole_batch = true,
    .mirrors = mirrors,
    .check = redis_check,
    .open = redis_open,
    .connect = redis_connect,
    .send = redis_send,
    .meanwhile = redis_meanwhile,
    .idle = redis_idle,
    .hasten = redis_hasten,
    .disconnect = redis_disconnect,
    .close = redis_close,
};
