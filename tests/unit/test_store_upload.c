/* SPDX-License-Identifier: Apache-2.0
 *
 * Multipart uploads in the store: parts, generations, the end, what the janitor and belfry check make of it. (The objects of
 * many pieces that they make: test_store_upload_many.c.) */
#include "upload_help.h"

#include "base/clock.h"
#include "store/upload_rows.h"

/* --- rows --- */

static void test_keys(void **state)
{
    struct row_key k;
    struct str key, upload, id = STR("0123456789abcdef0123456789abcdef");
    uint64_t bucket;
    uint32_t part;
    (void)state;

    assert_true(row_upload(row_key_upload(&k, 7, STR("a/b"), id), &bucket, &key, &upload, &part));
    assert_true(bucket == 7 && part == 0 && str_eq(key, STR("a/b")) && str_eq(upload, id));
    assert_true(row_upload(row_key_part(&k, 7, STR("a"), id, 10000), &bucket, &key, &upload, &part));
    assert_true(part == 10000 && str_eq(key, STR("a")));
    char longest[STORE_KEY_MAX];
    memset(longest, 'x', sizeof longest);
    assert_true(row_upload(row_key_part(&k, 7, str_n(longest, sizeof longest), id, 1), &bucket, &key, &upload,
                           &part));
    assert_int_equal(key.n, sizeof longest);
    static const char *const bad[] = {"", "u", "u12345678", "u12345678key", "o12345678key"};
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_false(row_upload(str_c(bad[i]), &bucket, &key, &upload, &part));
}

static void test_garbage_row(void **state)
{
    struct part_set used = {0}, back;
    struct upload_garbage g = {.bucket = 9,
                               .key = STR("k"),
                               .id = STR("0123456789abcdef0123456789abcdef"),
                               .used = &used},
                          got;
    struct buf b;
    (void)state;

    buf_init(&b, 4096);
    upload_garbage_encode(&g, &b);
    size_t empty = b.len;
    assert_true(upload_garbage_decode(buf_view(&b), &got, &back));
    assert_true(got.bucket == 9 && str_eq(got.key, g.key) && str_eq(got.id, g.id));
    buf_reset(&b);
    part_set_add(&used, 1);
    part_set_add(&used, OBJECT_PARTS);
    upload_garbage_encode(&g, &b);
    assert_true(upload_garbage_decode(buf_view(&b), &got, &back));
    assert_true(part_set_has(&back, 1) && part_set_has(&back, OBJECT_PARTS) && !part_set_has(&back, 2));
    for (size_t n = 0; n < empty; n++)
        assert_false(upload_garbage_decode(str_head(buf_view(&b), n), &got, &back));
    buf_release(&b);
}

/* --- parts and the end --- */

static void test_upload(void **state)
{
    struct store *s = store_of(state);
    struct bucket *b = need_bucket(s, "b");
    char id[UPLOAD_ID_LEN];

    create_upload(s, b, "k", id);
    put_part(s, b, "k", id, 2, 5000, 2);
    put_part(s, b, "k", id, 1, 70000, 9);
    put_part(s, b, "k", id, 1, 70000, 1); /* the last one counts */
    put_part(s, b, "k", id, 3, 10, 3);
    put_part(s, b, "k", id, 7, 6000, 7); /* not used */
    put_part(s, b, "k", id, 8, 20, 8);   /* not used, inline */
    assert_absent(s, b, "k");
    assert_counters(s, b, 0, 0);
    assert_int_equal(complete_upload(s, b, "k", id, (const unsigned[]){1, 2, 3, 0}), STORE_OK);
    assert_parts(s, b, "k", (const size_t[]){70000, 5000, 10, 0}, (const unsigned[]){1, 2, 3});
    assert_counters(s, b, 1, 75010);
    clean_store(s);
    assert_parts(s, b, "k", (const size_t[]){70000, 5000, 10, 0}, (const unsigned[]){1, 2, 3});
    assert_upload_rows(s, 0, 0);
    assert_int_equal(count_files(s), 2);
    assert_int_equal(count_rows(s, KV_DATA, ""), 1);
    assert_int_equal(complete_upload(s, b, "k", id, (const unsigned[]){1, 0}), STORE_MISSING);
    assert_int_equal(try_part(s, b, "k", id, 1, 10, 1), STORE_MISSING);
    assert_int_equal(del(s, b, "k"), STORE_OK);
    clean_store(s);
    assert_upload_rows(s, 0, 0);
    assert_int_equal(count_files(s), 0);
    assert_int_equal(count_rows(s, KV_DATA, ""), 0);
    assert_counters(s, b, 0, 0);
    bucket_unref(b);
}

