/* SPDX-License-Identifier: Apache-2.0
 *
 * What is certain before a step of a segment that cannot be taken back: the calls that make it so are this program's own, and look
 * at the rows while they are made. */
#include "sender_help.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "kv/backend.h"

#define ROWS 10
#define N    100

static struct bench *bench;
static char dir[64], folder[128];
static char calls[1000]; /* of segments: D file synced, F its folder, Q the queue_dir, U file removed */
static size_t n_calls;
static unsigned syncs_of_send; /* of the store, when events were sent last */

static size_t named_files(void)
{
    struct kv_scan *scan = kv_scan_open(bench->kv, KV_META, SEGMENT_FILE_FIRST, SEGMENT_FILE_END);
    struct str key, value;
    size_t n = 0;
    while (kv_scan_next(scan, &key, &value))
        n++;
    kv_scan_close(scan);
    return n;
}

static void called(char what)
{
    assert_true(n_calls + 1 < sizeof(calls));
    calls[n_calls++] = what;
}

static bool is_path(int fd, char out[256])
{
    char link[64];
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, out, 255);
    out[n > 0 ? n : 0] = 0;
    return bench && n > 0;
}

int fdatasync(int fd)
{
    char path[256];
    if (is_path(fd, path) && str_ends(str_c(path), STR(".jsonl"))) {
        called('D');
        assert_int_equal(named_files(), 1); /* a row names it, were this the end */
    }
    return (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    char path[256];
    if (is_path(fd, path) && strcmp(path, folder) == 0)
        called('F');
    else if (bench && strcmp(path, dir) == 0)
        called('Q');
    return (int)syscall(SYS_fsync, fd);
}

int unlink(const char *path)
{
    if (bench && str_ends(str_c(path), STR(".jsonl"))) {
        called('U');
        /* what was confirmed since is removed from the rows, and that is certain */
        assert_true(kv_memory_syncs(bench->kv) > syncs_of_send);
        assert_true(named_files() > 0);
    }
    return (int)syscall(SYS_unlink, path);
}

static enum send_result answer(struct fake *f, unsigned key, unsigned number)
{
    (void)f;
    (void)key;
    (void)number;
    syncs_of_send = kv_memory_syncs(bench->kv);
    return SEND_OK;
}

static void test_order(void **state)
{
    struct bench *b = *state;
    b->conf.queue_dir = dir;
    b->s->limits = (struct segment_limits){.rows = ROWS, .keep = 0, .after_ms = 0};
    b->fake.down = true;
    for (unsigned i = 0; i < N; i++)
        assert_true(put(b, i % 7));
    bench = b;
    unsigned before = kv_memory_syncs(b->kv);
    run_for(b, 60000);
    assert_int_equal(rows_with(b, 'q'), N / ROWS);
    /* the folder in its queue_dir first; then, for each, the file and the folder; two synced writes around them */
    assert_int_equal(n_calls, 1 + 2 * N / ROWS);
    assert_int_equal(calls[0], 'Q');
    for (size_t i = 0; i < N / ROWS; i++)
        assert_memory_equal(calls + 1 + 2 * i, "DF", 2);
    assert_int_equal(kv_memory_syncs(b->kv) - before, 2 * N / ROWS);

    n_calls = 0;
    b->fake.down = false;
    b->fake.answer = answer;
    run_for(b, 60000);
    assert_int_equal(queued(b), 0);
    size_t removed = 0;
    for (size_t i = 0; i < n_calls; i++)
        removed += calls[i] == 'U';
    assert_int_equal(removed, N / ROWS);
    assert_int_equal(calls[n_calls - 1], 'F'); /* before the rows that name them go */
    assert_int_equal(named_files(), 0);
    bench = NULL;
}

int main(void)
{
    (void)snprintf(dir, sizeof(dir), "%.30s/belfry-segments-XXXXXX", temp_dir());
    if (!mkdtemp(dir))
        return 1;
    (void)snprintf(folder, sizeof(folder), "%s/belfry-fake-t", dir);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order, bench_setup, bench_teardown)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)rmdir(folder);
    (void)rmdir(dir);
    return failed;
}
