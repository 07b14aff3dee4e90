/* SPDX-License-Identifier: Apache-2.0
 *
 * Which events ride in which POST. Events wait, in the order they came, until a handle is free; then it takes the first, and
 * with batch=on those behind it, up to 64 records and 96 KiB (frameworks take 100 kB unless told otherwise). At most one
 * event of a key is here at a time, so whatever is put together keeps the order of a key.
 *
 * One answer is that of all events in the POST. A batch that is refused was perhaps refused because of one of them: its
 * halves are sent by themselves, down to single events, of which each has its own answer then; that makes fewer than twice
 * as many requests as there are events. A batch that fails in another way goes back to the core, event by event, and rides
 * in a smaller one when it comes again: an event that breaks the receiver must not take others with it for ever. */
#include <stdio.h>

#include "base/clock.h"
#include "target/webhook_impl.h"

#define BATCH_BYTES     ((size_t)96 << 10)
#define BATCH_BYTES_MIN ((size_t)4 << 10)
#define SECOND_TRY      8 /* records in a POST with an event that has failed once; later it goes alone */

unsigned webhook_places(const void *arg)
{
    const struct webhook_conf *c = arg;
    return c->batch ? WEBHOOK_PLACES : WEBHOOK_IN_FLIGHT;
}

void webhook_batch_init(struct webhook *w)
{
    w->n_places = webhook_places(w->conf);
    w->most = w->conf->batch ? WEBHOOK_RECORDS : 1;
    w->most_bytes = BATCH_BYTES;
    webhook_forget_places(w);
}

void webhook_forget_places(struct webhook *w)
{
    for (size_t i = 0; i < WEBHOOK_PLACES; i++)
        w->places[i].state = HOOK_FREE;
    w->first = w->last = WEBHOOK_NOBODY;
    w->proven = false;
}

/* --- the events that wait ----------------------------------------------------------------------------------------- */

void webhook_wait(struct webhook *w, unsigned place, const struct event_ref *ev, int64_t deadline_ms)
{
    struct hook_place *p = &w->places[place];
    unsigned most = ev->attempts == 0 ? WEBHOOK_RECORDS : ev->attempts == 1 ? SECOND_TRY : 1;
    BUG_ON(place >= WEBHOOK_PLACES || p->state != HOOK_FREE);
    *p = (struct hook_place){.state = HOOK_WAITS,
                             .ev = ev,
                             .deadline_ms = deadline_ms,
                             .most = most,
                             .next = WEBHOOK_NOBODY,
                             .done = {.place = place}};
    if (w->first == WEBHOOK_NOBODY)
        w->first = place;
    else
        w->places[w->last].next = place;
    w->last = place;
}

static unsigned take_first(struct webhook *w)
{
    unsigned place = w->first;
    w->first = w->places[place].next;
    if (w->first == WEBHOOK_NOBODY)
        w->last = WEBHOOK_NOBODY;
    return place;
}

static void put_first(struct webhook *w, unsigned place)
{
    w->places[place].state = HOOK_WAITS;
    w->places[place].next = w->first;
    w->first = place;
    if (w->last == WEBHOOK_NOBODY)
        w->last = place;
}

static void judge_place(struct webhook *w, unsigned place, enum send_result r, const char *why,
                        int64_t retry_after_ms)
{
    struct hook_place *p = &w->places[place];
    p->state = HOOK_JUDGED;
    p->done = (struct send_done){place, r, retry_after_ms};
    if (r != SEND_OK && p->ev->why)
        (void)snprintf(p->ev->why, SEND_WHY, "%s", why);
}

void webhook_give_up_waiting(struct webhook *w, int64_t now_ms, const char *why)
{
    unsigned kept = WEBHOOK_NOBODY, next;
    for (unsigned at = w->first; at != WEBHOOK_NOBODY; at = next) {
        next = w->places[at].next;
        if (w->places[at].deadline_ms > now_ms) {
            kept = at;
            continue;
        }
        if (kept == WEBHOOK_NOBODY)
            w->first = next;
        else
            w->places[kept].next = next;
        judge_place(w, at, SEND_RETRY, why, 0);
    }
    w->last = kept;
}

