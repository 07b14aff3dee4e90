/* SPDX-License-Identifier: Apache-2.0
 *
 * What mysql decides by looking at bytes alone: names of tables, statements, what errors mean. */
#include <stdio.h>

#include "target/mysql.h"

/* --- tables ------------------------------------------------------------------------------------------------------- */

/* Takes one name off the front, and appends it in backquotes. */
static bool take_name(struct str *in, struct buf *out)
{
    size_t at = 0, begin = 0;
    if (in->n > 0 && in->p[0] == '`') {
        for (at = 1; at < in->n; at++) {
            if (in->p[at] != '`')
                continue;
            if (at + 1 == in->n || in->p[at + 1] != '`')
                break;
            at++; /* two of them stand for one */
        }
        if (at >= in->n || at < 2)
            return false;
        buf_str(out, str_head(*in, at + 1));
        *in = str_from(*in, at + 1);
        return true;
    }
    for (; at < in->n; at++) {
        unsigned char c = (unsigned char)in->p[at];
        bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z', digit = c >= '0' && c <= '9';
        if (!(letter || digit || c == '_' || c == '$' || c == '-' || c >= 0x80))
            break;
    }
    buf_char(out, '`');
    buf_str(out, str_n(in->p + begin, at));
    buf_char(out, '`');
    *in = str_from(*in, at);
    return at > 0;
}

bool mysql_quote_table(struct str table, struct buf *out, struct err *e)
{
    bool ok = table.n > 0 && table.n <= 256 && str_chr(table, 0) < 0 && take_name(&table, out);
    if (ok && table.n > 0 && table.p[0] == '.') {
        buf_char(out, '.');
        table = str_from(table, 1);
        ok = take_name(&table, out);
    }
    return (ok && table.n == 0) || err_set(e, "table has to be a name (letters, digits, _, - and $), `a name "
                                              "in backquotes`, or database.name");
}

void mysql_create(struct buf *b, const struct mysql_shape *shape, bool primary)
{
    buf_puts(b, "CREATE TABLE IF NOT EXISTS ");
    buf_puts(b, shape->table);
    if (shape->format == FORMAT_ACCESS) {
        buf_puts(b, " (event_time DATETIME NOT NULL, event_data JSON) ROW_FORMAT = Dynamic");
        return;
    }
    buf_puts(b, " (key_name VARCHAR(3072) NOT NULL, "
                "key_hash CHAR(64) GENERATED ALWAYS AS (SHA2(key_name, 256)) STORED");
    buf_puts(b, primary ? " NOT NULL PRIMARY KEY, value JSON)" : ", value JSON, UNIQUE KEY (key_hash))");
    buf_puts(b, " CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin ROW_FORMAT = Dynamic");
}

/* --- values ------------------------------------------------------------------------------------------------------- */

void mysql_escape(struct buf *b, struct str s)
{
    static const char names[256] = {
        [0] = '0', ['\n'] = 'n', ['\r'] = 'r', [0x1a] = 'Z', ['"'] = '"', ['\''] = '\'', ['\\'] = '\\'};
    char *out = buf_reserve(b, 2 * s.n), *begin = out;
    if (!out)
        return;
    for (size_t i = 0; i < s.n; i++) {
        char name = names[(unsigned char)s.p[i]];
        if (name)
            *out++ = '\\';
        *out++ = name ? name : s.p[i];
    }
    b->len += (size_t)(out - begin);
}

static void put_key(struct buf *b, const struct event_ref *ev)
{
    buf_char(b, '\'');
    mysql_escape(b, ev->bucket);
    buf_char(b, '/');
    mysql_escape(b, ev->key);
    buf_char(b, '\'');
}

/* 2026-02-01T10:20:30.123Z is 2026-02-01 10:20:30.123 there; what is none is left for the server to refuse. */
#define TIME_MAX 64
static struct str time_cell(struct str time, char text[TIME_MAX])
{
    time = str_head(time, TIME_MAX);
    if (time.n > 0 && time.p[time.n - 1] == 'Z')
        time.n--;
    if (time.n > 0)
        memcpy(text, time.p, time.n);
    if (time.n > 10 && text[10] == 'T')
        text[10] = ' ';
    return str_n(text, time.n);
}

