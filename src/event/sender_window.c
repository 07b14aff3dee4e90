/* SPDX-License-Identifier: Apache-2.0
 *
 * Kinds of the window form: events are out in places, and each place that becomes free is fed at once, whatever the others
 * still wait for. So one key whose receiver hangs costs its own place and nothing else.
 *
 * A success is settled at once. A failure says nothing about the target while other events are out: it waits, in its place,
 * until one of them goes through (then only its key waits), or none is left (then the target is down, and every event keeps
 * its place in the order), or others take too long. */
#include "base/clock.h"
#include "base/crash.h"
#include "event/sender.h"

#define UNSURE   3
#define FLUSH_MS 2 /* so long without an answer, and what was resolved is written */

void window_init(struct sender *s)
{
    size_t n = s->max_batch;
    BUG_ON(!s->type->one_per_key || !s->type->poll || !s->type->wake);
    s->places = arena_zalloc(&s->arena, n * sizeof(*s->places));
    s->hashes = arena_zalloc(&s->arena, n * sizeof(*s->hashes));
    s->vacant = arena_zalloc(&s->arena, n * sizeof(*s->vacant));
    s->finished = arena_zalloc(&s->arena, n * sizeof(*s->finished));
    s->done = arena_zalloc(&s->arena, n * sizeof(*s->done));
    for (size_t i = 0; i < n; i++)
        s->vacant[i] = (unsigned)(n - 1 - i);
}

bool window_holds(const struct sender *s, const struct queued *q)
{
    if (s->keys_out[key_slot(q->key_hash)] == 0)
        return false;
    for (size_t i = 0; i < s->max_batch; i++) {
        const struct place *p = &s->places[i];
        if (s->hashes[i] == q->key_hash && p->used && str_eq(p->ref.key, q->row.key) &&
            str_eq(p->ref.bucket, q->row.bucket))
            return true;
    }
    return false;
}

static void count_out(struct sender *s)
{
    atomic_store(&s->sending, (unsigned)(s->n_used - s->n_ended));
}

static void hand_over(struct sender *s, size_t n, int64_t now_ms)
{
    int64_t deadline_ms = sender_deadline(s, now_ms, s->send_ms);
#ifdef BELFRY_MUTATE_REMOVE_BEFORE_SEND
    sender_remove_early(s, n);
#endif
    crash_point(CRASH_EVENT_BEFORE_SEND);
    for (size_t i = 0; i < n; i++) {
        unsigned at = s->vacant[s->max_batch - s->n_used - 1];
        struct place *p = &s->places[at];
        struct queued *q = s->batch[i].event;
        *p = (struct place){.used = true, .seq = q->seq};
        p->ref = sender_ref(&s->batch[i], s->why[at]);
        q->out = true;
        s->hashes[at] = q->key_hash;
        s->keys_out[key_slot(q->key_hash)]++;
        s->n_used++;
        s->type->begin(s->self, at, &p->ref, deadline_ms);
    }
    count_out(s);
}

/* Outcomes until `until_ms`, or until there are some. */
static size_t collect(struct sender *s, int64_t until_ms)
{
    size_t n = s->type->poll(s->self, s->done, until_ms);
    int64_t now_ms = clock_mono_ms();
    for (size_t i = 0; i < n; i++) {
        struct place *p = &s->places[s->done[i].place];
        BUG_ON(!p->used || p->ended);
        p->ended = true;
        p->ended_ms = now_ms;
        p->result = s->done[i].result;
        p->retry_after_ms = s->done[i].retry_after_ms;
        s->finished[s->n_ended++] = s->done[i].place;
    }
    count_out(s);
    if (n > 0) {
        crash_point(CRASH_EVENT_SENT);
        s->last_work_ms = now_ms;
    }
    return n;
}

/* The outcomes that wait, as a batch; their places are free then. */
static size_t take_ended(struct sender *s, struct err *e)
{
    size_t n = s->n_ended;
    for (size_t i = 0; i < n; i++) {
        unsigned at = s->finished[i];
        struct place *p = &s->places[at];
        s->batch[i] = queue_find(s, p->seq);
        s->batch[i].event->out = false;
        s->batch[i].why = s->why[at];
        s->batch[i].retry_after_ms = p->retry_after_ms;
        s->results[i] = p->result;
        if (p->result != SEND_OK)
            s->pick_from = 0; /* it may have to go out again */
        if (p->result != SEND_OK && !e->text[0])
            (void)err_set(e, "%s", s->why[at]);
        if (p->retry_after_ms > e->retry_after_ms)
            e->retry_after_ms = p->retry_after_ms;
        p->used = false;
        s->keys_out[key_slot(s->hashes[at])]--;
        s->n_used--;
        s->vacant[s->max_batch - s->n_used - 1] = at;
    }
    s->n_ended = 0;
    return n;
}

