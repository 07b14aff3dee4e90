/* SPDX-License-Identifier: Apache-2.0
 *
 * MySQL's batches: one statement of many rows, which is a transaction by itself; those that remove in one of their own. */
#include <stdio.h>

#include "target/mysql_impl.h"

static const char *put(void *arg, struct sql_batch *b, size_t i)
{
    const struct mysql_target *t = arg;
    const struct event_ref *ev = &b->ev[i];
    b->at[2 * b->events] = b->bytes.len;
    if (b->steps[i].part == PLAN_SET)
        mysql_insert_values(&b->bytes, &t->shape, ev);
    else
        mysql_remove_values(&b->bytes, &t->shape, ev);
    b->at[2 * b->events + 1] = b->bytes.len;
    return NULL;
}

static bool apply(void *arg, struct sql_batch *b, size_t from, size_t n, struct sql_error *error,
                  struct err *e)
{
    struct mysql_target *t = arg;
    struct buf *s = &t->statement;
    bool set = from < b->n_sets;
    buf_reset(s);
    if (set)
        mysql_insert_begin(s, &t->shape);
    else
        mysql_remove_begin(s, &t->shape);
    for (size_t i = from; i < from + n; i++) {
        if (i > from)
            buf_char(s, ',');
        buf_put(s, b->bytes.p + b->at[2 * i], b->at[2 * i + 1] - b->at[2 * i]);
    }
    if (set)
        mysql_insert_end(s, &t->shape);
    else
        mysql_remove_end(s);
    BUG_ON(s->failed);
    if (s->len + 64 > t->packet) {
        /* It would hang up. In smaller pieces, then; one event alone waits until the server is told to take more. */
        *error = (struct sql_error){.at = SQL_WHOLE, .code = "1153"};
        (void)snprintf(error->text, sizeof(error->text), "max_allowed_packet = %llu",
                       (unsigned long long)t->packet);
        return false;
    }
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
    sql_begin(&t->batch, ev, n, out, (enum plan_format)t->conf->format);
    /* After a batch of which only a part went through, the core goes on without connecting again. */
    bool up = t->m ? mysql_quiet(t, &lost) : mysql_target_connect(t, deadline_ms, &lost);
    t->batch.patience = mysql_patience(t, deadline_ms, MYSQL_ANSWER_MS);
    if (up)
        sql_send(&kind, t, &t->batch, e);
    else
        sql_give_up(&t->batch, lost.text, e);
}
