/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of a target's queue. */
#include "queue_help.h"

#include "event/outbox_row.h"
#include "event/segment.h"

const struct store_events queue_events = {segments_check, segments_weigh};

static void put(struct kv_txn *t, enum kv_space space, struct str key, const struct buf *value)
{
    kv_txn_put(t, space, key, buf_view(value));
}

void queue_put_target(struct kv_txn *t, uint32_t number, uint32_t last)
{
    struct buf key, v;
    buf_init(&key, 64);
    buf_init(&v, 16);
    target_number_key(&key, STR("webhook"), STR("1"));
    buf_be32(&v, number);
    put(t, KV_META, buf_view(&key), &v);
    buf_reset(&v);
    buf_be32(&v, last);
    put(t, KV_META, TARGET_LAST_NUMBER_KEY, &v);
    buf_release(&key);
    buf_release(&v);
}

size_t queue_put_event(struct kv_txn *t, uint32_t number, uint64_t seq, bool dead)
{
    struct outbox_row row = {.name = STR("s3:ObjectCreated:Put"),
                             .bucket = STR("b"),
                             .key = STR("k"),
                             .record = STR("{}"),
                             .dead_ns = dead};
    struct row_key key = dead ? dead_letter_key(number, seq) : outbox_key(number, seq);
    struct buf v;
    buf_init(&v, 4096);
    outbox_row_encode(&row, &v);
    size_t n = v.len;
    put(t, KV_QUEUE, row_key_str(&key), &v);
    buf_release(&v);
    return n;
}

void queue_put_counter(struct kv_txn *t, uint32_t number, bool dead, uint64_t rows, uint64_t bytes)
{
    struct row_key key = dead ? dead_letter_counter_key(number) : outbox_counter_key(number);
    struct buf v;
    buf_init(&v, 16);
    buf_be64(&v, rows);
    buf_be64(&v, bytes);
    put(t, KV_META, row_key_str(&key), &v);
    buf_release(&v);
}

void queue_put_cursor(struct kv_txn *t, uint32_t number, uint64_t seq)
{
    struct row_key key = cursor_key(number);
    struct buf v;
    buf_init(&v, 8);
    buf_be64(&v, seq);
    put(t, KV_META, row_key_str(&key), &v);
    buf_release(&v);
}

void queue_remove(struct kv_txn *t, uint32_t number, uint64_t from, uint64_t to)
{
    struct row_key first = outbox_key(number, from), end = outbox_key(number, to);
    kv_txn_del_range(t, KV_QUEUE, row_key_str(&first), row_key_str(&end));
}

void queue_put_segment(struct kv_txn *t, uint32_t number, uint64_t first, uint64_t last, uint32_t left)
{
    uint32_t count = (uint32_t)(last - first + 1);
    char done[(SEGMENT_ROWS + 7) / 8] = {0};
    struct segment_row row = {{first, last, first}, count, left, 100, STR("/q/f.jsonl"), {0}};
    struct row_key key = outbox_key(number, first);
    struct buf v;
    row.done = str_n(done, (count + 7) / 8);
    for (uint32_t n = 0; n < count - left; n++)
        done[n / 8] = (char)(done[n / 8] | 1 << n % 8);
    if (left == count)
        queue_remove(t, number, first, last + 1);
    buf_init(&v, 4096);
    segment_row_encode(&row, &v);
    put(t, KV_QUEUE, row_key_str(&key), &v);
    buf_release(&v);
}

int64_t queue_counted(struct kv *kv, uint32_t number)
{
    struct row_key key = outbox_counter_key(number);
    int64_t n[KV_COUNTERS];
    return kv_counters(kv, row_key_str(&key), n, NULL) ? n[0] : -1;
}

bool queue_has_cursor(struct kv *kv, uint32_t number)
{
    struct row_key key = cursor_key(number);
    struct kv_value v = {0};
    bool found = kv_get(kv, KV_META, row_key_str(&key), 0, &v, NULL) == KV_FOUND;
    kv_value_release(&v);
    return found;
}

uint32_t queue_last_number(struct kv *kv)
{
    struct kv_value v = {0};
    uint32_t n = 0;
    if (kv_get(kv, KV_META, TARGET_LAST_NUMBER_KEY, 0, &v, NULL) == KV_FOUND) {
        struct str at = v.data;
        (void)take_be32(&at, &n);
    }
    kv_value_release(&v);
    return n;
}