static void test_abort(void **state)
{
    struct store *s = store_of(state);
    struct bucket *b = need_bucket(s, "b");
    char id[UPLOAD_ID_LEN], other[UPLOAD_ID_LEN];

    create_upload(s, b, "k", id);
    create_upload(s, b, "k", other);
    assert_true(str_cmp(str_n(id, sizeof id), str_n(other, sizeof other)) < 0);
    for (unsigned i = 1; i <= 130; i++)
        put_part(s, b, "k", id, i, i % 20 ? 10 : 2000, i);
    put_part(s, b, "k", other, 1, 3000, 1);
    assert_int_equal(abort_upload(s, b, "k", id), STORE_OK);
    assert_int_equal(abort_upload(s, b, "k", id), STORE_MISSING);
    clean_store(s);
    assert_upload_rows(s, 2, 0);
    assert_int_equal(count_files(s), 1);
    assert_int_equal(count_rows(s, KV_DATA, ""), 0);
    bucket_unref(b);
}

/* Who read the parts before one of them was replaced must read them again, or the object would name bytes that are garbage. */
static void test_generation(void **state)
{
    struct store *s = store_of(state);
    struct bucket *b = need_bucket(s, "b");
    struct upload_read r;
    char id[UPLOAD_ID_LEN];

    create_upload(s, b, "k", id);
    put_part(s, b, "k", id, 1, 5000, 1);
    read_upload(s, b, "k", id, &r);
    put_part(s, b, "k", id, 1, 6000, 2);
    assert_int_equal(finish_upload_read(s, b, "k", id, (const unsigned[]){1, 0}, &r), STORE_AGAIN);
    assert_absent(s, b, "k");
    read_upload(s, b, "k", id, &r);
    assert_int_equal(finish_upload_read(s, b, "k", id, (const unsigned[]){1, 0}, &r), STORE_OK);
    clean_store(s);
    assert_parts(s, b, "k", (const size_t[]){6000, 0}, (const unsigned[]){2});
    assert_int_equal(count_files(s), 1);
    bucket_unref(b);
}

/* --- buckets, time --- */

static void test_deleted_bucket(void **state)
{
    struct store *s = store_of(state);
    struct bucket *b = need_bucket(s, "b");
    char open[UPLOAD_ID_LEN], over[UPLOAD_ID_LEN];

    create_upload(s, b, "open", open);
    create_upload(s, b, "over", over);
    for (unsigned i = 1; i <= 110; i++) {
        put_part(s, b, "open", open, i, i % 10 == 1 ? 2000 : 10, i);
        put_part(s, b, "over", over, i, i % 10 == 1 ? 2000 : 10, i);
    }
    make_many(s, b, "many");
    assert_int_equal(complete_upload(s, b, "over", over, (const unsigned[]){1, 2, 109, 0}), STORE_OK);
    assert_int_equal(delete_bucket(s, "b", false), STORE_NOT_EMPTY);
    assert_int_equal(delete_bucket(s, "b", true), STORE_OK);
    assert_int_equal(try_part(s, b, "open", open, 1, 10, 1), STORE_MISSING);
    clean_store(s);
    clean_store(s);
    assert_upload_rows(s, 0, 0);
    assert_int_equal(count_rows(s, KV_META, "o"), 0);
    assert_int_equal(count_files(s), 0);
    assert_int_equal(count_rows(s, KV_DATA, ""), 0);
    bucket_unref(b);
    b = need_bucket(s, "b");
    create_upload(s, b, "k", open);
    put_part(s, b, "k", open, 1, 10, 1);
    assert_int_equal(delete_bucket(s, "b", false), STORE_OK); /* open uploads do not hold a bucket */
    clean_store(s);
    assert_upload_rows(s, 0, 0);
    bucket_unref(b);
}

static int64_t (*true_clock)(void);
static int64_t clock_ahead_ns;
static int64_t ahead(void)
{
    return true_clock() + clock_ahead_ns;
}

#define HOUR_NS (3600 * INT64_C(1000000000))

