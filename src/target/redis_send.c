/* SPDX-License-Identifier: Apache-2.0
 *
 * Redis' batches. Events go in commands of many values, each of which Redis applies whole or not at all (usually one for a
 * list, two for a hash), one command after the other: so the order of a list holds even when Redis refuses some (its memory
 * full), and a full server does not let through the one kind of change and hold up the other. */
#include <stdio.h>

#include "target/redis_impl.h"

struct sending {
    struct redis *r;
    const struct event_ref *ev;
    size_t n;
    enum send_result *out;
    struct patience patience;
    size_t events; /* of the command at hand */
    unsigned index[PLAN_MAX_BATCH];
};

/* One more argument of the command, which ends where the bytes end now. */
static void end_argument(struct redis *r, size_t arg, size_t begin)
{
    r->at[arg] = begin;
    r->argvlen[arg] = r->bytes.len - begin;
}

/* The next events of this part as one command, from `from` on; returns where to go on. s->events of them are in it. */
static size_t fill(struct sending *s, enum plan_part part, size_t from, size_t *argc)
{
    struct redis *r = s->r;
    buf_reset(&r->bytes);
    s->events = 0;
    *argc = 2;
    size_t i = from;
    for (; i < s->n && r->bytes.len < r->chunk; i++) {
        if (r->steps[i].part != part)
            continue;
        size_t begin = r->bytes.len;
        if (r->names.format == FORMAT_NAMESPACE) {
            plan_key(&r->bytes, &s->ev[i]);
            end_argument(r, (*argc)++, begin);
            begin = r->bytes.len;
        }
        if (part == PLAN_SET) {
            redis_value(&r->bytes, &s->ev[i], r->names.format);
            end_argument(r, (*argc)++, begin);
        }
        s->index[s->events++] = (unsigned)i;
    }
    BUG_ON(r->bytes.failed);
    return i;
}

static void append_command(struct redis *r, const char *name, size_t argc)
{
    r->argv[0] = name;
    r->argvlen[0] = strlen(name);
    r->argv[1] = r->conf->key;
    r->argvlen[1] = strlen(r->conf->key);
    for (size_t i = 2; i < argc; i++)
        r->argv[i] = r->bytes.p + r->at[i];
    BUG_ON(redisAppendCommandArgv(r->c, (int)argc, r->argv, r->argvlen) != REDIS_OK);
    if (r->names.format == FORMAT_NAMESPACE)
        BUG_ON(redisAppendCommand(r->c, "HLEN %s", r->conf->key) != REDIS_OK);
}

/* How many entries there are now, and so before the command: does what it adds or removes explain the difference? */
static void watch(struct redis *r, enum plan_part part, const redisReply *changed, const redisReply *count)
{
    if (changed && count && count->type == REDIS_REPLY_INTEGER)
        redis_watch(r,
                    part == PLAN_SET ? count->integer - changed->integer : count->integer + changed->integer,
                    count->integer);
}

/* Sends the command of s->events; false when they are not confirmed, why says so. */
static bool command(struct sending *s, enum plan_part part, size_t argc, char *why, size_t why_n)
{
    struct redis *r = s->r;
    struct err e = {0};
    redisReply *replies[REDIS_REPLIES] = {NULL};
    unsigned n = r->names.format == FORMAT_NAMESPACE ? 2 : 1;
    append_command(r, r->names.format == FORMAT_ACCESS ? "RPUSH" : part == PLAN_SET ? "HSET" : "HDEL", argc);
    bool whole = redis_exchange(r, n, replies, &s->patience, &e);
    /* The first reply counts even when the connection ended behind it. */
    bool ok = redis_confirmed(&r->names, replies[0], s->events, why, why_n);
    if (!ok && !replies[0])
        (void)snprintf(why, why_n, "%.*s", (int)why_n - 1, e.text);
    r->chunk = replies[0] ? REDIS_CHUNK : REDIS_CHUNK_SMALL;
    if (ok && whole)
        watch(r, part, replies[0], replies[1]);
    for (unsigned i = 0; i < n; i++)
        freeReplyObject(replies[i]);
    return ok;
}

/* All events of one part; false when the rest of the batch is not to be tried. */
static bool send_part(struct sending *s, enum plan_part part, char *why, size_t why_n)
{
    for (size_t next = 0; next < s->n;) {
        size_t argc;
        next = fill(s, part, next, &argc);
        if (s->events == 0)
            continue;
        if (!s->r->c) {
            (void)snprintf(why, why_n, "%.60s: the connection was lost", s->r->address.shown);
            return false;
        }
        if (!command(s, part, argc, why, why_n))
            return false;
        for (size_t i = 0; i < s->events; i++)
            s->out[s->index[i]] = SEND_OK;
    }
    return true;
}

void redis_send(void *arg, const struct event_ref *ev, size_t n, enum send_result *out, int64_t deadline_ms,
                struct err *e)
{
    struct redis *r = arg;
    struct sending s = {.r = r, .ev = ev, .n = n, .out = out};
    struct err lost = {0};
    char why[SEND_WHY] = "";
    for (size_t i = 0; i < n; i++)
        out[i] = SEND_RETRY;
    plan_batch(ev, n, r->names.format, r->steps);
    /* After a batch of which only a part went through, the core goes on without connecting again. */
    bool up = r->c ? redis_quiet(r, &lost) : redis_connect(r, deadline_ms, &lost);
    s.patience = redis_patience(r, deadline_ms, REDIS_ANSWER_MS);
    if (!up)
        (void)snprintf(why, sizeof(why), "%.*s", (int)sizeof(why) - 1, lost.text);
    else if (send_part(&s, PLAN_SET, why, sizeof(why)))
        (void)send_part(&s, PLAN_DELETE, why, sizeof(why));
    plan_finish(ev, n, r->steps, out, why, e);
}
