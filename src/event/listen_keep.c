/* SPDX-License-Identifier: Apache-2.0
 *
 * The history is read by those who are late, and cut at its far end by a thread of its own: whoever still needs what goes
 * is counted before. */
#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "event/listen_impl.h"

/* --- reading --------------------------------------------------------------------------------------------------------- */

/* Reads rows behind from up to `end`; lines (NULL: none) of those that match. False: they cannot be read. */
static bool read_rows(const struct listen *l, const struct listen_filter *f, struct listen_position from,
                      struct listen_position end, struct buf *lines, size_t enough,
                      struct listen_position *to, uint64_t *matches)
{
    struct row_key first = listen_key(from.seq + 1), last = listen_key(end.seq + 1);
    struct kv_scan *scan = kv_scan_open(l->kv, KV_QUEUE, row_key_str(&first), row_key_str(&last));
    struct str key, value;
    bool ok = true, full = false;
    size_t looked = 0;
    *to = from;
    *matches = 0;
    while (!full && ok && kv_scan_next(scan, &key, &value)) {
        struct outbox_row row;
        enum event_name name;
        ok = listen_key_seq(key, &to->seq) && listen_row_decode(value, &to->count, &row);
        full = lines && ++looked == LISTEN_READ_ROWS;
        if (!ok || !event_name_parse(row.name, &name) || !listen_filter_matches(f, name, row.bucket, row.key))
            continue;
        ++*matches;
        if (lines)
            listen_line(lines, row.record);
        full = full || (lines && lines->len >= enough);
    }
    struct err why = {0};
    if (!ok)
        (void)err_set(&why, "a row is malformed");
    ok = !kv_scan_failed(scan, &why) && ok;
    kv_scan_close(scan);
    if (!ok)
        log_error("event", "the listeners' history cannot be read: %s; run 'belfry check'", why.text);
    if (!ok || !full)
        *to = end;
    return ok;
}

void listen_read(struct listen *l, struct listen_reader *r, struct listen_read *out)
{
    uint64_t matches;
    mutex_lock(&l->mutex);
    out->from = r->at;
    struct listen_position end = l->tail_floor; /* from there on the tail has them */
    mutex_unlock(&l->mutex);
    out->to = out->from;
    if (out->from.seq >= end.seq)
        return;
    out->failed = !read_rows(l, &r->filter, out->from, end, &out->lines, out->enough, &out->to, &matches);
}

/* --- trimming -------------------------------------------------------------------------------------------------------- */

static bool delete_txn(struct kv_txn *t, void *ctx)
{
    struct listen *l = ctx;
    mutex_lock(&l->mutex);
    struct row_key first = listen_key(l->deleted + 1), end = listen_key(l->mark[0].seq + 1);
    l->deleted = l->mark[0].seq;
    if (l->recording)
        listen_put_state(t, l);
    mutex_unlock(&l->mutex);
    kv_txn_del_range(t, KV_QUEUE, row_key_str(&first), row_key_str(&end));
    return true;
}

/* Under the mutex: a reader that still needs a row up to `floor`. */
static struct listen_reader *lagging(const struct listen *l, uint64_t floor)
{
    struct listen_reader *r = l->readers;
    while (r && r->at.seq >= floor)
        r = r->next;
    return r;
}

static void copy_filter(struct arena *a, const struct listen_filter *from, struct listen_filter *to)
{
    to->mask = from->mask;
    to->bucket = arena_dup(a, from->bucket);
    to->pattern = arena_dup(a, from->pattern);
}

/* Moves readers that lag to `floor`, having counted what that costs each of them. Without the mutex: rows are read. */
static void count_lost(struct listen *l, struct listen_position floor)
{
    struct listen_reader *r;
    mutex_lock(&l->mutex);
    while ((r = lagging(l, floor.seq))) {
        struct arena a;
        struct listen_filter f;
        struct listen_position from = r->at, to;
        uint64_t lost;
        arena_init(&a);
        copy_filter(&a, &r->filter, &f);
        l->counting = r;
        mutex_unlock(&l->mutex);
        if (!read_rows(l, &f, from, floor, NULL, 0, &to, &lost))
            lost = floor.count - from.count;
        arena_release(&a);
        mutex_lock(&l->mutex);
        if (l->counting == r && r->at.seq == from.seq) {
            r->missed += lost;
            r->at = floor;
        }
        l->counting = NULL;
    }
    mutex_unlock(&l->mutex);
}

