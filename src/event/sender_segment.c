/* SPDX-License-Identifier: Apache-2.0
 *
 * Events in segments, from the row that is reached to the file that is removed (event/segment.h). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "event/sender.h"

#define CLEAN_AT   8  /* files removed with one sync, at least where there are more to come */
#define CLEAN_MOST 64 /* their names fit in one write, however long they are */

static void segment_free(struct segment *g)
{
    free(g->path);
    segment_left_release(&g->events);
    free(g);
}

/* --- what is lost ------------------------------------------------------------------------------------------------- */

/* What an operator hears of, and what is shown as the last error, although the target may be well. */
static void tell_lost(struct sender *s, const struct segment *g, uint32_t n, uint32_t from, uint32_t to,
                      const char *why)
{
    char first[CLOCK_ISO_MS_LEN], last[CLOCK_ISO_MS_LEN], text[sizeof(s->last_error)];
    clock_iso_ms((int64_t)g->is.first, first);
    clock_iso_ms((int64_t)g->is.last, last);
    (void)snprintf(text, sizeof(text), "%u queued events are lost: %s %s", n, g->path, why);
    log_error(
        s->label,
        "%s. They are of number %u to %u of its %u events, which were queued from %.*s to %.*s; all others "
        "are delivered. For what is in that file no more, compare the receiver with the buckets",
        text, from + 1, to + 1, g->count, CLOCK_ISO_MS_LEN, first, CLOCK_ISO_MS_LEN, last);
    mutex_lock(&s->mutex);
    memcpy(s->last_error, text, sizeof(text));
    s->last_error_ns = clock_real_ns();
    mutex_unlock(&s->mutex);
}

static void lose(struct sender *s, struct segment *g, struct left_event *ev)
{
    *queue_resolved(s) = (struct resolved){.seq = ev->seq, .segment = g, .n = ev->n, .lost = true};
    ev->at = LINE_MISSING;
}

/* Events that are neither resolved nor in the file. */
static void lose_missing(struct sender *s, struct segment *g, const char *why)
{
    uint32_t n = 0, from = 0, to = 0;
    for (uint32_t i = 0; i < g->events.n; i++) { /* none of them is gone yet */
        struct left_event *ev = &g->events.v[i];
        if (ev->at != LINE_MISSING)
            continue;
        from = n++ == 0 ? ev->n : from;
        to = ev->n;
        lose(s, g, ev);
    }
    if (n > 0)
        tell_lost(s, g, n, from, to, why);
}

/* --- opening ------------------------------------------------------------------------------------------------------ */

static struct segment *segment_new(const struct segment_row *row)
{
    struct segment *g = x_calloc(1, sizeof(*g));
    g->is = row->is;
    g->count = row->count;
    g->bytes = row->bytes;
    g->path = str_dupz(row->path);
    segment_left_init(&g->events, row->done, row->count);
    return g;
}

/* Where each line is. Their numbers rise with their places, so that one can be looked for. */
static void find_lines(struct segment *g, struct str text)
{
    struct str rest = text, line;
    struct arena a;
    uint64_t last = 0;
    uint32_t next = 0;
    arena_init(&a);
    while (rest.p && str_cut(&rest, '\n', &line)) {
        struct segment_line l;
        if (!segment_line_parse(line, &g->is, &a, &l) || l.n < next || l.seq <= last)
            continue;
        last = l.seq;
        next = l.n + 1;
        struct left_event *ev = segment_left_at(&g->events, l.n);
        if (ev) {
            ev->seq = l.seq;
            ev->at = (uint32_t)(line.p - text.p);
        }
        if (l.n % 64 == 0)
            arena_release(&a);
    }
    arena_release(&a);
    last = g->is.first;
    for (uint32_t i = 0; i < g->events.n; i++) {
        struct left_event *ev = &g->events.v[i];
        last = ev->seq = ev->at == LINE_MISSING ? last : ev->seq;
    }
}

bool segment_open(struct sender *s, uint64_t first, struct str value, uint64_t *last, struct err *e)
{
    struct segment_row row;
    if (!segment_row_decode(value, first, &row))
        return err_set(e, "the row of a segment is damaged (number %" PRIu64 ")", first);
    struct segment *g = segment_new(&row);
    buf_reset(&s->text);
    enum segment_result r = segment_file_read(g->path, &s->text, e);
    if (r == SEGMENT_UNREADABLE) {
        segment_free(g);
        return false;
    }
    s->segments = x_realloc(s->segments, (s->n_segments + 1) * sizeof(struct segment *));
    s->segments[s->n_segments++] = g;
    s->reading = g;
    s->reading_n = 0;
    s->mover.folder_used = true;
    find_lines(g, buf_view(&s->text));
    lose_missing(s, g, r == SEGMENT_GONE ? "was removed" : "is damaged or cut");
    crash_point(CRASH_SEGMENT_OPENED);
    *last = g->is.last;
    return true;
}

