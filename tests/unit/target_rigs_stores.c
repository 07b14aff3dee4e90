/* SPDX-License-Identifier: Apache-2.0
 *
 * The rigs of databases: Redis, PostgreSQL, MySQL. */
#include "target_rigs.h"

#include "target/mysql.h"
#include "target/postgres.h"
#include "target/redis.h"

/* --- Redis ---------------------------------------------------------------------------------------------------------- */

static const struct expected redis_cases[][3] = {
    TOGETHER("ok", SEND_OK, ""),
    TOGETHER("close", SEND_RETRY, "closed the connection"),
    TOGETHER("half", SEND_RETRY, "closed the connection"),
    TOGETHER("garbage", SEND_RETRY, "does not answer as Redis does"),
    TOGETHER("slow", SEND_OK, ""),
    TOGETHER("wrongtype", SEND_RETRY, "MINIO_NOTIFY_REDIS_KEY_t"),
    TOGETHER("oom", SEND_RETRY, "maxmemory"),
    TOGETHER("readonly", SEND_RETRY, "MINIO_NOTIFY_REDIS_ADDRESS_t"),
    TOGETHER("loading", SEND_RETRY, "loading its data"),
    TOGETHER("odd", SEND_RETRY, "ODD something"),
    TOGETHER("text", SEND_RETRY, "none of Redis'"),
    TOGETHER("null", SEND_RETRY, "none of Redis'"),
    TOGETHER("minus", SEND_RETRY, "none of Redis'"),
    TOGETHER("many", SEND_RETRY, "does not answer as Redis does"),
    TOGETHER("deep", SEND_RETRY, "does not answer as Redis does"),
    TOGETHER("endless", SEND_RETRY, "bytes"),
    TOGETHER("twice", SEND_OK, ""),
};
static const struct expected redis_hanging[] = TOGETHER("hang", SEND_RETRY, "in time");

struct instance redis_at(const struct receiver *r)
{
    char address[32];
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", r->port);
    setenv("MINIO_NOTIFY_REDIS_ADDRESS_t", address, 1);
    setenv("MINIO_NOTIFY_REDIS_KEY_t", "events", 1);
    setenv("MINIO_NOTIFY_REDIS_FORMAT_t", "namespace", 1);
    return instance_of(&target_redis);
}

void redis_cases_run(struct instance *in)
{
    for (size_t i = 0; i < COUNT_OF(redis_cases); i++)
        expect(in, redis_cases[i], COUNT_OF(redis_cases[i]), 10000);
    expect(in, redis_hanging, COUNT_OF(redis_hanging), 400);
}

/* --- PostgreSQL ----------------------------------------------------------------------------------------------------- */

/* one transaction for all of them, but what is one row's fault is its own */
static const struct expected postgres_cases[][3] = {
    TOGETHER("ok", SEND_OK, ""),
    TOGETHER("close", SEND_RETRY, "the connection was lost"),
    TOGETHER("half", SEND_RETRY, "the connection was lost"),
    TOGETHER("garbage", SEND_RETRY, "127.0.0.1"),
    TOGETHER("slow", SEND_OK, ""),
    TOGETHER("e42501", SEND_RETRY, "MINIO_NOTIFY_POSTGRES_TABLE_t"),
    TOGETHER("e53100", SEND_RETRY, "disk is full"),
    TOGETHER("e57P01", SEND_RETRY, "shut down"),
    TOGETHER("eXX000", SEND_RETRY, "refused"),
    TOGETHER("e42P01", SEND_RETRY, "MINIO_NOTIFY_POSTGRES_TABLE_t"),
    {{"ok-1", SEND_OK, ""}, {"e23514", SEND_REJECT, "constraint"}, {"ok-2", SEND_OK, ""}},
    {{"e22001", SEND_REJECT, "cannot hold"}, {"e23514", SEND_REJECT, "constraint"}, {"ok-2", SEND_OK, ""}},
    {{"ok-1", SEND_OK, ""}, {"eP0001", SEND_RETRY, "trigger"}, {"e22001", SEND_REJECT, "cannot hold"}},
};

struct instance postgres_at(const struct receiver *r)
{
    char text[96];
    (void)snprintf(text, sizeof(text), "host=127.0.0.1 port=%u user=u dbname=d sslmode=disable", r->port);
    setenv("MINIO_NOTIFY_POSTGRES_CONNECTION_STRING_t", text, 1);
    setenv("MINIO_NOTIFY_POSTGRES_TABLE_t", "events", 1);
    return instance_of(&target_postgres);
}

void postgres_cases_run(struct instance *in)
{
    for (size_t i = 0; i < COUNT_OF(postgres_cases); i++)
        expect(in, postgres_cases[i], COUNT_OF(postgres_cases[i]), 10000);
    expect(in, redis_hanging, COUNT_OF(redis_hanging), 400);
}

/* --- MySQL ---------------------------------------------------------------------------------------------------------- */

static const struct expected mysql_cases[][3] = {
    TOGETHER("ok", SEND_OK, ""),
    TOGETHER("close", SEND_RETRY, "the connection was lost"),
    TOGETHER("half", SEND_RETRY, "the connection was lost"),
    TOGETHER("garbage", SEND_RETRY, "127.0.0.1"),
    TOGETHER("e1142", SEND_RETRY, "MINIO_NOTIFY_MYSQL_TABLE_t"),
    TOGETHER("e1114", SEND_RETRY, "disk"),
    TOGETHER("e1053", SEND_RETRY, "shut down"),
    TOGETHER("e1999", SEND_RETRY, "refused"),
    TOGETHER("e1146", SEND_RETRY, "MINIO_NOTIFY_MYSQL_TABLE_t"),
    {{"ok-1", SEND_OK, ""}, {"e4025", SEND_REJECT, "constraint"}, {"ok-2", SEND_OK, ""}},
    TOGETHER("text", SEND_OK, ""),
    {{"e1406", SEND_REJECT, "cannot hold"}, {"e3819", SEND_REJECT, "constraint"}, {"ok-2", SEND_OK, ""}},
    {{"ok-1", SEND_OK, ""}, {"e1644", SEND_RETRY, "trigger"}, {"e1406", SEND_REJECT, "cannot hold"}},
};

struct instance mysql_at(const struct receiver *r)
{
    char text[96];
    (void)snprintf(text, sizeof(text), "u:p@tcp(127.0.0.1:%u)/d", r->port);
    setenv("MINIO_NOTIFY_MYSQL_DSN_STRING_t", text, 1);
    setenv("MINIO_NOTIFY_MYSQL_TABLE_t", "events", 1);
    return instance_of(&target_mysql);
}

void mysql_cases_run(struct instance *in)
{
    for (size_t i = 0; i < COUNT_OF(mysql_cases); i++)
        expect(in, mysql_cases[i], COUNT_OF(mysql_cases[i]), 10000);
    expect(in, redis_hanging, COUNT_OF(redis_hanging), 400);
}
