/* SPDX-License-Identifier: Apache-2.0
 *
 * A batch on its way into a database. */
#include "target/sql_batch.h"

#include <stdio.h>

#include "base/clock.h"

void sql_batch_init(struct sql_batch *b)
{
    b->most = SQL_MAX_BATCH;
    /* The last event may be as large as they come, each of its bytes escaped. */
    buf_init(&b->bytes, SQL_CHUNK + 4 * PLAN_EVENT_MAX);
}

void sql_batch_release(struct sql_batch *b)
{
    buf_release(&b->bytes);
}

static bool same_key(const struct event_ref *a, const struct event_ref *b)
{
    return str_eq(a->key, b->key) && str_eq(a->bucket, b->bucket);
}

static bool has_to_wait(const struct sql_batch *b, size_t i)
{
    for (size_t k = 0; k < b->n_waits; k++)
        if (same_key(&b->ev[b->waits[k]], &b->ev[i]))
            return true;
    return false;
}

/* The next events of one part, from *from on, as long as they fit. */
static void fill(const struct sql_kind *kind, void *self, struct sql_batch *b, enum plan_part part,
                 size_t *from)
{
    for (; *from < b->n && b->bytes.len < SQL_CHUNK; ++*from) {
        size_t i = *from;
        if (b->steps[i].part != part || has_to_wait(b, i))
            continue;
        const char *why = kind->put(self, b, i);
        if (!why) {
            b->index[b->events++] = (unsigned)i;
            continue;
        }
        b->out[i] = SEND_REJECT;
        if (b->ev[i].why)
            (void)snprintf(b->ev[i].why, SEND_WHY, "%s", why);
    }
    BUG_ON(b->bytes.failed);
}

static void take_out(struct sql_batch *b, size_t at)
{
    b->n_sets -= at < b->n_sets;
    b->events--;
    for (size_t i = at; i < b->events; i++) {
        b->index[i] = b->index[i + 1];
        b->at[2 * i] = b->at[2 * (i + 1)];
        b->at[2 * i + 1] = b->at[2 * (i + 1) + 1];
    }
}

/* The event at `at` cannot go in. Where it may later, those of its key that follow wait for it. */
static void refuse(struct sql_batch *b, size_t at, enum sql_verdict verdict)
{
    const struct event_ref *ev = &b->ev[b->index[at]];
    b->out[b->index[at]] = verdict == SQL_NEVER ? SEND_REJECT : SEND_RETRY;
    if (ev->why)
        (void)snprintf(ev->why, SEND_WHY, "%s", b->why);
    if (verdict == SQL_ROW)
        b->waits[b->n_waits++] = b->index[at];
    take_out(b, at);
    for (size_t i = at; verdict == SQL_ROW && i < b->events;) {
        if (same_key(ev, &b->ev[b->index[i]]))
            take_out(b, i);
        else
            i++;
    }
}

/* A transaction of events from..from+*size was refused. False: there is no use in going on. */
static bool after_refusal(const struct sql_kind *kind, void *self, struct sql_batch *b, size_t from,
                          size_t *size, const struct sql_error *error)
{
    enum sql_verdict verdict = kind->judge(error->code);
    kind->explain(self, error, b->why, sizeof(b->why));
    if (verdict == SQL_MISSING && !b->made) {
        struct err e = {0};
        b->made = true;
        if (kind->table(self, &b->patience, &e))
            return true;
        (void)snprintf(b->why, sizeof(b->why), "%.*s", (int)sizeof(b->why) - 1, e.text);
        return false;
    }
    if (verdict != SQL_NEVER && verdict != SQL_ROW)
        return false;
    if (error->at == SQL_WHOLE && *size > 1)
        *size /= 2;
    else
        refuse(b, error->at == SQL_WHOLE ? from : error->at, verdict);
    return true;
}

static size_t at_most(const struct sql_batch *b, size_t n)
{
    return n < b->most ? n : b->most;
}

/* What a transaction of n events says about how many there may be. */
static void pace(struct sql_batch *b, size_t n, bool ok, int64_t took_ms)
{
    if (!ok && took_ms >= SQL_SLOW_MS && n > 1)
        b->most = n / 2;
    else if (ok && took_ms < SQL_QUICK_MS && n == b->most && b->most < SQL_MAX_BATCH)
        b->most = 2 * n < SQL_MAX_BATCH ? 2 * n : SQL_MAX_BATCH;
}

/* The events at hand; false when the rest of the batch is not to be tried. */
static bool deliver(const struct sql_kind *kind, void *self, struct sql_batch *b)
{
    size_t size = at_most(b, b->events);
    for (size_t from = 0; from < b->events;) {
        struct sql_error error = {0};
        struct err e = {0};
        size_t end = kind->apart && from < b->n_sets ? b->n_sets : b->events;
        if (size > end - from)
            size = end - from;
        int64_t began = clock_mono_ms();
        bool ok = kind->apply(self, b, from, size, &error, &e);
        pace(b, size, ok, clock_mono_ms() - began);
        if (ok) {
            for (size_t i = from; i < from + size; i++)
                b->out[b->index[i]] = SEND_OK;
            from += size;
            size = at_most(b, b->events);
            continue;
        }
        if (!error.code[0])
            (void)snprintf(b->why, sizeof(b->why), "%.*s", (int)sizeof(b->why) - 1, e.text);
        if (!error.code[0] || !after_refusal(kind, self, b, from, &size, &error))
            return false;
    }
    return true;
}

void sql_begin(struct sql_batch *b, const struct event_ref *ev, size_t n, enum send_result *out,
               enum plan_format format)
{
    b->ev = ev;
    b->n = n;
    b->out = out;
    b->made = false;
    b->n_waits = 0;
    b->why[0] = 0;
    for (size_t i = 0; i < n; i++)
        out[i] = SEND_RETRY;
    plan_batch(ev, n, format, b->steps);
}

void sql_send(const struct sql_kind *kind, void *self, struct sql_batch *b, struct err *e)
{
    size_t set = 0, removed = 0;
    bool going = true;
    while (going && (set < b->n || removed < b->n)) {
        buf_reset(&b->bytes);
        b->events = 0;
        fill(kind, self, b, PLAN_SET, &set);
        b->n_sets = b->events;
        fill(kind, self, b, PLAN_DELETE, &removed);
        going = deliver(kind, self, b);
    }
    plan_finish(b->ev, b->n, b->steps, b->out, b->why, e);
}

void sql_give_up(struct sql_batch *b, const char *why, struct err *e)
{
    plan_finish(b->ev, b->n, b->steps, b->out, why, e);
}
