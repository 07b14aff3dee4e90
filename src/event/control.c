/* SPDX-License-Identifier: Apache-2.0
 *
 * What an administrator does with a target: pausing it, trying it, queueing for it. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "event/delivery_impl.h"

/* --- which one ---------------------------------------------------------------------------------------------------- */

bool delivery_number(struct delivery *d, struct str id, struct str type, uint32_t *number, bool *enabled)
{
    if (delivery_resolve(d, id, type, number)) {
        *enabled = true;
        return true;
    }
    bool found = false;
    *enabled = false;
    mutex_lock(&d->mutex);
    for (size_t i = 0; i < d->now.n_orphans && !found; i++) {
        const struct orphan *o = &d->now.orphans[i];
        found = str_eq_c(id, o->id) && str_eq_c(type, o->type);
        *number = o->number;
    }
    mutex_unlock(&d->mutex);
    return found;
}

bool delivery_mirrors(struct delivery *d, uint32_t number)
{
    const struct sender *s = delivery_sender(d, number);
    return s && s->type->mirrors && s->type->mirrors(s->conf);
}

/* --- pausing ------------------------------------------------------------------------------------------------------ */

bool target_paused(struct kv *kv, uint32_t number, bool *paused, struct err *e)
{
    struct row_key k = paused_key(number);
    struct kv_value v = {0};
    enum kv_result r = kv_get(kv, KV_META, row_key_str(&k), 0, &v, e);
    *paused = r == KV_FOUND;
    if (r == KV_FOUND)
        kv_value_release(&v);
    return r == KV_FOUND || r == KV_MISSING;
}

struct pausing {
    struct delivery *d;
    uint32_t number;
    bool paused;
};

static void now_paused(void *arg)
{
    struct sender *s = arg;
    if (!atomic_exchange(&s->paused, true))
        log_warn(s->label, "paused by an administrator: nothing is sent, events are queued");
    sender_look_again(s);
}

static void now_resumed(void *arg)
{
    struct sender *s = arg;
    if (atomic_exchange(&s->paused, false))
        log_info(s->label, "resumed by an administrator, %lld events queued", (long long)sender_queued(s));
    sender_look_again(s);
}

static bool pause_txn(struct kv_txn *t, void *ctx)
{
    const struct pausing *p = ctx;
    struct row_key k = paused_key(p->number);
    struct sender *s = delivery_sender(p->d, p->number);
    if (!s)
        return false;
    if (p->paused)
        kv_txn_put(t, KV_META, row_key_str(&k), STR(""));
    else
        kv_txn_del(t, KV_META, row_key_str(&k));
    kv_txn_on_commit(t, p->paused ? now_paused : now_resumed, s);
    return true;
}

enum kv_outcome delivery_pause(struct delivery *d, uint32_t number, bool paused)
{
    struct pausing p = {d, number, paused};
    /* Not while the set of targets changes: a sender that is being made would not hear of it. */
    mutex_lock(&d->change);
    enum kv_outcome o = kv_commit_wait(d->kv, pause_txn, &p, 0);
    mutex_unlock(&d->change);
    return o;
}

/* --- queueing ----------------------------------------------------------------------------------------------------- */

enum requeue outbox_txn_may_requeue(struct kv_txn *t, struct delivery *d, uint32_t number, size_t n)
{
    const struct sender *s = delivery_sender(d, number);
    struct row_key count = outbox_counter_key(number);
    int64_t rows[KV_COUNTERS];
    if (!s)
        return REQUEUE_OFF;
    kv_txn_counters(t, row_key_str(&count), rows);
    bool room = s->conf->queue_limit <= 0 || rows[0] + (int64_t)n <= s->conf->queue_limit;
    return room ? REQUEUE_OK : REQUEUE_FULL;
}

void outbox_txn_requeue(struct kv_txn *t, struct delivery *d, uint32_t number, const struct outbox_row *row)
{
    struct sender *s = delivery_sender(d, number);
    struct row_key count = outbox_counter_key(number);
    struct buf value;
    BUG_ON(!s);
    struct outbox_row fresh = *row;
    fresh.attempts = 0;
    fresh.dead_ns = 0;
    fresh.reason = (struct str){0};
    buf_init(&value, row->name.n + row->bucket.n + row->key.n + row->record.n + 64);
    outbox_row_encode(&fresh, &value);
    BUG_ON(value.failed);
    struct row_key k = outbox_key(number, kv_txn_sequence(t));
    kv_txn_put(t, KV_QUEUE, row_key_str(&k), buf_view(&value));
    kv_txn_add(t, row_key_str(&count), (int64_t[KV_COUNTERS]){1, (int64_t)value.len});
    kv_txn_on_commit(t, sender_wake, s);
    buf_release(&value);
}

