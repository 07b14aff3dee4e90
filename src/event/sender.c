/* SPDX-License-Identifier: Apache-2.0
 *
 * A sender: how it is made and freed, and its steps. (The thread around them: sender_thread.c.) */
#include "event/sender.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/hash.h"
#include "base/log.h"

/* What an event may take at its receiver: SEND_MS, or less in tests that cannot wait for it. */
static int64_t send_span(void)
{
    const char *z = getenv("BELFRY_TEST_SEND_MS");
    uint64_t ms;
    return z && str_to_u64(str_c(z), &ms) && ms > 0 && ms < SEND_MS ? (int64_t)ms : SEND_MS;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

struct sender *sender_new(struct delivery *d, struct kv *kv, const struct target_type *type, struct str id,
                          uint32_t number)
{
    struct sender *s = x_calloc(1, sizeof(*s));
    s->delivery = d;
    s->kv = kv;
    s->type = type;
    s->number = number;
    arena_init(&s->arena);
    s->id = str_c(arena_strz(&s->arena, id));
    (void)snprintf(s->label, sizeof(s->label), "%s:%.*s", type->name, (int)(id.n < 40 ? id.n : 40), id.p);
    mutex_init(&s->mutex, RANK_SENDER);
    cond_init(&s->cond);
    hash_random(&s->rng, sizeof(s->rng));
    s->status = TARGET_OFFLINE;
    (void)snprintf(s->reason, sizeof(s->reason), "not connected yet");
    s->backlog = s->thin = true;
    atomic_store(&s->stop_ms, INT64_MAX);
    s->limits = *segment_limits();
    s->send_ms = send_span();
    buf_init(&s->text, SEGMENT_TEXT_MAX + (1u << 20));
    return s;
}

void sender_set_batch(struct sender *s, unsigned n)
{
    s->max_batch = n;
    s->window = x_calloc(queue_room(s), sizeof(*s->window));
    s->lanes = x_calloc(n, sizeof(*s->lanes));
    s->batch = arena_zalloc(&s->arena, n * sizeof(*s->batch));
    s->refs = arena_zalloc(&s->arena, n * sizeof(*s->refs));
    s->results = arena_zalloc(&s->arena, n * sizeof(*s->results));
    s->why = arena_zalloc(&s->arena, n * sizeof(*s->why));
    if (s->type->begin)
        window_init(s);
}

bool sender_load(struct sender *s, struct err *e)
{
    int64_t dead[KV_COUNTERS];
    struct row_key k = cursor_key(s->number), dk = dead_letter_counter_key(s->number);
    struct kv_value v = {0};
    enum kv_result r = kv_get(s->kv, KV_META, row_key_str(&k), 0, &v, e);
    if (r == KV_FOUND) {
        struct str in = v.data;
        bool ok = take_be64(&in, &s->cursor);
        kv_value_release(&v);
        if (!ok)
            return err_set(e, "%s: the cursor row is malformed", s->label);
    } else if (r != KV_MISSING) {
        return false;
    }
    if (!kv_counters(s->kv, row_key_str(&dk), dead, e))
        return false;
    atomic_store(&s->dead, dead[0]);
    /* Once more where that changes meanwhile: who changes it first writes the row, then tells the sender. */
    bool paused, before;
    do {
        if (!target_paused(s->kv, s->number, &before, e))
            return false;
        atomic_store(&s->paused, before);
        if (!target_paused(s->kv, s->number, &paused, e))
            return false;
    } while (paused != before);
    s->scan_next = s->cursor;
    mutex_lock(&s->mutex); /* it may be known already to who asks */
    s->oldest = s->oldest_event = s->cursor;
    mutex_unlock(&s->mutex);
    return true;
}

void sender_free(struct sender *s)
{
    if (!s)
        return;
    (void)sender_settled(s);
    if (s->self) {
        if (s->connected)
            s->type->disconnect(s->self);
        s->type->close(s->self);
    }
    queue_release(s);
    free(s->removal.v);
    free(s->removal.changes);
    cond_release(&s->cond);
    mutex_release(&s->mutex);
    arena_release(&s->arena);
    free(s);
}

/* --- steps -------------------------------------------------------------------------------------------------------- */

static uint64_t random_next(struct sender *s)
{
    s->rng += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    uint64_t z = s->rng;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

int64_t sender_backoff(struct sender *s, unsigned fails, int64_t retry_after_ms)
{
    int64_t bound = fails >= 9 ? BACKOFF_MAX_MS : (int64_t)BACKOFF_MIN_MS << fails;
    if (bound > BACKOFF_MAX_MS)
        bound = BACKOFF_MAX_MS;
    int64_t wait = BACKOFF_MIN_MS + (int64_t)(random_next(s) % (uint64_t)(bound - BACKOFF_MIN_MS + 1));
    if (retry_after_ms > RETRY_AFTER_MAX)
        retry_after_ms = RETRY_AFTER_MAX;
    return wait > retry_after_ms ? wait : retry_after_ms;
}

int64_t sender_deadline(struct sender *s, int64_t now_ms, int64_t span_ms)
{
    int64_t stop = atomic_load(&s->stop_ms);
    return now_ms + span_ms < stop ? now_ms + span_ms : stop;
}

static bool connect_target(struct sender *s, int64_t now_ms)
{
    struct err e = {0};
    s->connected = s->type->connect(s->self, sender_deadline(s, now_ms, CONNECT_MS), &e);
    if (s->connected) {
        if (!s->send_failed && !s->broken) {
            s->fails = 0;
            sender_online(s);
        }
        s->last_work_ms = clock_mono_ms();
        return true;
    }
    s->retry_at_ms = clock_mono_ms() + sender_backoff(s, ++s->fails, e.retry_after_ms);
    target_name_place(s->type, s->id, &e);
    if (s->broken)
        sender_set_reason(s, e.text);
    else
        sender_offline(s, e.text);
    return false;
}

/* The eventTime of a record, which stands near its beginning. */
static struct str record_time(struct str record)
{
    struct str rest = record, name = STR("\"eventTime\":\"");
    ptrdiff_t at;
    /* From quote to quote: setting up a search costs more, as it stands near. */
    while ((at = str_chr(rest, '"')) >= 0) {
        rest = str_from(rest, (size_t)at);
        if (str_starts(rest, name)) {
            rest = str_from(rest, name.n);
            at = str_chr(rest, '"');
            return at < 0 ? (struct str){0} : str_head(rest, (size_t)at);
        }
        rest = str_from(rest, 1);
    }
    return (struct str){0};
}

static bool removes(struct str name)
{
    enum event_name n;
    return event_name_parse(name, &n) && event_removes(n);
}

struct event_ref sender_ref(const struct picked *p, char *why)
{
    const struct queued *q = p->event;
    why[0] = 0;
    return (struct event_ref){.event_name = q->row.name,
                              .bucket = q->row.bucket,
                              .key = q->row.key,
                              .record = q->row.record,
                              .event_time = record_time(q->row.record),
                              .sequencer = q->seq,
                              .removed = removes(q->row.name),
                              .stale = q->row.stale,
                              .attempts = p->lane ? p->lane->tries : 0,
                              .why = why};
}

static void send_batch(struct sender *s, size_t n, int64_t now_ms, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        s->results[i] = SEND_RETRY;
        s->refs[i] = sender_ref(&s->batch[i], s->why[i]);
    }
#ifdef BELFRY_MUTATE_REMOVE_BEFORE_SEND
    sender_remove_early(s, n);
#endif
    crash_point(CRASH_EVENT_BEFORE_SEND);
    s->ahead_over = false;
    atomic_store(&s->sending, (unsigned)n);
    s->type->send(s->self, s->refs, n, s->results, sender_deadline(s, now_ms, s->send_ms), e);
    atomic_store(&s->sending, 0);
    crash_point(CRASH_EVENT_SENT);
    for (size_t i = 0; i < n; i++) {
        s->batch[i].why = s->why[i];
        s->batch[i].retry_after_ms = e->retry_after_ms;
    }
}

/* The batch form: false when nothing is due. */
static bool batch_step(struct sender *s, int64_t now_ms)
{
    struct err e = {0};
    size_t n = queue_pick(s, now_ms, s->broken, s->max_batch);
    if (n == 0)
        return false;
    send_batch(s, n, now_ms, &e);
    s->last_work_ms = clock_mono_ms();
    settle(s, n, false, s->last_work_ms, &e);
    queue_compact(s);
    return true;
}

static int64_t idle_step(struct sender *s, int64_t now_ms)
{
    int64_t due = queue_next_due(s);
    if (!s->type->idle)
        return due;
    if (now_ms - s->last_work_ms >= IDLE_MS) {
        struct err e = {0};
        s->last_work_ms = now_ms;
        if (!s->type->idle(s->self, sender_deadline(s, now_ms, CONNECT_MS), &e)) {
            s->type->disconnect(s->self);
            s->connected = false;
            s->retry_at_ms = clock_mono_ms() + sender_backoff(s, ++s->fails, e.retry_after_ms);
            sender_offline(s, e.text);
            return s->retry_at_ms;
        }
    }
    return s->last_work_ms + IDLE_MS < due ? s->last_work_ms + IDLE_MS : due;
}

/* In the window form a step may resolve one event: then the removal waits for more, while there is more to do; and for the one
 * before it, as long as it may. */
static bool removal_is_due(struct sender *s)
{
    size_t most = s->max_batch < REMOVE_EVENTS ? s->max_batch : REMOVE_EVENTS;
    if (s->n_used == 0 || s->waits || s->n_out >= most)
        return true;
    return s->n_out >= most / 2 && !sender_removes(s);
}

static int64_t work_step(struct sender *s, int64_t now_ms)
{
    struct err e = {0};
    bool waits = now_ms < s->retry_at_ms;
    if (!s->connected && !connect_target(s, now_ms))
        return s->retry_at_ms;
    bool unread = !waits && !queue_fill(s, &e);
    if (unread)
        log_error(s->label, "queued events cannot be read, and none behind them is sent: %s%s", e.text,
                  s->unread_file ? ""
                                 : ". Stop the server and run 'belfry check --salvage': see docs/repair.md");
    if (clock_mono_ms() >= atomic_load(&s->stop_ms)) /* reading took so long that the time is over */
        return now_ms;
    if (s->unread && !waits && !unread && !s->send_failed &&
        !s->broken) /* there may be nothing to send now */
        sender_online(s);
    s->unread &= waits || unread;
    int64_t next = now_ms;
    bool worked = s->places ? window_step(s, now_ms, unread) : batch_step(s, now_ms);
    if (!worked && unread) { /* what could be read has been sent */
        s->retry_at_ms = now_ms + BACKOFF_MAX_MS;
        sender_offline(s, e.text);
        s->unread = true;
    } else if (!worked && !atomic_load(&s->news) && (!s->backlog || s->lane_events >= LANE_EVENTS)) {
        next = idle_step(s, now_ms);
    }
    if (removal_is_due(s))
        remove_resolved(s);
    if (s->n_out == 0)
        (void)segments_clean(s, !worked); /* a store that takes no changes says so itself */
    if (s->waits && s->n_used > 0)
        window_wait(s, now_ms);
    if (s->retry_at_ms > now_ms && s->n_used == 0)
        next = s->retry_at_ms;
    return next;
}

/* Nothing is out and nothing is to be sent: the connection is given up, and the backlog may move. */
static int64_t paused_step(struct sender *s)
{
    atomic_store(&s->news, false);
    s->backlog = true; /* what came meanwhile is read then */
    if (!atomic_load(&s->paused))
        return clock_mono_ms(); /* that was its news */
    remove_resolved(s);
    if (s->connected)
        s->type->disconnect(s->self);
    s->connected = false;
    s->retry_at_ms = 0; /* resumed, it is tried at once */
    sender_offline(s, "paused by an administrator; 'belfry target resume' goes on");
    return INT64_MAX;
}

int64_t sender_step(struct sender *s, int64_t now_ms)
{
    if (!s->self)
        return INT64_MAX;
    bool paused = atomic_load(&s->paused) && s->n_used == 0;
    bool waits = now_ms < s->retry_at_ms && s->n_used == 0;
    int64_t next = paused ? paused_step(s) : waits ? s->retry_at_ms : work_step(s, now_ms), moves;
    int64_t now = clock_mono_ms();
    if ((!paused && now >= s->retry_at_ms) || s->n_used > 0 || kv_failed(s->kv, NULL))
        return next;
    /* Until the target is tried again, its backlog may move. */
    return mover_step(s, now, &moves) && moves < next ? moves : next;
}