/* As if the server had run for so long since the last look. */
static void look_again(struct store *s, int64_t ran_ns)
{
    s->janitor.observed_ms -= ran_ns / 1000000;
    s->janitor.look_for_abandoned_ms = 0;
    clean_store(s);
}

static void test_abandoned(void **state)
{
    struct store *s = store_of(state);
    struct bucket *b = need_bucket(s, "b");
    char old[20][UPLOAD_ID_LEN], alive[UPLOAD_ID_LEN];

    clean_store(s); /* the first look, which comes with the start, must not fall among the uploads */
    for (unsigned i = 0; i < COUNT_OF(old); i++) {
        char key[8];
        snprintf(key, sizeof key, "k%u", i / 3);
        create_upload(s, b, key, old[i]);
        for (unsigned k = 1; k <= 12; k++)
            put_part(s, b, key, old[i], k, 10, k);
    }
    create_upload(s, b, "alive", alive);
    true_clock = clock_real_ns;
    clock_real_ns = ahead;
    look_again(s, HOUR_NS);
    for (int i = 1; i < 24; i++) { /* the wall clock does not count, wherever it is */
        clock_ahead_ns = i % 3 ? (i % 3 == 1 ? 9000 : -9000) * HOUR_NS : 0;
        look_again(s, HOUR_NS);
        if (i == 12)
            put_part(s, b, "alive", alive, 1, 2000, 1);
    }
    assert_int_equal(count_rows(s, KV_META, "u"), COUNT_OF(old) * 13 + 2);
    look_again(s, HOUR_NS);
    clock_real_ns = true_clock;
    assert_upload_rows(s, 2, 0);
    assert_int_equal(count_files(s), 1);
    assert_int_equal(count_rows(s, KV_DATA, ""), 0);
    bucket_unref(b);
}

/* --- listing --- */

static void assert_page(struct store *s, const struct bucket *b, struct uploads_query q, const char *want,
                        bool truncated)
{
    struct uploads_page page;
    struct arena a;
    struct err e = {0};
    char got[512] = "";

    arena_init(&a);
    assert_int_equal(store_uploads(s, b, &q, &a, &page, &e), STORE_OK);
    for (size_t i = 0; i < page.n; i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s%.*s%s", i ? " " : "",
                 STR_FMT(page.entries[i].key), page.entries[i].is_prefix ? "*" : "");
    assert_string_equal(got, want);
    assert_int_equal(page.truncated, truncated);
    arena_release(&a);
}

static void test_list(void **state)
{
    struct store *s = store_of(state);
    struct bucket *b = need_bucket(s, "b");
    static const char *const keys[] = {"a", "a/1", "a/2", "a/2", "b", "b/x/y", "c"};
    char id[COUNT_OF(keys)][UPLOAD_ID_LEN], over[UPLOAD_ID_LEN];

    for (unsigned i = 0; i < COUNT_OF(keys); i++) {
        create_upload(s, b, keys[i], id[i]);
        for (unsigned k = 1; k <= i * 4; k++)
            put_part(s, b, keys[i], id[i], k, 5, k);
    }
    create_upload(s, b, "c", over);
    put_part(s, b, "c", over, 1, 5, 1);
    assert_int_equal(abort_upload(s, b, "c", over), STORE_OK); /* its part may still be there */
    struct uploads_query q = {.max = 100};
    assert_page(s, b, q, "a a/1 a/2 a/2 b b/x/y c", false);
    q.max = 4;
    assert_page(s, b, q, "a a/1 a/2 a/2", true);
    q.max = 7;
    assert_page(s, b, q, "a a/1 a/2 a/2 b b/x/y c", false);
    q.max = 100;
    q.key_marker = STR("a/2");
    assert_page(s, b, q, "b b/x/y c", false);
    q.id_marker = str_n(id[2], UPLOAD_ID_LEN);
    assert_page(s, b, q, "a/2 b b/x/y c", false);
    q = (struct uploads_query){.max = 100, .delimiter = STR("/")};
    assert_page(s, b, q, "a a/* b b/* c", false);
    q.key_marker = STR("a/");
    assert_page(s, b, q, "b b/* c", false);
    q.max = 2;
    assert_page(s, b, q, "b b/*", true);
    q = (struct uploads_query){.max = 100, .prefix = STR("b/"), .delimiter = STR("/")};
    assert_page(s, b, q, "b/x/*", false);
    q.max = 0;
    assert_page(s, b, q, "", false);
    /* In the rows a NUL ends the key; in names that clients ask for it is one more byte, which no key has. */
    q = (struct uploads_query){.max = 100, .prefix = str_n("a\0", 2)};
    assert_page(s, b, q, "", false);
    q = (struct uploads_query){.max = 100, .key_marker = str_n("a/2\0", 4)};
    assert_page(s, b, q, "b b/x/y c", false);
    bucket_unref(b);
}

