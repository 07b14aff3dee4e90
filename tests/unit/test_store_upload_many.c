/* SPDX-License-Identifier: Apache-2.0
 *
 * Objects of many pieces, as multipart uploads make them: copied, pinned, replaced while they are read, discarded, damaged; and
 * the largest there may be. */
#include "upload_help.h"

#include <stdlib.h>

static void test_many(void **state)
{
    struct store *s = store_of(state);
    struct bucket *b = need_bucket(s, "b");

    make_many(s, b, "k");
    assert_many(s, b, "k");
    clean_store(s);
    assert_upload_rows(s, 0, 1);
    assert_many(s, b, "k");
    assert_int_equal(commit_put(s, b, "k", NULL), STORE_OK); /* metadata alone */
    assert_many(s, b, "k");
    copy_object(s, b, "k", "copy");
    assert_upload_rows(s, 0, 2);
    put(s, b, "k", 10, 1);
    clean_store(s);
    assert_upload_rows(s, 0, 1);
    assert_int_equal(count_files(s), 1);
    assert_int_equal(count_rows(s, KV_DATA, ""), 1);
    assert_many(s, b, "copy");
    assert_int_equal(del(s, b, "copy"), STORE_OK);
    clean_store(s);
    assert_upload_rows(s, 0, 0);
    assert_int_equal(count_files(s), 0);
    bucket_unref(b);
}

/* A long copy is made of steps, and may be given up after each. */
static void test_copy_in_steps(void **state)
{
    static const size_t sizes[] = {STAGE_COPY_STEP / 2, STAGE_COPY_STEP, 5, 0};
    static const unsigned numbers[] = {1, 2, 3, 0}, seeds[] = {1, 2, 3};
    struct store *s = store_of(state);
    struct bucket *b = need_bucket(s, "b");
    struct store_read r;
    struct arena a;
    struct err e = {0};
    enum store_result res;
    char id[UPLOAD_ID_LEN];

    create_upload(s, b, "k", id);
    for (unsigned i = 0; sizes[i]; i++)
        put_part(s, b, "k", id, i + 1, sizes[i], seeds[i]);
    assert_int_equal(complete_upload(s, b, "k", id, numbers), STORE_OK);
    arena_init(&a);
    assert_int_equal(store_read_open(s, b, STR("k"), false, &a, &r, &e), STORE_OK);
    for (unsigned steps = 1; steps <= 2; steps++) {
        struct store_stage *st = stage_copy_begin(s, &r, &res, &e);
        assert_int_equal(res, STORE_OK);
        for (unsigned i = 1; i <= steps; i++) {
            assert_false(stage_copied(st));
            assert_int_equal(stage_copy_step(st, &r, &e), STORE_OK);
            assert_int_equal(stage_size(st), i == 2 ? r.object.size : STAGE_COPY_STEP);
        }
        assert_int_equal(stage_copied(st), steps == 2);
        stage_discard(st);
    }
    store_read_close(&r);
    arena_release(&a);
    copy_object(s, b, "k", "copy");
    assert_parts(s, b, "copy", sizes, seeds);
    clean_store(s);
    assert_int_equal(count_files(s), 2 + 1); /* the last part has none; what was given up left none */
    bucket_unref(b);
}

/* A reader that has the object open sees all of it, whatever becomes of the object and whenever the janitor comes. */
static void test_pinned(void **state)
{
    struct store *s = store_of(state);
    struct bucket *b = need_bucket(s, "b");
    struct store_read r;
    struct arena a;
    struct err e = {0};
    char got[1500], *want = make_body(1500, MANY - 1);

    make_many(s, b, "k");
    clean_store(s);
    arena_init(&a);
    assert_int_equal(store_read_open(s, b, STR("k"), false, &a, &r, &e), STORE_OK);
    put(s, b, "k", 10, 1);
    clean_store(s);
    assert_true(store_read_bytes(&r, r.object.size - sizeof got, got, sizeof got, &e));
    assert_memory_equal(got, want, sizeof got);
    assert_true(store_read_bytes(&r, 0, got, 7, &e));
    store_read_close(&r);
    arena_release(&a);
    clean_store(s);
    clean_store(s);
    assert_int_equal(count_files(s), 0);
    assert_upload_rows(s, 0, 0);
    free(want);
    bucket_unref(b);
}

/* --- readers while an object of many pieces is replaced --- */

#define CROWD_PART   1200
#define CROWD_ROUNDS 60

struct crowd {
    struct store *store;
    struct bucket *bucket;
    atomic_uint writers;
};