static void put_time(struct buf *b, struct str time)
{
    char text[TIME_MAX];
    buf_char(b, '\'');
    mysql_escape(b, time_cell(time, text));
    buf_char(b, '\'');
}

void mysql_insert_begin(struct buf *b, const struct mysql_shape *shape)
{
    buf_puts(b, "INSERT INTO ");
    buf_puts(b, shape->table);
    buf_puts(b, shape->format == FORMAT_ACCESS ? " (event_time, event_data) VALUES "
                                               : " (key_name, value) VALUES ");
}

void mysql_insert_values(struct buf *b, const struct mysql_shape *shape, const struct event_ref *ev)
{
    buf_char(b, '(');
    if (shape->format == FORMAT_ACCESS)
        put_time(b, ev->event_time);
    else
        put_key(b, ev);
    buf_puts(b, ",'{\"Records\":[");
    mysql_escape(b, ev->record);
    buf_puts(b, "]}')");
}

size_t mysql_insert_cells(struct buf *b, const struct mysql_shape *shape, const struct event_ref *ev)
{
    char text[TIME_MAX];
    if (shape->format == FORMAT_ACCESS)
        buf_str(b, time_cell(ev->event_time, text));
    else
        plan_key(b, ev);
    size_t second = b->len;
    plan_records(b, ev);
    return second;
}

void mysql_insert_end(struct buf *b, const struct mysql_shape *shape)
{
    if (shape->format == FORMAT_NAMESPACE)
        buf_puts(b, " ON DUPLICATE KEY UPDATE value = VALUES(value)");
}

void mysql_remove_begin(struct buf *b, const struct mysql_shape *shape)
{
    buf_puts(b, "DELETE FROM ");
    buf_puts(b, shape->table);
    buf_puts(b, shape->hashed ? " WHERE key_hash IN (" : " WHERE key_name IN (");
}

void mysql_remove_values(struct buf *b, const struct mysql_shape *shape, const struct event_ref *ev)
{
    if (shape->hashed)
        buf_puts(b, "SHA2(");
    put_key(b, ev);
    if (shape->hashed)
        buf_puts(b, ",256)");
}

void mysql_remove_end(struct buf *b)
{
    buf_char(b, ')');
}

/* --- errors ------------------------------------------------------------------------------------------------------- */

/* Numbers below 2000 and from 3000 on are the server's (MySQL error reference; MariaDB's own begin at 4000). */
static const struct {
    const char *number;
    enum sql_verdict verdict;
} verdicts[] = {
    {"1146", SQL_MISSING}, {"1062", SQL_NEVER}, /* a unique key beside ours */
    {"1264", SQL_NEVER},                        /* out of range */
    {"1265", SQL_NEVER},                        /* truncated */
    {"1292", SQL_NEVER},                        /* no time */
    {"1300", SQL_NEVER},                        /* no UTF-8 */
    {"1366", SQL_NEVER},                        /* not in the column's character set */
    {"1406", SQL_NEVER},                        /* too long */
    {"3140", SQL_NEVER},                        /* no JSON to it */
    {"3141", SQL_NEVER},   {"3157", SQL_NEVER}, /* JSON too deep */
    {"3819", SQL_NEVER},                        /* a check of the table: MySQL */
    {"4025", SQL_NEVER},                        /* MariaDB */
    {"1153", SQL_ROW},                          /* larger than it takes in one statement */
    {"1452", SQL_ROW},                          /* what it refers to may come to be there */
    {"1644", SQL_ROW},                          /* a trigger says so, and why only its author knows */
};

bool mysql_refuses_arrays(const char *number)
{
    static const char *const numbers[] = {"4033",  /* binlog_format = STATEMENT */
                                          "1461",  /* max_prepared_stmt_count */
                                          "1295",  /* it cannot be prepared */
                                          "1047"}; /* a proxy that does not know the command */
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (strcmp(number, numbers[i]) == 0)
            return true;
    return false;
}

enum sql_verdict mysql_judge(const char *number)
{
    for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++)
        if (strcmp(number, verdicts[i].number) == 0)
            return verdicts[i].verdict;
    return SQL_STOP;
}

