/* SPDX-License-Identifier: Apache-2.0
 *
 * MySQL's batches: one statement of many rows, which is a transaction by itself; those that remove in one of their own.
 * MariaDB takes the rows as arrays of values, for which neither side has to write and read a text. */
#include <stdio.h>

#include "target/mysql_impl.h"

static const char *put(void *arg, struct sql_batch *b, size_t i)
{
    const struct mysql_target *t = arg;
    const struct event_ref *ev = &b->ev[i];
    b->at[2 * b->events] = b->bytes.len;
    if (b->steps[i].part == PLAN_SET && t->arrays) {
        b->at[2 * b->events + 1] = mysql_insert_cells(&b->bytes, &t->shape, ev);
        return NULL;
    }
    if (b->steps[i].part == PLAN_SET)
        mysql_insert_values(&b->bytes, &t->shape, ev);
    else
        mysql_remove_values(&b->bytes, &t->shape, ev);
    b->at[2 * b->events + 1] = b->bytes.len;
    return NULL;
}

/* It would hang up. In smaller pieces, then; one event alone waits until the server is told to take more. */
static bool too_large(const struct mysql_target *t, struct sql_error *error)
{
    *error = (struct sql_error){.at = SQL_WHOLE, .code = "1153"};
    (void)snprintf(error->text, sizeof(error->text), "max_allowed_packet = %llu",
                   (unsigned long long)t->packet);
    return false;
}

/* What a cell has beside its bytes: what it is, and its length. */
#define CELL_HEAD 10

static bool put_rows(struct mysql_target *t, const struct sql_batch *b, size_t from, size_t n,
                     struct sql_error *error, struct err *e)
{
    size_t bytes = 64;
    for (size_t i = 0; i < n; i++) {
        const size_t *at = &b->at[2 * (from + i)];
        t->cell[0][i] = b->bytes.p + at[0];
        t->cell[1][i] = b->bytes.p + at[1];
        t->cell_n[0][i] = at[1] - at[0];
        t->cell_n[1][i] = b->ev[b->index[from + i]].record.n + PLAN_RECORDS;
        bytes += t->cell_n[0][i] + t->cell_n[1][i] + MYSQL_COLUMNS * CELL_HEAD;
    }
    return bytes > t->packet ? too_large(t, error) : mysql_put_rows(t, (unsigned)n, &b->patience, error, e);
}

/* Values that were put as they are become a text where the server does not take them. */
static void add_row(struct mysql_target *t, const struct sql_batch *b, size_t i)
{
    if (t->arrays && i < b->n_sets)
        mysql_insert_values(&t->statement, &t->shape, &b->ev[b->index[i]]);
    else
        buf_put(&t->statement, b->bytes.p + b->at[2 * i], b->at[2 * i + 1] - b->at[2 * i]);
}

static bool apply(void *arg, struct sql_batch *b, size_t from, size_t n, struct sql_error *error,
                  struct err *e)
{
    struct mysql_target *t = arg;
    struct buf *s = &t->statement;
    bool set = from < b->n_sets;
    if (set && t->arrays && !t->arrays_refused) {
        bool ok = put_rows(t, b, from, n, error, e);
        t->arrays_refused = !ok && mysql_refuses_arrays(error->code);
        if (!t->arrays_refused)
            return ok;
    }
    buf_reset(s);
    if (set)
        mysql_insert_begin(s, &t->shape);
    else
        mysql_remove_begin(s, &t->shape);
    for (size_t i = from; i < from + n; i++) {
        if (i > from)
            buf_char(s, ',');
        add_row(t, b, i);
    }
    if (set)
        mysql_insert_end(s, &t->shape);
    else
        mysql_remove_end(s);
    BUG_ON(s->failed);
    if (s->len + 64 > t->packet)
        return too_large(t, error);
    return mysql_run(t, buf_view(s), &b->patience, NULL, NULL, error, e);
}

static void explain(void *arg, const struct sql_error *error, char *why, size_t why_n)
{
    const struct mysql_target *t = arg;
    mysql_explain(&t->names, error->code, str_c(error->text), why, why_n);
}

static const struct sql_kind kind = {.apart = true,
                                     .put = put,
                                     .apply = apply,
                                     .judge = mysql_judge,
                                     .explain = explain,
                                     .table = mysql_table};

void mysql_target_send(void *arg, const struct event_ref *ev, size_t n, enum send_result *out,
                       int64_t deadline_ms, struct err *e)
{
    struct mysql_target *t = arg;
    struct err lost = {0};
    t->arrays = t->arrays && !t->arrays_refused;
    sql_begin(&t->batch, ev, n, out, (enum plan_format)t->conf->format);
    /* After a batch of which only a part went through, the core goes on without connecting again. */
    bool up = t->m ? mysql_quiet(t, &lost) : mysql_target_connect(t, deadline_ms, &lost);
    t->batch.patience = mysql_patience(t, deadline_ms, MYSQL_ANSWER_MS);
    if (up)
        sql_send(&kind, t, &t->batch, e);
    else
        sql_give_up(&t->batch, lost.text, e);
}
