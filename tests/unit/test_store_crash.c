/* SPDX-License-Identifier: Apache-2.0
 *
 * A store whose process dies, again and again, at every point that has a name and at times of their own: what was
 * acknowledged is there and whole, what was under way is there or not, nothing is left behind, and the sequencer never goes
 * back although the clock does. The child is this program again; it tells its parent, before and after, what it does.
 * BELFRY_CRASH_SEED repeats a run, BELFRY_CRASH_ROUNDS makes it longer. */
#include "upload_help.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/hash.h"

#define THREADS    4
#define KEYS       12 /* of each thread */
#define TMP_PUTS   40 /* in a bucket that is then deleted */
#define HOUR_NS    3600000000000ll
#define PARTS      40 /* of an upload at most: more than an object's row holds */
#define CHILD_MAX  20 /* seconds, should the point never be passed */
#define KILL_LINES 400

/* What a thread is about to do to a key, or has done: one write to the pipe. size -1: delete. */
struct line {
    char kind; /* 'I' intent, 'A' acknowledged */
    uint8_t thread, key;
    int32_t size;
    uint32_t seed;
};

static uint32_t next_random(uint32_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 17;
    *x ^= *x << 5;
    return *x;
}

static const char *key_name(unsigned thread, unsigned key)
{
    static __thread char name[32];
    snprintf(name, sizeof name, "t%u/k%02u", thread, key);
    return name;
}

/* --- the child ------------------------------------------------------------------------------------------------------- */

struct actor {
    struct store *store;
    struct bucket *bucket;
    unsigned thread;
    uint32_t random;
    struct line now[KEYS];
};

static int64_t clock_back_ns;
static int64_t (*true_clock)(void);

static int64_t shifted_clock(void)
{
    return true_clock() - clock_back_ns;
}

static void tell(const struct actor *a, char kind, unsigned key)
{
    struct line l = a->now[key];
    l.kind = kind;
    l.thread = (uint8_t)a->thread;
    l.key = (uint8_t)key;
    if (write(3, &l, sizeof l) != (ssize_t)sizeof l)
        _exit(4);
}

static int32_t random_size(struct actor *a)
{
    uint32_t r = next_random(&a->random);
    switch (r % 4) {
    case 0:
        return (int32_t)(r / 4 % 100000) + INLINE_MAX + 1;
    case 1:
        return (int32_t)(r / 4 % 3) * BLOB_BLOCK;
    default:
        return (int32_t)(r / 4 % (INLINE_MAX + 1));
    }
}

static void copy_key(struct actor *a, unsigned from, unsigned to)
{
    struct store_read read;
    enum store_result r;
    struct err e = {0};
    struct arena arena;

    arena_init(&arena);
    const char *name = key_name(a->thread, from);
    if (store_read_open(a->store, a->bucket, str_c(name), false, &arena, &read, &e) != STORE_OK)
        _exit(5); /* this thread alone changes its keys */
    a->now[to] = a->now[from];
    tell(a, 'I', to);
    struct store_stage *st = stage_copy(a->store, &read, &r, &e);
    if (!st || commit_copy(a->store, a->bucket, key_name(a->thread, to), st, read.object.parts) != STORE_OK)
        _exit(6);
    stage_committed(st);
    store_read_close(&read);
    arena_release(&arena);
    tell(a, 'A', to);
}

