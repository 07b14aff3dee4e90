/* SPDX-License-Identifier: Apache-2.0
 *
 * PostgreSQL's batches: one transaction each, so one wait for the disk. */
#include <stdio.h>

#include "target/postgres_impl.h"

/* Two texts that end in a NUL: key and value, or time and data. */
static const char *put(void *arg, struct sql_batch *b, size_t i)
{
    const struct postgres *p = arg;
    const struct event_ref *ev = &b->ev[i];
    if (str_chr(ev->bucket, 0) >= 0 || str_chr(ev->key, 0) >= 0 || str_chr(ev->record, 0) >= 0)
        return "it holds a NUL byte, which PostgreSQL cannot store";
    b->at[2 * b->events] = b->bytes.len;
    if (p->conf->format == FORMAT_ACCESS)
        buf_str(&b->bytes, str_head(ev->event_time, 64));
    else
        plan_key(&b->bytes, ev);
    buf_char(&b->bytes, 0);
    b->at[2 * b->events + 1] = b->bytes.len;
    if (b->steps[i].part == PLAN_SET)
        plan_records(&b->bytes, ev);
    buf_char(&b->bytes, 0);
    return NULL;
}

static void explain(void *arg, const struct sql_error *error, char *why, size_t why_n)
{
    const struct postgres *p = arg;
    postgres_explain(&p->names, error->code, str_c(error->text), why, why_n);
}

static const struct sql_kind kind = {.put = put,
                                     .apply = postgres_transaction,
                                     .judge = postgres_judge,
                                     .explain = explain,
                                     .table = postgres_table};

void postgres_send(void *arg, const struct event_ref *ev, size_t n, enum send_result *out,
                   int64_t deadline_ms, struct err *e)
{
    struct postgres *p = arg;
    struct err lost = {0};
    p->rows_only = false;
    sql_begin(&p->batch, ev, n, out, (enum plan_format)p->conf->format);
    /* After a batch of which only a part went through, the core goes on without connecting again. */
    bool up = p->c ? postgres_quiet(p, &lost) : postgres_connect(p, deadline_ms, &lost);
    p->batch.patience = postgres_patience(p, deadline_ms, POSTGRES_ANSWER_MS);
    if (up)
        sql_send(&kind, p, &p->batch, e);
    else
        sql_give_up(&p->batch, lost.text, e);
}
