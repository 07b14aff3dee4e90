/* SPDX-License-Identifier: Apache-2.0
 *
 * Readers, and the tail: the last events in memory, shared by all who listen. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "config/config.h"
#include "event/listen_impl.h"

/* --- events ---------------------------------------------------------------------------------------------------------- */

void listen_event_unref(struct listen_event *e)
{
    if (atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) != 1)
        return;
    buf_release(&e->value);
    free(e);
}

static struct listen_event *tail_get(const struct listen *l, size_t i)
{
    return l->tail[(l->tail_at + i) % TAIL_EVENTS];
}

static void drop_oldest(struct listen *l)
{
    struct listen_event *e = tail_get(l, 0);
    l->tail_floor = e->at;
    l->tail_bytes -= e->value.len;
    l->tail_at = (l->tail_at + 1) % TAIL_EVENTS;
    l->tail_n--;
    listen_event_unref(e);
}

void listen_tail_bound(struct listen *l)
{
    /* Never more than the history has: what a late reader can have does not hang on where it comes from. */
    size_t most = l->keep > 0 && l->keep < TAIL_EVENTS ? (size_t)l->keep : TAIL_EVENTS;
    while (l->tail_n > most || (l->tail_n > 1 && l->tail_bytes > TAIL_BYTES))
        drop_oldest(l);
}

void listen_tail_add(struct listen *l, struct listen_event *e)
{
    if (l->tail_n == TAIL_EVENTS)
        drop_oldest(l);
    l->tail[(l->tail_at + l->tail_n++) % TAIL_EVENTS] = e;
    l->tail_bytes += e->value.len;
    listen_tail_bound(l);
}

void listen_tail_clear(struct listen *l, struct listen_position floor)
{
    while (l->tail_n > 0)
        drop_oldest(l);
    l->tail_floor = floor;
}

/* --- life ------------------------------------------------------------------------------------------------------------ */

struct listen *listen_new(struct kv *kv, const struct listen_options *o, struct err *e)
{
    struct listen *l = x_calloc(1, sizeof(*l));
    l->kv = kv;
    l->keep = (uint64_t)o->history;
    l->linger_ms = o->linger_ms > 0 ? o->linger_ms : LISTEN_LINGER_MS;
    l->pending_last = &l->pending;
    l->idle_since_ms = clock_mono_ms();
    atomic_store(&l->generation, 1);
    if (!listen_load(l, e)) {
        free(l);
        return NULL;
    }
    mutex_init(&l->mutex, RANK_LISTEN);
    cond_init(&l->cond);
    l->thread = thread_start("listen", listen_thread, l);
    return l;
}

void listen_free(struct listen *l)
{
    if (!l)
        return;
    mutex_lock(&l->mutex);
    l->stop = true;
    cond_signal(&l->cond);
    mutex_unlock(&l->mutex);
    thread_join(l->thread);
    listen_tail_clear(l, l->tail_floor);
    while (l->pending) { /* of a batch that failed */
        struct listen_event *e = l->pending;
        l->pending = e->next;
        listen_event_unref(e);
    }
    cond_release(&l->cond);
    mutex_release(&l->mutex);
    free(l);
}

/* --- interest -------------------------------------------------------------------------------------------------------- */

bool listen_wants(const struct listen *l, enum event_name name)
{
    return l && atomic_load_explicit(&l->mask, memory_order_acquire) >> name & 1;
}

uint64_t listen_generation(const struct listen *l)
{
    return l ? atomic_load_explicit(&l->generation, memory_order_acquire) : 1;
}

bool listen_covers(const struct listen *l, uint64_t mask)
{
    return (mask & ~atomic_load_explicit(&l->mask, memory_order_acquire)) == 0;
}

void listen_enter(struct listen *l)
{
    mutex_lock(&l->mutex);
    l->entered++;
    mutex_unlock(&l->mutex);
}

void listen_leave(struct listen *l)
{
    mutex_lock(&l->mutex);
    BUG_ON(l->entered == 0);
    if (--l->entered == 0) {
        l->idle_since_ms = clock_mono_ms();
        cond_signal(&l->cond);
    }
    mutex_unlock(&l->mutex);
}

/* --- stations -------------------------------------------------------------------------------------------------------- */

