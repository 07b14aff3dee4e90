/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files that make up mysql: the instance and its connection. (Names of functions that the client library has,
 * too, are mysql_target_... here.) */
#ifndef BELFRY_TARGET_MYSQL_IMPL_H
#define BELFRY_TARGET_MYSQL_IMPL_H

#include <mysql.h>
#include <stdatomic.h>

#include "target/dial.h"
#include "target/mysql.h"

#define MYSQL_CONNECT_MS 5000
#define MYSQL_ANSWER_MS  30000
/* What the server gives up after, before we do: else each retry would leave a session behind that waits for a lock. */
#define MYSQL_STATEMENT_S 25
#define MYSQL_LOCK_S      20
#define MYSQL_COLUMNS     2   /* that are written */
#define MYSQL_MAX_BATCH   500 /* of SQL_MAX_BATCH */

struct mysql_target {
    const struct mysql_conf *conf;
    char *id;
    char label[64]; /* "mysql:primary", for the log */
    struct mysql_dsn dsn;
    struct sql_names names;
    struct buf table; /* quoted, ends with a NUL */
    struct mysql_shape shape;
    struct mysql_attempt *attempt; /* a login under way; NULL */
    MYSQL *m;                      /* NULL: not connected */
    uint64_t packet;               /* bytes of the largest statement it takes */
    bool existed;                  /* the table was there before */
    _Atomic int64_t hasten_ms;
    struct meanwhile meanwhile;
    struct buf statement;
    /* MariaDB takes the rows that are written as arrays of values, without a text to be read */
    bool arrays, arrays_refused; /* by the one that this connection leads to */
    MYSQL_STMT *put;             /* prepared on this connection; NULL: not yet */
    char *cell[MYSQL_COLUMNS][MYSQL_MAX_BATCH];
    unsigned long cell_n[MYSQL_COLUMNS][MYSQL_MAX_BATCH];
    struct sql_batch batch; /* the one at hand */
};

/* --- mysql_open.c: instance, and the look at the peer */
bool mysql_target_check(const void *conf, struct err *e);
void *mysql_target_open(const void *conf, const char *id, struct err *e);
bool mysql_target_connect(void *self, int64_t deadline_ms, struct err *e);
bool mysql_target_idle(void *self, int64_t deadline_ms, struct err *e);
void mysql_target_hasten(void *self, int64_t deadline_ms);
void mysql_target_meanwhile(void *self, struct meanwhile m);
void mysql_target_disconnect(void *self);
void mysql_target_close(void *self);
struct patience mysql_patience(struct mysql_target *t, int64_t deadline_ms, int64_t most_ms);

/* --- mysql_login.c: the library looks names up and logs in without a deadline that holds, so that is done in a thread */
/* A connection with its login done, the caller's to close; NULL and err. An attempt that outlasts its patience goes on, and
 * the next call takes its result: so at most one hangs at a time. */
MYSQL *mysql_login(struct mysql_target *t, const struct patience *p, struct err *e);
/* Lets go of an attempt that still hangs. */
void mysql_login_release(struct mysql_target *t);
/* Closes without waiting for the peer. */
void mysql_hang_up(MYSQL *m);

/* --- mysql_wire.c */
/* One statement. rows and first (the first value of the first row, as a number; 0) may be NULL. False: error has a code
 * where the server refuses it; else err, and the connection is closed. */
bool mysql_run(struct mysql_target *t, struct str sql, const struct patience *p, uint64_t *rows,
               uint64_t *first, struct sql_error *error, struct err *e);
/* The first n rows of t->cell, as one statement that is prepared where it was not yet. Answers as mysql_run does. */
bool mysql_put_rows(struct mysql_target *t, unsigned n, const struct patience *p, struct sql_error *error,
                    struct err *e);
/* Before a batch: the connection must still be there, and silent. */
bool mysql_quiet(struct mysql_target *t, struct err *e);

/* --- mysql_table.c */
/* Does the table take what will be written? Makes it where it is missing. False and err; the connection may be lost. */
bool mysql_table(void *self, const struct patience *p, struct err *e);

/* --- mysql_send.c */
void mysql_target_send(void *self, const struct event_ref *ev, size_t n, enum send_result *out,
                       int64_t deadline_ms, struct err *e);

#endif