/* --- taking ------------------------------------------------------------------------------------------------------- */

/* The line of that event as a row's value; false: it is not that line. */
static bool line_value(const struct segment *g, const struct left_event *ev, struct str line,
                       struct buf *value)
{
    struct arena a;
    struct segment_line l;
    arena_init(&a);
    bool ok = segment_line_parse(line, &g->is, &a, &l) && l.n == ev->n && l.seq == ev->seq;
    if (ok)
        outbox_row_encode(&l.row, value);
    arena_release(&a);
    return ok && !value->failed;
}

bool segment_next(struct sender *s)
{
    struct segment *g = s->reading;
    const struct left_event *ev = segment_left_from(&g->events, s->reading_n);
    while (ev && ev->at == LINE_MISSING)
        ev = segment_left_from(&g->events, ev->n + 1);
    if (!ev) {
        s->reading = NULL;
        buf_release(&s->text);
        return false;
    }
    s->reading_n = ev->n + 1;
    struct str line, rest = str_from(buf_view(&s->text), ev->at);
    struct buf value;
    buf_init(&value, SEGMENT_ROW_MAX + 256);
    (void)str_cut(&rest, '\n', &line);
    BUG_ON(!line_value(g, ev, line, &value)); /* it was parsed before, out of the same memory */
    queue_take(s, ev->seq, buf_view(&value), g, ev->n);
    buf_release(&value);
    return true;
}

struct segment *segment_of(const struct sender *s, uint64_t seq)
{
    size_t low = 0, high = s->n_segments;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (s->segments[mid]->is.last < seq)
            low = mid + 1;
        else
            high = mid;
    }
    return low < s->n_segments && s->segments[low]->is.first <= seq ? s->segments[low] : NULL;
}

enum segment_result segment_event(struct sender *s, struct segment *g, uint64_t seq, struct queued *out,
                                  struct err *e)
{
    struct left_event *ev = segment_left_seq(&g->events, seq);
    if (!ev)
        return SEGMENT_GONE;
    struct buf line, value;
    buf_init(&line, SEGMENT_TEXT_MAX + (1u << 20));
    buf_init(&value, SEGMENT_ROW_MAX + 256);
    enum segment_result r = segment_file_line(g->path, ev->at, &line, e);
    if (r == SEGMENT_OK && line_value(g, ev, buf_view(&line), &value)) {
        BUG_ON(!queued_load(out, seq, buf_view(&value)));
        out->segment = g;
        out->n = ev->n;
    } else if (r != SEGMENT_UNREADABLE) { /* it was there when the segment was opened */
        if (!g->told)
            tell_lost(s, g, 1, ev->n, ev->n, "was removed or damaged while it was read");
        g->told = true;
        lose(s, g, ev);
        r = SEGMENT_GONE;
    }
    buf_release(&line);
    buf_release(&value);
    return r;
}

/* --- resolving ---------------------------------------------------------------------------------------------------- */

void segment_resolved(struct sender *s, const struct resolved *r)
{
    struct segment *g = r->segment;
    uint64_t size = r->size < g->bytes ? r->size : g->bytes;
    (void)s;
    segment_left_remove(&g->events, r->n);
    g->bytes -= size;
    g->touched = true;
}

static struct segment_change *add_change(struct removal *r, const struct segment *g)
{
    if (r->n_changes == r->cap_changes) {
        r->cap_changes = r->cap_changes ? r->cap_changes * 2 : 8;
        r->changes = x_realloc(r->changes, r->cap_changes * sizeof(*r->changes));
    }
    struct segment_change *c = &r->changes[r->n_changes++];
    *c = (struct segment_change){.first = g->is.first, .id = g->is.id};
    return c;
}

static void spend(struct sender *s, struct segment *g, struct segment_change *c)
{
    s->spent = x_realloc(s->spent, (s->n_spent + 1) * sizeof(*s->spent));
    s->spent[s->n_spent++] = (struct segment_spent){g->is.id, g->path};
    c->path = g->path;
    g->path = NULL;
    s->removal.last_bytes += g->bytes; /* of events that are lost nobody knows the size */
    if (s->reading == g) {
        s->reading = NULL;
        buf_release(&s->text);
    }
}

static void put_row(struct segment_change *c, const struct segment *g)
{
    struct buf b;
    char done[(SEGMENT_ROWS + 7) / 8];
    struct segment_row row = {g->is,    g->count,       g->events.left,
                              g->bytes, str_c(g->path), str_n(done, (g->count + 7) / 8)};
    segment_left_done(&g->events, g->count, done);
#ifdef BELFRY_MUTATE_NO_SEGMENT_PROGRESS
    memset(done, 0, sizeof(done));
    row.left = g->count;
#endif
    buf_init(&b, 65536);
    segment_row_encode(&row, &b);
    BUG_ON(b.failed);
    c->row = b.p;
    c->row_n = b.len;
}