/* An upload of as many parts as chance wants, one of them sent twice and one never used; now and then it is left or aborted. */
static void upload_key(struct actor *a, unsigned key)
{
    char id[UPLOAD_ID_LEN];
    const char *name = key_name(a->thread, key);
    uint32_t r = next_random(&a->random);
    unsigned n = r % PARTS + 1, numbers[PARTS + 1] = {0};
    size_t size = n * 3 + (r / 64 % 4 ? r / 256 % 9000 : r / 256 % 100000), at = 0;
    uint32_t seed = next_random(&a->random);
    char *body = make_body(size, seed);

    create_upload(a->store, a->bucket, name, id);
    put_part(a->store, a->bucket, name, id, n, 1500, 1);
    put_part(a->store, a->bucket, name, id, 5000, 10, 1);
    for (unsigned i = 0; i < n; i++) {
        size_t part = i + 1 == n ? size - at : size / n;
        if (put_part_bytes(a->store, a->bucket, name, id, numbers[i] = i + 1, body + at, part) != STORE_OK)
            _exit(10);
        at += part;
    }
    free(body);
    if (r / 512 % 8 == 0)
        return;
    if (r / 512 % 8 == 1) {
        if (abort_upload(a->store, a->bucket, name, id) != STORE_OK)
            _exit(11);
        return;
    }
    a->now[key].size = (int32_t)size;
    a->now[key].seed = seed;
    tell(a, 'I', key);
    if (complete_upload(a->store, a->bucket, name, id, numbers) != STORE_OK)
        _exit(12);
    tell(a, 'A', key);
}

static void step(struct actor *a)
{
    uint32_t r = next_random(&a->random);
    unsigned key = r % KEYS, other = r / KEYS % KEYS;

    if (r / 256 % 4 == 0 && a->now[key].size >= 0) {
        a->now[key].size = -1;
        tell(a, 'I', key);
        if (del(a->store, a->bucket, key_name(a->thread, key)) != STORE_OK)
            _exit(7);
        tell(a, 'A', key);
    } else if (r / 256 % 4 == 1 && a->now[other].size >= 0) {
        copy_key(a, other, key);
    } else if (r / 256 % 4 == 2 && r / 1024 % 3 == 0) {
        upload_key(a, key);
    } else {
        a->now[key].size = random_size(a);
        a->now[key].seed = next_random(&a->random);
        tell(a, 'I', key);
        put(a->store, a->bucket, key_name(a->thread, key), (size_t)a->now[key].size, a->now[key].seed);
        tell(a, 'A', key);
    }
    store_wake_janitor(a->store);
}

static void *actor_run(void *arg)
{
    for (;;)
        step(arg);
    return NULL;
}

/* One upload that is open, and one that was finished, when their bucket goes. */
static void upload_tmp(struct actor *a, struct bucket *b)
{
    char open[UPLOAD_ID_LEN], over[UPLOAD_ID_LEN];
    unsigned numbers[21] = {0};

    create_upload(a->store, b, "open", open);
    create_upload(a->store, b, "over", over);
    for (unsigned i = 1; i <= 20; i++) {
        put_part(a->store, b, "open", open, i, i % 7 ? 10 : 2000, i);
        put_part(a->store, b, "over", over, numbers[i - 1] = i, i % 7 ? 10 : 2000, i);
    }
    if (complete_upload(a->store, b, "over", over, numbers) != STORE_OK)
        _exit(13);
}

/* Buckets that come, are filled, and go with all that is in them. */
static void *bucket_run(void *arg)
{
    struct actor *a = arg;
    for (unsigned n = 0;; n++) {
        char name[32];
        snprintf(name, sizeof name, "tmp-%u-%u", a->random, n);
        struct bucket *b = need_bucket(a->store, name);
        for (unsigned i = 0; i < TMP_PUTS; i++)
            put(a->store, b, key_name(0, i), i % 4 ? 10 : 2000, i);
        upload_tmp(a, b);
        if (delete_bucket(a->store, name, true) != STORE_OK)
            _exit(8);
        bucket_unref(b);
    }
    return NULL;
}

static void read_state(struct actor *a)
{
    if (read(4, a->now, sizeof a->now) != (ssize_t)sizeof a->now)
        _exit(9);
}

