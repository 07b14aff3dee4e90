/* SPDX-License-Identifier: Apache-2.0
 *
 * The history in the rows: its state at a start, and what a closure writes. */
#include <stdlib.h>

#include "base/log.h"
#include "event/listen_impl.h"

#define STATE_VERSION 1
#define STATE_MAX     8192
#define ROW_OVERHEAD  64 /* version, flags, attempts, lengths, count */

/* --- bytes of rows --------------------------------------------------------------------------------------------------- */

struct row_key listen_key(uint64_t seq)
{
    struct row_key k = {.p = "h", .n = 9};
    for (int i = 0; i < 8; i++)
        k.p[1 + i] = (char)(seq >> (56 - 8 * i));
    return k;
}

bool listen_key_seq(struct str key, uint64_t *seq)
{
    struct str rest = str_from(key, 1);
    return key.n == 9 && key.p[0] == 'h' && take_be64(&rest, seq);
}

bool listen_row_decode(struct str value, uint64_t *count, struct outbox_row *row)
{
    return take_be64(&value, count) && outbox_row_decode(value, row);
}

/* What a start has to know: version, whether rows are kept, marks, and since when which kinds are. Under the mutex. */
void listen_put_state(struct kv_txn *t, const struct listen *l)
{
    struct buf b;
    buf_init(&b, STATE_MAX);
    buf_char(&b, STATE_VERSION);
    buf_char(&b, l->keep > 0);
    buf_varint(&b, l->n_marks);
    for (size_t i = 0; i < l->n_marks; i++) {
        buf_be64(&b, l->mark[i].seq);
        buf_be64(&b, l->mark[i].count);
    }
    for (unsigned i = 0; i < EVENT_COUNT; i++) {
        if (l->since[i] == 0)
            continue;
        buf_lstr(&b, event_name_text(i));
        buf_be64(&b, l->since[i]);
    }
    BUG_ON(b.failed);
    kv_txn_put(t, KV_META, LISTEN_STATE_KEY, buf_view(&b));
    buf_release(&b);
}

bool listen_decode_state(struct str in, struct listen *l, bool *kept)
{
    struct str head, name;
    uint64_t n, seq, mask = 0;
    enum event_name kind;
    if (!take_bytes(&in, 2, &head) || head.p[0] != STATE_VERSION || !take_varint(&in, &n) || n < 1 ||
        n > MARKS)
        return false;
    *kept = head.p[1] != 0;
    for (l->n_marks = 0; l->n_marks < n; l->n_marks++)
        if (!take_be64(&in, &l->mark[l->n_marks].seq) || !take_be64(&in, &l->mark[l->n_marks].count))
            return false;
    while (in.n > 0) {
        if (!take_lstr(&in, &name) || !take_be64(&in, &seq))
            return false;
        if (!event_name_parse(name, &kind)) /* of a later version */
            continue;
        l->since[kind] = seq;
        mask |= UINT64_C(1) << kind;
    }
    atomic_store(&l->mask, mask);
    return true;
}

/* --- at start -------------------------------------------------------------------------------------------------------- */

/* The count of the last event; the last mark is at most a segment away. */
static bool count_rows(struct listen *l, struct err *e)
{
    struct row_key first = listen_key(l->mark[l->n_marks - 1].seq + 1);
    struct kv_scan *scan = kv_scan_open(l->kv, KV_QUEUE, row_key_str(&first), STR("i"));
    struct str key, value;
    l->total = l->mark[l->n_marks - 1].count;
    while (kv_scan_next(scan, &key, &value)) {
        uint64_t count;
        if (take_be64(&value, &count) && count > l->total)
            l->total = count;
    }
    bool ok = !kv_scan_failed(scan, e);
    kv_scan_close(scan);
    return ok;
}

/* From where on there are rows, and whether some are left of what was cut off when the last process ended. */
static bool find_leftover(struct listen *l, struct err *e)
{
    struct kv_scan *scan = kv_scan_open(l->kv, KV_QUEUE, STR("h"), STR("i"));
    struct str key, value;
    uint64_t first;
    l->deleted = l->mark[0].seq;
    if (kv_scan_next(scan, &key, &value) && listen_key_seq(key, &first) && first <= l->deleted) {
        l->leftover = true;
        l->deleted = first - 1;
    }
    bool ok = !kv_scan_failed(scan, e);
    kv_scan_close(scan);
    return ok;
}

/* There was no interest: nothing that may be there counts. */
static bool load_none(struct listen *l, struct err *e)
{
    struct kv_stats stats;
    kv_get_stats(l->kv, &stats);
    l->mark[0] = (struct listen_position){stats.last_sequence, 0};
    l->n_marks = 1;
    return find_leftover(l, e);
}

bool listen_load(struct listen *l, struct err *e)
{
    struct kv_value v = {0};
    struct kv_stats stats;
    bool kept = false;
    enum kv_result r = kv_get(l->kv, KV_META, LISTEN_STATE_KEY, 0, &v, e);
    if (r == KV_MISSING)
        return load_none(l, e);
    if (r != KV_FOUND)
        return false;
    l->recording = listen_decode_state(v.data, l, &kept);
    kv_value_release(&v);
    if (!l->recording) {
        log_error("event", "the row of the listeners' history is damaged: their history begins anew");
        memset(l->since, 0, sizeof(l->since));
        atomic_store(&l->mask, 0);
        return load_none(l, e);
    }
    if (!count_rows(l, e))
        return false;
    kv_get_stats(l->kv, &stats);
    l->published = (struct listen_position){stats.last_sequence, l->total};
    l->tail_floor = l->published;
    if (!kept || l->keep == 0) {
        l->mark[0] = l->published;
        l->n_marks = 1;
    }
    return find_leftover(l, e);
}

