/* SPDX-License-Identifier: Apache-2.0
 *
 * Taking resolved events out of the rows: one plain unsynced write with the rows, the counters and the cursor. It is
 * written while the next batch is being sent; so what a crash can repeat is that batch and the one before it. */
#include <stdlib.h>

#include "base/crash.h"
#include "base/log.h"
#include "event/sender.h"

#define REMOVE_BYTES (KV_TXN_BYTES / 2)

static void put_cursor(struct kv_txn *t, uint32_t number, uint64_t seq)
{
    struct buf b;
    struct row_key k = cursor_key(number);
    buf_init(&b, 16);
    buf_be64(&b, seq);
    kv_txn_put(t, KV_META, row_key_str(&k), buf_view(&b));
    buf_release(&b);
}

/* One by one, although they are a range most of the time: the store would have to read a range to delete what is in it. */
static void delete_rows(struct kv_txn *t, const struct sender *s, const struct removal *r)
{
    for (size_t i = 0; i < r->n; i++) {
        struct row_key k = outbox_key(s->number, r->v[i].seq);
        if (!r->v[i].segment)
            kv_txn_del(t, KV_QUEUE, row_key_str(&k));
    }
}

/* The rows of segments of which events were resolved. */
static void change_segments(struct kv_txn *t, const struct sender *s, const struct removal *r)
{
    int64_t in_files[KV_COUNTERS] = {0}, lost[KV_COUNTERS] = {0};
    for (size_t i = 0; i < r->n_changes; i++) {
        const struct segment_change *c = &r->changes[i];
        struct row_key k = outbox_key(s->number, c->first), file = segment_file_key(s->number, c->id);
        if (c->row) {
            kv_txn_put(t, KV_QUEUE, row_key_str(&k), str_n(c->row, c->row_n));
            continue;
        }
        kv_txn_del(t, KV_QUEUE, row_key_str(&k));
        kv_txn_put(t, KV_META, row_key_str(&file), str_c(c->path));
        in_files[1]--;
    }
    for (size_t i = 0; i < r->n; i++) {
        in_files[0] -= r->v[i].segment != NULL;
        lost[0] += r->v[i].lost;
    }
    struct row_key count = segment_counter_key(s->number), lost_count = segment_lost_key(s->number);
    if (in_files[0] != 0)
        kv_txn_add(t, row_key_str(&count), in_files);
    if (lost[0] > 0)
        kv_txn_add(t, row_key_str(&lost_count), lost);
}

static bool remove_txn(struct kv_txn *t, void *ctx)
{
    struct sender *s = ctx;
    const struct removal *r = &s->removal;
#ifdef BELFRY_MUTATE_NO_REMOVAL
    if (r->n > 0)
        return true;
#endif
    int64_t rows[KV_COUNTERS] = {0, -(int64_t)r->last_bytes}, dead[KV_COUNTERS] = {0};
    delete_rows(t, s, r);
    change_segments(t, s, r);
    for (size_t i = 0; i < r->n; i++) {
        rows[0]--;
        rows[1] -= (int64_t)r->v[i].size;
        if (!r->v[i].dead)
            continue;
        struct row_key k = dead_letter_key(s->number, r->v[i].seq);
        kv_txn_put(t, KV_QUEUE, row_key_str(&k), str_n(r->v[i].dead, r->v[i].dead_n));
        dead[0]++;
        dead[1] += (int64_t)r->v[i].dead_n;
    }
    struct row_key count = outbox_counter_key(s->number), dead_count = dead_letter_counter_key(s->number);
    kv_txn_add(t, row_key_str(&count), rows);
    if (dead[0] > 0)
        kv_txn_add(t, row_key_str(&dead_count), dead);
    put_cursor(t, s->number, r->oldest);
    return true;
}

/* On the committer's thread. */
static void remove_done(void *ctx, enum kv_outcome outcome)
{
    struct sender *s = ctx;
    if (outcome == KV_COMMITTED)
        crash_point(CRASH_EVENT_REMOVED);
    for (size_t i = 0; i < s->removal.n; i++) {
        if (s->removal.v[i].dead && outcome == KV_COMMITTED)
            crash_point(CRASH_DEAD_LETTER);
        free(s->removal.v[i].dead);
    }
    for (size_t i = 0; i < s->removal.n_changes; i++)
        free(s->removal.changes[i].row);
    mutex_lock(&s->mutex);
    s->removal.n = 0;
    s->removing = false;
    if (outcome != KV_COMMITTED)
        s->remove_failed = true;
    cond_broadcast(&s->cond);
    mutex_unlock(&s->mutex);
}

