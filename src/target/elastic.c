/* SPDX-License-Identifier: Apache-2.0
 *
 * Elasticsearch's row in the table of targets, and its keys. */
#include "target/elastic_impl.h"
#include "target/keys.h"

#define KEY(member) offsetof(struct elastic_conf, member)
static const struct config_key keys[] = {
    {.name = "url",
     .type = CONFIG_URL,
     .flags = CONFIG_REQUIRED,
     .offset = KEY(url),
     .help = "Elasticsearch server's address, with optional authentication info"},
    TARGET_KEY_FORMAT(KEY(format)),
    {.name = "index",
     .type = CONFIG_STRING,
     .flags = CONFIG_REQUIRED,
     .offset = KEY(index),
     .help = "Elasticsearch index to store/update events, index is auto-created"},
    TARGET_KEY_QUEUE_DIR,
    TARGET_KEY_QUEUE_LIMIT,
    {.name = "username",
     .type = CONFIG_STRING,
     .offset = KEY(username),
     .help = "username for Elasticsearch basic-auth"},
    {.name = "password",
     .type = CONFIG_STRING,
     .flags = CONFIG_SECRET,
     .offset = KEY(password),
     .help = "password for Elasticsearch basic-auth"},
    TARGET_KEY_COMMENT,
    {.name = "api_key",
     .type = CONFIG_STRING,
     .flags = CONFIG_SECRET | CONFIG_OURS,
     .offset = KEY(api_key),
     .help = "API key instead of user and password: 'encoded' as Elasticsearch gives it, or id:secret"},
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
    return ((const struct elastic_conf *)conf)->format == ELASTIC_NAMESPACE;
}

const struct target_type target_elasticsearch = {
    .name = "elasticsearch",
    .subsys = "notify_elasticsearch",
    .place = "url",
    .keys = keys,
    .help = "publish bucket notifications to Elasticsearch endpoints",
    .help_order = "url index format queue_dir queue_limit username password comment",
    .conf_size = sizeof(struct elastic_conf),
    .max_batch = ELASTIC_MAX_BATCH,
    .one_per_key = true,
    .mirrors = mirrors,
    .check = elastic_check,
    .open = elastic_open,
    .connect = elastic_connect,
    .begin = elastic_begin,
    .poll = elastic_poll,
    .wake = elastic_wake,
    .idle = elastic_idle,
    .hasten = elastic_hasten,
    .disconnect = elastic_disconnect,
    .close = elastic_close,
};