/* Moves mark[0] to the row with that count. False: there is no such row. */
static bool mark_row(struct listen *l, struct listen_position from, uint64_t count)
{
    struct row_key first = listen_key(from.seq + 1);
    struct kv_scan *scan = kv_scan_open(l->kv, KV_QUEUE, row_key_str(&first), STR("i"));
    struct listen_position at = from, row = from;
    struct outbox_row event;
    struct str key, value;
    while (kv_scan_next(scan, &key, &value) && listen_key_seq(key, &row.seq) &&
           listen_row_decode(value, &row.count, &event) && row.count <= count)
        at = row;
    kv_scan_close(scan);
    mutex_lock(&l->mutex);
    bool same = l->mark[0].seq == from.seq; /* else the history began anew */
    if (same && at.seq > from.seq && (l->n_marks == 1 || at.seq < l->mark[1].seq))
        l->mark[0] = at;
    bool moved = !same || l->mark[0].seq > from.seq;
    mutex_unlock(&l->mutex);
    return moved;
}

static void trim(struct listen *l)
{
    mutex_lock(&l->mutex);
    size_t drop = 0;
    while (drop + 1 < l->n_marks && l->published.count >= l->mark[drop + 1].count + l->keep)
        drop++;
    l->n_marks -= drop;
    memmove(l->mark, l->mark + drop, l->n_marks * sizeof(l->mark[0]));
    struct listen_position floor = l->mark[0];
    uint64_t unmarked = listen_unmarked(l);
    bool rows = l->keep > 0; /* else readers are in the tail, or listen_take moves them */
    l->leftover = false;
    mutex_unlock(&l->mutex);
    if (unmarked > 0 && !mark_row(l, floor, unmarked))
        l->broken = true; /* its rows are damaged; belfry check says so */
    mutex_lock(&l->mutex);
    floor = l->mark[0];
    mutex_unlock(&l->mutex);
    if (rows)
        count_lost(l, floor);
    if (kv_commit_wait(l->kv, delete_txn, l, KV_PLAIN | KV_NOSYNC) != KV_COMMITTED)
        l->broken = true;
    crash_point(CRASH_HISTORY_CUT);
}

static bool end_txn(struct kv_txn *t, void *ctx)
{
    struct listen *l = ctx;
    mutex_lock(&l->mutex);
    bool end = l->entered == 0 && l->recording;
    if (end) {
        l->recording = false;
        memset(l->since, 0, sizeof(l->since));
        atomic_store(&l->mask, 0);
        listen_begin_at(l, kv_txn_sequence(t));
        kv_txn_del(t, KV_META, LISTEN_STATE_KEY);
    }
    mutex_unlock(&l->mutex);
    return end;
}

static void end_interest(struct listen *l)
{
    enum kv_outcome o = kv_commit_wait(l->kv, end_txn, l, 0);
    if (o == KV_COMMITTED)
        o = kv_commit_wait(l->kv, delete_txn, l, KV_PLAIN | KV_NOSYNC);
    if (o == KV_FAILED)
        l->broken = true;
}

void *listen_thread(void *arg)
{
    struct listen *l = arg;
    mutex_lock(&l->mutex);
    while (!l->stop) {
        bool idle = l->recording && l->entered == 0 && !l->broken,
             due = (listen_trim_due(l) || l->leftover) && !l->broken;
        int64_t end_ms = l->idle_since_ms + l->linger_ms;
        bool ended = idle && clock_mono_ms() >= end_ms;
        if (due || ended) {
            mutex_unlock(&l->mutex);
            if (due)
                trim(l);
            else
                end_interest(l);
            mutex_lock(&l->mutex);
        } else if (idle) {
            (void)cond_wait_until(&l->cond, &l->mutex, end_ms);
        } else {
            cond_wait(&l->cond, &l->mutex);
        }
    }
    mutex_unlock(&l->mutex);
    return NULL;
}

/* --- the setting ----------------------------------------------------------------------------------------------------- */

struct resize {
    struct listen *l;
    uint64_t keep;
};

/* Under the mutex: nobody is led to rows any more. */
static void leave_rows(struct listen *l)
{
    for (struct listen_reader *r = l->readers; r; r = r->next) {
        if (r->at.seq >= l->tail_floor.seq)
            continue;
        r->missed += l->tail_floor.count - r->at.count;
        r->at = l->tail_floor;
    }
    l->leftover = true;
}

static bool resize_txn(struct kv_txn *t, void *ctx)
{
    const struct resize *z = ctx;
    struct listen *l = z->l;
    mutex_lock(&l->mutex);
    bool anew = (l->keep == 0) != (z->keep == 0) && l->recording;
    l->keep = z->keep;
    if (anew) { /* what was before is not in the rows, or will not be read from there */
        l->mark[0] = (struct listen_position){kv_txn_sequence(t), l->total};
        l->n_marks = 1;
        listen_put_state(t, l);
        if (l->keep == 0)
            leave_rows(l);
    }
    listen_tail_bound(l);
    cond_signal(&l->cond);
    mutex_unlock(&l->mutex);
    return anew;
}

void listen_set_history(struct listen *l, int64_t events)
{
    struct resize z = {l, (uint64_t)(events < 0 ? 0 : events)};
    (void)kv_commit_wait(l->kv, resize_txn, &z, 0); /* it has no effect on a store that failed */
}
