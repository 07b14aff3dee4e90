/* SPDX-License-Identifier: Apache-2.0
 *
 * The unresolved events of a sender: reading rows, lanes of keys that wait, and what is taken out of both. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "event/sender.h"

static uint64_t key_hash(struct str bucket, struct str key)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (size_t i = 0; i < bucket.n; i++)
        h = (h ^ (unsigned char)bucket.p[i]) * UINT64_C(0x100000001b3);
    h *= UINT64_C(0x100000001b3);
    for (size_t i = 0; i < key.n; i++)
        h = (h ^ (unsigned char)key.p[i]) * UINT64_C(0x100000001b3);
    return h;
}

bool queued_same_key(const struct queued *a, const struct queued *b)
{
    return a->key_hash == b->key_hash && str_eq(a->row.key, b->row.key) &&
           str_eq(a->row.bucket, b->row.bucket);
}

static void queued_release(struct queued *q)
{
    free(q->bytes);
    q->bytes = NULL;
    q->out = false;
}

bool queued_load(struct queued *q, uint64_t seq, struct str value)
{
    *q = (struct queued){.seq = seq, .size = value.n};
    q->bytes = x_malloc(value.n + 1);
    memcpy(q->bytes, value.p, value.n);
    if (outbox_row_decode(str_n(q->bytes, value.n), &q->row)) {
        q->key_hash = key_hash(q->row.bucket, q->row.key);
        return true;
    }
    q->row = (struct outbox_row){.record = str_n(q->bytes, value.n)};
    return false;
}

/* --- lanes -------------------------------------------------------------------------------------------------------- */

static struct lane *lane_of(struct sender *s, const struct queued *q)
{
    for (size_t i = 0; i < s->n_lanes; i++) {
        struct lane *l = &s->lanes[i];
        if (l->key_hash == q->key_hash && l->key_n == q->row.bucket.n + 1 + q->row.key.n &&
            memcmp(l->key, q->row.bucket.p, q->row.bucket.n) == 0 &&
            memcmp(l->key + q->row.bucket.n + 1, q->row.key.p, q->row.key.n) == 0)
            return l;
    }
    return NULL;
}

static void lane_push(struct sender *s, struct lane *l, uint64_t seq)
{
    if (l->at > 0 && l->at + l->n == l->cap) {
        memmove(l->seqs, l->seqs + l->at, l->n * sizeof(*l->seqs));
        l->at = 0;
    }
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 8;
        l->seqs = x_realloc(l->seqs, l->cap * sizeof(*l->seqs));
    }
    l->seqs[l->at + l->n++] = seq;
    s->lane_events++;
}

static void lane_pop(struct sender *s, struct lane *l)
{
    queued_release(&l->head);
    l->at++;
    l->n--;
    s->lane_events--;
    l->tries = l->failures = 0;
    l->first_failure_ms = l->next_try_ms = 0;
}

struct lane *queue_park(struct sender *s, const struct queued *q)
{
    if (s->n_lanes == s->max_batch)
        return NULL;
    struct lane *l = &s->lanes[s->n_lanes++];
    struct queued key = *q;
    memset(l, 0, sizeof(*l));
    l->key_n = key.row.bucket.n + 1 + key.row.key.n;
    l->key_hash = key.key_hash;
    l->key = x_calloc(1, l->key_n);
    memcpy(l->key, key.row.bucket.p, key.row.bucket.n);
    memcpy(l->key + key.row.bucket.n + 1, key.row.key.p, key.row.key.n);
    /* Views of the key stay valid: their bytes move into the lane's head, or the event behind q is released last. */
    char *last = NULL;
    for (size_t i = 0; i < s->n_window; i++) {
        struct queued *w = &s->window[i];
        if (!w->bytes || !queued_same_key(w, &key))
            continue;
        lane_push(s, l, w->seq);
        s->window_bytes -= w->size;
        if (l->n == 1) {
            l->head = *w;
        } else if (w->bytes == key.bytes) {
            last = w->bytes;
        } else {
            free(w->bytes);
        }
        w->bytes = NULL;
        s->holes++;
    }
    free(last);
    return l;
}

