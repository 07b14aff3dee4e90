/* SPDX-License-Identifier: Apache-2.0
 *
 * belfry check: are the queues what their counters say, and segments what their rows say? */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "event/segment.h"
#include "kv/kv.h"

struct checking {
    struct kv *kv;
    void (*finding)(void *ctx, const char *text);
    void *ctx;
    uint32_t *targets; /* whose counters were looked at */
    size_t n_targets;
};

__attribute__((format(printf, 2, 3))) static void found(const struct checking *c, const char *fmt, ...)
{
    char text[5000];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    c->finding(c->ctx, text);
}

/* --- one segment -------------------------------------------------------------------------------------------------- */

/* Which of its events are whole lines of the file; there[n]. The header's own state is the result. */
static bool see_lines(const struct segment_row *row, struct str text, bool *there)
{
    struct str rest = text, line;
    struct arena a;
    bool header = str_cut(&rest, '\n', &line) && segment_header_ok(line, &row->is, row->count);
    rest = text;
    while (rest.p && str_cut(&rest, '\n', &line)) {
        struct segment_line l;
        arena_init(&a);
        if (segment_line_parse(line, &row->is, &a, &l) && l.n < row->count)
            there[l.n] = true;
        arena_release(&a);
    }
    return header;
}

static void check_segment(const struct checking *c, const struct segment_row *row)
{
    struct buf text;
    struct err e = {0};
    char *path = str_dupz(row->path);
    bool *there = x_calloc(row->count, sizeof(*there));
    uint32_t missing = 0, from = 0, to = 0, left = 0;
    buf_init(&text, SEGMENT_TEXT_MAX + (1u << 20));
    enum segment_result r = segment_file_read(path, &text, &e);
    bool header = r == SEGMENT_OK && see_lines(row, buf_view(&text), there);
    for (uint32_t i = 0; i < row->count; i++) {
        left += !segment_is_done(row->done, i);
        if (segment_is_done(row->done, i) || there[i])
            continue;
        from = missing++ == 0 ? i : from;
        to = i;
    }
    if (r == SEGMENT_UNREADABLE)
        found(c, "segment %s: %s", path, e.text);
    else if (missing > 0)
        found(c, "segment %s: %u of its %u queued events are lost (%u to %u of %u): the file %s", path,
              missing, left, from + 1, to + 1, row->count,
              r == SEGMENT_GONE ? "is not there" : "is damaged or cut");
    else if (r == SEGMENT_OK && !header)
        found(c, "segment %s: its first line is damaged; all its events can be read", path);
    if (left != row->left)
        found(c, "segment %s: its row says that %u events are left; there are %u", path, row->left, left);
    buf_release(&text);
    free(there);
    free(path);
}

/* --- queues ------------------------------------------------------------------------------------------------------- */

struct queue {
    uint32_t target;
    int64_t rows[KV_COUNTERS], segments[KV_COUNTERS];
};

static void check_counters(struct checking *c, const struct queue *q)
{
    c->targets = x_realloc(c->targets, (c->n_targets + 1) * sizeof(*c->targets));
    c->targets[c->n_targets++] = q->target;
    struct row_key count = outbox_counter_key(q->target), in_files = segment_counter_key(q->target);
    int64_t rows[KV_COUNTERS], segments[KV_COUNTERS];
    struct err e = {0};
    if (!kv_counters(c->kv, row_key_str(&count), rows, &e) ||
        !kv_counters(c->kv, row_key_str(&in_files), segments, &e))
        found(c, "the queue of target %u: %s", q->target, e.text);
    else if (rows[0] != q->rows[0] || rows[1] != q->rows[1])
        found(c,
              "the queue of target %u: its counters say %" PRId64 " events, %" PRId64
              " bytes; there are %" PRId64 ", %" PRId64,
              q->target, rows[0], rows[1], q->rows[0], q->rows[1]);
    else if (segments[0] != q->segments[0] || segments[1] != q->segments[1])
        found(c,
              "the queue of target %u: its counters say %" PRId64 " events in %" PRId64
              " segments; there are %" PRId64 " in %" PRId64,
              q->target, segments[0], segments[1], q->segments[0], q->segments[1]);
}

static void see_row(const struct checking *c, struct queue *q, uint64_t seq, struct str value)
{
    struct segment_row row;
    struct outbox_row event;
    if (segment_row_decode(value, seq, &row)) {
        q->rows[0] += row.left;
        q->rows[1] += (int64_t)row.bytes;
        q->segments[0] += row.left;
        q->segments[1]++;
        check_segment(c, &row);
        return;
    }
    q->rows[0]++;
    q->rows[1] += (int64_t)value.n;
    if (!outbox_row_decode(value, &event))
        found(c, "the queue of target %u: the row of number %" PRIu64 " is damaged", q->target, seq);
}

uint64_t segments_weigh(uint64_t seq, struct str value, int64_t events[2], int64_t in_files[2])
{
    struct segment_row row;
    bool segment = segment_row_decode(value, seq, &row);
    events[0] = segment ? row.left : 1;
    events[1] = segment ? (int64_t)row.bytes : (int64_t)value.n;
    in_files[0] = segment ? row.left : 0;
    in_files[1] = segment;
    return segment ? row.is.last : seq;
}

/* Counters of queues without any row: they have to say so. Their keys are "n" or "ns" with the target's number, of four bytes: a
 * bucket's has eight. */
static void check_empty(struct checking *c)
{
    struct kv_scan *scan = kv_scan_open(c->kv, KV_META, STR("n"), STR("o"));
    struct str key, value;
    struct err e = {0};
    while (kv_scan_next(scan, &key, &value)) {
        bool in_files = key.n == 6 && key.p[1] == 's', seen = false;
        struct queue q = {0};
        struct str rest = str_from(key, in_files ? 2 : 1);
        if ((!in_files && key.n != 5) || !take_be32(&rest, &q.target))
            continue;
        for (size_t i = 0; i < c->n_targets && !seen; i++)
            seen = c->targets[i] == q.target;
        if (!seen)
            check_counters(c, &q);
    }
    if (kv_scan_failed(scan, &e))
        found(c, "the counters of the queues cannot be read to their end: %s", e.text);
    kv_scan_close(scan);
}

void segments_check(struct kv *kv, void (*finding)(void *ctx, const char *text), void *ctx)
{
    struct checking c = {.kv = kv, .finding = finding, .ctx = ctx};
    struct queue q = {0};
    struct err e = {0};
    struct kv_scan *scan = kv_scan_open(kv, KV_QUEUE, STR("q"), STR("r"));
    struct str key, value;
    while (kv_scan_next(scan, &key, &value)) {
        uint64_t seq;
        uint32_t target;
        struct str rest = str_from(key, 1);
        if (!outbox_key_seq(key, &seq) || !take_be32(&rest, &target)) {
            found(&c, "a row of a queue has a key that means nothing");
            continue;
        }
        if (target != q.target && q.target != 0)
            check_counters(&c, &q);
        if (target != q.target)
            q = (struct queue){.target = target};
        see_row(&c, &q, seq, value);
    }
    if (q.target != 0)
        check_counters(&c, &q);
    bool whole = !kv_scan_failed(scan, &e);
    if (!whole)
        found(&c, "the queues cannot be read to their end: %s", e.text);
    kv_scan_close(scan);
    if (whole)
        check_empty(&c);
    free(c.targets);
}
