/* SPDX-License-Identifier: Apache-2.0
 *
 * Moving the backlog of a target that takes nothing into segments (event/segment.h). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/hash.h"
#include "base/log.h"
#include "event/delivery_impl.h"
#include "event/sender.h"

#define LOOK_MS    1000  /* between two looks whether there is enough to move */
#define FAILED_MS  60000 /* after a segment that could not be written */
#define REST       3     /* times as long as a segment took */
#define REST_MS    10    /* at least */
#define COMPACT_AT 32    /* segments after which the store is asked for their space */

/* A segment on its way. */
struct move {
    struct sender *s;
    struct segment_id is;
    uint32_t count;
    uint64_t bytes;
    struct buf text; /* of the file, the header is added last */
    char folder[4300], path[4400];
    bool forget; /* the s row goes, nothing else happens */
};

/* --- choosing ----------------------------------------------------------------------------------------------------- */

/* Are there so many rows behind what the sender holds that a segment leaves the newest ones? */
static bool is_enough(const struct sender *s)
{
    int64_t rows[KV_COUNTERS], moved[KV_COUNTERS];
    struct row_key k = outbox_counter_key(s->number), m = segment_counter_key(s->number);
    return kv_counters(s->kv, row_key_str(&k), rows, NULL) &&
           kv_counters(s->kv, row_key_str(&m), moved, NULL) &&
           rows[0] - moved[0] - (int64_t)s->n_window - (int64_t)s->lane_events >=
               s->limits.keep + (int64_t)s->limits.rows;
}

static bool is_full(const struct move *m)
{
    return m->count == m->s->limits.rows || m->bytes >= SEGMENT_BYTES;
}

/* Takes rows in from the oldest on that may move, up to a whole segment or to one that is none of ours, which stays where it is
 * and is looked at when its turn comes. */
