/* SPDX-License-Identifier: Apache-2.0
 *
 * belfry check --salvage: the changes that stand behind a damaged place of the log, as far as they can be read. They are left
 * out: what a batch did without the ones before it may be less than half of a change. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "kv/wal_record.h"
#include "store/check.h"

struct place {
    uint32_t number; /* of the target */
    uint64_t seq;
};
struct lost_event {
    struct place at;
    bool over; /* delivered; or one of a segment, which is counted as a whole */
};
struct removal {
    struct place from, to; /* up to, not with */
};
/* Events that moved into a file, or of which some were delivered out of it. */
struct lost_segment {
    struct place from, to;
    int64_t left;  /* as it was written last */
    int64_t count; /* when it was made; 0: that was not behind the damage, or cannot be read */
};
/* Events of a queue that are missing: so many at least, and at most. */
struct missing {
    int64_t least, most, in_files;
};
struct lost {
    struct check *c;
    uint64_t batches, rows;
    struct lost_event *events;
    size_t n, cap;
    struct removal *removals;                        /* of events that were delivered */
    size_t n_removals, cap_removals, batch_removals; /* before the batch at hand */
    struct lost_segment *segments;                   /* in order */
    size_t n_segments;
};

static bool queue_key(struct str key, struct place *out)
{
    struct str rest = str_from(key, 1);
    return key.n && key.p[0] == 'q' && take_be32(&rest, &out->number) && take_be64(&rest, &out->seq) &&
           !rest.n;
}

