/* SPDX-License-Identifier: Apache-2.0
 *
 * Objects of a store, over rows in memory and over RocksDB: staging, reading, replacing, removing, and what the janitor
 * makes of it. */
#include "store_help.h"

#include <stdlib.h>

#include "base/clock.h"

static const size_t sizes[] = {
    0, 1, INLINE_MAX, INLINE_MAX + 1, BLOB_BLOCK - 1, BLOB_BLOCK, BLOB_BLOCK + 1, 300000};

static void test_put_get(void **state)
{
    struct store *s = ((struct fixture *)*state)->store;
    struct bucket *b = need_bucket(s, "b");
    int64_t bytes = 0;

    for (unsigned i = 0; i < COUNT_OF(sizes); i++) {
        char key[16];
        snprintf(key, sizeof key, "k%u", i);
        put(s, b, key, sizes[i], i);
        bytes += (int64_t)sizes[i];
    }
    for (unsigned i = 0; i < COUNT_OF(sizes); i++) {
        char key[16];
        snprintf(key, sizeof key, "k%u", i);
        assert_object(s, b, key, sizes[i], i);
    }
    assert_absent(s, b, "k");
    assert_counters(s, b, COUNT_OF(sizes), bytes);
    bucket_unref(b);
}

/* Pieces of odd sizes, of announced and unknown length. */
static void test_staging(void **state)
{
    struct store *s = ((struct fixture *)*state)->store;
    struct bucket *b = need_bucket(s, "b");
    static const size_t pieces[] = {1000, 7777, 65536, 100000};

    for (unsigned i = 0; i < COUNT_OF(sizes); i++) {
        for (unsigned j = 0; j < 2 * COUNT_OF(pieces); j++) {
            char *body = make_body(sizes[i], i + j);
            struct store_stage *st =
                make_stage(s, body, sizes[i], pieces[j / 2], j % 2 ? -1 : (int64_t)sizes[i]);
            assert_int_equal(commit_put(s, b, "k", st), STORE_OK);
            stage_committed(st);
            free(body);
            assert_object(s, b, "k", sizes[i], i + j);
        }
    }
    bucket_unref(b);
}

static void test_discard(void **state)
{
    struct store *s = ((struct fixture *)*state)->store;
    char *body = make_body(300000, 1);
    enum store_result r;
    struct err e = {0};

    stage_discard(NULL);
    stage_discard(stage_begin(s, 10, &r, &e));
    stage_discard(stage_begin(s, -1, &r, &e));
    stage_discard(stage_begin(s, 5000, &r, &e));
    struct store_stage *half = stage_begin(s, 300000, &r, &e);
    assert_int_equal(stage_append(half, body, 100000, &e), STORE_OK);
    stage_discard(half);
    stage_discard(make_stage(s, body, 300000, 0, -1));
    stage_discard(make_stage(s, body, 300, 0, -1));
    assert_int_equal(count_files(s), 0);
    run_janitor(s);
    /* What is left are rows written ahead, one for each id that was not yet used. */
    assert_int_equal(count_rows(s, KV_META, "t"), s->t_end - s->t_next);
    assert_int_equal(count_rows(s, KV_DATA, ""), 0);
    free(body);
}

static void test_replace_and_delete(void **state)
{
    struct store *s = ((struct fixture *)*state)->store;
    struct bucket *b = need_bucket(s, "b");

    for (unsigned i = 0; i < 40; i++) {
        put(s, b, "k", sizes[(i * 5) % COUNT_OF(sizes)], i);
        assert_object(s, b, "k", sizes[(i * 5) % COUNT_OF(sizes)], i);
    }
    run_janitor(s);
    assert_true(count_files(s) <= 1);
    assert_true(count_rows(s, KV_DATA, "") <= 1);
    assert_counters(s, b, 1, (int64_t)sizes[(39 * 5) % COUNT_OF(sizes)]);
    assert_int_equal(del(s, b, "k"), STORE_OK);
    assert_int_equal(del(s, b, "k"), STORE_MISSING);
    assert_absent(s, b, "k");
    run_janitor(s);
    assert_int_equal(count_files(s), 0);
    assert_int_equal(count_rows(s, KV_DATA, ""), 0);
    assert_int_equal(count_rows(s, KV_META, "g"), 0);
    assert_counters(s, b, 0, 0);
    bucket_unref(b);
}