static int child(const char *dir, const char *seed, const char *round)
{
    struct store_options o = {.inline_max = INLINE_MAX, .memory = 2u << 20};
    struct actor actors[THREADS + 1];
    struct err e = {0};

    alarm(CHILD_MAX * 6);
    true_clock = clock_real_ns;
    clock_back_ns = strtol(round, NULL, 10) * HOUR_NS;
    clock_real_ns = shifted_clock;
    if (!crash_init())
        return 2;
    struct store *s = store_open(dir, &o, &e);
    if (!s) {
        fprintf(stderr, "%s\n", e.text);
        return 3;
    }
    struct bucket *b = need_bucket(s, "bucket");
    for (unsigned i = 0; i <= THREADS; i++) {
        actors[i] = (struct actor){.store = s, .bucket = b, .thread = i};
        actors[i].random = (uint32_t)strtoul(seed, NULL, 10) * 31 + i + 1;
        if (i < THREADS)
            read_state(&actors[i]);
    }
    for (unsigned i = 0; i < THREADS; i++)
        thread_start("actor", actor_run, &actors[i]);
    thread_start("buckets", bucket_run, &actors[THREADS]);
    for (;;)
        pause();
}

/* --- the parent ------------------------------------------------------------------------------------------------------ */

struct model {
    struct line now[THREADS][KEYS];    /* acknowledged */
    struct line intent[THREADS][KEYS]; /* kind 'I': under way when the process died */
    uint64_t highest;                  /* sequencer of anything seen so far */
    size_t lines;
};

static const char *const points[] = {"blob-created",          "blob-half",          "blob-before-sync",
                                     "blob-synced",           "batch-before-write", "batch-written",
                                     "janitor-before-unlink", "janitor-unlinked",   "extents-written",
                                     "janitor-parts",         "janitor-extents",    NULL};

static pid_t start_child(const struct model *m, const char *dir, unsigned seed, unsigned round,
                         const char *crash_at, int *out)
{
    char seed_text[16], round_text[16];
    int from[2], to[2];

    snprintf(seed_text, sizeof seed_text, "%u", seed);
    snprintf(round_text, sizeof round_text, "%u", round);
    assert_int_equal(pipe(from), 0);
    assert_int_equal(pipe(to), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(from[1], 30);
        dup2(to[0], 4);
        dup2(30, 3);
        closefrom(5);
        if (crash_at)
            setenv("BELFRY_CRASH_AT", crash_at, 1);
        execl("/proc/self/exe", "test_store_crash", dir, seed_text, round_text, (char *)NULL);
        _exit(127);
    }
    assert_true(pid > 0);
    close(from[1]);
    close(to[0]);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(write(to[1], m->now[i], sizeof m->now[i]), sizeof m->now[i]);
    close(to[1]);
    *out = from[0];
    return pid;
}

static void take_line(struct model *m, struct line l)
{
    assert_true(l.thread < THREADS && l.key < KEYS);
    m->intent[l.thread][l.key] = l;
    if (l.kind == 'A')
        m->now[l.thread][l.key] = l;
    m->lines++;
}

/* Follows the child to its end; kills it after `kill_after` lines when that is not 0, or when its point was not passed. */
static void follow(struct model *m, pid_t pid, int in, size_t kill_after)
{
    struct line l;
    int status;
    int64_t deadline = clock_mono_ms() + CHILD_MAX * 1000;

    m->lines = 0;
    while (read(in, &l, sizeof l) == (ssize_t)sizeof l) {
        take_line(m, l);
        if ((kill_after && m->lines == kill_after) || clock_mono_ms() > deadline)
            kill(pid, SIGKILL);
    }
    close(in);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        fail_msg("the child ended with status %x", (unsigned)status);
}

static bool is_there(struct store *s, const struct bucket *b, const char *key, uint64_t *size, uint64_t *seq)
{
    struct object o = {0};
    struct arena a;
    struct err e = {0};

    arena_init(&a);
    enum store_result r = store_object_get(s, b, str_c(key), false, &a, &o, &e);
    arena_release(&a);
    if (r != STORE_OK && r != STORE_MISSING)
        fail_msg("%s: %s", key, e.text);
    *size = o.size;
    *seq = o.seq;
    return r == STORE_OK;
}

