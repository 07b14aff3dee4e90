/* SPDX-License-Identifier: Apache-2.0
 *
 * MySQL's statements: libmariadb's interface that does not block, with the waiting done here, because its own time limits
 * are for single reads and writes. */
#include <errmsg.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "target/mysql_impl.h"

/* The connection is of no use any more. */
static bool lost(struct mysql_target *t, const char *what, struct sql_error *error, struct err *e)
{
    *error = (struct sql_error){0};
    (void)err_set(e, "%.60s%s", t->names.shown, what);
    mysql_target_disconnect(t);
    return false;
}

/* An error of the statement at hand: the server's, or the library's about the connection. */
static bool failed(struct mysql_target *t, unsigned number, const char *said, struct sql_error *error,
                   struct err *e)
{
    char text[160], what[200];
    if (number == CR_MALFORMED_PACKET || number == 0)
        return lost(t, " does not answer as MySQL does", error, e);
    if (number >= CR_MIN_ERROR && number <= CR_MYSQL_LAST_ERROR) {
        sql_shown(str_c(said), t->names.secret, text, sizeof(text));
        (void)snprintf(what, sizeof(what), ": the connection was lost: %s", text);
        return lost(t, what, error, e);
    }
    *error = (struct sql_error){.at = SQL_WHOLE};
    (void)snprintf(error->code, sizeof(error->code), "%u", number);
    (void)snprintf(error->text, sizeof(error->text), "%s", said);
    return false;
}

/* Waits for what the library waits for; false: the time is over. */
static bool wait_for(const struct mysql_target *t, int status, const struct patience *p)
{
    short events =
        (short)((status & MYSQL_WAIT_READ ? POLLIN : 0) | (status & MYSQL_WAIT_WRITE ? POLLOUT : 0) |
                (status & MYSQL_WAIT_EXCEPT ? POLLPRI : 0));
    if (!(events & POLLOUT))
        meanwhile_do(&t->meanwhile);
    return patience_poll(p, mysql_get_socket(t->m), events);
}

static const char late[] = ": no answer in time";

#define READY(status) ((status) & (MYSQL_WAIT_READ | MYSQL_WAIT_WRITE | MYSQL_WAIT_EXCEPT))

static void look_at(MYSQL_RES *result, uint64_t *rows, uint64_t *first)
{
    MYSQL_ROW row = result ? mysql_fetch_row(result) : NULL;
    if (rows)
        *rows = result ? mysql_num_rows(result) : 0;
    if (first)
        *first = row && row[0] ? strtoull(row[0], NULL, 10) : 0;
    mysql_free_result(result);
}

bool mysql_run(struct mysql_target *t, struct str sql, const struct patience *p, uint64_t *rows,
               uint64_t *first, struct sql_error *error, struct err *e)
{
    int failure = 0;
    MYSQL_RES *result = NULL;
    *error = (struct sql_error){0};
    for (int status = mysql_real_query_start(&failure, t->m, sql.p, sql.n); status != 0;
         status = mysql_real_query_cont(&failure, t->m, READY(status)))
        if (!wait_for(t, status, p))
            return lost(t, late, error, e);
    if (failure)
        return failed(t, mysql_errno(t->m), mysql_error(t->m), error, e);
    for (int status = mysql_store_result_start(&result, t->m); status != 0;
         status = mysql_store_result_cont(&result, t->m, READY(status)))
        if (!wait_for(t, status, p))
            return lost(t, late, error, e);
    if (!result && mysql_errno(t->m))
        return failed(t, mysql_errno(t->m), mysql_error(t->m), error, e);
    bool odd = (!result && mysql_field_count(t->m) > 0) || mysql_more_results(t->m);
    look_at(result, rows, first);
    return !odd || lost(t, " does not answer as MySQL does", error, e);
}

/* --- arrays ------------------------------------------------------------------------------------------------------- */

/* As wait_for; when the time is over, everything that the library still tries fails, so that it frees what it has made for a
 * statement. `too_late`: how often it went on since; 0: it is in time. False: it does not come to an end. */
static bool go_on(const struct mysql_target *t, int status, const struct patience *p, unsigned *too_late)
{
    if (*too_late == 0 && wait_for(t, status, p))
        return true;
    if (*too_late == 0)
        (void)shutdown(mysql_get_socket(t->m), SHUT_RDWR);
    return ++*too_late < 100;
}

static bool stmt_failed(struct mysql_target *t, struct sql_error *error, struct err *e)
{
    return failed(t, mysql_stmt_errno(t->put), mysql_stmt_error(t->put), error, e);
}

static bool prepare(struct mysql_target *t, const struct patience *p, struct sql_error *error, struct err *e)
{
    unsigned too_late = 0;
    int failure = 0;
    struct buf *b = &t->statement;
    buf_reset(b);
    mysql_insert_begin(b, &t->shape);
    buf_puts(b, "(?,?)");
    mysql_insert_end(b, &t->shape);
    BUG_ON(b->failed);
    t->put = mysql_stmt_init(t->m);
    BUG_ON(!t->put); /* only without memory */
    for (int status = mysql_stmt_prepare_start(&failure, t->put, b->p, b->len); status != 0;
         status = mysql_stmt_prepare_cont(&failure, t->put, READY(status)))
        if (!go_on(t, status, p, &too_late))
            break;
    if (too_late > 0)
        return lost(t, late, error, e);
    if (!failure)
        return mysql_stmt_param_count(t->put) == MYSQL_COLUMNS ||
               lost(t, " does not answer as MySQL does", error, e);
    (void)stmt_failed(t, error, e);
    if (t->put) /* nothing is prepared: there is nothing to tell the server */
        (void)mysql_stmt_close(t->put);
    t->put = NULL;
    return false;
}

bool mysql_put_rows(struct mysql_target *t, unsigned n, const struct patience *p, struct sql_error *error,
                    struct err *e)
{
    unsigned too_late = 0;
    int failure = 0;
    *error = (struct sql_error){0};
    if (!t->put && !prepare(t, p, error, e))
        return false;
    MYSQL_BIND bind[MYSQL_COLUMNS] = {{0}};
    for (unsigned i = 0; i < MYSQL_COLUMNS; i++) {
        bind[i].buffer_type = MYSQL_TYPE_STRING;
        bind[i].buffer = (void *)t->cell[i];
        bind[i].length = t->cell_n[i];
    }
    if (mysql_stmt_attr_set(t->put, STMT_ATTR_ARRAY_SIZE, &n) || mysql_stmt_bind_param(t->put, bind))
        return stmt_failed(t, error, e);
    for (int status = mysql_stmt_execute_start(&failure, t->put); status != 0;
         status = mysql_stmt_execute_cont(&failure, t->put, READY(status)))
        if (!go_on(t, status, p, &too_late))
            break;
    if (too_late > 0)
        return lost(t, late, error, e);
    if (failure)
        return stmt_failed(t, error, e);
    return (mysql_stmt_field_count(t->put) == 0 && !mysql_more_results(t->m)) ||
           lost(t, " does not answer as MySQL does", error, e);
}

bool mysql_quiet(struct mysql_target *t, struct err *e)
{
    struct sql_error error;
    struct pollfd f = {.fd = mysql_get_socket(t->m), .events = POLLIN | POLLRDHUP};
    /* TLS may send its own now and then (tickets of sessions), which the next read takes; what hides there shows then. */
    if (poll(&f, 1, 0) == 0 ||
        (t->dsn.tls != MYSQL_TLS_OFF && !(f.revents & (POLLHUP | POLLERR | POLLRDHUP))))
        return true;
    return lost(t, ": the connection was lost: it closed it", &error, e);
}