/* --- belfry check --- */

static void check(struct fixture *f, bool well)
{
    struct err e = {0};
    bool opened;

    store_close(f->store);
    f->store = NULL;
    bool good = store_check(f->dir, &opened, &e);
    if (good != well)
        fail_msg("%s", e.text);
    f->store = store_open(f->dir, &f->options, &e);
    assert_non_null(f->store);
}

static bool drop_upload_row(struct kv_txn *t, void *ctx)
{
    struct row_key *k = ctx;
    kv_txn_del(t, KV_META, str_n(k->p, k->n));
    return true;
}

static void test_check(void **state)
{
    struct fixture *f = *state;
    struct bucket *b = need_bucket(f->store, "b");
    char id[UPLOAD_ID_LEN], over[UPLOAD_ID_LEN];
    struct row_key k;

    create_upload(f->store, b, "open", id);
    put_part(f->store, b, "open", id, 1, 5000, 1);
    put_part(f->store, b, "open", id, 2, 5, 1);
    make_many(f->store, b, "many");
    check(f, true);
    bucket_unref(b);
    b = need_bucket(f->store, "b");
    /* What is over, and not yet worked off: the janitor stops with the store. */
    create_upload(f->store, b, "over", over);
    for (unsigned i = 1; i < 40; i++)
        put_part(f->store, b, "over", over, i, 1500, i);
    assert_int_equal(complete_upload(f->store, b, "over", over, (const unsigned[]){1, 20, 30, 0}), STORE_OK);
    assert_int_equal(del(f->store, b, "many"), STORE_OK);
    check(f, true);
    bucket_unref(b);
    b = need_bucket(f->store, "b");
    /* A part whose upload is gone without a trace. */
    row_key_upload(&k, b->id, STR("open"), str_n(id, sizeof id));
    assert_int_equal(kv_commit_wait(store_kv(f->store), drop_upload_row, &k, 0), KV_COMMITTED);
    bucket_unref(b);
    check(f, false);
}

/* The janitor's rows are not synced, its removals of files are: a crash may bring back the part's row. */
static bool write_old_part(struct kv_txn *t, void *ctx)
{
    const struct bucket *b = ctx;
    struct extent x = {EXTENT_BLOB, 0x7777777777, 5000};
    struct object o = {.size = x.length, .seq = 1, .extents = &x, .n_extents = 1};
    struct upload_garbage g = {
        .bucket = b->id, .key = STR("k"), .id = STR("0123456789abcdef0123456789abcdef")};
    struct row_key k;
    struct buf row;

    buf_init(&row, 4096);
    object_encode(&o, &row);
    kv_txn_put(t, KV_META, row_key_part(&k, b->id, g.key, g.id, 1), buf_view(&row));
    buf_reset(&row);
    upload_garbage_encode(&g, &row);
    kv_txn_put(t, KV_META, row_key_garbage(&k, GARBAGE_UPLOAD, kv_txn_sequence(t), 1), buf_view(&row));
    buf_release(&row);
    return true;
}

static void test_check_over(void **state)
{
    struct fixture *f = *state;
    struct bucket *b = need_bucket(f->store, "b");
    assert_int_equal(kv_commit_wait(store_kv(f->store), write_old_part, b, 0), KV_COMMITTED);
    bucket_unref(b);
    check(f, true);
}

#define BOTH(test) \
    cmocka_unit_test_setup_teardown(test, setup_memory, teardown), \
        cmocka_unit_test_setup_teardown(test, setup_rocks, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_garbage_row),
        BOTH(test_upload),
        cmocka_unit_test_setup_teardown(test_abort, setup_memory, teardown),
        BOTH(test_generation),
        cmocka_unit_test_setup_teardown(test_deleted_bucket, setup_memory, teardown),
        cmocka_unit_test_setup_teardown(test_abandoned, setup_memory, teardown),
        BOTH(test_list),
        cmocka_unit_test_setup_teardown(test_check, setup_rocks, teardown),
        cmocka_unit_test_setup_teardown(test_check_over, setup_rocks, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