/* --- committing ------------------------------------------------------------------------------------------------------ */

size_t listen_bytes(const struct listen_put *p)
{
    return event_name_text(p->name).n + p->bucket.n + p->key.n + p->record.n + ROW_OVERHEAD + STATE_MAX;
}

static struct listen_event *event_new(const struct listen_put *p, struct listen_position at)
{
    struct listen_event *e = x_malloc(sizeof(*e));
    struct outbox_row row = {
        .name = event_name_text(p->name), .bucket = p->bucket, .key = p->key, .record = p->record};
    *e = (struct listen_event){.at = at, .name = p->name};
    atomic_init(&e->refs, 1);
    size_t size = row.name.n + row.bucket.n + row.key.n + row.record.n + ROW_OVERHEAD;
    buf_init(&e->value, size);
    (void)buf_reserve(&e->value, size);
    buf_be64(&e->value, at.count);
    outbox_row_encode(&row, &e->value);
    uint64_t count;
    BUG_ON(e->value.failed || !listen_row_decode(buf_view(&e->value), &count, &e->row));
    return e;
}

/* Events from one mark to the next. */
static uint64_t segment_of(const struct listen *l)
{
    uint64_t segment = l->keep / SEGMENTS;
    segment = segment < 1 ? 1 : segment > SEGMENT_MAX ? SEGMENT_MAX : segment;
    /* With a long history the marks lie further apart than that. */
    return l->keep / (MARKS - 32) > segment ? l->keep / (MARKS - 32) : segment;
}

/* Under the mutex. Where the history can be cut later; true when there is a new place. */
static bool add_mark(struct listen *l, struct listen_position at)
{
    uint64_t segment = segment_of(l);
    if (l->keep == 0) {
        l->mark[0] = at;
        l->n_marks = 1;
        return false;
    }
    if (l->n_marks == MARKS || at.count - l->mark[l->n_marks - 1].count < segment)
        return false;
    l->mark[l->n_marks++] = at;
    return true;
}

uint64_t listen_unmarked(const struct listen *l)
{
    uint64_t segment = segment_of(l), from = l->n_marks > 0 ? l->mark[0].count : 0;
    bool gap = l->n_marks == 1 || (l->n_marks > 1 && l->mark[1].count - from > segment);
    return l->keep > 0 && gap && l->published.count >= from + l->keep + segment ? l->published.count - l->keep
                                                                                : 0;
}

bool listen_trim_due(const struct listen *l)
{
    return l->recording &&
           ((l->n_marks > 1 && l->published.count >= l->mark[1].count + l->keep) || listen_unmarked(l) > 0);
}

/* On the committer's thread, once the batch is durable. */
static void publish(void *arg)
{
    struct listen *l = arg;
    struct listen_event *e = l->pending;
    l->pending = e->next;
    if (!l->pending)
        l->pending_last = &l->pending;
    mutex_lock(&l->mutex);
    if (e->at.seq > l->tail_floor.seq) {
        l->published = e->at;
        listen_tail_add(l, e);
    } else { /* interest ended, and began anew, in the same batch */
        listen_event_unref(e);
    }
    for (struct listen_station *s = l->stations; s; s = s->next) {
        if (s->readers == 0 || s->posted)
            continue;
        s->posted = true;
        loop_post(s->loop, &s->task);
    }
    if (listen_trim_due(l))
        cond_signal(&l->cond);
    mutex_unlock(&l->mutex);
}

void listen_txn_put(struct kv_txn *t, struct listen *l, const struct listen_put *p, uint64_t record_seq)
{
    if (!listen_wants(l, p->name))
        return;
    event_record_stamp((char *)(uintptr_t)p->record.p, p->seq_at, record_seq);
    struct listen_event *e = event_new(p, (struct listen_position){kv_txn_sequence(t), ++l->total});
    mutex_lock(&l->mutex);
    bool rows = l->keep > 0;
    if (add_mark(l, e->at))
        listen_put_state(t, l);
    mutex_unlock(&l->mutex);
    struct row_key k = listen_key(e->at.seq);
    if (rows)
        kv_txn_put(t, KV_QUEUE, row_key_str(&k), buf_view(&e->value));
    *l->pending_last = e;
    l->pending_last = &e->next;
    kv_txn_on_commit(t, publish, l);
}

/* --- interest -------------------------------------------------------------------------------------------------------- */

/* Under the mutex: the history has nothing before this. */
void listen_begin_at(struct listen *l, uint64_t seq)
{
    l->mark[0] = (struct listen_position){seq, ++l->total};
    l->n_marks = 1;
    l->published = l->mark[0];
    listen_tail_clear(l, l->mark[0]);
}

void listen_txn_interest(struct kv_txn *t, struct listen *l, uint64_t mask)
{
    uint64_t seq = kv_txn_sequence(t);
    mutex_lock(&l->mutex);
    if (!l->recording)
        listen_begin_at(l, seq);
    l->recording = true;
    for (int i = 0; i < EVENT_COUNT; i++)
        if ((mask >> i & 1) && l->since[i] == 0)
            l->since[i] = seq;
    listen_put_state(t, l);
    mutex_unlock(&l->mutex);
    atomic_fetch_or(&l->mask, mask);
    atomic_fetch_add(&l->generation, 1);
}
