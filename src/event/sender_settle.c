/* SPDX-License-Identifier: Apache-2.0
 *
 * From the outcomes of a batch to the state of its events and of the target: what is removed, what waits in a lane, what
 * becomes a dead letter, when the target counts as offline or broken. */
#include <stdio.h>

#include "base/log.h"
#include "event/sender.h"

struct outcome {
    size_t ok, retry, reject, fresh; /* fresh: not from a lane */
};

/* Where several events of a key ride in one batch, those behind one that stays have to be sent again after it. A refused one
 * stays, too, where there is no room for one more dead letter. */
static void keep_order(struct sender *s, size_t n)
{
    int64_t room = s->dead_limit - atomic_load(&s->dead);
    if (s->type->one_per_key)
        return;
    for (size_t i = 0; i < n; i++) {
        const struct queued *a = s->batch[i].event;
        bool stays = s->results[i] == SEND_RETRY || (s->results[i] == SEND_REJECT && room-- <= 0);
        for (size_t j = i + 1; j < n && stays; j++)
            if (queued_same_key(a, s->batch[j].event))
                s->results[j] = SEND_RETRY;
    }
}

static struct outcome count_outcomes(struct sender *s, size_t n)
{
    struct outcome o = {0};
    for (size_t i = 0; i < n; i++) {
        o.ok += s->results[i] == SEND_OK;
        o.retry += s->results[i] == SEND_RETRY;
        o.reject += s->results[i] == SEND_REJECT;
        o.fresh += s->batch[i].lane == NULL;
    }
    sender_count_sent(s, o.ok);
    atomic_fetch_add(&s->retries, o.retry);
    atomic_fetch_add(&s->rejected, o.reject);
    return o;
}

static const char *reason_of(const struct sender *s, size_t i, const struct err *e)
{
    const char *why = s->batch[i].why;
    return why && why[0] ? why : e->text[0] ? e->text : "no reason given";
}

static void dead_letter(struct sender *s, size_t i, uint32_t attempts, const char *reason)
{
    const struct outbox_row *row = &s->batch[i].event->row;
    log_warn(s->label, "%.*s of %.*s/%.*s becomes a dead letter: %s", STR_FMT(row->name),
             STR_FMT(row->bucket), STR_FMT(row->key), reason);
    queue_resolve(s, &s->batch[i], attempts, reason);
}

/* May the event become a dead letter? When they are full the target counts as broken, and the event stays. */
static bool may_die(struct sender *s, const struct queued *q)
{
    if (s->dead < s->dead_limit)
        return true;
    char text[160];
    s->undying = q->seq;
    (void)snprintf(text, sizeof(text),
                   "its dead letters are full (%lld): look at what is refused, then raise "
                   "dead_letter_limit",
                   (long long)s->dead);
    sender_break(s, "", text);
    return false;
}

static void settle_reject(struct sender *s, size_t i, bool any_ok, const struct err *e)
{
    if (s->broken)
        return; /* nothing moves any more; the event stays where it is */
    if (!any_ok && ++s->streak >= REJECTS_TO_BREAK) {
        sender_break(s, "it refuses every event: ", reason_of(s, i, e));
        return;
    }
    if (may_die(s, s->batch[i].event))
        dead_letter(s, i, s->batch[i].lane ? s->batch[i].lane->tries + 1 : 1, reason_of(s, i, e));
}

/* A lane whose first event failed once more. */
static void lane_failed(struct sender *s, size_t i, struct lane *l, int64_t now_ms, const struct err *e)
{
    l->tries++;
    if (s->oks >
        l->oks_mark) { /* others went through since the last time: it is this event, not the target */
        l->oks_mark = s->oks;
        if (l->failures++ == 0)
            l->first_failure_ms = now_ms;
    }
    l->next_try_ms = now_ms + sender_backoff(s, l->tries, s->batch[i].retry_after_ms);
    if (l->failures >= DEAD_FAILURES && now_ms - l->first_failure_ms >= DEAD_AFTER_MS && may_die(s, &l->head))
        dead_letter(s, i, l->tries, reason_of(s, i, e));
}

/* An event that has to be tried again while the target works: its key waits by itself. */
static void settle_retry(struct sender *s, size_t i, uint64_t oks_before, int64_t now_ms, const struct err *e)
{
    struct picked *p = &s->batch[i];
    if (p->lane) {
        lane_failed(s, i, p->lane, now_ms, e);
        return;
    }
    struct lane *l = p->event->bytes ? queue_park(s, p->event) : NULL;
    if (l) {
        l->oks_mark = oks_before;
        p->event = &l->head;
        p->lane = l;
        lane_failed(s, i, l, now_ms, e);
    } else if (p->event->bytes) {
        /* No lane is free: it stays in the window, and the whole target slows down; a receiver that names a time may mean
         * everybody, but others went through, so no longer than for a target that is down. */
        int64_t named = p->retry_after_ms < BACKOFF_MAX_MS ? p->retry_after_ms : BACKOFF_MAX_MS;
        int64_t at = now_ms + sender_backoff(s, 0, named);
        s->retry_at_ms = at > s->retry_at_ms ? at : s->retry_at_ms;
    }
}