static void compact(struct sender *s)
{
    if (s->holes >= queue_room(s) / HOLES_SHARE || 2 * s->holes >= s->n_window || s->send_failed || s->broken)
        queue_compact(s);
}

/* Settles what has ended, once it is clear what it means. */
static void judge(struct sender *s, int64_t now_ms)
{
    struct err e = {0};
    bool clear = s->n_ended == s->n_used;
    for (size_t i = 0; i < s->n_ended && !clear; i++) {
        const struct place *p = &s->places[s->finished[i]];
        clear = p->result == SEND_OK || now_ms - p->ended_ms >= VERDICT_MS;
    }
    if (s->n_ended == 0 || !clear)
        return;
    size_t n = take_ended(s, &e);
    settle(s, n, s->n_used > 0, now_ms, &e);
    compact(s);
}

/* Events that may go out now. Those that are out, and those whose removal is not written, come once more after a crash: no
 * more than UNSURE times what the kind has out at once, however slow removals are. */
static size_t may_feed(struct sender *s)
{
    size_t vacant = s->max_batch - s->n_used, unsure = s->n_used + s->n_out + sender_removing(s);
    size_t room = UNSURE * s->max_batch > unsure ? UNSURE * s->max_batch - unsure : 0;
    if (room == 0 && s->n_used == 0) { /* events of segments that were lost are resolved by the thousand */
        remove_resolved(s);
        (void)sender_settled(s);
        return vacant;
    }
    return room < vacant ? room : vacant;
}

bool window_step(struct sender *s, int64_t now_ms, bool unread)
{
    size_t n = 0, most = may_feed(s);
    bool held = most == 0 && s->n_used < s->max_batch;
    bool feed = now_ms >= s->retry_at_ms && (!s->broken || s->n_used == 0) /* a probe is whole */
                && !atomic_load(&s->paused) && most > 0;
    if (feed) {
        n = queue_pick(s, now_ms, s->broken, most);
        hand_over(s, n, now_ms);
    }
    s->waits = false;
    if (s->n_used == 0)
        return false;
    bool more = feed && s->n_used < s->max_batch && !s->broken &&
                (atomic_load(&s->news) || (s->backlog && queue_has_room(s) && !unread));
    more = more || s->n_out >= OUT_EVENTS; /* a lane may go on when these are removed */
    /* When it is held back by a removal it looks again soon: the end of that wakes nobody. */
    s->waits = collect(s, more ? now_ms : now_ms + FLUSH_MS) == 0 && !more && !held;
    judge(s, clock_mono_ms());
    s->waits = s->waits && s->n_used > 0;
    return true;
}

/* When something is to be done even if nothing is answered. A lane that was due at now_ms and is not out waits for a
 * place. */
static int64_t next_due(const struct sender *s, int64_t now_ms)
{
    int64_t due = now_ms + IDLE_MS;
    for (size_t i = 0; i < s->n_lanes; i++) {
        int64_t at = s->lanes[i].next_try_ms;
        if (!s->lanes[i].head.out && at > now_ms && at < due)
            due = at;
    }
    for (size_t i = 0; i < s->n_ended; i++) {
        const struct place *p = &s->places[s->finished[i]];
        if (p->ended_ms + VERDICT_MS < due)
            due = p->ended_ms + VERDICT_MS;
    }
    return s->retry_at_ms > now_ms && s->retry_at_ms < due ? s->retry_at_ms : due;
}

void window_wait(struct sender *s, int64_t now_ms)
{
    int64_t until = atomic_load(&s->news) && now_ms >= s->retry_at_ms && s->n_used < s->max_batch
                        ? now_ms
                        : next_due(s, now_ms);
    (void)collect(s, sender_deadline(s, now_ms, until - now_ms));
    judge(s, clock_mono_ms());
}

void window_drain(struct sender *s)
{
    while (s->n_ended < s->n_used && clock_mono_ms() < atomic_load(&s->stop_ms))
        (void)collect(s, atomic_load(&s->stop_ms));
    if (s->n_ended < s->n_used) /* what the target ends by the time it was given */
        (void)collect(s, clock_mono_ms());
    judge(s, clock_mono_ms());
    remove_resolved(s);
}
