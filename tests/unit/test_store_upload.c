/* SPDX-License-Identifier: Apache-2.0
 *
 * Multipart uploads in the store: parts, generations, the end, what the janitor and belfry check make of it, readers of
 * objects of many pieces. */
#include "upload_help.h"

#include <stdlib.h>

#include "base/clock.h"
#include "store/upload_rows.h"

static struct store *store_of(void **state)
{
    return ((struct fixture *)*state)->store;
}

/* Until nothing is left to do: what a pass makes garbage of, the next one removes. */
static void clean(struct store *s)
{
    run_janitor(s);
    run_janitor(s);
}

static void assert_rows(struct store *s, size_t uploads, size_t extents_rows)
{
    assert_int_equal(count_rows(s, KV_META, "u"), uploads);
    assert_int_equal(count_rows(s, KV_META, "e"), extents_rows);
    assert_int_equal(count_rows(s, KV_META, "g"), 0);
}

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
    clean(s);
    assert_parts(s, b, "k", (const size_t[]){70000, 5000, 10, 0}, (const unsigned[]){1, 2, 3});
    assert_rows(s, 0, 0);
    assert_int_equal(count_files(s), 2);
    assert_int_equal(count_rows(s, KV_DATA, ""), 1);
    assert_int_equal(complete_upload(s, b, "k", id, (const unsigned[]){1, 0}), STORE_MISSING);
    assert_int_equal(try_part(s, b, "k", id, 1, 10, 1), STORE_MISSING);
    assert_int_equal(del(s, b, "k"), STORE_OK);
    clean(s);
    assert_rows(s, 0, 0);
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
    clean(s);
    assert_rows(s, 2, 0);
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
    clean(s);
    assert_parts(s, b, "k", (const size_t[]){6000, 0}, (const unsigned[]){2});
    assert_int_equal(count_files(s), 1);
    bucket_unref(b);
}

/* --- objects of many pieces --- */

#define MANY 40

static void make_many(struct store *s, const struct bucket *b, const char *key)
{
    unsigned numbers[MANY + 1] = {0};
    char id[UPLOAD_ID_LEN];

    create_upload(s, b, key, id);
    for (unsigned i = 0; i < MANY; i++) {
        numbers[i] = i + 1;
        put_part(s, b, key, id, i + 1, i % 5 ? 1500 : 7, i);
    }
    assert_int_equal(complete_upload(s, b, key, id, numbers), STORE_OK);
}

static void assert_many(struct store *s, const struct bucket *b, const char *key)
{
    size_t sizes[MANY + 1] = {0};
    unsigned seeds[MANY];

    for (unsigned i = 0; i < MANY; i++) {
        sizes[i] = i % 5 ? 1500 : 7;
        seeds[i] = i;
    }
    assert_parts(s, b, key, sizes, seeds);
}

static void test_many(void **state)
{
    struct store *s = store_of(state);
    struct bucket *b = need_bucket(s, "b");

    make_many(s, b, "k");
    assert_many(s, b, "k");
    clean(s);
    assert_rows(s, 0, 1);
    assert_many(s, b, "k");
    assert_int_equal(commit_put(s, b, "k", NULL), STORE_OK); /* metadata alone */
    assert_many(s, b, "k");
    copy_object(s, b, "k", "copy");
    assert_rows(s, 0, 2);
    put(s, b, "k", 10, 1);
    clean(s);
    assert_rows(s, 0, 1);
    assert_int_equal(count_files(s), 1);
    assert_int_equal(count_rows(s, KV_DATA, ""), 1);
    assert_many(s, b, "copy");
    assert_int_equal(del(s, b, "copy"), STORE_OK);
    clean(s);
    assert_rows(s, 0, 0);
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
    clean(s);
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
    clean(s);
    arena_init(&a);
    assert_int_equal(store_read_open(s, b, STR("k"), false, &a, &r, &e), STORE_OK);
    put(s, b, "k", 10, 1);
    clean(s);
    assert_true(store_read_bytes(&r, r.object.size - sizeof got, got, sizeof got, &e));
    assert_memory_equal(got, want, sizeof got);
    assert_true(store_read_bytes(&r, 0, got, 7, &e));
    store_read_close(&r);
    arena_release(&a);
    clean(s);
    clean(s);
    assert_int_equal(count_files(s), 0);
    assert_rows(s, 0, 0);
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
    clean(s);
    assert_int_equal(del(s, c.bucket, "k"), STORE_OK);
    clean(s);
    assert_rows(s, 0, 0);
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
    clean(between_store);
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
    clean(s);
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
    clean(s);
    clean(s);
    assert_rows(s, 0, 0);
    assert_int_equal(count_rows(s, KV_META, "o"), 0);
    assert_int_equal(count_files(s), 0);
    assert_int_equal(count_rows(s, KV_DATA, ""), 0);
    bucket_unref(b);
    b = need_bucket(s, "b");
    create_upload(s, b, "k", open);
    put_part(s, b, "k", open, 1, 10, 1);
    assert_int_equal(delete_bucket(s, "b", false), STORE_OK); /* open uploads do not hold a bucket */
    clean(s);
    assert_rows(s, 0, 0);
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
    clean(s);
}

static void test_abandoned(void **state)
{
    struct store *s = store_of(state);
    struct bucket *b = need_bucket(s, "b");
    char old[20][UPLOAD_ID_LEN], alive[UPLOAD_ID_LEN];

    clean(s); /* the first look, which comes with the start, must not fall among the uploads */
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
    assert_rows(s, 2, 0);
    assert_int_equal(count_files(s), 1);
    assert_int_equal(count_rows(s, KV_DATA, ""), 0);
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
    clean(s);
    assert_rows(s, 0, 0);
    free(parts);
    free(extents);
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
    clean(s);
    assert_rows(s, 0, 0);
    arena_release(&a);
    bucket_unref(b);
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
        cmocka_unit_test_setup_teardown(test_copy_in_steps, setup_memory, teardown),
        BOTH(test_generation),
        BOTH(test_many),
        BOTH(test_pinned),
        BOTH(test_replaced_before_the_pins),
        cmocka_unit_test_setup_teardown(test_readers, setup_memory, teardown),
        cmocka_unit_test_setup_teardown(test_deleted_bucket, setup_memory, teardown),
        cmocka_unit_test_setup_teardown(test_abandoned, setup_memory, teardown),
        BOTH(test_discarded),
        BOTH(test_ten_thousand),
        BOTH(test_list),
        BOTH(test_damaged_extents_row),
        cmocka_unit_test_setup_teardown(test_check, setup_rocks, teardown),
        cmocka_unit_test_setup_teardown(test_check_over, setup_rocks, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