struct listen_station *listen_station_of(struct listen *l, const struct loop *loop)
{
    mutex_lock(&l->mutex);
    struct listen_station *s = l->stations;
    while (s && s->loop != loop)
        s = s->next;
    mutex_unlock(&l->mutex);
    return s;
}

void listen_station_add(struct listen *l, struct listen_station *s)
{
    mutex_lock(&l->mutex);
    s->next = l->stations;
    l->stations = s;
    mutex_unlock(&l->mutex);
}

void listen_station_ready(struct listen *l, struct listen_station *s)
{
    mutex_lock(&l->mutex);
    s->posted = false;
    mutex_unlock(&l->mutex);
}

struct listen_station *listen_station_pop(struct listen *l)
{
    struct listen_station *s = l->stations;
    if (s)
        l->stations = s->next;
    return s;
}

/* --- readers --------------------------------------------------------------------------------------------------------- */

/* Under the mutex: what of the events behind *resume is not there to be read. */
static void resume_at(struct listen *l, struct listen_reader *r, const struct listen_position *resume)
{
    const struct listen_position *floor = &l->mark[0];
    r->at = *resume;
    if (resume->seq < floor->seq) {
        r->missed = floor->count > resume->count ? floor->count - resume->count : 1;
        r->at = *floor;
    }
    for (int i = 0; i < EVENT_COUNT && r->missed == 0; i++)
        if ((r->filter.mask >> i & 1) && l->since[i] > resume->seq)
            r->missed = 1; /* nobody listened for that kind then: at least one, for all that is known */
    if (r->at.seq > l->published.seq)
        r->at = l->published; /* a crash has taken the events of reads that were seen there */
}

void listen_join(struct listen *l, struct listen_reader *r, const struct listen_position *resume)
{
    mutex_lock(&l->mutex);
    r->missed = 0;
    r->at = l->published;
    if (resume)
        resume_at(l, r, resume);
    r->prev = NULL;
    r->next = l->readers;
    if (r->next)
        r->next->prev = r;
    l->readers = r;
    r->station->readers++;
    mutex_unlock(&l->mutex);
}

void listen_part(struct listen *l, struct listen_reader *r)
{
    mutex_lock(&l->mutex);
    if (r->prev)
        r->prev->next = r->next;
    else
        l->readers = r->next;
    if (r->next)
        r->next->prev = r->prev;
    if (l->counting == r)
        l->counting = NULL;
    r->station->readers--;
    mutex_unlock(&l->mutex);
}

/* Under the mutex: index in the tail of the first event behind `seq`. */
static size_t tail_find(const struct listen *l, uint64_t seq)
{
    size_t lo = 0, hi = l->tail_n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (tail_get(l, mid)->at.seq <= seq)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

size_t listen_take(struct listen *l, struct listen_reader *r, struct listen_event **out, size_t max,
                   bool *behind)
{
    size_t n = 0;
    mutex_lock(&l->mutex);
    *behind = r->at.seq < l->tail_floor.seq;
    if (*behind && l->keep == 0) { /* there are no rows */
        r->missed += l->tail_floor.count - r->at.count;
        r->at = l->tail_floor;
        *behind = false;
    }
    if (!*behind) {
        for (size_t i = tail_find(l, r->at.seq); i < l->tail_n && n < max; i++) {
            out[n] = tail_get(l, i);
            atomic_fetch_add_explicit(&out[n++]->refs, 1, memory_order_relaxed);
        }
    }
    mutex_unlock(&l->mutex);
    return n;
}

struct listen_position listen_at(struct listen *l, struct listen_reader *r, uint64_t *missed)
{
    mutex_lock(&l->mutex);
    struct listen_position at = r->at;
    *missed = r->missed;
    r->missed = 0;
    mutex_unlock(&l->mutex);
    return at;
}

void listen_advance(struct listen *l, struct listen_reader *r, struct listen_position to)
{
    mutex_lock(&l->mutex);
    if (to.seq > r->at.seq)
        r->at = to;
    mutex_unlock(&l->mutex);
}

bool listen_settle(struct listen *l, struct listen_reader *r, const struct listen_read *read)
{
    mutex_lock(&l->mutex);
    bool same = r->at.seq == read->from.seq;
    if (same) {
        if (read->failed)
            r->missed += read->to.count > read->from.count ? read->to.count - read->from.count : 1;
        r->at = read->to;
    }
    mutex_unlock(&l->mutex);
    return same;
}