void segments_changes(struct sender *s)
{
    size_t kept = 0;
    s->removal.n_changes = 0;
    for (size_t i = 0; i < s->n_segments; i++) {
        struct segment *g = s->segments[i];
        struct segment_change *c = g->touched ? add_change(&s->removal, g) : NULL;
        g->touched = false;
        if (c && g->events.left == 0) {
            spend(s, g, c);
            segment_free(g);
            continue;
        }
        s->segments[kept++] = g;
        if (!c)
            continue;
        put_row(c, g);
    }
    s->n_segments = kept;
}

void segments_release(struct sender *s)
{
    for (size_t i = 0; i < s->n_segments; i++)
        segment_free(s->segments[i]);
    for (size_t i = 0; i < s->n_spent; i++)
        free(s->spent[i].path);
    free(s->segments);
    free(s->spent);
    buf_release(&s->text);
}

/* --- files that are not needed ------------------------------------------------------------------------------------ */

struct cleaning {
    uint32_t target;
    const struct segment_spent *v;
    size_t n;
    bool gone; /* false: written again, to have something to sync */
};

static bool clean_txn(struct kv_txn *t, void *ctx)
{
    const struct cleaning *c = ctx;
    for (size_t i = 0; i < c->n; i++) {
        struct row_key k = segment_file_key(c->target, c->v[i].id);
        if (c->gone)
            kv_txn_del(t, KV_META, row_key_str(&k));
        else
            kv_txn_put(t, KV_META, row_key_str(&k), str_c(c->v[i].path));
    }
    return true;
}

/* Removes files that no row names any more: makes that certain first. What cannot be removed keeps its row. */
static bool clean(struct kv *kv, const char *label, uint32_t target, struct segment_spent *v, size_t n)
{
    struct cleaning c = {.target = target, .v = v, .n = n};
#ifndef BELFRY_MUTATE_NO_SYNC_SEGMENT_REMOVAL
    if (kv_commit_wait(kv, clean_txn, &c, KV_PLAIN) != KV_COMMITTED)
        return false;
#endif
    crash_point(CRASH_SEGMENT_BEFORE_UNLINK);
    size_t gone = 0;
    for (size_t i = 0; i < n; i++) {
        struct err e = {0};
        /* files of one folder follow each other: it is synced with the last of them */
        size_t folder = (size_t)(strrchr(v[i].path, '/') - v[i].path);
        bool last = i + 1 == n || strncmp(v[i].path, v[i + 1].path, folder + 1) != 0;
        if (segment_file_remove(v[i].path, last, &e)) {
            struct segment_spent keep = v[gone];
            v[gone++] = v[i];
            v[i] = keep;
        } else {
            log_warn(label, "a file of delivered events stays until the next start: %s", e.text);
            gone = last ? 0 : gone; /* none of them is certain; the rows stay */
        }
    }
    crash_point(CRASH_SEGMENT_UNLINKED);
    c = (struct cleaning){.target = target, .v = v, .n = gone, .gone = true};
    return gone == 0 || kv_commit_wait(kv, clean_txn, &c, KV_PLAIN | KV_NOSYNC) == KV_COMMITTED;
}

bool segments_clean(struct sender *s, bool all)
{
    if (s->n_spent < (all ? 1 : CLEAN_AT))
        return true;
    sender_on_disk(s, true);
    bool ok = sender_settled(s);
    for (size_t i = 0; ok && i < s->n_spent; i += CLEAN_MOST)
        ok = clean(s->kv, s->label, s->number, s->spent + i,
                   s->n_spent - i < CLEAN_MOST ? s->n_spent - i : CLEAN_MOST);
    sender_on_disk(s, false);
    if (!ok)
        return false;
    for (size_t i = 0; i < s->n_spent; i++)
        free(s->spent[i].path);
    s->n_spent = 0;
    return true;
}

bool segments_clean_start(struct sender *s, struct err *e)
{
    struct row_key first = segment_file_key(s->number, 0), end = segment_file_key(s->number + 1, 0);
    struct kv_scan *scan = kv_scan_open(s->kv, KV_META, row_key_str(&first), row_key_str(&end));
    struct str key, value;
    bool ok = true;
    while (ok && kv_scan_next(scan, &key, &value)) {
        uint32_t target;
        struct segment_spent one = {0};
        struct str rest = str_from(key, 5);
        if (!segment_file_key_parse(key, &target) || !take_be64(&rest, &one.id) || value.n == 0 ||
            value.p[0] != '/')
            continue;
        one.path = str_dupz(value);
        ok = clean(s->kv, s->label, target, &one, 1) || err_set(e, "the store takes no changes");
        free(one.path);
    }
    ok = ok && !kv_scan_failed(scan, e);
    kv_scan_close(scan);
    return ok;
}
