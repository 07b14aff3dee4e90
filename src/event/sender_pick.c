/* SPDX-License-Identifier: Apache-2.0
 *
 * Which of the unresolved events go out next. */
#include "event/sender.h"

/* The slots of the keys that a batch has so far. */
struct picked_keys {
    uint64_t bits[KEY_SLOTS / 64];
};

static void pick(struct sender *s, size_t *n, struct picked_keys *keys, struct queued *q, struct lane *l)
{
    unsigned slot = key_slot(q->key_hash);
    keys->bits[slot / 64] |= UINT64_C(1) << slot % 64;
    s->batch[(*n)++] = (struct picked){.event = q, .lane = l};
}

static bool key_in_batch(const struct sender *s, size_t n, const struct picked_keys *keys,
                         const struct queued *q)
{
    unsigned slot = key_slot(q->key_hash);
    if (!(keys->bits[slot / 64] >> slot % 64 & 1))
        return false;
    for (size_t i = 0; i < n; i++)
        if (queued_same_key(s->batch[i].event, q))
            return true;
    return false;
}

/* May the event go out beside what is out already, and beside the first n of the batch? Not when one of its key does. */
static bool may_go(const struct sender *s, size_t n, const struct picked_keys *keys, const struct queued *q)
{
    if (!q->bytes) /* resolved: what is in its place points to nothing */
        return false;
    bool held = q->out || key_in_batch(s, n, keys, q) || window_holds(s, q);
#ifdef BELFRY_MUTATE_NO_KEY_ORDER
    held = q->out;
    for (size_t i = 0; i < n; i++)
        held |= s->batch[i].event == q;
#endif
    return !held;
}

/* Its first event is at hand then. */
static bool lane_is_due(struct sender *s, struct lane *l, int64_t now_ms)
{
    return l->next_try_ms <= now_ms && !l->head.out && lane_load(s, l);
}

/* Where places are few and an answer may take long, keys that have failed get half of them while others wait. */
static size_t pick_lanes(struct sender *s, int64_t now_ms, size_t max, struct picked_keys *keys)
{
    size_t n = 0, most = max;
    if (s->places && s->n_window > 0) {
        size_t half = s->max_batch > 1 ? s->max_batch / 2 : 1, out = 0;
        for (size_t i = 0; i < s->n_lanes; i++)
            out += s->lanes[i].head.out;
        most = out >= half ? 0 : half - out < max ? half - out : max;
    }
    for (size_t i = 0; i < s->n_lanes && n < most; i++) {
        struct lane *l = &s->lanes[i];
        if (lane_is_due(s, l, now_ms))
            pick(s, &n, keys, &l->head, l);
    }
    return n;
}

/* Is there an earlier event of the same key in the window? */
static bool is_behind(const struct sender *s, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (s->window[i].bytes && queued_same_key(&s->window[i], &s->window[at]))
            return true;
    return false;
}

/* After a batch of which nothing went through: other keys than those, lanes and window in turn, so that a few that never work
 * do not stand before all others for ever. */
static size_t pick_in_turn(struct sender *s, int64_t now_ms, size_t max)
{
    struct picked_keys keys = {{0}};
    size_t n = 0, all = s->n_lanes + s->n_window;
    for (size_t i = 0; i < all && n < max; i++, s->turn++) {
        size_t at = s->turn % all;
        struct lane *l = at < s->n_lanes ? &s->lanes[at] : NULL;
        struct queued *q = l ? &l->head : &s->window[at - s->n_lanes];
        if (l ? lane_is_due(s, l, now_ms) : may_go(s, n, &keys, q) && !is_behind(s, at - s->n_lanes))
            pick(s, &n, &keys, q, l);
    }
    return n;
}

size_t queue_pick(struct sender *s, int64_t now_ms, bool probe, size_t max)
{
    if (probe && max > PROBE_KEYS)
        max = PROBE_KEYS;
    if (probe || (s->send_failed && !s->type->whole_batch))
        return pick_in_turn(s, probe && !s->undying ? INT64_MAX : now_ms, max);
    struct picked_keys keys = {{0}};
    size_t n = pick_lanes(s, now_ms, max, &keys);
    while (s->pick_from < s->n_window && (s->window[s->pick_from].out || !s->window[s->pick_from].bytes))
        s->pick_from++;
    size_t i = s->pick_from;
    for (; i < s->n_window && n < max; i++) {
        struct queued *q = &s->window[i];
        if (!s->type->one_per_key || may_go(s, n, &keys, q))
            pick(s, &n, &keys, q, NULL);
    }
    s->turn = s->n_lanes + i;
    s->thin = n < max;
    return n;
}

struct picked queue_find(struct sender *s, uint64_t seq)
{
    for (size_t i = 0; i < s->n_lanes; i++)
        if (s->lanes[i].head.bytes && s->lanes[i].head.seq == seq)
            return (struct picked){.event = &s->lanes[i].head, .lane = &s->lanes[i]};
    size_t low = 0, high = s->n_window; /* the window is in order, gaps too */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->window[middle].seq < seq)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < s->n_window && s->window[low].seq == seq && s->window[low].bytes)
        return (struct picked){.event = &s->window[low]};
    BUG("an event that is out is nowhere");
}
