/* SPDX-License-Identifier: Apache-2.0
 *
 * What only the store on disk can show: reopening, SIGKILL in the middle of writing, a disk that refuses. What must die
 * or fail does so in a child, which is this program again: RocksDB's threads do not survive a bare fork. */
#include "kv_help.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crash.h"
#include "base/hash.h"

/* --- children ----------------------------------------------------------------------------------------------------- */

/* Runs this program with "child MODE DIR"; what it writes to descriptor 3 is read from *out. */
static pid_t start_child(const char *mode, const char *dir, const char *crash_at, int *out)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], 3);
        if (crash_at)
            setenv("BELFRY_CRASH_AT", crash_at, 1);
        execl("/proc/self/exe", "test_kv_rocks", mode, dir, (char *)NULL);
        _exit(127);
    }
    assert_true(pid > 0);
    close(ends[1]);
    *out = ends[0];
    return pid;
}

/* Writes as fast as it can, for ever; says each number that was acknowledged. */
static void *writer_thread(void *arg)
{
    struct writer *w = arg;
    for (;; w->n++) {
        if (kv_commit_wait(w->kv, write_numbered, w, 0) != KV_COMMITTED)
            _exit(3);
        char line[16];
        numbered_key(line, w->id, w->n);
        line[9] = '\n';
        if (write(3, line, 10) != 10)
            _exit(4);
    }
    return NULL;
}

static int child_writes(const char *dir)
{
    struct err e;
    struct kv *kv = kv_open(dir, &(struct kv_options){.memory = 1 << 20}, &e); /* flushes often */
    if (!kv || !crash_init())
        return 2;
    struct kv_stats stats;
    kv_get_stats(kv, &stats);
    unsigned base = (unsigned)(stats.last_sequence / 1000 % 90000000); /* another range of keys in each run */
    struct writer w[4];
    for (int i = 0; i < 4; i++) {
        w[i] = (struct writer){kv, (char)('a' + i), base};
        thread_start("writer", writer_thread, &w[i]);
    }
    for (;;)
        pause();
}

/* A file may not grow beyond 256 KiB: the log cannot be written. */
static int child_is_refused(const char *dir)
{
    struct err e;
    struct kv *kv = kv_open(dir, NULL, &e);
    if (!kv)
        return 2;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){256 << 10, 256 << 10});
    struct writer w = {kv, 'a', 0};
    while (w.n < 10000 && kv_commit_wait(kv, write_numbered, &w, 0) == KV_COMMITTED)
        w.n++;
    if (w.n == 10000 || !kv_failed(kv, &e) || !strstr(e.text, "File too large"))
        return 3;
    if (kv_commit_wait(kv, write_numbered, &w, 0) != KV_FAILED)
        return 4;
    char key[16];
    numbered_key(key, 'a', 0);
    struct kv_value v = {0};
    if (kv_get(kv, KV_DATA, str_c(key), 0, &v, &e) != KV_FOUND)
        return 5;
    kv_value_release(&v);
    kv_close(kv);
    return write(3, &w.n, sizeof(w.n)) == sizeof(w.n) ? 0 : 6;
}

static int child_opens(const char *dir)
{
    struct err e = {0};
    struct kv *kv = kv_open(dir, NULL, &e);
    return kv ? 2 : strstr(e.text, "in use by another process") ? 0 : 3;
}

