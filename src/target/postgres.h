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

enum sql_verdict postgres_judge(const char *sqlstate);
/* What an error means, with what to do about it. sqlstate "": it came before the login was done. */
void postgres_explain(const struct sql_names *names, const char *sqlstate, struct str text, char *why,
                      size_t why_n);

#endif
