/* SPDX-License-Identifier: Apache-2.0
 *
 * PostgreSQL's row in the table of targets, and its keys. */
#include "target/keys.h"
#include "target/postgres_impl.h"

#define KEY(member) offsetof(struct postgres_conf, member)
static const struct config_key keys[] = {
    TARGET_KEY_FORMAT(KEY(format)),
    {.name = "connection_string",
     .type = CONFIG_STRING,
     .flags = CONFIG_REQUIRED | CONFIG_LOGIN,
     .offset = KEY(connection_string),
     .help = "Postgres server connection-string e.g. \"host=localhost port=5432 dbname=minio_events "
             "user=postgres password=password sslmode=disable\""},
    {.name = "table",
     .type = CONFIG_STRING,
     .flags = CONFIG_REQUIRED | CONFIG_QUOTED,
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
     .note = "one connection is open, whatever is set: a batch is one transaction on it"},
    TARGET_KEY_COMMENT,
    TARGET_KEY_QUEUE_FULL,
    TARGET_KEY_DEAD_LETTER_LIMIT,
    {.name = NULL},
};

#define REMOVED "removed; use connection_string"
static const struct config_alias aliases[] = {{"host", NULL, REMOVED},     {"port", NULL, REMOVED},
                                              {"username", NULL, REMOVED}, {"password", NULL, REMOVED},
                                              {"database", NULL, REMOVED}, {NULL, NULL, NULL}};

static bool mirrors(const void *conf)
{
    return ((const struct postgres_conf *)conf)->format == FORMAT_NAMESPACE;
}

const struct target_type target_postgres = {
    .name = "postgresql",
    .subsys = "notify_postgres",
    .place = "connection_string",
    .alias = "notify_postgresql",
    .keys = keys,
    .help = "publish bucket notifications to Postgres databases",
    .help_order = "connection_string table format queue_dir queue_limit comment max_open_connections",
    .aliases = aliases,
    .conf_size = sizeof(struct postgres_conf),
    .max_batch = SQL_MAX_BATCH,
    .whole_batch = true,
    .mirrors = mirrors,
    .check = postgres_check,
    .open = postgres_open,
    .connect = postgres_connect,
    .send = postgres_send,
    .meanwhile = postgres_meanwhile,
    .idle = postgres_idle,
    .hasten = postgres_hasten,
    .disconnect = postgres_disconnect,
    .close = postgres_close,
};