/* Closures over one key in one batch see each other: the gate holds the committer until all are waiting. */
struct racer {
    struct kv_commit commit;
    struct store *store;
    const struct bucket *bucket;
    struct store_stage *stage; /* NULL: delete */
    struct gate *gate;
};
struct gate {
    struct mutex mutex;
    struct cond cond;
    bool open;
    unsigned done;
};

static bool gate_closure(struct kv_txn *t, void *ctx)
{
    struct gate *g = ctx;

    (void)t;
    mutex_lock(&g->mutex);
    while (!g->open)
        cond_wait(&g->cond, &g->mutex);
    mutex_unlock(&g->mutex);
    return true;
}

static bool racer_closure(struct kv_txn *t, void *ctx)
{
    struct racer *r = ctx;
    struct object old, now = {0};
    struct arena a;

    arena_init(&a);
    bool had = store_txn_object_get(t, r->bucket, STR("k"), &a, &old) == STORE_OK;
    now.seq = kv_txn_sequence(t);
    if (r->stage)
        store_txn_object_put(t, r->store, r->bucket, STR("k"), &now, r->stage, had ? &old : NULL);
    else if (had)
        store_txn_object_delete(t, r->store, r->bucket, STR("k"), &old);
    arena_release(&a);
    return true;
}

static void racer_done(void *ctx, enum kv_outcome outcome)
{
    struct racer *r = ctx;

    assert_int_equal(outcome, KV_COMMITTED);
    if (r->stage)
        stage_committed(r->stage);
    mutex_lock(&r->gate->mutex);
    r->gate->done++;
    cond_signal(&r->gate->cond);
    mutex_unlock(&r->gate->mutex);
}

static void test_one_batch(void **state)
{
    struct store *s = ((struct fixture *)*state)->store;
    struct bucket *b = need_bucket(s, "b");
    struct gate gate = {0};
    struct racer r[20];
    struct kv_commit hold = {.fn = gate_closure, .ctx = &gate, .flags = KV_NOSYNC};

    mutex_init(&gate.mutex, RANK_MAIN);
    cond_init(&gate.cond);
    for (unsigned i = 0; i < COUNT_OF(r); i++) {
        char *body = make_body(sizes[i % 4], i);
        r[i] = (struct racer){.store = s, .bucket = b, .gate = &gate};
        r[i].stage = i % 5 == 3 ? NULL : make_stage(s, body, sizes[i % 4], 0, -1);
        r[i].commit = (struct kv_commit){.fn = racer_closure, .done = racer_done, .ctx = &r[i]};
        free(body);
    }
    kv_commit(store_kv(s), &hold);
    for (unsigned i = 0; i < COUNT_OF(r); i++)
        kv_commit(store_kv(s), &r[i].commit);
    mutex_lock(&gate.mutex);
    gate.open = true;
    cond_broadcast(&gate.cond);
    while (gate.done < COUNT_OF(r))
        assert_true(cond_wait_until(&gate.cond, &gate.mutex, clock_mono_ms() + WAIT_MS));
    mutex_unlock(&gate.mutex);

    assert_object(s, b, "k", sizes[19 % 4], 19);
    assert_counters(s, b, 1, (int64_t)sizes[19 % 4]);
    run_janitor(s);
    assert_int_equal(count_files(s), 1);
    assert_int_equal(count_rows(s, KV_DATA, ""), 0);
    cond_release(&gate.cond);
    mutex_release(&gate.mutex);
    bucket_unref(b);
}

/* A reader keeps the file of a replaced object; the janitor comes back for it. */
static void test_pinned(void **state)
{
    struct store *s = ((struct fixture *)*state)->store;
    struct bucket *b = need_bucket(s, "b");
    struct store_read r;
    struct arena a;
    struct err e = {0};

    put(s, b, "k", 5000, 1);
    arena_init(&a);
    assert_int_equal(store_read_open(s, b, STR("k"), false, &a, &r, &e), STORE_OK);
    assert_int_equal(del(s, b, "k"), STORE_OK);
    run_janitor(s);
    assert_int_equal(count_files(s), 1);
    assert_int_equal(count_rows(s, KV_META, "g"), 1);
    store_read_close(&r);
    run_janitor(s);
    assert_int_equal(count_files(s), 0);
    assert_int_equal(count_rows(s, KV_META, "g"), 0);
    arena_release(&a);
    bucket_unref(b);
}

