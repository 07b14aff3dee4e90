/* SPDX-License-Identifier: Apache-2.0
 *
 * Webhook's row in the table of targets, and its keys. */
#include "target/keys.h"
#include "target/webhook_impl.h"

#define KEY(member) offsetof(struct webhook_conf, member)
static const struct config_key keys[] = {
    {.name = "endpoint",
     .type = CONFIG_URL,
     .flags = CONFIG_REQUIRED,
     .offset = KEY(endpoint),
     .help = "webhook server endpoint e.g. http://localhost:8080/minio/events"},
    {.name = "auth_token",
     .type = CONFIG_STRING,
     .flags = CONFIG_SECRET,
     .offset = KEY(auth_token),
     .help = "opaque string or JWT authorization token"},
    TARGET_KEY_QUEUE_LIMIT,
    TARGET_KEY_QUEUE_DIR,
    {.name = "client_cert",
     .type = CONFIG_PATH,
     .offset = KEY(client_cert),
     .help_type = "string",
     .help = "client cert for Webhook mTLS auth",
     .note = "PEM file; together with client_key"},
    {.name = "client_key",
     .type = CONFIG_PATH,
     .offset = KEY(client_key),
     .help_type = "string",
     .help = "client cert key for Webhook mTLS auth",
     .note = "PEM file"},
    TARGET_KEY_COMMENT,
    {.name = "signature_secret",
     .type = CONFIG_STRING,
     .flags = CONFIG_SECRET | CONFIG_OURS,
     .offset = KEY(signature_secret),
     .help = "signs time and body of every request by HMAC-SHA256, in X-Belfry-Signature"},
    PAYLOAD_KEY(KEY(payload)),
    PAYLOAD_KEY_ENCODING(KEY(key_encoding)),
    TARGET_KEY_QUEUE_FULL,
    TARGET_KEY_DEAD_LETTER_LIMIT,
    {.name = NULL},
};

const struct target_type target_webhook = {
    .name = "webhook",
    .subsys = "notify_webhook",
    .keys = keys,
    .help = "publish bucket notifications to webhook endpoints",
    .help_order = "endpoint auth_token queue_dir queue_limit comment client_cert client_key",
    .conf_size = sizeof(struct webhook_conf),
    .max_batch = WEBHOOK_IN_FLIGHT,
    .one_per_key = true,
    .check = webhook_check,
    .open = webhook_open,
    .connect = webhook_connect,
    .begin = webhook_begin,
    .poll = webhook_poll,
    .wake = webhook_wake,
    .hasten = webhook_hasten,
    .disconnect = webhook_disconnect,
    .close = webhook_close,
};
