/* SPDX-License-Identifier: Apache-2.0
 *
 * Dead letters as rows: which a filter means, in what order a scan tells of them, what is left when one is taken out or
 * queued again; and a target that is paused. */
#include "sender_help.h"

#include "event/dead_letter.h"

/* --- filters --------------------------------------------------------------------------------------------------------- */

#define TEXT(z) \
    { \
        z, sizeof(z) - 1 \
    }
static const struct outbox_row letter = {
    .name = TEXT("s3:ObjectCreated:Put"),
    .bucket = TEXT("images"),
    .key = TEXT("in/a.jpg"),
    .record = TEXT("{}"),
    .reason = TEXT("http://h/ answered 413: it refuses this event"),
    .dead_ns = 5000,
};

static void test_filter(void **state)
{
    (void)state;
    static const struct {
        struct dead_filter filter;
        bool matches;
    } cases[] = {
        {{.since_ns = 0}, true},
        {{.bucket = TEXT("images")}, true},
        {{.bucket = TEXT("image")}, false},
        {{.bucket = TEXT("images2")}, false},
        {{.prefix = TEXT("in/")}, true},
        {{.prefix = TEXT("in/a.jpg")}, true},
        {{.prefix = TEXT("in/a.jpgx")}, false},
        {{.prefix = TEXT("n/")}, false},
        {{.reason = TEXT("413")}, true},
        {{.reason = TEXT("http://h/ answered 413: it refuses this event")}, true},
        {{.reason = TEXT("REFUSES")}, false},
        {{.since_ns = 5000}, true},
        {{.since_ns = 5001}, false},
        {{.until_ns = 5001}, true},
        {{.until_ns = 5000}, false},
        {{.since_ns = 5000, .until_ns = 5001}, true},
        {{.bucket = TEXT("images"),
          .prefix = TEXT("in/"),
          .reason = TEXT("413"),
          .since_ns = 1,
          .until_ns = 9999},
         true},
        {{.bucket = TEXT("images"),
          .prefix = TEXT("in/"),
          .reason = TEXT("414"),
          .since_ns = 1,
          .until_ns = 9999},
         false},
        {{.bucket = TEXT("other"), .prefix = TEXT("in/"), .reason = TEXT("413")}, false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        if (dead_filter_matches(&cases[i].filter, &letter) != cases[i].matches)
            fail_msg("case %zu", i);
}

/* --- rows ------------------------------------------------------------------------------------------------------------ */

struct writing {
    uint32_t target;
    uint64_t seq;
    const char *key;
    bool damaged;
};

static bool write_txn(struct kv_txn *t, void *ctx)
{
    const struct writing *w = ctx;
    struct row_key k = dead_letter_key(w->target, w->seq), count = dead_letter_counter_key(w->target);
    struct outbox_row row = letter;
    struct buf b;
    row.key = str_c(w->key);
    row.attempts = 7;
    buf_init(&b, 4096);
    outbox_row_encode(&row, &b);
    kv_txn_put(t, KV_QUEUE, row_key_str(&k), w->damaged ? STR("\xff\xff") : buf_view(&b));
    kv_txn_add(t, row_key_str(&count), (int64_t[KV_COUNTERS]){1, (int64_t)b.len});
    buf_release(&b);
    return true;
}

static void write_letter(struct bench *b, uint32_t target, uint64_t seq, const char *key, bool damaged)
{
    struct writing w = {target, seq, key, damaged};
    assert_int_equal(kv_commit_wait(b->kv, write_txn, &w, 0), KV_COMMITTED);
}

struct seen {
    uint64_t seq[16];
    size_t n, most;
};

static bool see(void *ctx, const struct dead_letter *l)
{
    struct seen *s = ctx;
    s->seq[s->n++] = l->seq;
    assert_true(str_eq(l->row.bucket, letter.bucket) && l->row.attempts == 7);
    return s->n < s->most;
}

static void expect_seen(struct bench *b, uint32_t target, uint64_t after, size_t most, const uint64_t *want,
                        size_t n)
{
    struct seen s = {.most = most};
    struct err e;
    assert_true(dead_letters_scan(b->kv, target, after, see, &s, &e));
    assert_int_equal(s.n, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(s.seq[i], want[i]);
}

static void test_scan(void **state)
{
    struct bench *b = *state;
    write_letter(b, 1, 30, "c", false);
    write_letter(b, 1, 10, "a", false);
    write_letter(b, 1, UINT64_MAX, "last", false);
    write_letter(b, 1, 20, "damaged", true);
    write_letter(b, 0, 11, "other", false);
    write_letter(b, 2, 12, "other", false);
    expect_seen(b, 1, 0, 16, (const uint64_t[]){10, 30, UINT64_MAX}, 3);
    expect_seen(b, 1, 0, 1, (const uint64_t[]){10}, 1);
    expect_seen(b, 1, 10, 16, (const uint64_t[]){30, UINT64_MAX}, 2);
    expect_seen(b, 1, 29, 16, (const uint64_t[]){30, UINT64_MAX}, 2);
    expect_seen(b, 1, UINT64_MAX - 1, 16, (const uint64_t[]){UINT64_MAX}, 1);
    expect_seen(b, 1, UINT64_MAX, 16, NULL, 0);
    expect_seen(b, 2, 0, 16, (const uint64_t[]){12}, 1);
    expect_seen(b, 3, 0, 16, NULL, 0);
}

/* --- taken out ------------------------------------------------------------------------------------------------------- */

struct taking {
    struct bench *b;
    uint64_t seq;
    bool replay;
    enum kv_result found;
    enum requeue may;
    struct outbox_row row;
    struct arena arena;
};

static bool take_txn(struct kv_txn *t, void *ctx)
{
    struct taking *k = ctx;
    size_t size;
    k->found = dead_letter_txn_get(t, 1, k->seq, &k->arena, &k->row, &size);
    if (k->found != KV_FOUND)
        return false;
    k->may = k->replay ? outbox_txn_may_requeue(t, &k->b->delivery, 1, 1) : REQUEUE_OK;
    if (k->may != REQUEUE_OK)
        return false;
    if (k->replay)
        outbox_txn_requeue(t, &k->b->delivery, 1, &k->row);
    dead_letter_txn_drop(t, &k->b->delivery, 1, k->seq, size);
    return true;
}

static enum kv_outcome take(struct bench *b, struct taking *k, uint64_t seq, bool replay)
{
    *k = (struct taking){.b = b, .seq = seq, .replay = replay};
    arena_init(&k->arena);
    return kv_commit_wait(b->kv, take_txn, k, 0);
}

static int64_t counted(struct bench *b, struct row_key k, int which)
{
    int64_t v[KV_COUNTERS];
    struct err e;
    assert_true(kv_counters(b->kv, row_key_str(&k), v, &e));
    return v[which];
}

static void test_dropped(void **state)
{
    struct bench *b = *state;
    struct taking k;
    write_letter(b, 1, 10, "a", false);
    write_letter(b, 1, 20, "damaged", true);
    atomic_store(&b->s->dead, 2);
    assert_int_equal(take(b, &k, 10, false), KV_COMMITTED);
    assert_true(str_eq(k.row.key, STR("a")) && str_eq(k.row.reason, letter.reason));
    arena_release(&k.arena);
    assert_int_equal(atomic_load(&b->s->dead), 1);
    assert_int_equal(counted(b, dead_letter_counter_key(1), 0), 1);
    assert_int_equal(take(b, &k, 10, false), KV_ABORTED); /* somebody else was first */
    assert_int_equal(k.found, KV_MISSING);
    arena_release(&k.arena);
    assert_int_equal(take(b, &k, 20, false), KV_ABORTED);
    assert_int_equal(k.found, KV_DAMAGED);
    arena_release(&k.arena);
    assert_int_equal(atomic_load(&b->s->dead), 1);
    assert_int_equal(rows_with(b, 'd'), 1);
}

/* Of a target that is switched off there is no sender to be told. */
static void test_dropped_of_one_that_is_off(void **state)
{
    struct bench *b = *state;
    struct taking k;
    write_letter(b, 1, 10, "a", false);
    b->by_number[1] = NULL;
    assert_int_equal(take(b, &k, 10, true), KV_ABORTED);
    assert_int_equal(k.may, REQUEUE_OFF);
    arena_release(&k.arena);
    assert_int_equal(take(b, &k, 10, false), KV_COMMITTED);
    arena_release(&k.arena);
    assert_int_equal(counted(b, dead_letter_counter_key(1), 0), 0);
    assert_int_equal(counted(b, dead_letter_counter_key(1), 1), 0);
    b->by_number[1] = b->s;
}

static void test_queued_again(void **state)
{
    struct bench *b = *state;
    struct taking k;
    write_letter(b, 1, 10, "k3", false);
    b->conf.queue_limit = 2;
    assert_true(put(b, 1));
    assert_int_equal(take(b, &k, 10, true), KV_COMMITTED);
    arena_release(&k.arena);
    assert_int_equal(rows_with(b, 'd'), 0);
    assert_int_equal(counted(b, outbox_counter_key(1), 0), 2);
    /* behind what waits, as if it had never failed */
    struct row_key first = outbox_key(1, 0), end = outbox_key(2, 0);
    struct kv_scan *scan = kv_scan_open(b->kv, KV_QUEUE, row_key_str(&first), row_key_str(&end));
    struct str key, value;
    struct outbox_row row;
    size_t n = 0;
    while (kv_scan_next(scan, &key, &value)) {
        assert_true(outbox_row_decode(value, &row));
        assert_int_equal(str_eq(row.key, STR("k3")), n++ == 1);
    }
    assert_int_equal(n, 2);
    assert_true(row.attempts == 0 && row.dead_ns == 0 && row.reason.n == 0);
    assert_true(str_eq(row.record, letter.record) && str_eq(row.name, letter.name));
    kv_scan_close(scan);
    /* no more than the queue may hold */
    write_letter(b, 1, 11, "k4", false);
    assert_int_equal(take(b, &k, 11, true), KV_ABORTED);
    assert_int_equal(k.may, REQUEUE_FULL);
    arena_release(&k.arena);
    assert_int_equal(rows_with(b, 'd'), 1);
}

/* --- paused ---------------------------------------------------------------------------------------------------------- */

static bool is_paused(struct bench *b)
{
    bool paused;
    struct err e;
    assert_true(target_paused(b->kv, 1, &paused, &e));
    return paused;
}

static void test_paused(void **state)
{
    struct bench *b = *state;
    mutex_init(&b->delivery.change, RANK_DELIVERY_CHANGE);
    assert_true(put(b, 1));
    assert_false(is_paused(b));
    assert_int_equal(delivery_pause(&b->delivery, 1, true), KV_COMMITTED);
    assert_true(is_paused(b) && atomic_load(&b->s->paused));
    run_for(b, 60000);
    assert_int_equal(b->fake.n_sent, 0);
    assert_int_equal(delivery_pause(&b->delivery, 1, true), KV_COMMITTED); /* twice is once */
    bench_stop(b);                                                         /* it holds over a restart */
    bench_start(b);
    assert_true(put(b, 2));
    run_for(b, 60000);
    assert_int_equal(b->fake.n_sent, 0);
    assert_int_equal(delivery_pause(&b->delivery, 1, false), KV_COMMITTED);
    assert_false(is_paused(b));
    run_for(b, 1000);
    assert_int_equal(b->fake.n_sent, 2);
    b->by_number[1] = NULL; /* of one that is off there is nothing to pause */
    assert_int_equal(delivery_pause(&b->delivery, 1, true), KV_ABORTED);
    assert_false(is_paused(b));
    b->by_number[1] = b->s;
    mutex_release(&b->delivery.change);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filter),         CASE(test_scan),         CASE(test_dropped),
        CASE(test_dropped_of_one_that_is_off), CASE(test_queued_again), CASE(test_paused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