/* The MD5 of nothing is stored here, so bodies tell states apart: sizes, then bytes. */
static bool is_body(struct store *s, const struct bucket *b, const char *key, const struct line *l)
{
    struct store_read r;
    struct arena a;
    struct err e = {0};
    char *want = make_body((size_t)l->size, l->seed), *got = x_malloc((size_t)l->size + 1);

    arena_init(&a);
    if (store_read_open(s, b, str_c(key), false, &a, &r, &e) != STORE_OK)
        fail_msg("%s: %s", key, e.text);
    for (uint64_t off = 0; !r.is_inline && off < r.object.size;) {
        size_t n = r.object.size - off < BLOB_BLOCK ? (size_t)(r.object.size - off) : BLOB_BLOCK;
        if (!store_read_bytes(&r, off, got + off, n, &e))
            fail_msg("%s: %s", key, e.text);
        off += n;
    }
    if (r.is_inline && l->size)
        memcpy(got, r.body.data.p, (size_t)l->size);
    bool same = memcmp(got, want, (size_t)l->size) == 0;
    store_read_close(&r);
    arena_release(&a);
    free(want);
    free(got);
    return same;
}

static bool matches(struct store *s, const struct bucket *b, const char *key, bool there, uint64_t size,
                    const struct line *l)
{
    return there ? l->size >= 0 && (uint64_t)l->size == size && is_body(s, b, key, l) : l->size < 0;
}

struct totals {
    size_t files, bodies, rows;
    int64_t objects, bytes;
};

static void count_extents(struct store *s, const struct bucket *b, const char *key, struct totals *sum)
{
    struct object o;
    struct arena a;
    struct err e = {0};

    arena_init(&a);
    assert_int_equal(store_object_get_parts(s, b, str_c(key), false, &a, &o, &e), STORE_OK);
    for (size_t i = 0; i < o.n_extents; i++) {
        sum->files += o.extents[i].kind == EXTENT_BLOB;
        sum->bodies += o.extents[i].kind == EXTENT_INLINE;
    }
    sum->rows += o.extents_row != 0;
    arena_release(&a);
}

static void verify_key(struct model *m, struct store *s, const struct bucket *b, unsigned t, unsigned k,
                       struct totals *sum, uint64_t *highest)
{
    struct line *now = &m->now[t][k], *intent = &m->intent[t][k];
    const char *key = key_name(t, k);
    uint64_t size = 0, seq = 0;
    bool there = is_there(s, b, key, &size, &seq);

    if (intent->kind == 'I' && matches(s, b, key, there, size, intent))
        *now = *intent;
    else if (!matches(s, b, key, there, size, now))
        fail_msg("%s: acknowledged with %d bytes, %s %llu", key, now->size, there ? "it has" : "gone;",
                 (unsigned long long)size);
    intent->kind = 0;
    if (!there)
        return;
    sum->objects++;
    sum->bytes += (int64_t)size;
    count_extents(s, b, key, sum);
    if (seq > *highest)
        *highest = seq;
}

/* What the dead left open: whole uploads, or nothing. */
static void abort_uploads(struct store *s, const struct bucket *b)
{
    struct uploads_page page;
    struct arena a;
    struct err e = {0};

    do {
        arena_init(&a);
        assert_int_equal(store_uploads(s, b, &(struct uploads_query){.max = 1000}, &a, &page, &e), STORE_OK);
        for (size_t i = 0; i < page.n; i++)
            assert_int_equal(
                abort_upload(s, b, arena_strz(&a, page.entries[i].key), page.entries[i].upload.id.p),
                STORE_OK);
        arena_release(&a);
    } while (page.truncated);
}

static void drop_tmp_buckets(struct store *s)
{
    struct bucket **all;
    size_t n = store_buckets(s, &all);

    for (size_t i = 0; i < n; i++) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", STR_FMT(all[i]->name));
        if (str_starts(all[i]->name, STR("tmp-")))
            assert_int_equal(delete_bucket(s, name, true), STORE_OK);
        bucket_unref(all[i]);
    }
    free(all);
}