#define DSN "DSN_STRING"
static const struct sql_advice advices[] = {
    {"1045", NULL, "user or password is wrong, or it asks for a client certificate (CLIENT_CERT, CLIENT_KEY)",
     DSN},
    {"1044", NULL, "allow the user this database (GRANT)", DSN},
    {"1049", NULL, "make the database there, or name another (the table's name may hold one, too)", DSN},
    {"1130", NULL, "it does not let this address in: make the user for it", DSN},
    {"1129", NULL, "it has blocked this address: mariadb-admin flush-hosts", NULL},
    {"1040", NULL, "it has too many connections: raise max_connections there", NULL},
    {"1203", NULL, "the user has too many connections", NULL},
    {"1226", NULL, "the user has used up what it is allowed", NULL},
    {"3159", NULL, "it wants TLS: add tls=true to the parameters", DSN},
    {"1046", NULL, "no database is named: user:password@tcp(host:port)/database", DSN},
    {"1142", NULL, "allow the user SELECT, INSERT, UPDATE, DELETE and CREATE (GRANT) on the table", "TABLE"},
    {"1143", NULL, "allow the user SELECT, INSERT, UPDATE and DELETE (GRANT) on the table", "TABLE"},
    {"1146", NULL, "the table is not there and cannot be made: make it there, or name another", "TABLE"},
    {"1054", NULL,
     "the table has other columns: key_name and value for format namespace, event_time and event_data for "
     "access",
     "TABLE"},
    {"1364", NULL, "the table has another column that needs a value: give it a default", "TABLE"},
    {"1048", NULL, "the table has another column that must not be null: give it a default", "TABLE"},
    {"1114", NULL, "the table is full, or the disk is", NULL},
    {"1021", NULL, "its disk is full", NULL},
    {"1205", NULL, "the table is locked by another session", NULL},
    {"1213", NULL, "it was in the way of another transaction", NULL},
    {"1290", NULL, "it takes no writes, as a replica does: name the primary", DSN},
    {"1836", NULL, "it takes no writes: name the primary", DSN},
    {"1153", NULL, "raise max_allowed_packet there", NULL},
    {"1053", NULL, "it is being shut down", NULL},
    {"1927", NULL, "an administrator ended the session", NULL},
    {"1064", NULL, "MySQL 5.7.8 or MariaDB 10.2.7, or newer, is needed", NULL},
    {"1644", NULL, "a trigger of the table refuses this record", NULL},
    {"1062", NULL, "a constraint of the table refuses this record", NULL},
    {"1452", NULL, "a constraint of the table refuses this record", NULL},
    {"3819", NULL, "a constraint of the table refuses this record", NULL},
    {"4025", NULL, "a constraint of the table refuses this record", NULL},
    {"1406", NULL, "the table cannot hold this record", NULL},
    {"1366", NULL, "the table cannot hold this record: its character set has to be utf8mb4", NULL},
    {"2002", NULL, "is it running, and is this its address?", DSN},
    {"2003", NULL, "is it running, and is this its address?", DSN},
    {"2005", NULL, "its name cannot be resolved", DSN},
    {"2026", "unknown ca", "it asks for a client certificate: set CLIENT_CERT and CLIENT_KEY", DSN},
    {"2026", "certificate required", "it asks for a client certificate: set CLIENT_CERT and CLIENT_KEY", DSN},
    {"2026", "server doesn't support it", "switch TLS on there, or leave tls out of the parameters", DSN},
    {"2026", "Validation", "its certificate does not name this host", DSN},
    {"2026", "self", "put the certificate of its CA into certs-dir/CAs", DSN},
    {"2026", "issuer", "put the certificate of its CA into certs-dir/CAs", DSN},
    {"2026", NULL,
     "TLS does not come about: is its certificate trusted (certs-dir/CAs), and does it name this host?", DSN},
    {"2059", NULL, "its way to log in is not known here, or not allowed without TLS", DSN},
    {"2061", NULL, "its way to log in needs TLS: add tls=true to the parameters", DSN},
    {NULL, NULL, NULL, NULL},
};

void mysql_explain(const struct sql_names *names, const char *number, struct str text, char *why,
                   size_t why_n)
{
    sql_explain(names, advices, number, text, why, why_n);
}