static int wait_child(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* --- tests -------------------------------------------------------------------------------------------------------- */

static void test_reopen(void **state)
{
    struct fixture *f = *state;
    struct step *s = SCRIPT({PUT, KV_META, "a", "1"}, {SEQUENCE}, {ADD, KV_META, "n", .delta = {3, 4}});
    run(f->kv, s, 0);
    run(f->kv, SCRIPT({PUT, KV_DATA, "b", "unsynced"}), KV_NOSYNC);
    run(f->kv, SCRIPT({PUT, KV_QUEUE, "c", "plain"}), KV_PLAIN | KV_NOSYNC);
    reopen(f);
    assert_row(f->kv, KV_META, "a", "1");
    assert_row(f->kv, KV_DATA, "b", "unsynced");
    assert_row(f->kv, KV_QUEUE, "c", "plain");
    assert_counters(f->kv, "n", 3, 4);
    struct kv_stats stats;
    kv_get_stats(f->kv, &stats);
    assert_int_equal(stats.last_sequence, s[1].sequence);
}

static void test_in_use(void **state)
{
    struct fixture *f = *state;
    struct err e;
    assert_null(kv_open(f->dir, NULL, &e));
    assert_non_null(strstr(e.text, "in use"));
    int out;
    pid_t pid = start_child("opens", f->dir, NULL, &out);
    assert_int_equal(wait_child(pid), 0);
    close(out);
}

static void test_not_there(void **state)
{
    struct fixture *f = *state;
    char dir[128];
    struct err e;
    snprintf(dir, sizeof(dir), "%s/none/rows", f->dir);
    assert_null(kv_open(dir, NULL, &e));
    assert_non_null(strstr(e.text, dir));
}

/* What recovery flushed is on disk only; what was read is in the cache. */
static void test_cached_only(void **state)
{
    struct fixture *f = *state;
    write_many(f->kv, 100);
    reopen(f);
    reopen(f); /* a flush leaves bodies in the cache, so that of a fresh process is needed */
    struct kv_value v = {0};
    struct err e;
    assert_int_equal(kv_get(f->kv, KV_DATA, STR("a00000042"), KV_CACHED_ONLY, &v, &e), KV_WOULD_BLOCK);
    assert_int_equal(kv_get(f->kv, KV_DATA, STR("a00000042"), 0, &v, &e), KV_FOUND);
    assert_int_equal(v.data.n, 700);
    kv_value_release(&v);
    assert_int_equal(kv_get(f->kv, KV_DATA, STR("a00000042"), KV_CACHED_ONLY, &v, &e), KV_FOUND);
    assert_int_equal(v.data.p[0], 'a' + 42 % 26);
    kv_value_release(&v);
}

static void test_read_only(void **state)
{
    struct fixture *f = *state;
    write_many(f->kv, 10);
    shut(f);
    struct err e;
    f->kv = kv_open(f->dir, &(struct kv_options){.read_only = true}, &e);
    assert_non_null(f->kv);
    assert_counters(f->kv, "n", 10, 0);
    assert_int_equal(run(f->kv, SCRIPT({PUT, KV_META, "a", "1"}), 0), KV_FAILED);
    assert_false(kv_failed(f->kv, NULL));
}

/* Range deletes of few and of many rows, over rows in memory and on disk, and over a row of the same write. */
static bool range_over_put(struct kv_txn *t, void *ctx)
{
    (void)ctx;
    kv_txn_put(t, KV_QUEUE, STR("q5"), STR("x"));
    kv_txn_del_range(t, KV_QUEUE, STR("q"), STR("r"));
    kv_txn_put(t, KV_QUEUE, STR("q6"), STR("y"));
    return true;
}
static void test_ranges(void **state)
{
    struct fixture *f = *state;
    write_many(f->kv, 1500);
    run(f->kv, SCRIPT({PUT, KV_QUEUE, "q1", "1"}), 0);
    assert_int_equal(kv_commit_wait(f->kv, range_over_put, NULL, KV_PLAIN), KV_COMMITTED);
    assert_scan(f->kv, KV_QUEUE, "q", "r", "q6=y");
    reopen(f);
    run(f->kv,
        SCRIPT({RANGE, KV_META, "a00000010", "a00000020"}, {RANGE, KV_META, "a00000100", "a00001400"},
               {RANGE, KV_DATA, "a00000001", "a00001500"}),
        KV_PLAIN);
    struct kv_scan *s = kv_scan_open(f->kv, KV_META, STR("a"), STR("b"));
    struct str key, value;
    int rows = 0;
    while (kv_scan_next(s, &key, &value))
        rows++;
    kv_scan_close(s);
    assert_int_equal(rows, 1500 - 10 - 1300);
    assert_no_row(f->kv, KV_META, "a00000010");
    assert_no_row(f->kv, KV_DATA, "a00001499");
}

static void test_write_refused(void **state)
{
    struct fixture *f = *state;
    shut(f);
    int out;
    unsigned n = 0;
    pid_t pid = start_child("is-refused", f->dir, NULL, &out);
    assert_int_equal(wait_child(pid), 0);
    assert_int_equal(read(out, &n, sizeof(n)), sizeof(n));
    close(out);
    assert_true(n > 50);
    struct err e = {0};
    f->kv = kv_open(f->dir, NULL, &e);
    if (!f->kv)
        fail_msg("%s", e.text);
    int64_t c[KV_COUNTERS];
    assert_true(kv_counters(f->kv, STR("n"), c, &e));
    assert_true(c[0] == n || c[0] == n + 1); /* what failed may exist */
}

/* --- SIGKILL ------------------------------------------------------------------------------------------------------ */

enum { ACKS = 10 * 20000 };

static size_t read_acks(int fd, char *acks, size_t n, size_t enough)
{
    while (n < enough) {
        ssize_t got = read(fd, acks + n, enough - n);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    return n;
}

static void killed_runs(struct fixture *f, const char *const crash_at[], int runs)
{
    static char acks[ACKS];
    size_t n = 0;
    shut(f);
    for (int i = 0; i < runs; i++) {
        int out;
        uint16_t more;
        hash_random(&more, sizeof(more));
        pid_t pid = start_child("writes", f->dir, crash_at ? crash_at[i] : NULL, &out);
        n = read_acks(out, acks, n, crash_at ? ACKS : n + 10 * (500 + more % 1000));
        if (!crash_at)
            kill(pid, SIGKILL);
        n = read_acks(out, acks, n, ACKS);
        close(out);
        assert_int_equal(wait_child(pid), -SIGKILL);
    }
    struct err e = {0};
    f->kv = kv_open(f->dir, NULL, &e);
    if (!f->kv)
        fail_msg("%s", e.text);
    assert_true(n > 0);
    check_numbered(f->kv, acks, n);
}

static void test_killed(void **state)
{
    killed_runs(*state, NULL, 4);
}

static void test_killed_at_points(void **state)
{
    static const char *const points[] = {"batch-before-write:30", "batch-written:40"};
    killed_runs(*state, points, 2);
}

static bool put_wide_row(struct kv_txn *t, void *ctx)
{
    unsigned *n = ctx;
    char key[16], wide[20000];
    uint32_t x = *n + 1;
    for (size_t i = 0; i < sizeof(wide); i++) {
        x = x * 1664525u + 1013904223u;
        wide[i] = (char)(x >> 24);
    }
    numbered_key(key, 'q', *n);
    kv_txn_put(t, KV_QUEUE, str_c(key), str_n(wide, sizeof(wide)));
    return true;
}

static bool delete_wide_rows(struct kv_txn *t, void *ctx)
{
    unsigned *n = ctx;
    for (unsigned end = *n + 200; *n < end; ++*n) {
        char key[16];
        numbered_key(key, 'q', *n);
        kv_txn_del(t, KV_QUEUE, str_c(key));
    }
    return true;
}

static unsigned long long bytes_of(const char *dir)
{
    char command[128];
    unsigned long long n = 0;
    (void)snprintf(command, sizeof(command), "cat %s/*.sst %s/*.log 2>/dev/null | wc -c", dir, dir);
    FILE *f = popen(command, "r"); /* NOLINT(bugprone-command-processor): a folder of ours */
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%llu", &n), 1);
    (void)pclose(f);
    return n;
}

/* Without it the space of deleted rows stays as it is for ever when nothing more is written. */
static void test_reclaim(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    for (unsigned n = 0; n < 2000; n++)
        assert_int_equal(kv_commit_wait(f->kv, put_wide_row, &n, KV_NOSYNC), KV_COMMITTED);
    for (unsigned n = 0; n < 2000;)
        assert_int_equal(kv_commit_wait(f->kv, delete_wide_rows, &n, KV_NOSYNC), KV_COMMITTED);
    assert_true(bytes_of(f->dir) > 16000000);
    int64_t end = clock_mono_ms() + 30000;
    do
        assert_true(kv_reclaim(f->kv, &e));
    while (bytes_of(f->dir) > 1000000 && clock_mono_ms() < end);
    assert_true(bytes_of(f->dir) <= 1000000);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "writes") == 0)
        return child_writes(argv[2]);
    if (argc == 3 && strcmp(argv[1], "is-refused") == 0)
        return child_is_refused(argv[2]);
    if (argc == 3 && strcmp(argv[1], "opens") == 0)
        return child_opens(argv[2]);
    if (!WITH_ROCKS)
        return 77; /* skipped, to Meson */
#define TEST(t) \
    { \
#t, t, setup_rocks, teardown, NULL \
    }
    const struct CMUnitTest tests[] = {
        TEST(test_reopen),           TEST(test_in_use),  TEST(test_not_there),     TEST(test_cached_only),
        TEST(test_read_only),        TEST(test_ranges),  TEST(test_write_refused), TEST(test_killed),
        TEST(test_killed_at_points), TEST(test_reclaim),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
