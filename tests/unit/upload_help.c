/* SPDX-License-Identifier: Apache-2.0
 *
 * Helpers of the tests of multipart uploads. */
#include "upload_help.h"

#include <stdlib.h>

#include "base/clock.h"

struct step {
    struct store *store;
    const struct bucket *bucket;
    struct str key, id;
    unsigned number;
    uint64_t generation;
    struct object object;
    struct store_stage *stage;
    struct part_set used;
    enum store_result result;
};

static enum store_result commit(struct step *c, bool (*fn)(struct kv_txn *t, void *ctx))
{
    enum kv_outcome o = kv_commit_wait(store_kv(c->store), fn, c, 0);
    assert_int_equal(o, c->result == STORE_OK ? KV_COMMITTED : KV_ABORTED);
    return c->result;
}

static bool create_closure(struct kv_txn *t, void *ctx)
{
    struct step *c = ctx;
    struct store_upload u = {.id = c->id, .generation = 1};

    u.object.seq = kv_txn_sequence(t);
    u.object.mtime_ns = clock_real_ns();
    store_txn_upload_create(t, c->bucket, c->key, &u);
    return true;
}

void create_upload(struct store *s, const struct bucket *b, const char *key, char id[UPLOAD_ID_LEN])
{
    store_upload_id(s, id);
    struct step c = {.store = s, .bucket = b, .key = str_c(key), .id = str_n(id, UPLOAD_ID_LEN)};
    assert_int_equal(commit(&c, create_closure), STORE_OK);
}

static bool part_closure(struct kv_txn *t, void *ctx)
{
    struct step *c = ctx;
    struct store_upload u;
    struct object old;
    struct arena a;

    arena_init(&a);
    c->result = store_txn_bucket_check(t, c->bucket);
    if (c->result == STORE_OK)
        c->result = store_txn_upload_get(t, c->bucket, c->key, c->id, &a, &u);
    if (c->result == STORE_OK) {
        bool had = store_txn_part_get(t, c->bucket, c->key, c->id, c->number, &a, &old) == STORE_OK;
        c->object.seq = kv_txn_sequence(t);
        store_txn_part_put(t, c->bucket, c->key, &u, c->number, &c->object, c->stage, had ? &old : NULL);
    }
    arena_release(&a);
    return c->result == STORE_OK;
}

enum store_result put_part_bytes(struct store *s, const struct bucket *b, const char *key,
                                 const char id[UPLOAD_ID_LEN], unsigned number, const char *body, size_t n)
{
    struct step c = {.store = s,
                     .bucket = b,
                     .key = str_c(key),
                     .id = str_n(id, UPLOAD_ID_LEN),
                     .number = number,
                     .stage = make_stage(s, body, n, 0, (int64_t)n)};
    enum store_result r = commit(&c, part_closure);
    if (r == STORE_OK)
        stage_committed(c.stage);
    else
        stage_discard(c.stage);
    return r;
}

enum store_result try_part(struct store *s, const struct bucket *b, const char *key,
                           const char id[UPLOAD_ID_LEN], unsigned number, size_t n, unsigned seed)
{
    char *body = make_body(n, seed);
    enum store_result r = put_part_bytes(s, b, key, id, number, body, n);

    free(body);
    return r;
}

void put_part(struct store *s, const struct bucket *b, const char *key, const char id[UPLOAD_ID_LEN],
              unsigned number, size_t n, unsigned seed)
{
    assert_int_equal(try_part(s, b, key, id, number, n, seed), STORE_OK);
}

static bool abort_closure(struct kv_txn *t, void *ctx)
{
    struct step *c = ctx;
    struct store_upload u;
    struct arena a;

    arena_init(&a);
    c->result = store_txn_upload_get(t, c->bucket, c->key, c->id, &a, &u);
    arena_release(&a);
    if (c->result == STORE_OK)
        store_txn_upload_end(t, c->bucket, c->key, c->id, NULL);
    return c->result == STORE_OK;
}

enum store_result abort_upload(struct store *s, const struct bucket *b, const char *key,
                               const char id[UPLOAD_ID_LEN])
{
    return commit(&(struct step){.store = s, .bucket = b, .key = str_c(key), .id = str_n(id, UPLOAD_ID_LEN)},
                  abort_closure);
}

enum store_result try_read_upload(struct store *s, const struct bucket *b, const char *key,
                                  const char id[UPLOAD_ID_LEN], struct upload_read *out)
{
    struct err e = {0};
    bool more;

    arena_init(&out->arena);
    out->n = 0;
    enum store_result r =
        store_upload_get(s, b, str_c(key), str_n(id, UPLOAD_ID_LEN), false, &out->arena, &out->upload, &e);
    if (r == STORE_OK)
        r = store_upload_parts(s, b, str_c(key), str_n(id, UPLOAD_ID_LEN), 0, 1000, &out->arena, &out->parts,
                               &out->n, &more, &e);
    return r;
}

void read_upload(struct store *s, const struct bucket *b, const char *key, const char id[UPLOAD_ID_LEN],
                 struct upload_read *out)
{
    assert_int_equal(try_read_upload(s, b, key, id, out), STORE_OK);
}