/* An object of n parts (at most 25), each of them make_body(CROWD_PART, seed). */
static void put_upload(struct store *s, const struct bucket *b, const char *key, unsigned n, unsigned seed)
{
    unsigned numbers[26] = {0};
    char id[UPLOAD_ID_LEN];

    create_upload(s, b, key, id);
    for (unsigned k = 0; k < n; k++)
        put_part(s, b, key, id, numbers[k] = k + 1, CROWD_PART, seed);
    assert_int_equal(complete_upload(s, b, key, id, numbers), STORE_OK);
}

/* Each object has a number of parts and bytes that go with it: a reader can tell a torn one. */
static void *replace_loop(void *arg)
{
    struct crowd *c = arg;
    unsigned me = atomic_fetch_add(&c->writers, 1);

    for (unsigned i = 0; i < CROWD_ROUNDS; i++) {
        unsigned n = 2 + (i * 7 + me) % 24;
        put_upload(c->store, c->bucket, "k", n, n);
        store_wake_janitor(c->store);
    }
    atomic_fetch_sub(&c->writers, 1);
    return NULL;
}

static void read_whole(struct store_read *r, unsigned seed)
{
    unsigned n = (unsigned)(r->object.size / CROWD_PART);
    char *want = make_body(CROWD_PART, seed), got[CROWD_PART];
    struct err e = {0};

    for (unsigned i = n; i-- > 0;) {
        if (!store_read_bytes(r, (uint64_t)i * CROWD_PART, got, sizeof got, &e))
            fail_msg("part %u of %u: %s", i, n, e.text);
        assert_memory_equal(got, want, sizeof got);
    }
    free(want);
}

static void *read_all_loop(void *arg)
{
    struct crowd *c = arg;

    for (unsigned seen = 0; atomic_load(&c->writers) || !seen;) {
        struct store_read r;
        struct arena a;
        struct err e = {0};
        arena_init(&a);
        enum store_result res = store_read_open(c->store, c->bucket, STR("k"), false, &a, &r, &e);
        if (res == STORE_OK) {
            read_whole(&r, (unsigned)(r.object.size / CROWD_PART));
            store_read_close(&r);
            seen++;
        } else if (res != STORE_MISSING) {
            fail_msg("%s", e.text);
        }
        arena_release(&a);
    }
    return NULL;
}

static void *sweep_loop(void *arg)
{
    struct crowd *c = arg;

    while (atomic_load(&c->writers))
        run_janitor(c->store);
    return NULL;
}

static void test_readers(void **state)
{
    struct store *s = store_of(state);
    struct crowd c = {.store = s, .bucket = need_bucket(s, "b"), .writers = 1};
    pthread_t threads[6];

    threads[0] = thread_start("write", replace_loop, &c);
    threads[1] = thread_start("write", replace_loop, &c);
    threads[2] = thread_start("sweep", sweep_loop, &c);
    for (unsigned i = 3; i < COUNT_OF(threads); i++)
        threads[i] = thread_start("read", read_all_loop, &c);
    thread_join(threads[0]);
    thread_join(threads[1]);
    atomic_fetch_sub(&c.writers, 1);
    for (unsigned i = 2; i < COUNT_OF(threads); i++)
        thread_join(threads[i]);
    clean_store(s);
    assert_int_equal(del(s, c.bucket, "k"), STORE_OK);
    clean_store(s);
    assert_upload_rows(s, 0, 0);
    assert_int_equal(count_files(s), 0);
    bucket_unref(c.bucket);
}

/* The object is replaced after its row was read and before its pieces were pinned; all but the first of them may be gone, too. */
static struct store *between_store;
static struct bucket *between_bucket;
static uint64_t between_first; /* kept, as a reader that has the old object open would */

static void replace_between(void)
{
    store_before_pins = NULL;
    blob_pin(between_store->blobs, between_first);
    put_upload(between_store, between_bucket, "k", 4, 9);
    clean_store(between_store);
    assert_int_equal(count_files(between_store), 5);
    blob_unpin(between_store->blobs, between_first);
}

static void test_replaced_before_the_pins(void **state)
{
    struct store *s = store_of(state);
    struct bucket *b = need_bucket(s, "b");
    struct store_read r;
    struct object o;
    struct arena a;
    struct err e = {0};

    put_upload(s, b, "k", 3, 9);
    clean_store(s);
    arena_init(&a);
    assert_int_equal(store_object_get_parts(s, b, STR("k"), false, &a, &o, &e), STORE_OK);
    between_store = s;
    between_bucket = b;
    between_first = o.extents[0].id;
    store_before_pins = replace_between;
    assert_int_equal(store_read_open(s, b, STR("k"), false, &a, &r, &e), STORE_OK);
    assert_int_equal(r.object.size, 4 * CROWD_PART);
    read_whole(&r, 9);
    store_read_close(&r);
    arena_release(&a);
    bucket_unref(b);
}

/* --- discarded --- */