bool sender_removes(struct sender *s)
{
    mutex_lock(&s->mutex);
    bool removing = s->removing;
    mutex_unlock(&s->mutex);
    return removing;
}

size_t sender_removing(struct sender *s)
{
    mutex_lock(&s->mutex);
    size_t n = s->removing ? s->removal.n : 0;
    mutex_unlock(&s->mutex);
    return n;
}

bool sender_settled(struct sender *s)
{
    mutex_lock(&s->mutex);
    while (s->removing)
        cond_wait(&s->cond, &s->mutex);
    bool ok = !s->remove_failed;
    mutex_unlock(&s->mutex);
    return ok;
}

/* What an event adds to the write, at most: its own row or that of its segment, which names the file, as does the row that
 * takes its place; and its dead letter. */
static size_t bytes_of(const struct resolved *r, const struct segment *before)
{
    bool other = r->segment && r->segment != before;
    return 64 + r->dead_n + (other ? 2 * strlen(r->segment->path) + 512 : 0);
}

/* How much of what was resolved one write may hold. */
static size_t fitting(const struct sender *s, size_t *bytes)
{
    size_t n = 0;
    *bytes = 0;
    for (const struct segment *before = NULL; n < s->n_out && n < REMOVE_EVENTS;
         before = s->out[n++].segment) {
        size_t more = bytes_of(&s->out[n], before);
        if (n > 0 && *bytes + more > REMOVE_BYTES)
            break;
        *bytes += more;
    }
    return n;
}

static void fill_removal(struct sender *s)
{
    struct removal *r = &s->removal;
    size_t bytes, n = fitting(s, &bytes);
    if (r->cap < n) {
        r->cap = n;
        r->v = x_realloc(r->v, n * sizeof(*r->v));
    }
    memcpy(r->v, s->out, n * sizeof(*r->v));
    s->n_out -= n;
    memmove(s->out, s->out + n, s->n_out * sizeof(*s->out));
    r->n = n;
    r->last_bytes = 0;
    for (size_t i = 0; i < n; i++)
        if (r->v[i].segment)
            segment_resolved(s, &r->v[i]);
    segments_changes(s);
    r->oldest = queue_oldest(s);
    for (size_t i = 0; i < s->n_out; i++) /* the cursor may not pass a row that is still there */
        if (!s->out[i].segment && s->out[i].seq < r->oldest)
            r->oldest = s->out[i].seq;
    s->cursor = r->oldest;
    r->commit = (struct kv_commit){
        .fn = remove_txn, .done = remove_done, .ctx = s, .flags = KV_PLAIN | KV_NOSYNC, .bytes = bytes + 256};
}

#ifdef BELFRY_MUTATE_REMOVE_BEFORE_SEND
static bool remove_early_txn(struct kv_txn *t, void *ctx)
{
    struct sender *s = ctx;
    for (size_t i = 0; i < s->max_batch && s->batch[i].event; i++) {
        struct row_key k = outbox_key(s->number, s->batch[i].event->seq);
        kv_txn_del(t, KV_QUEUE, row_key_str(&k));
    }
    return true;
}

void sender_remove_early(struct sender *s, size_t n)
{
    if (n < s->max_batch)
        s->batch[n].event = NULL;
    (void)kv_commit_wait(s->kv, remove_early_txn, s, KV_PLAIN | KV_NOSYNC);
}
#endif

static void forget(struct sender *s)
{
    if (!s->forgetful)
        log_warn(s->label, "the store cannot be written: events are still delivered, and will be once more "
                           "after the restart");
    s->forgetful = true;
    for (size_t i = 0; i < s->n_out; i++)
        free(s->out[i].dead);
    s->n_out = 0;
}

void remove_resolved(struct sender *s)
{
    while (s->n_out > 0) {
        if (!sender_settled(s)) {
            forget(s);
            return;
        }
        fill_removal(s);
        mutex_lock(&s->mutex);
        s->removing = true;
        s->oldest = s->cursor;
        s->oldest_event = queue_oldest_event(s);
        mutex_unlock(&s->mutex);
        kv_commit(s->kv, &s->removal.commit);
    }
}
