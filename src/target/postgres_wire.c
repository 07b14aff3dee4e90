/* SPDX-License-Identifier: Apache-2.0
 *
 * PostgreSQL's statements: out and in without ever blocking, many of them in one go (libpq's pipeline: all of them up to the
 * end are one transaction, and the first that fails is named). A batch goes as arrays; where the server refuses these, row by
 * row. */
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
        if (!unsent)
            meanwhile_do(&p->meanwhile);
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

/* The first row's numbers. */
static void look_at(const PGresult *r, uint64_t answer[2])
{
    for (int i = 0; i < 2; i++)
        if (PQntuples(r) != 1 || i >= PQnfields(r) || !str_to_u64(str_c(PQgetvalue(r, 0, i)), &answer[i]))
            answer[i] = 0;
}

/* All that a statement, once it is sent, is answered. */
static bool take_all(struct postgres *p, uint64_t answer[2], const struct patience *t,
                     struct sql_error *error, struct err *e)
{
    unsigned pieces = 0;
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
        if (answer)
            look_at(r, answer);
        PQclear(r);
        if (gone)
            return lost(p, error, e);
        if (status != PGRES_FATAL_ERROR && status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK &&
            status != PGRES_EMPTY_QUERY)
            return odd(p, error, e);
    }
    return !error->code[0];
}

bool postgres_query(struct postgres *p, const char *sql, const struct patience *t, struct sql_error *error,
                    struct err *e)
{
    *error = (struct sql_error){0};
    return PQsendQuery(p->c, sql) ? take_all(p, NULL, t, error, e) : lost(p, error, e);
}

bool postgres_ask(struct postgres *p, const char *sql, const char *value, uint64_t answer[2],
                  const struct patience *t, struct sql_error *error, struct err *e)
{
    *error = (struct sql_error){0};
    answer[0] = answer[1] = 0;
    return PQsendQueryParams(p->c, sql, 1, NULL, &value, NULL, NULL, 0) ? take_all(p, answer, t, error, e)
                                                                        : lost(p, error, e);
}

/* --- a transaction ------------------------------------------------------------------------------------------------ */

static bool queue_rows(struct postgres *p, const struct sql_batch *b, size_t from, size_t n)
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

/* Everything that one statement answers, and how many rows it wrote; false: the connection is closed. */
static bool take_answer(struct postgres *p, size_t at, uint64_t *rows, const struct patience *t,
                        unsigned *pieces, struct sql_error *error, struct err *e)
{
    *rows = 0;
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
        (void)str_to_u64(str_c(PQcmdTuples(r)), rows);
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

static bool by_rows(struct postgres *p, struct sql_batch *b, size_t from, size_t n, struct sql_error *error,
                    struct err *e)
{
    const struct patience *t = &b->patience;
    unsigned pieces = 0;
    uint64_t any;
    *error = (struct sql_error){.at = SQL_WHOLE};
    if (PQenterPipelineMode(p->c) != 1 || !queue_rows(p, b, from, n))
        return lost(p, error, e);
    for (size_t i = from; i < from + n; i++) {
        /* An error of the statement itself counts as one of its first event; it is none that only a row can have. */
        if ((i == from || i == b->n_sets) && !take_answer(p, i, &any, t, &pieces, error, e))
            return false;
        if (!take_answer(p, i, &any, t, &pieces, error, e))
            return false;
    }
    if (!take_end(p, t, &pieces, error, e))
        return false;
    if (PQexitPipelineMode(p->c) != 1)
        return odd(p, error, e);
    return !error->code[0];
}

/* One statement over so many columns of the events from..to, and the name of the table. */
static bool queue_arrays(struct postgres *p, const struct sql_batch *b, size_t from, size_t to, int columns,
                         size_t statement)
{
    const char *values[POSTGRES_COLUMNS + 1];
    int lengths[POSTGRES_COLUMNS + 1] = {0}, binary[POSTGRES_COLUMNS + 1] = {0};
    for (int c = 0; c < columns; c++) {
        postgres_array_begin(&p->array[c], to - from);
        for (size_t i = from; i < to; i++)
            postgres_array_add(&p->array[c], str_c(b->bytes.p + b->at[2 * i + (size_t)c]));
        BUG_ON(p->array[c].failed);
        values[c] = p->array[c].p;
        lengths[c] = (int)p->array[c].len;
        binary[c] = 1;
    }
    values[columns] = p->conf->table;
    return PQsendQueryParams(p->c, p->by_arrays.text.p + statement, columns + 1, NULL, values, lengths,
                             binary, 0) == 1;
}

static bool by_arrays(struct postgres *p, struct sql_batch *b, size_t from, size_t n, struct sql_error *error,
                      struct err *e)
{
    const struct patience *t = &b->patience;
    unsigned pieces = 0;
    uint64_t rows = 0, any;
    size_t to = from + n, middle = b->n_sets < from ? from : b->n_sets > to ? to : b->n_sets;
    *error = (struct sql_error){.at = SQL_WHOLE};
    if (PQenterPipelineMode(p->c) != 1 ||
        (from < middle && !queue_arrays(p, b, from, middle, 2, p->by_arrays.insert)) ||
        (middle < to && !queue_arrays(p, b, middle, to, 1, p->by_arrays.remove)) || !PQpipelineSync(p->c))
        return lost(p, error, e);
    if ((from < middle && !take_answer(p, SQL_WHOLE, &rows, t, &pieces, error, e)) ||
        (middle < to && !take_answer(p, SQL_WHOLE, &any, t, &pieces, error, e)) ||
        !take_end(p, t, &pieces, error, e))
        return false;
    if (PQexitPipelineMode(p->c) != 1)
        return odd(p, error, e);
    /* The table became something else meanwhile, or the server does not take arrays as PostgreSQL does. */
    if (!error->code[0] && rows != middle - from)
        (void)snprintf(error->code, sizeof(error->code), "?");
    return !error->code[0];
}

bool postgres_transaction(void *arg, struct sql_batch *b, size_t from, size_t n, struct sql_error *error,
                          struct err *e)
{
    struct postgres *p = arg;
    if (p->arrays && !p->rows_only && n > 1) {
        if (by_arrays(p, b, from, n, error, e))
            return true;
        enum postgres_instead instead = error->code[0] ? postgres_instead(error->code) : POSTGRES_NOTHING;
        if (instead == POSTGRES_NOTHING)
            return false;
        p->rows_only = true;
        p->arrays = instead != POSTGRES_ROWS_FROM_NOW;
    }
    return by_rows(p, b, from, n, error, e);
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