size_t webhook_take_judged(struct webhook *w, struct send_done *done)
{
    size_t n = 0;
    for (size_t i = 0; i < w->n_places; i++) {
        struct hook_place *p = &w->places[i];
        if (p->state != HOOK_JUDGED)
            continue;
        done[n++] = p->done;
        p->state = HOOK_FREE;
    }
    return n;
}

/* --- into one POST, and out of it ---------------------------------------------------------------------------------- */

/* The most that the record can be in the body. */
static size_t record_size(const struct event_ref *ev)
{
    return ev->record.n + 6 * ev->key.n + 1;
}

static void add(struct webhook *w, struct flight *f, unsigned place)
{
    struct hook_place *p = &w->places[place];
    f->place[f->n++] = place;
    f->deadline_ms = p->deadline_ms < f->deadline_ms ? p->deadline_ms : f->deadline_ms;
    p->state = HOOK_OUT;
}

/* What comes behind the first, as long as every one of them may ride with so many. */
static void add_others(struct webhook *w, struct flight *f, unsigned most)
{
    enum key_encoding keys = (enum key_encoding)w->conf->key_encoding;
    while (w->first != WEBHOOK_NOBODY) {
        const struct hook_place *p = &w->places[w->first];
        most = p->most < most ? p->most : most;
        if (f->n >= most || f->body.len + record_size(p->ev) > w->most_bytes)
            return;
        buf_char(&f->body, ',');
        payload_record(&f->body, p->ev, keys);
        add(w, f, take_first(w));
    }
}

bool webhook_gather(struct webhook *w, struct flight *f)
{
    enum key_encoding keys = (enum key_encoding)w->conf->key_encoding;
    while (w->first != WEBHOOK_NOBODY) {
        unsigned place = take_first(w), most = w->places[place].most;
        const struct event_ref *ev = w->places[place].ev;
        f->n = 0;
        f->deadline_ms = INT64_MAX;
        buf_reset(&f->body);
        add(w, f, place);
        if (w->conf->payload == PAYLOAD_CLOUDEVENTS) {
            payload_record(&f->body, ev, keys);
        } else {
            payload_envelope_begin(&f->body, ev);
            payload_record(&f->body, ev, keys);
            add_others(w, f, most < w->most ? most : w->most);
            payload_envelope_end(&f->body);
        }
        if (!f->body.failed)
            return true;
        judge_place(w, place, SEND_REJECT, "the event is larger than 1 MiB", 0);
    }
    return false;
}

bool webhook_split(struct webhook *w, struct flight *f, bool too_large)
{
    if (f->n < 2)
        return false;
    if (too_large && f->body.len / 2 < w->most_bytes)
        w->most_bytes = f->body.len / 2 > BATCH_BYTES_MIN ? f->body.len / 2 : BATCH_BYTES_MIN;
    for (unsigned i = f->n; i-- > 0;) {
        w->places[f->place[i]].most = (f->n + 1) / 2;
        put_first(w, f->place[i]);
    }
    f->n = 0;
    return true;
}

void webhook_judge(struct webhook *w, struct flight *f, enum send_result r, const char *why,
                   int64_t retry_after_ms)
{
    for (unsigned i = 0; i < f->n; i++)
        judge_place(w, f->place[i], r, why, retry_after_ms);
    if (r == SEND_RETRY && f->n > 1)
        w->most = f->n / 2;
    else if (r == SEND_OK && w->conf->batch && f->n >= w->most && w->most < WEBHOOK_RECORDS)
        w->most *= 2;
    w->most = w->most < WEBHOOK_RECORDS ? w->most : WEBHOOK_RECORDS;
    w->proven |= r != SEND_RETRY;
    f->n = 0;
    /* Nothing has gone through yet: what waits would not fare better, and need not be tried on a receiver that is down. */
    if (r == SEND_RETRY && !w->proven)
        webhook_give_up_waiting(w, INT64_MAX, why);
}
