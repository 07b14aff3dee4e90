/* SPDX-License-Identifier: Apache-2.0
 *
 * belfry check --salvage: the rows that can be read, written anew into a folder of their own. Left out: t rows (their files are
 * set aside), counters (they are counted again), rows that mean nothing. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "kv/rescue.h"
#include "store/check.h"

#define STEP_ROWS  1000
#define STEP_BYTES (KV_TXN_BYTES / 8)
#define ID_GAP     (256 * STORE_ID_BLOCK) /* beyond whatever was handed out in starts that are lost */
#define SEQ_GAP    UINT64_C(1000000000)

struct copied_row {
    enum kv_space space;
    struct str key, value;
};
struct copy {
    struct check *c;
    struct kv *to;
    struct arena arena; /* of the rows that wait */
    struct copied_row *rows;
    size_t n, bytes;
    uint64_t copied;
    bool failed, sync;
};

static bool put_rows(struct kv_txn *t, void *ctx)
{
    const struct copy *p = ctx;
    for (size_t i = 0; i < p->n; i++)
        kv_txn_put(t, p->rows[i].space, p->rows[i].key, p->rows[i].value);
    return true;
}

static void flush(struct copy *p)
{
    if (p->n && !p->failed)
        p->failed = kv_commit_wait(p->to, put_rows, p, KV_PLAIN | (p->sync ? 0 : KV_NOSYNC)) != KV_COMMITTED;
    p->copied += p->n;
    p->n = p->bytes = 0;
    arena_release(&p->arena);
}

static void put(struct copy *p, enum kv_space space, struct str key, struct str value)
{
    size_t size = key.n + value.n;
    if (p->n == STEP_ROWS || (p->n && p->bytes + size > STEP_BYTES))
        flush(p);
    p->rows[p->n++] = (struct copied_row){space, arena_dup(&p->arena, key), arena_dup(&p->arena, value)};
    p->bytes += size;
    if (space == KV_DATA)
        flush(p); /* one body a write: it may be as large as all else */
}

static void put_numbers(struct copy *p, struct str key, uint64_t a, const uint64_t *b)
{
    struct buf v;
    buf_init(&v, 16);
    buf_be64(&v, a);
    if (b)
        buf_be64(&v, *b);
    put(p, KV_META, key, buf_view(&v));
    buf_release(&v);
}

/* --- rows --- */

/* Its key names a bucket and an object, its value is an object's. */
static bool is_object(struct str key, struct str value)
{
    struct str rest = str_from(key, 1);
    uint64_t bucket;
    struct object o;
    struct arena a;
    arena_init(&a);
    bool ok = take_be64(&rest, &bucket) && rest.n && object_decode(value, &a, &o);
    arena_release(&a);
    return ok;
}

static bool is_upload(struct str key)
{
    struct str object, id;
    uint64_t bucket;
    uint32_t part;
    return row_upload(key, &bucket, &object, &id, &part);
}

/* What is written anew at the end, or not at all: it means nothing. */
static bool left_out(struct str key, struct str value)
{
    struct bucket_row b;
    switch (key.p[0]) {
    case 'o':
        return !is_object(key, value);
    case 'u':
        return !is_upload(key);
    case 't':
        return true;
    case 'c': /* where a queue begins: before what may be there again */
        return key.n == 5;
    case 'n':
        return key.n == 9 || key.n == 5 || (key.n == 6 && (key.p[1] == 'd' || key.p[1] == 's'));
    case 'b':
        return !bucket_row_decode(value, &b);
    default:
        return str_eq(key, ROW_KEY_IDS) || str_eq(key, STR("mseq"));
    }
}

static void copy_meta(struct check *c, struct str key, struct str value)
{
    if (key.n && !left_out(key, value))
        put(c->copy, KV_META, key, value);
    check_progress(c);
}

static void copy_queue(struct check *c, struct str key, struct str value)
{
    bool event = key.n && (key.p[0] == 'q' || key.p[0] == 'd');
    if (!event || key.n == 13) /* a number of a target, and one of the sequencer */
        put(c->copy, KV_QUEUE, key, value);
    check_progress(c);
}

/* Objects whose bucket's row is lost get one under another name, so that they can be had. */
static void put_orphan(struct copy *p, const struct check_bucket *b)
{
    struct bucket_row row = {.id = b->id, .created_ns = clock_real_ns(), .region = STR("us-east-1")};
    struct row_key k;
    struct buf v;

    buf_init(&v, 256);
    bucket_row_encode(&row, &v);
    put(p, KV_META, row_key_bucket(&k, str_c(b->name)), buf_view(&v));
    buf_release(&v);
    printf("bucket %016" PRIx64 " lost its row: its %" PRId64 " objects are in bucket %s now\n", b->id,
           b->objects, b->name);
}