/* All numbers handed out by this start are above those of any start before. */
static void verify_sequence(struct model *m, struct store *s, const struct bucket *b, uint64_t highest)
{
    uint64_t size, seq;

    if (highest > m->highest)
        m->highest = highest;
    put(s, b, "sequence", 1, 1);
    assert_true(is_there(s, b, "sequence", &size, &seq));
    if (seq <= m->highest)
        fail_msg("the sequencer went back from %llx to %llx", (unsigned long long)m->highest,
                 (unsigned long long)seq);
    m->highest = seq;
    assert_int_equal(del(s, b, "sequence"), STORE_OK);
}

static void verify(struct model *m, const char *dir)
{
    struct store_options o = {.inline_max = INLINE_MAX, .memory = 2u << 20};
    struct totals sum = {0};
    struct err e = {0};
    uint64_t highest = 0;

    bool opened;
    if (!store_check(dir, &opened, &e))
        fail_msg("%s", e.text);
    struct store *s = store_open(dir, &o, &e);
    if (!s)
        fail_msg("%s", e.text);
    struct bucket *b = need_bucket(s, "bucket");
    for (unsigned t = 0; t < THREADS; t++)
        for (unsigned k = 0; k < KEYS; k++)
            verify_key(m, s, b, t, k, &sum, &highest);
    verify_sequence(m, s, b, highest);
    drop_tmp_buckets(s);
    abort_uploads(s, b);
    run_janitor(s);
    run_janitor(s);
    run_janitor(s);
    assert_counters(s, b, sum.objects, sum.bytes);
    assert_int_equal(count_files(s), sum.files);
    assert_int_equal(count_rows(s, KV_DATA, ""), sum.bodies);
    assert_int_equal(count_rows(s, KV_META, "g"), 0);
    assert_int_equal(count_rows(s, KV_META, "u"), 0);
    assert_int_equal(count_rows(s, KV_META, "e"), sum.rows);
    assert_int_equal(count_rows(s, KV_META, "o"), sum.objects);
    assert_int_equal(count_rows(s, KV_META, "t"), s->t_end - s->t_next);
    bucket_unref(b);
    store_close(s);
}

static unsigned number_from(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);
    return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

/* The clock of each child is an hour behind that of the one before; the parent's own stays behind all of them. */
static void test_crashes(void **state)
{
    struct model *m = x_calloc(1, sizeof *m);
    unsigned seed, rounds = number_from("BELFRY_CRASH_ROUNDS", COUNT_OF(points)), done = 0;
    char dir[64];
    (void)state;

    hash_random(&seed, sizeof seed);
    seed = number_from("BELFRY_CRASH_SEED", seed % 1000000);
    print_message("BELFRY_CRASH_SEED=%u\n", seed);
    for (unsigned i = 0; i < THREADS * KEYS; i++)
        m->now[i / KEYS][i % KEYS].size = -1;
    true_clock = clock_real_ns;
    clock_back_ns = (rounds + 1) * HOUR_NS;
    clock_real_ns = shifted_clock;
    make_dir(dir, sizeof dir);
    uint32_t random = seed + 1;
    for (unsigned round = 0; round < rounds; round++) {
        const char *point = points[round % COUNT_OF(points)];
        char at[64];
        int out;
        snprintf(at, sizeof at, "%s:%u", point ? point : "", next_random(&random) % 60 + 1);
        print_message("round %u: %s\n", round, point ? at : "at a time of its own");
        pid_t pid = start_child(m, dir, seed + round, round, point ? at : NULL, &out);
        follow(m, pid, out, point ? 0 : next_random(&random) % KILL_LINES + 1);
        done += m->lines > 0;
        verify(m, dir);
    }
    assert_true(done > 0);
    clock_real_ns = true_clock;
    remove_dir(dir);
    free(m);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crashes),
    };
    return argc == 4 ? child(argv[1], argv[2], argv[3]) : cmocka_run_group_tests(tests, NULL, NULL);
}
