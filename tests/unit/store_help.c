/* SPDX-License-Identifier: Apache-2.0
 *
 * Helpers of the store tests. */
#include "store_help.h"

#include <ftw.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

void remove_dir(const char *dir)
{
    nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

void make_dir(char *dir, size_t size)
{
    snprintf(dir, size, "%.30s/store-XXXXXX", temp_dir());
    assert_non_null(mkdtemp(dir));
}

static int setup(void **state, bool rocks)
{
    struct fixture *f = x_calloc(1, sizeof *f);
    struct err e = {0};

    f->rocks = rocks;
    f->options = (struct store_options){.inline_max = INLINE_MAX, .memory = 16u << 20};
    make_dir(f->dir, sizeof f->dir);
    f->store = rocks ? store_open(f->dir, &f->options, &e) : store_open_memory(f->dir, &f->options, &e);
    if (!f->store) {
        print_error("%s\n", e.text);
        return -1;
    }
    *state = f;
    return 0;
}

int setup_memory(void **state)
{
    return setup(state, false);
}

int setup_rocks(void **state)
{
    return setup(state, true);
}

int teardown(void **state)
{
    struct fixture *f = *state;
    store_close(f->store);
    remove_dir(f->dir);
    free(f);
    return 0;
}

void reopen(struct fixture *f)
{
    struct err e = {0};

    assert_true(f->rocks);
    store_close(f->store);
    f->store = store_open(f->dir, &f->options, &e);
    if (!f->store)
        fail_msg("%s", e.text);
}

/* --- changes --- */

struct change {
    struct store *store;
    const struct bucket *bucket;
    struct str key, value;
    struct store_stage *stage;
    bool force;
    unsigned parts;
    enum store_result result;
};

static bool create_closure(struct kv_txn *t, void *ctx)
{
    struct change *c = ctx;
    c->result = store_txn_bucket_create(t, c->store, c->key, STR("us-east-1"), clock_real_ns());
    return c->result == STORE_OK;
}

static bool delete_bucket_closure(struct kv_txn *t, void *ctx)
{
    struct change *c = ctx;
    c->result = store_txn_bucket_delete(t, c->store, c->key, c->force);
    return c->result == STORE_OK;
}

static bool rules_closure(struct kv_txn *t, void *ctx)
{
    struct change *c = ctx;
    c->result = store_txn_bucket_rules(t, c->store, c->bucket, c->value);
    return c->result == STORE_OK;
}

static bool put_closure(struct kv_txn *t, void *ctx)
{
    struct change *c = ctx;
    struct object old, now = {0};
    struct arena a;

    c->result = store_txn_bucket_check(t, c->bucket);
    if (c->result != STORE_OK)
        return false;
    arena_init(&a);
    enum store_result had = store_txn_object_get(t, c->bucket, c->key, &a, &old);
    now.seq = kv_txn_sequence(t);
    now.parts = c->stage ? c->parts : had == STORE_OK ? old.parts : 0;
    now.mtime_ns = clock_real_ns();
    store_txn_object_put(t, c->store, c->bucket, c->key, &now, c->stage, had == STORE_OK ? &old : NULL);
    arena_release(&a);
    return true;
}

static bool del_closure(struct kv_txn *t, void *ctx)
{
    struct change *c = ctx;
    struct object old;
    struct arena a;

    c->result = store_txn_bucket_check(t, c->bucket);
    if (c->result != STORE_OK)
        return false;
    arena_init(&a);
    c->result = store_txn_object_get(t, c->bucket, c->key, &a, &old);
    if (c->result == STORE_OK)
        store_txn_object_delete(t, c->store, c->bucket, c->key, &old);
    arena_release(&a);
    return c->result == STORE_OK;
}

static enum store_result commit(struct change *c, bool (*fn)(struct kv_txn *t, void *ctx))
{
    enum kv_outcome o = kv_commit_wait(store_kv(c->store), fn, c, 0);
    assert_int_equal(o, c->result == STORE_OK ? KV_COMMITTED : KV_ABORTED);
    return c->result;
}

enum store_result create_bucket(struct store *s, const char *name)
{
    return commit(&(struct change){.store = s, .key = str_c(name)}, create_closure);
}

enum store_result delete_bucket(struct store *s, const char *name, bool force)
{
    return commit(&(struct change){.store = s, .key = str_c(name), .force = force}, delete_bucket_closure);
}

enum store_result set_rules(struct store *s, const struct bucket *b, const char *rules)
{
    return commit(&(struct change){.store = s, .bucket = b, .value = str_c(rules)}, rules_closure);
}

struct bucket *need_bucket(struct store *s, const char *name)
{
    struct bucket *b = store_bucket(s, str_c(name));
    if (!b) {
        assert_int_equal(create_bucket(s, name), STORE_OK);
        b = store_bucket(s, str_c(name));
    }
    assert_non_null(b);
    return b;
}

char *make_body(size_t n, unsigned seed)
{
    char *p = x_malloc(n ? n : 1);
    uint32_t x = seed * 2654435761u + 1;

    for (size_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        p[i] = (char)(x >> 24);
    }
    return p;
}

struct store_stage *make_stage(struct store *s, const char *body, size_t n, size_t piece, int64_t announced)
{
    struct err e = {0};
    enum store_result r;
    struct store_stage *st = stage_begin(s, announced, &r, &e);

    if (r != STORE_OK)
        fail_msg("%s", e.text);
    for (size_t off = 0; off < n;) {
        size_t take = piece && piece < n - off ? piece : n - off;
        assert_int_equal(stage_append(st, body + off, take, &e), STORE_OK);
        off += take;
    }
    assert_int_equal(stage_finish(st, &e), STORE_OK);
    assert_int_equal(stage_size(st), n);
    assert_int_equal(stage_is_inline(st), n <= INLINE_MAX);
    return st;
}

enum store_result commit_put(struct store *s, const struct bucket *b, const char *key, struct store_stage *st)
{
    return commit(&(struct change){.store = s, .bucket = b, .key = str_c(key), .stage = st}, put_closure);
}

enum store_result commit_copy(struct store *s, const struct bucket *b, const char *key,
                              struct store_stage *st, unsigned parts)
{
    return commit(&(struct change){.store = s, .bucket = b, .key = str_c(key), .stage = st, .parts = parts},
                  put_closure);
}

void put(struct store *s, const struct bucket *b, const char *key, size_t n, unsigned seed)
{
    char *body = make_body(n, seed);
    struct store_stage *st = make_stage(s, body, n, 0, (int64_t)n);

    assert_int_equal(commit_put(s, b, key, st), STORE_OK);
    stage_committed(st);
    free(body);
}

enum store_result del(struct store *s, const struct bucket *b, const char *key)
{
    return commit(&(struct change){.store = s, .bucket = b, .key = str_c(key)}, del_closure);
}

/* --- looking --- */

static void assert_pieces(struct store_read *r, const char *want, size_t n)
{
    struct err e = {0};
    char *got = x_malloc(n);

    for (uint64_t off = 0; off < n;) {
        struct store_piece p;
        if (!store_read_piece(r, off, 100000, &p, &e))
            fail_msg("%s", e.text);
        if (p.fd < 0)
            memcpy(got + off, p.p, p.n);
        else
            assert_int_equal(pread(p.fd, got + off, p.n, (off_t)p.fd_off), p.n);
        off += p.n;
    }
    assert_memory_equal(got, want, n);
    free(got);
}

void assert_object(struct store *s, const struct bucket *b, const char *key, size_t n, unsigned seed)
{
    struct store_read r;
    struct arena a;
    struct err e = {0};
    char *want = make_body(n, seed);

    arena_init(&a);
    if (store_read_open(s, b, str_c(key), false, &a, &r, &e) != STORE_OK)
        fail_msg("%s: %s", key, e.text);
    assert_int_equal(r.object.size, n);
    assert_int_equal(r.is_inline, n <= INLINE_MAX);
    if (r.is_inline) {
        assert_int_equal(r.body.data.n, n);
        if (n)
            assert_memory_equal(r.body.data.p, want, n);
    } else {
        assert_pieces(&r, want, n);
    }
    store_read_close(&r);
    arena_release(&a);
    free(want);
}

void assert_absent(struct store *s, const struct bucket *b, const char *key)
{
    struct object o;
    struct arena a;

    arena_init(&a);
    assert_int_equal(store_object_get(s, b, str_c(key), false, &a, &o, NULL), STORE_MISSING);
    arena_release(&a);
}

void assert_counters(struct store *s, const struct bucket *b, int64_t objects, int64_t bytes)
{
    int64_t c[KV_COUNTERS];
    struct row_key k;

    assert_true(kv_counters(store_kv(s), row_key_id(&k, 'n', b->id), c, NULL));
    assert_int_equal(c[0], objects);
    assert_int_equal(c[1], bytes);
}

size_t count_rows(struct store *s, enum kv_space space, const char *prefix)
{
    struct str key, value, end = prefix[0] ? STR("\xff") : STR("\xff\xff\xff\xff\xff\xff\xff\xff\xff");
    struct kv_scan *scan = kv_scan_open(store_kv(s), space, str_c(prefix), end);
    size_t n = 0;

    while (kv_scan_next(scan, &key, &value))
        n += str_starts(key, str_c(prefix));
    kv_scan_close(scan);
    return n;
}

static bool count_one(void *ctx, uint64_t id, uint64_t file_size)
{
    (void)id;
    (void)file_size;
    ++*(size_t *)ctx;
    return true;
}

size_t count_files(struct store *s)
{
    size_t n = 0;
    assert_true(blobs_each(s->blobs, count_one, &n, NULL));
    return n;
}

void run_janitor(struct store *s)
{
    assert_true(janitor_wait(s, clock_mono_ms() + WAIT_MS));
}
