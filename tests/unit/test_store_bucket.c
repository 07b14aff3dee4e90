/* SPDX-License-Identifier: Apache-2.0
 *
 * Buckets: creation, rules and their versions, deletion, and what the janitor leaves of a deleted one. */
#include "store_help.h"

#include <stdlib.h>

/* A 'compiled form' that can be told apart and counted. */
static atomic_int compiled_alive;

static void *compile(struct str rules)
{
    atomic_fetch_add(&compiled_alive, 1);
    return str_dupz(rules);
}

static void compiled_free(void *compiled)
{
    atomic_fetch_sub(&compiled_alive, 1);
    free(compiled);
}

/* The fixture with a compiler of rules. */
static int setup_rules(void **state, int (*setup)(void **state))
{
    if (setup(state) != 0)
        return -1;
    struct fixture *f = *state;
    f->options.rules_compile = f->store->options.rules_compile = compile;
    f->options.rules_free = f->store->options.rules_free = compiled_free;
    return 0;
}

static int setup_memory_rules(void **state)
{
    return setup_rules(state, setup_memory);
}

static int setup_rocks_rules(void **state)
{
    return setup_rules(state, setup_rocks);
}

static int teardown_rules(void **state)
{
    int r = teardown(state);
    assert_int_equal(atomic_load(&compiled_alive), 0);
    return r;
}

static void assert_buckets(struct store *s, const char *want)
{
    struct bucket **v;
    char got[256] = "";
    size_t n = store_buckets(s, &v);

    for (size_t i = 0; i < n; i++) {
        strncat(got, i ? " " : "", sizeof got - strlen(got) - 1);
        strncat(got, v[i]->name.p, v[i]->name.n);
        bucket_unref(v[i]);
    }
    free(v);
    assert_string_equal(got, want);
}

static void test_create_delete(void **state)
{
    struct fixture *f = *state;

    assert_null(store_bucket(f->store, STR("b")));
    assert_int_equal(create_bucket(f->store, "b"), STORE_OK);
    assert_int_equal(create_bucket(f->store, "b"), STORE_EXISTS);
    assert_int_equal(create_bucket(f->store, "a"), STORE_OK);
    assert_int_equal(create_bucket(f->store, "bb"), STORE_OK);
    assert_buckets(f->store, "a b bb");
    struct bucket *b = need_bucket(f->store, "b");
    assert_true(str_eq(b->region, STR("us-east-1")) && b->created_ns > 0 && b->rules_version == 0 &&
                !b->compiled);
    assert_int_equal(delete_bucket(f->store, "b", false), STORE_OK);
    assert_int_equal(delete_bucket(f->store, "b", false), STORE_MISSING);
    assert_null(store_bucket(f->store, STR("b")));
    assert_buckets(f->store, "a bb");
    struct bucket *again = need_bucket(f->store, "b");
    assert_true(again->id > b->id);
    if (f->rocks) {
        uint64_t id = again->id;
        bucket_unref(again);
        reopen(f);
        assert_buckets(f->store, "a b bb");
        again = need_bucket(f->store, "b");
        assert_int_equal(again->id, id);
        assert_true(store_new_id(f->store) >= id + STORE_ID_BLOCK - 1000);
    }
    bucket_unref(again);
    bucket_unref(b);
    run_janitor(f->store);
    assert_int_equal(count_rows(f->store, KV_META, "g"), 0);
}

static bool check_closure(struct kv_txn *t, void *ctx)
{
    struct {
        const struct bucket *b;
        enum store_result r;
    } *c = ctx;
    c->r = store_txn_bucket_check(t, c->b);
    return false;
}

static enum store_result check(struct store *s, const struct bucket *b)
{
    struct {
        const struct bucket *b;
        enum store_result r;
    } c = {b, STORE_OK};
    kv_commit_wait(store_kv(s), check_closure, &c, 0);
    return c.r;
}

static void test_rules(void **state)
{
    struct fixture *f = *state;
    struct bucket *first = need_bucket(f->store, "b");

    assert_int_equal(check(f->store, first), STORE_OK);
    assert_int_equal(set_rules(f->store, first, "one"), STORE_OK);
    assert_int_equal(check(f->store, first), STORE_AGAIN);
    assert_int_equal(set_rules(f->store, first, "late"), STORE_AGAIN);

    struct bucket *second = need_bucket(f->store, "b");
    assert_int_equal(second->id, first->id);
    assert_int_equal(second->rules_version, 1);
    assert_true(str_eq(second->rules, STR("one")));
    assert_string_equal(second->compiled, "one");
    assert_true(first->rules.n == 0 && !first->compiled); /* as it was when asked */
    assert_int_equal(check(f->store, second), STORE_OK);
    bucket_unref(first);

    char *body = make_body(10, 1);
    struct store_stage *st = make_stage(f->store, body, 10, 0, 10);
    assert_int_equal(set_rules(f->store, second, ""), STORE_OK);
    assert_int_equal(commit_put(f->store, second, "k", st), STORE_AGAIN);
    struct bucket *third = need_bucket(f->store, "b");
    assert_true(third->rules_version == 2 && !third->compiled && third->rules.n == 0);
    assert_int_equal(commit_put(f->store, third, "k", st), STORE_OK);
    stage_committed(st);
    free(body);
    assert_int_equal(set_rules(f->store, third, "three"), STORE_OK);
    bucket_unref(second);
    bucket_unref(third);

    if (f->rocks)
        reopen(f);
    struct bucket *last = need_bucket(f->store, "b");
    assert_true(last->rules_version == 3 && str_eq(last->rules, STR("three")));
    assert_string_equal(last->compiled, "three");
    bucket_unref(last);
}