static bool finish_closure(struct kv_txn *t, void *ctx)
{
    struct step *c = ctx;
    struct object old;
    struct arena a;

    c->result = store_txn_upload_check(t, c->bucket, c->key, c->id, c->generation);
    if (c->result != STORE_OK)
        return false;
    arena_init(&a);
    bool had = store_txn_object_get(t, c->bucket, c->key, &a, &old) == STORE_OK;
    c->object.seq = kv_txn_sequence(t);
    c->object.mtime_ns = clock_real_ns();
    store_txn_object_put(t, c->store, c->bucket, c->key, &c->object, c->stage, had ? &old : NULL);
    store_txn_upload_end(t, c->bucket, c->key, c->id, &c->used);
    arena_release(&a);
    return true;
}

enum store_result finish_upload_read(struct store *s, const struct bucket *b, const char *key,
                                     const char id[UPLOAD_ID_LEN], const unsigned *numbers,
                                     struct upload_read *r)
{
    struct step c = {.store = s,
                     .bucket = b,
                     .key = str_c(key),
                     .id = str_n(id, UPLOAD_ID_LEN),
                     .generation = r->upload.generation};
    struct extent x[1000];
    struct object_part parts[1000];
    size_t n = 0, n_x = 0;
    enum store_result res;
    struct err e = {0};

    for (size_t i = 0; i < r->n; i++) {
        if (r->parts[i].number != numbers[n])
            continue;
        part_set_add(&c.used, numbers[n]);
        parts[n++] = (struct object_part){.size = r->parts[i].object.size};
        if (r->parts[i].object.n_extents)
            x[n_x++] = r->parts[i].object.extents[0];
    }
    assert_int_equal(numbers[n], 0);
    c.stage = stage_parts(s, x, n_x, parts, n, &res, &e);
    assert_non_null(c.stage);
    c.object.parts = (uint32_t)n;
    c.object.upload_id = c.id;
    res = commit(&c, finish_closure);
    if (res == STORE_OK)
        stage_committed(c.stage);
    else
        stage_discard(c.stage);
    arena_release(&r->arena);
    return res;
}

enum store_result complete_upload(struct store *s, const struct bucket *b, const char *key,
                                  const char id[UPLOAD_ID_LEN], const unsigned *numbers)
{
    struct upload_read r;
    enum store_result res = try_read_upload(s, b, key, id, &r);

    if (res == STORE_OK)
        return finish_upload_read(s, b, key, id, numbers, &r);
    arena_release(&r.arena);
    return res;
}

void copy_object(struct store *s, const struct bucket *b, const char *from, const char *to)
{
    struct store_read r;
    struct arena a;
    struct err e = {0};
    enum store_result res;

    arena_init(&a);
    assert_int_equal(store_read_open(s, b, str_c(from), false, &a, &r, &e), STORE_OK);
    struct store_stage *st = stage_copy(s, &r, &res, &e);
    assert_int_equal(res, STORE_OK);
    assert_int_equal(commit_copy(s, b, to, st, r.object.parts), STORE_OK);
    stage_committed(st);
    store_read_close(&r);
    arena_release(&a);
}

void assert_parts(struct store *s, const struct bucket *b, const char *key, const size_t *sizes,
                  const unsigned *seeds)
{
    struct store_read r;
    struct arena a;
    struct err e = {0};
    uint64_t at = 0;
    size_t i;

    arena_init(&a);
    if (store_read_open(s, b, str_c(key), false, &a, &r, &e) != STORE_OK)
        fail_msg("%s: %s", key, e.text);
    if (r.object.extents_row == 0 && r.object.n_part_list == 0)
        fail_msg("%s: its parts are not known", key);
    for (i = 0; sizes[i]; i++) {
        char *want = make_body(sizes[i], seeds[i]), *got = x_malloc(sizes[i]);
        if (!store_read_bytes(&r, at, got, sizes[i], &e))
            fail_msg("%s: %s", key, e.text);
        assert_memory_equal(got, want, sizes[i]);
        assert_int_equal(r.object.part_list[i].size, sizes[i]);
        at += sizes[i];
        free(want);
        free(got);
    }
    assert_int_equal(r.object.size, at);
    assert_int_equal(r.object.n_part_list, i);
    /* piece by piece, as GET sends it */
    for (uint64_t off = 0; off < r.object.size && !r.is_inline;) {
        struct store_piece p;
        assert_true(store_read_piece(&r, off, 1000, &p, &e));
        assert_true(p.n > 0 && (p.fd >= 0 || p.p));
        off += p.n;
    }
    store_read_close(&r);
    arena_release(&a);
}

struct store *store_of(void **state)
{
    return ((struct fixture *)*state)->store;
}

void clean_store(struct store *s)
{
    run_janitor(s);
    run_janitor(s);
}

void assert_upload_rows(struct store *s, size_t uploads, size_t extents_rows)
{
    assert_int_equal(count_rows(s, KV_META, "u"), uploads);
    assert_int_equal(count_rows(s, KV_META, "e"), extents_rows);
    assert_int_equal(count_rows(s, KV_META, "g"), 0);
}

void make_many(struct store *s, const struct bucket *b, const char *key)
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

void assert_many(struct store *s, const struct bucket *b, const char *key)
{
    size_t sizes[MANY + 1] = {0};
    unsigned seeds[MANY];

    for (unsigned i = 0; i < MANY; i++) {
        sizes[i] = i % 5 ? 1500 : 7;
        seeds[i] = i;
    }
    assert_parts(s, b, key, sizes, seeds);
}