static void test_copy(void **state)
{
    struct store *s = ((struct fixture *)*state)->store;
    struct bucket *b = need_bucket(s, "b");

    for (unsigned i = 0; i < COUNT_OF(sizes); i++) {
        struct store_read r;
        struct arena a;
        struct err e = {0};
        enum store_result res;

        put(s, b, "from", sizes[i], i);
        arena_init(&a);
        assert_int_equal(store_read_open(s, b, STR("from"), false, &a, &r, &e), STORE_OK);
        struct store_stage *st = stage_copy(s, &r, &res, &e);
        assert_int_equal(res, STORE_OK);
        store_read_close(&r);
        arena_release(&a);
        assert_int_equal(commit_put(s, b, "to", st), STORE_OK);
        stage_committed(st);
        assert_int_equal(del(s, b, "from"), STORE_OK);
        run_janitor(s);
        assert_object(s, b, "to", sizes[i], i);
    }
    bucket_unref(b);
}

/* A self-copy that changes metadata keeps the body. */
static void test_metadata_only(void **state)
{
    struct store *s = ((struct fixture *)*state)->store;
    struct bucket *b = need_bucket(s, "b");

    for (unsigned i = 0; i < COUNT_OF(sizes); i++) {
        put(s, b, "k", sizes[i], i);
        assert_int_equal(commit_put(s, b, "k", NULL), STORE_OK);
        run_janitor(s);
        assert_object(s, b, "k", sizes[i], i);
        assert_counters(s, b, 1, (int64_t)sizes[i]);
    }
    bucket_unref(b);
}

static void test_cached_only(void **state)
{
    struct store *s = ((struct fixture *)*state)->store;
    struct bucket *b = need_bucket(s, "b");
    struct store_read r;
    struct object o;
    struct arena a;

    arena_init(&a);
    put(s, b, "small", 10, 1);
    put(s, b, "big", 5000, 1);
    /* Just written, so in memory. */
    assert_int_equal(store_object_get(s, b, STR("big"), true, &a, &o, NULL), STORE_OK);
    assert_int_equal(store_read_open(s, b, STR("big"), true, &a, &r, NULL), STORE_WOULD_BLOCK);
    assert_int_equal(store_read_open(s, b, STR("small"), true, &a, &r, NULL), STORE_OK);
    store_read_close(&r);
    assert_int_equal(store_read_open(s, b, STR("none"), true, &a, &r, NULL), STORE_MISSING);
    arena_release(&a);
    bucket_unref(b);
}

static void test_long_key(void **state)
{
    struct store *s = ((struct fixture *)*state)->store;
    struct bucket *b = need_bucket(s, "b");
    char key[STORE_KEY_MAX + 2];

    memset(key, 'x', sizeof key);
    key[STORE_KEY_MAX + 1] = 0;
    assert_absent(s, b, key);
    key[STORE_KEY_MAX] = 0;
    put(s, b, key, 10, 1);
    assert_object(s, b, key, 10, 1);
    bucket_unref(b);
}

/* Below the reserve nothing is admitted; with room again it is. */
static void test_reserve(void **state)
{
    struct fixture *f = *state;
    struct store *s = f->store;
    struct store_stats st;

    assert_int_equal(store_admit(s, 1000), STORE_OK);
    assert_int_equal(store_admit(s, (uint64_t)1 << 62), STORE_FULL);
    assert_int_equal(store_admit(s, 1000), STORE_OK);
    store_get_stats(s, &st);
    assert_false(st.full);
    assert_true(st.disk_total > st.disk_free && st.disk_free > 0);

    s->options.disk_reserve = INT64_MAX;
    space_init(s);
    assert_int_equal(store_admit(s, 0), STORE_FULL);
    store_get_stats(s, &st);
    assert_true(st.full);
    enum store_result r;
    struct err e = {0};
    char *body = make_body(5u << 20, 1);
    struct store_stage *big = stage_begin(s, -1, &r, &e);
    assert_int_equal(stage_append(big, body, 5u << 20, &e), STORE_FULL);
    stage_discard(big);
    free(body);
    assert_int_equal(count_files(s), 0);

    s->options.disk_reserve = 0;
    space_init(s);
    assert_int_equal(store_admit(s, 1000), STORE_OK);
}

#define BOTH(test) \
    cmocka_unit_test_setup_teardown(test, setup_memory, teardown), \
        cmocka_unit_test_setup_teardown(test, setup_rocks, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_put_get),     BOTH(test_staging),  BOTH(test_discard), BOTH(test_replace_and_delete),
        BOTH(test_one_batch),   BOTH(test_pinned),   BOTH(test_copy),    BOTH(test_metadata_only),
        BOTH(test_cached_only), BOTH(test_long_key), BOTH(test_reserve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
