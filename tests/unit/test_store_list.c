/* SPDX-License-Identifier: Apache-2.0
 *
 * Listings against a naive model: random keys, prefixes, delimiters, markers and page sizes from a seed; and that groups
 * are skipped, not walked. */
#include "store_help.h"

#include <stdlib.h>

#define KEYS 300

struct model {
    char *keys[KEYS]; /* sorted, unique */
    size_t n;
};

static uint32_t rng;
static uint32_t draw(uint32_t below)
{
    rng = rng * 1664525u + 1013904223u;
    return (rng >> 8) % below;
}

/* Few letters, so that prefixes and groups are shared. */
static char *random_key(size_t max)
{
    static const char letters[] = "ab/-\xff";
    size_t n = 1 + draw((uint32_t)max);
    char *z = x_malloc(n + 1);

    for (size_t i = 0; i < n; i++)
        z[i] = letters[draw(sizeof letters - 1)];
    z[n] = 0;
    return z;
}

static int by_key(const void *a, const void *b)
{
    return str_cmp(str_c(*(char *const *)a), str_c(*(char *const *)b));
}

static void make_model(struct model *m)
{
    m->n = 0;
    for (size_t i = 0; i < KEYS; i++)
        m->keys[i] = random_key(8);
    qsort(m->keys, KEYS, sizeof *m->keys, by_key);
    for (size_t i = 0; i < KEYS; i++) {
        if (m->n && strcmp(m->keys[i], m->keys[m->n - 1]) == 0)
            free(m->keys[i]);
        else
            m->keys[m->n++] = m->keys[i];
    }
}

/* The length of the group that s is in, or is; 0: none. */
static size_t group_length(struct str s, const struct list_query *q)
{
    if (!q->delimiter.n || !str_starts(s, q->prefix))
        return 0;
    ptrdiff_t i = str_find(str_from(s, q->prefix.n), q->delimiter);
    return i < 0 ? 0 : q->prefix.n + (size_t)i + q->delimiter.n;
}

struct want {
    struct str key;
    bool is_prefix;
};

/* What a page holds, by looking at each key. Returns the number; one more than max means truncated. */
static size_t naive(const struct model *m, const struct list_query *q, struct want *out)
{
    struct str after = str_head(q->after, group_length(q->after, q) ? group_length(q->after, q) : q->after.n);
    bool after_group = group_length(q->after, q) != 0;
    size_t n = 0;

    for (size_t i = 0; i < m->n && n <= q->max; i++) {
        struct str key = str_c(m->keys[i]);
        if (!str_starts(key, q->prefix) || (q->after.n && str_cmp(key, after) <= 0))
            continue;
        if (after_group && str_starts(key, after))
            continue;
        size_t g = group_length(key, q);
        struct want w = {g ? str_head(key, g) : key, g != 0};
        if (n && out[n - 1].is_prefix && w.is_prefix && str_eq(out[n - 1].key, w.key))
            continue;
        out[n++] = w;
    }
    return n;
}

static void compare(struct store *s, const struct bucket *b, const struct model *m,
                    const struct list_query *q)
{
    struct want want[KEYS + 1];
    struct list_page page;
    struct arena a;
    struct err e = {0};

    arena_init(&a);
    assert_int_equal(store_list(s, b, q, &a, &page, &e), STORE_OK);
    size_t n = naive(m, q, want);
    bool truncated = q->max && n > q->max;
    assert_int_equal(page.truncated, truncated);
    assert_int_equal(page.n, n > q->max ? q->max : n);
    for (size_t i = 0; i < page.n; i++) {
        assert_true(str_eq(page.entries[i].key, want[i].key));
        assert_int_equal(page.entries[i].is_prefix, want[i].is_prefix);
        if (!page.entries[i].is_prefix)
            assert_int_equal(page.entries[i].object.size, 3);
    }
    if (truncated)
        assert_true(str_eq(page.next, want[q->max - 1].key));
    arena_release(&a);
}

/* Pages one after the other give what one page without a limit gives. */
static void walk(struct store *s, const struct bucket *b, struct list_query q, size_t max)
{
    struct list_page all, page = {.truncated = true};
    struct arena a;
    struct err e = {0};
    size_t n = 0;

    arena_init(&a);
    q.max = 1000;
    assert_int_equal(store_list(s, b, &q, &a, &all, &e), STORE_OK);
    q.max = max;
    while (page.truncated) {
        assert_int_equal(store_list(s, b, &q, &a, &page, &e), STORE_OK);
        for (size_t i = 0; i < page.n; i++)
            assert_true(str_eq(page.entries[i].key, all.entries[n++].key));
        q.after = page.next;
    }
    assert_int_equal(n, all.n);
    arena_release(&a);
}

