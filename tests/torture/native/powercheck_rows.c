/* SPDX-License-Identifier: Apache-2.0
 *
 * The outbox of a state against the journal. webhook:1 answers, so its events may have been delivered and removed;
 * webhook:2 is never there, so every one of its events must be in the outbox. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "event/outbox_row.h"
#include "event/segment.h"
#include "powercheck.h"

static int by_names(const void *a, const void *b)
{
    const struct subject *x = a, *y = b;
    int c = strcmp(x->bucket, y->bucket);
    return c ? c : strcmp(x->key, y->key);
}

static struct subject *find_key(struct journal *j, struct str bucket, struct str key)
{
    char *b = str_dupz(bucket), *k = str_dupz(key);
    struct subject *found =
        bsearch(&(struct subject){.bucket = b, .key = k}, j->keys, j->n_keys, sizeof *j->keys, by_names);
    free(b);
    free(k);
    return found;
}

static uint32_t target_number(struct state *s, const char *id)
{
    struct kv_value v;
    struct buf key;
    struct err e;
    uint32_t n = 0;
    buf_init(&key, 100);
    target_number_key(&key, STR("webhook"), str_c(id));
    if (kv_get(store_kv(s->store), KV_META, buf_view(&key), 0, &v, &e) == KV_FOUND) {
        struct str at = v.data;
        if (!take_be32(&at, &n))
            problem(s, "the number of target %s is damaged", id);
        kv_value_release(&v);
    }
    buf_release(&key);
    return n;
}

/* "op-17" in the record's userAgent; 0: a request that is not in the journal (reads). */
static uint64_t request_number(struct str record)
{
    ptrdiff_t at = str_find(record, STR("\"op-"));
    return at < 0 ? 0 : strtoull(record.p + at + 4, NULL, 10);
}

struct last_of_key { /* the event of a key that was seen last, by its place in the key's history */
    const struct subject *key;
    long place;
};

static void see_event(struct state *s, int target, uint64_t seq, const struct outbox_row *row, long *places)
{
    struct kv_stats stats;
    kv_get_stats(store_kv(s->store), &stats);
    if (seq > stats.last_sequence)
        problem(s, "the outbox has sequencer %" PRIx64 ", the high-water mark is %" PRIx64, seq,
                stats.last_sequence);
    if (str_starts(row->name, STR("s3:ObjectAccessed")))
        return;
    uint64_t n = request_number(row->record);
    struct subject *k = find_key(s->journal, row->bucket, row->key);
    size_t i = 0;
    while (k && i < k->ops.n && k->ops.v[i].number != n)
        i++;
    if (!k || i == k->ops.n) {
        problem(s, "the outbox has an event of something that was never asked for: %.*s %.*s op %" PRIu64,
                STR_FMT(row->name), STR_FMT(row->key), n);
        return;
    }
    long *place = &places[k - s->journal->keys];
    if (*place > (long)i)
        problem(s, "the events of %s are not in order: op %" PRIu64 " is behind op %" PRIu64, k->key, n,
                k->ops.v[*place].number);
    if (*place == (long)i + 1)
        problem(s, "op %" PRIu64 " of %s has two rows in one outbox", n, k->key);
    *place = (long)i + 1;
    k->ops.v[i].queued[target] = true;
}

/* The events of a segment that are not delivered yet; how many. Its path is where the recorded server had it. */
static uint32_t see_segment(struct state *s, int target, const struct segment_row *g, long *places)
{
    char path[4400];
    struct buf text;
    struct arena arena;
    struct err e;
    uint32_t seen = 0;
    const char *name = memrchr(g->path.p, '/', g->path.n);
    const char *folder = name ? memrchr(g->path.p, '/', (size_t)(name - g->path.p)) : NULL;
    if (!folder) {
        problem(s, "a segment has no path");
        return 0;
    }
    (void)snprintf(path, sizeof path, "%s/../queue%.*s", s->dir, (int)(g->path.p + g->path.n - folder),
                   folder);
    buf_init(&text, SEGMENT_TEXT_MAX);
    arena_init(&arena);
    if (segment_file_read(path, &text, &e) != SEGMENT_OK)
        problem(s, "a segment's file is not there: %s", path);
    struct str rest = buf_view(&text), line;
    while (rest.n > 0 && (str_cut(&rest, '\n', &line), line.n > 0)) {
        struct segment_line l;
        if (!segment_line_parse(line, &g->is, &arena, &l) || l.n >= g->count ||
            (g->done.p[l.n / 8] >> (l.n % 8) & 1))
            continue;
        see_event(s, target, l.seq, &l.row, places);
        seen++;
    }
    if (seen != g->left)
        problem(s, "a segment has %u events left, its file %u of them: %s", g->left, seen, path);
    arena_release(&arena);
    buf_release(&text);
    return g->left;
}

/* How many events it is. */
static uint32_t see_row(struct state *s, int target, struct str key, struct str value, long *places)
{
    struct outbox_row row;
    struct segment_row segment;
    uint64_t seq = 0;
    bool ok = outbox_key_seq(key, &seq);
    if (ok && segment_row_is(value) && segment_row_decode(value, seq, &segment))
        return see_segment(s, target, &segment, places);
    if (!ok || !outbox_row_decode(value, &row))
        problem(s, "a row of the outbox is malformed");
    else
        see_event(s, target, seq, &row, places);
    return 1;
}