struct resolved *queue_resolved(struct sender *s)
{
    if (s->n_out == s->cap_out) {
        s->cap_out = s->cap_out ? s->cap_out * 2 : 64;
        s->out = x_realloc(s->out, s->cap_out * sizeof(*s->out));
    }
    struct resolved *r = &s->out[s->n_out++];
    *r = (struct resolved){0};
    return r;
}

static void resolve_damaged(struct sender *s, struct picked *p)
{
    log_error(s->label, "a queued event is damaged and becomes a dead letter (number %llu)",
              (unsigned long long)p->event->seq);
    queue_resolve(s, p, 0, "the queued row is damaged");
}

/* The same of an event in a segment. */
static enum kv_result lane_load_segment(struct sender *s, struct lane *l, struct segment *g, struct err *e)
{
    sender_on_disk(s, true);
    enum segment_result r = segment_event(s, g, l->seqs[l->at], &l->head, e);
    sender_on_disk(s, false);
    switch (r) {
    case SEGMENT_OK:
        return KV_FOUND;
    case SEGMENT_GONE:
        return KV_MISSING;
    default:
        return KV_DAMAGED;
    }
}

bool lane_load(struct sender *s, struct lane *l)
{
    while (l->n > 0 && !l->head.bytes && s->n_out < OUT_EVENTS) {
        struct kv_value v = {0};
        struct err e = {0};
        struct segment *g = segment_of(s, l->seqs[l->at]);
        struct row_key k = outbox_key(s->number, l->seqs[l->at]);
        enum kv_result r =
            g ? lane_load_segment(s, l, g, &e) : kv_get(s->kv, KV_QUEUE, row_key_str(&k), 0, &v, &e);
        if (r == KV_MISSING) {
            lane_pop(s, l);
            continue;
        }
        if (r != KV_FOUND) {
            log_error(s->label, "a queued event cannot be read: %s", e.text);
            l->next_try_ms = clock_mono_ms() + BACKOFF_MAX_MS;
            return false;
        }
        bool good = g || queued_load(&l->head, l->seqs[l->at], v.data);
        kv_value_release(&v);
        if (!good)
            resolve_damaged(s, &(struct picked){.event = &l->head, .lane = l});
    }
    return l->head.bytes != NULL;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

void queue_take(struct sender *s, uint64_t seq, struct str value, struct segment *segment, uint32_t n)
{
    struct queued q;
    if (!queued_load(&q, seq, value)) {
        resolve_damaged(s, &(struct picked){.event = &q});
        return;
    }
    q.segment = segment;
    q.n = n;
    struct lane *l = lane_of(s, &q);
    if (l) {
        lane_push(s, l, seq);
        queued_release(&q);
        return;
    }
    s->window[s->n_window++] = q;
    s->window_bytes += q.size;
}

size_t queue_room(const struct sender *s)
{
    return 2 * (size_t)s->max_batch > WINDOW_EVENTS ? 2 * (size_t)s->max_batch : WINDOW_EVENTS;
}

bool queue_has_room(const struct sender *s)
{
    return s->n_window < queue_room(s) && s->window_bytes < WINDOW_BYTES && s->lane_events < LANE_EVENTS &&
           s->n_out < OUT_EVENTS;
}

/* Events of the window that are not out. Those that are out of lanes are none of it; so it may be a few more. */
static size_t waiting(const struct sender *s)
{
    size_t gone = s->holes + s->n_used;
    return s->n_window > gone ? s->n_window - gone : 0;
}

/* A row that the scan has reached: an event, or a segment. False and err: that cannot be read now. */
static bool take_row(struct sender *s, struct kv_scan *scan, uint64_t seq, struct str value, struct err *e)
{
    if (!segment_row_is(value)) {
        queue_take(s, seq, value, NULL, 0);
        s->scan_next = seq + 1;
        return true;
    }
    uint64_t last;
    sender_on_disk(s, true);
    bool opened = segment_open(s, seq, value, &last, e);
    sender_on_disk(s, false);
    if (!opened)
        return false;
    s->scan_next = last + 1;
    struct row_key next = outbox_key(s->number, s->scan_next);
    kv_scan_seek(scan, row_key_str(&next)); /* over what the segment has replaced */
    return true;
}

/* Much was at hand and yet the batch was not full: one key floods the window. It waits in a lane, so that others can be read. */
static void park_flood(struct sender *s)
{
    if (!s->type->one_per_key || !s->thin || !s->backlog || waiting(s) < WINDOW_EVENTS / 4 ||
        s->n_lanes >= s->max_batch / 2)
        return;
    queue_compact(s);
    size_t at = 0;
    while (at < s->n_window && s->window[at].out)
        at++;
    if (at < s->n_window)
        (void)queue_park(s, &s->window[at]);
    queue_compact(s);
}

void queue_read_ahead(void *arg)
{
    struct sender *s = arg;
    /* Only within a send: a receiver that is away has nothing held for it. */
    if (!s->backlog || s->ahead_over || s->reading || !queue_has_room(s) || atomic_load(&s->sending) == 0)
        return;
    /* A commit that the scan does not see wakes us, or there is news already, which stays until queue_fill has looked. Neither
     * is so where a pause, over before it was seen, took what it had to tell. */
    if (!atomic_load(&s->news))
        atomic_store(&s->want_wake, true);
    struct row_key first = outbox_key(s->number, s->scan_next), end = outbox_key(s->number + 1, 0);
    struct kv_scan *scan = kv_scan_open(s->kv, KV_QUEUE, row_key_str(&first), row_key_str(&end));
    struct str key, value;
    struct err e;
    s->backlog = false;
    while (kv_scan_next(scan, &key, &value)) {
        uint64_t seq;
        s->ahead_over = segment_row_is(value);
        s->backlog = s->ahead_over || !queue_has_room(s);
        if (s->backlog)
            break;
        if (outbox_key_seq(key, &seq)) {
            queue_take(s, seq, value, NULL, 0);
            s->scan_next = seq + 1;
        }
    }
    s->ahead_over = s->ahead_over || kv_scan_failed(scan, &e);
    s->backlog = s->backlog || s->ahead_over;
    kv_scan_close(scan);
}

bool queue_fill(struct sender *s, struct err *e)
{
    size_t enough = s->places ? s->max_batch / 2 : s->max_batch;
    if ((!s->backlog && !atomic_load(&s->news)) || (!s->thin && waiting(s) >= enough))
        return true;
    park_flood(s);
    /* Asked for before looking: a commit is either seen by the scan, or wakes us after it. */
    atomic_store(&s->news, false);
    atomic_store(&s->want_wake, true);
    if (s->backlog && !queue_has_room(s))
        return true;
    struct row_key first = outbox_key(s->number, s->scan_next), end = outbox_key(s->number + 1, 0);
    struct kv_scan *scan = kv_scan_open(s->kv, KV_QUEUE, row_key_str(&first), row_key_str(&end));
    struct str key, value;
    bool readable = true;
    s->backlog = false;
    while (readable) {
        uint64_t seq;
        if (!queue_has_room(s)) {
            s->backlog = true;
            break;
        }
        if (s->reading && segment_next(s))
            continue;
        if (!kv_scan_next(scan, &key, &value))
            break;
        if (outbox_key_seq(key, &seq))
            readable = take_row(s, scan, seq, value, e);
    }
    bool ok = s->backlog || (readable && !kv_scan_failed(scan, e));
    s->unread_file = !readable;
    if (!ok)
        s->backlog = true; /* look again when the back-off is over */
    kv_scan_close(scan);
    return ok;
}

/* --- resolving ---------------------------------------------------------------------------------------------------- */

static void encode_dead(struct sender *s, const struct queued *q, uint32_t attempts, const char *reason,
                        struct resolved *r)
{
    struct buf b;
    struct outbox_row row = q->row;
    int64_t now = clock_real_ns();
    row.attempts = attempts;
    row.reason = str_c(reason);
    row.dead_ns = now ? now : 1;
    buf_init(&b, q->size + strlen(reason) + 64);
    outbox_row_encode(&row, &b);
    BUG_ON(b.failed);
    r->dead = b.p;
    r->dead_n = b.len;
    s->dead++;
}

void queue_resolve(struct sender *s, struct picked *p, uint32_t attempts, const char *dead_reason)
{
    struct resolved *r = queue_resolved(s);
    *r = (struct resolved){
        .seq = p->event->seq, .size = p->event->size, .segment = p->event->segment, .n = p->event->n};
    if (dead_reason)
        encode_dead(s, p->event, attempts, dead_reason, r);
    if (p->lane) {
        lane_pop(s, p->lane);
    } else {
        queued_release(p->event);
        s->holes++;
    }
}

void queue_compact(struct sender *s)
{
    size_t kept = 0;
    s->window_bytes = 0;
    for (size_t i = 0; i < s->n_window; i++) {
        if (!s->window[i].bytes)
            continue;
        s->window_bytes += s->window[i].size;
        if (kept < i)
            s->window[kept] = s->window[i];
        kept++;
    }
    s->n_window = kept;
    s->holes = s->pick_from = 0;
    kept = 0;
    for (size_t i = 0; i < s->n_lanes; i++) {
        struct lane *l = &s->lanes[i];
        if (l->n > 0) {
            s->lanes[kept++] = *l;
            continue;
        }
        free(l->key);
        free(l->seqs);
        memset(l, 0, sizeof(*l));
    }
    s->n_lanes = kept;
}

uint64_t queue_oldest(const struct sender *s)
{
    uint64_t oldest = queue_oldest_event(s);
    for (size_t i = 0; i < s->n_segments; i++)
        if (s->segments[i]->events.left > 0)
            return s->segments[i]->is.first < oldest ? s->segments[i]->is.first : oldest;
    return oldest;
}

uint64_t queue_oldest_event(const struct sender *s)
{
    uint64_t oldest = s->scan_next;
    const struct left_event *unread =
        s->reading ? segment_left_from(&s->reading->events, s->reading_n) : NULL;
    if (unread)
        oldest = unread->seq;
    size_t first = 0; /* it is in order */
    while (first < s->n_window && !s->window[first].bytes)
        first++;
    if (first < s->n_window && s->window[first].seq < oldest)
        oldest = s->window[first].seq;
    for (size_t i = 0; i < s->n_lanes; i++)
        if (s->lanes[i].n > 0 && s->lanes[i].seqs[s->lanes[i].at] < oldest)
            oldest = s->lanes[i].seqs[s->lanes[i].at];
    return oldest;
}

int64_t queue_next_due(const struct sender *s)
{
    int64_t due = INT64_MAX;
    for (size_t i = 0; i < s->n_lanes; i++)
        if (s->lanes[i].n > 0 && !s->lanes[i].head.out && s->lanes[i].next_try_ms < due)
            due = s->lanes[i].next_try_ms;
    return due;
}

void queue_release(struct sender *s)
{
    for (size_t i = 0; i < s->n_window; i++)
        free(s->window[i].bytes);
    for (size_t i = 0; i < s->n_lanes; i++) {
        free(s->lanes[i].key);
        free(s->lanes[i].seqs);
        free(s->lanes[i].head.bytes);
    }
    for (size_t i = 0; i < s->n_out; i++)
        free(s->out[i].dead);
    free(s->window);
    free(s->lanes);
    free(s->out);
    segments_release(s);
}
