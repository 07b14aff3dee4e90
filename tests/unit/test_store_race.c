/* SPDX-License-Identifier: Apache-2.0
 *
 * Objects that change while they are read, stores whose writes fail, bodies that are gone. */
#include "store_help.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "kv/backend.h"

/* --- readers and writers over a few keys --- */

#define KEYS   3
#define ROUNDS 150

struct crowd {
    struct store *store;
    struct bucket *bucket;
    atomic_uint writers;
};

static const size_t sizes[] = {10, 900, 3000, 70000, 200000};

/* The bytes are a function of the size, so that a reader can tell a torn object. */
static void *write_loop(void *arg)
{
    struct crowd *c = arg;
    unsigned x = atomic_fetch_add(&c->writers, 1) * 7;

    for (unsigned i = 0; i < ROUNDS; i++) {
        char key[8];
        x = x * 1664525u + 1013904223u;
        size_t n = sizes[(x >> 16) % COUNT_OF(sizes)];
        snprintf(key, sizeof key, "%u", (x >> 8) % KEYS);
        if (x % 11 == 0)
            del(c->store, c->bucket, key);
        else
            put(c->store, c->bucket, key, n, (unsigned)n);
        store_wake_janitor(c->store);
    }
    atomic_fetch_sub(&c->writers, 1);
    return NULL;
}

static void check_body(struct store_read *r)
{
    size_t n = (size_t)r->object.size;
    char *want = make_body(n, (unsigned)n), *got = malloc(n);
    struct err e = {0};

    for (uint64_t off = 0; !r->is_inline && off < n;) {
        size_t len = n - off < 50000 ? n - off : 50000;
        if (!store_read_bytes(r, off, got + off, len, &e))
            fail_msg("%s", e.text);
        off += len;
    }
    assert_memory_equal(r->is_inline ? r->body.data.p : got, want, n);
    free(want);
    free(got);
}

static void *read_loop(void *arg)
{
    struct crowd *c = arg;
    unsigned seen = 0;

    for (unsigned i = 0; atomic_load(&c->writers) || i < KEYS; i++) {
        struct store_read r;
        struct arena a;
        struct err e = {0};
        char key[8];
        snprintf(key, sizeof key, "%u", i % KEYS);
        arena_init(&a);
        enum store_result res = store_read_open(c->store, c->bucket, str_c(key), false, &a, &r, &e);
        if (res == STORE_OK) {
            check_body(&r);
            store_read_close(&r);
            seen++;
        } else if (res != STORE_MISSING) {
            fail_msg("%s", e.text);
        }
        arena_release(&a);
    }
    return seen ? arg : NULL;
}

static void test_crowd(void **state)
{
    struct store *s = ((struct fixture *)*state)->store;
    struct crowd c = {.store = s, .bucket = need_bucket(s, "b")};
    pthread_t writers[3], readers[2];
    int64_t objects = 0, bytes = 0;

    for (size_t i = 0; i < COUNT_OF(writers); i++)
        writers[i] = thread_start("write", write_loop, &c);
    for (size_t i = 0; i < COUNT_OF(readers); i++)
        readers[i] = thread_start("read", read_loop, &c);
    for (size_t i = 0; i < COUNT_OF(writers); i++)
        thread_join(writers[i]);
    for (size_t i = 0; i < COUNT_OF(readers); i++)
        thread_join(readers[i]);
    run_janitor(s);

    size_t files = 0, bodies = 0;
    for (unsigned i = 0; i < KEYS; i++) {
        struct object o;
        struct arena a;
        char key[8];
        snprintf(key, sizeof key, "%u", i);
        arena_init(&a);
        if (store_object_get(s, c.bucket, str_c(key), false, &a, &o, NULL) == STORE_OK) {
            objects++;
            bytes += (int64_t)o.size;
            files += o.size > INLINE_MAX;
            bodies += o.size <= INLINE_MAX;
        }
        arena_release(&a);
    }
    assert_counters(s, c.bucket, objects, bytes);
    assert_int_equal(count_files(s), files);
    assert_int_equal(count_rows(s, KV_DATA, ""), bodies);
    assert_int_equal(count_rows(s, KV_META, "g"), 0);
    bucket_unref(c.bucket);
}