static void see_rows(struct state *s, int target, uint32_t number, bool dead)
{
    struct row_key first = dead ? dead_letter_key(number, 0) : outbox_key(number, 0);
    struct row_key end = dead ? dead_letter_key(number + 1, 0) : outbox_key(number + 1, 0);
    long *places = x_calloc(s->journal->n_keys + 1, sizeof *places);
    struct str key, value;
    struct err e;
    int64_t rows = 0, counters[KV_COUNTERS];
    struct kv_scan *scan = kv_scan_open(store_kv(s->store), KV_QUEUE, row_key_str(&first), row_key_str(&end));
    while (kv_scan_next(scan, &key, &value))
        rows += see_row(s, target, key, value, places);
    if (kv_scan_failed(scan, &e))
        problem(s, "the outbox cannot be read: %s", e.text);
    kv_scan_close(scan);
    free(places);
    struct row_key n = dead ? dead_letter_counter_key(number) : outbox_counter_key(number);
    if (!kv_counters(store_kv(s->store), row_key_str(&n), counters, &e) || counters[0] != rows)
        problem(s, "target %u's counter says %" PRId64 " rows, there are %" PRId64, number, counters[0],
                rows);
}

static void note_delivery(struct op *op, uint64_t arrived)
{
    if (!op->delivered || arrived < op->arrived)
        op->arrived = arrived;
    op->delivered = true;
}

/* A clean stop keeps what it knows: what was confirmed before it does not come again. (A dead letter is no repeat.) */
static void check_stopped(struct state *s)
{
    uint64_t stopped = 0;
    for (size_t i = 0; i < s->journal->stops.n; i++)
        if (s->journal->stops.v[i].acked <= s->owed)
            stopped = s->journal->stops.v[i].acked;
    for (size_t k = 0; k < s->journal->n_keys; k++) {
        const struct subject *key = &s->journal->keys[k];
        for (size_t i = 0; i < key->ops.n && !strstr(key->key, "refused"); i++)
            if (key->ops.v[i].delivered && key->ops.v[i].queued[0] && key->ops.v[i].arrived < stopped)
                problem(s, "op %" PRIu64 " of %s was delivered before a clean stop, and would be again",
                        key->ops.v[i].number, key->key);
    }
}

void check_taken(struct state *s)
{
    for (size_t i = 0; i < s->journal->taken.n; i++) {
        const struct op *t = &s->journal->taken.v[i];
        char path[4200];
        struct buf key;
        struct kv_value v = {0};
        struct err e;
        (void)snprintf(path, sizeof path, "%s/../queue/minio-webhook-1/%s", s->dir, t->word);
        buf_init(&key, 400);
        taken_file_key(&key, target_number(s, "1"), str_c(t->word));
        if (t->acked <= s->owed && access(path, F_OK) == 0 &&
            kv_get(store_kv(s->store), KV_META, buf_view(&key), 0, &v, &e) != KV_FOUND)
            problem(s, "%s was taken in and delivered, and would be again", t->word);
        kv_value_release(&v);
        buf_release(&key);
    }
}

void check_outbox(struct state *s)
{
    struct journal *j = s->journal;
    static const char *const ids[] = {"1", "2"};
    for (int t = 0; t < 2; t++) {
        uint32_t number = target_number(s, ids[t]);
        if (number == 0)
            continue;
        see_rows(s, t, number, false);
        see_rows(s, t, number, true);
    }
    for (size_t i = 0; i < j->n_deliveries; i++) {
        const struct delivery_seen *d = &j->deliveries[i];
        if (d->arrived > s->may)
            continue;
        for (size_t k = 0; k < j->n_keys; k++)
            for (size_t o = 0; strcmp(j->keys[k].key, d->key) == 0 && o < j->keys[k].ops.n; o++)
                if (j->keys[k].ops.v[o].number == d->number)
                    note_delivery(&j->keys[k].ops.v[o], d->arrived);
    }
    check_stopped(s);
}

static bool happened(const struct op *op)
{
    return op->queued[0] || op->queued[1] || op->delivered;
}

void check_events(struct state *s, const struct subject *k, const bool *fits, int owed, int most)
{
    int low = most + 1, high = 0; /* of the fitting states */
    for (int i = owed + 1; i <= most + 1; i++) {
        if (fits[i] && i < low)
            low = i;
        if (fits[i])
            high = i;
    }
    for (int i = 0; i < (int)k->ops.n; i++) {
        const struct op *op = &k->ops.v[i];
        bool must = i < low, may = i < high;
        if (must && !op->queued[1])
            problem(s, "%s op %" PRIu64 " is there and its event is lost (webhook:2)", k->key, op->number);
        if (must && !op->queued[0] && !op->delivered)
            problem(s, "%s op %" PRIu64 " is there and its event is lost (webhook:1)", k->key, op->number);
        if (op->queued[0] + op->queued[1] > 0 && happened(op) && !may)
            problem(s, "%s op %" PRIu64 " did not happen, but its event is there", k->key, op->number);
    }
}

void check_high_water(struct state *s)
{
    struct kv_stats stats;
    kv_get_stats(store_kv(s->store), &stats);
    for (size_t i = 0; i < s->journal->n_deliveries; i++) {
        const struct delivery_seen *d = &s->journal->deliveries[i];
        if (d->arrived <= s->owed && d->seq > stats.last_sequence)
            problem(s, "sequencer %" PRIx64 " was delivered, the high-water mark is %" PRIx64, d->seq,
                    stats.last_sequence);
    }
}

/* The stored settings hold texts as they were given. */
void check_settings(struct state *s)
{
    const struct ops *c = &s->journal->config;
    struct kv_value v = {0};
    struct err e;
    int most, owed = owed_index(s, c, &most);
    enum kv_result r = kv_get(store_kv(s->store), KV_META, STR("kc"), 0, &v, &e);
    bool ok = owed < 0;
    for (int i = owed < 0 ? 0 : owed; r == KV_FOUND && i <= most; i++)
        ok |= str_find(v.data, str_c(c->v[i].word)) >= 0;
    if (!ok)
        problem(s, "the settings are not those of %s", c->v[owed].word);
    kv_value_release(&v);
}