static void put_buckets(struct copy *p)
{
    for (size_t i = 0; i < p->c->n_buckets; i++) {
        const struct check_bucket *b = &p->c->buckets[i];
        struct row_key k;
        uint64_t bytes = (uint64_t)b->bytes;
        if (b->orphan)
            put_orphan(p, b);
        if (b->name && !b->lost)
            put_numbers(p, row_key_id(&k, 'n', b->id), (uint64_t)b->objects, &bytes);
    }
}

static void put_queue_counter(struct copy *p, const char *prefix, uint32_t number, int64_t rows,
                              int64_t bytes)
{
    struct buf key;
    buf_init(&key, 16);
    buf_puts(&key, prefix);
    buf_be32(&key, number);
    put_numbers(p, buf_view(&key), (uint64_t)rows, &(uint64_t){(uint64_t)bytes});
    buf_release(&key);
}

static void put_counters(struct copy *p)
{
    uint32_t last = p->c->last_number;
    for (size_t i = 0; i < p->c->n_queues; i++) {
        const struct check_queue *q = &p->c->queues[i];
        put_queue_counter(p, "n", q->number, q->events, q->bytes);
        put_queue_counter(p, "nd", q->number, q->dead, q->dead_bytes);
        if (q->in_files[1])
            put_queue_counter(p, "ns", q->number, q->in_files[0], q->in_files[1]);
        last = q->number > last ? q->number : last;
    }
    if (last) {
        struct buf v;
        buf_init(&v, 8);
        buf_be32(&v, last);
        put(p, KV_META, STR("x"), buf_view(&v)); /* numbers are never given twice */
        buf_release(&v);
    }
}

/* --- bodies --- */

struct bodies {
    struct copy *p;
    struct id_list missing; /* in order */
};

static void take_body(void *ctx, struct str key, struct str value)
{
    struct bodies *b = ctx;
    uint64_t id;
    if (row_id(key, 0, &id) && check_has_id(&b->missing, id))
        put(b->p, KV_DATA, key, value);
}

static void copy_bodies(struct copy *p, const struct id_list *ids, struct bodies *missing)
{
    for (size_t i = 0; i < ids->n; i++) {
        struct row_key k;
        struct kv_value v = {0};
        struct str key = row_key_data(&k, ids->v[i]);
        if (kv_get(p->c->kv, KV_DATA, key, 0, &v, NULL) == KV_FOUND)
            put(p, KV_DATA, key, v.data);
        else
            id_list_add(&missing->missing, ids->v[i]);
        kv_value_release(&v);
        check_progress(p->c);
    }
}

static int by_id(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static void copy_all_bodies(struct copy *p, const struct kv_rescue *r)
{
    struct bodies b = {.p = p};
    copy_bodies(p, &p->c->bodies, &b);
    copy_bodies(p, &p->c->pending_bodies, &b);
    if (b.missing.n) {
        qsort(b.missing.v, b.missing.n, sizeof *b.missing.v, by_id);
        kv_rescue_bodies(r, take_body, &b);
    }
    free(b.missing.v);
}

bool check_copy(struct check *c, const struct kv_rescue *r, const char *to, struct err *e)
{
    struct copy p = {.c = c};
    p.to = kv_open(to, NULL, e);
    if (!p.to)
        return false;
    p.rows = x_calloc(STEP_ROWS, sizeof *p.rows);
    arena_init(&p.arena);
    c->copy = &p;
    c->quiet = true;
    check_each_row(c, KV_META, "", copy_meta);
    check_each_row(c, KV_QUEUE, "", copy_queue);
    c->quiet = false;
    copy_all_bodies(&p, r);
    put_buckets(&p);
    put_counters(&p);
    put_numbers(&p, ROW_KEY_IDS, c->max_id + ID_GAP, NULL);
    flush(&p);
    put_numbers(&p, STR("mseq"), c->max_seq + SEQ_GAP, NULL);
    p.sync = true; /* and with it all before it */
    flush(&p);
    if (p.failed && !kv_failed(p.to, e))
        err_set(e, "rows cannot be written to %s", to);
    c->copy = NULL;
    kv_close(p.to);
    free(p.rows);
    return !p.failed;
}