/* Nothing went through and nothing was refused: it is the target. */
static void settle_down(struct sender *s, int64_t now_ms, const struct err *e)
{
    s->type->disconnect(s->self);
    s->connected = false;
    s->send_failed = true;
    s->retry_at_ms = now_ms + sender_backoff(s, ++s->fails, e->retry_after_ms);
    if (atomic_load(&s->stop_ms) == INT64_MAX) /* else it was cut short by us */
        sender_offline(s, e->text[0] ? e->text : "no reason given");
}

/* What the receiver confirmed is resolved, whatever state that leaves the target in. */
static void settle_ok(struct sender *s, size_t n, const struct outcome *o)
{
    if (o->ok == 0)
        return;
    s->oks += o->ok;
    s->streak = 0;
    if (s->fails > 0) /* the target works; else it waits because of keys that have no lane */
        s->retry_at_ms = 0;
    s->fails = 0;
    s->send_failed = false;
    for (size_t i = 0; i < n; i++)
        if (s->results[i] == SEND_OK)
            queue_resolve(s, &s->batch[i], 0, NULL);
}

/* Where a batch is taken in order: was it cut, so that only its beginning is confirmed? */
static bool was_cut(const struct sender *s, size_t n, const struct outcome *o)
{
    size_t first = 0;
    while (first < n && s->results[first] == SEND_OK)
        first++;
    return s->type->whole_batch && first > 0 && first == o->ok && o->retry > 0 && first + o->retry == n;
}

/* Is a broken target still broken after this probe? The first success ends that. But where the dead letters are full and an
 * event waits to be one of them, it lasts until that very event is taken (else the target would be online and broken again with
 * every step), or there is room, which was all that was wrong. */
static bool stays_broken(struct sender *s, size_t n, const struct outcome *o)
{
    for (size_t i = 0; i < n; i++)
        if (s->results[i] == SEND_OK && s->batch[i].event->seq == s->undying)
            s->undying = 0;
    bool room = s->undying != 0 && s->dead < s->dead_limit;
    if (room)
        s->undying = 0;
    return !room && (o->ok == 0 || s->undying != 0);
}

/* The key of an event that was not taken waits by itself while others go through. */
static void wait_by_itself(struct sender *s, size_t i, int64_t now_ms)
{
    struct picked *p = &s->batch[i];
    int64_t retry_after_ms = p->retry_after_ms;
    struct lane *l = p->lane ? p->lane : p->event->bytes ? queue_park(s, p->event) : NULL;
    if (!l)
        return;
    l->oks_mark = s->oks;
    l->next_try_ms = now_ms + sender_backoff(s, ++l->tries, retry_after_ms);
}

static void settle_probe(struct sender *s, size_t n, const struct outcome *o, bool others, int64_t now_ms,
                         const struct err *e)
{
    if (o->retry == n && !others) {
        s->type->disconnect(s->self);
        s->connected = false;
    }
    settle_ok(s, n, o);
    for (size_t i = 0; i < n && o->ok > 0; i++)
        if (s->results[i] != SEND_OK)
            wait_by_itself(s, i, now_ms);
    s->retry_at_ms = now_ms + sender_backoff(s, ++s->fails, o->ok > 0 ? 0 : e->retry_after_ms);
    if (e->text[0] && s->dead < s->dead_limit)
        sender_set_reason(s, e->text);
}

void settle(struct sender *s, size_t n, bool others, int64_t now_ms, const struct err *e)
{
    keep_order(s, n);
    struct outcome o = count_outcomes(s, n);
    uint64_t oks_before = s->oks;
    if (s->broken && stays_broken(s, n, &o)) {
        settle_probe(s, n, &o, others, now_ms, e);
        return;
    }
    if (s->broken && o.reject > 0) /* it answers, and there is room for what it refuses */
        sender_online(s);
    s->broken = false;
    if (o.retry == n && o.fresh > 0 && !others) {
        settle_down(s, now_ms, e);
        return;
    }
    if (was_cut(s, n, &o)) { /* what is left keeps its place: in a lane, later events would overtake it */
        settle_ok(s, n, &o);
        settle_down(s, now_ms, e);
        return;
    }
    if (o.retry == n &&
        !others) /* keys that wait, and nothing else: is the connection still of use? idle will tell */
        s->last_work_ms = now_ms - IDLE_MS;
    /* What is resolved first, then what moves in memory: parking a key takes it out of the window. */
    settle_ok(s, n, &o);
    if (o.ok > 0)
        sender_online(s);
    for (size_t i = 0; i < n; i++)
        if (s->results[i] == SEND_REJECT)
            settle_reject(s, i, o.ok > 0, e);
    for (size_t i = 0; i < n && !s->broken; i++)
        if (s->results[i] == SEND_RETRY)
            settle_retry(s, i, oks_before, now_ms, e);
    if (s->broken)
        s->retry_at_ms = now_ms + sender_backoff(s, ++s->fails, o.ok > 0 ? 0 : e->retry_after_ms);
    else if (o.retry > 0 && e->text[0])
        sender_set_reason(s, e->text);
}
