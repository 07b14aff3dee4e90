/* SPDX-License-Identifier: Apache-2.0
 *
 * MySQL's instance: settings, connection, and the look at the peer while there is nothing to send. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "target/mysql_impl.h"

bool mysql_target_check(const void *arg, struct err *e)
{
    const struct mysql_conf *c = arg;
    struct mysql_dsn dsn;
    struct buf table;
    buf_init(&table, 4096);
    bool ok = mysql_parse_dsn(str_c(c->dsn_string), &dsn, e) && mysql_quote_table(str_c(c->table), &table, e);
    buf_release(&table);
    if (!ok)
        return false;
    if (!c->client_cert[0] != !c->client_key[0])
        return err_set(
            e,
            "client_cert and client_key (MINIO_NOTIFY_MYSQL_CLIENT_CERT and _KEY) have to be set together");
    if (c->client_cert[0] && dsn.tls == MYSQL_TLS_OFF)
        return err_set(e, "client_cert is of use only with tls=true in dsn_string");
    if (c->max_open_connections < 0)
        return err_set(e, "max_open_connections must not be negative");
    return true;
}

void *mysql_target_open(const void *conf, const char *id, struct err *e)
{
    struct mysql_target *t = x_calloc(1, sizeof(*t));
    t->conf = conf;
    t->id = x_strdup(id);
    (void)snprintf(t->label, sizeof(t->label), "mysql:%.40s", id);
    buf_init(&t->table, 4096);
    buf_init(&t->statement, SQL_CHUNK + 4 * PLAN_EVENT_MAX + 65536);
    sql_batch_init(&t->batch);
    atomic_store(&t->hasten_ms, INT64_MAX);
    if (!mysql_parse_dsn(str_c(t->conf->dsn_string), &t->dsn, e) ||
        !mysql_quote_table(str_c(t->conf->table), &t->table, e)) {
        mysql_target_close(t);
        return NULL;
    }
    buf_char(&t->table, 0);
    t->shape = (struct mysql_shape){t->table.p, (enum plan_format)t->conf->format, true};
    t->names = (struct sql_names){t->dsn.shown, "MYSQL", t->id, t->conf->table, t->dsn.password};
    return t;
}

void mysql_target_disconnect(void *arg)
{
    struct mysql_target *t = arg;
    mysql_hang_up(t->m);
    t->m = NULL;
    if (t->put)
        (void)mysql_stmt_close(t->put); /* says nothing to a server any more */
    t->put = NULL;
}

void mysql_target_close(void *arg)
{
    struct mysql_target *t = arg;
    mysql_target_disconnect(t);
    mysql_login_release(t);
    sql_batch_release(&t->batch);
    buf_release(&t->statement);
    buf_release(&t->table);
    explicit_bzero(t->dsn.password, sizeof(t->dsn.password));
    free(t->id);
    free(t);
}

void mysql_target_hasten(void *arg, int64_t deadline_ms)
{
    struct mysql_target *t = arg; /* whoever waits looks at it ten times a second */
    atomic_store(&t->hasten_ms, deadline_ms);
}

void mysql_target_meanwhile(void *arg, struct meanwhile m)
{
    struct mysql_target *t = arg;
    t->meanwhile = m;
}

struct patience mysql_patience(struct mysql_target *t, int64_t deadline_ms, int64_t most_ms)
{
    int64_t until = clock_mono_ms() + most_ms;
    return (struct patience){until < deadline_ms ? until : deadline_ms, &t->hasten_ms};
}

/* Strict: else what is too long would be cut, and what is none replaced, without a word. Each statement commits itself. */
static bool get_ready(struct mysql_target *t, const struct patience *p, struct err *e)
{
    struct sql_error error;
    char set[320], why[SEND_WHY];
    bool maria = strstr(mysql_get_server_info(t->m), "MariaDB") != NULL;
    int n = snprintf(
        set, sizeof(set),
        "SET SESSION autocommit = 1, SESSION sql_mode = 'STRICT_ALL_TABLES', SESSION time_zone = '+00:00', "
        "SESSION lock_wait_timeout = %d, SESSION innodb_lock_wait_timeout = %d",
        MYSQL_LOCK_S, MYSQL_LOCK_S);
    if (maria)
        (void)snprintf(set + n, sizeof(set) - (size_t)n, ", SESSION max_statement_time = %d",
                       MYSQL_STATEMENT_S);
    if (mysql_run(t, str_c(set), p, NULL, NULL, &error, e) &&
        mysql_run(t, STR("SELECT @@max_allowed_packet"), p, NULL, &t->packet, &error, e))
        return mysql_table(t, p, e);
    if (error.code[0]) {
        mysql_explain(&t->names, error.code, str_c(error.text), why, sizeof(why));
        (void)err_set(e, "%s", why);
    }
    return false;
}

static bool takes_arrays(MYSQL *m)
{
    unsigned long capabilities = 0;
    return mariadb_get_infov(m, MARIADB_CONNECTION_EXTENDED_SERVER_CAPABILITIES, &capabilities) == 0 &&
           (capabilities & MARIADB_CLIENT_STMT_BULK_OPERATIONS >> 32) != 0;
}

bool mysql_target_connect(void *arg, int64_t deadline_ms, struct err *e)
{
    struct mysql_target *t = arg;
    struct patience p = mysql_patience(t, deadline_ms, MYSQL_CONNECT_MS);
    mysql_target_disconnect(t);
    t->m = mysql_login(t, &p, e);
    t->arrays = t->m && takes_arrays(t->m);
    t->arrays_refused = false;
    if (t->m && get_ready(t, &p, e))
        return true;
    mysql_target_disconnect(t);
    return false;
}

bool mysql_target_idle(void *arg, int64_t deadline_ms, struct err *e)
{
    struct mysql_target *t = arg;
    struct patience p = mysql_patience(t, deadline_ms, MYSQL_CONNECT_MS);
    struct sql_error error;
    char why[SEND_WHY];
    if (!t->m)
        return mysql_target_connect(t, deadline_ms, e);
    if (!mysql_quiet(t, e))
        return false;
    if (mysql_run(t, STR("DO 0"), &p, NULL, NULL, &error, e))
        return true;
    if (error.code[0]) {
        mysql_explain(&t->names, error.code, str_c(error.text), why, sizeof(why));
        (void)err_set(e, "%s", why);
    }
    return false;
}