/* --- trying ------------------------------------------------------------------------------------------------------- */

#define TRIAL_BUCKET "belfry-target-test"
#define TRIAL_KEY    "s3:TestEvent"

static void trial_record(const struct delivery *d, struct buf *b)
{
    struct event_source src = {.region = d->region,
                               .source_ip = STR("127.0.0.1"),
                               .user_agent = STR("belfry target test"),
                               .request_id = STR("0000000000000000")};
    struct event_info info = {.name = EVENT_CREATED_PUT,
                              .label = STR("s3:TestEvent"),
                              .bucket = STR(TRIAL_BUCKET),
                              .key = STR(TRIAL_KEY),
                              .content_length = -1,
                              .sequencer = (uint64_t)clock_real_ns(),
                              .time_ns = clock_real_ns()};
    size_t at;
    event_record_write(b, &src, &info, &at);
}

/* One event, in either form. */
static enum send_result send_one(const struct target_type *type, void *self, const struct event_ref *ev,
                                 int64_t deadline_ms, struct err *e)
{
    enum send_result result = SEND_RETRY;
    if (!type->begin) {
        type->send(self, ev, 1, &result, deadline_ms, e);
        return result;
    }
    struct send_done *done = x_calloc(type->max_batch, sizeof *done);
    type->begin(self, 0, ev, deadline_ms);
    size_t n = 0;
    while (n == 0 && clock_mono_ms() < deadline_ms)
        n = type->poll(self, done, deadline_ms);
    if (n > 0)
        result = done[0].result;
    free(done);
    return result;
}

static bool try_event(const struct target_type *type, void *self, const void *conf,
                      const struct event_ref *ev, int64_t deadline_ms, struct err *e)
{
    if (send_one(type, self, ev, deadline_ms, e) != SEND_OK) {
        if (!e->text[0])
            (void)err_set(e, "%s",
                          ev->why[0] ? ev->why : "it did not confirm the event within the time it had");
        return false;
    }
    if (!type->mirrors || !type->mirrors(conf))
        return true;
    struct event_ref gone = *ev;
    gone.event_name = event_name_text(EVENT_REMOVED_DELETE);
    gone.removed = true;
    return send_one(type, self, &gone, deadline_ms, e) == SEND_OK ||
           err_set(e,
                   "it took the event, but the row " TRIAL_BUCKET "/" TRIAL_KEY
                   " could not be removed again: %s",
                   ev->why);
}

static bool run_trial(struct delivery *d, const struct target_type *type, void *self, const void *conf,
                      struct err *e)
{
    char why[SEND_WHY] = "";
    struct buf record;
    int64_t deadline_ms = clock_mono_ms() + TRIAL_MS;
    buf_init(&record, 1u << 16);
    trial_record(d, &record);
    struct event_ref ev = {.event_name = STR("s3:TestEvent"),
                           .bucket = STR(TRIAL_BUCKET),
                           .key = STR(TRIAL_KEY),
                           .record = buf_view(&record),
                           .sequencer = (uint64_t)clock_real_ns(),
                           .why = why};
    char time[CLOCK_ISO_MS_LEN];
    clock_iso_ms(clock_real_ns(), time);
    ev.event_time = str_n(time, sizeof time);
    bool ok = type->connect(self, deadline_ms, e);
    if (ok) {
        ok = try_event(type, self, conf, &ev, deadline_ms, e);
        type->disconnect(self);
    }
    buf_release(&record);
    return ok;
}

bool delivery_try(struct delivery *d, const struct config_stored *settings, struct str id, struct str type,
                  struct target_trial *out)
{
    const struct target_type *kind = target_type_find(type);
    struct target_common *conf;
    struct arena a;
    struct err e = {0};
    uint32_t number;
    int64_t begin_ms = clock_mono_ms();
    *out = (struct target_trial){0};
    if (!kind || !delivery_resolve(d, id, type, &number))
        return false;
    arena_init(&a);
    mutex_lock(&d->change); /* for its certificates */
    out->settings = !target_settings(d, settings, kind, id, &a, &conf, &e);
    mutex_unlock(&d->change);
    void *self = out->settings ? NULL : kind->open(conf, arena_strz(&a, id), &e);
    out->settings |= !self;
    if (self) {
        out->ok = run_trial(d, kind, self, conf, &e);
        target_name_place(kind, id, &e);
        kind->close(self);
    }
    out->took_ms = clock_mono_ms() - begin_ms;
    (void)snprintf(out->text, sizeof out->text, "%s", e.text);
    arena_release(&a);
    return true;
}
