/* SPDX-License-Identifier: Apache-2.0
 *
 * The MySQL target, for MySQL and MariaDB: a table that mirrors the objects (format namespace), or one that journals what
 * happened (format access). Here its settings and the parts of it that are pure. Tables and statements:
 * notifications.md 2.8. */
#ifndef BELFRY_TARGET_MYSQL_H
#define BELFRY_TARGET_MYSQL_H

#include "target/sql.h"
#include "target/sql_batch.h"

struct mysql_conf {
    struct target_common common;
    int format; /* enum plan_format */
    char *dsn_string, *table, *client_cert, *client_key;
    int64_t max_open_connections; /* one is open; there is no use for more */
};

extern const struct target_type target_mysql;

enum mysql_tls { MYSQL_TLS_OFF, MYSQL_TLS_PREFERRED, MYSQL_TLS_SKIP_VERIFY, MYSQL_TLS_ON };

/* A data source name taken apart: user:password@tcp(host:port)/database?parameters, all but the slash may be missing
 * (README of github.com/go-sql-driver/mysql, whose format it is). */
struct mysql_dsn {
    char user[256], password[512], database[256];
    char host[256]; /* ""; then it is a unix socket */
    char port[6], socket[108];
    char shown[272]; /* host:port, or the socket's path */
    enum mysql_tls tls;
    bool cleartext; /* the server may ask for the password as it is */
};
/* False and err, which shows nothing of the text but the names of parameters, for it may hold the password. */
bool mysql_parse_dsn(struct str text, struct mysql_dsn *out, struct err *e);

/* Appends `name` or `database`.`name` for a table as it is in the settings: plain, or in backquotes. False and err. */
bool mysql_quote_table(struct str table, struct buf *out, struct err *e);

/* What the table is like. */
struct mysql_shape {
    const char *table; /* quoted */
    enum plan_format format;
    bool hashed; /* it has the column key_hash */
};
/* Appends the statement that makes the table. primary: the key is a generated column, as MySQL can have it; MariaDB cannot,
 * where it is a unique key beside. */
void mysql_create(struct buf *b, const struct mysql_shape *shape, bool primary);
/* Statements are a beginning, values with commas between, and an end. The values of an event: ('key','value') or
 * ('time','data') where it writes; where it removes, what finds its row. */
void mysql_insert_begin(struct buf *b, const struct mysql_shape *shape);
void mysql_insert_values(struct buf *b, const struct mysql_shape *shape, const struct event_ref *ev);
void mysql_insert_end(struct buf *b, const struct mysql_shape *shape);
void mysql_remove_begin(struct buf *b, const struct mysql_shape *shape);
void mysql_remove_values(struct buf *b, const struct mysql_shape *shape, const struct event_ref *ev);
void mysql_remove_end(struct buf *b);
/* The two values of an event that is written, as they are: where arrays are sent. Returns where in b the second begins. */
size_t mysql_insert_cells(struct buf *b, const struct mysql_shape *shape, const struct event_ref *ev);
/* As a string within quotes is written, while sql_mode has no NO_BACKSLASH_ESCAPES. */
void mysql_escape(struct buf *b, struct str s);

/* Does it say that the server takes no arrays of values as it is set? The same rows as a text may go in. */
bool mysql_refuses_arrays(const char *number);
enum sql_verdict mysql_judge(const char *number);
/* What an error means, with what to do about it. */
void mysql_explain(const struct sql_names *names, const char *number, struct str text, char *why,
                   size_t why_n);

#endif
