/* SPDX-License-Identifier: Apache-2.0
 *
 * MySQL's row in the table of targets, and its keys. */
#include "target/keys.h"
#include "target/mysql_impl.h"

#define KEY(member) offsetof(struct mysql_conf, member)
static const struct config_key keys[] = {
    TARGET_KEY_FORMAT(KEY(format)),
    {.name = "dsn_string",
     .type = CONFIG_STRING,
     .flags = CONFIG_LOGIN,
     .offset = KEY(dsn_string),
     .help =
         "MySQL data-source-name connection string e.g. \"<user>:<password>@tcp(<host>:<port>)/<database>\""},
    {.name = "table",
     .type = CONFIG_STRING,
     .flags = CONFIG_REQUIRED,
     .offset = KEY(table),
     .help = "DB table name to store/update events, table is auto-created"},
    TARGET_KEY_QUEUE_DIR,
    TARGET_KEY_QUEUE_LIMIT,
    {.name = "max_open_connections",
     .type = CONFIG_NUMBER,
     .offset = KEY(max_open_connections),
     .fallback = "2",
     .help = "To set the maximum number of open connections to the database. The value is set to `2` by "
             "default.",
     .note = "one connection is open, whatever is set: a batch is one statement on it"},
    TARGET_KEY_COMMENT,
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

#define REMOVED "removed; use dsn_string"
static const struct config_alias aliases[] = {{"host", NULL, REMOVED},     {"port", NULL, REMOVED},
                                              {"username", NULL, REMOVED}, {"password", NULL, REMOVED},
                                              {"database", NULL, REMOVED}, {NULL, NULL, NULL}};

static bool mirrors(const void *conf)
{
    return ((const struct mysql_conf *)conf)->format == FORMAT_NAMESPACE;
}

const struct target_type target_mysql = {
    .name = "mysql",
    .subsys = "notify_mysql",
    .place = "dsn_string",
    .keys = keys,
    .help = "publish bucket notifications to MySQL databases",
    .help_order = "dsn_string table format queue_dir queue_limit comment max_open_connections",
    .aliases = aliases,
    .conf_size = sizeof(struct mysql_conf),
    .max_batch = MYSQL_MAX_BATCH,
    .whole_batch = true,
    .mirrors = mirrors,
    .check = mysql_target_check,
    .open = mysql_target_open,
    .connect = mysql_target_connect,
    .send = mysql_target_send,
    .meanwhile = mysql_target_meanwhile,
    .idle = mysql_target_idle,
    .hasten = mysql_target_hasten,
    .disconnect = mysql_target_disconnect,
    .close = mysql_target_close,
};