/* The closure ended otherwise: the extents row goes, the parts stay. */
static void test_discarded(void **state)
{
    struct store *s = store_of(state);
    struct bucket *b = need_bucket(s, "b");
    struct object_part parts[20];
    struct extent extents[20];
    enum store_result res;
    struct err e = {0};

    for (unsigned i = 0; i < COUNT_OF(parts); i++) {
        parts[i] = (struct object_part){.size = 5};
        extents[i] = (struct extent){EXTENT_INLINE, store_new_id(s), 5};
    }
    struct store_stage *st = stage_parts(s, extents, 20, parts, 20, &res, &e);
    assert_non_null(st);
    assert_int_equal(stage_size(st), 100);
    assert_int_equal(count_rows(s, KV_META, "e"), 1);
    size_t t_rows = count_rows(s, KV_META, "t");
    stage_discard(st);
    assert_int_equal(count_rows(s, KV_META, "e"), 0);
    assert_int_equal(count_rows(s, KV_META, "t"), t_rows - 1);
    bucket_unref(b);
}

/* The largest object there may be: its extents row fits a commit, and its garbage is worked off in small ones. */
static void test_ten_thousand(void **state)
{
    struct store *s = store_of(state);
    struct bucket *b = need_bucket(s, "b");
    struct object_part *parts = x_calloc(OBJECT_PARTS, sizeof *parts);
    struct extent *extents = x_calloc(OBJECT_PARTS, sizeof *extents);
    enum store_result res;
    struct err e = {0};
    struct object o;
    struct arena a;

    for (unsigned i = 0; i < OBJECT_PARTS; i++) {
        parts[i] = (struct object_part){.size = (uint64_t)5 << 30, .checksum = CHECKSUM_SHA256};
        memset(parts[i].checksum_value, (int)i, sizeof parts[i].checksum_value);
        extents[i] = (struct extent){EXTENT_BLOB, UINT64_MAX - i, (uint64_t)5 << 30};
    }
    struct store_stage *st = stage_parts(s, extents, OBJECT_PARTS, parts, OBJECT_PARTS, &res, &e);
    assert_non_null(st);
    assert_int_equal(commit_copy(s, b, "k", st, OBJECT_PARTS), STORE_OK);
    stage_committed(st);
    arena_init(&a);
    assert_int_equal(store_object_get_parts(s, b, STR("k"), false, &a, &o, &e), STORE_OK);
    assert_int_equal(o.n_extents, OBJECT_PARTS);
    assert_int_equal(o.n_part_list, OBJECT_PARTS);
    assert_memory_equal(o.part_list[9999].checksum_value, parts[9999].checksum_value, 32);
    assert_true(o.extents[9999].id == UINT64_MAX - 9999);
    arena_release(&a);
    assert_int_equal(del(s, b, "k"), STORE_OK);
    clean_store(s);
    assert_upload_rows(s, 0, 0);
    free(parts);
    free(extents);
    bucket_unref(b);
}

/* --- damage --- */

static bool damage_extents_row(struct kv_txn *t, void *ctx)
{
    struct row_key *k = ctx;
    kv_txn_put(t, KV_META, str_n(k->p, k->n), STR("nonsense"));
    return true;
}

static void test_damaged_extents_row(void **state)
{
    struct store *s = store_of(state);
    struct bucket *b = need_bucket(s, "b");
    struct object o;
    struct store_read r;
    struct arena a;
    struct err e = {0};
    struct row_key k;

    make_many(s, b, "k");
    arena_init(&a);
    assert_int_equal(store_object_get(s, b, STR("k"), false, &a, &o, &e), STORE_OK);
    assert_true(o.extents_row != 0 && o.n_extents == 0);
    assert_int_equal(store_object_get_parts(s, b, STR("k"), true, &a, &o, &e), STORE_WOULD_BLOCK);
    row_key_id(&k, 'e', o.extents_row);
    assert_int_equal(kv_commit_wait(store_kv(s), damage_extents_row, &k, 0), KV_COMMITTED);
    assert_int_equal(store_read_open(s, b, STR("k"), false, &a, &r, &e), STORE_DAMAGED);
    assert_non_null(strstr(e.text, "extents row"));
    assert_int_equal(del(s, b, "k"), STORE_OK); /* it can still be removed */
    clean_store(s);
    assert_upload_rows(s, 0, 0);
    arena_release(&a);
    bucket_unref(b);
}

#define BOTH(test) \
    cmocka_unit_test_setup_teardown(test, setup_memory, teardown), \
        cmocka_unit_test_setup_teardown(test, setup_rocks, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_copy_in_steps, setup_memory, teardown),
        BOTH(test_many),
        BOTH(test_pinned),
        BOTH(test_replaced_before_the_pins),
        cmocka_unit_test_setup_teardown(test_readers, setup_memory, teardown),
        BOTH(test_discarded),
        BOTH(test_ten_thousand),
        BOTH(test_damaged_extents_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