static int by_place(const void *a, const void *b)
{
    const struct place *x = a, *y = b; /* the first member of what has one */
    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

/* Where the first segment is that does not begin before that place. */
static size_t segment_at(const struct lost *l, const struct place *at)
{
    size_t low = 0, high = l->n_segments;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (by_place(&l->segments[mid], at) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* A segment that is made takes the place of the rows of its events, which go in the same batch. */
static void add_segment(struct lost *l, const struct lost_segment *s)
{
    size_t i = segment_at(l, &s->from);
    if (i == l->n_segments || by_place(&l->segments[i], &s->from) != 0) {
        l->segments = x_realloc(l->segments, (l->n_segments + 1) * sizeof *l->segments);
        memmove(l->segments + i + 1, l->segments + i, (l->n_segments - i) * sizeof *l->segments);
        l->segments[i] = *s;
        l->n_segments++;
    }
    l->segments[i].left = s->left;
    for (size_t k = l->batch_removals; k < l->n_removals; k++)
        if (by_place(&l->removals[k].from, &s->from) == 0)
            l->segments[i].count = s->left;
}

static void add_event(struct lost *l, struct str key, struct str value)
{
    struct place at;
    int64_t events[2], in_files[2];
    if (!queue_key(key, &at))
        return;
    uint64_t last = l->c->events->weigh(at.seq, value, events, in_files);
    l->c->max_seq = last > l->c->max_seq ? last : l->c->max_seq;
    if (in_files[1]) {
        add_segment(l, &(struct lost_segment){at, {at.number, last + 1}, in_files[0], 0});
        return;
    }
    if (l->n == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 256;
        l->events = x_realloc(l->events, l->cap * sizeof *l->events);
    }
    l->events[l->n++] = (struct lost_event){at, false};
}

static void add_removal(struct lost *l, const struct wal_row *row)
{
    struct removal r;
    if (!queue_key(row->key, &r.from))
        return;
    r.to = (struct place){r.from.number, r.from.seq + 1};
    if (row->kind == KV_OP_DEL_RANGE && !queue_key(row->value, &r.to))
        return;
    if (l->n_removals == l->cap_removals) {
        l->cap_removals = l->cap_removals ? 2 * l->cap_removals : 256;
        l->removals = x_realloc(l->removals, l->cap_removals * sizeof *l->removals);
    }
    l->removals[l->n_removals++] = r;
    /* A segment whose row goes has nothing left. */
    for (size_t i = segment_at(l, &r.from); i < l->n_segments && by_place(&l->segments[i], &r.to) < 0; i++)
        l->segments[i].left = 0;
}

static void mark_range(struct lost *l, const struct place *from, const struct place *to)
{
    size_t low = 0, high = l->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (by_place(&l->events[mid].at, from) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    for (; low < l->n && by_place(&l->events[low].at, to) < 0; low++)
        l->events[low].over = true;
}

/* Numbers are never used twice, so the order of queueing and delivering does not matter. */
static void mark_over(struct lost *l)
{
    if (l->n)
        qsort(l->events, l->n, sizeof *l->events, by_place);
    for (size_t i = 0; i < l->n_removals; i++)
        mark_range(l, &l->removals[i].from, &l->removals[i].to);
    for (size_t i = 0; i < l->n_segments; i++)
        mark_range(l, &l->segments[i].from, &l->segments[i].to);
}

static void tell_object(struct lost *l, const struct wal_row *row, const char *words)
{
    struct object o;
    struct arena a;
    arena_init(&a);
    if (row->kind == KV_OP_PUT && object_decode(row->value, &a, &o)) {
        check_print("lost: object %s (%" PRIu64 " bytes), as it was written behind the damage", words,
                    o.size);
        l->c->max_seq = o.seq > l->c->max_seq ? o.seq : l->c->max_seq;
    } else if (row->kind == KV_OP_PUT) {
        check_print("lost: object %s, as it was written behind the damage", words);
    } else {
        check_print("lost: the removal of object %s: it is there again if it was before", words);
    }
    arena_release(&a);
}

static void see_bucket_row(struct lost *l, const struct wal_row *row)
{
    struct bucket_row b;
    if (row->kind != KV_OP_PUT || !bucket_row_decode(row->value, &b))
        return;
    for (size_t i = 0; i < l->c->n_buckets; i++)
        if (l->c->buckets[i].id == b.id)
            return;
    check_add_bucket(l->c, b.id, str_dupz(str_from(row->key, 1)));
    l->c->buckets[l->c->n_buckets - 1].lost = true;
}

static void tell_meta(struct lost *l, const struct wal_row *row)
{
    struct buf words;
    struct str number = row->value;
    uint64_t v;
    bool put = row->kind == KV_OP_PUT;
    char kind = row->key.n ? row->key.p[0] : 0;

    buf_init(&words, 8192);
    check_key_words(l->c, KV_META, row->key, &words);
    buf_char(&words, 0);
    if (kind == 'o')
        tell_object(l, row, words.p);
    else if (kind == 'b')
        check_print("lost: bucket %s: its %s", words.p, put ? "making, or a change of it" : "removal");
    else if (kind == 'u' && put)
        check_print("lost: an upload to %s, or a part of it", words.p);
    else if (kind == 'k')
        check_print("lost: a change of the settings (%.*s)", STR_FMT(str_head(row->key, 100)));
    else if (kind == 'r')
        check_print("lost: a change of a bucket's rules");
    if (put && take_be64(&number, &v)) {
        if (str_eq(row->key, ROW_KEY_IDS))
            l->c->max_id = v > l->c->max_id ? v : l->c->max_id;
        else if (str_eq(row->key, STR("mseq")))
            l->c->max_seq = v > l->c->max_seq ? v : l->c->max_seq;
    }
    buf_release(&words);
}

static void see_row(void *ctx, const struct wal_row *row)
{
    struct lost *l = ctx;
    l->rows++;
    if (row->space == KV_QUEUE && row->kind == KV_OP_PUT)
        add_event(l, row->key, row->value);
    else if (row->space == KV_QUEUE)
        add_removal(l, row);
    else if (row->space == KV_META)
        tell_meta(l, row);
}

/* Buckets first: the names of what is in them need theirs. */
static void see_buckets(void *ctx, const struct wal_row *row)
{
    if (row->space == KV_META && row->key.n && row->key.p[0] == 'b')
        see_bucket_row(ctx, row);
}

static void first_pass(void *ctx, struct str batch)
{
    (void)wal_batch_rows(batch, see_buckets, ctx);
}

static void second_pass(void *ctx, struct str batch)
{
    struct lost *l = ctx;
    l->batches++;
    l->batch_removals = l->n_removals;
    (void)wal_batch_rows(batch, see_row, l);
}

/* How many of a segment's events the rows have, as of the damage: those come again, whatever became of them behind it. */
static int64_t still_there(const struct lost *l, const struct lost_segment *s)
{
    struct buf keys[2];
    struct str key, value;
    int64_t n = 0;
    for (size_t i = 0; i < 2; i++) {
        const struct place *p = i ? &s->to : &s->from;
        buf_init(&keys[i], 16);
        buf_char(&keys[i], 'q');
        buf_be32(&keys[i], p->number);
        buf_be64(&keys[i], p->seq);
    }
    struct kv_scan *scan = kv_scan_open(l->c->kv, KV_QUEUE, buf_view(&keys[0]), buf_view(&keys[1]));
    while (kv_scan_next(scan, &key, &value)) {
        struct place at;
        int64_t events[2] = {0}, in_files[2];
        if (queue_key(key, &at))
            (void)l->c->events->weigh(at.seq, value, events, in_files);
        n += events[0];
    }
    kv_scan_close(scan);
    buf_release(&keys[0]);
    buf_release(&keys[1]);
    return n;
}

/* Which of its events are left only the file tells: when some were in the rows before, and some were delivered, there is more
 * than one possibility. */
static void add_missing(const struct lost *l, const struct lost_segment *s, struct missing *m)
{
    int64_t there = still_there(l, s);
    int64_t least = s->left > there ? s->left - there : 0, most = s->left;
    if (s->count > 0 && s->count - there < most)
        most = s->count > there ? s->count - there : 0;
    if (s->count == 0 && there > 0)
        most = least; /* its row was there before, or it was made in the damaged place itself */
    m->least += least;
    m->most += most;
    m->in_files += most;
}

static void tell_events(struct lost *l)
{
    for (size_t i = 0; i < l->c->n_queues; i++) {
        const struct check_queue *q = &l->c->queues[i];
        struct missing m = {0};
        for (size_t k = 0; k < l->n; k++)
            m.least += l->events[k].at.number == q->number && !l->events[k].over;
        m.most = m.least;
        for (size_t k = 0; k < l->n_segments; k++)
            if (l->segments[k].from.number == q->number)
                add_missing(l, &l->segments[k], &m);
        if (!m.most)
            continue;
        char files[100] = "";
        if (m.in_files)
            (void)snprintf(files, sizeof files,
                           ", %" PRId64 " of them in files of its queue_dir that no row names any more",
                           m.in_files);
        check_print("lost: %s%" PRId64 " queued events of %s that were not delivered%s",
                    m.least < m.most ? "up to " : "", m.most, q->name ? q->name : "a target without a name",
                    files);
    }
}

void check_tell_lost(struct check *c, const char *dir, const struct wal_damage *from)
{
    struct lost l = {.c = c};
    wal_read_from(dir, from, &(struct wal_reader){first_pass, &l});
    wal_read_from(dir, from, &(struct wal_reader){second_pass, &l});
    mark_over(&l);
    for (size_t i = 0; i < l.n; i++)
        (void)check_queue_of(c, l.events[i].at.number);
    for (size_t i = 0; i < l.n_segments; i++)
        (void)check_queue_of(c, l.segments[i].from.number);
    tell_events(&l);
    check_print("behind the damage: %" PRIu64 " batches with %" PRIu64
                " changes of rows can still be read; what the damaged place itself held cannot be told",
                l.batches, l.rows);
    free(l.events);
    free(l.removals);
    free(l.segments);
}
