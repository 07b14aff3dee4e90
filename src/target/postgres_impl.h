/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files that make up postgres: the instance and its connection. */
#ifndef BELFRY_TARGET_POSTGRES_IMPL_H
#define BELFRY_TARGET_POSTGRES_IMPL_H

#include <libpq-fe.h>
#include <stdatomic.h>

#include "target/dial.h"
#include "target/postgres.h"

#define POSTGRES_CONNECT_MS 5000
#define POSTGRES_ANSWER_MS  30000
/* What the server gives up after, before we do: else each retry would leave a session behind that waits for a lock. */
#define POSTGRES_STATEMENT_MS 25000
#define POSTGRES_COLUMNS      2 /* that are written */

struct postgres {
    const struct postgres_conf *conf;
    char *id;
    char label[64]; /* "postgresql:primary", for the log */
    struct postgres_login login;
    struct postgres_sql sql;
    struct postgres_sql by_arrays; /* the same for many rows at once */
    bool arrays;                   /* this table takes them, as far as is known by this connection */
    bool rows_only;                /* this batch has something that has to go row by row */
    struct buf array[POSTGRES_COLUMNS];
    struct sql_names names; /* shown: of the place that was tried last */
    struct dialer dialer[POSTGRES_PLACES];
    PGconn *c;    /* NULL: not connected */
    bool existed; /* the table was there before */
    _Atomic int64_t hasten_ms;
    struct meanwhile meanwhile;
    struct sql_batch batch; /* the one at hand */
};

/* --- postgres_open.c: instance and login */
bool postgres_check(const void *conf, struct err *e);
void *postgres_open(const void *conf, const char *id, struct err *e);
bool postgres_connect(void *self, int64_t deadline_ms, struct err *e);
bool postgres_idle(void *self, int64_t deadline_ms, struct err *e);
void postgres_hasten(void *self, int64_t deadline_ms);
void postgres_meanwhile(void *self, struct meanwhile m);
void postgres_disconnect(void *self);
void postgres_close(void *self);
struct patience postgres_patience(struct postgres *p, int64_t deadline_ms, int64_t most_ms);

/* --- postgres_table.c */
/* Does the table take what will be written? Makes it where it is missing. False and err; the connection may be lost. */
bool postgres_table(void *self, const struct patience *t, struct err *e);

/* --- postgres_wire.c: statements to and fro. None of them waits longer than its patience; where the connection is lost, or
 * the peer answers what no PostgreSQL does, they close it: p->c is NULL then. */
/* One statement, without values. False and err, and *error where the server refuses it (else its sqlstate is ""). */
bool postgres_query(struct postgres *p, const char *sql, const struct patience *t, struct sql_error *error,
                    struct err *e);
/* One statement over the value $1, which answers one row of two numbers; 0, where it is none. Else as postgres_query. */
bool postgres_ask(struct postgres *p, const char *sql, const char *value, uint64_t answer[2],
                  const struct patience *t, struct sql_error *error, struct err *e);
/* One transaction, as struct sql_kind has it. */
bool postgres_transaction(void *self, struct sql_batch *b, size_t from, size_t n, struct sql_error *error,
                          struct err *e);
/* Before a batch: the connection must still be there. */
bool postgres_quiet(struct postgres *p, struct err *e);
/* Takes the error that libpq has about the connection, for messages. */
void postgres_explain_connection(struct postgres *p, struct err *e);

/* --- postgres_send.c */
void postgres_send(void *self, const struct event_ref *ev, size_t n, enum send_result *out,
                   int64_t deadline_ms, struct err *e);

#endif