/* Closures of one batch, over one bucket: each sees what the ones before it did to it. */
struct step {
    struct store *store;
    const struct bucket *bucket;
    enum store_result got[6];
};

static bool rename_steps(struct kv_txn *t, void *ctx)
{
    struct step *s = ctx;

    s->got[0] = store_txn_bucket_rules(t, s->store, s->bucket, STR("x"));
    s->got[1] = store_txn_bucket_check(t, s->bucket);
    s->got[2] = store_txn_bucket_delete(t, s->store, STR("b"), false);
    s->got[3] = store_txn_bucket_check(t, s->bucket);
    s->got[4] = store_txn_bucket_create(t, s->store, STR("b"), STR("eu"), 5);
    s->got[5] = store_txn_bucket_check(t, s->bucket);
    return true;
}

static void test_one_batch(void **state)
{
    struct fixture *f = *state;
    struct bucket *b = need_bucket(f->store, "b");
    struct step s = {.store = f->store, .bucket = b};
    static const enum store_result want[] = {STORE_OK,      STORE_AGAIN, STORE_OK,
                                             STORE_MISSING, STORE_OK,    STORE_MISSING};

    assert_int_equal(kv_commit_wait(store_kv(f->store), rename_steps, &s, 0), KV_COMMITTED);
    for (size_t i = 0; i < COUNT_OF(want); i++)
        assert_int_equal(s.got[i], want[i]);
    struct bucket *now = need_bucket(f->store, "b");
    assert_true(now->id > b->id && str_eq(now->region, STR("eu")) && now->rules.n == 0);
    assert_int_equal(check(f->store, now), STORE_OK);
    assert_int_equal(check(f->store, b), STORE_MISSING);
    bucket_unref(now);
    bucket_unref(b);
}

static void test_not_empty(void **state)
{
    struct store *s = ((struct fixture *)*state)->store;
    struct bucket *b = need_bucket(s, "b");

    put(s, b, "k", 10, 1);
    assert_int_equal(delete_bucket(s, "b", false), STORE_NOT_EMPTY);
    assert_object(s, b, "k", 10, 1);
    assert_int_equal(del(s, b, "k"), STORE_OK);
    assert_int_equal(delete_bucket(s, "b", false), STORE_OK);
    assert_int_equal(check(s, b), STORE_MISSING);
    bucket_unref(b);
}

static void fill(struct store *s, struct bucket *b, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char key[32];
        snprintf(key, sizeof key, "k/%u", i);
        put(s, b, key, i % 20 == 0 ? 2000 : i % 3, i);
    }
}

/* A deleted bucket's rows, bodies and files go; those of others stay. */
static void test_force_delete(void **state)
{
    struct store *s = ((struct fixture *)*state)->store;
    struct bucket *b = need_bucket(s, "b"), *other = need_bucket(s, "other");

    fill(s, b, 450);
    assert_int_equal(set_rules(s, other, "rules"), STORE_OK);
    bucket_unref(other);
    other = need_bucket(s, "other");
    put(s, other, "k/1", 5000, 1);
    put(s, other, "k/2", 50, 2);
    assert_int_equal(delete_bucket(s, "b", true), STORE_OK);
    run_janitor(s);
    assert_int_equal(count_rows(s, KV_META, "o"), 2);
    assert_int_equal(count_rows(s, KV_META, "g"), 0);
    assert_int_equal(count_rows(s, KV_META, "n"), 1);
    assert_int_equal(count_rows(s, KV_META, "r"), 1);
    assert_int_equal(count_rows(s, KV_DATA, ""), 1);
    assert_int_equal(count_files(s), 1);
    assert_object(s, other, "k/1", 5000, 1);
    struct bucket *again = need_bucket(s, "b");
    assert_absent(s, again, "k/1");
    assert_counters(s, again, 0, 0);
    bucket_unref(again);
    bucket_unref(b);
    bucket_unref(other);
}

#define BOTH(test) \
    cmocka_unit_test_setup_teardown(test, setup_memory_rules, teardown_rules), \
        cmocka_unit_test_setup_teardown(test, setup_rocks_rules, teardown_rules)

int main(void)
{
    const struct CMUnitTest tests[] = {BOTH(test_create_delete), BOTH(test_rules), BOTH(test_one_batch),
                                       BOTH(test_not_empty), BOTH(test_force_delete)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
