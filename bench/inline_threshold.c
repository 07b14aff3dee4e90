/* SPDX-License-Identifier: Apache-2.0
 *
 * Where bodies belong: in the batch, or in files of their own. PUTs of one size by several threads through store/ onto a real
 * disk, everything synced, once inline and once as files: rate, and bytes written to the disk per byte of body. Half of the
 * PUTs replace an object, so that garbage collection is part of it. The choice is in docs/storage.md.
 *
 *   inline_threshold DIR SECONDS THREADS [SIZE...]     DIR is created, used and left behind with what it holds */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "store/store.h"

#define KEYS      4000
#define EVENT     900        /* bytes of an outbox row, written and removed with each object */
#define LIMIT     (1u << 30) /* bytes of bodies at most in one run */
#define MAX_SIZES 16

struct run {
    struct store *store;
    struct bucket *bucket;
    size_t size;
    char *body;
    int64_t deadline_ms;
    atomic_ulong puts;
};
struct put {
    struct run *run;
    struct store_stage *stage;
    char key[24];
};

static bool put_closure(struct kv_txn *t, void *ctx)
{
    static const char event[EVENT];
    struct put *p = ctx;
    struct object old, now = {.seq = kv_txn_sequence(t), .mtime_ns = clock_real_ns()};
    struct arena a;

    arena_init(&a);
    bool had = store_txn_object_get(t, p->run->bucket, str_c(p->key), &a, &old) == STORE_OK;
    store_txn_object_put(t, p->run->store, p->run->bucket, str_c(p->key), &now, p->stage, had ? &old : NULL);
    kv_txn_put(t, KV_QUEUE, str_c(p->key), str_n(event, sizeof event));
    arena_release(&a);
    return true;
}

static void die(const char *what, const struct err *e)
{
    fprintf(stderr, "%s: %s\n", what, e ? e->text : "failed");
    exit(1);
}

static void put_one(struct run *r, unsigned long n)
{
    struct put p = {.run = r};
    enum store_result res;
    struct err e = {0};

    snprintf(p.key, sizeof p.key, "%lu", n % KEYS);
    p.stage = stage_begin(r->store, (int64_t)r->size, &res, &e);
    if (!p.stage || stage_append(p.stage, r->body, r->size, &e) != STORE_OK ||
        stage_finish(p.stage, &e) != STORE_OK)
        die("stage", &e);
    if (kv_commit_wait(store_kv(r->store), put_closure, &p, 0) != KV_COMMITTED)
        die("commit", NULL);
    stage_committed(p.stage);
}

static void *put_loop(void *arg)
{
    struct run *r = arg;
    unsigned long n;

    while (clock_mono_ms() < r->deadline_ms && (n = atomic_fetch_add(&r->puts, 1)) * r->size < LIMIT)
        put_one(r, n);
    return NULL;
}

static void get_all(struct run *r, unsigned long n, double *us)
{
    int64_t begin = clock_mono_ns();
    char *copy = malloc(r->size);

    for (unsigned long i = 0; i < n; i++) {
        struct store_read rd;
        struct arena a;
        struct err e = {0};
        char key[24];
        uint64_t at, len;
        int fd;
        snprintf(key, sizeof key, "%lu", i * 7919 % n);
        arena_init(&a);
        if (store_read_open(r->store, r->bucket, str_c(key), false, &a, &rd, &e) != STORE_OK)
            die("read", &e);
        if (rd.is_inline)
            memcpy(copy, rd.body.data.p, r->size);
        else if (!store_read_piece(&rd, 0, r->size, &fd, &at, &len, &e))
            die("read", &e);
        store_read_close(&rd);
        arena_release(&a);
    }
    *us = (double)(clock_mono_ns() - begin) / 1e3 / (double)(n ? n : 1);
    free(copy);
}

/* Bytes that this process caused to be written to disks so far. */
static double written(void)
{
    char line[128];
    double n = 0;
    FILE *f = fopen("/proc/self/io", "r");

    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "write_bytes:", 12) == 0)
            n = strtod(line + 12, NULL);
    if (f)
        fclose(f);
    return n;
}

static bool create_closure(struct kv_txn *t, void *ctx)
{
    struct run *r = ctx;
    return store_txn_bucket_create(t, r->store, STR("b"), STR(""), 1) == STORE_OK;
}

static void measure(const char *dir, size_t size, bool is_inline, int seconds, int threads)
{
    struct store_options o = {.disk_reserve = -1, .inline_max = is_inline ? size : 1};
    struct run r = {.size = size, .body = malloc(size)};
    struct err e = {0};
    char path[512];
    pthread_t t[64];
    double us;

    snprintf(path, sizeof path, "%s/%zu-%s", dir, size, is_inline ? "inline" : "file");
    hash_random(r.body, size);
    r.store = store_open(path, &o, &e);
    if (!r.store)
        die("open", &e);
    kv_commit_wait(store_kv(r.store), create_closure, &r, 0);
    r.bucket = store_bucket(r.store, STR("b"));
    if (!r.bucket)
        die("bucket", NULL);
    double before = written();
    int64_t begin = clock_mono_ms();
    r.deadline_ms = begin + 1000 * seconds;
    for (int i = 0; i < threads; i++)
        t[i] = thread_start("put", put_loop, &r);
    for (int i = 0; i < threads; i++)
        thread_join(t[i]);
    double took = (double)(clock_mono_ms() - begin) / 1e3;
    unsigned long puts = atomic_load(&r.puts) < LIMIT / size ? atomic_load(&r.puts) : LIMIT / size;
    get_all(&r, puts < KEYS ? puts : KEYS, &us);
    bucket_unref(r.bucket);
    store_close(r.store);
    double amp = (written() - before) / (double)size / (double)puts;
    printf("%8zu  %-6s  %9.0f PUT/s  %8.1f MB/s  %6.2f written per byte  %7.1f us per GET\n", size,
           is_inline ? "inline" : "file", (double)puts / took, (double)puts * (double)size / took / 1e6, amp,
           us);
    fflush(stdout);
    free(r.body);
}

int main(int argc, char **argv)
{
    static const size_t standard[] = {4096, 16384, 32768, 65536, 131072, 262144, 524288, 1048576};
    size_t sizes[MAX_SIZES], n = 0;
    uint64_t seconds, threads, v;

    if (argc < 4 || !str_to_u64(str_c(argv[2]), &seconds) || !str_to_u64(str_c(argv[3]), &threads) ||
        threads < 1 || threads > 64 || seconds < 1 || seconds > 600) {
        fprintf(stderr, "usage: inline_threshold DIR SECONDS THREADS [SIZE...]\n");
        return 2;
    }
    for (int i = 4; i < argc && n < MAX_SIZES && str_to_u64(str_c(argv[i]), &v) && v > 1; i++)
        sizes[n++] = (size_t)v;
    if (!n) {
        memcpy(sizes, standard, sizeof standard);
        n = sizeof standard / sizeof *standard;
    }
    for (size_t i = 0; i < n; i++) {
        measure(argv[1], sizes[i], true, (int)seconds, (int)threads);
        measure(argv[1], sizes[i], false, (int)seconds, (int)threads);
    }
    return 0;
}
