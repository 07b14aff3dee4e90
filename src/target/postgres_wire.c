/* SPDX-License-Identifier: Apache-2.0
 *
 * PostgreSQL's statements: out and in without ever blocking, many of them in one go (libpq's pipeline: all of them up to the
 * end are one transaction, and the first that fails is named). */
#include <poll.h>
#include <stdio.h>

#include "target/postgres_impl.h"

/* More pieces than any answer of ours comes in: the peer talks without end. */
#define PIECES 65536

void postgres_explain_connection(struct postgres *p, struct err *e)
{
    char text[SEND_WHY];
    const char *said = PQerrorMessage(p->c);
    const char *fatal = strstr(said, "FATAL:"), *failed = strstr(said, "failed: ");
    if (fatal)
        said = fatal + strlen("FATAL:");
    else if (failed)
        said = failed + strlen("failed: ");
    postgres_explain(&p->names, "", str_c(said), text, sizeof(text));
    (void)err_set(e, "%s", text);
}

/* The connection is of no use any more, and so is what was answered before: unknown is no refusal. */
static bool lost(struct postgres *p, struct sql_error *error, struct err *e)
{
    char text[160];
    sql_shown(str_c(PQerrorMessage(p->c)), p->names.secret, text, sizeof(text));
    (void)err_set(e, "%.60s: the connection was lost: %s", p->names.shown, text[0] ? text : "it closed it");
    *error = (struct sql_error){0};
    postgres_disconnect(p);
    return false;
}

static bool odd(struct postgres *p, struct sql_error *error, struct err *e)
{
    (void)err_set(e, "%.60s does not answer as PostgreSQL does", p->names.shown);
    *error = (struct sql_error){0};
    postgres_disconnect(p);
    return false;
}

/* Until the next result can be taken without blocking; what is to be sent goes out meanwhile. */
static bool await(struct postgres *p, const struct patience *t, unsigned *pieces, struct sql_error *error,
                  struct err *e)
{
    for (;;) {
        int unsent = PQflush(p->c);
        if (unsent < 0)
            return lost(p, error, e);
        if (!PQisBusy(p->c))
            return true;
        if (++*pieces > PIECES)
            return odd(p, error, e);
        if (!patience_poll(t, PQsocket(p->c), (short)(POLLIN | (unsent ? POLLOUT : 0)))) {
            (void)err_set(e, "%.60s: no answer in time", p->names.shown);
            *error = (struct sql_error){0};
            postgres_disconnect(p);
            return false;
        }
        if (!PQconsumeInput(p->c))
            return lost(p, error, e);
    }
}

static void note(struct sql_error *error, size_t at, const PGresult *r)
{
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE),
               *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    if (error->code[0])
        return; /* the first is the cause */
    error->at = at;
    (void)snprintf(error->code, sizeof(error->code), "%s", state && state[0] ? state : "?");
    (void)snprintf(error->text, sizeof(error->text), "%s", text ? text : "");
}

/* An error without a state is libpq's own: the connection is gone, or what came is not PostgreSQL's. */
static bool is_lost(struct postgres *p, const PGresult *r)
{
    return PQstatus(p->c) == CONNECTION_BAD ||
           (PQresultStatus(r) == PGRES_FATAL_ERROR && !PQresultErrorField(r, PG_DIAG_SQLSTATE));
}

bool postgres_query(struct postgres *p, const char *sql, const struct patience *t, struct sql_error *error,
                    struct err *e)
{
    unsigned pieces = 0;
    *error = (struct sql_error){0};
    if (!PQsendQuery(p->c, sql))
        return lost(p, error, e);
    for (;;) {
        if (!await(p, t, &pieces, error, e))
            return false;
        PGresult *r = PQgetResult(p->c);
        if (!r)
            break;
        ExecStatusType status = PQresultStatus(r);
        bool gone = is_lost(p, r);
        if (status == PGRES_FATAL_ERROR && !gone)
            note(error, 0, r);
        PQclear(r);
        if (gone)
            return lost(p, error, e);
        if (status != PGRES_FATAL_ERROR && status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK &&
            status != PGRES_EMPTY_QUERY)
            return odd(p, error, e);
    }
    return !error->code[0];
}

