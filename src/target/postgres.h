/* SPDX-License-Identifier: Apache-2.0
 *
 * The PostgreSQL target: a table that mirrors the objects (format namespace), or one that journals what happened (format
 * access). Here its settings and the parts of it that are pure. Tables and statements: notifications.md 2.8. */
#ifndef BELFRY_TARGET_POSTGRES_H
#define BELFRY_TARGET_POSTGRES_H

#include "target/sql.h"
#include "target/sql_batch.h"

struct postgres_conf {
    struct target_common common;
    int format; /* enum plan_format */
    char *connection_string, *table;
    int64_t max_open_connections; /* one is open; there is no use for more */
};

extern const struct target_type target_postgres;

/* One server of the connection string. */
struct postgres_place {
    char host[256];    /* name, address, or the folder of a unix socket */
    char hostaddr[64]; /* its address, where the string names that; else "" */
    char port[6];
    char shown[272]; /* host:port */
};
#define POSTGRES_PLACES  16
#define POSTGRES_OPTIONS 64
/* A connection string taken apart. */
struct postgres_login {
    struct postgres_place place[POSTGRES_PLACES]; /* in the order in which they are tried */
    unsigned n_places;
    const char *keyword[POSTGRES_OPTIONS + 1],
        *value[POSTGRES_OPTIONS + 1]; /* what is set beside them; libpq's names */
    unsigned n;
    const char *secret; /* the password; "" */
    bool needs_ca;      /* the certificate is to be verified, and the string does not say by what */
    struct _PQconninfoOption *options; /* libpq's, which the views above point into */
};
/* key=value pairs or a URL (PostgreSQL manual, 34.1.1), also with the names that the guide uses for some keys (username,
 * database). False and err, which shows nothing of the text, for it may hold the password. Release it in any case. */
bool postgres_parse_login(struct str text, struct postgres_login *out, struct err *e);
void postgres_login_release(struct postgres_login *login);
/* The value of a key that is set; NULL. */
const char *postgres_login_value(const struct postgres_login *login, const char *keyword);

/* name, "name", or two of them with a dot between: as it may stand in a statement. */
bool postgres_check_table(struct str table, struct err *e);

/* The statements, over $1 and $2 where they take values; for a table that has been checked. */
struct postgres_sql {
    struct buf text;
    size_t insert, remove, create, probe, probe_remove; /* where each begins in text, ends with a NUL */
};
void postgres_statements(const char *table, enum plan_format format, struct postgres_sql *out);
/* Appends a statement that ends with a NUL, each % replaced by the table. Where it begins. */
size_t postgres_statement(struct buf *b, const char *fmt, const char *table);
#define POSTGRES_UPSERT " ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value"

/* --- postgres_arrays.c: many rows by one statement */
/* Its $1 is the table's name; the answer is the types (OIDs) of the two columns where the table may be written to by arrays:
 * one that stores what is written, without triggers and rules, which would be told of the rows in another way. */
const char *postgres_types(enum plan_format format);
/* Only insert and remove, over arrays of texts and then the table's name; out->text is initialised. Where the answer to
 * postgres_types would be another by then, they fail. False: not with columns of these types. */
#define POSTGRES_ARRAY_SQL 4096 /* bytes of both at most */
bool postgres_array_statements(const char *table, enum plan_format format, const uint64_t oid[2],
                               struct postgres_sql *out);
/* The binary form of a text[] of n elements (PostgreSQL's array_recv), into a buffer that is emptied. */
#define POSTGRES_ARRAY_HEAD 20
void postgres_array_begin(struct buf *b, size_t n);
void postgres_array_add(struct buf *b, struct str element);
/* After an error of arrays: what can be done by single rows? */
enum postgres_instead {
    POSTGRES_NOTHING,       /* they would get the same error */
    POSTGRES_ROWS,          /* this batch: it is about one of its rows, which they find */
    POSTGRES_ROWS_FROM_NOW, /* all: it may be about the statement */
};
enum postgres_instead postgres_instead(const char *sqlstate);

enum sql_verdict postgres_judge(const char *sqlstate);
/* What an error means, with what to do about it. sqlstate "": it came before the login was done. */
void postgres_explain(const struct sql_names *names, const char *sqlstate, struct str text, char *why,
                      size_t why_n);

#endif
