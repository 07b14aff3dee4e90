/* SPDX-License-Identifier: Apache-2.0
 *
 * NSQ's batches. nsqd takes the events of one command (MPUB) and says one OK to all of them; an error is about all of them,
 * too, and ends the connection. Where it says that one of them is too large, that one is refused, and the others are sent
 * again without it. */
#include <stdio.h>

#include "target/nsq_impl.h"

struct sending {
    struct nsq *n;
    const struct event_ref *ev;
    size_t count;
    enum send_result *out;
    int64_t deadline_ms;
    char why[SEND_WHY];
    size_t from, to; /* events of the command at hand: those between that are not refused */
};

static void refuse(struct sending *s, size_t i, const char *why)
{
    s->out[i] = SEND_REJECT;
    if (s->ev[i].why)
        (void)snprintf(s->ev[i].why, SEND_WHY, "%s", why);
}

/* The next command into the connection's buffer; false when there is nothing left. */
static bool build(struct sending *s)
{
    struct nsq *n = s->n;
    struct nsq_publish p;
    size_t i = s->from;
    nsq_publish_begin(&p, &n->stream.out);
    for (; i < s->count && (p.n == 0 || n->stream.out.len - p.body < n->chunk); i++) {
        if (s->out[i] == SEND_REJECT)
            continue;
        if (s->ev[i].record.n > NSQ_EVENT_MAX) {
            refuse(s, i, "the event is larger than 4 MiB");
            continue;
        }
        size_t before = n->stream.out.len, body = before - p.body;
        n->size[i] = nsq_publish_add(&p, &n->stream.out, &s->ev[i]);
        BUG_ON(n->stream.out.failed);
        if (p.n > 1 && body + 4 + n->size[i] > n->chunk) { /* the next command's */
            n->stream.out.len = before;
            p.n--;
            break;
        }
    }
    s->to = i;
    if (p.n == 0) {
        n->stream.out.len = p.at;
        return false;
    }
    nsq_publish_end(&p, &n->stream.out, n->conf->topic);
    return true;
}

/* nsqd has refused the command for its size. False when nothing follows from that, so that it would do so for ever. */
static bool shrink(struct sending *s, enum nsq_verdict verdict, uint64_t limit)
{
    struct nsq *n = s->n;
    bool some = false;
    if (verdict == NSQ_BODY_LIMIT) { /* smaller by an eighth at least, whatever it says: so this ends */
        size_t less = n->chunk - (n->chunk + 7) / 8;
        n->chunk = limit < less ? (size_t)limit : less;
        return n->chunk > 0;
    }
    for (size_t i = s->from; verdict == NSQ_EVENT_LIMIT && i < s->to; i++)
        if (s->out[i] != SEND_REJECT && n->size[i] > limit) {
            refuse(s, i, s->why);
            some = true;
        }
    return some;
}

/* Sends the command that was built; true when the next one, or another instead, can follow. */
static bool command(struct sending *s)
{
    struct nsq *n = s->n;
    struct patience p = nsq_patience(n, s->deadline_ms, NSQ_ANSWER_MS);
    struct nsq_frame answer;
    struct err e = {0};
    uint64_t limit;
    if (!nsq_exchange(n, &answer, &p, &e)) {
        (void)snprintf(s->why, sizeof(s->why), "%.*s", (int)sizeof(s->why) - 1, e.text);
        return false;
    }
    if (answer.kind == NSQ_RESPONSE && str_eq(answer.data, STR("OK"))) {
        for (size_t i = s->from; i < s->to; i++)
            if (s->out[i] != SEND_REJECT)
                s->out[i] = SEND_OK;
        s->from = s->to;
        return true;
    }
    if (answer.kind == NSQ_RESPONSE) {
        (void)snprintf(s->why, sizeof(s->why), "%.60s: an answer that is none of nsqd's to a publish",
                       n->address.shown);
        nsq_disconnect(n);
        return false;
    }
    nsq_explain(&n->names, answer.data, s->why, sizeof(s->why));
    enum nsq_verdict verdict = nsq_judge(answer.data, &limit);
    nsq_disconnect(n); /* nsqd does the same */
    return shrink(s, verdict, limit);
}

static bool ready(struct sending *s)
{
    struct nsq *n = s->n;
    struct err e = {0};
    /* After a batch of which only a part went through, the core goes on without connecting again. */
    if (n->stream.fd >= 0 ? nsq_quiet(n, &e) : nsq_reconnect(n, s->deadline_ms, &e))
        return true;
    (void)snprintf(s->why, sizeof(s->why), "%.*s", (int)sizeof(s->why) - 1, e.text);
    return false;
}

void nsq_send(void *arg, const struct event_ref *ev, size_t n, enum send_result *out, int64_t deadline_ms,
              struct err *e)
{
    struct sending s = {.n = arg, .ev = ev, .count = n, .out = out, .deadline_ms = deadline_ms};
    BUG_ON(n > NSQ_MAX_BATCH);
    for (size_t i = 0; i < n; i++)
        out[i] = SEND_RETRY;
    while (ready(&s) && build(&s) && command(&s))
        ;
    for (size_t i = 0; i < n; i++) {
        if (out[i] == SEND_RETRY && ev[i].why)
            (void)snprintf(ev[i].why, SEND_WHY, "%s", s.why);
        if (out[i] != SEND_OK && !e->text[0])
            (void)err_set(e, "%s", out[i] == SEND_REJECT && ev[i].why ? ev[i].why : s.why);
    }
}