static void test_random(void **state)
{
    struct store *s = ((struct fixture *)*state)->store;
    const char *seed = getenv("BELFRY_TEST_SEED");
    uint64_t start = 1;

    if (seed)
        assert_true(str_to_u64(str_c(seed), &start));
    for (unsigned round = 0; round < 3; round++) {
        struct model m;
        char name[16];
        rng = (uint32_t)start + round;
        print_message("seed %u\n", rng);
        make_model(&m);
        snprintf(name, sizeof name, "b%u", round);
        struct bucket *b = need_bucket(s, name);
        for (size_t i = 0; i < m.n; i++)
            put(s, b, m.keys[i], 3, 1);
        for (unsigned i = 0; i < 400; i++) {
            char *prefix = draw(2) ? random_key(3) : x_strdup(""),
                 *after = draw(2) ? random_key(6) : x_strdup("");
            static const char *const delimiters[] = {"", "/", "-", "ab", "//", "\xff"};
            struct list_query q = {.prefix = str_c(prefix),
                                   .delimiter = str_c(delimiters[draw(COUNT_OF(delimiters))]),
                                   .after = str_c(after),
                                   .max = draw(4) ? draw(20) : KEYS};
            compare(s, b, &m, &q);
            if (i % 20 == 0)
                walk(s, b, q, 1 + draw(7));
            free(prefix);
            free(after);
        }
        for (size_t i = 0; i < m.n; i++)
            free(m.keys[i]);
        bucket_unref(b);
    }
}

static void test_edges(void **state)
{
    struct store *s = ((struct fixture *)*state)->store;
    struct bucket *b = need_bucket(s, "b"), *other = need_bucket(s, "c");
    struct model m = {.keys = {"a/b/1", "a/b/2", "a/c", "b"}, .n = 4}, none = {.n = 0};
    static const struct list_query rows[] = {
        {.max = 0},
        {.max = 1},
        {.max = 4},
        {.max = 5},
        {.delimiter = {"/", 1}, .max = 1},
        {.delimiter = {"/", 1}, .after = {"a/", 2}, .max = 5},
        {.delimiter = {"/", 1}, .after = {"a/b/1", 5}, .max = 5},
        {.prefix = {"a/", 2}, .delimiter = {"/", 1}, .after = {"a/b/", 4}, .max = 5},
        {.prefix = {"a/", 2}, .after = {"a/", 2}, .max = 5},
        {.prefix = {"a/", 2}, .after = {"0", 1}, .max = 5},
        {.prefix = {"a/", 2}, .after = {"z", 1}, .max = 5},
        {.prefix = {"zz", 2}, .max = 5},
        {.prefix = {"\xff\xff", 2}, .delimiter = {"\xff", 1}, .max = 5},
    };

    for (size_t i = 0; i < m.n; i++)
        put(s, b, m.keys[i], 3, 1);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        compare(s, b, &m, &rows[i]);
        compare(s, other, &none, &rows[i]);
    }
    bucket_unref(b);
    bucket_unref(other);
}

/* A prefix longer than any key is no error. */
static void test_long_prefix(void **state)
{
    struct store *s = ((struct fixture *)*state)->store;
    struct bucket *b = need_bucket(s, "b");
    char text[5000];
    struct list_page page;
    struct arena a;

    memset(text, 'x', sizeof text);
    arena_init(&a);
    struct list_query q = {.prefix = str_n(text, sizeof text), .after = str_n(text, sizeof text), .max = 10};
    assert_int_equal(store_list(s, b, &q, &a, &page, NULL), STORE_OK);
    assert_int_equal(page.n, 0);
    arena_release(&a);
    bucket_unref(b);
}

static bool put_damaged(struct kv_txn *t, void *ctx)
{
    const struct bucket *b = ctx;
    struct row_key k;

    kv_txn_put(t, KV_META, row_key_object(&k, b->id, STR("bad")), STR("\x01\xff\xff"));
    return true;
}

static void test_damaged_row(void **state)
{
    struct store *s = ((struct fixture *)*state)->store;
    struct bucket *b = need_bucket(s, "b");
    struct list_query q = {.max = 10};
    struct list_page page;
    struct object o;
    struct store_read r;
    struct arena a;
    struct err e = {0};

    arena_init(&a);
    assert_int_equal(kv_commit_wait(store_kv(s), put_damaged, b, 0), KV_COMMITTED);
    assert_int_equal(store_object_get(s, b, STR("bad"), false, &a, &o, &e), STORE_DAMAGED);
    assert_non_null(strstr(e.text, "b/bad"));
    assert_int_equal(store_read_open(s, b, STR("bad"), false, &a, &r, &e), STORE_DAMAGED);
    assert_int_equal(store_list(s, b, &q, &a, &page, &e), STORE_DAMAGED);
    assert_non_null(strstr(e.text, "b/bad"));
    arena_release(&a);
    bucket_unref(b);
}

#define BOTH(test) \
    cmocka_unit_test_setup_teardown(test, setup_memory, teardown), \
        cmocka_unit_test_setup_teardown(test, setup_rocks, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {BOTH(test_random), BOTH(test_edges), BOTH(test_long_prefix),
                                       BOTH(test_damaged_row)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