/* --- a write that fails --- */

struct doomed {
    struct store *store;
    struct bucket *bucket;
    struct store_stage *stage;
    struct object object;
};

static bool doomed_closure(struct kv_txn *t, void *ctx)
{
    struct doomed *d = ctx;

    d->object.seq = kv_txn_sequence(t);
    store_txn_object_put(t, d->store, d->bucket, STR("k"), &d->object, d->stage, NULL);
    assert_int_equal(store_txn_bucket_create(t, d->store, STR("new"), STR(""), 1), STORE_OK);
    return true;
}

/* Nobody can tell whether that batch exists, so the file of its object stays for the next start to judge; the tables in
 * memory do not follow; nothing is admitted any more. */
static void test_failed_batch(void **state)
{
    struct store *s = ((struct fixture *)*state)->store;
    struct doomed d = {.store = s, .bucket = need_bucket(s, "b")};
    char *body = make_body(5000, 1);

    put(s, d.bucket, "old", 5000, 1);
    d.stage = make_stage(s, body, 5000, 0, 5000);
    kv_memory_fail_write(store_kv(s), 1);
    assert_int_equal(kv_commit_wait(store_kv(s), doomed_closure, &d, 0), KV_FAILED);
    stage_discard(d.stage);
    assert_int_equal(count_files(s), 2);
    assert_int_equal(store_admit(s, 0), STORE_FAILED);
    assert_null(store_bucket(s, STR("new")));
    assert_object(s, d.bucket, "old", 5000, 1);
    run_janitor(s);
    assert_int_equal(count_files(s), 2);
    struct store_stats st;
    store_get_stats(s, &st);
    assert_true(st.failed && st.buckets == 1 && st.objects == 1 && st.bytes == 5000);
    free(body);
    bucket_unref(d.bucket);
}

/* --- bodies that are gone --- */

static bool drop_bodies(struct kv_txn *t, void *ctx)
{
    (void)ctx;
    kv_txn_del_range(t, KV_DATA, STR(""), STR("\xff"));
    return true;
}

static bool remove_file(void *ctx, uint64_t id, uint64_t file_size)
{
    (void)file_size;
    assert_int_equal(blob_remove(ctx, id, NULL), BLOB_REMOVED);
    return true;
}

static void test_body_missing(void **state)
{
    struct store *s = ((struct fixture *)*state)->store;
    struct bucket *b = need_bucket(s, "b");
    static const char *const keys[] = {"inline", "file"};

    put(s, b, "inline", 10, 1);
    put(s, b, "file", 5000, 1);
    assert_int_equal(kv_commit_wait(store_kv(s), drop_bodies, NULL, KV_PLAIN), KV_COMMITTED);
    assert_true(blobs_each(s->blobs, remove_file, s->blobs, NULL));
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        struct store_read r;
        struct arena a;
        struct err e = {0};
        arena_init(&a);
        assert_int_equal(store_read_open(s, b, str_c(keys[i]), false, &a, &r, &e), STORE_DAMAGED);
        assert_non_null(strstr(e.text, keys[i]));
        assert_non_null(strstr(e.text, "body is missing"));
        arena_release(&a);
        assert_int_equal(del(s, b, keys[i]), STORE_OK); /* it can still be removed */
    }
    run_janitor(s);
    assert_counters(s, b, 0, 0);
    assert_int_equal(count_rows(s, KV_META, "g"), 0);
    bucket_unref(b);
}

/* ThreadSanitizer cannot see how RocksDB, which is not built with it, orders readers and its writer. Our own threads it sees
 * over rows in memory. */
#if defined(__SANITIZE_THREAD__)
#define BLIND 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define BLIND 1
#endif
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_crowd, setup_memory, teardown),
#ifndef BLIND
        cmocka_unit_test_setup_teardown(test_crowd, setup_rocks, teardown),
#endif
        cmocka_unit_test_setup_teardown(test_failed_batch, setup_memory, teardown),
        cmocka_unit_test_setup_teardown(test_body_missing, setup_memory, teardown),
        cmocka_unit_test_setup_teardown(test_body_missing, setup_rocks, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