/* --- a transaction ------------------------------------------------------------------------------------------------ */

static bool queue(struct postgres *p, const struct sql_batch *b, size_t from, size_t n)
{
    const char *text = p->sql.text.p;
    bool ok = true;
    for (size_t i = from; i < from + n && ok; i++) {
        bool set = i < b->n_sets;
        if (i == from || i == b->n_sets)
            ok = PQsendPrepare(p->c, "", text + (set ? p->sql.insert : p->sql.remove), 0, NULL);
        const char *values[2] = {b->bytes.p + b->at[2 * i], b->bytes.p + b->at[2 * i + 1]};
        ok = ok && PQsendQueryPrepared(p->c, "", set ? 2 : 1, values, NULL, NULL, 0);
    }
    return ok && PQpipelineSync(p->c);
}

/* Everything that one statement answers; false: the connection is closed. */
static bool take_answer(struct postgres *p, size_t at, const struct patience *t, unsigned *pieces,
                        struct sql_error *error, struct err *e)
{
    for (;;) {
        if (!await(p, t, pieces, error, e))
            return false;
        PGresult *r = PQgetResult(p->c);
        if (!r)
            return true;
        ExecStatusType status = PQresultStatus(r);
        bool gone = is_lost(p, r);
        if (status == PGRES_FATAL_ERROR && !gone)
            note(error, at, r);
        PQclear(r);
        if (gone)
            return lost(p, error, e);
        /* A rule of the table may turn the statement into another. */
        if (status != PGRES_FATAL_ERROR && status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK &&
            status != PGRES_EMPTY_QUERY && status != PGRES_PIPELINE_ABORTED)
            return odd(p, error, e);
        if (status == PGRES_PIPELINE_ABORTED && !error->code[0])
            return odd(p, error, e);
    }
}

/* The end of the transaction: its commit may fail, too. */
static bool take_end(struct postgres *p, const struct patience *t, unsigned *pieces, struct sql_error *error,
                     struct err *e)
{
    for (;;) {
        if (!await(p, t, pieces, error, e))
            return false;
        PGresult *r = PQgetResult(p->c);
        ExecStatusType status = r ? PQresultStatus(r) : PGRES_EMPTY_QUERY;
        bool gone = r && is_lost(p, r);
        if (status == PGRES_FATAL_ERROR && !gone)
            note(error, SQL_WHOLE, r);
        PQclear(r);
        if (gone)
            return lost(p, error, e);
        if (status == PGRES_PIPELINE_SYNC)
            return true;
        if (r && status != PGRES_FATAL_ERROR)
            return odd(p, error, e);
    }
}

bool postgres_transaction(void *arg, struct sql_batch *b, size_t from, size_t n, struct sql_error *error,
                          struct err *e)
{
    struct postgres *p = arg;
    const struct patience *t = &b->patience;
    unsigned pieces = 0;
    *error = (struct sql_error){.at = SQL_WHOLE};
    if (PQenterPipelineMode(p->c) != 1 || !queue(p, b, from, n))
        return lost(p, error, e);
    for (size_t i = from; i < from + n; i++) {
        /* An error of the statement itself counts as one of its first event; it is none that only a row can have. */
        if ((i == from || i == b->n_sets) && !take_answer(p, i, t, &pieces, error, e))
            return false;
        if (!take_answer(p, i, t, &pieces, error, e))
            return false;
    }
    if (!take_end(p, t, &pieces, error, e))
        return false;
    if (PQexitPipelineMode(p->c) != 1)
        return odd(p, error, e);
    return !error->code[0];
}

bool postgres_quiet(struct postgres *p, struct err *e)
{
    struct sql_error error;
    if (!PQconsumeInput(p->c) || PQstatus(p->c) != CONNECTION_OK)
        return lost(p, &error, e);
    for (PGnotify *n = PQnotifies(p->c); n; n = PQnotifies(p->c))
        PQfreemem(n);
    return true;
}