static bool gather(struct move *m, struct err *e)
{
    struct sender *s = m->s;
    struct mover *v = &s->mover;
    uint64_t from = v->next > s->scan_next ? v->next : s->scan_next;
    struct row_key first = outbox_key(s->number, from), end = outbox_key(s->number + 1, 0);
    struct kv_scan *scan = kv_scan_open(s->kv, KV_QUEUE, row_key_str(&first), row_key_str(&end));
    struct str key, value;
    while (!is_full(m) && kv_scan_next(scan, &key, &value)) {
        struct outbox_row row;
        struct segment_row segment;
        uint64_t seq;
        bool ours = outbox_key_seq(key, &seq);
        bool event = ours && outbox_row_decode(value, &row);
        if (!event && m->count > 0)
            break;
        if (!event) {
            bool known = ours && segment_row_decode(value, seq, &segment);
            v->folder_used |= known && str_starts(segment.path, str_c(m->folder));
            v->next = !ours ? v->next : known ? segment.is.last + 1 : seq + 1;
            struct row_key next = outbox_key(s->number, v->next);
            if (ours)
                kv_scan_seek(scan, row_key_str(&next));
            continue;
        }
        if (m->count == 0)
            m->is.first = seq;
        segment_line(&m->text, &m->is, m->count++, seq, &row);
        m->is.last = seq;
        m->bytes += value.n;
    }
    bool ok = !kv_scan_failed(scan, e);
    kv_scan_close(scan);
    BUG_ON(m->text.failed); /* its bound is above what SEGMENT_BYTES can become */
    return ok;
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

static bool name_txn(struct kv_txn *t, void *ctx)
{
    const struct move *m = ctx;
    struct row_key k = segment_file_key(m->s->number, m->is.id);
    if (m->forget)
        kv_txn_del(t, KV_META, row_key_str(&k));
    else
        kv_txn_put(t, KV_META, row_key_str(&k), str_c(m->path));
    return true;
}

/* In the place of its events, which are counted as before. */
static bool move_txn(struct kv_txn *t, void *ctx)
{
    const struct move *m = ctx;
    uint32_t number = m->s->number;
    struct row_key first = outbox_key(number, m->is.first), end = outbox_key(number, m->is.last + 1);
    struct row_key file = segment_file_key(number, m->is.id), count = segment_counter_key(number);
    char none[(SEGMENT_ROWS + 7) / 8] = {0};
    struct buf b;
    buf_init(&b, 65536);
    segment_row_encode(&(struct segment_row){m->is, m->count, m->count, m->bytes, str_c(m->path),
                                             str_n(none, (m->count + 7) / 8)},
                       &b);
    BUG_ON(b.failed);
    kv_txn_del_range(t, KV_QUEUE, row_key_str(&first), row_key_str(&end));
    kv_txn_put(t, KV_QUEUE, row_key_str(&first), buf_view(&b));
    kv_txn_del(t, KV_META, row_key_str(&file));
    kv_txn_add(t, row_key_str(&count), (int64_t[KV_COUNTERS]){m->count, 1});
    buf_release(&b);
    return true;
}

static bool has_segments(const struct sender *s)
{
    int64_t n[KV_COUNTERS];
    struct row_key k = segment_counter_key(s->number);
    return !kv_counters(s->kv, row_key_str(&k), n, NULL) || n[1] != 0;
}

/* A folder that holds segments and is gone is not made again: its disk may be missing, and an empty folder would mean that its
 * events are given up. */
static bool prepare(struct move *m, struct err *e)
{
    struct mover *v = &m->s->mover;
    int64_t room;
    v->folder_used = v->folder_used && has_segments(m->s);
    v->folder_made = v->folder_made && access(m->folder, F_OK) == 0;
    if (!v->folder_made && !v->folder_used) {
        if (!segment_folder_make(m->folder, e))
            return false;
        v->folder_made = true;
    }
    if (!segment_room(m->folder, atomic_load(&m->s->delivery->disk_reserve), &room, e))
        return false;
    return room >= (int64_t)m->text.len || err_set(e, "%s: its disk is full up to the reserve", m->folder);
}

enum moved { MOVED, MOVE_FAILED, STORE_FAILED };

/* The file, with a row that names it until it is in use. */
static enum moved write_file(struct move *m, struct err *e)
{
    struct kv *kv = m->s->kv;
    bool left;
#ifndef BELFRY_MUTATE_NO_SEGMENT_NAME
    if (kv_commit_wait(kv, name_txn, m, KV_PLAIN) != KV_COMMITTED)
        return STORE_FAILED;
#endif
    crash_point(CRASH_SEGMENT_NAMED);
    if (segment_file_write(m->path, buf_view(&m->text), &left, e))
        return MOVED;
    m->forget = true;
    if (!left && kv_commit_wait(kv, name_txn, m, KV_PLAIN | KV_NOSYNC) != KV_COMMITTED)
        return STORE_FAILED;
    return MOVE_FAILED;
}

/* The header stands at the front, and tells what is known at the end. */
static void put_header(struct move *m)
{
    struct buf head;
    buf_init(&head, 1024);
    segment_header(&head, &m->is, m->s->label, m->count);
    BUG_ON(head.failed || !buf_reserve(&m->text, head.len));
    memmove(m->text.p + head.len, m->text.p, m->text.len);
    memcpy(m->text.p, head.p, head.len);
    m->text.len += head.len;
    buf_release(&head);
}

static void put_path(struct move *m)
{
    struct buf name;
    buf_init(&name, 128);
    segment_name(&name, &m->is);
    (void)snprintf(m->path, sizeof(m->path), "%s/%.*s", m->folder, STR_FMT(buf_view(&name)));
    buf_release(&name);
}

static enum moved move_one(struct move *m, struct err *e)
{
    struct sender *s = m->s;
    if (!gather(m, e))
        return MOVE_FAILED;
    if (m->count == 0)
        return MOVED;
    put_header(m);
    put_path(m);
    if (!prepare(m, e))
        return MOVE_FAILED;
    enum moved r = write_file(m, e);
    if (r != MOVED)
        return r;
    if (kv_commit_wait(s->kv, move_txn, m, KV_PLAIN) != KV_COMMITTED)
        return STORE_FAILED; /* whether that write exists, only the next start can tell */
    crash_point(CRASH_SEGMENT_MOVED);
    s->mover.next = m->is.last + 1;
    if (s->mover.n_moved++ == 0)
        s->mover.compact_from = m->is.first;
    s->mover.folder_used = true;
    return MOVED;
}

/* --- when --------------------------------------------------------------------------------------------------------- */

static void tell(struct sender *s, const struct move *m, const struct err *failure)
{
    struct mover *v = &s->mover;
    if (failure && !v->telling)
        log_warn(
            s->label,
            "its backlog cannot be moved to queue_dir and stays in the store: %s. Nothing is lost; it is "
            "tried "
            "again every minute. Make room, mount the disk or let the server write there, or choose another "
            "queue_dir",
            failure->text);
    else if (!failure && m->count > 0 && (!v->told || v->telling))
        log_info(s->label, "its backlog moves to %s, but for the newest %lld events", m->folder,
                 (long long)s->limits.keep);
    v->telling = failure != NULL;
    v->told |= !failure && m->count > 0;
}

static enum moved step(struct sender *s, struct err *e)
{
    struct move *m = x_calloc(1, sizeof(*m));
    m->s = s;
    hash_random(&m->is.id, sizeof(m->is.id));
    buf_init(&m->text, SEGMENT_TEXT_MAX);
    (void)snprintf(m->folder, sizeof(m->folder), "%s/belfry-%s-%.*s", s->conf->queue_dir, s->type->name,
                   STR_FMT(s->id));
    sender_on_disk(s, true);
    enum moved r = move_one(m, e);
    sender_on_disk(s, false);
    if (r != STORE_FAILED)
        tell(s, m, r == MOVE_FAILED ? e : NULL);
    buf_release(&m->text);
    free(m);
    return r;
}

/* What is moved was on the disk for a while: without being asked, the store gives its space back when there is something else to
 * do. */
static void reclaim(struct sender *s)
{
    struct mover *v = &s->mover;
    if (v->n_moved < COMPACT_AT)
        return;
    struct row_key first = outbox_key(s->number, v->compact_from), end = outbox_key(s->number, v->next);
    kv_compact(s->kv, KV_QUEUE, row_key_str(&first), row_key_str(&end));
    v->n_moved = 0;
}

bool mover_step(struct sender *s, int64_t now_ms, int64_t *next_ms)
{
    struct mover *v = &s->mover;
    struct err e = {0};
    *next_ms = INT64_MAX;
    if (!s->told_offline || !s->conf->queue_dir || !s->conf->queue_dir[0])
        return true;
    if (v->down_since_ms == 0)
        v->down_since_ms = now_ms;
    if (v->due_ms < v->down_since_ms + s->limits.after_ms)
        v->due_ms = v->down_since_ms + s->limits.after_ms;
    if (now_ms >= v->due_ms) {
        int64_t began = clock_mono_ms();
        bool enough = is_enough(s);
        enum moved r = enough ? step(s, &e) : MOVED;
        if (!enough)
            reclaim(s);
        int64_t now = clock_mono_ms(), rest = REST * (now - began);
        if (r == STORE_FAILED)
            return false;
        rest = rest < REST_MS ? REST_MS : rest;
        v->folder_made &= r == MOVED;
        v->due_ms = now + (r == MOVE_FAILED ? FAILED_MS : enough ? rest : LOOK_MS);
    }
    *next_ms = v->due_ms;
    return true;
}

void mover_online(struct sender *s)
{
    s->mover.down_since_ms = 0;
    s->mover.told = false;
}
